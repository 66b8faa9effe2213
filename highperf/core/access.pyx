# Owns when a request gets an access line, what is gathered for it, and when lines leave: all of one turn of the loop
# together. Must not know their form (observe/access_log.pyx), nor where they go.

cimport cython
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from highperf.core.stream cimport Stream
from highperf.observe.access_log cimport AccessLog, Circumstances
from highperf.observe.traces cimport Trace, read_parent_c
from highperf.wire.address cimport ADDRESS_MOST, Address, write_address
from highperf.wire.parser cimport Head
from libc.string cimport memset

cdef enum:
    FLUSH_PAUSE_MS = 20         # until lines that were not taken are offered again


@cython.final
cdef class AccessLines:
    def __init__(self, AccessLog log not None, loop not None):
        self.log = log
        self.loop = loop

    cdef int close_c(self, Stream stream, Head head) except -1:
        return self.note_c(stream, head) if self.log.wants_c(&stream.exchange, head) else 0

    cdef int note_c(self, Stream stream, Head head) except -1:
        cdef Circumstances about
        cdef Address address
        cdef Trace caller
        cdef char client[ADDRESS_MOST]
        memset(&about, 0, sizeof(about))
        if stream.address_c(head, &address, &about.client_port):
            about.client = client
            about.client_size = write_address(client, &address) - client
        about.request_id_size = stream.request_id_octets_c(&about.request_id)
        if self.log.wants_route and stream.route is not None:
            pattern = stream.route.pattern
            about.route = PyUnicode_AsUTF8AndSize(pattern, &about.route_size)
        if self.log.wants_trace:
            if stream.exchange.trace.known:
                about.trace = &stream.exchange.trace
            elif head is not None and read_parent_c(head, &caller):
                about.trace = &caller
        self.log.note_c(&stream.exchange, head, &about, stream.answer_fields)
        if not self.flushing:           # all lines of one turn of the loop leave together
            self.flushing = True
            self.loop.call_soon(self.flush)
        return 0

    def flush(self):
        self.flushing = not self.log.sink.flush_c()
        if self.flushing:
            self.loop.call_later(FLUSH_PAUSE_MS / 1000.0, self.flush)
