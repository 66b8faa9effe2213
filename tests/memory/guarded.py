"""Runs in a process of its own: parses octets that lie against memory that must not be touched.

Arguments: the probe's module file, the file of streams (one base64 line each). A read or write
outside the octets ends the process by a signal.
"""

import base64
import ctypes
import importlib.util
import mmap
import sys
from pathlib import Path
from types import ModuleType

PAGE = mmap.PAGESIZE
PROT_NONE, PROT_READ_WRITE = 0, 3
SPACE = 4 * PAGE  # octets that a stream may have

libc = ctypes.CDLL(None, use_errno=True)


def protect(address: int, size: int, protection: int) -> None:
    if libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(size), protection):
        raise OSError(ctypes.get_errno(), "mprotect")


def load(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(path).name.partition(".")[0], path)
    assert spec is not None
    assert spec.loader is not None
    probe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(probe)
    return probe


class Fenced:
    """Memory between two pages that must not be touched."""

    def __init__(self, space: int = SPACE) -> None:
        self.map = mmap.mmap(-1, space + 2 * PAGE)
        self.start = ctypes.addressof(ctypes.c_char.from_buffer(self.map)) + PAGE
        self.end = self.start + space
        protect(self.start - PAGE, PAGE, PROT_NONE)
        protect(self.end, PAGE, PROT_NONE)

    def put_last(self, octets: bytes) -> int:
        """Against the page behind; returns the address."""
        address = self.end - len(octets)
        ctypes.memmove(address, octets, len(octets))
        return address

    def put_first(self, octets: bytes) -> int:
        """Against the page before."""
        ctypes.memmove(self.start, octets, len(octets))
        return self.start

    def read(self, address: int, size: int) -> bytes:
        return ctypes.string_at(address, size)


def parse_beginnings(probe: ModuleType, memory: Fenced, stream: bytes) -> None:
    """Every beginning of the stream, for head and body alike."""
    head = probe.HeadProbe()
    for end in range(len(stream) + 1):
        for put in (memory.put_last, memory.put_first):
            address = put(stream[:end])
            head.reset()
            head.parse(address, end)
            probe.decode_chunked(address, end, max(end, 1))
            probe.decode_path_at(address, end)


def parse_bytewise(probe: ModuleType, memory: Fenced, stream: bytes) -> None:
    """One head, octet by octet, and moved each time."""
    head = probe.HeadProbe()
    for end in range(len(stream) + 1):
        if head.parse(memory.put_last(stream[:end]), end) != 0:
            break


def parse_without_looking_back(probe: ModuleType, memory: Fenced) -> None:
    """Of a line without end, no octet is read again but the first two, which judge a folded line."""
    line = b"GET /" + b"a" * (SPACE - 5)
    for start in (b"", b"GET / HTTP/1.1\r\nA: "):
        octets = (start + line)[:SPACE]
        address = memory.put_last(octets)
        head = probe.HeadProbe(line_bytes=2 * SPACE, field_bytes=2 * SPACE, head_bytes=2 * SPACE)
        assert head.parse(address, 3 * PAGE) == 0
        protect(address + PAGE, 2 * PAGE, PROT_NONE)
        for size in range(3 * PAGE, SPACE + 1, 97):
            assert head.parse(address, size) == 0
        protect(address + PAGE, 2 * PAGE, PROT_READ_WRITE)


def main() -> None:
    probe, memory = load(sys.argv[1]), Fenced()
    parse_without_looking_back(probe, memory)
    for line in Path(sys.argv[2]).read_text().split():
        stream = base64.b64decode(line)
        parse_beginnings(probe, memory, stream)
        parse_bytewise(probe, memory, stream)
    if "--overrun" in sys.argv:
        probe.HeadProbe().parse(memory.put_last(b"GET / HT"), 9)
    print("untouched")


if __name__ == "__main__":
    main()
