# FileMount: what is served below one root, in one worker. FileAnswer: one answer with a file, for as
# long as it takes.

from highperf.core.gate cimport Gate
from highperf.core.problems cimport Refusal
from highperf.core.stream cimport FileHolder, Stream
from highperf.core.worker cimport Worker
from highperf.files.cache cimport FileCache
from highperf.files.entry cimport FileEntry
from highperf.files.plan cimport FilePlan
from highperf.guards.deadlines cimport Timer
from highperf.wire.parser cimport Head
from highperf.wire.response cimport Response, ResponseHeaders


cdef class FileMount:
    cdef readonly FileCache cache
    cdef FilePlan spare         # filled for one request after another; None while an answer keeps it
    cdef Refusal missing        # 404
    cdef Refusal mismatched     # 412
    cdef Refusal unsatisfiable  # 416
    cdef Refusal failed         # 503

    # What to answer with this entry; None where it is neither a file nor a redirect.
    cdef FilePlan plan_c(
        self, Worker worker, FileEntry entry, Head head, bytes content_type, ResponseHeaders fields
    )
    cdef FilePlan take_plan_c(self)
    cdef int give_plan_c(self, FilePlan plan) except -1


cdef class FileAnswer(FileHolder):
    cdef Worker worker
    cdef Stream stream          # None once the answer is complete, or nobody is there to be answered
    cdef FileMount mount
    cdef Gate gate              # its permit is held until the last octet has left
    cdef Head head              # None once the answer has begun
    cdef FilePlan plan          # None before
    cdef bytes path             # what is looked for
    cdef long long due_ns       # when the head is to have left; NEVER: whenever
    cdef str target             # for people
    cdef bytes content_type     # in place of the file's own, or None
    cdef ResponseHeaders fields     # besides the file's own, or None
    cdef Timer timer            # of the deadline; armed while a thread looks
    cdef bint own_deadline
    cdef bint registered        # among the worker's requests that wait
    cdef int part               # of the plan: the next one

    cdef int call_c(self, object function, tuple arguments, object then) except -1
    cdef bint goes_on_c(self, object call) except -1
    cdef int begin_c(self, FileEntry entry) except -1
    cdef int refuse_c(self, Refusal refusal, int retry_s) except -1
    cdef int list_c(self) except -1
    cdef int show_c(self, object call) except -1
    cdef int fail_c(self, object error) except -1
    cdef int proceed_c(self, int progress) except -1
    cdef int register_c(self) except -1
    cdef int give_up_c(self) except -1
    cdef int release_c(self) except -1
    cdef str target_c(self)
    cdef FileEntry find_c(self, bint waits)
    cdef int finish_c(self) except -1


# Where the file of a response lies. OSError: its root is no directory that can be read.
cdef FileMount mount_of_c(Worker worker, Response response)
# Answers with what the mount has at this path, and finishes. The gate's permit goes back when all has left.
# due_ns: when the first octet is to have left; NEVER: whenever. own_deadline: that is the route's, not the client's.
cdef int answer_file_c(
    Worker worker, Stream stream, Head head, FileMount mount, Gate gate, const char* path, Py_ssize_t size,
    bytes content_type, ResponseHeaders fields, long long due_ns, bint own_deadline,
) except -1
