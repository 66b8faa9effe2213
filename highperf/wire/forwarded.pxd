# What proxies say of whom they had a request from: Forwarded (RFC 7239), X-Forwarded-For and
# X-Forwarded-Proto, read from the right, where the nearest proxy wrote.

from highperf.wire.address cimport Address
from highperf.wire.parser cimport Head

cdef enum:
    ELEMENTS_MOST = 32          # of one field that are looked at, empty ones too
    ELEMENT_SIZE = 512          # octets; an element of so many, or more, is not read


cdef enum Scheme:
    SCHEME_NONE = 0
    SCHEME_HTTP = 1
    SCHEME_HTTPS = 2


cdef struct Lines:
    # The last line of each field, as an index into Head.fields; -1: there is none.
    int forwarded
    int forwarded_for
    int forwarded_proto


cdef struct Walk:
    # A way through all lines of one field as if they were one list, from its end to its beginning.
    int line                    # index into Head.fields; -1: the way is over
    const char* start           # of what is left of this line, borrowed from the head; NULL: nothing
    const char* end
    int left                    # elements that will still be looked at


cdef struct Hop:
    # One element.
    bint named                  # it says something of whom the request came from
    bint known                  # namely this address
    Address address
    int port                    # 0: it names none
    int scheme                  # Scheme


cdef void find_lines_c(Head head, Lines* lines) noexcept nogil
cdef void begin_walk_c(Head head, int line, Walk* walk) noexcept nogil

# The next element to the left; False: there is none. One that cannot be read names somebody who is not
# known, and the way is over.
cdef bint next_forwarded_c(Head head, Walk* walk, Hop* hop) noexcept nogil
cdef bint next_forwarded_for_c(Head head, Walk* walk, Hop* hop) noexcept nogil

# X-Forwarded-Proto: that of the hop by which so many others came after, or else of the first there is.
cdef int scheme_at_c(Head head, int line, int hops) noexcept nogil
