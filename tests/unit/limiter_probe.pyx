# The C-level interface of guards/limiter, for the tests of one process and of several.

from libc.stdint cimport uint64_t
from highperf.clock cimport monotonic_ns
from highperf.guards.limiter cimport TokenBucket
from highperf.segment cimport Segment, add_word, load_word, store_word


cdef struct Admission:
    uint64_t arrival            # the word's new value, 1/256 ns since the epoch
    uint64_t before_ns          # when the caller read the clock
    uint64_t contended          # 1: another took between the caller's look at the word and its take


cdef struct Log:
    # In shared memory: what a process wrote is there when it is killed.
    uint64_t stop               # not 0: the writer is to end
    uint64_t decisions
    uint64_t count
    Admission admissions[1]     # as many as there is room for


cdef Log* log_c(unsigned char[::1] memory) noexcept:
    return <Log*>&memory[0]


def take_at(TokenBucket bucket, long long cost, long long now_ns):
    """(wait, arrival time in 1/256 ns); without the latter where nothing was taken."""
    cdef uint64_t arrival
    cdef long long wait_ns = bucket.take_at_c(cost, now_ns, &arrival)
    return wait_ns, arrival if wait_ns == 0 and cost else None


def interval_units(TokenBucket bucket):
    return bucket.interval


def log_bytes(int admissions):
    return sizeof(Log) + admissions * sizeof(Admission)


def hammer(TokenBucket bucket, unsigned char[::1] memory):
    """Takes one token after the other, as fast as can be, until it is told to stop or its log is full."""
    cdef Log* log = log_c(memory)
    cdef uint64_t room = (memory.shape[0] - sizeof(Log)) // sizeof(Admission)
    cdef uint64_t arrival, seen, start
    cdef long long now_ns
    with nogil:
        while load_word(&log.stop) == 0 and log.count < room:
            now_ns = monotonic_ns()
            seen = load_word(bucket.words)
            log.decisions += 1
            if bucket.take_at_c(1, now_ns, &arrival) == 0:
                start = max(seen, bucket.units_c(now_ns))
                log.admissions[log.count] = Admission(arrival, now_ns, arrival != start + bucket.interval)
                store_word(&log.count, log.count + 1)


def drive(TokenBucket bucket, Segment segment, unsigned char[::1] memory, long long step_ns, uint64_t calls):
    """Takes at instants that all callers draw from one clock in the segment, until `calls` are drawn."""
    cdef Log* log = log_c(memory)
    cdef uint64_t* clock = <uint64_t*>segment.area_c("virtual clock", 64)
    cdef uint64_t arrival, drawn
    with nogil:
        while True:
            drawn = add_word(clock, 1)
            if drawn >= calls:
                break
            log.decisions += 1
            if bucket.take_at_c(1, bucket.epoch_ns + <long long>drawn * step_ns, &arrival) == 0:
                log.admissions[log.count] = Admission(arrival, bucket.epoch_ns + <long long>drawn * step_ns, 0)
                store_word(&log.count, log.count + 1)


def stop(unsigned char[::1] memory):
    store_word(&log_c(memory).stop, 1)


def count(unsigned char[::1] memory):
    return load_word(&log_c(memory).count)


def read(unsigned char[::1] memory):
    """(decisions, [(arrival, before_ns, contended), ...])"""
    cdef Log* log = log_c(memory)
    cdef Admission entry
    admissions = []
    for index in range(load_word(&log.count)):
        entry = log.admissions[index]
        admissions.append((entry.arrival, entry.before_ns, entry.contended))
    return log.decisions, admissions
