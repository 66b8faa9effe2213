# The C-level interface of guards/deadlines, for test_deadlines.py: timers by number.

from libc.stdlib cimport calloc, free

from highperf.guards.deadlines cimport NEVER, Timer, TimeoutList, armed_c, disarm_c


cdef class Owner:
    """Owns `count` timers, as a connection owns its few."""

    cdef Timer* timers
    cdef int count

    def __cinit__(self, int count):
        cdef int index
        self.timers = <Timer*>calloc(count, sizeof(Timer))
        self.count = count
        for index in range(count):
            self.timers[index].owner = <void*>self
            self.timers[index].kind = index

    def __dealloc__(self):
        cdef int index
        for index in range(self.count):
            disarm_c(&self.timers[index])
        free(self.timers)

    def arm(self, TimeoutList timeouts, int index, long long now_ns):
        timeouts.arm_c(&self.timers[index], now_ns)

    def disarm(self, int index):
        disarm_c(&self.timers[index])

    def armed(self):
        return [index for index in range(self.count) if armed_c(&self.timers[index])]


def next_due(TimeoutList timeouts):
    cdef long long due_ns = timeouts.next_due_c()
    return None if due_ns == NEVER else due_ns


def pop_expired(TimeoutList timeouts, long long now_ns):
    """(owner, number) of the earliest expired timer, or None."""
    cdef Timer* timer = timeouts.pop_expired_c(now_ns)
    return None if timer == NULL else (<object>timer.owner, timer.kind)


def pop_all(TimeoutList timeouts, long long now_ns):
    """Numbers of all expired timers, earliest first."""
    numbers = []
    while (expired := pop_expired(timeouts, now_ns)) is not None:
        numbers.append(expired[1])
    return numbers
