# Yes or no in one octet, where Cython's bint takes four: for what there are tens of thousands of, connections.

cdef extern from "<stdbool.h>":
    ctypedef bint flag "bool"
