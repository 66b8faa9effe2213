import ssl
from collections.abc import Iterator

import pytest
import trustme

from tests.protocol.harness import Wire


@pytest.fixture(scope="session")
def tls_contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's, and that of clients who trust it."""
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(client)
    return server, client


@pytest.fixture
def trusting(tls_contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> ssl.SSLContext:
    return tls_contexts[1]


@pytest.fixture(params=["tcp", "tls"])
def wire(request: pytest.FixtureRequest) -> Iterator[Wire]:
    contexts = request.getfixturevalue("tls_contexts") if request.param == "tls" else ()
    wire = Wire(*contexts)
    yield wire
    wire.close()
