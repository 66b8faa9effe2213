"""What a path leads to, ready to be answered with."""

from typing import final

from highperf.wire.response import ResponseHeaders

@final
class FileEntry:
    """A file, or why there is none; made by a FileCache."""

    @property
    def kind(self) -> int:
        """Number of an EntryKind; 0 is a file, and what follows is for files alone."""
    @property
    def why(self) -> str | None:
        """Of what is not served: a reason for the log."""
    @property
    def size(self) -> int:
        """Octets, as they are sent."""
    @property
    def content(self) -> bytes | None:
        """All of them, where they are few enough to be kept in memory."""
    @property
    def coding(self) -> int:
        """Number of a Coding: what the file is compressed with."""
    @property
    def settled(self) -> bool:
        """Whether the second of its modification was over when it was opened."""
    @property
    def tag(self) -> bytes:
        """ETag: ``"time-size"``, hexadecimal; seconds once it is settled, nanoseconds before."""
    @property
    def exact(self) -> bytes:
        """The tag by nanoseconds, which conditions may name as well."""
    @property
    def modified_s(self) -> int:
        """Last-Modified, in seconds since 1970; never later than when the file was opened."""
    @property
    def content_type(self) -> bytes:
        """By the file's name."""
    @property
    def headers(self) -> ResponseHeaders:
        """The fields of a 200, but for Content-Length."""
    @property
    def not_modified(self) -> ResponseHeaders:
        """The fields of a 304."""
