# What a RequestCycle answers through, and what a BodyReader draws from. One Stream carries one
# request at a time; HTTP/1.1 has one per connection, another wire may have many. Nothing here
# knows octets of a protocol.

from libc.stdint cimport int64_t
from highperf.guards.deadlines cimport TimerOwner
from highperf.observe.exchange cimport Exchange
from highperf.wire.address cimport Address
from highperf.wire.buffers cimport Buffer
from highperf.wire.parser cimport Head
from highperf.wire.response cimport ResponseHeaders

cdef enum:
    LENGTH_UNKNOWN = -2         # the answer ends when finish_c says so
    CLIENT_KEY_SIZE = 16
    REQUEST_ID_MOST = 128
    CANNED_TAIL = 2             # octets of a canned answer's content behind the request's id


cdef enum FileProgress:
    FILE_GOING = 0              # the holder is told later
    FILE_SENT = 1               # the stream has taken all of it
    FILE_FAILED = 2             # it ended early, changed, or cannot be read: abort


cdef class FileHolder(TimerOwner):
    # Who has a file sent, and keeps it open until then. Abstract.
    # FILE_SENT or FILE_FAILED, once, where send_file_c gave FILE_GOING.
    cdef int file_done_c(self, int progress) except -1
    # Asked before the last octets leave: whether the file is still what its head says.
    cdef bint unchanged_c(self) noexcept
    # The peer is gone, or the stream was aborted.
    cdef int lost_c(self, str reason) except -1


cdef class Canned:
    # An answer that is given over and over, as a stream has written it last. From one to the next its request's id
    # changes, in a field and near the end of its content, and each second its Date.
    cdef ResponseHeaders fields
    cdef unsigned long long key  # what its content depends on, as whoever gives it knows; 0: nothing is known yet
    cdef Buffer octets          # of all of it
    cdef Py_ssize_t content_size
    cdef Py_ssize_t id_at       # where the field's id is
    cdef Py_ssize_t id_size
    cdef long long second


cdef class Stream(TimerOwner):
    cdef Exchange exchange          # of the running request, for the worker's observers
    cdef object route               # its Route, or None
    cdef object span                # what is recorded of it, while its handler runs; or None
    cdef unsigned long long request_number  # what its id is made of; 0: it has none
    cdef bytes given_id             # the id that a trusted proxy gave it, or None
    cdef tuple answer_fields        # where the access log wants them: content type and ResponseHeaders of the answer

    # The four verbs. After finish_c or abort_c the stream belongs to the next request.
    # start_c: length is the body's size, or LENGTH_UNKNOWN; gives how many octets the head has, 0: none was written.
    cdef int start_c(self, int status, bytes content_type, int64_t length, ResponseHeaders headers) except -1
    # send_c: octets stay alive through owner (or are copied when it is None).
    cdef int send_c(self, const char* octets, Py_ssize_t size, object owner) except -1
    cdef int finish_c(self) except -1
    cdef int abort_c(self) except -1

    # start_c and send_c in one, of what canned has; False: it has to be written anew. Just after that, of a head and a
    # content of so many octets, can_c keeps it, if it can be repeated.
    cdef bint repeat_c(self, Canned canned, int status) except -1
    cdef int can_c(self, Canned canned, Py_ssize_t head_size, Py_ssize_t content_size) except -1

    # As send_c, for octets of an open file; one at a time. A FileProgress.
    cdef int send_file_c(self, FileHolder holder, int fd, int64_t offset, int64_t size) except -1
    # Who is to be told when the peer is gone, though nothing of a file is being sent yet; None: nobody.
    cdef int attend_c(self, FileHolder holder) except -1

    # Octets have come on its socket, or their end, or an error (ended): it takes them in, and says whether
    # after_read_c is to follow, for which its answers may wait.
    cdef int readable_c(self, bint ended) except -1
    cdef int after_read_c(self) except -1

    # Back-pressure: None, or a future that is done when the peer took enough.
    cdef object drained_c(self)
    # The handler wants octets of the body (again) / has enough for now.
    cdef int pull_c(self) except -1
    cdef int hold_c(self) except -1
    # Of the request with this head: (host, port) of who sent it, or None; "http" or "https" as he had it,
    # or None when the peer is gone.
    cdef object client_c(self, Head head)
    cdef object scheme_c(self, Head head)
    # The same for whoever must not run Python: False: not known. head: None where it was not understood.
    cdef bint address_c(self, Head head, Address* address, int* port) noexcept
    # Whether the peer's word on a request is believed.
    cdef bint trusted_c(self) except -1
    # The id of the running request, at most REQUEST_ID_MOST octets, visible ASCII, which stand where they are until
    # another request's is asked for; gives how many, 0: it has none.
    cdef Py_ssize_t request_id_octets_c(self, const char** octets) noexcept
    cdef str request_id_c(self)         # the same as text, or None
    # Octets by which he is told from others, at most CLIENT_KEY_SIZE; 0: he has no address.
    cdef Py_ssize_t client_key_c(self, Head head, char* key) except -1

    # The certificate by which it proved who it is, as ssl.SSLSocket.getpeercert() tells it, or None.
    cdef object certificate_c(self)

    # Room is wanted for others: ends where nothing is lost by it, and says whether it does.
    cdef bint evict_c(self) except -1
    # The server is stopping: no next request; and the end of all patience.
    cdef int drain_c(self) except -1
    cdef int close_c(self) except -1
