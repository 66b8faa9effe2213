# Gauges: what a worker tells of itself once in a beat.

from libc.stdint cimport int64_t

from highperf.core.worker cimport Worker
from highperf.observe.metrics cimport Metrics


cdef class Gauges:
    cdef Worker worker          # borrowed back: the worker drops this when it closes
    cdef Metrics metrics
    cdef list counted           # of each breaker, what was told of it: [breaker, opened, probes, closed]
    cdef long long hits         # of the pool, likewise
    cdef long long misses
    cdef long long longest_ns   # turn of the loop in the last beat

    cdef int tell_breakers_c(self) except -1
    cdef int tell_pool_c(self) except -1
    cdef int set_c(self, int family, str first, int64_t value) except -1
