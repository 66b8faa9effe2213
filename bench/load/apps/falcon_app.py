import itertools
import os

import falcon
import falcon.asgi
import falcon.media
import orjson

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


app = falcon.asgi.App()
handler = falcon.media.JSONHandler(dumps=orjson.dumps, loads=orjson.loads)
app.req_options.media_handlers[falcon.MEDIA_JSON] = handler
app.resp_options.media_handlers[falcon.MEDIA_JSON] = handler
app.add_route("/healthz", Health())
app.add_route("/users", Users())
app.add_route("/users/{uid}", User())
app.add_static_route("/files", os.environ["STATIC_DIR"])
