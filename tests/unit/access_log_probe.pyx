# The C-level interface of observe/access_log and observe/text, for tests, the fuzzer and the benchmark.

from highperf.observe.access_log cimport AccessLog, Circumstances
from highperf.observe.exchange cimport Exchange
from highperf.observe.text cimport put_escaped
from highperf.wire.address cimport ADDRESS_MOST, Address, write_address
from highperf.wire.parser cimport PARSE_DONE, Head, Limits
from highperf.wire.response cimport ResponseHeaders
from libc.stdint cimport uint64_t, uintptr_t
from libc.string cimport memset


cdef int fill(bytes octets, Head head) except -1:
    cdef Limits limits
    limits.line_bytes = limits.field_bytes = 32 * 1024
    limits.fields = 100
    limits.head_bytes = 1024 * 1024
    head.reset_c()
    if head.parse_c(octets, len(octets), &limits) != PARSE_DONE:
        raise ValueError("no head")
    return 0


cdef int tell(dict told, Exchange* exchange, Circumstances* about) except -1:
    memset(exchange, 0, sizeof(Exchange))
    memset(about, 0, sizeof(Circumstances))
    exchange.begun_ns = 1
    exchange.ended_ns = 1 + told.get("took_ns", 0)
    exchange.received, exchange.sent = told.get("received", 0), told.get("sent", 0)
    exchange.status, exchange.ending = told.get("status", 200), told.get("ending", 0)
    if "client" in told:
        about.client, about.client_size = <bytes>told["client"], len(told["client"])
    about.client_port = told.get("port", 0)
    if "id" in told:
        about.request_id, about.request_id_size = <bytes>told["id"], len(told["id"])
    if "route" in told:
        about.route, about.route_size = <bytes>told["route"], len(told["route"])
    if "trace" in told:
        about.trace = &exchange.trace
        exchange.trace.id_high, exchange.trace.id_low = told["trace"]
        exchange.trace.span_id = told["span"]
    return 0


def line(AccessLog log, bytes octets, bytes content_type=None, ResponseHeaders fields=None, **told):
    """The line of the request with this head (None: it was not understood), or None where it gets none."""
    cdef Exchange exchange
    cdef Circumstances about
    cdef Head head = None
    if octets is not None:
        head = Head()
        fill(octets, head)
    tell(told, &exchange, &about)
    if not log.wants_c(&exchange, head):
        return None
    before = log.sink.size
    log.note_c(&exchange, head, &about, (content_type, fields) if log.wants_fields else None)
    after, log.sink.size = log.sink.size, before
    return log.sink.data[before:after]


def add(AccessLog log, bytes octets, int count, **told):
    """Writes that many lines, which are thrown away as if a file had taken them."""
    cdef Exchange exchange
    cdef Circumstances about
    cdef Head head = Head()
    cdef int _
    fill(octets, head)
    tell(told, &exchange, &about)
    for _ in range(count):
        if log.wants_c(&exchange, head):
            log.note_c(&exchange, head, &about, None)
        if log.sink.size > 64 * 1024:
            log.sink.size = 0
    log.sink.size = 0


def address_text(uint64_t high, uint64_t low):
    cdef char text[ADDRESS_MOST]
    cdef Address address
    address.high, address.low = high, low
    return text[:write_address(text, &address) - text]


def escape_at(uintptr_t out, Py_ssize_t room, uintptr_t text, Py_ssize_t size, bint json):
    """put_escaped with these places; how many octets it wrote."""
    return put_escaped(<char*>out, <const char*>(out + room), <const char*>text, size, json) - <char*>out
