"""nginx, started by the test, answers the same requests for the same files with the same status, fields and octets.

Where the two differ on purpose stands in DIFFERENCES; nothing else may.
"""

import contextlib
import http.client
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import pytest

from tests import servers
from tests.e2e.test_files_table import APP, Fields, parts_of
from tests.filetree import MODIFIED_S, STORED, Stored, plant
from tests.reference.files_twin import imf_fixdate

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
pytestmark = pytest.mark.skipif(NGINX is None, reason="needs nginx")

CONFIG = """
daemon off;
{user}
worker_processes 1;
pid {work}/pid;
error_log {work}/error.log;
events {{ }}
http {{
    access_log off;
    sendfile on;
    gzip_static {gzip};
    gzip_vary on;
    if_modified_since before;
    absolute_redirect off;
    default_type application/octet-stream;
    types {{ text/html html; text/plain txt; text/css css; }}
    charset utf-8;
    charset_types text/plain text/css;
    client_body_temp_path {work}/body;
    proxy_temp_path {work}/proxy;
    fastcgi_temp_path {work}/fastcgi;
    uwsgi_temp_path {work}/uwsgi;
    scgi_temp_path {work}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location /files/ {{ alias {root}/; }}
    }}
}}
"""
COMPARED = (
    "ETag",
    "Last-Modified",
    "Content-Length",
    "Content-Range",
    "Content-Type",
    "Content-Encoding",
    "Accept-Ranges",
    "Vary",
    "Cache-Control",
)
DIFFERENCES = """
- nginx takes Range of a HEAD request for meant; RFC 9110 section 14.2 says GET alone.
- nginx answers 416 to a range whose end lies before its beginning, which makes the field malformed (section
  14.1.1) and so to be ignored, and to most ranges of an empty file, of which any answer is the whole.
- nginx sends parts that overlap or touch as they were asked for; here they become one (section 14.2).
- nginx has no ranges of precompressed files, and leaves Accept-Ranges out of a 206.
- nginx closes the connection after a 412 without a word.
- A redirect leads to the same place by another spelling, and error pages are pages there, problems here.
"""


@dataclass
class Answered:
    """What a server said."""

    status: int
    fields: dict[str, str | None]
    parts: list[tuple[str, bytes]]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = plant(tmp_path_factory.mktemp("nginx") / "root")
    (root / "sub").mkdir()
    (root / "sub" / "index.html").write_bytes(b"<p>index")
    os.utime(root / "sub" / "index.html", (MODIFIED_S, MODIFIED_S))
    return root


@pytest.fixture(scope="module")
def nginx(root: Path) -> Iterator[int]:
    assert NGINX is not None
    work = root.parent
    built = subprocess.run([NGINX, "-V"], capture_output=True, text=True, check=True).stderr
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    user = "user root;" if os.geteuid() == 0 else ""
    gzip = "on" if "http_gzip_static_module" in built else "off"
    (work / "nginx.conf").write_text(CONFIG.format(work=work, root=root, port=port, user=user, gzip=gzip))
    process = subprocess.Popen([NGINX, "-p", str(work), "-c", str(work / "nginx.conf")], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + servers.PATIENCE_S
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
        yield port
    finally:
        process.terminate()
        process.wait(servers.PATIENCE_S)


@pytest.fixture(scope="module")
def highperf(root: Path) -> Iterator[int]:
    with servers.running("main:app", files={"main.py": APP}, env={"ROOT": str(root)}) as server:
        yield server.port


def connected(port: int) -> contextlib.closing[http.client.HTTPConnection]:
    return contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20))


def ask(client: http.client.HTTPConnection, method: str, path: str, fields: Fields) -> Answered:
    client.putrequest(method, path, skip_accept_encoding=True)
    for name, value in fields.items():
        client.putheader(name, value)
    client.endheaders()
    answer = client.getresponse()
    content = answer.read()
    if answer.status == 412:
        client.close()  # nginx has closed it without a word
    named = {name: answer.headers[name] for name in COMPARED}
    parts = [("", content)]
    if answer.status == 206 or answer.headers["Content-Encoding"]:
        del named["Accept-Ranges"]
    if answer.status == 206:
        parts = parts_of(answer, content)
        if len(parts) > 1:
            named |= {"Content-Type": "multipart", "Content-Length": None}
    if answer.status in (304, 404, 405, 412, 416):
        named = {name: named[name] for name in ("ETag", "Content-Range") if answer.status in (304, 416)}
        parts = [("", b"")]
    if answer.status == 301:
        named = {"Location": urljoin(path, answer.headers["Location"])}
        parts = [("", b"")]
    return Answered(answer.status, named, parts)


def requests(stored: Stored) -> Iterator[tuple[str, Fields]]:
    tag = stored.tag("identity").decode()
    when, before, after = (imf_fixdate(stored.modified_s + shift) for shift in (0, -1, 1))
    conditions: list[Fields] = [{}]
    conditions += [
        {name: value} for name in ("If-Match", "If-None-Match") for value in (tag, '"x"', f'"x", {tag}', "*")
    ]
    conditions += [
        {name: value} for name in ("If-Modified-Since", "If-Unmodified-Since") for value in (when, before, after)
    ]
    conditions += [{"If-Range": value} for value in (tag, '"x"', when, before)]
    conditions += [{"If-None-Match": f"W/{tag}"}, {"If-Modified-Since": "yesterday"}]
    ranges = ("0-0", "1-", "-1", "0-99999999", "0-0,3-4,-1", "5-2", "99999999-")
    for coding in (None, "gzip", "gzip;q=0", "identity"):
        accepted = {} if coding is None else {"Accept-Encoding": coding}
        for fields in conditions:
            yield "HEAD", accepted | fields
            yield "GET", accepted | fields
            for wanted in ranges:
                yield "GET", accepted | fields | {"Range": f"bytes={wanted}"}


def differs_on_purpose(stored: Stored, fields: Fields) -> bool:
    """See DIFFERENCES."""
    if "Range" not in fields:
        return False
    overlapping = "," in fields["Range"] and len(stored.content) < 10
    coded = "gzip" in stored.siblings and fields.get("Accept-Encoding") == "gzip"
    return fields["Range"] == "bytes=5-2" or overlapping or coded or not stored.content


@pytest.mark.parametrize("stored", STORED, ids=[stored.name for stored in STORED])
def test_nginx_answers_the_same(nginx: int, highperf: int, stored: Stored) -> None:
    with connected(highperf) as ours, connected(nginx) as theirs:
        compare(ours, theirs, stored)


def compare(ours: http.client.HTTPConnection, theirs: http.client.HTTPConnection, stored: Stored) -> None:
    different = []
    count = 0
    for method, fields in requests(stored):
        if differs_on_purpose(stored, fields):
            continue
        count += 1
        mine = ask(ours, method, f"/files/{stored.name}", fields)
        other = ask(theirs, method, f"/files/{stored.name}", fields)
        if mine != other:
            shown = (mine.status, mine.fields), (other.status, other.fields)
            different.append(f"{method} {fields}:\n    {shown[0]}\n    {shown[1]}")
    assert count >= 150
    assert not different, f"{len(different)} of {count}:\n" + "\n".join(different[:10])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/files/sub/"),
        ("GET", "/files/sub"),
        ("GET", "/files/sub?a=b&c=%2F"),
        ("GET", "/files/none"),
        ("GET", "/files/one.txt/"),
        ("GET", "/files/one.txt/more"),
        ("POST", "/files/one.txt"),
        ("DELETE", "/files/one.txt"),
        ("GET", "/files/%6fne.txt"),
        ("HEAD", "/files/sub/"),
    ],
)
def test_nginx_answers_the_same_for_paths(nginx: int, highperf: int, method: str, path: str) -> None:
    answers = []
    for port in (highperf, nginx):
        with connected(port) as client:
            answers.append(ask(client, method, path, {}))
    assert answers[0] == answers[1]
