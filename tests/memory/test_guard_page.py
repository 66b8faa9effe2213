"""No octet beside the input is read: it is put right before (and behind) memory that must not be touched."""

import base64
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import compiled
from tests.streams import BROWSER, get, with_field

HERE = Path(__file__).parent
CASES = HERE.parent / "data" / "http1"
LONGEST = 400

STREAMS = [
    BROWSER,
    get(b"/" + b"%41" * 40 + b"?" + b"q" * 40),
    get(b"http://[2001:db8::ff00:42:8329]:8080/p?q", b"Host: [::ffff:192.0.2.1]:1"),
    with_field(b"Transfer-Encoding: \t chunked \t"),
    with_field(b"Connection: a, close ,, keep-alive,upgrade"),
    b'5;a="b\\"c" ; d = e\r\nhello\r\n0\r\nVary: *\r\nX-Very-Long-Trailer-Name: x\r\n\r\n',
    b"/%41%2f%e2%82%ac/%zz/%",
]

# Of Forwarded, X-Forwarded-For and X-Forwarded-Proto.
VALUES = [
    b'for="[2001:db8::17]:4711";proto=https;by=_proxy, for=192.0.2.1:80 ; host="a\\"b, c"',
    b'for="\\\\\\"", for="[::ffff:192.0.2.1]:_x",,for=',
    b'"[2001:db8::17]:65535", 192.0.2.1:1, ::, 1:2:3:4:5:6:192.0.2.1, 1::2',
    b" https , wss,\thttp",
    b'"' * 3 + b"\\" * 3,
]
# Of paths below a root, Range, dates, lists of entity-tags and Accept-Encoding.
OF_FILES = [
    b".well-known/a/\xf0\x9f\x98\x80\xe2\x82\xac\xc3\xbc/../x",
    b"bytes=000-12345678901234567890 , -5,,7-,",
    b"Sun, 06 Nov 1994 08:49:37 GMT",
    b"Wednesday, 06-Nov-94 08:49:37 GMT",
    b"Sun Nov  6 08:49:37 1994",
    b'W/"abc\xff" , "bc",,W/"',
    b"br;q=0.123 ,\tgzip ; Q=1.000,*;q=0",
]
# Of traceparent and tracestate.
OF_TRACES = [
    b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    b"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what",
    b" a=1 ,\ttenant@system=x y,, b=~ ,",
]
FIELD_SIZE = 64 * 1024
# For log lines.
TEXTS = [
    b"plain text of more than a few words",
    b"\x00\x1f\x7f\x80\xff" * 9,
    b'seven""' * 5,
    b"eight\\\\\\\\\\\\" * 5,
    b"12345678" * 4,
]
LONG_VALUES = [
    (part * FIELD_SIZE)[-FIELD_SIZE:]
    for part in (
        b"10.0.0.1,",
        b"for=10.0.0.1,",
        b"for=10.0.0.1;",
        b"https,",
        b",",
        b" ",
        b"a",
        b'"',
        b"\\",
        b'\\"',
        b'",',
        b'for=10.0.0.1;x="' + b'\\"' * 240 + b'",',
        b'for=10.0.0.1;x="' + b"," * 480 + b'",',
    )
]


def streams() -> list[bytes]:
    lines = [line for name in ("gunicorn", "llhttp") for line in (CASES / f"{name}.jsonl").read_text().splitlines()]
    vectors = {base64.b64decode(json.loads(line)[key]) for line in lines for key in ("raw", "raw_host")}
    return STREAMS + sorted(vector for vector in vectors if len(vector) <= LONGEST)


def run_guarded(
    config: pytest.Config,
    folder: Path,
    octets: list[bytes],
    *flags: str,
    script: str = "guarded",
    probe: str = "parser",
) -> subprocess.CompletedProcess:
    module = compiled.load(config, f"tests/unit/{probe}_probe.pyx")
    listing = folder / "streams"
    listing.write_text("\n".join(base64.b64encode(stream).decode() for stream in octets))
    command = [sys.executable, str(HERE / f"{script}.py"), module.__file__, str(listing), *flags]
    env = os.environ | {
        "PYTHONPATH": str(compiled.ROOT),
        # The signal itself is what is looked for, not a sanitizer's account of it.
        "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":handle_segv=0:handle_sigbus=0",
    }
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_nothing_beside_the_input_is_touched(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    child = run_guarded(pytestconfig, tmp_path, streams())
    assert (child.returncode, child.stdout) == (0, "untouched\n"), child.stderr[-2000:]


def test_nothing_beside_what_proxies_wrote_is_touched(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    child = run_guarded(pytestconfig, tmp_path, VALUES, script="guarded_fields", probe="forwarded")
    assert (child.returncode, child.stdout) == (0, "untouched\n"), child.stderr[-2000:]


def test_nothing_beside_what_is_asked_of_files_is_touched(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    child = run_guarded(pytestconfig, tmp_path, OF_FILES, script="guarded_files", probe="files")
    assert (child.returncode, child.stdout) == (0, "untouched\n"), child.stderr[-2000:]


def test_nothing_beside_what_is_said_of_traces_is_touched(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    child = run_guarded(pytestconfig, tmp_path, OF_TRACES, script="guarded_traces", probe="traces")
    assert (child.returncode, child.stdout) == (0, "untouched\n"), child.stderr[-2000:]


def test_nothing_beside_what_is_logged_and_its_line_is_touched(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    child = run_guarded(pytestconfig, tmp_path, TEXTS, script="guarded_lines", probe="access_log")
    assert (child.returncode, child.stdout) == (0, "untouched\n"), child.stderr[-2000:]


def test_of_what_proxies_wrote_only_the_end_is_read(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    child = run_guarded(pytestconfig, tmp_path, LONG_VALUES, "--end", script="guarded_fields", probe="forwarded")
    assert (child.returncode, child.stdout) == (0, "untouched\n"), child.stderr[-2000:]


def test_the_guard_bites(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    child = run_guarded(pytestconfig, tmp_path, [b""], "--overrun")
    assert child.returncode in (-signal.SIGSEGV, -signal.SIGBUS)
    assert child.stdout == ""
