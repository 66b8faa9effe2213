"""Every combination of file, method, coding, range and condition, from a server in a process of its own.

What is expected comes from tests/reference/files_twin.py and from the files themselves.
"""

import email
import email.policy
import http.client
import time
from collections.abc import Iterator

import pytest

from tests import servers
from tests.filetree import MODIFIED_S, STORED, Stored, plant
from tests.reference import files_twin

APP = """
import os
from highperf import App
app = App()
app.files("/files/*path", os.environ["ROOT"])
"""
METHODS = ("GET", "HEAD")
CODINGS = (None, "gzip", "br;q=0.5, gzip", "zstd, br;q=0", "identity, *;q=0", "*", "gzip;q=0", "GZIP;Q=0.1,br;q=0.05")
RANGES = (
    None,
    "bytes=0-0",
    "bytes=1-",
    "bytes=-1",
    "bytes=0-99999999",
    "bytes=0-0,2-3,-1",
    "bytes=500-600,3-10,4-20",
    "bytes=5-2",
    "bytes=99999999-",
    "bytes=99999999-,0-0",
    "lines=0-1",
    "bytes=" + ",".join(f"{at}-{at}" for at in range(0, 22, 2)),
)

Fields = dict[str, str]


def conditions(stored: Stored) -> Iterator[Fields]:
    tag = stored.tag("identity").decode()
    coded = stored.tag("gzip").decode()
    when, before, after = (files_twin.imf_fixdate(stored.modified_s + shift) for shift in (0, -1, 1))
    yield {}
    for name in ("If-Match", "If-None-Match"):
        for value in (tag, coded, f'"x", {tag}', f"W/{tag}", '"x"', "*", "broken"):
            yield {name: value}
    for name in ("If-Modified-Since", "If-Unmodified-Since"):
        for value in (when, before, after, files_twin.rfc850_date(stored.modified_s), "yesterday"):
            yield {name: value}
    yield {"If-None-Match": '"x"', "If-Modified-Since": after}
    yield {"If-None-Match": tag, "If-Modified-Since": before}
    yield {"If-Match": tag, "If-Unmodified-Since": before}
    yield {"If-Match": tag, "If-None-Match": tag}
    for value in (tag, coded, f"W/{tag}", '"x"', when, before, after):
        yield {"If-Range": value}


def requests(stored: Stored) -> Iterator[tuple[str, Fields]]:
    for method in METHODS:
        for coding in CODINGS if stored.siblings else CODINGS[:2]:
            for wanted in RANGES:
                for fields in conditions(stored):
                    named = {"Accept-Encoding": coding, "Range": wanted} | fields
                    yield method, {name: value for name, value in named.items() if value is not None}


def octets_of(fields: Fields, name: str) -> bytes | None:
    return fields[name].encode() if name in fields else None


def still_holds(value: str, tag: bytes, modified_s: int) -> bool:
    """If-Range, section 13.1.5: one strong tag, or exactly our date (which is old enough to be strong)."""
    if value.endswith("GMT"):
        return files_twin.date(value.encode(), int(time.time())) == modified_s
    return value.encode() == tag


class Expected:
    """What a request must be answered with."""

    def __init__(self, stored: Stored, method: str, fields: Fields) -> None:
        accepted = [fields["Accept-Encoding"]] if "Accept-Encoding" in fields else []
        self.coding = files_twin.coding(accepted, set(stored.siblings))
        self.whole = stored.variant(self.coding)
        self.tag = stored.tag(self.coding)
        self.parts = [(0, len(self.whole))]
        self.status = self._status(stored, method, fields)

    def _status(self, stored: Stored, method: str, fields: Fields) -> int:
        names = ("If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since")
        values = [octets_of(fields, name) for name in names]
        verdict = files_twin.judge(
            *values, tag=self.tag, modified_s=stored.modified_s, now_s=int(time.time()), reads=True
        )
        if verdict != "proceed":
            return 412 if verdict == "failed" else 304
        if method != "GET" or "Range" not in fields:
            return 200
        if "If-Range" in fields and not still_holds(fields["If-Range"], self.tag, stored.modified_s):
            return 200
        found = files_twin.ranges(fields["Range"].encode(), len(self.whole))
        if isinstance(found, str):
            return 200 if found == "whole" else 416
        self.parts = found
        return 206


def parts_of(answer: http.client.HTTPResponse, content: bytes) -> list[tuple[str, bytes]]:
    """(Content-Range, content) of each part."""
    if not answer.headers["Content-Type"].startswith("multipart/"):
        return [(answer.headers["Content-Range"], content)]
    head = f"Content-Type: {answer.headers['Content-Type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + content, policy=email.policy.HTTP)
    parts = []
    boundary = b"--" + message.get_boundary().encode()  # type: ignore[union-attr]
    for text in content.split(boundary)[1:-1]:
        fields, _, octets = text.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        named = dict(line.split(": ", 1) for line in fields.decode().split("\r\n"))
        parts.append((named["Content-Range"], octets.removesuffix(b"\r\n")))
    assert content.endswith(boundary + b"--\r\n")
    return parts


def fault(stored: Stored, method: str, fields: Fields, answer: http.client.HTTPResponse, content: bytes) -> str:
    """What is wrong with an answer, or nothing."""
    expected = Expected(stored, method, fields)
    headers = answer.headers
    if answer.status != expected.status:
        return f"status {answer.status}, not {expected.status}"
    if answer.status in (412, 416):
        if answer.status == 416 and headers["Content-Range"] != f"bytes */{len(expected.whole)}":
            return f"Content-Range {headers['Content-Range']}"
        return "" if method == "HEAD" or b'"status":%d' % answer.status in content else "no problem"
    if headers["ETag"] != expected.tag.decode() or (headers["Vary"] is not None) != bool(stored.siblings):
        return f"ETag {headers['ETag']}, Vary {headers['Vary']}"
    if files_twin.date(headers["Last-Modified"].encode(), 0) != stored.modified_s:
        return f"Last-Modified {headers['Last-Modified']}"
    if answer.status == 304:
        return "content" if content else ""
    if headers["Content-Encoding"] != (None if expected.coding == "identity" else expected.coding):
        return f"Content-Encoding {headers['Content-Encoding']}"
    if answer.status == 200:
        if headers["Content-Length"] != str(len(expected.whole)) or headers["Accept-Ranges"] != "bytes":
            return f"Content-Length {headers['Content-Length']}"
        return "" if content == (b"" if method == "HEAD" else expected.whole) else "other content"
    size = len(expected.whole)
    wanted = [(f"bytes {at}-{at + count - 1}/{size}", expected.whole[at : at + count]) for at, count in expected.parts]
    return "" if parts_of(answer, content) == wanted else "other parts"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    root = plant(tmp_path_factory.mktemp("files") / "root")
    with servers.running("main:app", files={"main.py": APP}, env={"ROOT": str(root)}) as server:
        yield server


@pytest.mark.parametrize("stored", STORED, ids=[stored.name for stored in STORED])
def test_every_combination_is_answered_to_the_octet(server: servers.Server, stored: Stored) -> None:
    client = http.client.HTTPConnection(server.host, server.port, timeout=20)
    faults = []
    count = 0
    for method, fields in requests(stored):
        client.putrequest(method, f"/files/{stored.name}", skip_accept_encoding=True)
        for name, value in fields.items():
            client.putheader(name, value)
        client.endheaders()
        answer = client.getresponse()
        content = answer.read()
        count += 1
        if wrong := fault(stored, method, fields, answer, content):
            faults.append(f"{method} {fields}: {wrong}")
    client.close()
    assert count >= 1000
    assert not faults, f"{len(faults)} of {count}:\n" + "\n".join(faults[:20])


def test_the_files_are_as_old_as_the_table_takes_them_for() -> None:
    assert all(abs(stored.modified_s - MODIFIED_S) <= 1 for stored in STORED)
