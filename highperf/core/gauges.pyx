# Owns what is written to a worker's metrics once in a beat, and by the worker that is scraped before it reads:
# how it stands, and what others have counted since (breakers, the buffer pool). Must not know who reads it.

cimport cython
from libc.stdint cimport int64_t
from highperf.core.worker cimport Worker
from highperf.guards.breaker cimport CircuitBreaker
from highperf.observe.layout cimport (
    FAMILY_ACTIVE_REQUESTS, FAMILY_BREAKER_STATE, FAMILY_BREAKER_TRANSITIONS, FAMILY_LOOP_LAG_NS,
    FAMILY_OPEN_CONNECTIONS, FAMILY_POOL_HELD_BYTES, FAMILY_POOL_HITS, FAMILY_POOL_IN_USE, FAMILY_POOL_MISSES,
)

cdef tuple STATES = ("closed", "open", "half-open", "ramp")


@cython.final
cdef class Gauges:
    def __init__(self, Worker worker not None):
        self.worker = worker
        self.metrics = worker.metrics
        self.counted = [[breaker, 0, 0, 0] for breaker in getattr(worker.app, "breakers", ())]

    def write(self, bint beats):
        cdef Worker worker = self.worker
        self.set_c(FAMILY_ACTIVE_REQUESTS, None, worker.answering)
        self.set_c(FAMILY_OPEN_CONNECTIONS, "active", worker.answering)
        self.set_c(FAMILY_OPEN_CONNECTIONS, "idle", max(0, len(worker.streams) - worker.answering))
        self.set_c(FAMILY_LOOP_LAG_NS, None, max(worker.longest_turn_ns, self.longest_ns))
        self.tell_breakers_c()
        self.tell_pool_c()
        self.metrics.weigh()
        if beats:
            self.longest_ns = worker.longest_turn_ns

    cdef int tell_breakers_c(self) except -1:
        # Their own counts are of this process; these go on when it is replaced.
        cdef CircuitBreaker breaker
        for entry in self.counted:
            breaker = entry[0]
            before, entry[1:] = entry[1:], [breaker.opened, breaker.probes, breaker.closed]
            for state, now, then in zip(("open", "half-open", "closed"), entry[1:], before):
                self.metrics.add(FAMILY_BREAKER_TRANSITIONS, breaker.name, state, by=now - then)
            current = breaker.state
            for state in STATES:
                self.metrics.set_c(FAMILY_BREAKER_STATE, breaker.name, state, state == current)
        return 0

    cdef int tell_pool_c(self) except -1:
        pool = self.worker.pool
        self.set_c(FAMILY_POOL_HELD_BYTES, None, pool.held_bytes)
        self.set_c(FAMILY_POOL_IN_USE, None, pool.in_use)
        self.metrics.add(FAMILY_POOL_HITS, by=pool.hits - self.hits)
        self.metrics.add(FAMILY_POOL_MISSES, by=pool.misses - self.misses)
        self.hits, self.misses = pool.hits, pool.misses
        return 0

    cdef int set_c(self, int family, str first, int64_t value) except -1:
        return self.metrics.set_c(family, first, None, value)
