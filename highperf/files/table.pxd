# PathTable: a bounded map from octets to objects, for what is looked up once per request.

from libc.stdint cimport uint32_t, uint64_t

cdef extern from "Python.h":
    ctypedef struct PyObject


cdef struct Slot:
    uint64_t hashed
    char* key                   # owned; NULL: the slot is free
    PyObject* value             # owned reference; NULL only while the slot is free
    long long time_ns           # of whoever uses the table
    Py_ssize_t weight           # likewise
    uint32_t size               # of key
    uint32_t next               # in its chain, or among the free slots: slot + 1, 0 ends it
    bint used                   # since the hand passed


cdef class PathTable:
    cdef Slot* slots            # owned; capacity of them
    cdef uint32_t* chains       # owned; heads of chains: slot + 1, 0 for none
    cdef uint64_t mask          # their number, less one
    cdef uint64_t secret[2]     # so that nobody can aim at one chain
    cdef readonly Py_ssize_t capacity
    cdef readonly Py_ssize_t count
    cdef readonly Py_ssize_t weight     # of all
    cdef uint32_t free          # slot + 1: of those that were given back
    cdef uint32_t touched       # slots from here on were never used, and their memory never touched
    cdef Py_ssize_t hand

    # A slot, or NULL; valid until the next put_c or drop_c.
    cdef Slot* find_c(self, const char* key, Py_ssize_t size) noexcept nogil
    # A new slot for a key that is not there; when the table is full, that of another is taken. weight: 0.
    cdef Slot* put_c(self, const char* key, Py_ssize_t size, object value, long long time_ns) except NULL
    # value may be destroyed here, and with it whatever it alone kept alive.
    cdef int drop_c(self, Slot* slot) except -1
    cdef int weigh_c(self, Slot* slot, Py_ssize_t weight) noexcept nogil
    # The slot that was not used for longest, or nearly; NULL in an empty table.
    cdef Slot* coldest_c(self) noexcept nogil
    cdef int clear_c(self) except -1
