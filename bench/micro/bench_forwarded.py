"""Whose tokens a request takes: the key of its client, from a stranger and from a trusted proxy."""

import sys
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from bench.micro.bench_requests import BROWSER, GET_USER
from bench.micro.conftest import Tight
from bench.micro.null_transport import NullTransport
from highperf.core.proxies import TrustedProxies
from tests import compiled

GROUP = "guards"
KeyOften = Callable[[TrustedProxies, Any, bytes, int], bytes]

TRUSTED = TrustedProxies([ip_network("127.0.0.1"), ip_network("::1"), ip_network("10.0.0.0/8")])


@pytest.fixture(scope="module")
def key_often(pytestconfig: pytest.Config) -> KeyOften:
    loop: KeyOften = compiled.load(pytestconfig, "bench/micro/forwarded_loop.pyx").key_often
    return loop


class Connection(NullTransport):
    def __init__(self, address: str) -> None:
        super().__init__()
        self._extra["peername"] = (address, 50_000)


def with_fields(request: bytes, *fields: bytes) -> bytes:
    return request[:-2] + b"".join(field + b"\r\n" for field in fields) + b"\r\n"


ONE = with_fields(GET_USER, b"X-Forwarded-For: 203.0.113.195", b"X-Forwarded-Proto: https")
KEY = int(ip_address("203.0.113.195")).to_bytes(4, sys.byteorder)


def bench_key_of_a_stranger(tight: Tight, key_often: KeyOften) -> None:
    peer = Connection("203.0.113.195")
    assert key_often(TRUSTED, peer, ONE, 1) == KEY
    tight(lambda calls: key_often(TRUSTED, peer, ONE, calls), goal_ns=5)


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(ONE, id="one entry"),
        pytest.param(with_fields(BROWSER, b"X-Forwarded-For: 203.0.113.195"), id="one entry, a browser's fields"),
        pytest.param(with_fields(GET_USER, b"X-Forwarded-For: 203.0.113.195, 10.0.0.1, 10.0.0.2"), id="three entries"),
        pytest.param(with_fields(GET_USER, b"Forwarded: for=203.0.113.195;proto=https;by=10.0.0.1"), id="Forwarded"),
    ],
)
def bench_key_by_a_trusted_proxy(tight: Tight, key_often: KeyOften, request_: bytes) -> None:
    proxy = Connection("127.0.0.1")
    assert key_often(TRUSTED, proxy, request_, 1) == KEY
    tight(lambda calls: key_often(TRUSTED, proxy, request_, calls), goal_ns=150)
