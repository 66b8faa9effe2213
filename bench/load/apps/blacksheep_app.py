import itertools
import os
from dataclasses import dataclass

import orjson
import routes
from blacksheep import Application, FromJSON, Request, get, json, post, text
from blacksheep.settings.json import json_settings

json_settings.use(loads=orjson.loads, dumps=lambda value: orjson.dumps(value).decode())
app = Application()
ids = itertools.count(1)


@dataclass
class UserIn:
    name: str
    email: str


@get("/healthz")
async def healthz():
    return text("ok")


@get("/users/{uid}")
async def get_user(uid: str):
    return json({"id": uid, "name": f"User {uid}", "email": f"user{uid}@example.com"})


@post("/users")
async def create_user(data: FromJSON[UserIn]):
    name, email = data.value.name, data.value.email
    if not (isinstance(name, str) and isinstance(email, str) and name and email):
        return json({"error": "invalid user"}, status=422)
    return json({"id": str(next(ids)), "name": name, "email": email}, status=201)


@post("/upload")
async def upload(request: Request):
    length = 0
    async for part in request.stream():
        length += len(part)
    return text(str(length))


async def thing():
    return text("ok")


async def thing_by_id(uid: str):
    return text(uid)


for path in routes.table("{uid}"):
    app.router.add_get(path, thing_by_id if path.endswith("{uid}") else thing)
app.serve_files(os.environ["STATIC_DIR"], root_path="files", extensions={".bin"})
