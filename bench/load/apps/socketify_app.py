"""usage: socketify_app.py PORT STATIC_DIR"""

import itertools
import sys

import orjson
import routes
from socketify import App, AppListenOptions

app = App()
app.json_serializer(orjson)
ids = itertools.count(1)
waiting = set()  # without this, a garbage collection can free a request that awaits its body: the process aborts


def reply(res, status, value):
    res.write_status(status).write_header(b"Content-Type", b"application/json").end(orjson.dumps(value))


def healthz(res, req):
    res.write_header(b"Content-Type", b"text/plain").end(b"ok")


def get_user(res, req):
    uid = req.get_parameter(0)
    reply(res, 200, {"id": uid, "name": f"User {uid}", "email": f"user{uid}@example.com"})


async def create_user(res, req):
    waiting.add(res)
    data = await res.get_json()
    waiting.discard(res)
    try:
        name, email = data["name"], data["email"]
        valid = isinstance(name, str) and isinstance(email, str) and name and email
    except (KeyError, TypeError):
        valid = False
    if valid:
        out = {"id": str(next(ids)), "name": name, "email": email}
        res.cork(lambda r: reply(r, 201, out))
    else:
        res.cork(lambda r: reply(r, 422, {"error": "invalid user"}))


def nothing(res, req):
    res.write_status(404).end(b"")


def thing(res, req):
    res.write_header(b"Content-Type", b"text/plain").end(b"ok")


def thing_by_id(res, req):
    res.write_header(b"Content-Type", b"text/plain").end(req.get_parameter(0))


for path in routes.table(":id"):
    app.get(path, thing_by_id if path.endswith(":id") else thing)
app.get("/healthz", healthz)
app.get("/users/:id", get_user)
app.post("/users", create_user)
app.static("/files", sys.argv[2])
app.any("/*", nothing)
app.listen(AppListenOptions(port=int(sys.argv[1]), host="127.0.0.1"), lambda config: None)
app.run()
