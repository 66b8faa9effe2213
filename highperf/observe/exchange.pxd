# What is noted of one request and its answer while they pass, for whoever counts or tells them. The wire fills
# it and hands it to the observers once, when the answer is over. Borrowed: the wire's next request reuses it.

from libc.stdint cimport int64_t
from highperf.flag cimport flag
from highperf.observe.traces cimport Trace


cdef enum Ending:
    ENDING_SENT = 0             # the stream took the whole answer
    ENDING_CUT = 1              # we gave it up after its head had left, or before
    ENDING_LEFT = 2             # the client was gone first


cdef struct Exchange:
    long long begun_ns          # monotonic: its head was complete
    long long ended_ns          # its answer was handed over; the clock is not read for one that ran no handler
    int64_t received            # octets of the request's content, as far as it was read
    int64_t sent                # of the answer's
    int route_id                # what metrics know its route by; 0: no route took it
    short status                # 0: no answer had begun
    unsigned char method        # wire's Method
    unsigned char minor         # HTTP/1.minor
    unsigned char ending
    flag open                   # it is being answered
    Trace trace                 # which it belongs to, as soon as somebody wanted to know
