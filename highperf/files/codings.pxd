# Which content coding to send: RFC 9110 section 12.5.3.

cdef enum:
    # A Coding: in the order in which they are preferred where the client does not care.
    CODING_BR = 0
    CODING_ZSTD = 1
    CODING_GZIP = 2
    CODING_IDENTITY = 3
    CODING_COUNT = 4


cdef struct Weights:
    # Thousandths by Coding; -1: not said.
    int of[CODING_COUNT]
    int others                  # of "*"


cdef void no_weights_c(Weights* weights) noexcept nogil
# Adds what one Accept-Encoding field says.
cdef void weigh_codings_c(const char* value, Py_ssize_t size, Weights* weights) noexcept nogil
# The best of the codings whose bit (1 << Coding) is set in available; CODING_IDENTITY always is.
cdef int choose_coding_c(const Weights* weights, int available) noexcept nogil
