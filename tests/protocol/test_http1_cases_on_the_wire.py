"""The request vectors through the whole connection: as many answers as whole requests, then a refusal and the
end, or patience. The parser alone is asked in test_http1_cases.py; here it is what a peer would see."""

import asyncio
import base64
import re
from typing import Any

import pytest
import uvloop

from highperf import App, Request
from highperf.config import Layers, resolve
from highperf.core.worker import Worker
from highperf.testing import MemoryTransport
from tests import cuts
from tests.protocol.test_http1_cases import CASES, DEVIATIONS, OPEN_ENDED

STATUS = re.compile(rb"HTTP/1\.1 ([2-5]\d\d) ")


def seen_by_a_peer(pieces: list[bytes]) -> tuple[list[int], bool]:
    """Final statuses in order, and whether the connection was ended."""
    app = App(health=False)

    @app.route("/*path", methods="*")
    async def read(request: Request) -> None:
        await request.body()

    loop = uvloop.new_event_loop()
    worker = Worker(app.build(), resolve(Layers()), loop, app=app)

    async def deliver() -> tuple[list[int], bool]:
        transport = MemoryTransport(loop, worker.connection())
        await asyncio.sleep(0)
        for piece in pieces:
            transport.feed(piece)
            await asyncio.sleep(0)
        for _ in range(5 + len(pieces) + sum(map(len, pieces)) // 1000):
            await asyncio.sleep(0)
        statuses = [int(status) for status in STATUS.findall(bytes(transport.sent))]
        ended = transport.is_closing()
        transport.abort()
        await transport.closed
        return statuses, ended

    try:
        return loop.run_until_complete(deliver())
    finally:
        assert worker.pool.in_use == 0
        worker.close()
        loop.close()


def check(case: dict[str, Any], statuses: list[int], ended: bool) -> None:
    strict = case["strict"]
    refusals = [status for status in statuses if status >= 400 and status not in (404, 405)]
    if strict["expect"] == "reject" or DEVIATIONS.get(case["id"]) == "reject":
        assert ended
        assert refusals == statuses[-1:]
        assert len(statuses) - 1 <= strict["n"]
    elif strict["expect"] == "accept" and not OPEN_ENDED & set(case["tags"]):
        assert not [status for status in refusals if status != 501]
        assert len(statuses) == strict["n"]
    elif strict["expect"] == "incomplete":
        assert not refusals
        assert len(statuses) <= strict["n"]


@pytest.mark.parametrize("name", CASES)
def test_peer_sees_what_strictness_asks_for(name: str) -> None:
    case = CASES[name]
    stream = base64.b64decode(case["raw_host"])
    borders = cuts.line_ends(stream)
    whole = seen_by_a_peer([stream])
    check(case, *whole)
    deliveries = [cuts.at(stream, borders), cuts.at(stream, [border - 1 for border in borders])]
    if len(stream) <= 1000:
        deliveries.append([stream[at : at + 1] for at in range(len(stream))])
    for pieces in deliveries:
        assert seen_by_a_peer(pieces) == whole
