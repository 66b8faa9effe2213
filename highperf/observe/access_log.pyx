# Owns the form of access lines: which requests get one, and what is in it. Must not know where lines go
# (line_sink does), whose request it was, nor the language that formats are written in (log_format does).
#
# A format becomes steps, each a literal and an atom. A line is written straight into the sink, forward, and never
# longer than LINE_MOST: every text may take what is left when all that follows has its room, so whatever is
# too long is cut where it stands, and the line is whole (in JSON: valid) all the same.
#
# What nobody told is "-", and in JSON left out. Times are those of the clock once a second; no clock is read here.

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from highperf.observe.exchange cimport ENDING_CUT, ENDING_LEFT, ENDING_SENT, Exchange
from highperf.observe.line_sink cimport LINE_MOST, LineSink
from highperf.observe.text cimport put_escaped
from highperf.observe.traces cimport write_hex_c
from highperf.wire.chars cimport same_lower
from highperf.wire.parser cimport METHOD_CONNECT, Head, Span
from highperf.wire.response cimport ResponseHeaders, reason_c
from highperf.wire.writing cimport put, put_decimal, put_padded
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy

import os

from highperf.log_format import Member

cdef enum Atom:
    # fixed or numbers: put_number_c
    ATOM_NOTHING, ATOM_USER, ATOM_STATUS, ATOM_SENT, ATOM_SENT_OR_NONE, ATOM_SECONDS, ATOM_MILLISECONDS
    ATOM_MICROSECONDS, ATOM_DECIMAL_SECONDS, ATOM_DECIMAL_MS, ATOM_PID, ATOM_WORKER, ATOM_PORT, ATOM_TIME
    ATOM_APACHE_TIME, ATOM_RECEIVED, ATOM_TRACE, ATOM_SPAN, ATOM_LEVEL
    # texts: put_text_c
    ATOM_HOST, ATOM_CLIENT, ATOM_ROUTE, ATOM_ID, ATOM_REASON, ATOM_ENDING, ATOM_UNUSUAL
    # of the request's head: put_head_c
    ATOM_LINE, ATOM_METHOD, ATOM_PATH, ATOM_QUERY, ATOM_VERSION, ATOM_REFERER, ATOM_AGENT, ATOM_FIELD
    # of the answer
    ATOM_ANSWER_FIELD

cdef tuple NAMES = (            # by Atom
    "l", "u", "s", "B", "b", "T", "M", "D", "L", "ms", "p", "worker", "port", "time", "t", "received", "trace", "span",
    "level", "h", "client", "route", "id", "reason", "ending", "unusual", "r", "m", "U", "q", "H", "f", "a", "i", "o",
)

cdef enum:
    NUMBER_MOST = 32            # octets of an atom that is no text
    TEXT_LEAST = 16             # of one that is, however much of it is cut off
    VALUE_MOST = 2048           # octets of a text, escapes included
    STATUSES = 600
    US = 1000
    MS = 1_000_000
    SECOND_NS = 1_000_000_000

cdef extern from "time.h" nogil:
    struct tm:
        int tm_sec, tm_min, tm_hour, tm_mday, tm_mon, tm_year
    ctypedef long time_t
    tm* gmtime_r(const time_t* seconds, tm* parts)


@cython.final
cdef class AccessLog:
    def __cinit__(self):
        self.second = -1

    def __init__(self, LineSink sink not None, parts, *, excluded=(), long long slow_ns=0, sample=None):
        cdef bytes text
        cdef int status
        self.sink = sink
        self.keeper = []
        self.excluded = [path.encode("utf-8", "surrogateescape") for path in excluded]
        self.slow_ns = slow_ns
        if sample is None:
            sample = 0.0 if slow_ns else 1.0
        self.all_others = sample >= 1
        self.sample = 0 if self.all_others else <uint32_t><uint64_t>(sample * 2**32)
        self.random_state = int.from_bytes(os.urandom(8), "little") | 1
        text = b"<%d>" % os.getpid()
        memcpy(self.pid_text, PyBytes_AS_STRING(text), len(text))
        self.pid_size = <int>len(text)
        for status in range(100, STATUSES):
            self.reasons[status] = self.kept_c(reason_c(status))
        self.compile_c(parts, isinstance(parts[0], Member))
        self.refresh_c(0)

    def __dealloc__(self):
        free(self.steps)

    cdef const char* kept_c(self, str text) except NULL:
        cdef bytes octets = text.encode("utf-8")
        self.keeper.append(octets)
        return PyBytes_AS_STRING(octets)

    # ---- the format ---------------------------------------------------------------------------

    cdef int compile_c(self, parts, bint json) except -1:
        cdef Step* step
        cdef str literal = ""
        self.json = json
        self.steps = <Step*>calloc(len(parts), sizeof(Step))
        if self.steps == NULL:
            raise MemoryError()
        for part in parts:
            if isinstance(part, str):
                literal = part
                continue
            step = &self.steps[self.count]
            self.count += 1
            if json:
                literal = f'{"," if self.count > 1 else "{"}"{part.key}":{"" if part.is_number else chr(34)}'
                step.quoted = not part.is_number
                step.optional = True
                part = part.atom
            step.literal = self.kept_c(literal)
            step.literal_size = len(literal.encode())
            step.atom = NAMES.index(part.name)
            step.field = self.kept_c(part.field)
            step.field_size = len(part.field)
            self.wants_fields = self.wants_fields or step.atom == ATOM_ANSWER_FIELD
            self.wants_route = self.wants_route or step.atom == ATOM_ROUTE
            self.wants_trace = self.wants_trace or step.atom == ATOM_TRACE or step.atom == ATOM_SPAN
            literal = ""
        literal = ("}" if json else literal) + "\n"
        self.tail = self.kept_c(literal)
        self.tail_size = len(literal.encode())
        return self.settle_rests_c()

    cdef int settle_rests_c(self) noexcept:
        cdef Py_ssize_t rest = self.tail_size
        cdef int index
        for index in range(self.count - 1, -1, -1):
            rest += self.steps[index].quoted
            self.steps[index].rest = rest
            rest += self.steps[index].literal_size + (NUMBER_MOST if self.steps[index].atom < ATOM_HOST else TEXT_LEAST)
        return 0

    # ---- which requests -----------------------------------------------------------------------

    cdef bint wants_c(self, const Exchange* exchange, Head head) noexcept:
        if head is not None and self.excludes_c(head):
            return False
        if self.all_others or exchange.status >= 500:
            return True
        if self.slow_ns and exchange.ended_ns - exchange.begun_ns > self.slow_ns:
            return True
        if self.sample == 0:
            return False
        # xorshift64* (Vigna 2016): nobody gains by foreseeing it
        self.random_state ^= self.random_state >> 12
        self.random_state ^= self.random_state << 25
        self.random_state ^= self.random_state >> 27
        return <uint32_t>(self.random_state * 0x2545F4914F6CDD1Du >> 32) < self.sample

    cdef bint excludes_c(self, Head head) noexcept:
        cdef bytes path
        for path in self.excluded:
            if PyBytes_GET_SIZE(path) == head.path.size and memcmp(
                PyBytes_AS_STRING(path), head.base + head.path.start, head.path.size
            ) == 0:
                return True
        return False

    # ---- a line -------------------------------------------------------------------------------

    cdef int note_c(self, const Exchange* exchange, Head head, const Circumstances* about, tuple answer) except -1:
        cdef char* room = self.sink.room_c()
        if room != NULL:
            self.sink.size += self.write_c(room, exchange, head, about, answer) - room
        return 0

    cdef char* write_c(
        self, char* at, const Exchange* exchange, Head head, const Circumstances* about, tuple answer
    ) noexcept:
        cdef const char* end = at + LINE_MOST
        cdef const char* limit
        cdef char* begun
        cdef char* value
        cdef const Step* step
        cdef int index
        for index in range(self.count):
            step = &self.steps[index]
            begun = at
            value = at = put(at, step.literal, step.literal_size)
            limit = end - step.rest
            if limit - at > VALUE_MOST:
                limit = at + VALUE_MOST
            if step.atom == ATOM_ANSWER_FIELD:
                at = put_answer_field(step, at, limit, answer, self.json)
            else:
                at = self.put_atom_c(step, at, limit, exchange, head, about)
            if at == value:
                if step.optional:
                    at = begun
                else:
                    at[0] = c"-"
                    at += 1
            elif step.quoted:
                at[0] = c'"'
                at += 1
        return put(at, self.tail, self.tail_size)

    cdef char* put_atom_c(self, const Step* step, char* at, const char* limit, const Exchange* exchange, Head head,
                          const Circumstances* about) noexcept:
        if step.atom < ATOM_HOST:
            return self.put_number_c(step.atom, at, exchange, about)
        if step.atom < ATOM_LINE:
            return self.put_text_c(step, at, limit, exchange, about)
        return at if head is None else self.put_head_c(step, at, limit, head)

    cdef char* put_number_c(self, int atom, char* at, const Exchange* exchange, const Circumstances* about) noexcept:
        cdef uint64_t took_ns = max(0, exchange.ended_ns - exchange.begun_ns)
        if atom == ATOM_STATUS:
            return put_padded(at, exchange.status, 3) if exchange.status else at
        if atom == ATOM_SENT or (atom == ATOM_SENT_OR_NONE and exchange.sent > 0):
            return put_decimal(at, exchange.sent)
        if atom == ATOM_DECIMAL_MS:
            at = put_decimal(at, took_ns // MS)
            at[0] = c"."
            return put_padded(at + 1, took_ns % MS // (10 * US), 2)
        if atom == ATOM_TIME:
            return put(at, self.time_text, 20)
        if atom == ATOM_APACHE_TIME:
            return put(at, self.apache_text, 28)
        if atom == ATOM_SECONDS:
            return put_decimal(at, took_ns // SECOND_NS)
        if atom == ATOM_MILLISECONDS:
            return put_decimal(at, took_ns // MS)
        if atom == ATOM_MICROSECONDS:
            return put_decimal(at, took_ns // US)
        if atom == ATOM_DECIMAL_SECONDS:
            at = put_decimal(at, took_ns // SECOND_NS)
            at[0] = c"."
            return put_padded(at + 1, took_ns % SECOND_NS // US, 6)
        if atom == ATOM_RECEIVED:
            return put_decimal(at, exchange.received)
        return self.put_identity_c(atom, at, about)

    cdef char* put_identity_c(self, int atom, char* at, const Circumstances* about) noexcept:
        if atom == ATOM_LEVEL:
            return put(at, b"INFO", 4)
        if atom == ATOM_PID:
            return put(at, self.pid_text, self.pid_size)
        if atom == ATOM_WORKER:
            return put(at, self.pid_text + 1, self.pid_size - 2)
        if atom == ATOM_PORT and about.client_port:
            return put_decimal(at, about.client_port)
        if atom == ATOM_TRACE and about.trace != NULL:
            write_hex_c(about.trace.id_high, at)
            write_hex_c(about.trace.id_low, at + 16)
            return at + 32
        if atom == ATOM_SPAN and about.trace != NULL:
            write_hex_c(about.trace.span_id, at)
            return at + 16
        return at                       # also ATOM_NOTHING and ATOM_USER

    cdef char* put_text_c(self, const Step* step, char* at, const char* limit, const Exchange* exchange,
                          const Circumstances* about) noexcept:
        cdef int atom = step.atom
        cdef const char* text = NULL
        if atom == ATOM_HOST:
            return put_escaped(at, limit, about.client, about.client_size, self.json)
        if atom == ATOM_CLIENT:
            return put_client(at, limit, about)
        if atom == ATOM_ROUTE:
            return put_escaped(at, limit, about.route, about.route_size, self.json)
        if atom == ATOM_ID:
            return put_escaped(at, limit, about.request_id, about.request_id_size, self.json)
        if atom == ATOM_REASON and exchange.ending == ENDING_SENT:
            if 100 <= exchange.status < STATUSES:
                text = self.reasons[exchange.status]
        elif exchange.ending == ENDING_LEFT:
            text = b"client left" if atom == ATOM_REASON else b"left"
        elif exchange.ending == ENDING_CUT:
            text = b"cut"
        elif atom == ATOM_ENDING:
            text = b"sent"
        return at if text == NULL else put_escaped(at, limit, text, len(text), self.json)

    cdef char* put_head_c(self, const Step* step, char* at, const char* limit, Head head) noexcept:
        cdef int atom = step.atom
        if atom == ATOM_LINE:
            at = put_span(at, limit - 13, head, head.method_token, self.json)   # 13: "... HTTP/1.1" and a blank
            at[0] = c" "
            at = put_span(at + 1, limit - 9, head, head.target, self.json)
            return put_padded(put(at, b" HTTP/1.", 8), head.minor, 1)
        if atom == ATOM_METHOD:
            return put_span(at, limit, head, head.method_token, self.json)
        if atom == ATOM_PATH:
            if head.method == METHOD_CONNECT:
                return put_span(at, limit, head, head.target, self.json)
            if head.path.size == 0:
                return put(at, b"*" if head.asterisk else b"/", 1)
            return put_span(at, limit, head, head.path, self.json)
        if atom == ATOM_QUERY:
            return put_span(at, limit, head, head.query, self.json)
        if atom == ATOM_VERSION:
            return put_padded(put(at, b"HTTP/1.", 7), head.minor, 1)
        if atom == ATOM_REFERER:
            return put_field(at, limit, head, b"referer", 7, self.json)
        if atom == ATOM_AGENT:
            return put_field(at, limit, head, b"user-agent", 10, self.json)
        return put_field(at, limit, head, step.field, step.field_size, self.json)

    # ---- time ---------------------------------------------------------------------------------

    def refresh(self, long long unix_s):
        self.refresh_c(unix_s)

    cdef void refresh_c(self, long long unix_s) noexcept:
        # 2026-11-24T17:11:27Z and [24/Nov/2026:17:11:27 +0000]
        cdef time_t seconds = <time_t>unix_s
        cdef tm now
        cdef const char* months = b"JanFebMarAprMayJunJulAugSepOctNovDec"
        cdef char* at = self.time_text
        if unix_s == self.second:
            return
        self.second = unix_s
        gmtime_r(&seconds, &now)
        at = put_padded(at, 1900 + now.tm_year, 4)
        at = put_two(at, c"-", now.tm_mon + 1)
        at = put_two(at, c"-", now.tm_mday)
        at = put_two(put_two(put_two(at, c"T", now.tm_hour), c":", now.tm_min), c":", now.tm_sec)
        at[0] = c"Z"
        at = put_two(self.apache_text, c"[", now.tm_mday)
        at[0] = c"/"
        at = put(at + 1, months + 3 * now.tm_mon, 3)
        at[0] = c"/"
        at = put_padded(at + 1, 1900 + now.tm_year, 4)
        at = put_two(put_two(put_two(at, c":", now.tm_hour), c":", now.tm_min), c":", now.tm_sec)
        put(at, b" +0000]", 7)


cdef inline char* put_two(char* at, char before, int value) noexcept nogil:
    at[0] = before
    return put_padded(at + 1, value, 2)


cdef inline char* put_span(char* at, const char* limit, Head head, Span span, bint json) noexcept:
    return put_escaped(at, limit, head.base + span.start, span.size, json)


cdef char* put_field(char* at, const char* limit, Head head, const char* name, Py_ssize_t size, bint json) noexcept:
    # The first of that name.
    cdef int found = head.find_c(name, size, 0)
    return at if found < 0 else put_span(at, limit, head, head.fields[found].value, json)


cdef char* put_client(char* at, const char* limit, const Circumstances* about) noexcept nogil:
    # With its port, and then an IPv6 address in brackets (RFC 3986 section 3.2.2). It is no client's choice.
    cdef bint bracketed = False
    cdef Py_ssize_t index
    if about.client_size == 0 or about.client_size + 8 > limit - at:
        return at
    if about.client_port:
        for index in range(about.client_size):
            bracketed = bracketed or about.client[index] == c":"
    if bracketed:
        at[0] = c"["
        at += 1
    at = put(at, about.client, about.client_size)
    if bracketed:
        at[0] = c"]"
        at += 1
    if about.client_port:
        at[0] = c":"
        at = put_decimal(at + 1, about.client_port)
    return at


cdef char* put_answer_field(const Step* step, char* at, const char* limit, tuple answer, bint json) noexcept:
    # Content-Type has a place of its own. What the server adds by itself (Date, Server, ...) is not told.
    cdef bytes content_type, value = None
    cdef ResponseHeaders fields
    cdef tuple field
    if answer is None:                  # none had begun
        return at
    content_type, fields = <bytes>answer[0], <ResponseHeaders>answer[1]
    if content_type is not None and step.field_size == 12 and memcmp(step.field, b"content-type", 12) == 0:
        value = content_type
    elif fields is not None:
        for field in fields.fields:
            if PyBytes_GET_SIZE(<bytes>field[0]) == step.field_size and same_lower(
                PyBytes_AS_STRING(<bytes>field[0]), step.field, step.field_size
            ):
                value = <bytes>field[1]
                break
    if value is None:
        return at
    return put_escaped(at, limit, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value), json)
