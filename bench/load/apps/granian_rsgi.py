"""RSGI app for granian (granian has no router: routing is a plain if/elif; files are its own)."""

import itertools

import orjson

TEXT = [("content-type", "text/plain")]
JSON = [("content-type", "application/json")]
ids = itertools.count(1)


async def app(scope, proto):
    path, method = scope.path, scope.method
    if path == "/healthz" and method == "GET":
        proto.response_bytes(200, TEXT, b"ok")
    elif path.startswith("/users/") and method == "GET":
        uid = path[7:]
        proto.response_bytes(
            200, JSON, orjson.dumps({"id": uid, "name": f"User {uid}", "email": f"user{uid}@example.com"})
        )
    elif path == "/users" and method == "POST":
        try:
            data = orjson.loads(await proto())
            name, email = data["name"], data["email"]
            valid = isinstance(name, str) and isinstance(email, str) and name and email
        except (ValueError, KeyError, TypeError):
            valid = False
        if valid:
            proto.response_bytes(201, JSON, orjson.dumps({"id": str(next(ids)), "name": name, "email": email}))
        else:
            proto.response_bytes(422, JSON, b'{"error":"invalid user"}')
    elif path == "/upload" and method == "POST":
        length = 0
        async for part in proto:
            length += len(part)
        proto.response_bytes(200, TEXT, str(length).encode())
    else:
        proto.response_empty(404, [])
