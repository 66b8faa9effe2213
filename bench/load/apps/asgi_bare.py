"""Framework-free ASGI app: what the server alone costs. Routing is a plain if/elif.

`python asgi_bare.py freastal|fastpysgi PORT` serves it with those servers;
uvicorn takes it as asgi_bare:app.
"""

import itertools
import sys

import orjson

TEXT = [(b"content-type", b"text/plain"), (b"content-length", b"2")]
ids = itertools.count(1)


def json_headers(body):
    return [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]


async def reply(send, status, headers, body):
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def read_body(receive):
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


async def lifespan(receive, send):
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    path, method = scope["path"], scope["method"]
    if path == "/healthz" and method == "GET":
        return await reply(send, 200, TEXT, b"ok")
    if path.startswith("/users/") and method == "GET":
        uid = path[7:]
        body = orjson.dumps({"id": uid, "name": f"User {uid}", "email": f"user{uid}@example.com"})
        return await reply(send, 200, json_headers(body), body)
    if path == "/users" and method == "POST":
        try:
            data = orjson.loads(await read_body(receive))
            name, email = data["name"], data["email"]
            valid = isinstance(name, str) and isinstance(email, str) and name and email
        except (ValueError, KeyError, TypeError):
            valid = False
        if not valid:
            body = b'{"error":"invalid user"}'
            return await reply(send, 422, json_headers(body), body)
        body = orjson.dumps({"id": str(next(ids)), "name": name, "email": email})
        return await reply(send, 201, json_headers(body), body)
    return await reply(send, 404, [(b"content-length", b"0")], b"")


if __name__ == "__main__":
    server, port = sys.argv[1], int(sys.argv[2])
    if server == "freastal":
        import freastal

        freastal.serve_asgi(app, host="127.0.0.1", port=port, workers=1)
    elif server == "fastpysgi":
        import fastpysgi

        fastpysgi.server.tcp_nodelay = 1
        fastpysgi.run(app, host="127.0.0.1", port=port, workers=1)
