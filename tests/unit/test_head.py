"""The Head as connections use it: through its C interface, at any address."""

import ctypes
from types import ModuleType
from typing import Any

import pytest

from highperf.wire.buffers import BufferPool
from tests import compiled
from tests.streams import BROWSER, get, with_field


@pytest.fixture(scope="session")
def probe(pytestconfig: pytest.Config) -> ModuleType:
    return compiled.load(pytestconfig, "tests/unit/parser_probe.pyx")


def parsed(probe: ModuleType, stream: bytes) -> tuple[Any, Any]:
    """A probe that has parsed the stream, and the memory that it lies in."""
    head = probe.HeadProbe()
    memory = ctypes.create_string_buffer(stream, len(stream))
    assert head.parse(ctypes.addressof(memory), len(stream)) == 1
    return head, memory


def test_a_cut_head_moves_into_a_pooled_buffer_and_goes_on(probe: ModuleType) -> None:
    pool = BufferPool()
    stream = BROWSER + b"what follows"
    for place in (1, 2, 40, 300, len(BROWSER) - 1):
        memory = ctypes.create_string_buffer(stream[:place], place)
        head = probe.HeadProbe()
        assert head.parse(ctypes.addressof(memory), place) == 0
        head.keep(pool, place)
        ctypes.memset(memory, 0, place)
        assert head.append(stream[place:]) == 1
        assert (head.size, head.target) == (len(BROWSER), b"/users/42?from=menu")
        assert head.headers()["sec-fetch-mode"] == "navigate"
        assert pool.in_use == 1
        head.drop(pool)
        assert pool.in_use == 0


def test_a_head_that_outlives_its_read_keeps_its_octets(probe: ModuleType) -> None:
    pool = BufferPool()
    head, memory = parsed(probe, BROWSER)
    headers, items = head.headers(), head.headers().items()
    head.keep(pool, head.size)
    head.keep(pool, head.size)
    ctypes.memset(memory, 0, len(BROWSER))
    assert headers.items() == items
    assert pool.in_use == 1
    head.drop(pool)
    head.drop(pool)
    assert pool.in_use == 0


def test_a_head_is_reused(probe: ModuleType) -> None:
    head, _ = parsed(probe, with_field(b"Content-Length: 3\r\nConnection: close\r\nExpect: 100-continue"))
    for stream in (BROWSER, b"GET / HTTP/1.0\r\n\r\n", get(b"/?x"), get(b"http://a?"), get()):
        head.reset()
        memory = ctypes.create_string_buffer(stream, len(stream))
        assert head.parse(ctypes.addressof(memory), len(stream)) == 1
        fresh, _kept = parsed(probe, stream)
        assert head.headers().items() == fresh.headers().items()
        assert head.query().items() == fresh.query().items()
        assert head.target == fresh.target


def test_a_failed_head_stays_failed_until_reset(probe: ModuleType) -> None:
    head = probe.HeadProbe()
    memory = ctypes.create_string_buffer(b"BAD\r\n" + get())
    assert head.parse(ctypes.addressof(memory), 5) == -1
    assert head.parse(ctypes.addressof(memory), 5 + len(get())) == -1
    assert head.error == (400, "request line is not method, target and version with one space between")
    head.reset()
    assert head.parse(ctypes.addressof(memory) + 5, len(get())) == 1


def test_fields_are_found_by_lower_case_name(probe: ModuleType) -> None:
    head, _memory = parsed(probe, get(b"/", b"Host: h", b"Accept: a", b"ACCEPT: b", b"Accept-Encoding: c"))
    assert head.find(b"accept") == 1
    assert head.find(b"accept", 2) == 2
    assert head.find(b"accept", 3) == -1
    assert head.find(b"accept-encoding") == 3
    assert head.find(b"accepts") == -1
    assert head.find(b"Host") == -1
    assert head.find(b"") == -1


def test_octets_of_an_unfinished_line_are_looked_at_once(probe: ModuleType) -> None:
    stream = b"GET /" + b"a" * 5000
    memory = ctypes.create_string_buffer(stream, len(stream))
    head = probe.HeadProbe()
    for size in range(1, len(stream) + 1):
        assert head.parse(ctypes.addressof(memory), size) == 0
    assert head.rescanned == len(stream)


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE"])
def test_known_methods_have_their_own_number(method: bytes, probe: ModuleType) -> None:
    number = parsed(probe, get(method=method))[0].method
    assert 0 < number < probe.METHODS
    assert parsed(probe, get(method=method.lower()))[0].method == 0
    assert parsed(probe, get(method=method[:-1] + b"X"))[0].method == 0
    assert parsed(probe, get(method=method + b"S"))[0].method == 0


def test_every_reason_is_lower_case_and_has_a_fitting_status(probe: ModuleType) -> None:
    statuses = {status for status, _ in probe.ERRORS[1:]}
    assert statuses == {400, 413, 414, 417, 431, 501, 503, 505}
    reasons = [reason for _, reason in probe.ERRORS]
    assert len(set(reasons)) == len(reasons)
    assert all(reason == reason.lower() and not reason.endswith(".") for reason in reasons)
