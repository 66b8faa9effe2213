"""A connection without a socket: feeds octets into a protocol as uvloop would.

The protocol is an asyncio.BufferedProtocol. Its read buffer is filled once and told to be full
again for each request: what is measured is the server, not the copying that the kernel does.
"""

import asyncio
from collections.abc import Callable
from itertools import repeat
from typing import Any


class NullTransport(asyncio.Transport):
    """Takes what is written and forgets it, at the price of a call."""

    # A builtin that takes one object and does nothing with it: no Python frame is put on the
    # server's account, and no written buffer is kept alive.
    write: Any = staticmethod(id)
    writelines: Any = staticmethod(id)

    def __init__(self) -> None:
        super().__init__()
        self.closing = False
        self.reading = True

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = True

    def is_reading(self) -> bool:
        return self.reading

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return 0, 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_protocol(self) -> asyncio.BaseProtocol:
        raise NotImplementedError

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        pass


class RecordingTransport(NullTransport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()

    def write(self, data: Any) -> None:
        self.written += data

    def writelines(self, list_of_data: Any) -> None:
        for data in list_of_data:
            self.written += data


def feed(protocol: Any, octets: bytes) -> None:
    """One read of these octets, or several where the protocol's buffer is smaller."""
    while octets:
        buffer = protocol.get_buffer(-1)
        size = min(len(octets), len(buffer))
        buffer[:size] = octets[:size]
        protocol.buffer_updated(size)
        octets = octets[size:]


def answer_of(make_protocol: Callable[[], Any], octets: bytes) -> bytes:
    """What a new connection answers to these octets."""
    transport, protocol = RecordingTransport(), make_protocol()
    protocol.connection_made(transport)
    feed(protocol, octets)
    protocol.connection_lost(None)
    return bytes(transport.written)


def feeding_loop(protocol: Any, request: bytes) -> Callable[[int], None]:
    """A function that feeds the whole request a number of times over."""
    feed(protocol, request)
    get_buffer, buffer_updated, size = protocol.get_buffer, protocol.buffer_updated, len(request)

    def loop(calls: int) -> None:
        for _ in repeat(None, calls):
            get_buffer(-1)
            buffer_updated(size)

    return loop
