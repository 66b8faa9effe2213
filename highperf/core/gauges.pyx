# Owns what is written to a worker's metrics once in a beat, and by the worker that is scraped before it reads:
# how it stands, and what others have counted since (breakers, the buffer pool). Must not know who reads it.

cimport cython
from highperf.core.worker cimport Worker
from highperf.guards.breaker cimport CircuitBreaker
from highperf.observe.layout cimport (
    BREAKER_CLOSED, BREAKER_HALF_OPEN, BREAKER_OPEN, BREAKER_RAMP, FAMILY_ACTIVE_REQUESTS, FAMILY_BREAKER_STATE,
    FAMILY_BREAKER_TRANSITIONS, FAMILY_LOOP_LAG_NS, FAMILY_OPEN_CONNECTIONS, FAMILY_POOL_HELD_BYTES, FAMILY_POOL_HITS,
    FAMILY_LOG_DROPPED, FAMILY_POOL_IN_USE, FAMILY_POOL_MISSES, FAMILY_SPANS_DROPPED,
)
from highperf.observe.metrics cimport Metrics
from highperf.wire.buffers cimport BufferPool

cdef dict STATES = {
    "closed": BREAKER_CLOSED, "open": BREAKER_OPEN, "half-open": BREAKER_HALF_OPEN, "ramp": BREAKER_RAMP,
}


@cython.final
cdef class BreakerTally:
    def __init__(self, CircuitBreaker breaker not None, Metrics metrics not None):
        self.breaker = breaker
        self.state = metrics.cell_c(FAMILY_BREAKER_STATE, breaker.name, None)

    cdef int tell_c(self, Metrics metrics) except -1:
        # A breaker's own counts are of this process; these go on when it is replaced.
        cdef CircuitBreaker breaker = self.breaker
        cdef str name = breaker.name
        self.state[0] = STATES[breaker.state]
        if breaker.opened != self.opened:
            metrics.add(FAMILY_BREAKER_TRANSITIONS, name, "open", by=breaker.opened - self.opened)
            self.opened = breaker.opened
        if breaker.probes != self.probes:
            metrics.add(FAMILY_BREAKER_TRANSITIONS, name, "half-open", by=breaker.probes - self.probes)
            self.probes = breaker.probes
        if breaker.closed != self.closed:
            metrics.add(FAMILY_BREAKER_TRANSITIONS, name, "closed", by=breaker.closed - self.closed)
            self.closed = breaker.closed
        return 0


@cython.final
cdef class Gauges:
    def __init__(self, Worker worker not None):
        cdef Metrics metrics = worker.metrics
        self.worker = worker
        self.metrics = metrics
        self.breakers = [BreakerTally(breaker, metrics) for breaker in getattr(worker.app, "breakers", ())]
        self.active = metrics.cell_c(FAMILY_ACTIVE_REQUESTS, None, None)
        self.busy = metrics.cell_c(FAMILY_OPEN_CONNECTIONS, "active", None)
        self.idle = metrics.cell_c(FAMILY_OPEN_CONNECTIONS, "idle", None)
        self.lag = metrics.cell_c(FAMILY_LOOP_LAG_NS, None, None)
        self.pool_held = metrics.cell_c(FAMILY_POOL_HELD_BYTES, None, None)
        self.pool_in_use = metrics.cell_c(FAMILY_POOL_IN_USE, None, None)
        self.pool_hits = metrics.cell_c(FAMILY_POOL_HITS, None, None)
        self.pool_misses = metrics.cell_c(FAMILY_POOL_MISSES, None, None)
        self.spans_dropped = metrics.cell_c(FAMILY_SPANS_DROPPED, None, None)
        self.log_dropped = metrics.cell_c(FAMILY_LOG_DROPPED, None, None)

    def write(self, bint beats):
        cdef Worker worker = self.worker
        cdef BufferPool pool = worker.pool
        cdef BreakerTally tally
        cdef long long dropped = worker.spans_dropped
        cdef long long lines_lost = 0 if worker.access is None else worker.access.log.sink.lost
        self.active[0] = self.busy[0] = worker.answering        # one of each connection, with HTTP/1.1
        self.idle[0] = max(0, len(worker.streams) - worker.answering)
        self.lag[0] = max(worker.longest_turn_ns, self.longest_ns)
        self.pool_held[0] = pool.held_bytes
        self.pool_in_use[0] = pool.in_use
        self.pool_hits[0] += pool.hits - self.hits
        self.pool_misses[0] += pool.misses - self.misses
        self.hits, self.misses = pool.hits, pool.misses
        self.spans_dropped[0] += dropped - self.dropped
        self.dropped = dropped
        self.log_dropped[0] += lines_lost - self.lines_lost
        self.lines_lost = lines_lost
        for tally in self.breakers:
            tally.tell_c(self.metrics)
        self.metrics.weigh()
        if beats:
            self.longest_ns = worker.longest_turn_ns
