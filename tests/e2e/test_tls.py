"""HTTPS by real processes: what openssl is granted and refused, reloads of certificates, wrong files, the end."""

import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.answers import answers_of
from tests.servers import PATIENCE_S, Server, run, running

OPENSSL = pytest.mark.skipif(not shutil.which("openssl"), reason="needs the openssl command")

APP = """
from highperf import App

app = App()
large = bytes(20 * 1024 * 1024)

@app.get("/")
def hello(request):
    who = request.client_certificate
    return f"{request.scheme} {who['subjectAltName'][0][1] if who else 'nobody'}"

@app.get("/large")
def give(request):
    return large

@app.post("/echo")
async def echo(request):
    return await request.body()
"""
TLS = ("--ssl-certfile", "cert.pem", "--ssl-keyfile", "key.pem")
GET = b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

AUTHORITY = trustme.CA()
each_kind = pytest.mark.parametrize("workers", ["1", "2"])


def pems(authority: trustme.CA = AUTHORITY, name: str = "localhost") -> dict[str, str]:
    issued = authority.issue_cert(name, "127.0.0.1")
    chain = "".join(blob.bytes().decode() for blob in issued.cert_chain_pems)
    return {"cert.pem": chain, "key.pem": issued.private_key_pem.bytes().decode()}


@contextmanager
def serving(*arguments: str, **options: Any) -> Iterator[Server]:
    files = {"main.py": APP, "ca.pem": AUTHORITY.cert_pem.bytes().decode(), **pems(), **options.pop("files", {})}
    with running("main:app", *TLS, *arguments, files=files, **options) as server:
        yield server


def trusting(client: str = "", *authorities: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    for authority in (AUTHORITY, *authorities):
        authority.configure_trust(context)
    if client:
        AUTHORITY.issue_cert(client).configure_cert(context)
    return context


def secure(server: Server, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
    return (context or trusting()).wrap_socket(server.connect(), server_hostname="localhost")


def ask(connection: ssl.SSLSocket) -> str:
    """On a connection that stays."""
    connection.sendall(GET % b"/")
    octets = b""
    while b"\r\n\r\n" not in octets or octets.endswith(b"\r\n\r\n"):
        part = connection.recv(65536)
        assert part
        octets += part
    [answer] = answers_of(octets)
    assert answer.status == 200
    return answer.text


def ask_once(server: Server, context: ssl.SSLContext) -> str:
    with secure(server, context) as connection:
        return ask(connection)


def all_of(connection: socket.socket) -> bytes:
    octets = b""
    while part := connection.recv(65536):
        octets += part
    return octets


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


def test_https_is_said_and_served(server: Server) -> None:
    server.wait_for(r"running on https://127\.0\.0\.1:\d+ ")
    connection = HTTPSConnection("localhost", server.port, timeout=PATIENCE_S, context=trusting())
    try:
        for _ in range(3):
            connection.request("GET", "/")
            assert connection.getresponse().read() == b"https nobody"
        body = bytes(range(256)) * 4000
        for content in (body, iter([body[:100_000], body[100_000:]])):
            connection.request("POST", "/echo", content)
            assert connection.getresponse().read() == body
        connection.request("GET", "/large")
        assert len(connection.getresponse().read()) == 20 * 1024 * 1024
    finally:
        connection.close()


def test_plain_http_is_told_so(server: Server) -> None:
    with server.connect() as client:
        client.sendall(LAST)
        [answer] = answers_of(all_of(client))
    assert answer.status == 400
    assert "this port speaks HTTPS" in answer.text


def test_refused_body_gets_its_answer_while_it_still_comes(server: Server) -> None:
    with secure(server) as client:
        client.sendall(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n")
        for _ in range(100):
            client.sendall(bytes(65536))
        [answer] = answers_of(all_of(client))  # up to close_notify
    assert answer.status == 413


# ---- what openssl is granted and refused -----------------------------------------------------------


def s_client(server: Server, *arguments: str, said: bytes = b"") -> str:
    """All that openssl tells of a connection; said: sent when the handshake is done, or nothing but close_notify."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-servername", "localhost", *arguments]
    done = subprocess.run([*command, "-ign_eof"] if said else command, input=said, capture_output=True, timeout=30)
    return (done.stdout + done.stderr).decode("latin-1")


@OPENSSL
@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_old_versions_are_refused(server: Server, version: str) -> None:
    # at security level 0, or else openssl itself would not offer them
    told = s_client(server, version, "-cipher", "ALL@SECLEVEL=0")
    assert "alert protocol version" in told
    assert "Cipher is (NONE)" in told


@OPENSSL
@pytest.mark.parametrize(
    "suite",
    [
        "AES128-SHA",  # no ephemeral key, no authenticated encryption
        "AES128-GCM-SHA256",  # no ephemeral key
        "ECDHE-RSA-AES128-SHA",
        "ECDHE-RSA-AES256-SHA384",
        "DHE-RSA-AES128-GCM-SHA256",
        "AECDH-AES128-SHA",  # nobody proves who he is
        "NULL-SHA256",
    ],
)
def test_weak_suites_are_refused(server: Server, suite: str) -> None:
    told = s_client(server, "-tls1_2", "-cipher", f"{suite}@SECLEVEL=0")
    assert "alert handshake failure" in told
    assert "Cipher is (NONE)" in told


@OPENSSL
@pytest.mark.parametrize(
    ("arguments", "suite"),
    [
        (["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256"], "AES128-GCM-SHA256"),
        (["-tls1_2", "-cipher", "ECDHE-RSA-CHACHA20-POLY1305:ECDHE-ECDSA-CHACHA20-POLY1305"], "CHACHA20-POLY1305"),
        (["-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"], "TLS_AES_128_GCM_SHA256"),
        (["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"], "TLS_CHACHA20_POLY1305_SHA256"),
    ],
)
def test_clients_choose_among_the_strong_suites(server: Server, arguments: list[str], suite: str) -> None:
    told = s_client(server, *arguments, said=LAST)
    assert re.search(rf"Cipher is \S*{suite}", told)
    assert "https nobody" in told
    assert "ompression: NONE" in told


@OPENSSL
def test_http_1_1_is_agreed_upon(server: Server) -> None:
    assert "ALPN protocol: http/1.1" in s_client(server, "-alpn", "h2,http/1.1")
    assert "No ALPN negotiated" in s_client(server, "-alpn", "h2")


@OPENSSL
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_sessions_are_resumed(server: Server, tmp_path: Path, version: str) -> None:
    ticket = str(tmp_path / "session")
    assert "New, TLSv1" in s_client(server, version, "-sess_out", ticket, said=LAST)
    told = s_client(server, version, "-sess_in", ticket, said=LAST)
    assert "Reused, TLSv1" in told
    assert "https nobody" in told


@contextmanager
def dialogue(server: Server, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """openssl, which takes a line of one capital letter for a command."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0
    ) as process:
        guard = threading.Timer(PATIENCE_S, process.kill)
        guard.start()
        try:
            yield process
        finally:
            guard.cancel()
            process.kill()


def read_until(process: "subprocess.Popen[bytes]", word: bytes) -> None:
    assert process.stdout is not None
    octets = b""
    while word not in octets:
        part = process.stdout.read(65536)
        assert part, octets
        octets += part


@OPENSSL
def test_new_keys_are_agreed_upon_when_the_client_wants_them(server: Server) -> None:
    with dialogue(server, "-tls1_3") as process:
        assert process.stdin is not None
        process.stdin.write(b"K\n")
        read_until(process, b"KEYUPDATE")
        process.stdin.write(LAST)
        read_until(process, b"https nobody")


@OPENSSL
def test_no_second_handshake_on_a_connection(server: Server) -> None:
    with dialogue(server, "-tls1_2") as process:
        assert process.stdin is not None
        process.stdin.write(b"R\n")
        read_until(process, b"no renegotiation")


@OPENSSL
def test_newest_version_alone_where_the_setting_says_so() -> None:
    with serving("--ssl-min-version", "1.3") as server:
        assert "alert protocol version" in s_client(server, "-tls1_2")
        assert "https nobody" in s_client(server, "-tls1_3", said=LAST)


# ---- client certificates ---------------------------------------------------------------------------


def test_client_certificates_that_are_required() -> None:
    with serving("--ssl-client-auth", "required", "--ssl-ca-certs", "ca.pem") as server:
        with secure(server, trusting("ada@example.com")) as client:
            assert ask(client) == "https ada@example.com"
        nobody = trusting()
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            nobody.maximum_version = version
            with pytest.raises(ssl.SSLError, match=r"(?i)alert"):
                ask_once(server, nobody)


def test_client_certificates_that_are_optional() -> None:
    with serving("--ssl-client-auth", "optional", "--ssl-ca-certs", "ca.pem") as server:
        for name in ("ada@example.com", ""):
            with secure(server, trusting(name)) as client:
                assert ask(client) == f"https {name or 'nobody'}"


# ---- reload ----------------------------------------------------------------------------------------


class Load:
    """Clients that ask again and again, each time on a new connection."""

    def __init__(self, server: Server, context: ssl.SSLContext) -> None:
        self.server = server
        self.context = context
        self.served = 0
        self.failures: list[str] = []
        self._over = threading.Event()
        self._clients = [threading.Thread(target=self._ask) for _ in range(3)]
        for client in self._clients:
            client.start()

    def stop(self) -> None:
        self._over.set()
        for client in self._clients:
            client.join(PATIENCE_S)
            assert not client.is_alive()

    def _ask(self) -> None:
        while not self._over.is_set():
            try:
                ask_once(self.server, self.context)
                self.served += 1
            except (OSError, AssertionError) as error:
                self.failures.append(repr(error))


def issuer_of(server: Server, context: ssl.SSLContext) -> Any:
    with secure(server, context) as client:
        certificate = client.getpeercert()
        assert certificate is not None
        return certificate["issuer"]


def replace_files(server: Server, files: dict[str, str]) -> None:
    for name, text in files.items():
        (server.directory / name).write_text(text)


@each_kind
def test_reload_takes_the_new_certificate_and_no_request_is_lost(workers: str) -> None:
    other = trustme.CA(organization_name="other")
    context = trusting("", other)
    with serving("--workers", workers) as server, secure(server, context) as kept:
        before = issuer_of(server, context)
        assert ask(kept) == "https nobody"
        load = Load(server, context)
        replace_files(server, pems(other))
        server.signal(signal.SIGHUP)
        server.wait_for(r"Reloaded in .*\n")
        load.stop()
        assert not load.failures
        assert load.served
        after = issuer_of(server, context)
        assert before != after
        assert ("organizationName", "other") in after[0]


@each_kind
def test_reload_with_a_wrong_file_leaves_the_old_certificate_in_use(workers: str) -> None:
    with serving("--workers", workers) as server:
        replace_files(server, {"key.pem": pems()["key.pem"]})
        server.signal(signal.SIGHUP)
        server.wait_for(r'Reload failed.*"key\.pem" holds a key that does not belong to the certificate in "cert\.pem"')
        assert ask_once(server, trusting()) == "https nobody"


# ---- wrong files and settings ----------------------------------------------------------------------


@each_kind
@pytest.mark.parametrize("files", [{"key.pem": "hello"}, {"cert.pem": "hello"}, {"key.pem": pems()["key.pem"]}])
def test_wrong_file_is_one_line_and_exit_3_and_nothing_is_bound(workers: str, files: dict[str, str]) -> None:
    files = {"main.py": APP, **pems(), **files}
    with socket.create_server(("127.0.0.1", 0)) as taken:  # to bind it would be another line
        port = str(taken.getsockname()[1])
        finished = run("main:app", *TLS, "--workers", workers, "--port", port, "--log-level", "error", files=files)
    assert finished.code == 3
    assert re.fullmatch(r'Error: "(key|cert)\.pem" holds [^\n]*\.\n', finished.stderr)


def test_check_config_looks_at_the_files() -> None:
    files = {"main.py": APP, **pems()}
    finished = run("main:app", *TLS, "--check-config", files=files)
    assert (finished.code, finished.stdout) == (0, "OK\n")
    finished = run("main:app", *TLS, "--check-config", files=files | {"key.pem": "hello"})
    assert finished.code == 3
    assert finished.stderr == 'Error: "key.pem" holds no private key in PEM form.\n'


def test_settings_that_do_not_go_together_are_exit_2() -> None:
    finished = run("main:app", "--ssl-keyfile", "key.pem", "--port", "0", files={"main.py": APP, **pems()})
    assert finished.code == 2
    assert finished.stderr == "Error: flag --ssl-keyfile is of no use without a certificate: give ssl_certfile too.\n"


def test_password_is_not_printed() -> None:
    env = {"HIGHPERF_SSL_KEYFILE_PASSWORD": "open sesame"}
    finished = run("main:app", "--print-config", files={"main.py": APP}, env=env)
    assert re.search(
        r"ssl_keyfile_password +\*{6} +environment variable HIGHPERF_SSL_KEYFILE_PASSWORD", finished.stdout
    )
    assert "sesame" not in finished.stdout + finished.stderr


def test_expired_certificate_is_served_with_a_warning() -> None:
    issued = AUTHORITY.issue_cert("localhost", not_after=datetime(2021, 2, 3, 4, 5, 6, tzinfo=UTC))
    chain = issued.cert_chain_pems[0].bytes().decode()
    files = {"cert.pem": chain, "key.pem": issued.private_key_pem.bytes().decode()}
    with serving(files=files) as server:
        server.wait_for(r'WARNING The certificate in "cert\.pem" expired at 2021-02-03 04:05:06 UTC')


# ---- the end ---------------------------------------------------------------------------------------


@each_kind
def test_stop_waits_for_no_silent_client(workers: str) -> None:
    arguments = ("--workers", workers, "--shutdown-timeout", "20s")
    with serving(*arguments) as server, server.connect() as silent, secure(server) as idle:
        assert ask(idle) == "https nobody"
        began_s = time.monotonic()
        server.signal(signal.SIGTERM)
        assert all_of(idle) == b""  # close_notify, for a cut would raise
        assert silent.recv(1) == b""
        idle.close()
        assert server.wait() == 0
        assert time.monotonic() - began_s < 10


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="/proc tells the memory of a process")
def test_clients_that_read_nothing_cost_little_memory() -> None:
    with serving(env={"WRITE_TIMEOUT": "30s"}) as server:
        clients = [secure(server) for _ in range(20)]
        assert ask(clients[0]) == "https nobody"
        before = memory_of(server)
        for client in clients:
            client.sendall(GET % b"/large")
        with secure(server) as other:
            for _ in range(20):
                ask(other)  # the others had their turn
        grown = memory_of(server) - before
        for client in clients:
            client.close()
    assert grown < 20 * 512 * 1024  # of 20 times 20 MiB


def memory_of(server: Server) -> int:
    """Resident memory in octets, beside what files are mapped."""
    found = re.search(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{server.pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024
