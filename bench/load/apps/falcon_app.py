import itertools
import os

import falcon
import falcon.asgi
import falcon.media
import orjson
import routes

ids = itertools.count(1)


class Health:
    async def on_get(self, req, resp):
        resp.content_type = falcon.MEDIA_TEXT
        resp.text = "ok"


class Users:
    async def on_post(self, req, resp):
        data = await req.get_media()
        try:
            name, email = data["name"], data["email"]
            valid = isinstance(name, str) and isinstance(email, str) and name and email
        except (KeyError, TypeError):
            valid = False
        if not valid:
            raise falcon.HTTPUnprocessableEntity(title="invalid user")
        resp.status = falcon.HTTP_201
        resp.media = {"id": str(next(ids)), "name": name, "email": email}


class User:
    async def on_get(self, req, resp, uid):
        resp.media = {"id": uid, "name": f"User {uid}", "email": f"user{uid}@example.com"}


class Thing:
    async def on_get(self, req, resp):
        resp.content_type = falcon.MEDIA_TEXT
        resp.text = "ok"


class ThingById:
    async def on_get(self, req, resp, uid):
        resp.content_type = falcon.MEDIA_TEXT
        resp.text = uid


class Upload:
    async def on_post(self, req, resp):
        length = 0
        async for part in req.stream:
            length += len(part)
        resp.content_type = falcon.MEDIA_TEXT
        resp.text = str(length)


app = falcon.asgi.App()
handler = falcon.media.JSONHandler(dumps=orjson.dumps, loads=orjson.loads)
app.req_options.media_handlers[falcon.MEDIA_JSON] = handler
app.resp_options.media_handlers[falcon.MEDIA_JSON] = handler
app.add_route("/healthz", Health())
app.add_route("/users", Users())
app.add_route("/users/{uid}", User())
app.add_route("/upload", Upload())
thing, thing_by_id = Thing(), ThingById()
for path in routes.table("{uid}"):
    app.add_route(path, thing_by_id if path.endswith("{uid}") else thing)
app.add_static_route("/files", os.environ["STATIC_DIR"])
