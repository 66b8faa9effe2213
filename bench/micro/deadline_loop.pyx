# Arms timers and takes permits in compiled loops, so that the cost of a Python call does not hide theirs.

from libc.stdlib cimport calloc, free

from highperf.guards.deadlines cimport Timer, TimeoutList, TimerWheel, disarm_c
from highperf.guards.shedder cimport SHED_DELAY, SHED_NONE, Shedder

cdef enum:
    MS_NS = 1_000_000


cdef class Timers:
    """`count` timers; those asked for in turn stand far apart in memory, as those of requests do."""

    cdef Timer* timers
    cdef Py_ssize_t count, at

    def __cinit__(self, Py_ssize_t count):
        self.count = count
        self.timers = <Timer*>calloc(count, sizeof(Timer))
        if self.timers == NULL:
            raise MemoryError()

    def __dealloc__(self):
        cdef Py_ssize_t index
        for index in range(self.count if self.timers != NULL else 0):
            disarm_c(&self.timers[index])
        free(self.timers)

    cdef Timer* next_c(self) noexcept:
        self.at = (self.at + 4097) % self.count
        return &self.timers[self.at]


def in_list(Timers timers not None, TimeoutList timeouts not None, long calls):
    """Disarms and arms again, one timer after the other: what was armed `count` calls ago is ended."""
    cdef Timer* timer
    cdef long call
    for call in range(calls):
        timer = timers.next_c()
        disarm_c(timer)
        timeouts.arm_c(timer, call * 1_000)


def in_wheel(Timers timers not None, TimerWheel wheel not None, long calls):
    """The same with due times of 0 to 255 ms from now."""
    cdef Timer* timer
    cdef long call
    for call in range(calls):
        timer = timers.next_c()
        disarm_c(timer)
        wheel.arm_c(timer, call * 1_000 + (call * 37 & 255) * MS_NS, call * 1_000)


def expired(Timers timers not None, TimerWheel wheel not None, long calls):
    """Arms `count` timers for the next 256 ms and takes them out when they are due; returns how many."""
    cdef long call, taken = 0
    cdef long long now_ns = 0
    while taken < calls:
        for call in range(timers.count):
            wheel.arm_c(timers.next_c(), now_ns + (call * 37 & 255) * MS_NS, now_ns)
        for _ in range(257):
            now_ns += MS_NS
            while wheel.pop_expired_c(now_ns) != NULL:
                taken += 1
    return taken


def permits(Shedder shedder not None, long calls):
    """Takes a permit and gives it back."""
    cdef long call
    for call in range(calls):
        if shedder.enter_c(False, call) == SHED_NONE:
            shedder.leave_c(False)


def stand(Shedder shedder not None):
    """One long turn, which ends at time 0."""
    shedder.turn_c(10 * MS_NS, 0)


def refusals(Shedder shedder not None, long calls):
    """Asks a second into the turn; returns how many were refused."""
    cdef long refused = 0
    for _ in range(calls):
        refused += shedder.enter_c(False, 1_000 * MS_NS) == SHED_DELAY
    return refused


def turns(Shedder shedder not None, long calls):
    """Tells of turns of the loop, every tenth of them long."""
    cdef long call
    for call in range(calls):
        shedder.turn_c(6 * MS_NS if call % 10 == 0 else MS_NS, call * 6 * MS_NS)
