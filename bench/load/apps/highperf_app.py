"""The peers' API on highperf. /healthz is the server's own.

usage: [GUARDS=on] [STATIC_DIR=DIR] highperf-serve highperf_app:app --app-dir . --port PORT
    GUARDS       on: GET /users/:id has every policy that may refuse a request
    STATIC_DIR   what /files/ serves; default: nothing
"""

import itertools
import os

from highperf import App, HTTPError, RateLimit, Request, Response

app = App()
ids = itertools.count(1)
GUARDS = {"deadline": "80ms", "rate_limit": RateLimit("1000000/s", by="client"), "breaker": "users"}

if directory := os.environ.get("STATIC_DIR"):
    app.files("/files/*path", directory)


@app.get("/users/:id", **(GUARDS if os.environ.get("GUARDS") == "on" else {}))
async def get_user(request: Request):
    uid = request.params["id"]
    return {"id": uid, "name": f"User {uid}", "email": f"user{uid}@example.com"}


@app.post("/users")
async def create_user(request: Request):
    user = await request.json()
    try:
        name, email = user["name"], user["email"]
        valid = isinstance(name, str) and isinstance(email, str) and name and email
    except (KeyError, TypeError):
        valid = False
    if not valid:
        raise HTTPError(422, "invalid user")
    return Response.json({"id": str(next(ids)), "name": name, "email": email}, status=201)
