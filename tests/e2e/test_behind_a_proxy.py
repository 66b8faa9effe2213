"""A server behind a proxy, as real processes see it: over TCP, through a Unix socket, with its settings."""

import json
import signal
import socket
import struct
import sys
from typing import Any

import pytest

from tests.servers import Server, run, running

SHOP = """
from highperf import App, RateLimit
app = App()
seen = []

@app.get("/who", rate_limit=RateLimit("2/h", by="client"))
async def who(request):
    return {"client": request.client, "scheme": request.scheme}

@app.get("/see")
async def see(request):
    seen.append(request.client)

@app.get("/seen")
async def all_seen(request):
    return seen
"""
FILES = {"shop.py": SHOP}
UNIX = "running on unix:"
FORWARDED = "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\n"
LINUX = sys.platform == "linux"
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time


def request(path: str, fields: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n".encode()


def ask(client: socket.socket, path: str, fields: str = "") -> tuple[int, Any]:
    with client:
        client.sendall(request(path, fields))
        head, _, body = client.makefile("rb").read().partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(body)


def unix_client(server: Server) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(5)
    client.connect(str(server.directory / "shop.sock"))
    return client


def test_a_proxy_on_this_machine_is_believed_and_each_of_its_clients_has_a_limit_of_his_own() -> None:
    with running("shop:app", files=FILES) as server:
        told = {"client": ["203.0.113.7", 0], "scheme": "https"}
        assert [ask(server.connect(), "/who", FORWARDED) for _ in range(2)] == [(200, told)] * 2
        assert ask(server.connect(), "/who", FORWARDED)[0] == 429
        assert ask(server.connect(), "/who", "Forwarded: for=203.0.113.8\r\n")[0] == 200
        status, answer = ask(server.connect(), "/who")
        assert (status, answer["client"][0], answer["scheme"]) == (200, "127.0.0.1", "http")


def test_a_proxy_behind_a_unix_socket_is_believed() -> None:
    with running("shop:app", "--uds", "shop.sock", files=FILES, port=None, until=UNIX) as server:
        told = {"client": ["203.0.113.7", 0], "scheme": "https"}
        assert ask(unix_client(server), "/who", FORWARDED) == (200, told)
        assert ask(unix_client(server), "/who") == (200, {"client": None, "scheme": "http"})


def test_a_stranger_who_is_gone_before_he_is_looked_at_is_not_believed() -> None:
    with running("shop:app", "--forwarded-allow-ips", "10.0.0.0/8", files=FILES) as server:
        server.signal(signal.SIGSTOP)
        for _ in range(20):
            client = server.connect()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            client.sendall(request("/see", FORWARDED))
            client.close()
        server.signal(signal.SIGCONT)
        _, seen = ask(server.connect(), "/seen")
        assert ["203.0.113.7", 0] not in seen
        assert not LINUX or seen == [None] * 20  # which hands over what came before the reset


@pytest.mark.parametrize("named", ["10.0.0.1/8", "proxy"])
def test_a_network_that_cannot_be_read_stops_the_start_with_one_line(named: str) -> None:
    failed = run("shop:app", "--forwarded-allow-ips", f"127.0.0.1,{named}", files=FILES)
    assert failed.code == 2
    assert failed.stderr.startswith(f'Error: Invalid element "{named}" of flag --forwarded-allow-ips: expected ')
    assert failed.stderr.count("\n") == 1


def test_whoever_trusts_everyone_on_a_public_address_is_warned_once() -> None:
    with running("shop:app", "--host", "0.0.0.0", "--forwarded-allow-ips", "*", files=FILES) as server:
        assert server.stderr.count("forwarded_allow_ips trusts everyone (0.0.0.0/0, ::/0)") == 1
    with running("shop:app", "--forwarded-allow-ips", "*", files=FILES) as server:
        assert "trusts everyone" not in server.stderr
