# Matches in a compiled loop, so that the cost of a Python call does not hide the router's.

from highperf.wire.router cimport Endpoint, PathParams, Router


def match_all(Router router, list paths, int rounds):
    """Matches every path `rounds` times; returns how many of them a route answered."""
    cdef PathParams params
    cdef Endpoint endpoint
    cdef bytes path
    cdef long found = 0
    for _ in range(rounds):
        for path in paths:
            endpoint = router.match_c(path, len(path), &params)
            if endpoint is not None:
                found += 1
    return found
