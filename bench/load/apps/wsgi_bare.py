"""Framework-free WSGI app: what the server alone costs. Routing is a plain if/elif.

usage: wsgi_bare.py freastal|fastwsgi|fastpysgi|bjoern PORT STATIC_DIR
Static files go through wsgi.file_wrapper where the server offers one.
"""

import io
import itertools
import os
import sys

import orjson

TEXT = [("Content-Type", "text/plain"), ("Content-Length", "2")]
FILES = {"1k.bin", "64k.bin", "8m.bin"}
ids = itertools.count(1)
static_dir = None


def json_reply(start_response, status, body):
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def app(environ, start_response):
    path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
    if path == "/healthz" and method == "GET":
        start_response("200 OK", TEXT)
        return [b"ok"]
    if path.startswith("/users/") and method == "GET":
        uid = path[7:]
        return json_reply(
            start_response,
            "200 OK",
            orjson.dumps({"id": uid, "name": f"User {uid}", "email": f"user{uid}@example.com"}),
        )
    if path == "/users" and method == "POST":
        try:
            data = orjson.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
            name, email = data["name"], data["email"]
            valid = isinstance(name, str) and isinstance(email, str) and name and email
        except (ValueError, KeyError, TypeError):
            valid = False
        if not valid:
            return json_reply(start_response, "422 Unprocessable Entity", b'{"error":"invalid user"}')
        return json_reply(
            start_response, "201 Created", orjson.dumps({"id": str(next(ids)), "name": name, "email": email})
        )
    if path.startswith("/files/") and method == "GET" and path[7:] in FILES:
        f = io.FileIO(os.path.join(static_dir, path[7:]))
        start_response(
            "200 OK",
            [("Content-Type", "application/octet-stream"), ("Content-Length", str(os.fstat(f.fileno()).st_size))],
        )
        return environ["wsgi.file_wrapper"](f)
    start_response("404 Not Found", [("Content-Length", "0")])
    return [b""]


if __name__ == "__main__":
    server, port, static_dir = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    if server == "freastal":
        import freastal

        freastal.serve(app, host="127.0.0.1", port=port, workers=1)
    elif server == "fastwsgi":
        import fastwsgi

        fastwsgi.server.tcp_nodelay = 1  # off by default: pipelined answers then wait for delayed ACKs
        fastwsgi.run(wsgi_app=app, host="127.0.0.1", port=port, loglevel=0)
    elif server == "fastpysgi":
        import fastpysgi

        fastpysgi.server.tcp_nodelay = 1
        fastpysgi.run(app, host="127.0.0.1", port=port, workers=1)
    elif server == "bjoern":
        import bjoern

        bjoern.run(app, "127.0.0.1", port)
