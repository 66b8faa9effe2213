"""The peers' API on highperf. /healthz is the server's own.

usage: [GUARDS=WHICH] [STATIC_DIR=DIR] [ROUTES=N] [UPLOAD=whole] highperf-serve highperf_app:app --app-dir . --port PORT
    GUARDS       on: GET /users/:id has every policy that may refuse a request
                 critical: it is served however long it has waited
    STATIC_DIR   what /files/ serves; default: nothing
    ROUTES       how many more routes there are
    UPLOAD       whole: content is read at once instead of in parts
"""

import itertools
import os

import routes

from highperf import App, HTTPError, RateLimit, Request, Response

app = App()
ids = itertools.count(1)
POLICIES = {
    "on": {"deadline": "80ms", "rate_limit": RateLimit("1000000/s", by="client"), "breaker": "users"},
    "critical": {"critical": True},
}

if directory := os.environ.get("STATIC_DIR"):
    app.files("/files/*path", directory)


@app.get("/users/:id", **POLICIES.get(os.environ.get("GUARDS", ""), {}))
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


if os.environ.get("UPLOAD") == "whole":

    @app.post("/upload")
    async def upload(request: Request):
        return str(len(await request.body()))

else:

    @app.post("/upload", limit_body=1 << 30)
    async def upload(request: Request):
        length = 0
        async for part in request.stream():
            length += len(part)
        return str(length)


async def thing(request: Request):
    return "ok"


async def thing_by_id(request: Request):
    return request.params["id"]


for path in routes.table(":id"):
    app.get(path)(thing_by_id if path.endswith(":id") else thing)
