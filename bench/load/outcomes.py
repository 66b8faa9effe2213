"""What became of requests that clients sent over sockets of their own, and the arithmetic on it. Nothing here measures.

A request counts once and is never tried again: whatever is not the whole right answer is a failure. What
happens to a connection on which no request is under way is no failure, and counted apart.
"""

import math
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

from bench.load.openloop import NS, percentile


class Outcome(StrEnum):
    OK = "ok"  # the whole answer, and the right one
    REFUSED = "refused"  # nobody listens (ECONNREFUSED)
    RESET = "reset"  # the connection was torn down before any octet of the answer
    CLOSED = "closed"  # it was ended, politely, before any octet of the answer
    TRUNCATED = "truncated"  # ended in whatever way within the answer
    WRONG = "wrong"  # another status, another request's answer, octets that nobody asked for
    TIMEOUT = "timeout"


class Quiet(StrEnum):
    """How a connection ended on which no request was under way."""

    CLOSED = "closed"  # while it waited for the client's next request
    RESET = "reset"  # the same, torn down
    RESET_AT_END = "reset at its end"  # torn down after its last answer, instead of being closed
    LEFT_OPEN = "left open"  # its last answer said that it ends, but it did not
    SPOKE = "spoke"  # octets without a request


class Request(NamedTuple):
    """Times are ns of CLOCK_MONOTONIC."""

    serial: int
    kind: str
    begun_ns: int  # its connection is made after this, where it needs one
    ended_ns: int
    outcome: Outcome
    status: int  # 0: no answer
    pid: int  # the worker's that answered, or that had answered on this connection before; 0: not known
    fresh: bool  # the first request of its connection


class Ended(NamedTuple):
    """A connection that ended quietly."""

    at_ns: int
    how: Quiet
    pid: int


def failures(requests: Iterable[Request], refused_from_ns: int | None = None) -> list[Request]:
    """All that did not get their answer; a refused connection is none where it was refused at or after that time."""
    return [
        request
        for request in requests
        if request.outcome is not Outcome.OK
        and not (
            request.outcome is Outcome.REFUSED and refused_from_ns is not None and request.ended_ns >= refused_from_ns
        )
    ]


def resets(requests: Iterable[Request], ended: Iterable[Ended]) -> int:
    """Connections torn down, whether or not a request was under way."""
    torn = sum(request.outcome is Outcome.RESET for request in requests)
    return torn + sum(end.how in (Quiet.RESET, Quiet.RESET_AT_END) for end in ended)


def latencies_ms(requests: Iterable[Request], percents: Sequence[float] = (50, 99, 100)) -> list[float]:
    """Percentiles of what was answered rightly."""
    waits = sorted(request.ended_ns - request.begun_ns for request in requests if request.outcome is Outcome.OK)
    return [percentile(waits, percent) * 1000 / NS for percent in percents]


def rates(times_ns: Iterable[int], start_ns: int, seconds: float, width_s: float) -> list[float]:
    """Events a second in each span of `width_s`."""
    counts = [0] * round(seconds / width_s)
    for at_ns in times_ns:
        place = math.floor((at_ns - start_ns) / NS / width_s)
        if 0 <= place < len(counts):
            counts[place] += 1
    return [count / width_s for count in counts]


# ---- the bound of a rate limit ----------------------------------------------------------------------


class _Windows:
    """Counts of what lies in each window that begins at a known place and ends now.

    A tree over the beginnings: each node knows how many spans begin below it, and the best window that
    does. A span is in its own window and in all that begin before it.
    """

    def __init__(self, places: int) -> None:
        self.leaves = 1 << max(0, places - 1).bit_length()
        self.counts = [0] * (2 * self.leaves)
        self.bests = [float("-inf")] * (2 * self.leaves)

    def add(self, place: int, worth: float) -> None:
        """One more span begins here; a window that does is worth so much more than its count."""
        counts, bests, node = self.counts, self.bests, self.leaves + place
        counts[node], bests[node] = 1, worth + 1
        while node > 1:
            node //= 2
            left, right = 2 * node, 2 * node + 1
            counts[node] = counts[left] + counts[right]
            bests[node] = max(bests[left] + counts[right], bests[right])

    @property
    def best(self) -> float:
        return self.bests[1]


def worst_excess(spans_ns: Sequence[tuple[int, int]], rate: float) -> float:
    """The largest count of admissions less `rate` times seconds, of all windows of time; 0 of nothing.

    Of each admission the span is known in which it happened; a window surely holds those whose spans lie
    within it. A bucket of `capacity` that is filled at `rate` admits at most `capacity + rate * seconds` in any
    window, so what is returned may not exceed its capacity, whatever the delays of the network.
    """
    per_ns, order = rate / NS, sorted(range(len(spans_ns)), key=lambda index: spans_ns[index][0])
    places = {index: place for place, index in enumerate(order)}
    windows, worst = _Windows(len(order)), 0.0
    for index in sorted(places, key=lambda index: spans_ns[index][1]):
        begin_ns, end_ns = (at_ns - spans_ns[order[0]][0] for at_ns in spans_ns[index])
        windows.add(places[index], per_ns * begin_ns)
        worst = max(worst, windows.best - per_ns * end_ns)
    return worst
