from collections.abc import AsyncIterator
from typing import final

@final
class BodyReader:
    """The content of one request; made by the server. Handlers use the methods of Request."""

    async def read_all(self) -> bytes:
        """The whole content.

        Raises:
            HTTPError: 413 above the limit, 408 if the peer was too slow, 400 if it ended early.
            RuntimeError: parts of it were read before, or another task reads.
        """

    async def read(self, size: int = -1) -> bytes:
        """At most ``size`` octets (-1: all there are) as soon as there are any; ``b""`` at the end."""

    def parts(self) -> AsyncIterator[bytes]:
        """The content in parts, as they come, of at most 64 KiB each unless a reader of the whole gave up before."""
