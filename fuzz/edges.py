"""What an execution reached, by the counter that edges.c is, where that is preloaded (make fuzz)."""

import ctypes

ROOM = 4096  # so many edges of one input are told at most


class Edges:
    """The edges that were met since the process began; one execution lies between begin() and end()."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.begin = library.hp_edges_begin
        self.end = library.hp_edges_end
        self.learn = library.hp_edges_learn
        self._library = library

    @property
    def known(self) -> int:
        return int(self._library.hp_edges_known())

    def fresh(self) -> "ctypes.Array[ctypes.c_uint32]":
        """What the last execution met first, in a form that met() understands."""
        room = (ctypes.c_uint32 * ROOM)()
        found = self._library.hp_edges_fresh(room, ROOM)
        return (ctypes.c_uint32 * found)(*room[:found])

    def met(self, wanted: "ctypes.Array[ctypes.c_uint32]") -> bool:
        """Whether the last execution met all of these."""
        return bool(self._library.hp_edges_met(wanted, len(wanted)))


class Blind:
    """A build that does not count: nothing is ever new."""

    known = 0

    def begin(self) -> None:
        pass

    def end(self) -> int:
        return 0

    def learn(self) -> None:
        pass

    def fresh(self) -> "ctypes.Array[ctypes.c_uint32]":
        return (ctypes.c_uint32 * 0)()

    def met(self, wanted: "ctypes.Array[ctypes.c_uint32]") -> bool:
        return True


def find() -> Edges | Blind:
    library = ctypes.CDLL(None)
    return Edges(library) if hasattr(library, "hp_edges_begin") else Blind()
