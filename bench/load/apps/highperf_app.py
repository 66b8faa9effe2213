"""The peers' API on highperf. /healthz is the server's own.

usage: highperf-serve highperf_app:app --app-dir . --port PORT
"""

import itertools

from highperf import App, HTTPError, Request, Response

app = App()
ids = itertools.count(1)


@app.get("/users/:id")
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
