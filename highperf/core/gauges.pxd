# Gauges: what a worker tells of itself once in a beat.

from libc.stdint cimport int64_t

from highperf.core.worker cimport Worker
from highperf.guards.breaker cimport CircuitBreaker
from highperf.observe.metrics cimport Metrics


cdef class BreakerTally:
    # What was told of one breaker.
    cdef CircuitBreaker breaker
    cdef int64_t* state         # a cell
    cdef unsigned long long opened
    cdef unsigned long long probes
    cdef unsigned long long closed

    cdef int tell_c(self, Metrics metrics) except -1


cdef class Gauges:
    cdef Worker worker          # the worker drops this when it closes
    cdef Metrics metrics
    cdef list breakers          # BreakerTally
    cdef long long hits         # of the pool, as they were told
    cdef long long misses
    cdef long long dropped      # spans, likewise
    cdef long long lines_lost   # of the access log
    cdef long long longest_ns   # turn of the loop in the last beat

    cdef int64_t* active        # cells
    cdef int64_t* busy
    cdef int64_t* idle
    cdef int64_t* lag
    cdef int64_t* pool_held
    cdef int64_t* pool_in_use
    cdef int64_t* pool_hits
    cdef int64_t* pool_misses
    cdef int64_t* spans_dropped
    cdef int64_t* log_dropped
