# Owns the form of an answer: status line, fields, chunk sizes, the cached Date, JSON.
# Must not know who sends it or when.
#
# Rules:
# - What an application puts into a head is checked when it is put there (RFC 9110 section 5.5),
#   so that a CR or LF fails in the handler's own line and no answer can be split.
# - Framing is the writer's business alone: Content-Length, Transfer-Encoding and Connection are
#   refused in application fields, and so is Date, which every answer has already.
# - Status lines are built once; the standing fields once a second; the rest is memcpy.

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int64_t
from libc.string cimport memcpy
from highperf.wire.buffers cimport Buffer
from highperf.wire.writing cimport put, put_decimal

import os
from http import HTTPStatus

import msgspec
import orjson

from highperf.wire.disposition import attachment

cdef object dumps = orjson.dumps
cdef object struct_type = msgspec.Struct
cdef object encode_struct = msgspec.json.Encoder().encode
cdef object to_builtins = msgspec.to_builtins

cdef bytes JSON = b"application/json"
cdef bytes TEXT = b"text/plain; charset=utf-8"
cdef bytes OCTETS = b"application/octet-stream"

cdef frozenset OWN_FIELDS = frozenset(
    (b"content-length", b"transfer-encoding", b"connection", b"keep-alive", b"upgrade", b"date")
)

# RFC 9110 section 15, with the names that it gave 413, 416 and 422.
cdef dict REASONS = {status.value: status.phrase for status in HTTPStatus}
REASONS[413] = "Content Too Large"
REASONS[416] = "Range Not Satisfiable"
REASONS[422] = "Unprocessable Content"
cdef list STATUS_LINES = [
    f"HTTP/1.1 {status} {REASONS.get(status, '')}\r\n".encode("ascii") if status >= 100 else b""
    for status in range(1000)
]

# tchar of RFC 9110 section 5.6.2
cdef bint TOKEN[256]
for _octet in range(256):
    TOKEN[_octet] = chr(_octet) in "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

cdef tuple DAYS = (b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun")
cdef tuple MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")


cdef str reason_c(int status):
    return <str>REASONS.get(status, "Unknown")


cdef inline void two_digits(char* out, int value) noexcept nogil:
    out[0] = 48 + value // 10
    out[1] = 48 + value % 10


cdef void format_date(char* out, long long unix_s) noexcept:
    # IMF-fixdate, 29 octets (RFC 9110 section 5.6.7). The calendar is Howard Hinnant's
    # days-to-civil algorithm: no locale, no libc state.
    cdef long long days = unix_s // 86400
    cdef int rest = <int>(unix_s - days * 86400)
    cdef long long z = days + 719468
    cdef long long era = z // 146097
    cdef int doe = <int>(z - era * 146097)
    cdef int yoe = (doe - doe // 1460 + doe // 36524 - doe // 146096) // 365
    cdef int doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
    cdef int mp = (5 * doy + 2) // 153
    cdef int day = doy - (153 * mp + 2) // 5 + 1
    cdef int month = mp + 3 if mp < 10 else mp - 9
    cdef int year = <int>(yoe + era * 400 + (1 if month <= 2 else 0))
    memcpy(out, PyBytes_AS_STRING(<bytes>DAYS[(days + 3) % 7]), 3)
    memcpy(out + 3, b", ", 2)
    two_digits(out + 5, day)
    out[7] = 32
    memcpy(out + 8, PyBytes_AS_STRING(<bytes>MONTHS[month - 1]), 3)
    out[11] = 32
    two_digits(out + 12, year // 100)
    two_digits(out + 14, year % 100)
    out[16] = 32
    two_digits(out + 17, rest // 3600)
    out[19] = 58
    two_digits(out + 20, rest // 60 % 60)
    out[22] = 58
    two_digits(out + 23, rest % 60)
    memcpy(out + 25, b" GMT", 4)


def http_date(long long unix_s):
    cdef char text[29]
    if not 0 <= unix_s < 253402300800:
        raise ValueError(f"unix_s must lie between 1970 and 9999, not {unix_s}")
    format_date(text, unix_s)
    return text[:29].decode("ascii")


@cython.final
cdef class StandingFields:
    def __cinit__(self, bint server_field=True):
        self.second = -1
        if server_field:
            memcpy(self.text, b"Server: highperf\r\n", 18)
            self.size = 18
        self.date_field = self.size
        memcpy(self.text + self.size, b"Date: ", 6)
        self.date_at = self.size + 6
        memcpy(self.text + self.date_at + 29, b"\r\n", 2)
        self.size = self.date_at + 31
        self.refresh_c(0)

    cdef void refresh_c(self, long long unix_s) noexcept:
        if unix_s != self.second:
            self.second = unix_s
            format_date(self.text + self.date_at, unix_s)


# ---- fields -----------------------------------------------------------------------------------


cdef bytes field_name(object name):
    cdef bytes octets = name if type(name) is bytes else (<str?>name).encode("latin-1", "replace")
    cdef const unsigned char* text = <const unsigned char*>PyBytes_AS_STRING(octets)
    cdef Py_ssize_t index, size = PyBytes_GET_SIZE(octets)
    for index in range(size):
        if not TOKEN[text[index]]:
            raise ValueError(f"{name!r} is not a field name: only letters, digits and !#$%&'*+-.^_`|~ may stand in it")
    if size == 0:
        raise ValueError("a field name must not be empty")
    if octets.lower() in OWN_FIELDS:
        raise ValueError(f"{name!r} is set by the server")
    return octets


cdef bytes lower_name(object name):
    return (name if type(name) is bytes else (<str?>name).encode("latin-1", "replace")).lower()


cdef bytes field_value(object name, object value):
    cdef bytes octets
    cdef const unsigned char* text
    cdef Py_ssize_t index
    if type(value) is bytes:
        octets = value
    else:
        try:
            octets = (<str?>value).encode("latin-1")
        except UnicodeEncodeError:
            raise ValueError(f"the value of {name!r} has a character outside Latin-1: percent-encode it") from None
    text = <const unsigned char*>PyBytes_AS_STRING(octets)
    for index in range(PyBytes_GET_SIZE(octets)):
        if (text[index] < 32 and text[index] != 9) or text[index] == 127:
            raise ValueError(f"the value of {name!r} has a control character, which RFC 9110 section 5.5 forbids")
    return octets


@cython.final
cdef class ResponseHeaders:
    def __cinit__(self):
        self.fields = []

    def __init__(self, fields=None):
        if fields is not None:
            for name, value in (fields.items() if hasattr(fields, "items") else fields):
                self.append(name, value)

    cdef int add_c(self, object name, object value) except -1:
        cdef bytes octets = field_name(name)
        self.fields.append((octets, field_value(name, value)))
        if PyBytes_GET_SIZE(octets) == 6 and octets.lower() == b"server":
            self.names_server = True
        return 0

    cdef int discard_c(self, object name) except -1:
        cdef bytes unwanted = lower_name(name)
        self.fields = [field for field in self.fields if (<bytes>field[0]).lower() != unwanted]
        if unwanted == b"server":
            self.names_server = False
        return 0

    cdef int freeze_c(self) except -1:
        self.lines = b"".join([b"%b: %b\r\n" % field for field in self.fields])
        return 0

    def append(self, name, value):
        self.add_c(name, value)

    def __setitem__(self, name, value):
        field_value(name, value)            # what is wrong must not cost the old field
        field_name(name)
        self.discard_c(name)
        self.add_c(name, value)

    def __getitem__(self, name):
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __delitem__(self, name):
        if name not in self:
            raise KeyError(name)
        self.discard_c(name)

    def __contains__(self, name):
        return self.get(name) is not None

    def __len__(self):
        return len(self.fields)

    def __iter__(self):
        return iter([name for name, _ in self.items()])

    def __repr__(self):
        return f"ResponseHeaders({self.items()!r})"

    def get(self, name, default=None):
        cdef bytes wanted = lower_name(name)
        for key, value in self.fields:
            if (<bytes>key).lower() == wanted:
                return (<bytes>value).decode("latin-1")
        return default

    def discard(self, name):
        self.discard_c(name)

    def items(self):
        return [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in self.fields]


# ---- writing ----------------------------------------------------------------------------------


cdef inline char* put_bytes(char* at, bytes source) noexcept:
    return put(at, PyBytes_AS_STRING(source), PyBytes_GET_SIZE(source))


cdef Py_ssize_t fields_size(list fields):
    cdef Py_ssize_t size = 0
    cdef tuple field
    for field in fields:
        size += PyBytes_GET_SIZE(<bytes>field[0]) + PyBytes_GET_SIZE(<bytes>field[1]) + 4
    return size


cdef int write_head_c(Buffer out, StandingFields standing, int status, bytes content_type, int64_t length,
                      ResponseHeaders headers, int persistence, const char* extra, Py_ssize_t extra_size) except -1:
    cdef bytes line = <bytes>STATUS_LINES[status]
    cdef int standing_from = standing.date_field if headers is not None and headers.names_server else 0
    cdef Py_ssize_t room = PyBytes_GET_SIZE(line) + standing.size + 128 + extra_size
    cdef char* at
    cdef tuple field
    if content_type is not None:
        room += PyBytes_GET_SIZE(content_type)
    if headers is not None:
        room += fields_size(headers.fields) if headers.lines is None else PyBytes_GET_SIZE(headers.lines)
    out.reserve_c(room)
    at = put_bytes(out.data + out.size, line)
    at = put(at, standing.text + standing_from, standing.size - standing_from)
    if content_type is not None:
        at = put(at, b"Content-Type: ", 14)
        at = put_bytes(at, content_type)
        at = put(at, b"\r\n", 2)
    if length >= 0:
        at = put(at, b"Content-Length: ", 16)
        at = put_decimal(at, length)
        at = put(at, b"\r\n", 2)
    elif length == LENGTH_CHUNKED:
        at = put(at, b"Transfer-Encoding: chunked\r\n", 28)
    if headers is not None and headers.lines is not None:
        at = put_bytes(at, headers.lines)
    elif headers is not None:
        for field in headers.fields:
            at = put_bytes(at, <bytes>field[0])
            at = put(at, b": ", 2)
            at = put_bytes(at, <bytes>field[1])
            at = put(at, b"\r\n", 2)
    at = put(at, extra, extra_size)
    if persistence == PERSIST_CLOSE:
        at = put(at, b"Connection: close\r\n", 19)
    elif persistence == PERSIST_KEEP:
        at = put(at, b"Connection: keep-alive\r\n", 24)
    at = put(at, b"\r\n", 2)
    out.size = at - out.data
    return 0


cdef int write_chunk_size_c(Buffer out, Py_ssize_t size) except -1:
    cdef char digits[16]
    cdef int index = 16
    while True:
        index -= 1
        digits[index] = b"0123456789abcdef"[size & 15]
        size >>= 4
        if size == 0:
            break
    out.append_c(digits + index, 16 - index)
    return out.append_c(b"\r\n", 2)


# ---- values -----------------------------------------------------------------------------------


def encode_default(value):
    # What orjson does not know by itself: a Struct inside of a dict or list.
    if isinstance(value, struct_type):
        return to_builtins(value)
    raise TypeError(f"{type(value).__name__} is not JSON serializable")


cdef bytes encode_json_c(object value):
    if type(value) is not dict and type(value) is not list and isinstance(value, struct_type):
        return encode_struct(value)
    return dumps(value, encode_default)


cdef bytes part_octets_c(object part):
    if isinstance(part, str):
        return (<str>part).encode("utf-8")
    if isinstance(part, (bytes, bytearray, memoryview)):
        return bytes(part)
    raise TypeError(f"a part of a stream must be bytes or str, not {type(part).__name__}")


cdef inline Response make_response(int status, bytes body, bytes content_type):
    cdef Response response = Response.__new__(Response)
    response.status_ = status
    response.body_ = body
    response.content_type_ = content_type
    return response


cdef Response response_from_c(object value):
    # What a handler may return besides a Response.
    kind = type(value)
    if kind is dict or kind is list:
        return make_response(200, dumps(value, encode_default), JSON)
    if kind is str:
        return make_response(200, (<str>value).encode("utf-8"), TEXT)
    if kind is bytes:
        return make_response(200, value, OCTETS)
    if value is None:
        return make_response(204, b"", None)
    if isinstance(value, struct_type):
        return make_response(200, encode_struct(value), JSON)
    if isinstance(value, (dict, list)) or hasattr(kind, "__dataclass_fields__"):
        return make_response(200, dumps(value, encode_default), JSON)
    if isinstance(value, str):
        return make_response(200, (<str>value).encode("utf-8"), TEXT)
    if isinstance(value, bytes):
        return make_response(200, bytes(value), OCTETS)
    raise TypeError(
        f"a handler returned {kind.__name__}; "
        "it may return dict, list, dataclass, msgspec.Struct, str, bytes, None or Response"
    )


cdef ResponseHeaders copy_fields(ResponseHeaders headers):
    # They may serve several responses, and each may be changed.
    cdef ResponseHeaders copy = ResponseHeaders.__new__(ResponseHeaders)
    copy.fields = headers.fields[:]
    copy.names_server = headers.names_server
    return copy


cdef int take_fields(Response response, object headers, object content_type) except -1:
    # Content-Type has a place of its own; a field given by hand counts as one.
    if headers is not None:
        response.headers_ = copy_fields(headers) if type(headers) is ResponseHeaders else ResponseHeaders(headers)
        declared = response.headers_.get("content-type")
        if declared is not None:
            response.headers_.discard_c("content-type")
            response.content_type = declared
    if content_type is not None:
        response.content_type = content_type
    return 0


@cython.final
@cython.freelist(64)
cdef class Response:
    def __init__(self, body=b"", status=200, headers=None, content_type=None):
        self.status_ = checked_status_c(status)
        if body is None:
            body = b""
        if isinstance(body, str):
            self.content_type_ = TEXT
            body = (<str>body).encode("utf-8")
        elif isinstance(body, (bytes, bytearray, memoryview)):
            self.content_type_ = OCTETS if len(body) else None
            body = bytes(body)
        else:
            raise TypeError(f"body must be str or bytes-like, not {type(body).__name__}; use Response.json for values")
        self.body_ = body
        take_fields(self, headers, content_type)

    @staticmethod
    def json(value, status=200, headers=None):
        cdef Response response = make_response(checked_status_c(status), encode_json_c(value), JSON)
        take_fields(response, headers, None)
        return response

    @staticmethod
    def text(str value not None, status=200, headers=None):
        cdef Response response = make_response(checked_status_c(status), value.encode("utf-8"), TEXT)
        take_fields(response, headers, None)
        return response

    @staticmethod
    def stream(source, status=200, headers=None, content_type="application/octet-stream"):
        cdef Response response
        if not hasattr(source, "__aiter__"):
            raise TypeError(f"stream takes an async iterable of bytes or str, not {type(source).__name__}")
        response = make_response(checked_status_c(status), None, None)
        response.source = source
        response.content_type = content_type
        take_fields(response, headers, None)
        return response

    @staticmethod
    def file(
        path, *, root=None, headers=None, content_type=None, download=None, cache_control=None, precompressed=False
    ):
        cdef Response response = make_response(200, None, None)
        # Where it lies must not depend on when it is sent.
        response.path_ = os.fsencode(path) if root is not None else os.path.abspath(os.fsencode(path))
        response.root_ = None if root is None else os.path.abspath(os.fspath(root))
        response.precompressed_ = precompressed
        take_fields(response, headers, content_type)
        if download is not None and download is not False:
            name = os.path.basename(os.fsdecode(path)) if download is True else download
            response.headers["Content-Disposition"] = attachment(name)
        if cache_control is not None:
            response.headers["Cache-Control"] = cache_control
        return response

    @property
    def status(self):
        return self.status_

    @status.setter
    def status(self, value):
        if self.path_ is not None:
            raise ValueError("the status of an answer with a file follows from the file and the request")
        self.status_ = checked_status_c(value)

    @property
    def headers(self):
        if self.headers_ is None:
            self.headers_ = ResponseHeaders()
        return self.headers_

    @property
    def content_type(self):
        return None if self.content_type_ is None else self.content_type_.decode("latin-1")

    @content_type.setter
    def content_type(self, value):
        self.content_type_ = None if value is None else field_value("Content-Type", value)

    @property
    def body(self):
        return self.body_

    def __repr__(self):
        if self.path_ is not None:
            return f"<Response file {os.fsdecode(self.path_)!r}>"
        size = "stream" if self.source is not None else f"{len(self.body_)} bytes"
        return f"<Response {self.status_} {size}>"


cdef int checked_status_c(object status) except -1:
    cdef int value = status
    if not 200 <= value <= 599:
        raise ValueError(f"status must be a final status, 200 to 599, not {status}")
    return value
