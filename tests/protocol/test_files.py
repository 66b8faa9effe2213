"""Answers with files, on a wire of memory: how they leave, what they hold, and how they end."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from highperf import App, HTTPError, Request, Response, mounts
from highperf.files.root import FileRoot
from tests.protocol.harness import GET, HIGH_WATER, Client, Stepped, Wire

KIB = 1024
SMALL = b"a small file\n"
MIDDLE = bytes(range(256)) * 200  # more than is kept in memory, less than a slice
LARGE = os.urandom(700 * KIB)
HTTP10 = b"GET /files/%b HTTP/1.0\r\n\r\n"
FIELD = b"GET /files/%b HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "small.txt").write_bytes(SMALL)
    (root / "middle.bin").write_bytes(MIDDLE)
    (root / "large.bin").write_bytes(LARGE)
    (root / "empty.txt").write_bytes(b"")
    (root / "index.html").write_bytes(b"<p>index")
    return root


@pytest.fixture(autouse=True)
def no_thread(wire: Wire) -> None:
    """What a thread would do, which is to look for siblings of a new file, is done at once."""
    wire.loop.set_default_executor(Stepped(at_once=True))


@pytest.fixture
def files(wire: Wire, root: Path) -> Wire:
    wire.app.files("/files/*path", root)
    return wire


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def taken_slowly(client: Client, step: int = 50 * KIB) -> bytes:
    """All that comes while the peer takes so much at a time."""
    octets = client.taken()
    while True:
        client.take(step)
        part = client.taken()
        octets += part
        if not part:
            client.take()
            return octets + client.taken()


# ---- how they leave -------------------------------------------------------------------------------


def test_a_small_file_leaves_with_its_head_in_one_write(files: Wire) -> None:
    client = files.connect()
    [answer] = client.ask(GET % b"/files/small.txt")
    assert (answer.status, answer.content) == (200, SMALL)
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert len(client.writes) == 1


def test_pipelined_small_files_share_one_write(files: Wire) -> None:
    files.connect().ask(GET % b"/files/small.txt" + GET % b"/files/none")
    client = files.connect()
    answers = client.ask((GET % b"/files/small.txt" + GET % b"/now/a" + GET % b"/files/none") * 5)
    assert [answer.status for answer in answers] == [200, 200, 404] * 5
    assert len(client.writes) == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [(b"small.txt", SMALL), (b"middle.bin", MIDDLE), (b"large.bin", LARGE), (b"empty.txt", b""), (b"", b"<p>index")],
)
def test_get_head_and_http10_agree(files: Wire, name: bytes, content: bytes) -> None:
    client = files.connect()
    head = FIELD.replace(b"GET", b"HEAD") % (name, b"X: y")
    get, headed, after = client.ask(GET % (b"/files/" + name) + head + GET % b"/now/after", ["GET", "HEAD"])
    assert (get.status, get.content) == (200, content)
    assert get.headers["Content-Length"] == str(len(content))
    assert headed.lasting == get.lasting
    assert after.text == "after"
    old = files.connect()
    [answer] = old.ask(HTTP10 % name)
    assert (answer.content, answer.closes, old.gone) == (content, True, True)


def test_requests_behind_a_large_file_wait_for_its_last_octet(files: Wire) -> None:
    client = files.connect()
    client.take(0)
    client.send(GET % b"/files/large.bin" + GET % b"/wait/a" + GET % b"/files/middle.bin" + GET % b"/now/b")
    assert files.began == []
    octets = taken_slowly(client)
    assert files.began == ["a"]
    files.open("a")
    client.sent = bytearray(octets + client.taken())
    assert [answer.content for answer in client.answers()] == [LARGE, b"a", MIDDLE, b"b"]


def test_no_more_is_read_than_the_peer_takes(files: Wire) -> None:
    client = files.connect()
    client.take(0)
    client.send(GET % b"/files/large.bin")
    assert client.get_write_buffer_size() < HIGH_WATER + 65 * KIB
    assert files.worker.in_flight == 1
    [line] = files.worker.describe_requests()
    assert line == "/files/large.bin [sending a file]"
    assert LARGE in taken_slowly(client)
    assert files.worker.in_flight == 0


def test_parts_of_a_large_file_come_between_their_delimiters(files: Wire) -> None:
    client = files.connect()
    client.take(0)
    client.send(FIELD % (b"large.bin", b"Range: bytes=0-299999,500000-699999") + GET % b"/now/b")
    client.sent = bytearray(taken_slowly(client))
    parts, after = client.answers()
    boundary = parts.headers["Content-Type"].partition("boundary=")[2].encode()
    [before, first, second, end] = parts.content.split(b"--" + boundary)
    assert before == b""
    assert first.endswith(b"\r\n\r\n" + LARGE[:300_000] + b"\r\n")
    assert second.endswith(b"\r\n\r\n" + LARGE[500_000:700_000] + b"\r\n")
    assert end == b"--\r\n"
    assert after.text == "b"


def test_not_modified_and_failed_conditions_have_no_content_of_the_file(files: Wire) -> None:
    client = files.connect()
    [answer] = client.ask(GET % b"/files/small.txt")
    tag = answer.headers["ETag"].encode()
    same, other, behind = client.ask(
        FIELD % (b"small.txt", b"If-None-Match: " + tag)
        + FIELD % (b"small.txt", b'If-Match: "x"')
        + FIELD % (b"small.txt", b"Range: bytes=100-")
    )
    assert (same.status, same.headers["ETag"]) == (304, answer.headers["ETag"])
    assert (other.status, other.json()["instance"]) == (412, "/files/small.txt")
    assert (behind.status, behind.json()["title"]) == (416, "Range Not Satisfiable")
    assert behind.headers["Content-Range"] == f"bytes */{len(SMALL)}"


def test_a_directory_without_slash_is_redirected(files: Wire, root: Path) -> None:
    (root / "sub" / "index.html").write_bytes(b"")
    [answer] = files.connect().ask(GET % b"/files/sub?a=b")
    assert (answer.status, answer.headers["Location"], answer.content) == (301, "./sub/?a=b", b"")


def test_other_methods_are_refused(files: Wire) -> None:
    client = files.connect()
    post, options = client.ask(
        b"POST /files/small.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"
        b"OPTIONS /files/small.txt HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    assert (post.status, options.status) == (405, 204)
    assert post.headers["Allow"] == options.headers["Allow"] == "GET, HEAD, OPTIONS"


def test_content_of_a_request_for_a_file_is_discarded(files: Wire) -> None:
    ask = b"GET /files/%b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
    answers = files.connect().ask(ask % b"small.txt" + ask % b"large.bin" + GET % b"/now/b")
    assert [answer.content for answer in answers] == [SMALL, LARGE, b"b"]


# ---- what is not served ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [b"sub", b"sub/", b"../root/small.txt", b"%2e%2e/root/small.txt", b".hidden", b"sub%2f..%2fsmall.txt", b"link"],
)
def test_what_is_not_served_is_one_and_the_same_404(files: Wire, root: Path, path: bytes) -> None:
    (root / ".hidden").write_bytes(b"secret")
    (root / "link").symlink_to("/etc/passwd")
    missing, other = files.connect().ask(GET % b"/files/none" + GET % (b"/files/" + path))
    assert other.status == 404
    same = missing.problem() | {"instance": f"/files/{path.decode()}"}
    assert other.problem() == same
    assert other.headers.keys() == missing.headers.keys()


def test_why_a_file_is_not_served_stands_in_the_log(files: Wire, root: Path, caplog: pytest.LogCaptureFixture) -> None:
    os.mkfifo(root / "fifo")
    (root / "link").symlink_to("/etc/passwd")
    answers = files.connect().ask(GET % b"/files/fifo" + GET % b"/files/link" + GET % b"/files/none")
    assert [answer.status for answer in answers] == [404] * 3
    assert caplog.messages == [
        "403 for /files/fifo, told as 404: neither a file nor a directory",
        "403 for /files/link, told as 404: a symbolic link leads out of the root",
    ]


# ---- the end of a file, and of patience -----------------------------------------------------------


@pytest.mark.parametrize("part", [0, 1, 300 * KIB])
def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(files: Wire, part: int) -> None:
    files.connect().ask(GET % b"/files/large.bin")
    before = descriptors()
    for _ in range(5):
        client = files.connect()
        client.take(part)
        client.send(GET % b"/files/large.bin" + GET % b"/now/b")
        assert files.worker.shedder.running == 1
        client.leave()
        assert files.worker.shedder.running == 0
    assert files.worker.in_flight == 0
    assert descriptors() <= before


def test_a_client_that_takes_nothing_is_given_up_after_the_write_timeout(
    files: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    client = files.connect()
    client.take(0)
    client.send(GET % b"/files/large.bin")
    files.advance(1.9)
    assert not client.gone
    files.advance(0.2)
    assert client.gone
    assert files.worker.shedder.running == 0
    assert "took nothing of its answer in time" in caplog.text


def test_a_client_that_takes_a_little_is_given_its_time(files: Wire) -> None:
    client = files.connect()
    client.take(0)
    client.send(GET % b"/files/large.bin")
    for _ in range(10):
        files.advance(1.5)
        client.take(KIB)
    assert not client.gone
    client.take(0)
    files.advance(2.1)
    files.advance(2.1)
    assert client.gone


def test_a_download_outlives_the_begin_of_a_drain(files: Wire) -> None:
    client = files.connect()
    client.take(0)
    client.send(GET % b"/files/large.bin")
    files.worker.begin_drain()
    files.settle()
    assert not client.gone
    assert LARGE in taken_slowly(client)
    files.advance(0.3)
    client.finish_sending()
    assert client.gone
    assert files.worker.dropped == 0


def test_a_download_is_dropped_at_the_end_of_a_drain(files: Wire) -> None:
    client = files.connect()
    client.take(0)
    client.send(GET % b"/files/large.bin")
    files.worker.begin_drain()
    files.worker.cancel_requests("the server is shutting down")
    files.settle()
    assert not client.gone
    files.worker.abort()
    files.settle()
    assert client.gone
    assert files.worker.dropped == 1


def test_a_half_closed_peer_gets_its_file(files: Wire) -> None:
    client = files.connect()
    client.take(0)
    client.send(GET % b"/files/large.bin")
    client.finish_sending()
    files.advance(1.1)
    assert LARGE in taken_slowly(client)
    assert client.gone


def truncate(path: Path) -> None:
    os.truncate(path, len(LARGE) // 2)


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(len(LARGE) - 10)
        file.write(b"x" * 10)


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x")


@pytest.mark.parametrize("change", [truncate, overwrite, append])
def test_a_file_that_changes_meanwhile_ends_the_connection(
    files: Wire, root: Path, caplog: pytest.LogCaptureFixture, change: Callable[[Path], None]
) -> None:
    client = files.connect()
    client.take(0)
    client.send(GET % b"/files/large.bin" + GET % b"/now/b")
    change(root / "large.bin")
    octets = taken_slowly(client)
    assert client.gone
    assert len(octets) < len(LARGE)
    assert b"HTTP/1.1" not in octets[1:]
    assert "the file changed or could not be read while it was sent: /files/large.bin" in caplog.text


def test_a_file_that_is_written_to_all_the_time_is_sent_as_it_is_at_the_beginning(files: Wire, root: Path) -> None:
    log = root / "log.txt"
    log.write_bytes(MIDDLE)
    client = files.connect()
    tags = set()
    for count in range(5):
        [answer] = client.ask(GET % b"/files/log.txt")
        assert answer.content == MIDDLE + b"line\n" * count
        tags.add(answer.headers["ETag"])
        with log.open("ab") as file:
            file.write(b"line\n")
    assert len(tags) == 5
    log.unlink()
    files.advance(1.1)
    [answer] = client.ask(GET % b"/files/log.txt")
    assert answer.status == 404


def replace(path: Path) -> None:
    path.with_suffix(".new").write_bytes(b"new" * 100_000)
    path.with_suffix(".new").replace(path)


@pytest.mark.parametrize("change", [replace, Path.unlink])
def test_a_file_that_is_replaced_or_deleted_is_sent_as_it_was(
    files: Wire, root: Path, change: Callable[[Path], None]
) -> None:
    client = files.connect()
    client.take(0)
    client.send(GET % b"/files/large.bin")
    change(root / "large.bin")
    octets = taken_slowly(client)
    assert octets.endswith(LARGE)
    files.advance(1.1)
    [answer] = client.ask(GET % b"/files/large.bin")
    assert answer.status == (404 if change is Path.unlink else 200)
    assert answer.headers.get("ETag", "none").encode() not in octets


# ---- guards ---------------------------------------------------------------------------------------


def test_a_download_keeps_its_permit_until_the_last_octet(wire: Wire, root: Path) -> None:
    wire.app.files("/files/*path", root, limit_concurrency=1)
    first, second = wire.connect(), wire.connect()
    first.take(0)
    first.send(GET % b"/files/large.bin")
    [refused] = second.ask(GET % b"/files/small.txt")
    assert refused.status == 503
    first.leave()
    [served] = second.ask(GET % b"/files/small.txt")
    assert served.status == 200


def test_files_are_held_to_rate_limits(wire: Wire, root: Path) -> None:
    wire.app.files("/files/*path", root, rate_limit="1/h")
    answers = wire.connect().ask(GET % b"/files/small.txt" * 3)
    assert [answer.status for answer in answers] == [200, 429, 429]


def test_a_rate_limit_may_have_keys_of_the_application(wire: Wire, root: Path) -> None:
    from highperf import RateLimit

    def key(request: Request) -> str | None:
        if request.params["path"] == "empty.txt":
            raise LookupError
        return None

    wire.app.files("/files/*path", root, rate_limit=RateLimit("1/h", by=key))
    answers = wire.connect().ask(GET % b"/files/small.txt" * 2 + GET % b"/files/empty.txt" + GET % b"/files/large.bin")
    assert [answer.status for answer in answers] == [200, 200, 500, 200]


# ---- looking in a thread --------------------------------------------------------------------------


@pytest.fixture
def threads(wire: Wire, root: Path, monkeypatch: pytest.MonkeyPatch) -> Stepped:
    """/files/ on a kernel that never knows whether a look would wait."""
    monkeypatch.setattr(mounts, "FileRoot", lambda path, **options: FileRoot(path, openat2=False, **options))
    wire.app.files("/files/*path", root, deadline="100ms", listing=True)
    threads = Stepped()
    wire.loop.set_default_executor(threads)
    return threads


def test_what_may_wait_for_the_disk_is_looked_for_in_a_thread(wire: Wire, threads: Stepped) -> None:
    client, other = wire.connect(), wire.connect()
    assert client.send(GET % b"/files/small.txt" + GET % b"/now/b") == b""
    assert wire.worker.describe_requests() == ["/files/small.txt [looking for the file]"]
    [answer] = other.ask(GET % b"/now/a")
    assert answer.text == "a"
    threads.run()
    wire.settle()
    assert [answer.content for answer in client.answers()] == [SMALL, b"b"]
    [answer] = client.ask(GET % b"/files/small.txt")  # known by now
    assert answer.content == SMALL


@pytest.mark.parametrize("path", [b"none", b"large.bin", b"sub/"])
def test_a_client_that_leaves_while_a_thread_looks_is_released_when_that_ends(
    wire: Wire, threads: Stepped, path: bytes
) -> None:
    client = wire.connect()
    client.send(GET % (b"/files/" + path))
    client.leave()
    assert wire.worker.shedder.running == 1
    threads.run()
    wire.settle()
    assert wire.worker.shedder.running == 0
    assert wire.worker.in_flight == 0


def test_a_look_that_takes_too_long_is_told_so_at_the_deadline(wire: Wire, threads: Stepped) -> None:
    client = wire.connect()
    client.send(GET % b"/files/small.txt" + GET % b"/now/b")
    wire.advance(0.09)
    assert client.taken() == b""
    wire.advance(0.02)
    late, after = client.answers()
    assert (late.status, after.text) == (504, "b")
    assert wire.worker.shedder.running == 1
    assert wire.worker.refused["deadline_missed"] == 1
    threads.run()
    wire.settle()
    assert wire.worker.shedder.running == 0
    assert client.taken() == b""


def test_a_look_that_fails_costs_its_request_alone(wire: Wire, threads: Stepped) -> None:
    client = wire.connect()
    client.send(GET % b"/files/small.txt")
    [(future, _)] = threads.calls
    threads.calls.clear()
    future.set_exception(MemoryError())
    wire.settle()
    [answer] = client.answers()
    assert answer.status in (200, 404)  # what could not be warmed is looked for all the same


def test_a_reading_thread_that_fails_ends_the_connection(
    wire: Wire, threads: Stepped, caplog: pytest.LogCaptureFixture
) -> None:
    client = wire.connect()
    client.take(0)
    client.send(GET % b"/files/large.bin")
    threads.run()
    wire.settle()
    for future, _ in threads.calls:  # of those that read in, if the system has not the file in memory
        future.set_exception(OSError(5, "Input/output error"))
    client.take()
    assert client.gone == bool(threads.calls)
    threads.calls.clear()


# ---- listings -------------------------------------------------------------------------------------


def test_listings_are_made_in_a_thread(wire: Wire, threads: Stepped, root: Path) -> None:
    (root / "sub" / "a&b.txt").write_bytes(b"x")
    client = wire.connect()
    for accept, kind in ((b"", "text/html; charset=utf-8"), (b"\r\nAccept: application/json", "application/json")):
        client.send(FIELD % (b"sub/", b"X: y" + accept))
        threads.run()
        wire.settle()
        threads.run()
        wire.settle()
        [answer] = client.answers()
        assert (answer.status, answer.headers["Content-Type"], answer.headers["Vary"]) == (200, kind, "Accept")
        assert ("a&amp;b.txt" if accept == b"" else '"a&b.txt"') in answer.text


def test_a_directory_that_is_gone_when_it_is_listed_is_missing(wire: Wire, threads: Stepped, root: Path) -> None:
    client = wire.connect()
    client.send(GET % b"/files/sub/")
    threads.run()
    wire.settle()
    (root / "sub").rmdir()
    threads.run()
    wire.settle()
    [answer] = client.answers()
    assert answer.status == 404


# ---- middleware -----------------------------------------------------------------------------------


@pytest.fixture
def wrapped(wire: Wire, root: Path) -> Wire:
    seen = wire.seen = []  # type: ignore[attr-defined]

    @wire.app.middleware
    async def guard(request: Request, call_next: Any) -> Response:
        if "x-no" in request.headers:
            raise HTTPError(403, "not for you")
        response: Response = await call_next(request)
        seen.append(response.status)
        response.headers["X-Seen"] = "yes"
        return response

    wire.app.files("/files/*path", root)
    return wire


def test_files_pass_through_middleware(wrapped: Wire) -> None:
    client = wrapped.connect()
    answers = client.ask(
        GET % b"/files/small.txt"
        + GET % b"/files/large.bin"
        + FIELD % (b"small.txt", b"Range: bytes=0-1")
        + FIELD % (b"small.txt", b"X-No: 1")
        + GET % b"/files/%2e%2e/x"
        + GET % b"/files/none"
    )
    assert [answer.status for answer in answers] == [200, 200, 206, 403, 404, 404]
    assert [answer.content for answer in answers[:3]] == [SMALL, LARGE, SMALL[:2]]
    assert [answer.headers.get("X-Seen") for answer in answers] == ["yes", "yes", "yes", None, "yes", "yes"]
    assert wrapped.seen == [200, 200, 200, 404, 404]  # type: ignore[attr-defined]


# ---- Response.file --------------------------------------------------------------------------------


@pytest.fixture
def handing(wire: Wire, root: Path) -> Wire:
    @wire.app.get("/hand/:name")
    def hand(request: Request) -> Response:
        return Response.file(root / request.params["name"], download=True, cache_control="no-cache")

    @wire.app.get("/late/:name")
    async def late(request: Request) -> Response:
        await wire.gate("late")
        return Response.file(root / request.params["name"], content_type="x/y", headers={"X-A": "b", "ETag": '"own"'})

    @wire.app.get("/below/*path")
    def below(request: Request) -> Response:
        return Response.file(request.params["path"], root=root)

    @wire.app.get("/nowhere")
    def nowhere(request: Request) -> Response:
        return Response.file("x", root=root / "none")

    return wire


def test_a_handler_answers_with_a_file(handing: Wire) -> None:
    client = handing.connect()
    small, large, part, none = client.ask(
        GET % b"/hand/small.txt"
        + GET % b"/hand/large.bin"
        + b"GET /hand/large.bin HTTP/1.1\r\nHost: a\r\nRange: bytes=-9\r\n\r\n"
        + GET % b"/hand/none"
    )
    assert (small.content, large.content, part.content, none.status) == (SMALL, LARGE, LARGE[-9:], 404)
    assert small.headers["Content-Disposition"] == 'attachment; filename="small.txt"'
    assert small.headers["Cache-Control"] == part.headers["Cache-Control"] == "no-cache"
    assert none.json()["instance"] == "/hand/none"


def test_a_handler_that_waited_answers_with_a_file(handing: Wire) -> None:
    client = handing.connect()
    for name, content in ((b"small.txt", SMALL), (b"large.bin", LARGE)):
        client.take(0)
        client.send(GET % (b"/late/" + name) + GET % b"/now/b")
        handing.open("late")
        client.sent = bytearray(taken_slowly(client))
        answer, after = client.answers()
        assert (answer.content, after.text) == (content, "b")
        assert answer.headers["Content-Type"] == "x/y"
        assert answer.headers.get_all("ETag") == ['"own"']
        assert answer.headers["X-A"] == "b"


def test_a_root_confines_what_a_handler_answers_with(handing: Wire, root: Path) -> None:
    (root.parent / "secret").write_bytes(b"secret")
    client = handing.connect()
    paths = [b"small.txt", b"%2e%2e/secret", b"/etc/passwd", b"..%2fsecret", b"sub/../small.txt"]
    answers = client.ask(b"".join(GET % (b"/below/" + path) for path in paths))
    assert [answer.status for answer in answers] == [200, 404, 404, 404, 404]


def test_a_root_that_is_none_fails_as_a_handler_does(handing: Wire, caplog: pytest.LogCaptureFixture) -> None:
    client = handing.connect()
    failed, after = client.ask(GET % b"/nowhere" + GET % b"/now/b")
    assert (failed.status, after.text) == (500, "b")
    assert "FileNotFoundError" in caplog.text


def test_a_client_that_leaves_a_handlers_file_leaves_nothing_behind(handing: Wire) -> None:
    client = handing.connect()
    client.take(0)
    client.send(GET % b"/hand/large.bin")
    assert handing.worker.shedder.running == 1
    assert handing.worker.in_flight == 1
    client.leave()
    assert handing.worker.shedder.running == 0
    assert handing.worker.in_flight == 0


def test_a_client_that_left_before_the_handler_ended_gets_no_file(handing: Wire) -> None:
    client = handing.connect()
    client.send(GET % b"/late/large.bin")
    client.leave()
    assert handing.worker.cancelled == 1


# ---- declarations ---------------------------------------------------------------------------------


def test_the_same_file_in_two_mounts_and_from_a_handler(handing: Wire, root: Path) -> None:
    handing.app.files("/one/*path", root, cache_control="max-age=1")
    handing.app.files("/two/{path:path}", root, index=None)
    one, two, index, none = handing.connect().ask(
        GET % b"/one/small.txt" + GET % b"/two/small.txt" + GET % b"/one/" + GET % b"/two/"
    )
    assert one.headers["Cache-Control"] == "max-age=1"
    assert "Cache-Control" not in two.headers
    assert (index.content, none.status) == (b"<p>index", 404)


def test_a_page_stands_in_for_what_is_missing(wire: Wire, root: Path) -> None:
    wire.app.files("/*path", root, fallback="index.html")
    page, own, hidden = wire.connect().ask(GET % b"/some/view" + GET % b"/now/a" + GET % b"/.git/config")
    assert (page.status, page.content) == (200, b"<p>index")
    assert own.text == "a"
    assert hidden.status == 404


def test_app_is_not_needed_for_a_mount_at_the_root(root: Path) -> None:
    app = App(health=False)
    app.files("/*path", root)
    with app.test_client() as client:
        assert client.get("/large.bin").content == LARGE
        assert client.head("/large.bin").headers["Content-Length"] == str(len(LARGE))
