# Calls past a circuit breaker in a compiled loop, so that the cost of a Python call does not hide it.

from highperf.guards.breaker cimport OUTCOME_FAILURE, OUTCOME_SUCCESS, CircuitBreaker


def call(CircuitBreaker breaker, long calls, long long now_ns, *, long long apart_ns=0, bint failing=False):
    """Asks and reports for every call, apart_ns one after the other; gives how many passed."""
    cdef long long pass_
    cdef long passed = 0
    for _ in range(calls):
        pass_ = breaker.allow_c(now_ns)
        if pass_ >= 0:
            passed += 1
            breaker.report_c(pass_, OUTCOME_FAILURE if failing else OUTCOME_SUCCESS, now_ns)
        now_ns += apart_ns
    return passed
