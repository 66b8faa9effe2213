# Worker: one process's share of the server. All state that requests have in common hangs here
# and is passed down; no compiled module keeps any of its own.

from libc.stdint cimport int64_t
from highperf.core.access cimport AccessLines
from highperf.core.proxies cimport TrustedProxies
from highperf.core.request_ids cimport RequestIds
from highperf.core.stream cimport Stream
from highperf.core.tracing cimport Tracer
from highperf.guards.deadlines cimport TimeoutList, Timer, TimerWheel
from highperf.guards.shedder cimport Shedder
from highperf.observe.metrics cimport Metrics
from highperf.observe.traces cimport TraceSource
from highperf.segment cimport Segment
from highperf.wire.buffers cimport Buffer, BufferPool
from highperf.wire.parser cimport Head, Limits
from highperf.wire.response cimport StandingFields
from highperf.wire.router cimport Router

cdef enum:
    READ_SIZE = 64 * 1024       # octets of one read; stays in the second-level cache
    PATH_SIZE = 64 * 1024       # the longest path that can reach the router


cdef enum Verdict:
    # What became of a request at the guards, and what it is counted as.
    PASSED = 0
    REFUSED_LATE = 1            # 503: the client gave no time
    REFUSED_ROUTE_FULL = 2      # 503: the route's own limit of running requests
    REFUSED_FULL = 3            # 503: the worker's
    REFUSED_DELAY = 4           # 503: requests wait for the loop
    REFUSED_RATE = 5            # 429
    REFUSED_OPEN = 6            # 503: the circuit breaker
    MISSED = 7                  # 504, or an answer after its deadline
    KEY_FAILED = 8              # what a rate limit's key is, could not be found out
    VERDICTS = 8                # those that are counted


cdef class Worker:
    # for the life of the process
    cdef readonly object app
    cdef readonly object loop
    cdef readonly object context        # what each request's context variables are when it begins
    cdef readonly Router router
    cdef readonly BufferPool pool
    cdef readonly object logger
    cdef object protocol_class
    cdef object secure_class            # what lies between TCP and the protocol, where tls is given
    cdef readonly object tls            # ssl.SSLContext, or None
    cdef Limits limits
    cdef long long limit_body
    cdef long long limit_body_rate      # octets a second; 0: any
    cdef readonly TrustedProxies proxies    # whose word on a request's client is believed
    cdef StandingFields standing
    cdef readonly dict decoders         # type -> msgspec decoder
    cdef readonly Segment segment       # shared with the other workers
    cdef readonly Shedder shedder
    cdef dict mounts                    # FileMounts of Response.file by (root, precompressed), or None
    cdef object send_queue              # SendQueue, or None before a file needed it
    cdef object spare_cycle             # a RequestCycle that has ended and that nobody holds, or None
    cdef object poller                  # Poller, or None before a connection needed it
    cdef object unrouted                # Gate of requests that no route takes, or None
    cdef list refusals                  # Refusal by Verdict, or None where the gate has its own
    cdef bytes timeout_field            # lower-case name of the field with a client's deadline, or None
    cdef readonly Worker subject        # the worker that this one tells about, or None: itself
    cdef readonly object fallback       # Route for requests that no route takes, or None

    # shared by all connections, valid until the next read
    cdef char* read_data                # owned by read_buffer
    cdef object read_buffer             # what get_buffer hands out
    cdef char* sealed_data              # as it came, where tls is given
    cdef object sealed_buffer
    cdef Head head                      # scratch: the head being parsed; replaced when it must live on
    cdef list spare_heads               # to replace it with
    cdef char path[PATH_SIZE]           # scratch: a percent-decoded path

    # who is told of requests; None: nobody
    cdef readonly Metrics metrics
    cdef readonly AccessLines access
    cdef object gauges                  # Gauges of metrics, or None
    cdef int64_t* verdict_cells[VERDICTS]   # where verdicts are counted besides; NULL: nowhere
    cdef bint observes                  # observed_c is to be called
    cdef bint wants_heads               # one wants the head of a request that outlives its first step
    cdef TraceSource traces             # what finds out, or makes up, which trace a request belongs to
    cdef Tracer tracer                  # None: no spans are recorded

    # time; now_ns is that of the current callback
    cdef long long now_ns
    cdef bint behind                    # the application has had its time since now_ns was read
    cdef long long fixed_now_ns         # > 0: a test's clock
    cdef long long next_second_ns
    cdef TimeoutList heads
    cdef TimeoutList bodies
    cdef TimeoutList writes
    cdef TimeoutList idles
    cdef TimeoutList handshakes
    cdef TimeoutList lingers
    cdef TimeoutList half_closes
    cdef TimeoutList partings           # silent connections of a draining worker
    cdef TimeoutList farewells          # these, once our side is closed
    cdef list timeouts                  # all of them
    cdef dict deadlines                 # timeout_ns -> TimeoutList of requests
    cdef TimerWheel wheel               # requests whose deadline is no route's
    cdef bint watching                  # turns of the loop are being timed
    cdef bint wanted                    # a request came since the last one was
    cdef long long turn_began_ns        # 0: not yet
    cdef object tick_handle
    cdef long long tick_due_ns

    # what is going on
    cdef set streams                    # open connections
    cdef Py_ssize_t most_open           # of them at once, in this second
    cdef readonly Py_ssize_t limit_connections  # 0: any number
    cdef public int limit_files         # numbers of files from here on are for other use; 0: any may be had
    cdef int unasked                    # connections that have come since files were counted
    cdef bint scarce                    # they were, then
    cdef bint full                      # on_full was called
    cdef public object on_full          # nobody can go for a new connection
    cdef readonly long long evicted
    cdef long long calm_ns              # when those of before are forgotten
    cdef set cycles                     # requests that wait
    cdef readonly int answering         # requests that have no whole answer yet
    cdef readonly long long longest_turn_ns     # of the loop, since somebody took note
    cdef public bint ready
    cdef readonly bint announced        # every answer is its connection's last
    cdef readonly bint draining         # connections that nothing comes on end
    cdef public object on_idle
    cdef readonly long long served
    cdef readonly long long cancelled
    cdef readonly long long dropped
    cdef readonly long long zombies     # requests that were answered 504, and still run
    cdef long long refused_[VERDICTS]   # by Verdict
    cdef long long refused_ns[VERDICTS]  # when the last one was
    cdef int warned                     # warnings in this second
    cdef dict warned_of                 # how many of them, by the peer's address
    cdef long long unsaid               # those that were one too many, and were not told of yet
    cdef long long say_ns               # when they will be
    cdef unsigned long long random_state
    cdef readonly RequestIds ids

    cdef long long touch_c(self) noexcept
    cdef int give_back_c(self) except -1
    cdef int set_limits_c(self, settings) except -1
    cdef int count_in_c(self, int line) except -1
    # Of what a peer may cause as often as it likes. peer: its name, as the transport has it, or None.
    cdef int warn_c(self, object peer, str message, tuple details) except -1
    cdef bint may_warn_c(self, object peer) except -1
    cdef int arm_c(self, TimeoutList timeouts, Timer* timer) except -1
    # The same for time that began earlier; a list's timers are armed in the order of these beginnings.
    cdef int arm_since_c(self, TimeoutList timeouts, Timer* timer, long long since_ns) except -1
    cdef int arm_at_c(self, Timer* timer, long long due_ns) except -1
    cdef TimeoutList deadlines_of_c(self, long long timeout_ns)
    cdef int watch_c(self) except -1
    cdef long long random_c(self) noexcept
    # A request is over. head: its octets, or None where it could not be understood or nobody wanted them kept.
    cdef int observed_c(self, Stream stream, Head head) except -1
    cdef void count_c(self, int verdict) noexcept
    # A Reason of metrics.
    cdef void tell_c(self, int reason) noexcept
    # Guards refused a request: of the first one of a kind, and after a calm, the log tells.
    cdef int refused_c(self, Stream stream, Head head, int verdict, int status) except -1
    # Whether so many octets in the time that the peer was waited for are fewer than may be.
    cdef bint too_slow_c(self, int64_t octets, long long waited_ns) noexcept
    cdef int expect_c(self, Timer* timer) except -1
    cdef int expire_c(self, Timer* timer) except -1
    cdef int schedule_c(self, long long due_ns) except -1
    cdef int reschedule_c(self) except -1
    cdef int cancel_tick_c(self) except -1
    cdef int take_head_c(self) except -1
    cdef int give_head_c(self, Head head, int callers) except -1
    cdef bint crowded_c(self) noexcept
    cdef int make_room_c(self) except -1
    cdef int evict_c(self, TimeoutList timeouts, TimeoutList others, int wanted) except -1
    cdef int opened_c(self, object stream) except -1
    cdef int closed_c(self, object stream) except -1
