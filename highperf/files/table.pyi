"""A bounded map from octets to objects."""

from typing import Self, final

@final
class PathTable:
    """Holds at most capacity keys; what was not used for longest goes first. For compiled code."""

    def __new__(cls, capacity: int) -> Self: ...
    @property
    def capacity(self) -> int:
        """As given."""
    @property
    def count(self) -> int:
        """Keys that are held."""
    @property
    def weight(self) -> int:
        """What their user says that they weigh, together."""
