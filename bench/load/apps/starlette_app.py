import itertools
import os

import orjson
import routes
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

ids = itertools.count(1)


class ORJSONResponse(Response):
    media_type = "application/json"

    def render(self, content):
        return orjson.dumps(content)


async def healthz(request):
    return PlainTextResponse("ok")


async def get_user(request):
    uid = request.path_params["id"]
    return ORJSONResponse({"id": uid, "name": f"User {uid}", "email": f"user{uid}@example.com"})


async def create_user(request):
    try:
        data = orjson.loads(await request.body())
        name, email = data["name"], data["email"]
        valid = isinstance(name, str) and isinstance(email, str) and name and email
    except (ValueError, KeyError, TypeError):
        valid = False
    if not valid:
        return ORJSONResponse({"error": "invalid user"}, status_code=422)
    return ORJSONResponse({"id": str(next(ids)), "name": name, "email": email}, status_code=201)


async def upload(request):
    length = 0
    async for part in request.stream():
        length += len(part)
    return PlainTextResponse(str(length))


async def thing(request):
    return PlainTextResponse("ok")


async def thing_by_id(request):
    return PlainTextResponse(request.path_params["uid"])


app = Starlette(
    routes=[
        Route("/healthz", healthz),
        Route("/users/{id}", get_user),
        Route("/users", create_user, methods=["POST"]),
        Route("/upload", upload, methods=["POST"]),
        *(Route(path, thing_by_id if path.endswith("{uid}") else thing) for path in routes.table("{uid}")),
        Mount("/files", StaticFiles(directory=os.environ["STATIC_DIR"])),
    ]
)
