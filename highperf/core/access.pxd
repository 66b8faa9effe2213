# AccessLines: a worker's access log, and what its lines tell of a request.

from highperf.core.stream cimport Stream
from highperf.observe.access_log cimport AccessLog
from highperf.wire.parser cimport Head


cdef class AccessLines:
    cdef readonly AccessLog log
    cdef object loop
    cdef bint flushing          # flush will be called

    # A request is over. head: as for Worker.observed_c.
    cdef int close_c(self, Stream stream, Head head) except -1
    cdef int note_c(self, Stream stream, Head head) except -1
