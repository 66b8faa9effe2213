"""FilePlan: status, fields and octets of every kind of request for a file."""

import os
import re
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from highperf.files.cache import FileCache
from highperf.files.entry import FileEntry
from highperf.files.plan import FilePlan
from highperf.files.root import FileRoot
from highperf.wire.response import ResponseHeaders
from tests import compiled
from tests.reference import files_twin

OLD_S = 1_000_000_000
NOW_S = 1_795_500_000
SMALL = bytes(range(256)) * 4
LARGE = os.urandom(200_000)
SIZES = {"small.txt": SMALL, "large.bin": LARGE, "empty.txt": b""}


@pytest.fixture(scope="module")
def probe(pytestconfig: pytest.Config) -> Any:
    return compiled.load(pytestconfig, "tests/unit/files_probe.pyx")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    files = SIZES | {"coded.js": SMALL, "coded.js.br": b"brotli", "coded.js.gz": LARGE, "dir/index.html": b"page"}
    (folder / "dir").mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
        os.utime(folder / name, (OLD_S, OLD_S))
    return folder


@pytest.fixture(scope="module")
def cache(folder: Path) -> FileCache:
    return FileCache(FileRoot(folder), cache_control="max-age=9")


def request(*fields: str, method: str = "GET", target: str = "/files/x") -> bytes:
    return "".join(f"{line}\r\n" for line in (f"{method} {target} HTTP/1.1", "Host: x", *fields, "")).encode("latin-1")


def ask(probe: Any, entry: FileEntry, *fields: str, **options: Any) -> Any:
    """The plan for a request; what was to be sent is checked against the length that was told."""
    wanted = {name: options.pop(name) for name in ("method", "target") if name in options}
    answer = probe.plan(entry, request(*fields, **wanted), now_s=NOW_S, **options)
    if answer.parts:
        assert len(answer.body) == answer.length
    return answer


@pytest.mark.parametrize("name", SIZES)
def test_whole_file(probe: Any, cache: FileCache, name: str) -> None:
    entry = cache.find(name.encode(), 0)
    answer = ask(probe, entry)
    assert (answer.status, answer.body, answer.length) == (200, SIZES[name], len(SIZES[name]))
    assert answer.headers == entry.headers.items()
    assert dict(answer.headers)["accept-ranges"] == "bytes"


@pytest.mark.parametrize("name", SIZES)
def test_head_tells_what_get_would_send_and_knows_no_ranges(probe: Any, cache: FileCache, name: str) -> None:
    entry = cache.find(name.encode(), 0)
    for fields in ((), ("Range: bytes=0-0",), ("Range: bytes=0-0", f"If-Range: {entry.tag.decode()}")):
        answer = ask(probe, entry, *fields, method="HEAD")
        assert (answer.status, answer.parts, answer.length) == (200, [], len(SIZES[name]))
        assert answer.headers == entry.headers.items()


def test_frequent_answers_are_made_of_what_is_ready(probe: Any, cache: FileCache) -> None:
    entry, plan = cache.find(b"small.txt", 0), FilePlan()
    head = request()
    probe.plan(entry, head, plan=plan)
    assert plan.headers is None
    assert plan.entry is None


# ---- conditions -------------------------------------------------------------------------------------


def test_not_modified_tells_validators_and_nothing_of_the_content(probe: Any, cache: FileCache) -> None:
    entry = cache.find(b"small.txt", 0)
    for method in ("GET", "HEAD"):
        answer = ask(probe, entry, f"If-None-Match: {entry.tag.decode()}", method=method)
        assert (answer.status, answer.parts, answer.length) == (304, [], -1)
        assert answer.headers == entry.not_modified.items()
        assert [name for name, _ in answer.headers] == ["last-modified", "etag", "cache-control"]


def test_failed_condition_sends_nothing(probe: Any, cache: FileCache) -> None:
    entry = cache.find(b"small.txt", 0)
    answer = ask(probe, entry, 'If-Match: "other"', "Range: bytes=0-0")
    assert (answer.status, answer.headers, answer.parts, answer.length, answer.entry) == (412, None, [], -1, None)


def test_conditions_come_before_ranges(probe: Any, cache: FileCache) -> None:
    entry = cache.find(b"small.txt", 0)
    tag = entry.tag.decode()
    assert ask(probe, entry, f"If-None-Match: {tag}", "Range: bytes=0-0").status == 304
    assert ask(probe, entry, f"If-None-Match: {tag}", "Range: bytes=9999-").status == 304
    assert ask(probe, entry, 'If-None-Match: "other"', "Range: bytes=0-0").status == 206


BEFORE, SAME, AFTER = (files_twin.imf_fixdate(OLD_S + step) for step in (-1, 0, 1))
CONDITIONS = {
    "If-Match": ["TAG", '"other"', "*", "W/TAG", '"other", TAG'],
    "If-None-Match": ["TAG", '"other"', "*", "W/TAG", '"other", W/TAG'],
    "If-Modified-Since": [BEFORE, SAME, AFTER, "rubbish"],
    "If-Unmodified-Since": [BEFORE, SAME, AFTER, "rubbish"],
    "If-Range": ["TAG", "W/TAG", '"other"', SAME, BEFORE, AFTER, "rubbish"],
    "Range": ["bytes=0-9", "bytes=0-0,-1", "bytes=9999-", "rubbish"],
}


def expected(entry: FileEntry, fields: dict[str, str], method: str) -> int:
    """The status by RFC 9110, from the twins."""
    octets = {name: value.encode() for name, value in fields.items()}
    names = ("If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since")
    verdict = files_twin.judge(
        *(octets.get(name) for name in names), tag=entry.tag, modified_s=OLD_S, now_s=NOW_S, reads=True
    )
    if verdict != "proceed":
        return {"failed": 412, "not modified": 304}[verdict]
    if method != "GET" or "Range" not in fields or fields.get("If-Range", SAME) not in (SAME, entry.tag.decode()):
        return 200
    ranges = files_twin.ranges(octets["Range"], entry.size)
    return {"whole": 200, "unsatisfiable": 416}.get(ranges if isinstance(ranges, str) else "", 206)


def test_every_combination_of_conditions_and_ranges(probe: Any, cache: FileCache) -> None:
    entry = cache.find(b"small.txt", 0)
    choices = [[None, *values] for values in CONDITIONS.values()]
    seen = set()
    for values in product(*choices):
        fields = {
            name: value.replace("TAG", entry.tag.decode())
            for name, value in zip(CONDITIONS, values, strict=True)
            if value is not None
        }
        for method in ("GET", "HEAD"):
            answer = probe.plan(
                entry, request(*(f"{name}: {value}" for name, value in fields.items()), method=method), now_s=NOW_S
            )
            assert answer.status == expected(entry, fields, method), (method, fields)
            seen.add(answer.status)
    assert seen == {200, 206, 304, 412, 416}


def test_lists_of_tags_may_stand_in_several_fields(probe: Any, cache: FileCache) -> None:
    entry = cache.find(b"small.txt", 0)
    tag = entry.tag.decode()
    assert ask(probe, entry, 'If-None-Match: "other"', f"if-none-match: {tag}").status == 304
    assert ask(probe, entry, 'If-Match: "other"', f"IF-MATCH: {tag}").status == 200
    assert ask(probe, entry, 'If-Match: "other"', 'If-Match: "another"').status == 412


def test_field_that_may_stand_once_and_stands_twice_is_ignored(probe: Any, cache: FileCache) -> None:
    entry = cache.find(b"small.txt", 0)
    tag = entry.tag.decode()
    assert ask(probe, entry, f"If-Modified-Since: {SAME}", f"If-Modified-Since: {SAME}").status == 200
    assert ask(probe, entry, f"If-Unmodified-Since: {BEFORE}", f"If-Unmodified-Since: {BEFORE}").status == 200
    assert ask(probe, entry, "Range: bytes=0-0", "Range: bytes=0-0").status == 200
    assert ask(probe, entry, "Range: bytes=0-0", f"If-Range: {tag}", f"If-Range: {tag}").status == 200


def test_fields_with_names_like_those_that_count_mean_nothing(probe: Any, cache: FileCache) -> None:
    names = [
        "Rangf",
        "If-Matce",
        "If-Rangg",
        "If-None-Matci",
        "Accept-Encodinh",
        "If-Modified-Sincf",
        "X" * 19,
        "X" * 64,
    ]
    answer = ask(probe, cache.find(b"coded.js", 0), *(f"{name}: *" for name in names))
    assert (answer.status, answer.body) == (200, SMALL)


# ---- ranges -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["small.txt", "large.bin"])
@pytest.mark.parametrize("value", ["0-0", "0-", "-1", "5-9", "100-199", "-5000000", "900-5000000"])
def test_one_range(probe: Any, cache: FileCache, name: str, value: str) -> None:
    entry, content = cache.find(name.encode(), 0), SIZES[name]
    answer = ask(probe, entry, f"Range: bytes={value}")
    [(offset, size)] = files_twin.ranges(f"bytes={value}".encode(), len(content))
    assert (answer.status, answer.body) == (206, content[offset : offset + size])
    told = dict(answer.headers)
    assert told.pop("content-range") == f"bytes {offset}-{offset + size - 1}/{len(content)}"
    assert told == dict(entry.headers.items())


@pytest.mark.parametrize("name", ["small.txt", "large.bin"])
@pytest.mark.parametrize("value", ["0-0,-1", "-1,0-0", "0-9,20-29,40-49", "900-999,0-99", "5-9,9000000-"])
def test_several_ranges(probe: Any, cache: FileCache, name: str, value: str) -> None:
    entry, content = cache.find(name.encode(), 0), SIZES[name]
    answer = ask(probe, entry, f"Range: bytes={value}")
    wanted = files_twin.ranges(f"bytes={value}".encode(), len(content))
    assert answer.status == 206
    told = dict(answer.headers)
    if len(wanted) == 1:
        assert answer.body == content[wanted[0][0] : sum(wanted[0])]
        return
    match = re.fullmatch(r"multipart/byteranges; boundary=([0-9a-f]{24})", told.pop("content-type"))
    assert match is not None
    assert told == {name: value for name, value in entry.headers.items() if name != "content-type"}
    parts = (b"\r\n" + answer.body).split(b"\r\n--" + match[1].encode())
    assert (parts[0], parts[-1], len(parts)) == (b"", b"--\r\n", len(wanted) + 2)
    for part, (offset, size) in zip(parts[1:-1], wanted, strict=True):
        lead, octets = part.split(b"\r\n\r\n", 1)
        content_range = b"bytes %d-%d/%d" % (offset, offset + size - 1, len(content))
        assert lead == b"\r\nContent-Type: " + entry.content_type + b"\r\nContent-Range: " + content_range
        assert octets == content[offset : offset + size]


def test_boundary_is_another_each_time(probe: Any, cache: FileCache) -> None:
    entry = cache.find(b"small.txt", 0)
    assert len({dict(ask(probe, entry, "Range: bytes=0-0,-1").headers)["content-type"] for _ in range(20)}) == 20


def test_ten_ranges_have_room(probe: Any, cache: FileCache) -> None:
    value = ",".join(f"{at}-{at}" for at in range(0, 40, 4))
    answer = ask(probe, cache.find(b"small.txt", 0), f"Range: bytes={value}")
    assert (answer.status, len(answer.parts)) == (206, 11)
    assert [octets for _, octets in answer.parts] == [SMALL[at : at + 1] for at in range(0, 40, 4)] + [b""]


def test_range_beyond_the_end(probe: Any, cache: FileCache) -> None:
    answer = ask(probe, cache.find(b"small.txt", 0), "Range: bytes=9999-")
    assert (answer.status, answer.headers, answer.parts) == (416, [("content-range", f"bytes */{len(SMALL)}")], [])


def test_range_of_an_empty_file_is_the_whole(probe: Any, cache: FileCache) -> None:
    answer = ask(probe, cache.find(b"empty.txt", 0), "Range: bytes=0-")
    assert (answer.status, answer.length, answer.parts) == (200, 0, [])


# ---- codings ----------------------------------------------------------------------------------------


def test_siblings_are_chosen_by_what_is_accepted(probe: Any, cache: FileCache) -> None:
    entry = cache.find(b"coded.js", 0)
    told = {
        accepted: ask(probe, entry, *([] if accepted is None else [f"Accept-Encoding: {accepted}"]))
        for accepted in (None, "br", "gzip", "gzip, br", "br;q=0.1, gzip", "zstd", "identity", "")
    }
    bodies = {accepted: answer.body for accepted, answer in told.items()}
    assert bodies == {
        None: SMALL,
        "br": b"brotli",
        "gzip": LARGE,
        "gzip, br": b"brotli",
        "br;q=0.1, gzip": LARGE,
        "zstd": SMALL,
        "identity": SMALL,
        "": SMALL,
    }
    codings = {accepted: dict(answer.headers).get("content-encoding") for accepted, answer in told.items()}
    assert codings == {key: {b"brotli": "br", LARGE: "gzip", SMALL: None}[body] for key, body in bodies.items()}
    assert {dict(answer.headers)["vary"] for answer in told.values()} == {"Accept-Encoding"}
    assert {dict(answer.headers)["content-type"] for answer in told.values()} == {"text/javascript; charset=utf-8"}


def test_accept_encoding_may_stand_in_several_fields(probe: Any, cache: FileCache) -> None:
    answer = ask(probe, cache.find(b"coded.js", 0), "Accept-Encoding: gzip", "Accept-Encoding: br;q=0")
    assert answer.body == LARGE


def test_conditions_and_ranges_are_those_of_what_is_chosen(probe: Any, cache: FileCache) -> None:
    entry = cache.find(b"coded.js", 0)
    plain, br = entry.tag.decode(), probe.sibling(entry, probe.BR).tag.decode()
    accepts = "Accept-Encoding: br"
    assert ask(probe, entry, accepts, f"If-None-Match: {plain}").status == 200
    answer = ask(probe, entry, accepts, f"If-None-Match: {br}")
    assert answer.status == 304
    assert dict(answer.headers)["etag"] == br
    assert dict(answer.headers)["vary"] == "Accept-Encoding"
    answer = ask(probe, entry, accepts, "Range: bytes=1-3")
    assert (answer.status, answer.body, dict(answer.headers)["content-range"]) == (206, b"rot", "bytes 1-3/6")
    assert dict(answer.headers)["content-encoding"] == "br"
    answer = ask(probe, entry, accepts, "Range: bytes=1-3", f"If-Range: {plain}")
    assert (answer.status, answer.body) == (200, b"brotli")


# ---- redirects --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/files/dir", "./dir/"),
        ("/files/dir?a=1&b=2", "./dir/?a=1&b=2"),
        ("/files/dir?", "./dir/?"),
        ("/files/dir?x=//evil.example", "./dir/?x=//evil.example"),
        ("//evil.example", "./evil.example/"),
        ("//evil.example/dir", "./dir/"),
        ("/files/d%69r", "./d%69r/"),
        ("/files/a:b", "./a:b/"),
        ("/javascript:alert(1)", "./javascript:alert(1)/"),
        ('/files/"<b>\\^`{|}?"<x>', "./%22%3Cb%3E%5C%5E%60%7B%7C%7D/?%22%3Cx%3E"),
        ("http://x/files/dir", "./dir/"),
    ],
)
def test_redirect_leads_to_the_slash_and_nowhere_else(probe: Any, cache: FileCache, target: str, location: str) -> None:
    for method in ("GET", "HEAD"):
        fields = ("Range: bytes=0-0", "If-None-Match: *")
        answer = ask(probe, cache.find(b"dir", 0), *fields, target=target, method=method)
        assert (answer.status, answer.length, answer.parts) == (301, 0, [])
        assert answer.headers == [("location", location)]


# ---- what a handler adds ----------------------------------------------------------------------------


def test_fields_and_type_of_a_handler(probe: Any, cache: FileCache) -> None:
    entry = cache.find(b"small.txt", 0)
    fields = ResponseHeaders({"Cache-Control": "no-store", "Content-Disposition": "attachment", "X-Own": "1"})
    answer = ask(probe, entry, fields=fields, content_type=b"image/x")
    told = dict(answer.headers)
    assert (answer.status, answer.body) == (200, SMALL)
    assert told == dict(entry.headers.items()) | {
        "content-type": "image/x",
        "cache-control": "no-store",
        "content-disposition": "attachment",
        "x-own": "1",
    }
    assert len(told) == len(answer.headers)
    one = ask(probe, entry, "Range: bytes=0-0", fields=fields, content_type=b"image/x")
    assert dict(one.headers) == told | {"content-range": f"bytes 0-0/{len(SMALL)}"}
    many = ask(probe, entry, "Range: bytes=0-0,-1", fields=fields, content_type=b"image/x")
    assert b"Content-Type: image/x\r\n" in many.body
    assert dict(many.headers)["x-own"] == "1"


def test_type_alone_or_fields_alone(probe: Any, cache: FileCache) -> None:
    entry = cache.find(b"small.txt", 0)
    assert ask(probe, entry, content_type=b"image/x").headers == [
        ("content-type", "image/x"),
        *entry.headers.items()[1:],
    ]
    answer = ask(probe, entry, fields=ResponseHeaders({"X-Own": "1"}))
    assert answer.headers == [*entry.headers.items(), ("x-own", "1")]


def test_not_modified_has_a_handlers_fields_but_those_of_content(probe: Any, cache: FileCache) -> None:
    entry = cache.find(b"small.txt", 0)
    fields = ResponseHeaders({"Cache-Control": "no-cache", "Content-Disposition": "attachment", "Set-Cookie": "a=b"})
    answer = ask(probe, entry, "If-None-Match: *", fields=fields)
    assert answer.headers == [*entry.not_modified.items()[:2], ("cache-control", "no-cache"), ("set-cookie", "a=b")]


def test_plan_is_used_again(probe: Any, cache: FileCache) -> None:
    entry, plan = cache.find(b"small.txt", 0), FilePlan()
    asked = [("Range: bytes=0-0,-1",), ("Range: bytes=0-0",), (), ("If-None-Match: *",), ("Range: bytes=9999-",), ()]
    told = [ask(probe, entry, *fields, plan=plan) for fields in asked]
    assert [answer.status for answer in told] == [206, 206, 200, 304, 416, 200]
    assert told[2].body == told[5].body == SMALL
