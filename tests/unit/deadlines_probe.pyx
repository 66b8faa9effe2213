# The C-level interface of guards/deadlines, for the tests of it: timers by number.

from libc.stdlib cimport calloc, free

from highperf.guards.deadlines cimport (
    NEVER,
    SLOT_NS as _SLOT_NS,
    SLOTS as _SLOTS,
    Timer,
    TimeoutList,
    TimerOwner,
    TimerWheel,
    armed_c,
    disarm_c,
)

SLOT_NS, SLOTS = _SLOT_NS, _SLOTS


cdef class Owner(TimerOwner):
    """Owns `count` timers, as a connection owns its few."""

    cdef Timer* timers
    cdef int count
    cdef readonly list expired          # kinds, in the order in which they were said to have run out

    def __cinit__(self, int count):
        cdef int index
        self.timers = <Timer*>calloc(count, sizeof(Timer))
        self.count = count
        self.expired = []
        for index in range(count):
            self.timers[index].owner = <void*>self
            self.timers[index].kind = index

    def __dealloc__(self):
        cdef int index
        for index in range(self.count):
            disarm_c(&self.timers[index])
        free(self.timers)

    cdef int expired_c(self, int kind) except -1:
        self.expired.append(kind)
        return 0

    def arm(self, where, int index, long long now_ns, due_ns=None):
        """In a list; or in a wheel, for due_ns."""
        if due_ns is None:
            (<TimeoutList?>where).arm_c(&self.timers[index], now_ns)
        else:
            (<TimerWheel?>where).arm_c(&self.timers[index], due_ns, now_ns)

    def disarm(self, int index):
        disarm_c(&self.timers[index])

    def armed(self):
        return [index for index in range(self.count) if armed_c(&self.timers[index])]

    def due_ns(self, int index):
        return self.timers[index].due_ns


def next_due(where):
    cdef long long due_ns
    if isinstance(where, TimerWheel):
        due_ns = (<TimerWheel>where).next_due_c()
    else:
        due_ns = (<TimeoutList?>where).next_due_c()
    return None if due_ns == NEVER else due_ns


cdef Timer* pop(where, long long now_ns) except? NULL:
    if isinstance(where, TimerWheel):
        return (<TimerWheel>where).pop_expired_c(now_ns)
    return (<TimeoutList?>where).pop_expired_c(now_ns)


def pop_expired(where, long long now_ns):
    """(owner, number) of the earliest expired timer, or None."""
    cdef Timer* timer = pop(where, now_ns)
    return None if timer == NULL else (<object>timer.owner, timer.kind)


def at(TimeoutList timeouts not None, Py_ssize_t place):
    """Number of the timer at this place of the list, or None."""
    cdef Timer* timer = timeouts.at_c(place)
    return None if timer == NULL else timer.kind


def pop_all(where, long long now_ns):
    """Numbers of all expired timers, in the order in which they are handed out."""
    numbers = []
    while (expired := pop_expired(where, now_ns)) is not None:
        numbers.append(expired[1])
    return numbers


def tell_owners(where, long long now_ns):
    """Says to each owner which of its timers have run out, as a worker does."""
    cdef Timer* timer
    while True:
        timer = pop(where, now_ns)
        if timer == NULL:
            return
        (<TimerOwner>timer.owner).expired_c(timer.kind)


def tell(TimerOwner owner not None, int kind):
    owner.expired_c(kind)
