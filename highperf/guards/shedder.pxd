# How much one worker takes on: permits for requests in flight, and refusals while a queue stands
# before the event loop. Knows no asyncio: time is an argument, in nanoseconds of the monotonic
# clock, and whoever runs in the loop measures its turns.

cdef enum Shed:
    SHED_NONE = 0               # admitted
    SHED_FULL = 1               # as many requests as may be are in flight
    SHED_DELAY = 2              # the request has waited too long for a queue that stands


cdef class Shedder:
    cdef readonly int limit             # of requests in flight; 0: any number
    cdef readonly int reserve           # how many of these are for critical requests alone
    cdef readonly long long target_ns   # a longer turn of the loop is a sign of a queue; 0: this is off
    cdef readonly long long interval_ns
    cdef readonly int running           # permits that are out
    cdef readonly int critical_running  # those of them that critical requests have

    # From a turn that was longer than target_ns until the queue is gone. Meanwhile turn_c has to be
    # called in every turn of the loop, also in one that brings no request.
    cdef readonly bint standing
    cdef readonly long long patience_ns     # how far into a turn requests are served while `standing`
    cdef long long turn_ns              # start of the turn; meaningful while `standing`

    cdef int ordinary_cap               # SHED_FULL from so many on
    cdef int critical_cap
    cdef int critical_share             # of the permits, while a queue stands
    cdef long long judged_ns            # start of the interval that is to be judged next
    cdef bint saw_long                  # turns in it
    cdef bint saw_short

    # Shed. A permit is taken for what is admitted, and nothing for what is refused.
    cdef int enter_c(self, bint critical, long long now_ns) noexcept nogil
    # Gives it back, once and with the same `critical`: when the handler has ended, not when its answer was sent.
    cdef void leave_c(self, bint critical) noexcept nogil
    # A whole turn of the loop took length_ns, without its waiting for events; the next one begins at now_ns.
    cdef void turn_c(self, long long length_ns, long long now_ns) noexcept nogil

    cdef void begin_c(self, long long now_ns) noexcept nogil
    cdef void judge_c(self, long long now_ns) noexcept nogil
