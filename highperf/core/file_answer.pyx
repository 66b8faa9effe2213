# Owns how a request is answered with a file: looking for it, the parts of its plan in order, and the
# permit that the request holds until the last octet has left. Must not know a protocol's octets, nor
# how a file leaves (file_sending.pyx), nor what of it is to be sent (files/plan.pyx).
#
# What is known of a file in memory is answered at once, without Python and, where the content is in memory
# too, without anything being made for it. Where the disk would have to be waited for, a thread looks, and
# the answer waits as a handler would: under its deadline, which is that of the first octet.
#
# Rules:
# - All that is not served is the same 404; why stands in the log.
# - Once the head has left, an answer is whole or aborted.

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from highperf.core.gate cimport Gate
from highperf.core.problems cimport PROBLEM, Refusal
from highperf.core.request cimport Request
from highperf.core.stream cimport FILE_FAILED, FILE_GOING, FILE_SENT, FileHolder, Stream
from highperf.core.worker cimport MISSED, Worker
from highperf.files.cache cimport FileCache
from highperf.files.entry cimport (
    ENTRY_COLD, ENTRY_FAILED, ENTRY_FILE, ENTRY_LISTING, ENTRY_MISSING, ENTRY_REDIRECT, FileEntry,
)
from highperf.files.plan cimport FilePart, FilePlan
from highperf.files.root cimport FileRoot
from highperf.guards.deadlines cimport NEVER, armed_c, disarm_c
from highperf.wire.parser cimport Head, Span
from highperf.wire.response cimport Response, ResponseHeaders

from urllib.parse import unquote

from highperf.errors import HTTPError
from highperf.files.listing import render as render_listing

cdef enum:
    MOUNTS_MAX = 64

cdef str NO_FILE = "there is no such file"


@cython.final
cdef class FileMount:
    def __init__(self, FileRoot root not None, **options):
        self.cache = FileCache(root, **options)
        self.spare = FilePlan()
        self.missing = Refusal(404, NO_FILE, retries=False)
        self.mismatched = Refusal(412, "the file is not in the state that the request asks for", retries=False)
        self.unsatisfiable = Refusal(416, "nothing of the file lies in the ranges asked for", retries=False)
        self.failed = Refusal(503, "the file cannot be read now")

    cdef FilePlan take_plan_c(self):
        cdef FilePlan plan = self.spare
        if plan is None:
            return FilePlan()
        self.spare = None
        return plan

    cdef FilePlan plan_c(
        self, Worker worker, FileEntry entry, Head head, bytes content_type, ResponseHeaders fields
    ):
        cdef FilePlan plan
        if entry.kind != ENTRY_FILE and entry.kind != ENTRY_REDIRECT:
            return None
        plan = self.take_plan_c()
        plan.make_c(entry, head, worker.standing.second, content_type, fields)
        return plan

    cdef int give_plan_c(self, FilePlan plan) except -1:
        plan.clear_c()
        self.spare = plan
        return 0


cdef FileMount mount_of_c(Worker worker, Response response):
    cdef tuple key
    cdef object mount = response.root_
    if type(mount) is FileMount:
        return <FileMount>mount
    if worker.mounts is None:
        worker.mounts = {}
    key = (mount, response.precompressed_)
    mount = worker.mounts.get(key)
    if mount is None:
        while len(worker.mounts) >= MOUNTS_MAX:     # a handler may have a root for each of its users
            del worker.mounts[next(iter(worker.mounts))]
        root = FileRoot("/" if key[0] is None else key[0], confined=key[0] is not None)
        mount = worker.mounts[key] = FileMount(root, index=None, precompressed=key[1])
    return <FileMount>mount


cdef int answer_file_c(
    Worker worker, Stream stream, Head head, FileMount mount, Gate gate, const char* path, Py_ssize_t size,
    bytes content_type, ResponseHeaders fields, long long due_ns, bint own_deadline,
) except -1:
    cdef FileEntry entry = mount.cache.find_c(path, size, worker.now_ns, False)
    cdef FilePlan plan = mount.plan_c(worker, entry, head, content_type, fields)
    cdef FileAnswer answer
    if plan is not None and plan.count and not plan.entry.unchanged_c():
        # What was known a second ago must not fail what begins now.
        mount.give_plan_c(plan)
        entry = mount.cache.find_anew_c(path, size, worker.now_ns, False)
        plan = mount.plan_c(worker, entry, head, content_type, fields)
    if plan is not None and send_from_memory_c(stream, head, mount, plan):
        mount.give_plan_c(plan)
        return end_c(stream, gate)
    answer = FileAnswer.__new__(FileAnswer)
    answer.worker = worker
    answer.stream = stream
    answer.head = head
    answer.mount = mount
    answer.gate = gate
    answer.plan = plan
    if plan is not None:
        return answer.proceed_c(FILE_SENT)
    answer.content_type = content_type
    answer.fields = fields
    answer.path = PyBytes_FromStringAndSize(path, size)
    answer.due_ns = due_ns
    answer.own_deadline = own_deadline
    return answer.begin_c(entry)


cdef bytes catch_all_c(Request request):
    # What the last parameter took, as the router saw it.
    cdef int last = request.path_params.count - 1
    cdef Head head = request.head
    cdef const char* path = head.base + head.path.start
    if request.decoded is not None:
        path = PyBytes_AS_STRING(request.decoded)
    return PyBytes_FromStringAndSize(path + request.path_params.start[last], request.path_params.size[last])


async def look_for_file(FileMount mount not None, Request request not None):
    # A handler's view of a mount: the answer, of which middleware learns here whether there is a file at all.
    cdef Worker worker = request.worker
    cdef Response response
    cdef bytes path = catch_all_c(request)
    cdef FileEntry entry = mount.cache.find_c(PyBytes_AS_STRING(path), PyBytes_GET_SIZE(path), worker.now_ns, False)
    if entry.kind == ENTRY_COLD:
        await worker.loop.run_in_executor(None, mount.cache.warm, path)
        entry = mount.cache.find_c(PyBytes_AS_STRING(path), PyBytes_GET_SIZE(path), worker.touch_c(), True)
    if entry.kind == ENTRY_MISSING:
        tell_why_c(worker, request.raw_path.decode("ascii"), entry)
        raise HTTPError(404, NO_FILE)
    response = Response()
    response.path_ = path
    response.root_ = mount
    return response


cdef inline str span_text(Head head, Span span):
    return head.base[span.start:span.start + span.size].decode("latin-1")


cdef int tell_why_c(Worker worker, str target, FileEntry entry) except -1:
    if entry.why is not None:
        worker.warn_c(None, "403 for %s, told as 404: %s", (target, entry.why))
    return 0


cdef inline int end_c(Stream stream, Gate gate) except -1:
    if gate is not None:
        gate.leave_c()                  # the next request, which may begin in here, finds its room
    return stream.finish_c()


cdef bint send_from_memory_c(Stream stream, Head head, FileMount mount, FilePlan plan) except -1:
    # The head of the answer, and its content too unless that comes from an open file: then False.
    cdef const char* content
    cdef const FilePart* part
    cdef int index
    if plan.status == 412 or plan.status == 416:
        (mount.mismatched if plan.status == 412 else mount.unsatisfiable).write_c(stream, head, PROBLEM, plan.headers)
        return True
    stream.start_c(plan.status, None, plan.length, plan.headers)
    if plan.count == 0:
        return True
    if plan.entry.content is None:
        return False
    content = PyBytes_AS_STRING(plan.entry.content)
    for index in range(plan.count):
        part = &plan.parts[index]
        send_lead_c(stream, plan, part)
        if part.size:
            stream.send_c(content + part.offset, part.size, plan.entry.content)
    return True


cdef inline int send_lead_c(Stream stream, FilePlan plan, const FilePart* part) except -1:
    if part.lead_size:
        stream.send_c(PyBytes_AS_STRING(plan.framing) + part.lead_start, part.lead_size, plan.framing)
    return 0


@cython.final
cdef class FileAnswer(FileHolder):
    def __init__(self):
        raise TypeError("answers with files are made by the server")

    def __dealloc__(self):
        disarm_c(&self.timer)

    # ---- what a thread does -------------------------------------------------------------------

    cdef int call_c(self, object function, tuple arguments, object then) except -1:
        # Until the thread has ended, this waits as a handler does.
        self.register_c()
        self.stream.attend_c(self)
        if self.due_ns != NEVER and not armed_c(&self.timer):
            self.timer.owner = <void*>self
            self.worker.arm_at_c(&self.timer, self.due_ns)
        self.worker.loop.run_in_executor(None, function, *arguments).add_done_callback(then)
        return 0

    cdef bint goes_on_c(self, object call) except -1:
        # A thread has ended: is somebody still there to be answered?
        self.worker.touch_c()
        error = None if call.cancelled() else call.exception()
        if error is not None and not isinstance(error, OSError):
            self.worker.logger.error("looking for a file failed", exc_info=error)
        if self.stream is not None:
            return True
        self.release_c()                # the peer left, or was told that it took too long
        return False

    def looked(self, call):
        # Whatever the thread found: what is in memory by now need not be waited for.
        if self.goes_on_c(call):
            try:
                self.begin_c(self.find_c(True))
            except BaseException as error:
                self.fail_c(error)

    def listed(self, call):
        if self.goes_on_c(call):
            try:
                self.show_c(call)
            except BaseException as error:
                self.fail_c(error)

    cdef int fail_c(self, object error) except -1:
        self.worker.logger.error("answering with a file failed", exc_info=error)
        return self.give_up_c()

    cdef FileEntry find_c(self, bint waits):
        return self.mount.cache.find_c(
            PyBytes_AS_STRING(self.path), PyBytes_GET_SIZE(self.path), self.worker.now_ns, waits
        )

    cdef int expired_c(self, int kind) except -1:
        # The thread goes on, and the permit is taken until it ends.
        cdef Worker worker = self.worker
        cdef Stream stream = self.stream
        cdef Refusal late = self.gate.late if self.own_deadline else <Refusal>worker.refusals[MISSED]
        if stream is None:
            return 0
        worker.refused_c(self.stream, self.head, MISSED, late.status)
        self.stream = None
        stream.attend_c(None)
        return late.send_c(stream, self.head, 0)

    # ---- answering ----------------------------------------------------------------------------

    cdef int begin_c(self, FileEntry entry) except -1:
        self.plan = self.mount.plan_c(self.worker, entry, self.head, self.content_type, self.fields)
        if self.plan is not None:
            if send_from_memory_c(self.stream, self.head, self.mount, self.plan):
                return self.finish_c()
            return self.proceed_c(FILE_SENT)
        if entry.kind == ENTRY_COLD:
            return self.call_c(self.mount.cache.warm, (self.path,), self.looked)
        if entry.kind == ENTRY_LISTING:
            return self.list_c()
        if entry.kind == ENTRY_FAILED:
            self.worker.logger.error("503 for %s: %s", self.target_c(), entry.why)
            return self.refuse_c(self.mount.failed, 1)
        tell_why_c(self.worker, self.target_c(), entry)
        return self.refuse_c(self.mount.missing, 0)

    cdef int refuse_c(self, Refusal refusal, int retry_s) except -1:
        refusal.write_c(self.stream, self.head, None, refusal.canned_c(retry_s).fields)
        return self.finish_c()

    cdef int list_c(self) except -1:
        cdef Head head = self.head
        cdef int found = head.find_c(b"accept", 6, 0)
        cdef str accept = "" if found < 0 else span_text(head, head.fields[found].value)
        shown = unquote(self.target_c())
        return self.call_c(render_listing, (self.mount.cache.root, self.path, shown, accept), self.listed)

    cdef int show_c(self, object call) except -1:
        cdef bytes content, content_type
        cdef ResponseHeaders fields
        if call.cancelled() or call.exception() is not None:
            return self.refuse_c(self.mount.missing, 0)     # gone meanwhile, or it may not be read
        kind, content = call.result()
        content_type = kind.encode("ascii")
        fields = ResponseHeaders({"Vary": "Accept"}) if self.fields is None else self.fields
        self.stream.start_c(200, content_type, PyBytes_GET_SIZE(content), fields)
        self.stream.send_c(PyBytes_AS_STRING(content), PyBytes_GET_SIZE(content), content)
        return self.finish_c()

    cdef int proceed_c(self, int progress) except -1:
        # The parts, one after another; the head has left.
        cdef FilePlan plan = self.plan
        cdef const FilePart* part
        while progress == FILE_SENT and self.part < plan.count:
            part = &plan.parts[self.part]
            self.part += 1
            send_lead_c(self.stream, plan, part)
            if part.size:
                progress = self.stream.send_file_c(self, plan.entry.fd, part.offset, part.size)
        if progress == FILE_GOING:
            return self.register_c()
        if progress == FILE_FAILED:
            return self.give_up_c()
        return self.finish_c()

    cdef int file_done_c(self, int progress) except -1:
        return self.proceed_c(progress)

    cdef bint unchanged_c(self) noexcept:
        # What leaves in the callback in which it was looked at need not be looked at again.
        return not self.registered or self.plan.entry.unchanged_c()

    # ---- the end ------------------------------------------------------------------------------

    cdef int finish_c(self) except -1:
        cdef Stream stream = self.stream
        stream.attend_c(None)
        self.release_c()
        return stream.finish_c()

    cdef int give_up_c(self) except -1:
        # What has left must not look whole.
        cdef Stream stream = self.stream
        self.worker.warn_c(None, "the file changed or could not be read while it was sent: %s", (self.target_c(),))
        self.release_c()
        return stream.abort_c() if stream is not None else 0

    cdef int lost_c(self, str reason) except -1:
        self.stream = None
        if self.plan is not None:       # otherwise a thread is looking, and will release
            self.release_c()
        return 0

    cdef int register_c(self) except -1:
        if not self.registered:
            self.registered = True
            self.target = self.target_c()
            self.worker.cycles.add(self)
        if self.plan is not None:
            self.head = None            # its octets are needed no more
        return 0

    cdef str target_c(self):
        cdef Head head = self.head
        if head is None:
            return self.target
        return span_text(head, head.path)

    cdef int release_c(self) except -1:
        cdef Gate gate = self.gate
        disarm_c(&self.timer)
        if self.registered:
            self.registered = False
            self.worker.cycles.discard(self)
        if self.plan is not None:
            self.mount.give_plan_c(self.plan)
            self.plan = None
        self.stream = None
        self.head = None
        self.gate = None
        if gate is not None:
            gate.leave_c()
        return 0

    def stop(self, str reason):
        # It is no handler that could be told: what has not left when the connections are aborted is dropped.
        return False

    @property
    def unanswered(self):
        return self.stream is not None

    def describe(self):
        return f"{self.target_c()} [{'looking for the file' if self.plan is None else 'sending a file'}]"
