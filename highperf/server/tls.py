"""The TLS context that the settings ask for, or one line that says which file is wrong and why.

Owns everything about certificates, keys and what is agreed upon in a handshake. Must not know
connections. Called before anything is bound, so that a wrong file leaves nothing half-started;
a worker reads the files anew when it starts, so that a reload takes new ones.

What is offered is TLS 1.2 and 1.3 with AEAD suites and ephemeral keys alone (RFC 9325). All of it
is strong, so the client chooses among the suites: it knows whether its machine has AES.
"""

import re
import ssl
from base64 import b64decode
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NoReturn

from highperf.config import Settings
from highperf.errors import ConfigError, StartupError
from highperf.server.logs import logger
from highperf.values import quote

SUITES: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"  # of TLS 1.2; those of 1.3 are all AEAD
PROTOCOLS: Final = ("http/1.1",)

_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_CLIENT_AUTH: Final = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
_CERTIFICATE: Final = re.compile(
    rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----(.*?)-----END (?:X509 |TRUSTED )?CERTIFICATE-----", re.DOTALL
)
_KEY: Final = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_MISMATCHES: Final = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
_DER_SEQUENCE: Final = b"\x30\x82"  # what a certificate or key that is not PEM begins with


def server_context(settings: Settings) -> ssl.SSLContext | None:
    """What to serve HTTPS with; None: HTTP. ConfigError for settings that do not go together, StartupError
    for a file that is not what it should be."""
    _check_settings(settings)
    if not settings.ssl_certfile:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[settings.ssl_min_version]
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_ciphers(SUITES)
    context.set_alpn_protocols(PROTOCOLS)
    _load_certificate(context, settings)
    _load_authorities(context, settings)
    return context


def _check_settings(settings: Settings) -> None:
    sources = settings.sources
    for name in ("ssl_keyfile", "ssl_keyfile_password", "ssl_ca_certs", "ssl_client_auth"):
        if name in sources and not settings.ssl_certfile and getattr(settings, name) != "none":
            raise ConfigError(f"{sources[name]} is of no use without a certificate: give ssl_certfile too.")
    if settings.ssl_client_auth != "none" and not settings.ssl_ca_certs:
        source = sources["ssl_client_auth"]
        raise ConfigError(f"{source} needs authorities to trust: give ssl_ca_certs too.")
    if settings.ssl_ca_certs and settings.ssl_client_auth == "none":
        source = sources["ssl_ca_certs"]
        raise ConfigError(f"{source} is of no use without client certificates: give ssl_client_auth too.")


# The certificate and its key. OpenSSL says little about a file that it cannot use, so what can be
# told apart is looked at first.


class _NoPasswordError(Exception):
    """The key is encrypted, and OpenSSL would ask the terminal."""


def _load_certificate(context: ssl.SSLContext, settings: Settings) -> None:
    certificate, key = settings.ssl_certfile, settings.ssl_keyfile or settings.ssl_certfile
    octets = _read(certificate, settings, "ssl_certfile")
    chain = list(_certificates(octets))
    if not chain:
        _refuse(certificate, f"holds no certificate in PEM form{_way_out(octets, 'x509')}")
    for number, der in enumerate(chain, 1):
        if not _is_certificate(der):
            _refuse(certificate, f"holds a damaged certificate, number {number} of {len(chain)}")
    if settings.ssl_keyfile:
        octets = _read(key, settings, "ssl_keyfile")
    if not _KEY.search(octets):
        hint = _way_out(octets, "pkey") if settings.ssl_keyfile else "; name the key's file by ssl_keyfile"
        _refuse(key, f"holds no private key in PEM form{hint}")
    _load_chain(context, certificate, key, settings.ssl_keyfile_password)
    for der in chain:
        _warn_of_dates(certificate, der)


def _load_chain(context: ssl.SSLContext, certificate: str, key: str, password: str) -> None:
    asked = False

    def ask() -> str:
        nonlocal asked
        asked = True
        if not password:
            raise _NoPasswordError
        return password

    try:
        context.load_cert_chain(certificate, key, ask)
    except _NoPasswordError:
        _refuse(key, "holds an encrypted key: give its password by HIGHPERF_SSL_KEYFILE_PASSWORD")
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or ""
        if asked:
            _refuse(key, "holds an encrypted key that ssl_keyfile_password does not open")
        if reason in _MISMATCHES:
            _refuse(key, f"holds a key that does not belong to the certificate in {quote(certificate)}")
        if reason:
            _refuse(certificate, f"is refused by OpenSSL: {reason.lower().replace('_', ' ')}")
        _refuse(key, "holds a key that is damaged, or of a kind that OpenSSL does not know")


def _load_authorities(context: ssl.SSLContext, settings: Settings) -> None:
    context.verify_mode = _CLIENT_AUTH[settings.ssl_client_auth]
    path = settings.ssl_ca_certs
    if path:
        octets = _read(path, settings, "ssl_ca_certs")
        try:
            context.load_verify_locations(path)
        except ssl.SSLError as error:
            damaged = error.reason != "NO_CERTIFICATE_OR_CRL_FOUND"
            what = "a damaged certificate" if damaged else f"no certificate in PEM form{_way_out(octets, 'x509')}"
            _refuse(path, f"holds {what}")


def _read(path: str, settings: Settings, name: str) -> bytes:
    try:
        if Path(path).exists() and not Path(path).is_file():
            # a pipe would be empty when a reload reads it again
            _refuse(path, f"is not a file, as {settings.sources[name]} must name one")
        return Path(path).read_bytes()
    except OSError as error:
        raise StartupError(f"Cannot read {quote(path)} ({settings.sources[name]}): {error.strerror}.") from None


def _refuse(path: str, why: str) -> NoReturn:
    raise StartupError(f"{quote(path)} {why}.") from None


def _way_out(octets: bytes, command: str) -> str:
    if not octets.startswith(_DER_SEQUENCE):
        return ""
    return f", but perhaps in DER: openssl {command} -inform der converts it"


def _certificates(octets: bytes) -> Iterator[bytes]:
    for found in _CERTIFICATE.finditer(octets):
        try:
            yield b64decode(found[1])
        except ValueError:
            yield b""


def _is_certificate(der: bytes) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=der)
    except (ssl.SSLError, ValueError):
        return False
    return True


# Dates. Python shows those of certificates that it has verified, which a server does with its peers' alone:
# so its own are found in their DER (X.690), along the fields of RFC 5280 section 4.1.


def _warn_of_dates(path: str, der: bytes) -> None:
    begin, end = validity(der)
    now = datetime.now(UTC)
    if now > end:
        logger.warning("The certificate in %s expired at %s: clients refuse it", quote(path), _shown(end))
    elif now < begin:
        logger.warning("The certificate in %s is not valid before %s: clients refuse it", quote(path), _shown(begin))


def _shown(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC"


def validity(der: bytes) -> tuple[datetime, datetime]:
    """From when to when a certificate is valid."""
    (certificate, *_) = _elements(der)
    (to_be_signed, *_) = _elements(certificate[1])
    fields = [(tag, content) for tag, content in _elements(to_be_signed[1]) if tag != 0xA0]  # [0]: the version
    begin, end = _elements(fields[3][1])  # after serial number, signature algorithm and issuer
    return _instant(*begin), _instant(*end)


def _elements(octets: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each element."""
    at = 0
    while at < len(octets):
        tag, size = octets[at], octets[at + 1]
        at += 2
        if size & 0x80:
            count = size & 0x7F
            size = int.from_bytes(octets[at : at + count])
            at += count
        yield tag, octets[at : at + size]
        at += size


def _instant(tag: int, content: bytes) -> datetime:
    text = content.decode("ascii")
    if tag == 0x17:  # UTCTime; two digits of the year, from 1950 to 2049
        text = ("19" if text >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
