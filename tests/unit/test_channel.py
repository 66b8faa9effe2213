"""The control channel: messages stay whole, in order, and keep their descriptors, however they are cut."""

import os
import socket
from collections.abc import Iterator

import pytest

from highperf.server.channel import Channel, Message


@pytest.fixture
def pair() -> Iterator[tuple[Channel, Channel]]:
    channels = tuple(map(Channel, socket.socketpair()))
    yield channels[0], channels[1]
    for channel in channels:
        channel.close()


def test_messages_come_in_order_with_their_values(pair: tuple[Channel, Channel]) -> None:
    here, there = pair
    assert there.receive() == []
    here.send("retire")
    here.send("leaving", why="it has served\n20 requests")
    assert there.receive() == [Message("retire", {}, []), Message("leaving", {"why": "it has served\n20 requests"}, [])]
    assert there.receive() == []


def test_descriptors_stay_with_their_message_and_are_not_inherited(pair: tuple[Channel, Channel]) -> None:
    here, there = pair
    ends = os.pipe()
    here.send("announce")
    here.send("adopt", ends, slot=2)
    here.send("place", ends[:1])
    for fd in ends:
        os.close(fd)
    messages: list[Message] = []
    while len(messages) < 3:
        messages += there.receive() or []
    assert [(message.word, len(message.fds)) for message in messages] == [("announce", 0), ("adopt", 2), ("place", 1)]
    reading, writing = messages[1].fds
    os.write(writing, b"x")
    assert os.read(messages[2].fds[0], 1) == b"x"
    for fd in (reading, writing, *messages[2].fds):
        assert not os.get_inheritable(fd)
        os.close(fd)


def test_a_message_may_come_in_pieces() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        channel = Channel(theirs)
        line = b'{"word":"ready","fds":0}\n'
        for octet in line[:-1]:
            ours.sendall(bytes([octet]))
            assert channel.receive() == []
        ours.sendall(line[-1:])
        assert channel.receive() == [Message("ready", {}, [])]
        channel.close()


def test_who_waits_gets_one_message_and_leaves_the_others(pair: tuple[Channel, Channel]) -> None:
    here, there = pair
    here.send("place")
    here.send("stop")
    assert there.wait() == Message("place", {}, [])
    assert there.receive() == [Message("stop", {}, [])]


def test_the_end_of_the_other_side_is_the_end_after_its_last_words(pair: tuple[Channel, Channel]) -> None:
    here, there = pair
    here.send("failed", line="no database")
    here.close()
    assert there.receive() == [Message("failed", {"line": "no database"}, [])]
    assert there.receive() is None
    assert there.wait() is None
    there.send("place")  # to nobody


def test_a_side_that_does_not_read_is_hung_up_on_before_a_message_is_cut(pair: tuple[Channel, Channel]) -> None:
    here, there = pair
    for _ in range(100):
        here.send("announce", filler="x" * 60_000)
    words = []
    while (messages := there.receive()) is not None:
        words += [message.word for message in messages]
    assert 0 < len(words) < 100
    assert set(words) == {"announce"}
