"""Takes apart what a server sent, and looks at the form of each answer (RFC 9110, RFC 9112)."""

import http.client
import io
import re
from collections.abc import Iterable
from itertools import chain, repeat
from typing import Any

from highperf.testing import TestResponse

STATUS_LINE = re.compile(rb"HTTP/1\.1 [1-5]\d\d [\t\x20-\x7e]*")
FIELD_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+: ?[\t\x20-\x7e\x80-\xff]*")
DATE = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-S][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT")
SINGLE = ["Date", "Server", "Content-Length", "Content-Type", "Transfer-Encoding", "Connection", "Location", "Allow"]
SINGLE += ["X-Request-ID"]
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Answer(TestResponse):
    """A whole answer, with its head as sent; `interim` counts the 100 (Continue) before it."""

    def __init__(self, octets: bytes, method: str) -> None:
        super().__init__(octets, method)
        self.interim = 0
        while octets.startswith(CONTINUE):
            octets, self.interim = octets[len(CONTINUE) :], self.interim + 1
        self.head = octets[: octets.index(b"\r\n\r\n") + 4]
        self._check(method)

    @property
    def closes(self) -> bool:
        """Whether it says that the connection ends."""
        return self.headers.get("Connection") == "close"

    def problem(self) -> dict[str, Any]:
        """Its problem, without the request id, which is that of the field."""
        problem: dict[str, Any] = self.json()
        assert problem.pop("request_id") == self.headers["X-Request-ID"]
        return problem

    @property
    def lasting(self) -> list[bytes]:
        """The lines of its head that another answer to such a request has too."""
        return [line for line in self.head.splitlines() if not line.startswith((b"Date:", b"X-Request-ID:"))]

    def _check(self, method: str) -> None:
        status_line, *field_lines = self.head.removesuffix(b"\r\n\r\n").split(b"\r\n")
        assert STATUS_LINE.fullmatch(status_line), self.head
        assert all(FIELD_LINE.fullmatch(line) for line in field_lines), self.head
        for name in SINGLE:
            assert len(self.headers.get_all(name, [])) <= 1, self.head
        assert DATE.fullmatch(self.headers["Date"]), self.head
        lengths = [name for name in ("Content-Length", "Transfer-Encoding") if name in self.headers]
        if self.status in (204, 304):
            assert not lengths, self.head
        else:
            assert len(lengths) == 1 or (not lengths and self.closes), self.head
        if method == "HEAD" or self.status in (204, 304):
            assert not self.content
        if self.content and self.headers.get("Content-Type") == "application/problem+json":
            problem = self.json()
            assert problem["status"] == self.status
            assert problem["title"]


class _Socket:
    """What http.client asks of a socket: a file, which it must not close, for the next answer lies in it as well."""

    def __init__(self, stream: io.BytesIO) -> None:
        self._stream = stream

    def makefile(self, mode: str) -> "_Unclosed":
        return _Unclosed(self._stream)


class _Unclosed(io.BufferedIOBase):
    def __init__(self, stream: io.BytesIO) -> None:
        self.read, self.readline, self.readinto = stream.read, stream.readline, stream.readinto  # type: ignore[method-assign]


def split_answers(octets: bytes, methods: Iterable[str] = ()) -> tuple[list[Answer], bytes]:
    """The whole answers, and what follows them. The requests' methods matter for HEAD; others need not be given."""
    stream = io.BytesIO(octets)
    answers: list[Answer] = []
    for method in chain(methods, repeat("GET")):
        start = stream.tell()
        message = http.client.HTTPResponse(_Socket(stream), method=method)  # type: ignore[arg-type]
        try:
            message.begin()
            message.read()
        except (http.client.HTTPException, ValueError):
            return answers, octets[start:]
        answers.append(Answer(octets[start : stream.tell()], method))
    raise AssertionError


def answers_of(octets: bytes, methods: Iterable[str] = ()) -> list[Answer]:
    """As split_answers, where nothing may follow."""
    answers, rest = split_answers(octets, methods)
    assert not rest, rest
    return answers
