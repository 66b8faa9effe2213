"""usage: aiohttp_app.py PORT STATIC_DIR"""

import itertools
import sys

import orjson
import routes
import uvloop
from aiohttp import web

ids = itertools.count(1)


def reply(value, status=200):
    return web.json_bytes_response(value, status=status, dumps=orjson.dumps)


async def healthz(request):
    return web.Response(text="ok")


async def get_user(request):
    uid = request.match_info["id"]
    return reply({"id": uid, "name": f"User {uid}", "email": f"user{uid}@example.com"})


async def create_user(request):
    try:
        data = await request.json(loads=orjson.loads)
        name, email = data["name"], data["email"]
        valid = isinstance(name, str) and isinstance(email, str) and name and email
    except (ValueError, KeyError, TypeError):
        valid = False
    if not valid:
        return reply({"error": "invalid user"}, 422)
    return reply({"id": str(next(ids)), "name": name, "email": email}, 201)


async def upload(request):
    length = 0
    async for part in request.content.iter_any():
        length += len(part)
    return web.Response(text=str(length))


async def thing(request):
    return web.Response(text="ok")


async def thing_by_id(request):
    return web.Response(text=request.match_info["uid"])


def main(port, static_dir):
    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/users/{id}", get_user)
    app.router.add_post("/users", create_user)
    app.router.add_post("/upload", upload)
    for path in routes.table("{uid}"):
        app.router.add_get(path, thing_by_id if path.endswith("{uid}") else thing)
    app.router.add_static("/files", static_dir)
    web.run_app(
        app,
        host="127.0.0.1",
        port=port,
        access_log=None,
        print=None,
        backlog=4096,
        keepalive_timeout=300,
        loop=uvloop.new_event_loop(),
    )


main(int(sys.argv[1]), sys.argv[2])
