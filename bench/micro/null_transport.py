"""A connection without a socket: feeds octets into a protocol as uvloop would.

The protocol is an asyncio.BufferedProtocol. Its read buffer is filled once and told to be full
again for each request: what is measured is the server, not the copying that the kernel does.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import repeat
from typing import Any


class NullTransport(asyncio.Transport):
    """Takes what is written and forgets it, at the price of a call."""

    # What is called for each request is builtin: no Python frame is put on the server's account.
    # callable() takes any object, keeps none and makes none; int() is 0.
    write: Any = staticmethod(callable)
    writelines: Any = staticmethod(callable)
    get_write_buffer_size: Any = staticmethod(int)

    def __init__(self) -> None:
        super().__init__()
        self.closing = False
        self.reading = True

    @contextmanager
    def recording(self) -> Iterator[bytearray]:
        """Keeps what is written meanwhile."""
        written = bytearray()
        self.write, self.writelines = written.extend, lambda parts: written.extend(b"".join(parts))
        try:
            yield written
        finally:
            del self.write, self.writelines

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

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return 0, 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_protocol(self) -> asyncio.BaseProtocol:
        raise NotImplementedError

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        pass


def feed(protocol: Any, octets: bytes) -> None:
    """One read of these octets, or several where the protocol's buffer is smaller."""
    while octets:
        buffer = protocol.get_buffer(-1)
        size = min(len(octets), len(buffer))
        buffer[:size] = octets[:size]
        protocol.buffer_updated(size)
        octets = octets[size:]


def exchange(protocol: Any, transport: NullTransport, octets: bytes) -> bytes:
    """What the protocol answers to these octets."""
    with transport.recording() as written:
        feed(protocol, octets)
    return bytes(written)


def feeding_loop(protocol: Any, request: bytes) -> Callable[[int], None]:
    """A function that feeds what lies in the read buffer, the request, a number of times over."""
    feed(protocol, request)
    get_buffer, buffer_updated, size = protocol.get_buffer, protocol.buffer_updated, len(request)

    def loop(calls: int) -> None:
        for _ in repeat(None, calls):
            get_buffer(-1)
            buffer_updated(size)

    return loop
