# Sums: what all workers have counted, added up. Exposition: these as text for Prometheus.

from libc.stdint cimport uint64_t

from highperf.observe.layout cimport Block, MetricLine
from highperf.observe.metrics cimport MetricTable
from highperf.segment cimport Segment
from highperf.wire.buffers cimport Buffer


cdef class Sums:
    cdef Segment segment
    cdef MetricTable table
    cdef int own_line           # of the process that reads
    cdef int next_line          # the first that has not been looked at
    cdef readonly dict cells    # key -> value, by identities of names; a worker's own number lies in the key
    cdef list names             # by identity, once all is added up
    cdef list texts             # the same in order, each once: by the rank that a key then has in a route's place

    # Histograms by key; owned. After finish_c in order, and one for each key.
    cdef Block* blocks
    cdef Py_ssize_t count
    cdef Py_ssize_t capacity
    cdef int* places            # by hash of the key: number in blocks, or -1; owned
    cdef Py_ssize_t place_count     # a power of two, at least twice the capacity

    cdef int add_line_c(self, int line) except -1
    cdef int add_cells_c(self, const MetricLine* memory, int line) except -1
    cdef Block* block_c(self, uint64_t key) except NULL
    cdef int grow_c(self) except -1
    cdef int finish_c(self) except -1
    cdef str name_c(self, uint64_t identity)


cdef class Exposition:
    cdef Sums sums
    cdef bint openmetrics
    cdef tuple facts
    cdef Buffer out
    cdef Buffer labels          # of the series that is being written
    cdef readonly frozenset families

    cdef int put_c(self, str text) except -1
    cdef int put_head_c(self, str name, str kind, str unit, str words) except -1
    cdef int put_series_c(self, const Block* block) except -1
    cdef int put_labels_c(self, uint64_t key) except -1
    cdef int put_line_c(self, const char* suffix, const char* limit, uint64_t number) except -1
    cdef int put_sum_c(self, uint64_t sum_ns) except -1
    cdef bytes taken_c(self)
