"""Whatever clients send: a line is one line, its values stay between their quotes, and can be read back."""

import json
import os
import re
from collections.abc import Iterator
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from highperf.log_format import parse_format
from highperf.observe.access_log import AccessLog
from highperf.observe.line_sink import LineSink
from tests import compiled
from tests.memory.guarded import Fenced
from tests.reference.log_twin import PLAIN, escaped, unescaped

LINE_MOST = 4096
LINE = re.compile(r'([^" ]+) - "([^"]*)" (\d{3}) "([^"]*)" "([^"]*)"\n')
TEXT = '%(client)s - "%(r)s" %(s)s "%(a)s" "%(id)s"'

TARGET = bytes(range(0x21, 0x7F)).replace(b"#", b"").replace(b"%", b"")
VALUE = b"\t" + bytes(range(0x20, 0x7F)) + bytes(range(0x80, 0x100))


def octets_of(alphabet: bytes, most: int) -> st.SearchStrategy[bytes]:
    few = st.lists(st.sampled_from(alphabet), max_size=40).map(bytes)
    many = st.builds(lambda part, times: (part * times)[:most], few, st.integers(1, 400))
    return few | many


@pytest.fixture(scope="module")
def probe(pytestconfig: pytest.Config) -> ModuleType:
    return compiled.load(pytestconfig, "tests/unit/access_log_probe.pyx")


@pytest.fixture(scope="module")
def sink() -> Iterator[LineSink]:
    sink = LineSink(os.open(os.devnull, os.O_WRONLY), "file", lambda reason, lost: None)
    yield sink
    sink.close()


def head(path: bytes, agent: bytes) -> bytes:
    return b"GET /" + path + b" HTTP/1.1\r\nHost: a\r\nUser-Agent: " + agent + b"\r\n\r\n"


def is_beginning(shown: bytes, whole: bytes) -> bool:
    return shown == whole or (shown.endswith(b"...") and whole.startswith(shown[:-3]))


@given(path=octets_of(TARGET, 8000), agent=octets_of(VALUE, 16_000), request_id=octets_of(bytes(range(256)), 128))
def test_a_line_of_text_can_be_read_back(
    probe: ModuleType, sink: LineSink, path: bytes, agent: bytes, request_id: bytes
) -> None:
    log = AccessLog(sink, parse_format(TEXT))
    line = probe.line(log, head(path, agent), client=b"::1", port=80, id=request_id)
    assert len(line) <= LINE_MOST
    assert all(octet in PLAIN or octet in b'"\\' for octet in line[:-1])
    found = LINE.fullmatch(line.decode())
    assert found is not None
    assert is_beginning(unescaped(found[2].removesuffix(" HTTP/1.1")), b"GET /" + path)
    assert is_beginning(unescaped(found[4]), agent.strip(b" \t") or b"-")
    assert is_beginning(unescaped(found[5]), request_id or b"-")


@given(path=octets_of(TARGET, 8000), agent=octets_of(VALUE, 16_000), request_id=octets_of(bytes(range(256)), 128))
def test_a_line_of_json_can_be_read_back(
    probe: ModuleType, sink: LineSink, path: bytes, agent: bytes, request_id: bytes
) -> None:
    log = AccessLog(sink, parse_format("json"))
    line = probe.line(log, head(path, agent), id=request_id)
    assert len(line) <= LINE_MOST
    assert line.index(b"\n") == len(line) - 1
    told = {name: value.encode("latin-1") for name, value in json.loads(line).items() if isinstance(value, str)}
    bare, _, query = (b"/" + path).partition(b"?")
    assert is_beginning(told["url.path"], bare)
    assert is_beginning(told.get("url.query", b""), query)
    assert is_beginning(told.get("user_agent.original", b""), agent.strip(b" \t"))
    assert is_beginning(told.get("request_id", b""), request_id)


@given(text=octets_of(bytes(range(256)), 600), room=st.integers(0, 700), json=st.booleans())
def test_escaping_is_what_the_twin_does_and_keeps_to_its_room(
    probe: ModuleType, text: bytes, room: int, json: bool
) -> None:
    source, target = Fenced(), Fenced()
    size = probe.escape_at(target.end - room, room, source.put_last(text), len(text), json)
    assert size <= room
    assert target.read(target.end - room, size) == escaped(text, room, json=json)
