"""A Request may be kept: its octets stay its own, whatever its connection does later."""

import asyncio

import pytest

from highperf import Request
from tests.handlers import GET, Served


@pytest.mark.parametrize("waits", [0, 1])
@pytest.mark.parametrize("cut", [None, 12])
def test_request_may_be_kept_after_its_answer(waits: int, cut: int | None) -> None:
    kept: list[Request] = []

    async def handler(request: Request) -> None:
        kept.append(request)
        for _ in range(waits):
            await asyncio.sleep(0)

    with Served(handler) as served:
        peer = served.connect()
        for number in range(3):
            octets = b"GET /%d?q=%d HTTP/1.1\r\nHost: a\r\nX-Number: %d\r\n\r\n" % (number, number, number)
            if cut is not None:
                peer.send(octets[:cut])
                served.turn()
                octets = octets[cut:]
            peer.send(octets)
            served.until(lambda number=number: len(peer.answers) == number + 1)
        peer.leave()
        served.until(lambda: peer.closed)
    for number, request in enumerate(kept):
        fields = (request.path, request.query["q"], request.headers["x-number"])
        assert fields == (f"/{number}", f"{number}", f"{number}")


def test_request_may_be_kept_when_its_client_has_left() -> None:
    kept: list[Request] = []

    async def handler(request: Request) -> None:
        kept.append(request)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await asyncio.sleep(0)
            assert request.path == "/"

    with Served(handler) as served:
        peer = served.connect()
        peer.send(GET)
        served.until(lambda: kept)
        peer.leave()
        served.until(lambda: not served.worker.in_flight)
        assert kept[0].headers["host"] == "a"
        assert repr(kept[0]) == "<Request GET />"
