"""The parser of HTTP/1.1 request heads (RFC 9112). Its interface is for compiled code: see parser.pxd.

Python drives it through highperf.wire.request_parser.RequestParser.
"""

from typing import Self, final

@final
class Head:
    """A request head; what it holds can be seen through RequestHead and Headers only."""

    def __new__(cls) -> Self:
        """An empty head."""
