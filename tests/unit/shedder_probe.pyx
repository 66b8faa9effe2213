# The C-level interface of guards/shedder, for the tests of it.

from highperf.guards.shedder cimport SHED_DELAY, SHED_FULL, SHED_NONE, Shedder

NONE, FULL, DELAY = SHED_NONE, SHED_FULL, SHED_DELAY


def enter(Shedder shedder not None, bint critical, long long now_ns):
    return shedder.enter_c(critical, now_ns)


def leave(Shedder shedder not None, bint critical):
    shedder.leave_c(critical)


def turn(Shedder shedder not None, long long length_ns, long long now_ns):
    shedder.turn_c(length_ns, now_ns)
