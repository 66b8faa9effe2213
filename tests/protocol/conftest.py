from collections.abc import Iterator

import pytest

from tests.protocol.harness import Wire


@pytest.fixture
def wire() -> Iterator[Wire]:
    wire = Wire()
    yield wire
    wire.close()
