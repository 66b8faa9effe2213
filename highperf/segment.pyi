"""The memory that all workers of one server share."""

from typing import Self, final

@final
class Segment:
    """Anonymous shared memory with areas that are found by name.

    The process that starts the workers makes it; a worker inherits it over fork(2), or attaches to
    its descriptor. What lies in it is valid at any instant, whoever is killed or stopped.

    Raises:
        StartupError: the file is no segment, has another layout version, or another size than its
            header says; or there is no memory to map it.

    Attributes:
        fd: the descriptor to hand to a worker; closed with the segment.
        size: octets of address space; only those that were touched cost memory.
        epoch_ns: CLOCK_MONOTONIC at its making, in nanoseconds.
    """

    def __new__(cls, fd: int, *, epoch_ns: int = -1) -> Self:
        """Maps the file, and takes its descriptor over. epoch_ns: 0 or more makes a new segment of it."""
    @classmethod
    def create(cls, size: int = 536870912, *, epoch_ns: int | None = None) -> Self:
        """A new segment.

        Args:
            size: octets, a multiple of 64 from 1 MiB to 1 GiB.
            epoch_ns: where its time begins; default: now.

        Raises:
            ValueError: size is out of bounds.
        """
    @classmethod
    def attach(cls, fd: int) -> Self:
        """The segment behind a descriptor, which stays the caller's. StartupError where it is none."""
    @property
    def fd(self) -> int:
        """See the class."""
    @property
    def size(self) -> int:
        """See the class."""
    @property
    def epoch_ns(self) -> int:
        """See the class."""
    def area(self, name: str, size: int) -> int:
        """Offset of the area of this name and size, which is zeroed when it is first asked for.

        The same name with another size is another area. Raises StartupError when there is no room.
        """
    def read_word(self, offset: int) -> int:
        """The 64-bit word at this offset, a multiple of 8."""
    def write_word(self, offset: int, value: int) -> None:
        """Stores a 64-bit word in an area of the caller's own."""

def memory_file(size: int) -> int:
    """Descriptor of a new file in memory of this size, sealed against resizing where the system can."""
