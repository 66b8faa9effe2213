"""The TLS context of the settings: what is offered, which files do, and one line about one that does not."""

import logging
import os
import pty
import ssl
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from highperf.config import Layers, Settings, resolve
from highperf.errors import ConfigError, HighperfError, StartupError
from highperf.server.tls import server_context, validity

AUTHORITY = trustme.CA()
RSA = AUTHORITY.issue_cert("localhost", key_type=trustme.KeyType.RSA)
EC = AUTHORITY.issue_cert("localhost", key_type=trustme.KeyType.ECDSA)
PASSWORD = "open sesame"


def chain_of(issued: trustme.LeafCert) -> bytes:
    return b"".join(blob.bytes() for blob in issued.cert_chain_pems)


def key_of(
    issued: trustme.LeafCert,
    form: PrivateFormat = PrivateFormat.PKCS8,
    encryption: KeySerializationEncryption | None = None,
) -> bytes:
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    return key.private_bytes(Encoding.PEM, form, encryption or NoEncryption())


def settings(**given: object) -> Settings:
    return resolve(Layers(flags={name: str(value) for name, value in given.items()}))


def context(**given: object) -> ssl.SSLContext:
    made = server_context(settings(**given))
    assert made is not None
    return made


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory that is the current one, but for a good certificate and its key."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cert.pem").write_bytes(chain_of(RSA))
    (tmp_path / "key.pem").write_bytes(key_of(RSA))
    return tmp_path


def refusal(kind: type[HighperfError] = StartupError, **given: object) -> str:
    with pytest.raises(kind) as caught:
        server_context(settings(**given))
    line = str(caught.value)
    assert "\n" not in line
    return line


# ---- what is offered ------------------------------------------------------------------------------


def test_without_a_certificate_there_is_no_tls() -> None:
    assert server_context(settings()) is None
    assert server_context(settings(ssl_min_version="1.3", ssl_client_auth="none")) is None


@pytest.mark.usefixtures("files")
def test_only_suites_with_ephemeral_keys_and_authenticated_encryption_are_offered() -> None:
    suites = context(ssl_certfile="cert.pem", ssl_keyfile="key.pem").get_ciphers()
    assert {suite["protocol"] for suite in suites} == {"TLSv1.2", "TLSv1.3"}
    for suite in suites:
        assert suite["aead"], suite["name"]
        assert suite["name"].startswith(("TLS_", "ECDHE-")), suite["name"]


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("given", "version"), [({}, ssl.TLSVersion.TLSv1_2), ({"ssl_min_version": "1.3"}, ssl.TLSVersion.TLSv1_3)]
)
def test_oldest_version_is_1_2_or_1_3(given: dict[str, str], version: ssl.TLSVersion) -> None:
    made = context(ssl_certfile="cert.pem", ssl_keyfile="key.pem", **given)
    assert made.minimum_version == version
    assert made.options & ssl.OP_NO_COMPRESSION
    assert made.options & ssl.OP_NO_RENEGOTIATION


def test_other_versions_are_refused_as_settings() -> None:
    with pytest.raises(ConfigError, match=r"expected one of 1\.2, 1\.3"):
        settings(ssl_min_version="1.1")


def talk(server: ssl.SSLContext, client: ssl.SSLContext) -> ssl.SSLObject:
    """Both ends shake hands; the client's end."""
    here, there = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(here, there, server_hostname="localhost"),
        server.wrap_bio(there, here, server_side=True),
    ]
    waiting = list(ends)
    while waiting:
        for end in tuple(waiting):
            try:
                end.do_handshake()
                waiting.remove(end)
            except ssl.SSLWantReadError:
                pass
    return ends[0]


def trusting() -> ssl.SSLContext:
    made = ssl.create_default_context()
    AUTHORITY.configure_trust(made)
    return made


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(("offered", "agreed"), [(["h2", "http/1.1"], "http/1.1"), (["h2"], None), ([], None)])
def test_http_1_1_is_agreed_upon(offered: list[str], agreed: str | None) -> None:
    client = trusting()
    if offered:
        client.set_alpn_protocols(offered)
    end = talk(context(ssl_certfile="cert.pem", ssl_keyfile="key.pem"), client)
    assert end.selected_alpn_protocol() == agreed


# ---- files that do --------------------------------------------------------------------------------


@pytest.mark.parametrize("issued", [RSA, EC], ids=["RSA", "EC"])
@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL], ids=["PKCS8", "traditional"])
@pytest.mark.parametrize("encrypted", [False, True])
def test_keys_of_any_usual_form_do(files: Path, issued: trustme.LeafCert, form: PrivateFormat, encrypted: bool) -> None:
    encryption = BestAvailableEncryption(PASSWORD.encode()) if encrypted else NoEncryption()
    (files / "cert.pem").write_bytes(chain_of(issued))
    (files / "key.pem").write_bytes(key_of(issued, form, encryption))
    password = {"ssl_keyfile_password": PASSWORD} if encrypted else {}
    end = talk(context(ssl_certfile="cert.pem", ssl_keyfile="key.pem", **password), trusting())
    assert end.getpeercert() is not None


def test_key_may_be_in_the_file_of_the_certificate(files: Path) -> None:
    (files / "both.pem").write_bytes(key_of(RSA) + chain_of(RSA))
    assert context(ssl_certfile="both.pem")


def test_certificates_between_are_sent(files: Path) -> None:
    between = AUTHORITY.create_child_ca()
    issued = between.issue_cert("localhost")
    (files / "chain.pem").write_bytes(chain_of(issued))
    (files / "chain.key").write_bytes(issued.private_key_pem.bytes())
    assert talk(context(ssl_certfile="chain.pem", ssl_keyfile="chain.key"), trusting())


def test_words_around_the_certificates_are_ignored(files: Path) -> None:
    (files / "cert.pem").write_bytes(b"Subject: localhost\n\n" + chain_of(RSA) + b"\nthe end\n")
    assert context(ssl_certfile="cert.pem", ssl_keyfile="key.pem")


# ---- files that do not ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ssl_certfile", "ssl_keyfile", "ssl_ca_certs"])
def test_file_that_cannot_be_read_is_named_with_its_setting(files: Path, name: str) -> None:
    given = {"ssl_certfile": "cert.pem", "ssl_keyfile": "key.pem", "ssl_client_auth": "required"}
    given["ssl_ca_certs"] = "cert.pem"
    flag = "--" + name.replace("_", "-")
    assert refusal(**given | {name: "none.pem"}) == (
        f'Cannot read "none.pem" (flag {flag}): No such file or directory.'
    )
    (files / "directory").mkdir()
    assert refusal(**given | {name: "directory"}) == f'"directory" is not a file, as flag {flag} must name one.'
    os.mkfifo(files / "pipe")
    assert refusal(**given | {name: "pipe"}) == f'"pipe" is not a file, as flag {flag} must name one.'


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_file_that_is_not_ours_to_read(files: Path) -> None:
    (files / "key.pem").chmod(0)
    line = refusal(ssl_certfile="cert.pem", ssl_keyfile="key.pem")
    assert line == 'Cannot read "key.pem" (flag --ssl-keyfile): Permission denied.'


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("content", [b"", b"hello\n", key_of(RSA), chain_of(RSA)[:500]])
def test_file_without_a_certificate(files: Path, content: bytes) -> None:
    (files / "cert.pem").write_bytes(content)
    line = refusal(ssl_certfile="cert.pem", ssl_keyfile="key.pem")
    assert line == '"cert.pem" holds no certificate in PEM form.'


def test_certificate_in_der_is_told_the_way_out(files: Path) -> None:
    (files / "cert.der").write_bytes(ssl.PEM_cert_to_DER_cert(RSA.cert_chain_pems[0].bytes().decode()))
    line = refusal(ssl_certfile="cert.der", ssl_keyfile="key.pem")
    assert line.endswith("but perhaps in DER: openssl x509 -inform der converts it.")


def damaged(pem: bytes) -> bytes:
    """Without one of its lines."""
    lines = pem.splitlines(keepends=True)
    return b"".join(lines[:3] + lines[4:])


@pytest.mark.parametrize("number", [1, 2])
def test_damaged_certificate_is_counted(files: Path, number: int) -> None:
    pems = [chain_of(RSA), chain_of(EC)]
    pems[number - 1] = damaged(pems[number - 1])
    (files / "cert.pem").write_bytes(b"".join(pems))
    line = refusal(ssl_certfile="cert.pem", ssl_keyfile="key.pem")
    assert line == f'"cert.pem" holds a damaged certificate, number {number} of 2.'


@pytest.mark.parametrize("content", [b"", b"hello\n", chain_of(RSA)])
def test_file_without_a_key(files: Path, content: bytes) -> None:
    (files / "key.pem").write_bytes(content)
    line = refusal(ssl_certfile="cert.pem", ssl_keyfile="key.pem")
    assert line == '"key.pem" holds no private key in PEM form.'


@pytest.mark.usefixtures("files")
def test_certificate_whose_key_is_nowhere() -> None:
    line = refusal(ssl_certfile="cert.pem")
    assert line == '"cert.pem" holds no private key in PEM form; name the key\'s file by ssl_keyfile.'


@pytest.mark.parametrize("other", [AUTHORITY.issue_cert("localhost", key_type=trustme.KeyType.RSA), EC])
def test_key_of_another_certificate(files: Path, other: trustme.LeafCert) -> None:
    (files / "key.pem").write_bytes(key_of(other))
    line = refusal(ssl_certfile="cert.pem", ssl_keyfile="key.pem")
    assert line == '"key.pem" holds a key that does not belong to the certificate in "cert.pem".'


def test_damaged_key(files: Path) -> None:
    (files / "key.pem").write_bytes(damaged(key_of(RSA)))
    line = refusal(ssl_certfile="cert.pem", ssl_keyfile="key.pem")
    assert line == '"key.pem" holds a key that is damaged, or of a kind that OpenSSL does not know.'


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL], ids=["PKCS8", "traditional"])
def test_encrypted_key_without_its_password(files: Path, form: PrivateFormat) -> None:
    (files / "key.pem").write_bytes(key_of(RSA, form, BestAvailableEncryption(PASSWORD.encode())))
    given = {"ssl_certfile": "cert.pem", "ssl_keyfile": "key.pem"}
    assert refusal(**given) == ('"key.pem" holds an encrypted key: give its password by HIGHPERF_SSL_KEYFILE_PASSWORD.')
    for wrong in ("open", "x" * 2000):
        line = refusal(**given, ssl_keyfile_password=wrong)
        assert line == '"key.pem" holds an encrypted key that ssl_keyfile_password does not open.'


def test_password_is_never_shown() -> None:
    given = settings(ssl_keyfile_password=PASSWORD)
    assert PASSWORD not in repr(given)


@pytest.mark.parametrize("content", [b"", b"hello\n", key_of(RSA)])
def test_authorities_without_a_certificate(files: Path, content: bytes) -> None:
    (files / "ca.pem").write_bytes(content)
    given = {"ssl_certfile": "cert.pem", "ssl_keyfile": "key.pem", "ssl_client_auth": "optional"}
    assert refusal(**given, ssl_ca_certs="ca.pem") == '"ca.pem" holds no certificate in PEM form.'


def test_authorities_that_are_damaged(files: Path) -> None:
    (files / "ca.pem").write_bytes(damaged(chain_of(RSA)))
    given = {"ssl_certfile": "cert.pem", "ssl_keyfile": "key.pem", "ssl_client_auth": "optional"}
    assert refusal(**given, ssl_ca_certs="ca.pem") == '"ca.pem" holds a damaged certificate.'


ASK_FOR_A_PASSWORD = """
from highperf.config import Layers, resolve
from highperf.errors import StartupError
from highperf.server.tls import server_context
try:
    server_context(resolve(Layers(flags={"ssl_certfile": "cert.pem", "ssl_keyfile": "key.pem"})))
except StartupError as error:
    print(error)
"""


def test_terminal_is_never_asked_for_a_password(files: Path) -> None:
    (files / "key.pem").write_bytes(key_of(RSA, encryption=BestAvailableEncryption(PASSWORD.encode())))
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-c", ASK_FOR_A_PASSWORD],
            stdin=theirs,
            capture_output=True,
            text=True,
            timeout=30,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert "holds an encrypted key" in done.stdout
    assert not done.stderr


# ---- settings that do not go together --------------------------------------------------------------


@pytest.mark.parametrize("name", ["ssl_keyfile", "ssl_keyfile_password", "ssl_ca_certs", "ssl_client_auth"])
def test_what_is_of_no_use_without_a_certificate(name: str) -> None:
    value = "required" if name == "ssl_client_auth" else "x"
    flag = "--" + name.replace("_", "-")
    line = refusal(ConfigError, **{name: value})
    assert line == f"flag {flag} is of no use without a certificate: give ssl_certfile too."


@pytest.mark.usefixtures("files")
def test_client_certificates_need_authorities_and_these_need_them() -> None:
    given = {"ssl_certfile": "cert.pem", "ssl_keyfile": "key.pem"}
    line = refusal(ConfigError, **given, ssl_client_auth="required")
    assert line == "flag --ssl-client-auth needs authorities to trust: give ssl_ca_certs too."
    line = refusal(ConfigError, **given, ssl_ca_certs="cert.pem")
    assert line == "flag --ssl-ca-certs is of no use without client certificates: give ssl_client_auth too."


# ---- dates ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("begins_in", "ends_in", "said"),
    [
        (-10, -1, 'The certificate in "cert.pem" expired at {end} UTC: clients refuse it'),
        (1, 10, 'The certificate in "cert.pem" is not valid before {begin} UTC: clients refuse it'),
        (-1, 1, ""),
    ],
)
def test_certificate_out_of_its_time_is_a_warning(
    files: Path, caplog: pytest.LogCaptureFixture, begins_in: int, ends_in: int, said: str
) -> None:
    now = datetime.now(UTC)
    begin, end = now + timedelta(days=begins_in), now + timedelta(days=ends_in)
    issued = AUTHORITY.issue_cert("localhost", not_before=begin, not_after=end)
    (files / "cert.pem").write_bytes(issued.cert_chain_pems[0].bytes())
    (files / "key.pem").write_bytes(issued.private_key_pem.bytes())
    assert context(ssl_certfile="cert.pem", ssl_keyfile="key.pem")
    expected = said.format(begin=f"{begin:%Y-%m-%d %H:%M:%S}", end=f"{end:%Y-%m-%d %H:%M:%S}")
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == (
        [(logging.WARNING, expected)] if said else []
    )


@pytest.mark.parametrize("year", [1950, 1999, 2000, 2049, 2050, 2123])
def test_dates_are_read_in_both_forms_that_certificates_have(year: int) -> None:
    begin, end = datetime(year, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(year + 1, 12, 31, 23, 59, 59, tzinfo=UTC)
    issued = AUTHORITY.issue_cert("localhost", not_before=begin, not_after=end)
    der = ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())
    assert validity(der) == (begin, end)
