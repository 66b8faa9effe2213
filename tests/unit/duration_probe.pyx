# The C-level interface of wire/duration, for test_duration.py.

from highperf.wire.duration cimport parse_duration_ns


def parse(bytes text):
    """Nanoseconds, or -1."""
    return parse_duration_ns(text, len(text))
