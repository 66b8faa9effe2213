import ssl
from collections.abc import Iterator

import pytest

from tests.protocol.harness import Wire, secure_contexts


@pytest.fixture
def tls_contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    return secure_contexts()


@pytest.fixture
def trusting(tls_contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> ssl.SSLContext:
    return tls_contexts[1]


@pytest.fixture(params=["tcp", "tls"])
def wire(request: pytest.FixtureRequest) -> Iterator[Wire]:
    wire = Wire(*(secure_contexts() if request.param == "tls" else ()))
    yield wire
    wire.close()
