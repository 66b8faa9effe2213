# Many timers behind one loop timer, cheaply. Knows no asyncio: time is an argument, and whoever
# owns the loop's timer asks next_due_c.
#
# - TimeoutList, for many equal timeouts: an intrusive first-in-first-out list. Its order of arming
#   is its order of expiry, so arm and disarm are a few stores (libev's manual, "Be smart about
#   timeouts").
# - TimerWheel, for any due times: a hashed wheel (Varghese and Lauck, 1987, scheme 6), whose arm and
#   disarm are as cheap, for a due time that is rounded up to the wheel's next slot.
#
# Times are nanoseconds of one monotonic clock, not negative; both are given a `now_ns` that never
# runs back. A timer is armed in one list or wheel at a time: arming it takes it out of the other.

from libc.stdint cimport uint64_t
from highperf.checks cimport must

cdef extern from *:
    """
    #include <stdint.h>
    #define HP_NEVER 0x7FFFFFFFFFFFFFFFLL
    #define HP_YEAR_NS (365LL * 24 * 3600 * 1000000000LL)
    """
    const long long NEVER "HP_NEVER"        # later than any due time
    const long long YEAR_NS "HP_YEAR_NS"    # the longest timeout: no sum of it and a clock's time overflows

cdef enum:
    SLOT_NS = 1_000_000         # what a wheel rounds due times up to
    SLOTS = 1024                # of one round; a power of two
    MARKS = 64                  # slots that one word tells of
    MARK_WORDS = 16


cdef struct Timer:
    # Lives inside its owner (a connection, a request), who disarms it before it dies.
    Timer* previous             # neighbours; both NULL while idle
    Timer* next
    long long due_ns            # when it is handed out; meaningful while armed
    void* owner                 # borrowed TimerOwner; what to hand back when the time has come
    int kind                    # the owner's own tag


cdef inline bint armed_c(const Timer* timer) noexcept nogil:
    return timer.next != NULL


cdef inline void disarm_c(Timer* timer) noexcept nogil:
    # Does nothing to an idle timer.
    if timer.next != NULL:
        must(timer.previous.next == timer, "the timer before this one does not know it")
        must(timer.next.previous == timer, "the timer after this one does not know it")
        timer.previous.next = timer.next
        timer.next.previous = timer.previous
        timer.next = NULL
        timer.previous = NULL


cdef class TimerOwner:
    # Whose timer has run out; kind is the timer's. Abstract.
    cdef int expired_c(self, int kind) except -1


cdef class TimeoutList:
    cdef readonly long long timeout_ns  # 0: this timeout is off, arm_c only disarms
    cdef Timer head                     # sentinel of the circular list

    # Takes the timer out of the list that it is in, this or another, and puts it at the end.
    cdef void arm_c(self, Timer* timer, long long now_ns) noexcept nogil
    # Due time of the earliest timer; NEVER when none is armed.
    cdef long long next_due_c(self) noexcept nogil
    # The earliest timer that is due at now_ns, disarmed; NULL when none is.
    cdef Timer* pop_expired_c(self, long long now_ns) noexcept nogil
    # The timer that comes after this number of earlier ones, still armed; NULL when there is none.
    cdef Timer* at_c(self, Py_ssize_t place) noexcept nogil
    # When a timer of this list was armed.
    cdef long long since_c(self, const Timer* timer) noexcept nogil


cdef class TimerWheel:
    cdef uint64_t marks[MARK_WORDS]     # a bit for each slot: 0: it is empty, 1: look there
    cdef long long next_slot            # number of the earliest slot that was not swept yet, counted from time 0
    cdef Timer slots[SLOTS]             # sentinels of circular lists; slot n is that of n modulo SLOTS
    cdef Timer expired                  # sentinel of those swept and not yet handed out

    # Takes the timer out of where it is and arms it for the end of the slot that due_ns lies in, at
    # least for the end of that of now_ns; timer.due_ns says when. NEVER only disarms.
    cdef void arm_c(self, Timer* timer, long long due_ns, long long now_ns) noexcept nogil
    # When to ask for expired ones again, once pop_expired_c has said NULL: the earliest due time, or in
    # each round before it the time of a timer that is more than a round away. NEVER when none is armed.
    cdef long long next_due_c(self) noexcept nogil
    # A timer that is due at now_ns, disarmed; NULL when none is. The earliest first, except that a
    # leap of more than a round since the last call mixes what has come due in it.
    cdef Timer* pop_expired_c(self, long long now_ns) noexcept nogil

    cdef void sweep_c(self, long long last_slot) noexcept nogil
    cdef void sweep_slot_c(self, Timer* slot, long long now_ns) noexcept nogil
    cdef long long marked_slot_c(self) noexcept nogil
