# Owns the memory of a fixed number of keys and their values, and which of them goes first. Must not
# know what they mean.
#
# Chained hashing with a secret, because keys are a client's choice. What goes first is found by a clock's
# hand: it passes over what was used since it came by last (and forgets that), and takes the first that was
# not. What is put in counts as unused, so that a client who asks for a thousand names once drives
# out others of their kind, not what is asked for all the time.

cimport cython
from cpython.ref cimport Py_INCREF, Py_XDECREF
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy

from highperf.checks cimport must
from highperf.siphash cimport siphash13

import os

cdef enum:
    CAPACITY_MAX = 1 << 24


@cython.final
cdef class PathTable:
    def __cinit__(self, Py_ssize_t capacity):
        cdef Py_ssize_t chains = 2
        cdef bytes secret = os.urandom(16)
        if not 1 <= capacity <= CAPACITY_MAX:
            raise ValueError(f"capacity must be from 1 to {CAPACITY_MAX}, not {capacity}")
        while chains < 2 * capacity:
            chains *= 2
        memcpy(self.secret, <const char*>secret, 16)
        self.mask = chains - 1
        self.slots = <Slot*>calloc(capacity, sizeof(Slot))
        self.chains = <uint32_t*>calloc(chains, sizeof(uint32_t))
        if self.slots == NULL or self.chains == NULL:
            raise MemoryError()
        self.capacity = capacity

    def __dealloc__(self):
        cdef Py_ssize_t at
        for at in range(self.touched):
            free(self.slots[at].key)
            Py_XDECREF(self.slots[at].value)
        free(self.slots)
        free(self.chains)

    cdef Slot* find_c(self, const char* key, Py_ssize_t size) noexcept nogil:
        cdef uint64_t hashed = siphash13(self.secret, key, size)
        cdef uint32_t at = self.chains[hashed & self.mask]
        cdef Slot* slot
        while at:
            slot = &self.slots[at - 1]
            if slot.hashed == hashed and slot.size == size and memcmp(slot.key, key, size) == 0:
                slot.used = True
                return slot
            at = slot.next
        return NULL

    cdef Slot* put_c(self, const char* key, Py_ssize_t size, object value, long long time_ns) except NULL:
        cdef char* copy = <char*>malloc(size + 1)
        cdef uint32_t* chain
        cdef Slot* slot
        cdef uint32_t at
        if copy == NULL:
            raise MemoryError()
        if self.count == self.capacity:
            self.drop_c(self.coldest_c())
        memcpy(copy, key, size)
        if self.free:
            at = self.free
            self.free = self.slots[at - 1].next
        else:
            at = self.touched = self.touched + 1
        slot = &self.slots[at - 1]
        slot.hashed = siphash13(self.secret, key, size)
        slot.key = copy
        slot.size = <uint32_t>size
        slot.value = <PyObject*>value
        Py_INCREF(value)
        slot.time_ns = time_ns
        slot.weight = 0
        slot.used = False
        chain = &self.chains[slot.hashed & self.mask]
        slot.next = chain[0]
        chain[0] = at
        self.count += 1
        return slot

    cdef int drop_c(self, Slot* slot) except -1:
        cdef uint32_t at = <uint32_t>(slot - self.slots) + 1
        cdef uint32_t* link = &self.chains[slot.hashed & self.mask]
        cdef PyObject* value = slot.value
        must(slot.key != NULL, "a slot is dropped twice")
        while link[0] != at:
            link = &self.slots[link[0] - 1].next
        link[0] = slot.next
        free(slot.key)
        slot.key = NULL
        slot.value = NULL
        slot.next = self.free
        self.free = at
        self.count -= 1
        self.weight -= slot.weight
        must(self.count >= 0 and self.weight >= 0, "more leaves a table than was put there")
        Py_XDECREF(value)
        return 0

    cdef int weigh_c(self, Slot* slot, Py_ssize_t weight) noexcept nogil:
        self.weight += weight - slot.weight
        slot.weight = weight
        return 0

    cdef Slot* coldest_c(self) noexcept nogil:
        cdef Slot* slot
        if self.count == 0:
            return NULL
        while True:             # one round forgets all uses, so the second finds one
            slot = &self.slots[self.hand]
            self.hand = self.hand + 1 if self.hand + 1 < self.touched else 0
            if slot.key != NULL:
                if not slot.used:
                    return slot
                slot.used = False

    cdef int clear_c(self) except -1:
        while self.count:
            self.drop_c(self.coldest_c())
        return 0
