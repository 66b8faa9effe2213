# The only place that reads a clock. CLOCK_MONOTONIC is the same line for every process of
# the machine, is slewed but never stepped, and so is right for limits that workers share.

from cpython.number cimport PyNumber_Index
from libc.time cimport time_t

cdef extern from "time.h" nogil:
    struct timespec:
        time_t tv_sec
        long tv_nsec
    int clock_gettime(int clock, timespec* ts)
    int CLOCK_MONOTONIC
    int CLOCK_REALTIME

cdef extern from *:
    """
    /* What Linux stamps files with: the time of the last tick, a little behind CLOCK_REALTIME. */
    #ifdef CLOCK_REALTIME_COARSE
    #define HP_CLOCK_FILES CLOCK_REALTIME_COARSE
    #else
    #define HP_CLOCK_FILES CLOCK_REALTIME
    #endif
    """
    int HP_CLOCK_FILES


cdef inline long long monotonic_ns() noexcept nogil:
    cdef timespec ts
    clock_gettime(CLOCK_MONOTONIC, &ts)
    return <long long>ts.tv_sec * 1_000_000_000 + ts.tv_nsec


cdef inline long long unix_s() noexcept nogil:
    # Wall clock, whole seconds: for the Date field only, never for a limit.
    cdef timespec ts
    clock_gettime(CLOCK_REALTIME, &ts)
    return <long long>ts.tv_sec


cdef inline long long unix_ns() noexcept nogil:
    # Wall clock: for what is told to others, never for a limit.
    cdef timespec ts
    clock_gettime(CLOCK_REALTIME, &ts)
    return <long long>ts.tv_sec * 1_000_000_000 + ts.tv_nsec


cdef inline long long files_s() noexcept nogil:
    # The second that a file which is written to now is marked with: once it is over, no file will be.
    cdef timespec ts
    clock_gettime(HP_CLOCK_FILES, &ts)
    return <long long>ts.tv_sec


cdef inline long long instant_of(object now_ns) except? -1:
    # The time that a caller passes in from Python, or now. A float would be cut off by Cython alone.
    return monotonic_ns() if now_ns is None else PyNumber_Index(now_ns)
