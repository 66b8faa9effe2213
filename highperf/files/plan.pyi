"""What is to be sent for one request."""

from typing import final

from highperf.files.entry import FileEntry
from highperf.wire.response import ResponseHeaders

@final
class FilePlan:
    """The answer to a request for a file, but for its octets. For compiled code."""

    @property
    def status(self) -> int:
        """200, 206, 301, 304, 412 or 416."""
    @property
    def entry(self) -> FileEntry | None:
        """What is sent; None for all but 200 and 206."""
    @property
    def headers(self) -> ResponseHeaders | None:
        """The fields of the answer, Content-Type among them, but for those of framing."""
    @property
    def length(self) -> int:
        """Octets of the content; -1: a 304, or a problem that somebody else writes."""
    @property
    def framing(self) -> bytes | None:
        """The delimiters of a multipart answer, one after the other."""
