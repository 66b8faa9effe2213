"""SipHash-1-3, against a twin that is checked against the paper and against Python's own."""

import os
import random
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import compiled
from tests.reference.keyed_twin import siphash

NUMBERS = bytes(range(256))


@pytest.fixture(scope="module")
def probe(pytestconfig: pytest.Config) -> Any:
    return compiled.load(pytestconfig, "tests/unit/keyed_probe.pyx")


def test_the_twin_gives_what_the_paper_prints() -> None:
    # Appendix A: SipHash-2-4 of the octets 00 to 0e under the key 00 to 0f.
    assert siphash(NUMBERS[:16], NUMBERS[:15], 2, 4) == 0xA129CA6149BE45E5


@pytest.mark.skipif(sys.hash_info.algorithm != "siphash13", reason="this Python hashes otherwise")
def test_the_same_as_python_hashes_with_without_a_secret(probe: Any) -> None:
    messages = [NUMBERS[:size] for size in range(1, 40)]
    program = f"print([hash(message) % 2**64 for message in {messages!r}])"
    env = os.environ | {"PYTHONHASHSEED": "0"}
    told = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
    assert [probe.siphash(bytes(16), message) for message in messages] == eval(told.stdout)


@given(st.binary(min_size=16, max_size=16), st.binary(max_size=70))
def test_the_same_as_its_twin(probe: Any, secret: bytes, message: bytes) -> None:
    assert probe.siphash(secret, message) == siphash(secret, message, 1, 3)


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 15, 16, 255, 256, 257, 100_000])
def test_messages_of_every_kind_of_length(probe: Any, size: int) -> None:
    message = random.Random(size).randbytes(size)
    assert probe.siphash(NUMBERS[:16], message) == siphash(NUMBERS[:16], message, 1, 3)


def test_every_octet_of_key_and_message_counts(probe: Any) -> None:
    secret, message = NUMBERS[:16], NUMBERS[:23]
    hashes = {probe.siphash(secret, message), probe.siphash(secret, message + b"\0")}
    for at in range(16):
        hashes.add(probe.siphash(secret[:at] + b"\xff" + secret[at + 1 :], message))
    for at in range(23):
        hashes.add(probe.siphash(secret, message[:at] + b"\xff" + message[at + 1 :]))
    assert len(hashes) == 2 + 16 + 23
