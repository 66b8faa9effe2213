# Decides in a compiled loop, so that the cost of a Python call does not hide the bucket's.

from libc.stdint cimport uint64_t
from highperf.clock cimport monotonic_ns
from highperf.guards.limiter cimport TokenBucket
from highperf.segment cimport LINE_BYTES, Segment, load_word, store_word


def read_clock(int calls):
    """What of the figures is the clock's."""
    cdef long long now_ns = 0
    for _ in range(calls):
        now_ns |= monotonic_ns()
    return now_ns


def take(TokenBucket bucket, int calls):
    """Reads the clock and takes one token, `calls` times; returns how many were admitted."""
    cdef int admitted = 0
    for _ in range(calls):
        admitted += bucket.take_c(1, monotonic_ns()) == 0
    return admitted


def take_at(TokenBucket bucket, long long now_ns, int calls):
    """The same with a clock that stands."""
    cdef int admitted = 0
    for _ in range(calls):
        admitted += bucket.take_c(1, now_ns) == 0
    return admitted


def take_and_refund(TokenBucket bucket, int calls):
    cdef int admitted = 0
    cdef long long now_ns
    for _ in range(calls):
        now_ns = monotonic_ns()
        admitted += bucket.take_c(1, now_ns) == 0
        bucket.refund_c(1, now_ns, now_ns)
    return admitted


def contend(TokenBucket bucket, Segment segment):
    """Takes as fast as can be, and counts it where `contender` looks, until the process is killed."""
    cdef uint64_t* decisions = <uint64_t*>segment.area_c("decisions", LINE_BYTES)
    cdef uint64_t count = 0
    with nogil:
        while True:
            bucket.take_c(1, monotonic_ns())
            count += 1
            store_word(decisions, count)


def decisions_of_contender(Segment segment):
    return load_word(<uint64_t*>segment.area_c("decisions", LINE_BYTES))
