# Owns the grammar of traceparent and tracestate (W3C Trace Context, Level 2), the ids of traces and spans, and
# the decision whether a request's span is recorded. Must not know what a span is, nor who records it.
#
# Rules:
# - A traceparent that is not valid, or stands there twice, begins a new trace, and tracestate goes with it; a
#   tracestate that is not valid is left out, and its trace goes on (section 3.2, 3.3).
# - Of a later version the fields that this one has are read, and what stands behind them is not.
# - Samplers are OpenTelemetry's; its ratio looks at the last 64 bits of an id, so that all decide alike on a trace.
# - Ids are unique, but no secrets: xoroshiro128++ (Blackman and Vigna 2019), seeded by the system.

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint64_t
from highperf.wire.chars cimport hex_value, is_blank, is_digit
from highperf.wire.parser cimport Head, Span

import os

cdef enum:
    MEMBERS_MOST = 32           # of tracestate, section 3.3.1.1
    KEY_MOST = 256
    VALUE_MOST = 256

SAMPLERS = ("always_on", "always_off", "traceidratio")
PARENT_BASED = "parentbased_"


# ---- traceparent ------------------------------------------------------------------------------


cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    /* Eight lower-case hexadecimal digits at once, an octet of the word each. False: they are not all such. */
    static inline int hp_read_hex8(const char* digits, uint64_t* value) {
        const uint64_t each = 0x0101010101010101u;
        uint64_t word, nibbles;
        memcpy(&word, digits, 8);
        nibbles = ((word & each * 0x0F) + (word >> 6 & each) * 9) & each * 0x0F;
        if (nibbles + each * '0' + ((nibbles + each * 6) >> 4 & each) * ('a' - '0' - 10) != word)
            return 0;                   /* written anew they are something else */
    #if __BYTE_ORDER__ != __ORDER_BIG_ENDIAN__
        nibbles = __builtin_bswap64(nibbles);
    #endif
        nibbles = (nibbles | nibbles >> 4) & 0x00FF00FF00FF00FFu;
        nibbles = (nibbles | nibbles >> 8) & 0x0000FFFF0000FFFFu;
        *value = *value << 32 | ((nibbles | nibbles >> 16) & 0xFFFFFFFFu);
        return 1;
    }
    """
    bint hp_read_hex8(const char* digits, uint64_t* value) noexcept nogil


cdef inline bint read_hex16(const char* octets, uint64_t* value) noexcept nogil:
    value[0] = 0
    return hp_read_hex8(octets, value) and hp_read_hex8(octets + 8, value)


cdef inline int read_hex2(const char* octets) noexcept nogil:
    # -1: it is no octet in lower-case digits.
    cdef int high = hex_value(octets[0]), low = hex_value(octets[1])
    if high < 0 or low < 0 or c'A' <= octets[0] <= c'F' or c'A' <= octets[1] <= c'F':
        return -1
    return high << 4 | low


cdef bint read_traceparent_c(const char* octets, Py_ssize_t size, Trace* trace) noexcept nogil:
    # version "-" trace-id "-" parent-id "-" trace-flags
    cdef uint64_t id_high, id_low, parent_id
    cdef int version, flags
    if size < TRACEPARENT_SIZE or octets[2] != c'-' or octets[35] != c'-' or octets[52] != c'-':
        return False
    version = read_hex2(octets)
    flags = read_hex2(octets + 53)
    if version < 0 or flags < 0:
        return False
    if not read_hex16(octets + 3, &id_high) or not read_hex16(octets + 19, &id_low):
        return False
    if not read_hex16(octets + 36, &parent_id):
        return False
    if version == 0xFF or (size > TRACEPARENT_SIZE and (version == 0 or octets[TRACEPARENT_SIZE] != c'-')):
        return False
    if (id_high | id_low) == 0 or parent_id == 0:
        return False
    trace.id_high = id_high
    trace.id_low = id_low
    trace.span_id = trace.parent_id = parent_id
    trace.flags = flags & (TRACE_SAMPLED | TRACE_RANDOM)
    trace.known = True
    return True


cdef bint read_parent_c(Head head, Trace* trace) noexcept nogil:
    cdef int line = head.find_c(b"traceparent", 11, 0)
    cdef Span value
    if line < 0 or head.find_c(b"traceparent", 11, line + 1) >= 0:
        return False
    value = head.fields[line].value
    return read_traceparent_c(head.base + value.start, value.size, trace)


cdef void write_hex_c(uint64_t value, char* out) noexcept nogil:
    cdef int index
    for index in range(15, -1, -1):
        out[index] = b"0123456789abcdef"[value & 15]
        value >>= 4


# ---- tracestate -------------------------------------------------------------------------------


cdef inline bint begins_key(char c) noexcept nogil:
    return c'a' <= c <= c'z' or is_digit(c)


cdef inline bint in_key(char c) noexcept nogil:
    return begins_key(c) or c == c'_' or c == c'-' or c == c'*' or c == c'/' or c == c'@'


cdef inline bint in_value(char c) noexcept nogil:
    return c' ' <= c <= c'~' and c != c',' and c != c'='


cdef bint valid_member(const char* octets, const char* end) noexcept nogil:
    # key "=" value, without blanks around it
    cdef const char* start = octets
    while octets < end and in_key(octets[0]):
        octets += 1
    if octets == end or octets[0] != c'=' or octets == start or octets - start > KEY_MOST or not begins_key(start[0]):
        return False
    octets += 1
    start = octets
    while octets < end and in_value(octets[0]):
        octets += 1
    return octets == end and 0 < octets - start <= VALUE_MOST


cdef bint valid_tracestate_c(const char* octets, Py_ssize_t size, int* members) noexcept nogil:
    cdef const char* end = octets + size
    cdef const char* stop
    cdef const char* last
    while octets < end:
        while octets < end and is_blank(octets[0]):
            octets += 1
        stop = octets
        while stop < end and stop[0] != c',':
            stop += 1
        last = stop
        while last > octets and is_blank((last - 1)[0]):
            last -= 1
        if last > octets:               # members may be empty
            members[0] += 1
            if members[0] > MEMBERS_MOST or not valid_member(octets, last):
                return False
        octets = stop + 1
    return True


cdef str tracestate_c(Head head):
    cdef int line = head.find_c(b"tracestate", 10, 0)
    cdef int members = 0
    cdef list lines = []
    cdef Span value
    while line >= 0:
        value = head.fields[line].value
        if not valid_tracestate_c(head.base + value.start, value.size, &members):
            return ""
        if value.size:
            lines.append(PyBytes_FromStringAndSize(head.base + value.start, value.size).decode("ascii"))
        line = head.find_c(b"tracestate", 10, line + 1)
    return ",".join(lines) if members else ""


# ---- ids and sampling -------------------------------------------------------------------------


@cython.final
cdef class TraceSource:
    def __cinit__(self):
        self.state_0 = int.from_bytes(os.urandom(8), "little") | 1      # never both zero
        self.state_1 = int.from_bytes(os.urandom(8), "little")

    def __init__(self, str sampler=None, double ratio=1.0, *, bint follows=True):
        if sampler is None:
            sampler = "always_off"
        else:
            self.records = True
        self.follows = follows
        self.parent_decides = sampler.startswith(PARENT_BASED)
        sampler = sampler.removeprefix(PARENT_BASED)
        if sampler not in SAMPLERS:
            raise ValueError(f"{sampler!r}: expected one of {', '.join(SAMPLERS)}")
        if not 0 <= ratio <= 1:
            raise ValueError(f"a ratio of {ratio}: expected 0 to 1")
        if sampler != "traceidratio":
            ratio = sampler == "always_on"
        bound = round(ratio * 2**64)
        self.every = bound == 2**64
        self.bound = 0 if self.every else bound

    cdef void begin_c(self, Head head, Trace* trace) noexcept nogil:
        if not (self.follows and read_parent_c(head, trace)):
            trace.id_high = self.next_c()
            trace.id_low = self.next_id_c()
            trace.span_id = trace.parent_id = 0
            trace.flags = TRACE_RANDOM
            trace.known = True
        if self.records or trace.span_id == 0:
            trace.span_id = self.next_id_c()
        if self.records and (trace.parent_id == 0 or not self.parent_decides):
            trace.flags &= ~TRACE_SAMPLED
            if self.samples_c(trace.id_low):
                trace.flags |= TRACE_SAMPLED

    cdef bint samples_c(self, uint64_t id_low) noexcept nogil:
        return self.every or id_low < self.bound

    cdef uint64_t next_c(self) noexcept nogil:
        cdef uint64_t first = self.state_0, second = self.state_1, sum = first + second
        cdef uint64_t result = (sum << 17 | sum >> 47) + first
        second ^= first
        self.state_0 = (first << 49 | first >> 15) ^ second ^ (second << 21)
        self.state_1 = second << 28 | second >> 36
        return result

    cdef uint64_t next_id_c(self) noexcept nogil:
        cdef uint64_t drawn = self.next_c()
        while drawn == 0:
            drawn = self.next_c()
        return drawn


# ---- what Python sees -------------------------------------------------------------------------


cdef TraceContext trace_context_c(const Trace* trace, Head head):
    cdef TraceContext context = TraceContext.__new__(TraceContext)
    context.trace = trace[0]
    context.tracestate = tracestate_c(head) if trace.parent_id else ""
    return context


@cython.final
@cython.freelist(16)
cdef class TraceContext:
    def __init__(self):
        raise TypeError("trace contexts are made by the server")

    @property
    def trace_id(self):
        cdef char[32] octets
        write_hex_c(self.trace.id_high, octets)
        write_hex_c(self.trace.id_low, octets + 16)
        return octets[:32].decode("ascii")

    @property
    def span_id(self):
        cdef char[16] octets
        write_hex_c(self.trace.span_id, octets)
        return octets[:16].decode("ascii")

    @property
    def parent_id(self):
        cdef char[16] octets
        if self.trace.parent_id == 0:
            return None
        write_hex_c(self.trace.parent_id, octets)
        return octets[:16].decode("ascii")

    @property
    def sampled(self):
        return bool(self.trace.flags & TRACE_SAMPLED)

    @property
    def flags(self):
        return self.trace.flags

    @property
    def numbers(self):
        return (<object>self.trace.id_high << 64) | self.trace.id_low, self.trace.span_id, self.trace.parent_id

    @property
    def traceparent(self):
        cdef char[TRACEPARENT_SIZE] octets
        octets[0] = octets[1] = octets[53] = c'0'
        octets[2] = octets[35] = octets[52] = c'-'
        write_hex_c(self.trace.id_high, octets + 3)
        write_hex_c(self.trace.id_low, octets + 19)
        write_hex_c(self.trace.span_id, octets + 36)
        octets[54] = c'0' + self.trace.flags
        return octets[:TRACEPARENT_SIZE].decode("ascii")

    def __repr__(self):
        return f"<TraceContext {self.traceparent}>"
