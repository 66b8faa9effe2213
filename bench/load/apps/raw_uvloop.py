"""Best hand-written uvloop + httptools: a Protocol with inline routes, no framework.

Files: header by send(MSG_MORE) and body by os.sendfile on a dup of the
connection's descriptor (uvloop will not let a writer watch its own one).
usage: raw_uvloop.py PORT STATIC_DIR
"""

import asyncio
import itertools
import os
import socket
import sys

import httptools
import orjson
import uvloop

OK = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok"
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
JSON_200 = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
JSON_201 = b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
INVALID = (
    b"HTTP/1.1 422 Unprocessable Entity\r\ncontent-type: application/json\r\n"
    b'content-length: 24\r\n\r\n{"error":"invalid user"}'
)
FILE = b"HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: %d\r\n\r\n"
ids = itertools.count(1)
static_dir = None


class Connection(asyncio.Protocol):
    __slots__ = ("body", "file", "left", "loop", "offset", "out", "parser", "sock", "transport", "url")

    def __init__(self, loop):
        self.loop = loop
        self.url = b""
        self.body = b""
        self.out = []
        self.sock = None
        self.file = None

    def connection_made(self, transport):
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)

    def connection_lost(self, exc):
        if self.sock is not None:
            if self.file is not None:
                self.loop.remove_writer(self.sock)
                self.end_file()
            self.sock.close()
        self.transport = self.parser = None

    def data_received(self, data):
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.close()
            return
        out = self.out
        if out:
            self.transport.write(out[0] if len(out) == 1 else b"".join(out))
            out.clear()

    # parser callbacks
    def on_url(self, url):
        self.url += url

    def on_body(self, body):
        self.body += body

    def on_message_complete(self):
        url, body = self.url, self.body
        self.url = self.body = b""
        method = self.parser.get_method()
        if method == b"GET":
            if url == b"/healthz":
                self.out.append(OK)
                return
            if url.startswith(b"/users/"):
                uid = url[7:].decode()
                data = orjson.dumps({"id": uid, "name": f"User {uid}", "email": f"user{uid}@example.com"})
                self.out.append(JSON_200 % (len(data), data))
                return
            if url.startswith(b"/files/") and b"/" not in url[7:]:
                self.send_file(url[7:].decode())
                return
        elif method == b"POST" and url == b"/users":
            try:
                user = orjson.loads(body)
                name, email = user["name"], user["email"]
                valid = isinstance(name, str) and isinstance(email, str) and name and email
            except (ValueError, KeyError, TypeError):
                valid = False
            if valid:
                data = orjson.dumps({"id": str(next(ids)), "name": name, "email": email})
                self.out.append(JSON_201 % (len(data), data))
            else:
                self.out.append(INVALID)
            return
        self.out.append(NOT_FOUND)

    # files (one at a time per connection: pipelined file requests are not supported here)
    def send_file(self, name):
        try:
            self.file = os.open(os.path.join(static_dir, name), os.O_RDONLY)
        except OSError:
            self.out.append(NOT_FOUND)
            return
        if self.sock is None:
            self.sock = socket.socket(fileno=os.dup(self.transport.get_extra_info("socket").fileno()))
        self.offset, self.left = 0, os.fstat(self.file).st_size
        try:
            self.sock.send(FILE % self.left, socket.MSG_MORE)
        except OSError:
            self.end_file()
            self.transport.abort()
            return
        if not self.push():
            self.loop.add_writer(self.sock, self.push_more)

    def push(self):
        try:
            while self.left:
                sent = os.sendfile(self.sock.fileno(), self.file, self.offset, self.left)
                self.offset += sent
                self.left -= sent
        except BlockingIOError:
            return False
        except OSError:
            self.transport.abort()
        self.end_file()
        return True

    def push_more(self):
        if self.push():
            self.loop.remove_writer(self.sock)

    def end_file(self):
        os.close(self.file)
        self.file = None


async def main(port):
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(loop), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    static_dir = sys.argv[2]
    uvloop.run(main(int(sys.argv[1])))
