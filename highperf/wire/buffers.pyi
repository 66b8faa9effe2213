"""Reusable memory: buffers that grow, and the pool that keeps them for the next user.

    pool = BufferPool()
    with pool.acquire() as buffer:      # released at the end, also when the block raises
        buffer.write(b"HTTP/1.1 200 OK\\r\\n")
        socket.send(buffer)

Neither class is safe to use from several threads at once; a worker has a pool of its own.
"""

from types import TracebackType
from typing import Self, final

from typing_extensions import Buffer as SupportsBuffer

@final
class Buffer:
    """Octets that can be appended to; exposes what was written by the buffer protocol, writable.

    write, clear, bytes() and memoryview() raise ValueError after the buffer was released to its pool.
    """

    def __new__(cls, capacity: int) -> Self:
        """A buffer of its own, with room for capacity octets (at least 1); it belongs to no pool."""
    def __len__(self) -> int:
        """Octets written since the buffer was acquired or cleared."""
    def __bytes__(self) -> bytes:
        """A copy of the octets written."""
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __release_buffer__(self, view: memoryview, /) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exception_type: type[BaseException] | None = None,
        exception: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        """Release the buffer to the pool that lent it, unless that was done already."""
    @property
    def capacity_bytes(self) -> int:
        """Octets that fit before the buffer has to grow."""
    def write(self, data: SupportsBuffer) -> int:
        """Append a copy of contiguous bytes-like data; returns its size in octets.

        A full buffer doubles its capacity until the data fits. Raises BufferError, and appends
        nothing, when it would have to grow while a memoryview of it exists.
        """
    def clear(self) -> None:
        """Forget what was written and keep the capacity.

        Raises BufferError while a memoryview of the buffer exists.
        """

@final
class BufferPool:
    """Lends buffers and keeps those that come back, up to a limit.

    Capacities are powers of two from 128 octets to 1 MiB. A buffer above 1 MiB is freed on release,
    as is one that would bring the pool above limit_bytes, or that a memoryview still looks at.
    """

    def __new__(cls, limit_bytes: int = 16_777_216) -> Self:
        """limit_bytes bounds what the pool holds for later, in octets; 0 keeps nothing."""
    @property
    def limit_bytes(self) -> int:
        """The bound on held_bytes."""
    @property
    def held_bytes(self) -> int:
        """Octets of the released buffers that wait for their next user."""
    @property
    def in_use(self) -> int:
        """Buffers that were acquired and not yet released; one that was lost does not count."""
    @property
    def hits(self) -> int:
        """Acquisitions that a kept buffer served, since the pool was made."""
    @property
    def misses(self) -> int:
        """Acquisitions that had to allocate a buffer, since the pool was made."""
    def acquire(self, capacity: int = 1024) -> Buffer:
        """An empty buffer with room for at least capacity octets (1 or more), kept or new.

        Give it back with release, or use it as a context manager.
        """
    def release(self, buffer: Buffer) -> None:
        """Take back a buffer that this pool lent; its user must not touch it any more.

        Raises ValueError when it was released before, or was not acquired from this pool.
        """
    def trim(self) -> None:
        """Free half of what nobody has needed since the last call, the coldest first.

        Called at a steady pace (a worker does it once a second), so that the memory of a burst
        goes back in a few calls while what every moment needs stays. For each MiB or more that
        was freed so, glibc returns the pages to the system, which takes it about a millisecond.
        """
