# openat2(RESOLVE_BENEATH) by hand, for kernels that have none.

# Opens what path leads to below root, with these flags and O_NOFOLLOW: a descriptor, the caller's, or
# -errno: EXDEV where a link leads out, ENXIO (nothing was opened) for what is neither a regular file
# nor a directory, ELOOP after too many links or where follows is False and there is one.
# root is borrowed; path is NUL-terminated and relative. May block.
cdef int walk_c(int root, const char* path, int flags, bint follows) noexcept nogil
