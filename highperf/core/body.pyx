# Owns the octets of a request's content between the wire, which feeds, and a handler, which
# reads. Must not know how content is framed.
#
# A small body has usually arrived with its head, so reading it waits for nothing. Otherwise one
# reader waits on one future. Back-pressure: above HIGH_WATER unread octets the stream is told to
# hold, and to go on when a reader has emptied the buffer; a reader that collects the whole is
# bounded by the limit instead.

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.string cimport memmove
from highperf.core.worker cimport Worker
from highperf.guards.deadlines cimport Timer
from highperf.observe.metrics cimport REASON_BODY_TOO_LARGE

from highperf.errors import HTTPError

cdef enum:
    HIGH_WATER = 256 * 1024


cdef BodyReader empty_body_c(Worker worker):
    cdef BodyReader body = BodyReader.__new__(BodyReader)
    body.worker = worker
    body.complete = True
    body.whole = b""
    return body


@cython.final
cdef class BodyReader:
    def __init__(self):
        raise TypeError("body readers are made by the server")

    # ---- the wire's side ----------------------------------------------------------------------

    cdef int feed_c(self, const char* octets, Py_ssize_t size) except -1:
        if self.error is not None or size == 0:
            return 0
        self.received += size
        if self.received > self.limit:
            self.worker.tell_c(REASON_BODY_TOO_LARGE)
            return self.fail_c(HTTPError(413, f"the body is larger than {self.limit} bytes"))
        if self.data is None:
            self.data = self.worker.pool.acquire_c(size)
            self.taken = 0
        elif self.taken > self.data.size // 2:
            self.close_up_c()
        self.data.append_c(octets, size)
        if not self.collecting and not self.held and self.unread_c() > HIGH_WATER and self.stream is not None:
            self.held = True
            self.stream.hold_c()
        return self.wake_c()

    cdef int close_up_c(self) except -1:
        # A reader that takes a size of its own may never empty the buffer.
        self.data.size -= self.taken
        memmove(self.data.data, self.data.data + self.taken, self.data.size)
        self.taken = 0
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
        if self.error is None and (self.data is not None or not self.complete):
            self.error = RuntimeError("the request is over, its body cannot be read any more")
        self.drop_data_c()
        return self.wake_c()

    cdef int wake_c(self) except -1:
        cdef object waiter = self.waiter
        self.go_on_c()
        if waiter is not None:
            self.waiter = None
            if not waiter.done():
                waiter.set_result(None)
        return 0

    cdef int drop_data_c(self) except -1:
        if self.data is not None:
            self.worker.pool.release_c(self.data)
            self.data = None
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

    cdef Py_ssize_t unread_c(self) noexcept:
        return 0 if self.data is None else self.data.size - self.taken

    cdef bytes take_c(self, Py_ssize_t size):
        cdef Py_ssize_t unread = self.unread_c()
        cdef bytes part
        if size < 0 or size > unread:
            size = unread
        if size == 0:
            return b""
        part = PyBytes_FromStringAndSize(self.data.data + self.taken, size)
        self.taken += size
        if self.taken == self.data.size:
            self.drop_data_c()
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
            self.whole = self.take_c(-1)
            self.taken = 0
        return self.whole

    async def read_all(self):
        cdef bytes whole = self.whole_c()
        self.collecting = True
        while whole is None:
            try:
                await self.waiter_c()
            except BaseException:
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
        while self.data is None and not self.complete and self.error is None:
            try:
                await self.waiter_c()
            except BaseException:
                self.give_up_c()
                raise
        if self.error is not None:
            raise self.error
        part = self.take_c(size)
        if self.held and self.data is None and self.stream is not None:
            self.held = False
            self.stream.pull_c()
        return part

    async def parts(self):
        while True:
            part = await self.read(-1)
            if not part:
                return
            yield part
