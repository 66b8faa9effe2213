"""usage: sanic_app.py PORT STATIC_DIR"""

import itertools
import sys

import orjson
import routes
from sanic import Sanic, json, text

app = Sanic("peer", dumps=orjson.dumps, loads=orjson.loads)
app.config.KEEP_ALIVE_TIMEOUT = 300
app.config.ACCESS_LOG = False
app.config.REQUEST_MAX_SIZE = 1 << 30
app.static("/files", sys.argv[2])
ids = itertools.count(1)


@app.get("/healthz")
async def healthz(request):
    return text("ok")


@app.get("/users/<uid:str>")
async def get_user(request, uid):
    return json({"id": uid, "name": f"User {uid}", "email": f"user{uid}@example.com"})


@app.post("/users")
async def create_user(request):
    data = request.json
    try:
        name, email = data["name"], data["email"]
        valid = isinstance(name, str) and isinstance(email, str) and name and email
    except (KeyError, TypeError):
        valid = False
    if not valid:
        return json({"error": "invalid user"}, status=422)
    return json({"id": str(next(ids)), "name": name, "email": email}, status=201)


@app.post("/upload", stream=True)
async def upload(request):
    length = 0
    while (part := await request.stream.read()) is not None:
        length += len(part)
    return text(str(length))


async def thing(request):
    return text("ok")


async def thing_by_id(request, uid):
    return text(uid)


for number, path in enumerate(routes.table("<uid:str>")):
    app.add_route(thing_by_id if path.endswith("<uid:str>") else thing, path, name=f"thing{number}")


if __name__ == "__main__":
    app.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        single_process=True,
        access_log=False,
        debug=False,
        motd=False,
        backlog=4096,
    )
