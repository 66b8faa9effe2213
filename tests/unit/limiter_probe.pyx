# The C-level interface of guards/limiter, for the tests of one process and of several.

from libc.stdint cimport uint64_t
from highperf.clock cimport monotonic_ns
from highperf.guards.limiter cimport TokenBucket
from highperf.segment cimport LINE_BYTES, Segment, add_word, load_word, store_word


cdef struct Admission:
    uint64_t arrival            # the word's new value, 1/256 ns since the epoch
    uint64_t before_ns          # when the caller read the clock


cdef struct Log:
    # In shared memory: what a process wrote is there when it is killed.
    uint64_t stop               # not 0: the writer is to end
    uint64_t decisions
    uint64_t raced              # of them, those in the course of which another process took
    uint64_t count
    Admission admissions[1]     # as many as there is room for


cdef void note_c(Log* log, uint64_t arrival, long long now_ns) noexcept nogil:
    log.admissions[log.count] = Admission(arrival, now_ns)
    store_word(&log.count, log.count + 1)


cdef Log* log_c(unsigned char[::1] memory) noexcept:
    return <Log*>&memory[0]


def take_at(TokenBucket bucket, long long cost, long long now_ns):
    """(wait, arrival time in 1/256 ns); without the latter where nothing was taken."""
    cdef uint64_t arrival
    cdef long long wait_ns = bucket.take_at_c(cost, now_ns, &arrival)
    return wait_ns, arrival if wait_ns == 0 and cost else None


def wait_at(TokenBucket bucket, long long cost, long long now_ns):
    return bucket.wait_c(cost, now_ns)


def interval_units(TokenBucket bucket):
    return bucket.interval


def log_bytes(int admissions):
    return sizeof(Log) + admissions * sizeof(Admission)


def open_gate(Segment segment):
    store_word(<uint64_t*>segment.area_c("gate", LINE_BYTES), 1)


def pass_gate(Segment segment):
    # Spins, so that all begin at once.
    cdef uint64_t* gate = <uint64_t*>segment.area_c("gate", LINE_BYTES)
    while load_word(gate) == 0:
        pass


def hammer(TokenBucket bucket, unsigned char[::1] memory):
    """Takes one by one, as fast as can be, until told to stop or the log is full."""
    cdef Log* log = log_c(memory)
    cdef uint64_t room = (memory.shape[0] - sizeof(Log)) // sizeof(Admission)
    cdef uint64_t arrival, seen, mine
    cdef long long now_ns
    with nogil:
        while load_word(&log.stop) == 0 and log.count < room:
            now_ns = monotonic_ns()
            seen = mine = load_word(bucket.words)
            log.decisions += 1
            if bucket.take_at_c(1, now_ns, &arrival) == 0:
                mine = max(seen, bucket.units_c(now_ns)) + bucket.interval
                note_c(log, arrival, now_ns)
            log.raced += (mine != arrival) if mine != seen else load_word(bucket.words) != seen


def take_and_give_back(TokenBucket bucket, unsigned char[::1] memory):
    """Takes three tokens and gives one of them back, again and again until told to stop; none is to be refused."""
    cdef Log* log = log_c(memory)
    cdef uint64_t arrival
    cdef long long now_ns
    with nogil:
        while load_word(&log.stop) == 0:
            now_ns = monotonic_ns()
            log.decisions += bucket.take_at_c(3, now_ns, &arrival) == 0
            log.raced += load_word(bucket.words) != arrival
            bucket.refund_c(1, now_ns, now_ns)


def drive(TokenBucket bucket, Segment segment, unsigned char[::1] memory, long long step_ns, uint64_t calls):
    """Once the gate is open, takes at instants that all draw from one clock in the segment, `calls` in all."""
    cdef Log* log = log_c(memory)
    cdef uint64_t* clock = <uint64_t*>segment.area_c("virtual clock", LINE_BYTES)
    cdef uint64_t arrival, drawn
    cdef long long now_ns
    pass_gate(segment)
    with nogil:
        while True:
            drawn = add_word(clock, 1)
            if drawn >= calls:
                break
            now_ns = bucket.epoch_ns + <long long>drawn * step_ns
            log.decisions += 1
            if bucket.take_at_c(1, now_ns, &arrival) == 0:
                note_c(log, arrival, now_ns)


def stop(unsigned char[::1] memory):
    store_word(&log_c(memory).stop, 1)


def count(unsigned char[::1] memory):
    return load_word(&log_c(memory).count)


def decisions(unsigned char[::1] memory):
    return load_word(&log_c(memory).decisions)


def raced(unsigned char[::1] memory):
    return load_word(&log_c(memory).raced)


def read(unsigned char[::1] memory):
    """[(arrival, before_ns), ...]"""
    cdef Log* log = log_c(memory)
    entries = range(load_word(&log.count))
    return [(log.admissions[at].arrival, log.admissions[at].before_ns) for at in entries]
