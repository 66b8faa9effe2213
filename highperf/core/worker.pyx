# Owns what the connections of one process share: buffers, clock, timers, limits, counters, and the
# timing of the loop's turns, by which an overload is found. Must not know a protocol's octets:
# connections are Streams to it.
#
# Time: now_ns is read once per callback (touch_c) and is right for all that happens in it, unless a
# handler has had its time meanwhile (behind). All timeouts stand in lists and one wheel (guards/deadlines);
# one loop timer is set for the earliest of them. What they hold only ever moves later, so the timer
# is set anew only when it fires, or when something is armed that is due before it. Where a crowd is due at
# once, others are served between its parts.

cimport cython
from cpython.buffer cimport PyBUF_WRITE
from cpython.memoryview cimport PyMemoryView_FromMemory
from cpython.ref cimport Py_REFCNT
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc
from highperf.clock cimport monotonic_ns, unix_ns
from highperf.core.access cimport AccessLines
from highperf.core.proxies cimport TrustedProxies
from highperf.core.request_ids cimport RequestIds
from highperf.core.stream cimport Stream
from highperf.core.tracing cimport Tracer
from highperf.guards.deadlines cimport NEVER, YEAR_NS, TimeoutList, Timer, TimerOwner, TimerWheel, armed_c
from highperf.observe.access_log cimport AccessLog
from highperf.observe.layout cimport FAMILY_DEADLINES_MISSED, FAMILY_REJECTED
from highperf.observe.metrics cimport Metrics
from highperf.observe.traces cimport TraceSource, is_sampled
from highperf.segment cimport Segment
from highperf.wire.buffers cimport BufferPool
from highperf.wire.parser cimport Head
from highperf.wire.response cimport StandingFields
from highperf.wire.router cimport Router

import contextvars
import logging
import os

cdef enum:
    MS = 1_000_000
    SECOND_NS = 1_000_000_000
    LINGER_NS = 2 * SECOND_NS           # RFC 9112 section 9.6: read on after a close, but not for ever
    SPARE_HEADS = 64
    HALF_CLOSE_NS = 1 * SECOND_NS       # a peer that sent FIN may still read; see docs/behaviour.md
    GRACE_MS = 10_000                   # of which nobody's rate is judged
    PARTING_NS = 250_000_000            # while draining, for a request that is on its way or about to be sent
    FAREWELL_NS = 50_000_000            # then, for the peer to see our FIN and to send its own
    CONNECTION_BYTES = 2048             # about what an idle one takes of this process's memory
    AT_ONCE = 32                        # timers of one list that may expire in one turn of the loop
    WARNINGS = 10                       # of bad or slow requests, in a second
    WARNINGS_PER_PEER = 3               # of these
    REFUSALS_CALM_MS = 60_000           # without a refusal of a kind: the next is told of
    TARGET_SHOWN = 200                  # characters of a request's target, in a line of the log
    ASK_AT = 4                          # connections that come between two questions whether files are scarce
    SPARED_MOST = 64                    # of those in whose place others go
    CALM_MS = 10_000                    # so long nobody had to go: the next time is another one
    WATCH_PAUSE_MS = 5                  # from one turn of the loop that is timed to the next

cdef extern from *:
    """
    #include <fcntl.h>
    #include <unistd.h>
    #include <errno.h>
    /* The number that a file would get if it were opened after `others`: each gets the lowest that is free. */
    static int hp_next_file(int others) {
        int next = 0, fd = open("/", O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return errno == EMFILE || errno == ENFILE ? 1 << 30 : 0;
        if (others > 0)
            next = hp_next_file(others - 1);
        close(fd);
        return next > fd ? next : fd;
    }
    """
    int hp_next_file(int others) noexcept

cdef tuple REASONS = (                  # by Verdict
    None, "deadline_unstarted", "route_concurrency", "concurrency", "queue_delay", "rate_limit", "breaker",
    "deadline_missed",
)


cdef tuple WORDS = (                    # by Verdict, for people
    None, "its client gave it no time", "its route runs as many requests as it may",
    "as many requests run as may (--limit-concurrency)", "requests wait too long for the event loop",
    "the rate limit is reached", "its circuit breaker is open", "its deadline passed",
)


@cython.final
cdef class Worker:
    def __cinit__(self, *args, **kwargs):
        self.read_data = <char*>malloc(READ_SIZE)
        self.sealed_data = <char*>malloc(READ_SIZE)
        if self.read_data == NULL or self.sealed_data == NULL:
            raise MemoryError()
        self.traces = TraceSource()

    def __init__(
        self, Router router not None, settings, loop, *, app=None, fallback=None, Segment segment=None, tls=None,
        int line=0, Worker subject=None, AccessLog access_log=None,
    ):
        from highperf.core.connection import HttpProtocol       # these import this module
        from highperf.core.cycle import furnish
        from highperf.core.tls import TlsTransport

        self.protocol_class = HttpProtocol
        self.secure_class = TlsTransport
        self.tls = tls
        self.app = app
        self.loop = loop
        self.context = contextvars.copy_context()
        self.router = router
        self.fallback = fallback
        self.subject = subject
        self.logger = logging.getLogger("highperf.error")
        self.pool = BufferPool()
        self.head = Head()
        self.spare_heads = []
        self.read_buffer = PyMemoryView_FromMemory(self.read_data, READ_SIZE, PyBUF_WRITE)
        self.sealed_buffer = PyMemoryView_FromMemory(self.sealed_data, READ_SIZE, PyBUF_WRITE)
        self.set_limits_c(settings)
        self.proxies = TrustedProxies(settings.forwarded_allow_ips)
        self.standing = StandingFields(settings.server_header)
        self.make_timers(settings)
        self.segment = Segment.create() if segment is None else segment
        self.random_state = int.from_bytes(os.urandom(8), "little") | 1
        self.decoders = {}
        self.streams = set()
        self.cycles = set()
        self.ids = RequestIds(settings.request_id_header)
        self.warned_of = {}
        if access_log is not None:
            self.access = AccessLines(access_log, loop)
            self.observes = self.wants_heads = True
        if settings.metrics:
            self.count_in_c(line)
        self.touch_c()
        furnish(self, settings)

    def __dealloc__(self):
        free(self.read_data)
        free(self.sealed_data)

    cdef int set_limits_c(self, settings) except -1:
        self.limits.line_bytes = settings.limit_request_line
        self.limits.field_bytes = settings.limit_request_field_size
        self.limits.fields = settings.limit_request_fields
        self.limits.head_bytes = settings.limit_request_head
        self.limit_body = settings.limit_request_body
        self.limit_connections = settings.limit_connections
        self.limit_body_rate = settings.limit_body_rate
        if self.limits.line_bytes >= PATH_SIZE:
            raise ValueError(f"limit_request_line must be below {PATH_SIZE}")
        return 0

    cdef int count_in_c(self, int line) except -1:
        # line: of the board; its counts are this process's now.
        cdef int verdict
        self.metrics = Metrics(self.segment, line, secure=self.tls is not None)
        self.observes = True
        for verdict in range(1, <int>VERDICTS):
            if verdict == MISSED:
                self.verdict_cells[verdict] = self.metrics.cell_c(FAMILY_DEADLINES_MISSED, None, None)
            else:
                self.verdict_cells[verdict] = self.metrics.cell_c(FAMILY_REJECTED, REASONS[verdict], None)
        return 0

    def make_timers(self, settings):
        # A timeout that is off still keeps its connections in order.
        self.heads = TimeoutList(settings.read_timeout_ns or YEAR_NS)
        self.bodies = TimeoutList(settings.read_timeout_ns)
        self.writes = TimeoutList(settings.write_timeout_ns)
        self.idles = TimeoutList(settings.idle_timeout_ns or YEAR_NS)
        self.handshakes = TimeoutList(settings.ssl_handshake_timeout_ns or YEAR_NS)
        self.lingers = TimeoutList(LINGER_NS)
        self.half_closes = TimeoutList(HALF_CLOSE_NS)
        self.partings = TimeoutList(PARTING_NS)
        self.farewells = TimeoutList(FAREWELL_NS)
        self.timeouts = [
            self.heads, self.bodies, self.writes, self.idles, self.lingers, self.half_closes, self.partings,
            self.farewells, self.handshakes,
        ]
        self.deadlines = {}
        self.wheel = TimerWheel()
        self.tick_due_ns = NEVER

    # ---- connections --------------------------------------------------------------------------

    def connection(self):
        if not self.draining and self.crowded_c() and not self.make_room_c() and not self.full:
            self.full = True
            if self.on_full is not None:
                self.loop.call_soon(self.on_full)       # not inside of an accept
        if self.metrics is not None:
            self.metrics.connections[0] += 1
        return self.protocol_class(self) if self.tls is None else self.secure_class(self)

    def has_room(self, int files):
        if self.limit_connections and len(self.streams) >= self.limit_connections:
            return False
        return self.limit_files == 0 or hp_next_file(files) < self.limit_files

    cdef bint crowded_c(self) noexcept:
        # Files are opened by the application as well, so what counts is whether one more can be had.
        if self.limit_connections and len(self.streams) >= self.limit_connections:
            return True
        if self.limit_files == 0:
            return False
        self.unasked += 1
        if self.scarce or self.unasked >= ASK_AT:
            self.unasked = 0
            self.scarce = hp_next_file(0) >= self.limit_files
        return self.scarce

    def make_room(self):
        self.touch_c()
        self.full = False
        return self.make_room_c() > 0

    cdef int make_room_c(self) except -1:
        # Ends those who miss least by it, the longest waiting first; some at once where there are many, for
        # more will come. Their files are free in the next turn of the loop.
        cdef int wanted = max(1, min(AT_ONCE, len(self.streams) // AT_ONCE))
        cdef int ended = self.evict_c(self.idles, None, wanted)
        ended += self.evict_c(self.lingers, None, wanted - ended)
        ended += self.evict_c(self.heads, self.handshakes, wanted - ended)
        if ended:
            if self.now_ns >= self.calm_ns:
                self.logger.warning("As many connections are open as may be (%d): idle and unfinished ones end for "
                                    "new ones", len(self.streams))
            self.calm_ns = self.now_ns + <long long>CALM_MS * MS
        self.evicted += ended
        return ended

    cdef int evict_c(self, TimeoutList timeouts, TimeoutList others, int wanted) except -1:
        # From one list, or in the order in which those of two began.
        cdef Timer* timer
        cdef Timer* other = NULL
        cdef int ended = 0
        cdef int spared = 0, others_spared = 0
        while ended < wanted and spared + others_spared < SPARED_MOST:
            timer = timeouts.at_c(spared)
            if others is not None:
                other = others.at_c(others_spared)
            if other != NULL and (timer == NULL or timeouts.since_c(timer) >= others.since_c(other)):
                if (<Stream>other.owner).evict_c():
                    ended += 1
                else:
                    others_spared += 1
            elif timer == NULL:
                break
            elif (<Stream>timer.owner).evict_c():
                ended += 1
            else:
                spared += 1
        return ended

    @property
    def connections(self):
        return len(self.streams)

    @property
    def in_flight(self):
        return len(self.cycles)

    cdef int opened_c(self, object stream) except -1:
        self.streams.add(stream)
        if len(self.streams) > self.most_open:
            self.most_open = len(self.streams)
        return 0

    cdef int closed_c(self, object stream) except -1:
        self.streams.discard(stream)
        if self.draining and not self.streams and self.on_idle is not None:
            self.on_idle()
        return 0

    # ---- stopping -----------------------------------------------------------------------------

    def announce(self):
        self.ready = False
        self.announced = True

    def begin_drain(self):
        cdef Stream stream
        self.touch_c()
        self.announce()
        self.draining = True
        for stream in list(self.streams):
            stream.drain_c()
        if not self.streams and self.on_idle is not None:
            self.on_idle()

    def cancel_requests(self, str reason not None):
        self.touch_c()
        for cycle in list(self.cycles):
            if cycle.stop(reason):
                self.cancelled += 1

    def abort(self):
        cdef Stream stream
        self.touch_c()
        self.dropped += sum([cycle.unanswered for cycle in self.cycles])
        for stream in list(self.streams):
            stream.close_c()

    def close(self):
        self.cancel_tick_c()
        self.gauges = None
        if self.send_queue is not None:
            self.send_queue.close()
        if self.poller is not None:
            self.poller.close()
        if self.access is not None:
            self.access.log.sink.flush_c()

    cdef int cancel_tick_c(self) except -1:
        if self.tick_handle is not None:
            self.tick_handle.cancel()
            self.tick_handle = None
            self.tick_due_ns = NEVER
        return 0

    @property
    def refused(self):
        return {REASONS[verdict]: self.refused_[verdict] for verdict in range(1, VERDICTS)}

    def describe_requests(self):
        self.touch_c()
        return [cycle.describe() for cycle in self.cycles]

    # ---- time ---------------------------------------------------------------------------------

    cdef long long touch_c(self) noexcept:
        self.now_ns = self.fixed_now_ns if self.fixed_now_ns else monotonic_ns()
        self.behind = False
        if self.now_ns >= self.next_second_ns:
            self.next_second_ns = self.now_ns - self.now_ns % SECOND_NS + SECOND_NS
            self.standing.refresh_c((unix_ns() + self.now_ns - monotonic_ns()) // SECOND_NS)     # a test may be ahead
            if self.access is not None:
                self.access.log.refresh_c(self.standing.second)
            self.give_back_c()
        return self.now_ns

    cdef int give_back_c(self) except -1:
        # Once a second: what a burst needed and nobody needs now.
        self.warned = 0
        self.warned_of.clear()
        self.pool.freed_bytes += (self.most_open - len(self.streams)) * CONNECTION_BYTES
        self.most_open = len(self.streams)
        return self.pool.trim_c()

    cdef int arm_c(self, TimeoutList timeouts, Timer* timer) except -1:
        return self.arm_since_c(timeouts, timer, self.now_ns)

    cdef int arm_since_c(self, TimeoutList timeouts, Timer* timer, long long since_ns) except -1:
        timeouts.arm_c(timer, since_ns)
        return self.expect_c(timer)

    cdef int arm_at_c(self, Timer* timer, long long due_ns) except -1:
        self.wheel.arm_c(timer, due_ns, self.now_ns)
        return self.expect_c(timer)

    cdef bint too_slow_c(self, int64_t octets, long long waited_ns) noexcept:
        # On average, over all the time in which it was the peer that was waited for: progress alone costs
        # a peer an octet in each timeout.
        cdef long long waited_ms = waited_ns // MS
        return waited_ms >= GRACE_MS and octets < self.limit_body_rate * waited_ms // 1000

    cdef int expect_c(self, Timer* timer) except -1:
        # A timeout that is off leaves its timer idle.
        if timer.due_ns < self.tick_due_ns and armed_c(timer):
            self.schedule_c(timer.due_ns)
        return 0

    cdef TimeoutList deadlines_of_c(self, long long timeout_ns):
        cdef object timeouts = self.deadlines.get(timeout_ns)
        if timeouts is None:
            timeouts = self.deadlines[timeout_ns] = TimeoutList(timeout_ns)
            self.timeouts.append(timeouts)
        return <TimeoutList>timeouts

    cdef int schedule_c(self, long long due_ns) except -1:
        if self.tick_handle is not None:
            self.tick_handle.cancel()
        self.tick_due_ns = due_ns
        # The loop counts in milliseconds: round up, so that nothing is found not yet due.
        self.tick_handle = self.loop.call_later((max(0, due_ns - self.now_ns) // 1_000_000 + 1) / 1000.0, self.tick)
        return 0

    def tick(self):
        cdef TimeoutList timeouts
        cdef Timer* timer
        self.touch_c()
        if self.unsaid and self.now_ns >= self.say_ns:
            self.logger.warning("bad or slow requests: %d more, of which nothing is said here", self.unsaid)
            self.unsaid = 0
        try:
            for timeouts in self.timeouts:
                for _ in range(AT_ONCE):
                    timer = timeouts.pop_expired_c(self.now_ns)
                    if timer == NULL:
                        break
                    self.expire_c(timer)
            for _ in range(AT_ONCE):
                timer = self.wheel.pop_expired_c(self.now_ns)
                if timer == NULL:
                    break
                self.expire_c(timer)
        finally:
            self.reschedule_c()

    cdef int expire_c(self, Timer* timer) except -1:
        cdef TimerOwner owner = <TimerOwner>timer.owner     # kept alive while it deals with it
        return owner.expired_c(timer.kind)

    cdef int reschedule_c(self) except -1:
        cdef TimeoutList timeouts
        cdef bint to_do = self.pool.held_bytes > 0 or self.most_open > len(self.streams)
        cdef long long due_ns = self.next_second_ns if to_do else NEVER
        if self.unsaid:
            due_ns = min(due_ns, self.say_ns)
        due_ns = min(due_ns, self.wheel.next_due_c())
        for timeouts in self.timeouts:
            due_ns = min(due_ns, timeouts.next_due_c())
        self.cancel_tick_c()
        if due_ns <= self.now_ns:       # more than one turn of the loop may deal with
            self.tick_due_ns = due_ns
            self.tick_handle = self.loop.call_soon(self.tick)
        elif due_ns != NEVER:
            self.schedule_c(due_ns)
        return 0

    def advance(self, double seconds, *, bint tick=True):
        # A test's clock: from the first call on, time moves only here.
        self.fixed_now_ns = (self.fixed_now_ns or monotonic_ns()) + <long long>(seconds * SECOND_NS)
        if tick:
            self.tick()

    # ---- overload -----------------------------------------------------------------------------

    cdef int watch_c(self) except -1:
        # Requests are coming: time one whole turn of the loop now and then, and each while they stand.
        self.wanted = True
        if not self.watching:
            self.watching = True
            self.loop.call_later(WATCH_PAUSE_MS / 1000.0, self.begin_turn)
        return 0

    def begin_turn(self):
        # A timer may fire anywhere in a turn; what is called soon runs at the same place in each.
        self.turn_began_ns = 0
        self.wanted = False
        self.loop.call_soon(self.end_turn)

    def end_turn(self):
        cdef long long began_ns = self.turn_began_ns
        self.turn_began_ns = self.touch_c()
        if began_ns:
            self.longest_turn_ns = max(self.longest_turn_ns, self.now_ns - began_ns)
            self.shedder.turn_c(self.now_ns - began_ns, self.now_ns)
            if not self.shedder.standing:
                self.watching = False
                if self.wanted:
                    self.watch_c()
                return
        self.loop.call_soon(self.end_turn)

    cdef int warn_c(self, object peer, str message, tuple details) except -1:
        # A log that a peer can fill is a weapon, and so is one in which it can hide others.
        if self.may_warn_c(peer):
            self.logger.warning(message, *details)
            return 0
        if self.unsaid == 0:
            self.say_ns = self.next_second_ns
        self.unsaid += 1
        if self.say_ns < self.tick_due_ns:
            self.schedule_c(self.say_ns)
        return 0

    cdef bint may_warn_c(self, object peer) except -1:
        cdef object address = peer[0] if isinstance(peer, tuple) else peer
        cdef int count = self.warned_of.get(address, 0)
        if self.warned >= WARNINGS or (peer is not None and count >= WARNINGS_PER_PEER):
            return False
        self.warned += 1
        self.warned_of[address] = count + 1
        return True

    cdef int refused_c(self, Stream stream, Head head, int verdict, int status) except -1:
        cdef long long last_ns = self.refused_ns[verdict]
        self.count_c(verdict)
        self.refused_ns[verdict] = self.now_ns
        if last_ns and self.now_ns - last_ns < <long long>REFUSALS_CALM_MS * MS:
            return 0
        target = head.base[head.target.start:head.target.start + head.target.size].decode("ascii")
        method = head.base[head.method_token.start:head.method_token.start + head.method_token.size].decode("ascii")
        self.logger.warning(
            "%s %s refused with %d: %s. Others like it are counted, and told of again after a minute without any "
            "[request %s]", method, target[:TARGET_SHOWN], status, WORDS[verdict],
            stream.request_id_c(),
        )
        return 0

    cdef int observed_c(self, Stream stream, Head head) except -1:
        if self.metrics is not None:
            self.metrics.observe_c(&stream.exchange)
        if self.access is not None:
            self.access.close_c(stream, head)
        if self.tracer is not None and is_sampled(&stream.exchange.trace):
            self.tracer.close_c(stream, head)
        return 0

    @property
    def spans_dropped(self):
        return 0 if self.tracer is None else self.tracer.recorder.dropped

    def record(self, recorder not None, TraceSource source not None):
        self.traces = source
        self.tracer = Tracer(recorder, source, self.logger)
        self.observes = True

    cdef void count_c(self, int verdict) noexcept:
        self.refused_[verdict] += 1
        if self.verdict_cells[verdict] != NULL:
            self.verdict_cells[verdict][0] += 1

    cdef void tell_c(self, int reason) noexcept:
        if self.metrics is not None:
            self.metrics.count_c(reason)

    def beat(self, double late_s):
        self.longest_turn_ns = max(self.longest_turn_ns, <long long>(late_s * SECOND_NS))
        if self.gauges is not None:
            self.gauges.write(True)
        self.longest_turn_ns = 0

    def refresh_metrics(self):
        if self.gauges is not None:
            self.gauges.write(False)

    cdef long long random_c(self) noexcept:
        # xorshift64 (Marsaglia 2003): for jitter, which nobody gains by foreseeing
        self.random_state ^= self.random_state << 13
        self.random_state ^= self.random_state >> 7
        self.random_state ^= self.random_state << 17
        return <long long>(self.random_state >> 1)

    # ---- requests -----------------------------------------------------------------------------

    cdef int take_head_c(self) except -1:
        # The scratch head is to live on: put another in its place.
        self.head = <Head>self.spare_heads.pop() if self.spare_heads else Head()
        return 0

    cdef int give_head_c(self, Head head, int callers) except -1:
        # A head that lived on is not needed by its connection any more. If a handler kept its
        # Request, octets and head stay with that; otherwise both serve again.
        if Py_REFCNT(head) > callers:
            self.pool.forget_c(head.own)
        else:
            head.drop_c(self.pool)
            if len(self.spare_heads) < SPARE_HEADS:
                self.spare_heads.append(head)
        return 0
