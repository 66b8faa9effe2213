# Decisions in a compiled loop, so that the cost of a Python call does not hide the table's.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from highperf.clock cimport monotonic_ns
from highperf.guards.keyed cimport KeyedBuckets


def take_in_turn(KeyedBuckets buckets, list keys, int rounds):
    """Takes one token of every key `rounds` times, reading the clock each time; returns how many passed."""
    cdef bytes key
    cdef long passed = 0
    for _ in range(rounds):
        for key in keys:
            passed += buckets.take_c(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key), 1, monotonic_ns()) == 0
    return passed
