"""One line: what each atom tells, what is escaped, and which requests get one."""

import json
import os
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from highperf.log_format import ATOMS_MOST, LITERALS_MOST, TERMINAL, parse_format
from highperf.observe.access_log import AccessLog
from highperf.observe.line_sink import LineSink
from highperf.wire.response import ResponseHeaders
from tests import compiled

LINE_MOST = 4096
NOW_S = 1795453887  # 2026-11-23T17:11:27Z
HEAD = (
    b"GET /users/1?full=1 HTTP/1.1\r\nHost: a\r\nUser-Agent: curl/8\r\nReferer: http://b/\r\n"
    b"X-Kind: one\r\nX-Kind: two\r\n\r\n"
)
TOLD: dict[str, Any] = {
    "client": b"192.0.2.7",
    "port": 51234,
    "id": b"0a1b2c3d-17",
    "route": b"/users/:id",
    "took_ns": 1_234_567_890,
    "sent": 52,
    "received": 7,
}
Log = Callable[..., AccessLog]
SENT, CUT, LEFT = range(3)


@pytest.fixture(scope="module")
def probe(pytestconfig: pytest.Config) -> ModuleType:
    return compiled.load(pytestconfig, "tests/unit/access_log_probe.pyx")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    sinks = []

    def make(text: str, **options: Any) -> AccessLog:
        fd = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        sinks.append(LineSink(fd, "file", lambda reason, lost: None))
        made = AccessLog(sinks[-1], parse_format(text), **options)
        made.refresh(NOW_S)
        return made

    yield make
    for sink in sinks:
        sink.close()


def head(target: str = "/", **fields: bytes) -> bytes:
    lines = b"".join(name.replace("_", "-").encode() + b": " + value + b"\r\n" for name, value in fields.items())
    return b"GET " + target.encode() + b" HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n"


@pytest.mark.parametrize(
    ("atom", "shown"),
    [
        ("h", "192.0.2.7"),
        ("l", "-"),
        ("u", "-"),
        ("t", "[23/Nov/2026:17:11:27 +0000]"),
        ("time", "2026-11-23T17:11:27Z"),
        ("r", "GET /users/1?full=1 HTTP/1.1"),
        ("m", "GET"),
        ("U", "/users/1"),
        ("q", "full=1"),
        ("H", "HTTP/1.1"),
        ("s", "200"),
        ("reason", "OK"),
        ("B", "52"),
        ("b", "52"),
        ("received", "7"),
        ("f", "http://b/"),
        ("a", "curl/8"),
        ("{x-kind}i", "one"),
        ("{x-none}i", "-"),
        ("T", "1"),
        ("M", "1234"),
        ("D", "1234567"),
        ("L", "1.234567"),
        ("ms", "1234.56"),
        ("p", f"<{os.getpid()}>"),
        ("port", "51234"),
        ("client", "192.0.2.7:51234"),
        ("route", "/users/:id"),
        ("id", "0a1b2c3d-17"),
        ("trace", "-"),
        ("span", "-"),
        ("ending", "sent"),
    ],
)
def test_an_atom_tells(probe: ModuleType, log: Log, atom: str, shown: str) -> None:
    assert probe.line(log(f"<%({atom})s>"), HEAD, **TOLD).decode() == f"<{shown}>\n"


def test_the_default_line_has_duration_size_and_request_id(probe: ModuleType, log: Log) -> None:
    assert probe.line(log("default"), HEAD, **TOLD).decode() == (
        '2026-11-23T17:11:27Z INFO 192.0.2.7:51234 - "GET /users/1?full=1 HTTP/1.1" 200 OK 1234.56ms 52B 0a1b2c3d-17\n'
    )


def test_a_terminal_is_shown_the_level_instead_of_the_time(probe: ModuleType, log: Log) -> None:
    line = probe.line(log(TERMINAL), HEAD, **TOLD)
    assert line.startswith(b'INFO:     192.0.2.7:51234 - "GET /users/1?full=1 HTTP/1.1" 200 OK ')


def test_combined_is_what_tools_for_apaches_logs_read(probe: ModuleType, log: Log) -> None:
    assert probe.line(log("combined"), HEAD, **TOLD).decode() == (
        '192.0.2.7 - - [23/Nov/2026:17:11:27 +0000] "GET /users/1?full=1 HTTP/1.1" 200 52 "http://b/" "curl/8"\n'
    )


def test_json_has_the_names_of_opentelemetry(probe: ModuleType, log: Log) -> None:
    told = {**TOLD, "trace": (0x0001020304050607, 0x08090A0B0C0D0E0F), "span": 0x0001020304050607}
    assert json.loads(probe.line(log("json"), HEAD, **told)) == {
        "time": "2026-11-23T17:11:27Z",
        "level": "INFO",
        "client.address": "192.0.2.7",
        "http.request.method": "GET",
        "url.path": "/users/1",
        "url.query": "full=1",
        "http.route": "/users/:id",
        "http.response.status_code": 200,
        "http.response.body.size": 52,
        "duration_ms": 1234.56,
        "user_agent.original": "curl/8",
        "trace_id": "000102030405060708090a0b0c0d0e0f",
        "span_id": "0001020304050607",
        "request_id": "0a1b2c3d-17",
        "worker": os.getpid(),
    }


def test_json_leaves_out_what_nobody_told(probe: ModuleType, log: Log) -> None:
    assert json.loads(probe.line(log("json"), None, status=400, id=b"7")) == {
        "time": "2026-11-23T17:11:27Z",
        "level": "INFO",
        "http.response.status_code": 400,
        "http.response.body.size": 0,
        "duration_ms": 0.0,
        "request_id": "7",
        "worker": os.getpid(),
    }


def test_text_shows_a_dash_for_what_nobody_told(probe: ModuleType, log: Log) -> None:
    line = probe.line(log('%(client)s %(h)s %(port)s "%(r)s" %(a)s %(route)s %(b)s %(s)s'), None, status=0)
    assert line == b'- - - "-" - - - -\n'


@pytest.mark.parametrize(("ending", "words", "key"), [(CUT, "cut", "cut"), (LEFT, "client left", "left")])
def test_an_answer_that_did_not_end_well_is_told(
    probe: ModuleType, log: Log, ending: int, words: str, key: str
) -> None:
    assert probe.line(log("%(s)s %(reason)s|%(ending)s"), HEAD, ending=ending).decode() == f"200 {words}|{key}\n"
    assert json.loads(probe.line(log("json"), HEAD, ending=ending))["ending"] == key


def test_an_ipv6_address_stands_in_brackets_before_a_port(probe: ModuleType, log: Log) -> None:
    line = probe.line(log("%(client)s %(h)s"), HEAD, client=b"2001:db8::7", port=80)
    assert line == b"[2001:db8::7]:80 2001:db8::7\n"
    assert probe.line(log("%(client)s"), HEAD, client=b"2001:db8::7") == b"2001:db8::7\n"


def test_the_path_of_no_path_is_a_slash_and_that_of_the_server_an_asterisk(probe: ModuleType, log: Log) -> None:
    assert probe.line(log("%(U)s"), b"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n") == b"/\n"
    assert probe.line(log("%(U)s"), b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n") == b"*\n"
    assert probe.line(log("%(U)s"), b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n") == b"a:1\n"


def test_fields_of_the_answer(probe: ModuleType, log: Log) -> None:
    made = log("%({content-type}o)s %({location}o)s %({x-none}o)s")
    assert made.wants_fields
    fields = ResponseHeaders({"LOCATION": "/users/9"})
    assert probe.line(made, HEAD, b"text/plain", fields) == b"text/plain /users/9 -\n"
    assert not log("combined").wants_fields


@pytest.mark.parametrize(
    "address",
    [
        "192.0.2.7",
        "0.0.0.0",
        "255.255.255.255",
        "10.100.9.1",
        "::",
        "::1",
        "2001:db8::7",
        "1:0:2:0:0:3:0:4",
        "fe80::",
        "1:0:0:2:0:0:0:3",
        "1:0:0:2:3:0:0:4",
        "1:2:3:4:5:6:7:8",
        "0:1:2:3:4:5:6:7",
        "ffff:ffff::",
        "1:2:3:4:5:6:7:0",
    ],
)
def test_addresses_are_written_as_everyone_does(probe: ModuleType, address: str) -> None:
    number = int(ip_address(address)) | (0xFFFF << 32 if "." in address else 0)
    assert probe.address_text(number >> 64, number & 2**64 - 1).decode() == str(ip_address(address))


# ---- what a client may choose -----------------------------------------------------------------


def test_quotes_backslashes_tabs_and_octets_above_ascii_are_escaped(probe: ModuleType, log: Log) -> None:
    octets = head('/"\\', User_Agent=b'a"\\\t\x80\xffz')
    assert probe.line(log('"%(r)s" "%(a)s"'), octets) == (b'"GET /\\x22\\x5c HTTP/1.1" "a\\x22\\x5c\\x09\\x80\\xffz"\n')
    parsed = json.loads(probe.line(log("json"), octets))
    assert (parsed["url.path"], parsed["user_agent.original"]) == ('/"\\', 'a"\\\t\x80\xffz')


def test_an_encoded_line_break_stays_encoded(probe: ModuleType, log: Log) -> None:
    assert probe.line(log("%(U)s"), head("/a%0aFAKE%1b[31m")) == b"/a%0aFAKE%1b[31m\n"


def test_a_request_id_is_escaped_too(probe: ModuleType, log: Log) -> None:
    assert probe.line(log('"%(id)s"'), HEAD, id=b'x"y\\') == b'"x\\x22y\\x5c"\n'


def test_what_is_too_long_is_cut_and_the_line_is_whole(probe: ModuleType, log: Log) -> None:
    octets = head("/" + "a" * 8000, User_Agent=b"\x80" * 8000, Referer=b"b" * 8000)
    line = probe.line(log("combined"), octets, **TOLD)
    assert len(line) <= LINE_MOST
    assert line.count(b'..."') == 2
    assert line.endswith(b'"\n')
    assert b'... HTTP/1.1" 200 52 "' in line
    parsed = json.loads(probe.line(log("json"), octets, **TOLD))
    assert parsed["url.path"].endswith("a...")
    assert parsed["user_agent.original"].endswith("\x80...")
    assert parsed["request_id"] == "0a1b2c3d-17"


def test_the_longest_format_leaves_a_line_whole(probe: ModuleType, log: Log) -> None:
    octets = head("/" + "a" * 9000, X=b"\x80" * 8000)
    text = "x" * (LITERALS_MOST - ATOMS_MOST) + "|%(r)s" + "|%({x}i)s" * 30 + "|%(L)s" * (ATOMS_MOST - 31)
    line = probe.line(log(text), octets, **{**TOLD, "took_ns": 2**62})
    assert len(line) <= LINE_MOST
    assert line.count(b"|") == ATOMS_MOST
    assert line.endswith(b"|4611686018.427387\n")


# ---- which requests get a line ----------------------------------------------------------------


def test_paths_are_left_out(probe: ModuleType, log: Log) -> None:
    made = log("%(U)s", excluded=("/healthz", "/readyz"))
    assert probe.line(made, head("/healthz?x")) is None
    assert probe.line(made, head("/readyz"), status=503) is None
    assert probe.line(made, head("/healthz/")) == b"/healthz/\n"
    assert probe.line(made, None, status=400) == b"-\n"


def test_slow_alone_are_told_and_failures(probe: ModuleType, log: Log) -> None:
    made = log("%(s)s", slow_ns=500)
    assert probe.line(made, HEAD, took_ns=500) is None
    assert probe.line(made, HEAD, took_ns=501) == b"200\n"
    assert probe.line(made, HEAD, took_ns=1, status=404) is None
    assert probe.line(made, HEAD, took_ns=1, status=503) == b"503\n"


def test_a_share_is_told_and_all_failures(probe: ModuleType, log: Log) -> None:
    made = log("%(s)s", sample=0.25)
    told = sum(probe.line(made, HEAD) is not None for _ in range(10_000))
    assert 2_200 < told < 2_800
    assert all(probe.line(made, HEAD, status=500) for _ in range(100))


def test_a_share_of_the_fast_is_told_beside_the_slow(probe: ModuleType, log: Log) -> None:
    made = log("%(s)s", slow_ns=500, sample=0.5)
    assert all(probe.line(made, HEAD, took_ns=501) for _ in range(100))
    assert 400 < sum(probe.line(made, HEAD) is not None for _ in range(1000)) < 600


def test_a_share_of_nothing_tells_failures_alone(probe: ModuleType, log: Log) -> None:
    made = log("%(s)s", sample=0)
    assert probe.line(made, HEAD) is None
    assert probe.line(made, HEAD, status=500) == b"500\n"
