"""usage: robyn_app.py --processes 1 --workers 1 --disable-openapi (PORT, STATIC_DIR in the environment)"""

import itertools
import os

import orjson
import routes
from robyn import Headers, Response, Robyn

app = Robyn(__file__)
ids = itertools.count(1)
TEXT = Headers({"content-type": "text/plain"})
JSON = Headers({"content-type": "application/json"})


def reply(status, value):
    return Response(status_code=status, headers=JSON, description=orjson.dumps(value))


@app.get("/healthz")
async def healthz(request):
    return Response(status_code=200, headers=TEXT, description="ok")


@app.get("/users/:id")
async def get_user(request):
    uid = request.path_params["id"]
    return reply(200, {"id": uid, "name": f"User {uid}", "email": f"user{uid}@example.com"})


@app.post("/users")
async def create_user(request):
    try:
        data = orjson.loads(request.body)
        name, email = data["name"], data["email"]
        valid = isinstance(name, str) and isinstance(email, str) and name and email
    except (ValueError, KeyError, TypeError):
        valid = False
    if not valid:
        return reply(422, {"error": "invalid user"})
    return reply(201, {"id": str(next(ids)), "name": name, "email": email})


@app.post("/upload")
async def upload(request):
    return Response(status_code=200, headers=TEXT, description=str(len(request.body)))


async def thing(request):
    return Response(status_code=200, headers=TEXT, description="ok")


async def thing_by_id(request):
    return Response(status_code=200, headers=TEXT, description=request.path_params["id"])


for path in routes.table(":id"):
    app.get(path)(thing_by_id if path.endswith(":id") else thing)


if __name__ == "__main__":
    app.serve_directory(route="/files", directory_path=os.environ["STATIC_DIR"])
    app.start(host="127.0.0.1", port=int(os.environ["PORT"]), keep_alive_timeout=300)
