# Owns how a parsed head is shown to Python: header fields, query, path. Nothing is decoded before
# it is asked for. Knows no routes and no bodies, and does not judge: the parser has.
#
# Field names are compared without case and given in lower case; values are given as latin-1,
# which loses no octet. Paths and queries are UTF-8, and a wrong octet becomes U+FFFD.

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.unicode cimport PyUnicode_DecodeLatin1, PyUnicode_DecodeUTF8
from libc.string cimport memchr

from highperf.wire.chars cimport hex_value, same_folded
from highperf.wire.parser cimport Field, Head, Span

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL
    bint PyUnicode_IS_ASCII(object text)


@cython.final
cdef class Headers:
    def __cinit__(self, Head head not None):
        self.head = head

    def __getitem__(self, str name not None):
        cdef int at = locate(self.head, name, 0)
        if at < 0:
            raise KeyError(name)
        return value_text(self.head, at)

    def get(self, str name not None, default=None):
        cdef int at = locate(self.head, name, 0)
        return default if at < 0 else value_text(self.head, at)

    def get_all(self, str name not None):
        cdef list values = []
        cdef int at = locate(self.head, name, 0)
        while at >= 0:
            values.append(value_text(self.head, at))
            at = locate(self.head, name, at + 1)
        return values

    def __contains__(self, object name):
        return isinstance(name, str) and locate(self.head, name, 0) >= 0

    def __len__(self):
        return self.head.field_count

    def __iter__(self):
        return iter(self.keys())

    def keys(self):
        return [name_text(self.head, at) for at in range(self.head.field_count)]

    def values(self):
        return [value_text(self.head, at) for at in range(self.head.field_count)]

    def items(self):
        return [(name_text(self.head, at), value_text(self.head, at)) for at in range(self.head.field_count)]

    @property
    def raw(self):
        cdef list pairs = []
        cdef Field* field
        cdef int at
        for at in range(self.head.field_count):
            field = &self.head.fields[at]
            pairs.append((octets_of(self.head, field.name), octets_of(self.head, field.value)))
        return pairs

    def __repr__(self):
        return f"Headers({self.items()!r})"


cdef Headers headers_of_c(Head head):
    return Headers.__new__(Headers, head)


cdef int locate(Head head, str name, int start) except -2:
    # Index of the first field from `start` on with this name, or -1.
    cdef Py_ssize_t size
    cdef const char* octets
    cdef Span span
    cdef int at
    if not PyUnicode_IS_ASCII(name):
        return -1
    octets = PyUnicode_AsUTF8AndSize(name, &size)
    for at in range(start, head.field_count):
        span = head.fields[at].name
        if span.size == size and same_folded(head.base + span.start, octets, size):
            return at
    return -1


cdef inline bytes octets_of(Head head, Span span):
    return PyBytes_FromStringAndSize(head.base + span.start, span.size)


cdef inline str value_text(Head head, int at):
    cdef Span span = head.fields[at].value
    return PyUnicode_DecodeLatin1(head.base + span.start, span.size, NULL)


cdef inline str name_text(Head head, int at):
    cdef Span span = head.fields[at].name
    return PyUnicode_DecodeLatin1(head.base + span.start, span.size, NULL).lower()


@cython.final
cdef class Query:
    def __init__(self, bytes source not None):
        self.source = source

    def __getitem__(self, str name not None):
        self.parse_c()
        return (<list>self.index[name])[0]

    def get(self, str name not None, default=None):
        self.parse_c()
        values = self.index.get(name)
        return default if values is None else (<list>values)[0]

    def get_all(self, str name not None):
        self.parse_c()
        return list(self.index.get(name, ()))

    def __contains__(self, object name):
        self.parse_c()
        return name in self.index

    def __len__(self):
        self.parse_c()
        return len(self.pairs)

    def __iter__(self):
        return iter(self.keys())

    def keys(self):
        self.parse_c()
        return [name for name, _ in self.pairs]

    def values(self):
        self.parse_c()
        return [value for _, value in self.pairs]

    def items(self):
        self.parse_c()
        return list(self.pairs)

    def __repr__(self):
        return f"Query({self.items()!r})"

    cdef int parse_c(self) except -1:
        # Once, into decoded pairs; one scratch area serves them all.
        cdef const char* p
        cdef const char* end
        cdef const char* stop
        cdef char* scratch
        if self.pairs is not None:
            return 0
        pairs = []
        p = PyBytes_AS_STRING(self.source)
        end = p + PyBytes_GET_SIZE(self.source)
        scratch = <char*>PyMem_Malloc(end - p + 1)
        if scratch == NULL:
            raise MemoryError()
        try:
            while p < end:
                stop = find(p, end, c'&')
                if stop > p:
                    pairs.append(pair_of(p, stop, scratch))
                p = stop + 1
        finally:
            PyMem_Free(scratch)
        index = {}
        for name, value in pairs:
            index.setdefault(name, []).append(value)
        self.index = index
        self.pairs = pairs
        self.source = None
        return 0


cdef Query query_of_c(Head head):
    cdef Query query = Query.__new__(Query)
    query.source = octets_of(head, head.query) if head.has_query else b""
    return query


cdef tuple pair_of(const char* start, const char* end, char* scratch):
    cdef const char* equals = find(start, end, c'=')
    name = form_text(start, equals, scratch)
    return name, form_text(equals + 1, end, scratch) if equals < end else ""


cdef str form_text(const char* p, const char* end, char* scratch):
    # application/x-www-form-urlencoded: "+" is a space; a "%" without two hex digits stands for
    # itself, as browsers have it.
    cdef char* out = scratch
    while p < end:
        if p[0] == c'%' and end - p >= 3 and hex_value(p[1]) >= 0 and hex_value(p[2]) >= 0:
            out[0] = <char>(hex_value(p[1]) << 4 | hex_value(p[2]))
            p += 3
        else:
            out[0] = c' ' if p[0] == c'+' else p[0]
            p += 1
        out += 1
    return PyUnicode_DecodeUTF8(scratch, out - scratch, "replace")


cdef inline const char* find(const char* p, const char* end, char octet) noexcept nogil:
    # The first such octet, or end.
    cdef const char* found = <const char*>memchr(p, octet, end - p)
    return end if found == NULL else found


cdef Py_ssize_t decode_path_c(const char* source, Py_ssize_t size, char* out) noexcept nogil:
    cdef const char* p = source
    cdef const char* end = source + size
    cdef char* start = out
    cdef int high
    cdef int low
    while p < end:
        if p[0] == c'%' and end - p >= 3:
            high = hex_value(p[1])
            low = hex_value(p[2])
            if high >= 0 and low >= 0:
                out[0] = <char>(high << 4 | low)
                if out[0] == c'/':
                    out[0] = 0
                out += 1
                p += 3
                continue
        out[0] = p[0]
        out += 1
        p += 1
    return out - start


cdef str path_text_c(const char* octets, Py_ssize_t size):
    cdef str text = PyUnicode_DecodeUTF8(octets, size, "replace")
    return text.replace("\0", "/") if memchr(octets, 0, size) != NULL else text
