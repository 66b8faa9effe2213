# Owns the octets of a request's content between the wire, which feeds, and a handler, which
# reads. Must not know how content is framed.
#
# Octets are written once, into the bytes object that a reader will get and that nobody else sees before (`room`): the
# wire feeds them, or receives them right into it. A reader of the whole of a known length has it made at that
# length; whoever reads in parts gets such as fit the processor's cache, whose memory the allocator has just had
# back. What little has come lies in little memory, whatever was announced.
#
# A small body has usually arrived with its head, so reading it waits for nothing. Otherwise one
# reader waits on one future. Back-pressure: above HIGH_WATER unread octets the stream is told to
# hold, and to go on when a reader has emptied the buffer; a reader that collects the whole is
# bounded by the limit instead.

cimport cython
from cpython.bytes cimport _PyBytes_Resize
from cpython.object cimport PyObject
from libc.string cimport memcpy
from highperf.checks cimport must
from highperf.core.worker cimport Worker
from highperf.guards.deadlines cimport Timer
from highperf.observe.metrics cimport REASON_BODY_TOO_LARGE

from highperf.errors import HTTPError

cdef enum:
    HIGH_WATER = 256 * 1024
    PART_SIZE = 64 * 1024       # the most that a part has
    LITTLE = 1024               # room of the first one
    DIRECT_FROM = 32 * 1024     # received so far: whoever sent so much is given a whole part's room for the next

cdef extern from *:
    # Of a pointer that owns its object, not of an object.
    PyObject* new_bytes "PyBytes_FromStringAndSize"(const char* octets, Py_ssize_t size) except NULL
    char* octets_of "PyBytes_AS_STRING"(PyObject* room) noexcept
    Py_ssize_t size_of "PyBytes_GET_SIZE"(PyObject* room) noexcept
    void Py_XDECREF(PyObject* room)
    void Py_DECREF(PyObject* room)


cdef BodyReader empty_body_c(Worker worker):
    cdef BodyReader body = BodyReader.__new__(BodyReader)
    body.worker = worker
    body.complete = True
    body.whole = b""
    return body


@cython.final
@cython.freelist(64)
cdef class BodyReader:
    def __init__(self):
        raise TypeError("body readers are made by the server")

    def __cinit__(self):
        self.length = -1

    def __dealloc__(self):
        Py_XDECREF(self.room)

    # ---- the wire's side ----------------------------------------------------------------------

    cdef int feed_c(self, const char* octets, Py_ssize_t size) except -1:
        cdef Py_ssize_t step
        if self.error is not None or size == 0:
            return 0
        if self.received + size > self.limit:
            self.worker.tell_c(REASON_BODY_TOO_LARGE)
            return self.fail_c(HTTPError(413, f"the body is larger than {self.limit} bytes"))
        while True:
            step = min(size, self.make_room_c(size))
            memcpy(octets_of(self.room) + self.filled, octets, step)
            if step == size:
                return self.filled_c(step)
            self.filled_c(step)
            octets += step
            size -= step

    cdef Py_ssize_t room_c(self, char** at) except -1:
        cdef Py_ssize_t size
        if self.length < 0 or self.error is not None or not (self.collecting or self.received >= DIRECT_FROM):
            return 0
        if self.room != NULL and size_of(self.room) - self.filled < min(PART_SIZE // 2, self.length - self.received):
            self.put_by_c()             # its rest is not worth a call
        size = self.make_room_c(PART_SIZE)
        at[0] = octets_of(self.room) + self.filled
        return size

    cdef int filled_c(self, Py_ssize_t size) except -1:
        must(self.room != NULL and size <= size_of(self.room) - self.filled, "more came than there is room for")
        self.filled += size
        self.unread += size
        self.received += size
        if self.collecting:
            return 0
        if not self.held and self.unread > HIGH_WATER and self.stream is not None:
            self.held = True
            self.stream.hold_c()
        return self.wake_c()

    cdef Py_ssize_t make_room_c(self, Py_ssize_t size) except -1:
        cdef Py_ssize_t capacity = 0 if self.room == NULL else size_of(self.room)
        if capacity > self.filled:
            return capacity - self.filled
        if capacity >= PART_SIZE and not self.collecting:
            self.put_by_c()
            capacity = 0
        capacity = max(capacity * 2, LITTLE, self.filled + size)
        if not self.collecting:
            capacity = min(capacity, PART_SIZE)
        if self.length >= 0:
            capacity = min(capacity, self.filled + self.length - self.received)
        if self.room == NULL:
            self.new_room_c(capacity)
        else:
            self.resize_room_c(capacity)
        return capacity - self.filled

    cdef int new_room_c(self, Py_ssize_t capacity) except -1:
        self.room = new_bytes(NULL, capacity)
        if capacity >= PART_SIZE:
            self.worker.pool.passing_c(capacity)
        return 0

    cdef int resize_room_c(self, Py_ssize_t capacity) except -1:
        try:
            _PyBytes_Resize(&self.room, capacity)
        except MemoryError as error:        # and what was in it is lost
            self.error = error
            self.drop_data_c()
            raise
        if capacity >= PART_SIZE:
            self.worker.pool.passing_c(capacity)
        return 0

    cdef bytes seal_c(self):
        # What is in the room; nothing is written there any more.
        cdef bytes part
        if self.room == NULL:
            return b""
        if self.filled < size_of(self.room):
            self.resize_room_c(self.filled)
        part = <bytes>self.room
        Py_DECREF(self.room)
        self.room = NULL
        self.filled = 0
        return part

    cdef int put_by_c(self) except -1:
        if self.full is None:
            self.full = []
        if self.filled:
            self.full.append(self.seal_c())
        Py_XDECREF(self.room)
        self.room = NULL
        return 0

    cdef int end_c(self) except -1:
        self.complete = True
        return self.wake_c()

    cdef int fail_c(self, object error) except -1:
        if not self.complete and self.error is None:
            self.error = error
            self.drop_data_c()
            self.wake_c()
        return 0

    cdef int detach_c(self) except -1:
        # The request is over: whatever was not read is not wanted any more.
        self.stream = None
        self.postponed = NULL
        if self.error is None and (self.unread or not self.complete):
            self.error = RuntimeError("the request is over, its body cannot be read any more")
        self.drop_data_c()
        return self.wake_c()

    cdef int wake_c(self) except -1:
        cdef object waiter
        if self.waiter is None:         # then nothing counts its time either
            return 0
        waiter = self.waiter
        self.waiter = None
        self.go_on_c()
        if not waiter.done():
            waiter.set_result(None)
        return 0

    cdef int drop_data_c(self) except -1:
        Py_XDECREF(self.room)
        self.room = NULL
        self.full = None
        self.filled = self.unread = 0
        return 0

    # ---- the time that its reader waited ------------------------------------------------------

    cdef long long waited_c(self, long long now_ns) noexcept:
        return self.waited_ns + (now_ns - self.waiting_since_ns if self.waiting_since_ns else 0)

    cdef void postpone_c(self, Timer* timer, long long rest_ns) noexcept:
        # The timer is to be armed with the rest when the waiting is over.
        self.postponed = timer
        self.postponed_ns = rest_ns

    cdef int go_on_c(self) except -1:
        cdef long long now_ns = self.worker.now_ns
        if self.waiting_since_ns:
            self.waited_ns += now_ns - self.waiting_since_ns
            self.waiting_since_ns = 0
        if self.postponed != NULL:
            self.worker.arm_at_c(self.postponed, now_ns + self.postponed_ns)
            self.postponed = NULL
        return 0

    cdef int give_up_c(self) except -1:
        # Its reader does something else now, and not in a callback of ours.
        self.worker.touch_c()
        return self.go_on_c()

    # ---- the reader's side --------------------------------------------------------------------

    cdef bytes take_c(self, Py_ssize_t size):
        # At most size octets, of one part.
        cdef bytes part
        cdef Py_ssize_t left
        if not self.full:
            self.full = [self.seal_c()]
        part = <bytes>self.full[0]
        left = len(part) - self.taken
        if size < 0 or size >= left:
            del self.full[0]
            size = left
        if size < len(part):
            part = part[self.taken:self.taken + size]
        self.taken = self.taken + size if size < left else 0
        self.unread -= size
        must(self.unread >= 0, "more is taken of a body than came")
        return part

    cdef object waiter_c(self):
        # A future that is done when there is more to read, the end, or an error.
        if self.waiter is not None and not self.waiter.done():
            raise RuntimeError("the body is already being read by another task")
        self.waiter = self.worker.loop.create_future()
        self.waiting_since_ns = self.worker.touch_c()
        if self.stream is not None:
            self.held = False
            self.stream.pull_c()
        return self.waiter

    cdef bytes whole_c(self):
        # All of it, or None while there is more to come.
        if self.streamed:
            raise RuntimeError("the body was read as a stream; its whole is gone")
        if self.error is not None:
            raise self.error
        if not self.complete:
            return None
        if self.whole is None:
            if self.full:
                self.put_by_c()
                self.whole = b"".join(self.full)
            else:
                self.whole = self.seal_c()
            self.drop_data_c()
        return self.whole

    cdef int collect_c(self) except -1:
        # All goes into one room from now on.
        cdef Py_ssize_t capacity = self.unread + PART_SIZE if self.length < 0 else self.length
        cdef bytes start
        if self.collecting:
            return 0
        self.collecting = True
        if not self.full and self.room != NULL and (self.length < 0 or size_of(self.room) == capacity):
            return 0
        self.put_by_c()
        self.new_room_c(capacity)
        for part in self.full:
            start = part
            memcpy(octets_of(self.room) + self.filled, <const char*>start, len(start))
            self.filled += len(start)
        self.full = None
        return 0

    async def read_all(self):
        cdef bytes whole = self.whole_c()
        while whole is None:
            waiter = self.waiter_c()
            try:
                self.collect_c()
                await waiter
            except BaseException:
                waiter.cancel()
                self.collecting = False
                self.give_up_c()
                raise
            whole = self.whole_c()
        return whole

    async def read(self, Py_ssize_t size=-1):
        # At most size octets as soon as there are any; b"" at the end. The shape that ijson asks for.
        cdef bytes part
        if size == 0:
            return b""
        if self.whole is not None:                      # body() came first and kept it
            part = self.whole[self.taken:] if size < 0 else self.whole[self.taken:self.taken + size]
            self.taken += len(part)
            return part
        self.streamed = True
        while self.unread == 0 and not self.complete and self.error is None:
            try:
                await self.waiter_c()
            except BaseException:
                self.give_up_c()
                raise
        return self.next_c(size)

    cdef bytes next_c(self, Py_ssize_t size):
        cdef bytes part
        if self.error is not None:
            raise self.error
        if self.unread == 0:
            return b""
        part = self.take_c(size)
        if self.held and self.unread == 0 and self.stream is not None:
            self.held = False
            self.stream.pull_c()
        return part

    async def parts(self):
        while True:
            part = self.next_c(-1) if self.unread and self.streamed else await self.read(-1)
            if not part:
                return
            yield part
