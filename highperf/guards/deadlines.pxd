# Many equal timeouts, cheaply: one intrusive first-in-first-out list per timeout class. In such
# a list the order of arming is the order of expiry, so arm and disarm are a few stores and one
# loop timer for the earliest head serves them all (libev's manual, "Be smart about timeouts").
# Knows no asyncio: time is an argument, and whoever owns the loop's timer asks next_due_c.

# Times are nanoseconds of one monotonic clock; a list is given times that never run back.

cdef extern from *:
    """
    #define HP_NEVER 0x7FFFFFFFFFFFFFFFLL
    """
    const long long NEVER "HP_NEVER"    # later than any due time


cdef struct Timer:
    # Lives inside its owner (a connection, a request), who disarms it before it dies.
    Timer* previous             # neighbours; both NULL while idle
    Timer* next
    long long due_ns            # meaningful while armed
    void* owner                 # borrowed; what to hand back when the time has come
    int kind                    # the owner's own tag


cdef inline bint armed_c(const Timer* timer) noexcept nogil:
    return timer.next != NULL


cdef inline void disarm_c(Timer* timer) noexcept nogil:
    # Does nothing to an idle timer.
    if timer.next != NULL:
        timer.previous.next = timer.next
        timer.next.previous = timer.previous
        timer.next = NULL
        timer.previous = NULL


cdef class TimeoutList:
    cdef readonly long long timeout_ns  # 0: this timeout is off, arm_c only disarms
    cdef Timer head                     # sentinel of the circular list

    # Takes the timer out of the list that it is in, this or another, and puts it at the end.
    cdef void arm_c(self, Timer* timer, long long now_ns) noexcept
    # Due time of the earliest timer; NEVER when none is armed.
    cdef long long next_due_c(self) noexcept
    # The earliest timer that is due at now_ns, disarmed; NULL when none is.
    cdef Timer* pop_expired_c(self, long long now_ns) noexcept
