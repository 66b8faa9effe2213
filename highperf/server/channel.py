"""The control channel: what a supervisor and a worker process say to each other.

Owns a connected stream socket on which each message is a JSON object on a line of its own, with file
descriptors beside it. Must not know what the messages mean. Never waits to send: who does not read
is hung or gone, which shows elsewhere. The end of the channel is the end of the other side.

  supervisor to worker   place     its part of the server: slot, board line; beside it the segment, sockets for
                                   metrics (so many), and its own sockets
                         announce  tell clients that the end is near: not ready, "Connection: close"
                         retire    end; the successor has the sockets and what waits in them
                         stop      end; take in what waits in the sockets first
                         adopt     serve a slot that has no worker; its sockets beside it
                         release   leave that slot to its own worker again
  worker to supervisor   settings  what they are for this application
                         ready     connections are accepted
                         leaving   wants a successor, and why; serves on until it is retired
                         failed    why it ends before it was ready
"""

import json
import os
import socket
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

_CHUNK: Final = 65536
_DESCRIPTORS_MOST: Final = 64  # beside one message


class Message(NamedTuple):
    """One message; whoever receives it owns its descriptors."""

    word: str
    values: dict[str, Any]
    fds: Sequence[int]


class Channel:
    """One side of the channel."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._socket = connection
        self._octets = b""
        self._fds: list[int] = []  # that have come, of messages that have not
        self._inbox: list[Message] = []

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, word: str, fds: Sequence[int] = (), **values: Any) -> None:
        """Say something; nothing happens if nobody listens any more."""
        line = json.dumps({"word": word, "fds": len(fds), **values}).encode() + b"\n"
        try:
            if socket.send_fds(self._socket, [line], list(fds)) == len(line):
                return
        except OSError:
            pass
        self._hang_up()

    def receive(self) -> list[Message] | None:
        """What has come; None at the end of the channel."""
        try:
            if not self._read():
                return self._taken() or None
        except BlockingIOError:
            pass
        return self._taken()

    def wait(self) -> Message | None:
        """The next message, however long it takes to come; None at the end of the channel."""
        self._socket.setblocking(True)
        try:
            while not self._inbox and self._read():
                pass
        finally:
            self._socket.setblocking(False)
        return self._inbox.pop(0) if self._inbox else None

    def close(self) -> None:
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()
        self._socket.close()

    def _read(self) -> bool:
        """Take in what has come; False at the end of the channel."""
        try:
            octets, fds, _, _ = socket.recv_fds(self._socket, _CHUNK, _DESCRIPTORS_MOST)
        except ConnectionError:
            return False
        for fd in fds:
            os.set_inheritable(fd, False)
        self._fds += fds
        *lines, self._octets = (self._octets + octets).split(b"\n")
        for line in lines:
            values = json.loads(line)
            count = values.pop("fds")
            self._inbox.append(Message(values.pop("word"), values, self._fds[:count]))
            del self._fds[:count]
        return bool(octets)

    def _taken(self) -> list[Message]:
        messages, self._inbox = self._inbox, []
        return messages

    def _hang_up(self) -> None:
        """The rest of a message that was cut would be taken for the next one."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the other side was faster
