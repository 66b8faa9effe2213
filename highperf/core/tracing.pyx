# Owns what is told of sampled requests, by OpenTelemetry's semantic conventions for HTTP servers, and when. Must
# not know who records it, nor how it is exported.
#
# Of a request that is not sampled nothing is made. Whatever a recorder raises costs its span, never the request.

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from highperf.clock cimport monotonic_ns, unix_ns
from highperf.core.stream cimport Stream
from highperf.observe.exchange cimport ENDING_CUT, ENDING_LEFT, Exchange
from highperf.observe.traces cimport TraceSource, trace_context_c
from highperf.wire.parser cimport METHOD_OTHER, Head, Span

from highperf.wire import router

cdef str ANY = "*"              # the pattern of the route that takes what no other does

cdef tuple METHODS = router.METHOD_NAMES


cdef inline str text_of(Head head, Span span):
    # Octets that are no UTF-8 are shown as they were.
    return PyBytes_FromStringAndSize(head.base + span.start, span.size).decode("utf-8", "backslashreplace")


cdef int add_server(dict attributes, Head head) except -1:
    # server.address and server.port, of the authority: host or [IPv6], and perhaps a port, as the parser checked it
    cdef str authority = text_of(head, head.authority)
    host, colon, port = authority.rpartition(":")
    if not colon or not port.isdecimal():
        host, port = authority, ""
    if host:
        attributes["server.address"] = host.strip("[]")
    if port:
        attributes["server.port"] = int(port)
    return 0


cdef inline long long unix_of(long long instant_ns) noexcept:
    # Of an instant of the monotonic clock, as the two clocks stand now.
    return unix_ns() - (monotonic_ns() - instant_ns)


@cython.final
cdef class Tracer:
    def __init__(self, recorder not None, TraceSource source not None, logger not None):
        self.recorder = recorder
        self.source = source
        self.logger = logger

    cdef void begin_c(self, Stream stream, Head head) noexcept:
        self.source.begin_c(head, &stream.exchange.trace)

    cdef int open_c(self, Stream stream, Head head, object context) except -1:
        cdef Exchange* exchange = &stream.exchange
        cdef str pattern = None if stream.route is None else stream.route.pattern
        cdef str name = "HTTP" if exchange.method == METHOD_OTHER else <str>METHODS[exchange.method]
        if pattern == ANY:
            pattern = None
        if pattern is not None:
            name = f"{name} {pattern}"
        try:
            stream.span = self.recorder.begin(
                trace_context_c(&exchange.trace, head), name, unix_of(exchange.begun_ns),
                self.describe_c(stream, head, pattern), context,
            )
        except Exception:
            self.logger.exception("a span could not begin")
        return 0

    cdef dict describe_c(self, Stream stream, Head head, str pattern):
        cdef int line = head.find_c(b"user-agent", 10, 0)
        cdef object client = stream.client_c(head)
        cdef dict attributes = {
            "http.request.method": METHODS[head.method],
            "url.path": text_of(head, head.path) or ("*" if head.asterisk else "/"),
            "network.protocol.version": "1.1" if head.minor else "1.0",
        }
        if head.method == METHOD_OTHER:
            attributes["http.request.method_original"] = text_of(head, head.method_token)
        if head.query.size:
            attributes["url.query"] = text_of(head, head.query)
        if pattern is not None:
            attributes["http.route"] = pattern
        attributes["url.scheme"] = stream.scheme_c(head) or "http"
        add_server(attributes, head)
        if client is not None:
            attributes["client.address"] = client[0]
            if client[1]:
                attributes["client.port"] = client[1]
        if line >= 0:
            attributes["user_agent.original"] = text_of(head, head.fields[line].value)
        return attributes

    cdef int fail_c(self, Stream stream, object error) except -1:
        try:
            self.recorder.fail(stream.span, error)
        except Exception:
            self.logger.exception("a span could not be told of a failure")
        return 0

    cdef int close_c(self, Stream stream, Head head) except -1:
        cdef Exchange* exchange = &stream.exchange
        cdef object span
        cdef str failure = None
        if stream.span is None and head is not None:
            self.open_c(stream, head, None)
        span = stream.span
        stream.span = None
        if span is None:
            return 0
        if exchange.ending == ENDING_CUT:
            failure = "aborted"
        elif exchange.ending == ENDING_LEFT:
            failure = "client_disconnected"
        try:
            self.recorder.end(span, unix_of(exchange.ended_ns), exchange.status, failure)
        except Exception:
            self.logger.exception("a span could not end")
        return 0
