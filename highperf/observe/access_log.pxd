# AccessLog: a line for each request that was answered.

from libc.stdint cimport uint32_t, uint64_t

from highperf.observe.exchange cimport Exchange
from highperf.observe.line_sink cimport LineSink
from highperf.observe.traces cimport Trace
from highperf.wire.parser cimport Head


cdef struct Step:
    # A literal, and the atom behind it.
    const char* literal         # borrowed from AccessLog.keeper
    Py_ssize_t literal_size
    int atom                    # Atom of access_log.pyx
    bint quoted                 # JSON's quote follows the atom
    bint optional               # where there is nothing to tell, the literal is left out too
    const char* field           # lower-case name, where the atom is a field
    Py_ssize_t field_size
    Py_ssize_t rest             # octets that all behind this atom need at most, were every text in it empty


cdef struct Circumstances:
    # What a line may tell besides its Head and Exchange; all borrowed, NULL: there is none.
    const char* client
    Py_ssize_t client_size
    int client_port             # 0: not known
    const char* request_id
    Py_ssize_t request_id_size
    const char* route
    Py_ssize_t route_size
    const Trace* trace


cdef class AccessLog:
    cdef readonly LineSink sink
    cdef readonly bint wants_fields     # of answers: note_c is to be given them
    cdef readonly bint wants_route
    cdef readonly bint wants_trace
    cdef list keeper
    cdef Step* steps                    # owned
    cdef int count
    cdef const char* tail               # what ends a line; borrowed from keeper
    cdef Py_ssize_t tail_size
    cdef bint json
    cdef list excluded                  # paths, bytes
    cdef long long slow_ns              # 0: not asked
    cdef uint32_t sample                # of 2**32
    cdef bint all_others                # the sample is everything
    cdef uint64_t random_state
    cdef const char* reasons[600]       # by status; borrowed from keeper
    cdef long long second               # of the texts of the time
    cdef char time_text[24]             # RFC 3339
    cdef char apache_text[32]
    cdef char pid_text[24]
    cdef int pid_size

    # Now, for the texts of the time; once a second is enough.
    cdef void refresh_c(self, long long unix_s) noexcept
    # Whether there is to be a line: asked before note_c, which what it takes costs something to find out.
    cdef bint wants_c(self, const Exchange* exchange, Head head) noexcept
    # Writes the line; it is for the caller to flush the sink. head: None where the request was not understood. answer:
    # where wants_fields, its content type and ResponseHeaders; else None.
    cdef int note_c(self, const Exchange* exchange, Head head, const Circumstances* about, tuple answer) except -1
    cdef char* write_c(
        self, char* at, const Exchange* exchange, Head head, const Circumstances* about, tuple answer
    ) noexcept
    cdef char* put_atom_c(self, const Step* step, char* at, const char* limit, const Exchange* exchange, Head head,
                          const Circumstances* about) noexcept
    cdef char* put_number_c(self, int atom, char* at, const Exchange* exchange, const Circumstances* about) noexcept
    cdef char* put_identity_c(self, int atom, char* at, const Circumstances* about) noexcept
    cdef char* put_text_c(self, const Step* step, char* at, const char* limit, const Exchange* exchange,
                          const Circumstances* about) noexcept
    cdef char* put_head_c(self, const Step* step, char* at, const char* limit, Head head) noexcept
    cdef bint excludes_c(self, Head head) noexcept
    cdef const char* kept_c(self, str text) except NULL
    cdef int compile_c(self, parts, bint json) except -1
    cdef int settle_rests_c(self) noexcept
