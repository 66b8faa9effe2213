# problem_c: what went wrong with a request, as its client is told. Refusal: the same, ready before anybody asks.

from highperf.core.stream cimport Canned, Stream
from highperf.wire.buffers cimport Buffer
from highperf.wire.parser cimport Head
from highperf.wire.response cimport Response, ResponseHeaders

cdef bytes PROBLEM              # its media type

# Left out: what is empty or None. members: more of them; headers: the answer's.
cdef Response problem_c(int status, str detail, str instance, str request_id, dict members, object headers)
# Its instance.
cdef str path_of_c(Head head)


cdef class Refusal:
    cdef readonly int status
    cdef Buffer content         # the problem's octets up to its instance, and behind them the last one's
    cdef Py_ssize_t instance_at  # where those end
    cdef object policy          # (name, capacity, window in seconds) of a rate limit, or None
    cdef bint retries           # has Retry-After
    cdef Py_ssize_t path_size   # of the last one's path; -1: it had to be written otherwise
    cdef unsigned long long paths   # how often that became another one
    cdef list canned            # Canned by seconds; None until asked for
    cdef long long last_s       # what was asked for last, and what was given
    cdef Canned last_canned

    # Answers with this refusal, and finishes. retry_s: when to come again; at least 1 where it says so.
    cdef int send_c(self, Stream stream, Head head, long long retry_s) except -1
    # The same with other fields, and without finishing; gives what the stream's start_c gave.
    cdef int write_c(self, Stream stream, Head head, bytes content_type, ResponseHeaders fields) except -1
    cdef bint is_last_c(self, const char* path, Py_ssize_t size) noexcept
    cdef int complete_c(self, const char* path, Py_ssize_t size, const char* request_id, Py_ssize_t id_size) except -1
    cdef Canned canned_c(self, long long retry_s)
