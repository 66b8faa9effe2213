# Owns the shared memory of one server: making it, mapping it, finding areas in it by name.
# Must not know what the areas hold.
#
# A memory file (memfd_create(2)), made by the process that starts the workers and sealed, so that
# nobody can cut it short under the others; they inherit its descriptor, or are given its number. It
# is sparse: 512 MiB of address space cost the pages that were touched.
#
#   line 0       header: magic, version, size, epoch, secret, and where free space begins
#   directory    one word per area: 40 bits of its label's hash, and 24 of its place in cache lines
#   areas
#
# Two processes that ask for the same name find the same area without a lock: space is taken by one
# atomic addition, and published by one compare-and-swap of the directory's word. Who loses the race,
# or is killed between the two, leaves some space unused, and nothing else.
#
# Names, not places, tell areas apart, because the code of a reloaded worker may ask for other limits
# in another order; what both ask for, both share. The size is part of the name.

cimport cython
from libc.stdint cimport uint64_t
from libc.string cimport memcmp, memcpy
from posix.mman cimport MAP_FAILED, MAP_SHARED, PROT_READ, PROT_WRITE, mmap, munmap
from posix.unistd cimport close
from highperf.clock cimport monotonic_ns
from highperf.siphash cimport siphash13

import fcntl
import os

from highperf.errors import StartupError

cdef enum:
    VERSION = 1                         # of all that lies in a segment; a change of any layout changes it
    DIRECTORY_WORDS = 32 * 1024
    PLACE_BITS = 24
    DEFAULT_SIZE = 512 * 1024 * 1024
    LEAST_SIZE = 1024 * 1024
    LARGEST_SIZE = LINE_BYTES << PLACE_BITS

cdef const char* MAGIC = b"highperf"


cdef struct SegmentHeader:
    char magic[8]
    uint64_t version
    uint64_t size
    int64_t epoch_ns
    uint64_t secret[2]
    uint64_t free_line                  # atomic: the first line that nobody has taken
    uint64_t unused


cdef inline SegmentHeader* header_c(Segment segment) noexcept:
    return <SegmentHeader*>segment.memory


@cython.final
cdef class Segment:
    def __cinit__(self, int fd, *, long long epoch_ns=-1):
        # Takes the descriptor over. epoch_ns: make a new segment of the file, which is empty.
        cdef void* memory = MAP_FAILED
        self.size = os.fstat(fd).st_size
        if self.size >= LEAST_SIZE:
            memory = mmap(NULL, self.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
        if memory == MAP_FAILED:
            os.close(fd)
            raise StartupError(
                f"file descriptor {fd} is not a highperf segment: its {self.size} bytes cannot be mapped"
            )
        self.fd = fd
        self.memory = <char*>memory
        if epoch_ns >= 0:
            self.format_c(epoch_ns)
        self.read_header_c()

    def __dealloc__(self):
        if self.memory != NULL:
            munmap(self.memory, self.size)
            close(self.fd)

    @classmethod
    def create(cls, Py_ssize_t size=DEFAULT_SIZE, *, epoch_ns=None):
        if not LEAST_SIZE <= size <= LARGEST_SIZE or size % LINE_BYTES:
            raise ValueError(f"size must be a multiple of {LINE_BYTES} from {LEAST_SIZE} to {LARGEST_SIZE}, not {size}")
        return cls(memory_file(size), epoch_ns=monotonic_ns() if epoch_ns is None else epoch_ns)

    @classmethod
    def attach(cls, int fd):
        try:
            own = os.dup(fd)
        except OSError as error:
            raise StartupError(f"file descriptor {fd} is not a highperf segment: {error.strerror}") from None
        return cls(own)

    def __repr__(self):
        return f"<Segment fd={self.fd} size={self.size}>"

    cdef int format_c(self, long long epoch_ns) except -1:
        cdef SegmentHeader* header = header_c(self)
        cdef bytes secret = os.urandom(sizeof(header.secret))
        memcpy(header.secret, <const char*>secret, sizeof(header.secret))
        header.version = VERSION
        header.size = self.size
        header.epoch_ns = epoch_ns
        header.free_line = (sizeof(SegmentHeader) + DIRECTORY_WORDS * sizeof(uint64_t)) // LINE_BYTES
        memcpy(header.magic, MAGIC, sizeof(header.magic))
        return 0

    cdef int read_header_c(self) except -1:
        cdef SegmentHeader* header = header_c(self)
        if memcmp(header.magic, MAGIC, sizeof(header.magic)) != 0:
            raise StartupError(f"file descriptor {self.fd} is not a highperf segment")
        if header.version != VERSION:
            raise StartupError(
                f"the shared segment has layout version {header.version}, this highperf knows {VERSION}: "
                "restart the whole server, not a worker alone"
            )
        if header.size != <uint64_t>self.size:
            raise StartupError(f"the shared segment has {self.size} bytes where its header says {header.size}")
        self.epoch_ns = header.epoch_ns
        memcpy(self.secret, header.secret, sizeof(self.secret))
        return 0

    # ---- areas --------------------------------------------------------------------------------

    cdef char* area_c(self, str name, Py_ssize_t size) except NULL:
        cdef bytes text = f"{size} {name}".encode()
        cdef uint64_t label = siphash13(self.secret, <const char*>text, len(text)) >> PLACE_BITS
        if size <= 0:
            raise ValueError(f"area {name!r} must have a size, not {size}")
        return self.memory + (self.claim_c(label, size) & ((1 << PLACE_BITS) - 1)) * LINE_BYTES

    cdef uint64_t claim_c(self, uint64_t label, Py_ssize_t size) except 0:
        # The directory's word of this label, which is made unless it is there.
        cdef uint64_t* words = <uint64_t*>(self.memory + sizeof(SegmentHeader))
        cdef uint64_t mine = 0, found
        cdef Py_ssize_t step, at
        for step in range(DIRECTORY_WORDS):
            at = (label + step) % DIRECTORY_WORDS
            found = load_word(&words[at])
            if found == 0:
                if mine == 0:
                    mine = label << PLACE_BITS | self.take_lines_c(size)
                if swap_word(&words[at], &found, mine):
                    return mine
            if found >> PLACE_BITS == label:
                return found
        raise StartupError(f"the shared segment has no room for more than {DIRECTORY_WORDS} areas")

    cdef uint64_t take_lines_c(self, Py_ssize_t size) except 0:
        cdef SegmentHeader* header = header_c(self)
        cdef uint64_t lines = (size + LINE_BYTES - 1) // LINE_BYTES
        cdef uint64_t first = add_word(&header.free_line, lines)
        if (first + lines) * LINE_BYTES > header.size:
            raise StartupError(f"the shared segment of {header.size} bytes has no room for {size} more")
        return first

    # ---- for whoever looks in from Python -----------------------------------------------------

    def area(self, str name not None, Py_ssize_t size):
        return <Py_ssize_t>(self.area_c(name, size) - self.memory)

    def read_word(self, Py_ssize_t offset):
        self.check_offset_c(offset)
        return load_word(<uint64_t*>(self.memory + offset))

    def write_word(self, Py_ssize_t offset, uint64_t value):
        self.check_offset_c(offset)
        store_word(<uint64_t*>(self.memory + offset), value)

    cdef int check_offset_c(self, Py_ssize_t offset) except -1:
        if offset % 8 or not 0 <= offset <= self.size - 8:
            raise ValueError(f"offset must be a multiple of 8 below {self.size}, not {offset}")
        return 0


def memory_file(size):
    # A descriptor of shared memory that has no name, is inherited by fork alone, and keeps its size.
    if not hasattr(os, "memfd_create"):         # macOS: a file that nobody else can open any more
        import tempfile

        with tempfile.TemporaryFile() as file:
            file.truncate(size)
            return os.dup(file.fileno())
    fd = os.memfd_create("highperf", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return fd
