# The C-level interface of guards/breaker that has no twin in Python, for test_breaker.py.

from highperf.guards.breaker cimport OUTCOME_FAILURE, OUTCOME_IGNORED, OUTCOME_SUCCESS, STATE, CircuitBreaker
from highperf.segment cimport load_word


def outcomes():
    return OUTCOME_SUCCESS, OUTCOME_FAILURE, OUTCOME_IGNORED


def report(CircuitBreaker breaker, long long pass_, int outcome, long long now_ns):
    breaker.report_c(pass_, outcome, now_ns)


def closed(CircuitBreaker breaker):
    return breaker.closed_c()


def refuses(CircuitBreaker breaker, long long now_ns):
    """Whether it is open or a probe has it, and that is not over; stores nothing."""
    return breaker.state != "ramp" and breaker.left_ms_c(load_word(&breaker.words[STATE]), now_ns) != 0


def retry_after(CircuitBreaker breaker, long long now_ns):
    return breaker.retry_after_c(now_ns)


def retry_after_s(CircuitBreaker breaker, long long now_ns):
    return breaker.retry_after_s_c(now_ns)
