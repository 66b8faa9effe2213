# One list per timeout class (see the .pxd). A timer whose owner dies must be disarmed first:
# the list borrows it. Re-arming moves a timer to the end, which is where its new due time
# belongs, because every timer of a list has the same timeout and time never runs back.

cimport cython

from highperf.guards.deadlines cimport NEVER, Timer, disarm_c

# Bounds a timeout, so that no sum of it and a clock's time overflows.
cdef long long YEAR_NS = 365 * 24 * 3600 * <long long>1_000_000_000


@cython.final
cdef class TimeoutList:
    def __cinit__(self, long long timeout_ns):
        self.head.next = &self.head             # first: __dealloc__ runs after a refusal as well
        self.head.previous = &self.head
        if not 0 <= timeout_ns <= YEAR_NS:
            raise ValueError(f"timeout_ns must be 0 (off) or at most a year, not {timeout_ns}")
        self.timeout_ns = timeout_ns

    def __dealloc__(self):
        # Owners may outlive the list (a connection that is collected after its worker). A list whose
        # arguments were refused has no head yet.
        while self.head.next != NULL and self.head.next != &self.head:
            disarm_c(self.head.next)

    def __len__(self):
        cdef Py_ssize_t count = 0
        cdef Timer* timer = self.head.next
        while timer != &self.head:
            count += 1
            timer = timer.next
        return count

    cdef void arm_c(self, Timer* timer, long long now_ns) noexcept:
        disarm_c(timer)                 # also where this timeout is off: the timer has left the other list
        if self.timeout_ns == 0:
            return
        timer.due_ns = now_ns + self.timeout_ns
        timer.previous = self.head.previous
        timer.next = &self.head
        self.head.previous.next = timer
        self.head.previous = timer

    cdef long long next_due_c(self) noexcept:
        return NEVER if self.head.next == &self.head else self.head.next.due_ns

    cdef Timer* pop_expired_c(self, long long now_ns) noexcept:
        cdef Timer* timer = self.head.next
        if timer == &self.head or timer.due_ns > now_ns:
            return NULL
        disarm_c(timer)
        return timer
