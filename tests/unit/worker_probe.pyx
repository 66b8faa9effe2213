# What a worker holds for its requests and does not show: timers, and the permits of single routes.

from highperf.core.cycle cimport Route
from highperf.core.worker cimport Worker
from highperf.guards.breaker cimport STATE, STATE_SHIFT, CircuitBreaker
from highperf.guards.deadlines cimport TimeoutList
from highperf.segment cimport load_word


def deadlines(Worker worker not None):
    """Armed timers of requests."""
    cdef TimeoutList timeouts
    return len(worker.wheel) + sum([len(timeouts) for timeouts in worker.deadlines.values()])


def timers(Worker worker not None):
    """All armed timers."""
    cdef TimeoutList timeouts
    return len(worker.wheel) + sum([len(timeouts) for timeouts in worker.timeouts])


def running(Worker worker not None):
    """Permits that are out, summed over the routes."""
    cdef Route route
    cdef long long total = 0
    for _, _, route in worker.router.routes():
        if route.gate is not None:
            total += route.gate.running
    return total


def probing(CircuitBreaker breaker not None):
    """Whether the breaker waits for the outcome of a probe."""
    return load_word(&breaker.words[STATE]) >> STATE_SHIFT == 2


def now(Worker worker not None):
    """The worker's clock, in nanoseconds."""
    return worker.touch_c()
