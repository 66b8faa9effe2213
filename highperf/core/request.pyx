# Owns a handler's view of one request. Must not know how the request came or is answered.
#
# A Request borrows the parsed head while its handler's first step runs; if anyone still holds it
# after that, the cycle moves the head's octets out of the read buffer (Head.keep_c), so a Request
# may be kept for as long as one likes.

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.math cimport INFINITY
from libc.string cimport memcmp
from highperf.core.body cimport BodyReader, empty_body_c
from highperf.guards.deadlines cimport NEVER
from highperf.observe.traces cimport trace_context_c
from highperf.wire.parser cimport METHOD_OTHER, Head, Span
from highperf.wire.request cimport headers_of_c, path_text_c, query_of_c

import types

import msgspec
import orjson

from highperf.errors import HTTPError
from highperf.wire import router

cdef object loads = orjson.loads
cdef object JSONDecodeError = orjson.JSONDecodeError
cdef object Decoder = msgspec.json.Decoder
cdef object ValidationError = msgspec.ValidationError
cdef object DecodeError = msgspec.DecodeError

cdef tuple METHODS = router.METHOD_NAMES


cdef inline bytes span_bytes(Head head, Span span):
    return PyBytes_FromStringAndSize(head.base + span.start, span.size)


cdef str json_pointer(str message):
    # msgspec ends a message with " - at `$.users[0].name`"; RFC 6901 spells that #/users/0/name.
    _, found, path = message.rpartition(" - at `$")
    if not found:
        return "#"
    steps = path.rstrip("`").replace("[", ".").replace("]", "").split(".")
    return "#" + "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps if step)


def invalid_value(error):
    # HTTPError 422 with a pointer to what is wrong.
    message = str(error)
    detail = message.rpartition(" - at `")[0] or message
    return HTTPError(
        422, "the body does not have the expected form", errors=[{"pointer": json_pointer(message), "detail": detail}]
    )


@cython.final
@cython.freelist(64)
cdef class Request:
    def __init__(self):
        raise TypeError("requests are made by the server")

    @property
    def method(self):
        if self.head.method != METHOD_OTHER:
            return METHODS[self.head.method]
        return span_bytes(self.head, self.head.method_token).decode("ascii")

    @property
    def path(self):
        if self.path_ is None:
            if self.decoded is not None:
                self.path_ = path_text_c(PyBytes_AS_STRING(self.decoded), len(self.decoded))
            elif self.head.asterisk:
                self.path_ = "*"
            elif self.head.path.size == 0:
                self.path_ = "/"
            else:
                self.path_ = path_text_c(self.head.base + self.head.path.start, self.head.path.size)
        return self.path_

    @property
    def raw_path(self):
        return span_bytes(self.head, self.head.path) if self.head.path.size else (b"*" if self.head.asterisk else b"/")

    @property
    def query_string(self):
        return span_bytes(self.head, self.head.query)

    @property
    def query(self):
        if self.query_ is None:
            self.query_ = query_of_c(self.head)
        return self.query_

    @property
    def headers(self):
        if self.headers_ is None:
            self.headers_ = headers_of_c(self.head)
        return self.headers_

    @property
    def http_version(self):
        return "1.1" if self.head.minor else "1.0"

    @property
    def params(self):
        if self.params_ is None:
            if self.endpoint is None:
                self.params_ = {}
            elif self.decoded is None:
                self.params_ = self.endpoint.params_c(self.head.base + self.head.path.start, &self.path_params)
            else:
                self.params_ = self.endpoint.params_c(PyBytes_AS_STRING(self.decoded), &self.path_params)
        return self.params_

    @property
    def route(self):
        return None if self.endpoint is None else self.endpoint.pattern

    @property
    def client(self):
        if self.client_ is None and self.stream_ is not None:
            self.client_ = self.stream_.client_c(self.head)
        return self.client_

    @property
    def scheme(self):
        if self.scheme_ is None and self.stream_ is not None:
            self.scheme_ = self.stream_.scheme_c(self.head)
        return self.scheme_

    @property
    def client_certificate(self):
        if self.certificate_ is None and self.stream_ is not None:
            self.certificate_ = self.stream_.certificate_c() or None
        return self.certificate_

    @property
    def app(self):
        return self.worker.app

    @property
    def state(self):
        if self.state_ is None:
            self.state_ = types.SimpleNamespace()
        return self.state_

    @property
    def id(self):
        if self.id_ is None:
            if self.number == 0:
                self.number = self.worker.ids.next_c()
            self.id_ = self.worker.ids.text_c(self.number, self.given_id)
        return self.id_

    @property
    def trace(self):
        if self.trace_ is None:
            if not self.trace_known.known:
                self.worker.traces.begin_c(self.head, &self.trace_known)
                if self.stream_ is not None:
                    self.stream_.exchange.trace = self.trace_known
            self.trace_ = trace_context_c(&self.trace_known, self.head)
        return self.trace_

    @property
    def deadline(self):
        return None if self.deadline_ns == NEVER else self.deadline_c(self.worker.touch_c()) / 1e9

    def remaining(self):
        cdef long long now_ns = self.worker.touch_c()
        return INFINITY if self.deadline_ns == NEVER else max(0, self.deadline_c(now_ns) - now_ns) / 1e9

    cdef long long deadline_c(self, long long now_ns) noexcept:
        # The read timeouts govern a client that is slow to send; its handler's time does not run then.
        return self.deadline_ns if self.body_ is None else self.deadline_ns + self.body_.waited_c(now_ns)

    def __repr__(self):
        return f"<Request {self.method} {self.path}>"

    # ---- content ------------------------------------------------------------------------------

    cdef BodyReader reader_c(self):
        if self.body_ is None:
            self.body_ = empty_body_c(self.worker)
        return self.body_

    async def body(self):
        cdef bytes content = self.reader_c().whole_c()      # usually it came with the head
        return content if content is not None else await self.body_.read_all()

    def stream(self):
        return self.reader_c().parts()

    async def json(self, type=None):
        cdef bytes content
        self.require_json_c()
        content = self.reader_c().whole_c()
        if content is None:
            content = await self.body_.read_all()
        if not content:
            raise HTTPError(400, "the body is empty where JSON was expected")
        try:
            if type is None:
                return loads(content)
            decoder = self.worker.decoders.get(type)
            if decoder is None:
                decoder = self.worker.decoders[type] = Decoder(type)
            return decoder.decode(content)
        except ValidationError as error:
            raise invalid_value(error) from None
        except (DecodeError, JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise HTTPError(400, f"the body is not valid JSON: {error}") from None

    async def json_items(self, str prefix="item"):
        import ijson

        self.require_json_c()
        try:
            async for item in ijson.items_async(self.reader_c(), prefix, use_float=True):
                yield item
        except ijson.JSONError as error:
            raise HTTPError(400, f"the body is not valid JSON: {error}") from None

    cdef int require_json_c(self) except -1:
        # RFC 9110 section 15.5.16. A request without Content-Type is taken at its word.
        cdef int found = self.head.content_type
        cdef Span value
        if found < 0:
            return 0
        value = self.head.fields[found].value
        if value.size == 16 and memcmp(self.head.base + value.start, b"application/json", 16) == 0:
            return 0                        # spelled as nearly everyone does
        essence = span_bytes(self.head, value).decode("latin-1").partition(";")[0].strip().lower()
        if essence != "application/json" and not essence.endswith("+json"):
            raise HTTPError(415, f"the body is {essence or 'of no media type'}, not application/json")
        return 0

    cdef int detach_c(self) except -1:
        # The answer is complete, or the peer is gone.
        self.stream_ = None
        if self.body_ is not None:
            self.body_.detach_c()
        return 0
