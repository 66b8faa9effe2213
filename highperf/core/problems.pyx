# Owns problems (RFC 9457): those that are written for a request that went wrong, and the ready-made ones that guards
# refuse with. Must not know which guard, nor what went wrong.
#
# Of a ready-made one, all that can be known beforehand is written beforehand; a request adds its path, its id and the
# seconds to wait. So a refusal runs no Python frame and allocates nothing: fields are kept for each number of
# seconds once one request was told it, and what the stream made of them while paths are the same. For these to be
# few, long waits are rounded up to one of STEPS numbers between each power of two and the next, which adds 3 % at most.

cimport cython
from highperf.core.request cimport Request
from highperf.core.stream cimport Canned, Stream
from highperf.wire.buffers cimport Buffer
from highperf.wire.parser cimport Head
from highperf.wire.response cimport Response, ResponseHeaders, checked_status_c, encode_json_c, reason_c
from highperf.wire.writing cimport put
from libc.string cimport memchr, memcmp

from highperf.errors import BreakerOpen

cdef enum:
    STEPS = 32                  # below twice as many seconds, nothing is rounded

cdef bytes PROBLEM = b"application/problem+json"


# ---- written for one request -----------------------------------------------------------------


cdef str path_of_c(Head head):
    return head.base[head.path.start:head.path.start + head.path.size].decode() or ("*" if head.asterisk else "/")


cdef Response problem_c(int status, str detail, str instance, str request_id, dict members, object headers):
    # application/problem+json, RFC 9457 section 3.
    cdef Response response = Response.__new__(Response)
    cdef dict problem = {"type": "about:blank", "title": reason_c(status), "status": status}
    if detail:
        problem["detail"] = detail
    if instance is not None:
        problem["instance"] = instance
    if request_id is not None:
        problem["request_id"] = request_id
    if members:
        problem.update(members)
    response.status_ = status
    response.body_ = encode_json_c(problem)
    response.content_type_ = PROBLEM
    if headers is not None:
        response.headers_ = ResponseHeaders(headers)
    return response


def problem_for(error, Request request not None):
    cdef int status = checked_status_c(error.status)
    if isinstance(error, BreakerOpen):
        request.refused = True
    return problem_c(status, error.detail, path_of_c(request.head), request.id, error.members, error.headers)


# ---- ready-made ------------------------------------------------------------------------------


def rate_limit_fields(str name not None, long long capacity, long long window_s, long long retry_s):
    # draft-ietf-httpapi-ratelimit-headers-11: the one place that knows its spelling.
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return {
        "RateLimit-Policy": f'"{quoted}";q={capacity};w={window_s}',
        "RateLimit": f'"{quoted}";r=0;t={retry_s}',
    }


cdef char* put_quoted(char* at, const char* text, Py_ssize_t size) noexcept nogil:
    # The rest of a string of visible ASCII, of which JSON wants two octets escaped, and the quote behind it.
    cdef Py_ssize_t index
    if memchr(text, c'"', size) == NULL and memchr(text, c"\\", size) == NULL:
        at = put(at, text, size)
    else:
        for index in range(size):
            if text[index] == c'"' or text[index] == c"\\":
                at[0] = c"\\"
                at += 1
            at[0] = text[index]
            at += 1
    at[0] = c'"'
    return at + 1


@cython.final
cdef class Refusal:
    def __init__(self, int status, str detail not None, *, str kind=None, bint retries=True, tuple policy=None):
        problem = {"type": kind or "about:blank", "title": reason_c(status), "status": status, "detail": detail}
        if policy is not None:
            problem["violated-policies"] = [policy[0]]
        self.status = status
        start = encode_json_c(problem).removesuffix(b"}") + b',"instance":"'
        self.content = Buffer(2 * len(start))
        self.content.write(start)
        self.instance_at = self.content.size
        self.policy = policy
        self.retries = retries
        self.canned = []
        self.last_s = self.path_size = -1

    cdef int send_c(self, Stream stream, Head head, long long retry_s) except -1:
        cdef Canned canned = self.canned_c(retry_s if self.retries else 0)
        cdef bint again = self.is_last_c(head.base + head.path.start, head.path.size)
        if not (again and canned.key == self.paths and stream.repeat_c(canned, self.status)):
            head_size = self.write_c(stream, head, None, canned.fields)
            if again:                       # whoever is refused once may never come again
                canned.key = self.paths
                stream.can_c(canned, head_size, self.content.size)
        return stream.finish_c()

    cdef int write_c(self, Stream stream, Head head, bytes content_type, ResponseHeaders fields) except -1:
        cdef const char* request_id = NULL
        cdef Py_ssize_t id_size = stream.request_id_octets_c(&request_id)
        cdef int head_size
        if head.path.size:
            self.complete_c(head.base + head.path.start, head.path.size, request_id, id_size)
        else:
            self.complete_c(b"*" if head.asterisk else b"/", 1, request_id, id_size)
        head_size = stream.start_c(self.status, content_type, self.content.size, fields)
        stream.send_c(self.content.data, self.content.size, None)
        return head_size

    cdef bint is_last_c(self, const char* path, Py_ssize_t size) noexcept:
        # Whether the content is that for this path.
        return size == self.path_size and memcmp(self.content.data + self.instance_at, path, size) == 0

    cdef int complete_c(self, const char* path, Py_ssize_t size, const char* request_id, Py_ssize_t id_size) except -1:
        cdef Buffer content = self.content
        cdef char* start
        cdef char* at
        if not self.is_last_c(path, size):
            self.paths += 1
        content.size = self.instance_at
        content.reserve_c(2 * (size + id_size) + 20)
        start = content.data + content.size
        at = put_quoted(start, path, size)
        self.path_size = size if at == start + size + 1 else -1     # only as it came is it known again
        if id_size:
            at = put_quoted(put(at, b',"request_id":"', 15), request_id, id_size)
        at[0] = c"}"                    # and so CANNED_TAIL octets are behind the id
        content.size = at + 1 - content.data
        return 0

    cdef Canned canned_c(self, long long retry_s):
        cdef int doublings = 0
        cdef long long asked_s = retry_s
        cdef Py_ssize_t place
        cdef object canned = None
        if retry_s == self.last_s:
            return self.last_canned
        while retry_s >= <long long>(2 * STEPS) << doublings:
            doublings += 1
        retry_s = (retry_s + (1 << doublings) - 1) >> doublings
        place = doublings * STEPS + <Py_ssize_t>retry_s
        if place < len(self.canned):
            canned = self.canned[place]
        if canned is None:
            canned = Canned(ResponseHeaders(self.fields_for(retry_s << doublings)))
            self.canned.extend([None] * (place + 1 - len(self.canned)))
            self.canned[place] = canned
        self.last_s, self.last_canned = asked_s, canned
        return <Canned>canned

    def fields_for(self, long long retry_s):
        fields = {"Content-Type": PROBLEM}
        fields["Cache-Control"] = "no-store"            # RFC 6585 section 4, and as true of the others
        if retry_s:
            fields["Retry-After"] = str(retry_s)
        if self.policy is not None:
            fields.update(rate_limit_fields(*self.policy, retry_s))
        return fields
