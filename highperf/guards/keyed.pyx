# Owns one rate limit for each of many keys, in a table of fixed size that all workers share. Time is an
# argument. Must not know what a key stands for, or what a refusal looks like.
#
# Every key has a bucket as limiter.pyx describes it, of one 64-bit word:
#
#     tag:24 | theoretical arrival time:40, in units of the table, modulo 2**40
#
# SipHash of the key picks a set, which is the eight words of one cache line, and gives the tag. Two keys
# of one set and tag share a bucket: one lookup in two million, in a table full of keys. A unit is
# the power of two of ns that an interval has 1024 to 2047 of (from 1000 on at the highest rates). Clocks
# are rounded down to it, and the interval is rounded up and made a unit longer, for what the clock
# lost: so no bound is exceeded, the rate is up to 0.2 % lower than asked for, and a wait is exact to
# the nanosecond.
#
# A bucket that is full again is like one that was never used. So what was evicted in that state was not
# lost, and nothing else is ever evicted: a key that finds eight live ones in its set is counted in
# the overflow bucket, one for the table, with the rate of one key. Whoever floods the table with keys
# shares that; who was there before goes on as if alone.
#
# How it stays exact while processes race, stop and die anywhere:
#
#   - A key enters through the first word of its set and nowhere else, by a compare-and-swap from what
#     was there when the set was searched: so no two enter unseen, and no key is there twice.
#   - Before that, the first word's occupant is copied to another word, the one of the least time, if it
#     is idle. A copy counts only once the first word, read after it, holds another key; while both
#     are there the first is right. Who is killed in between leaves a copy, which the next one
#     brings up to date.
#   - Times only grow, so the word of the least time stays that until it is written: of two processes
#     that move the same occupant, the later one finds its word changed, and begins anew.
#   - The table has a clock, `newest`, and time does not run back in it. Idle means: since before it. Who
#     reads a set looks at the clock again afterwards, and begins anew if it is behind: so a process
#     that was stopped for an hour takes no word of the future for one of the past, and gives no
#     key a fresh bucket as of a time before its old one was evicted.
#
# A refund lowers a time, though never below the clock. One that meets a move may be lost; and should its
# process be stopped in the midst of it while two others move the same occupant, one of them stopped
# too, that one key may get what it spent once more.
#
# Forty bits come round: after 2**40 units a word that nobody touched would look live. So, as the clock
# moves on, a hand goes round the sets, and makes the times of idle words now; once round takes
# 2**37 units of time (two minutes at a million per second, 20 hours at a thousand), however
# many decisions there are.

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.number cimport PyNumber_Index
from libc.stdint cimport int64_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy
from highperf.clock cimport instant_of
from highperf.guards.limiter cimport NEVER_ADMITTED, checked_cost_c
from highperf.siphash cimport siphash13
from highperf.segment cimport LINE_BYTES, Segment, load_word, swap_word

import os

cdef enum:
    TIME_BITS = 40
    TAG_BITS = 24
    LAG_BITS = 24                       # the clock may be so many units behind, times two to their power
    TURN_BITS = 37                      # once round for the hand
    NO_ROOM = -1
    UNITS = 1024                        # an interval has at least so many, but for the highest rates
    MOST_RATE = 1_000_000
    MOST_CAPACITY = 100_000_000         # its burst is below 2**38 units: a quarter of what a word tells apart
    MOST_DAYS = 100
    LEAST_BYTES = 4096
    MOST_BYTES = 128 * 1024 * 1024

cdef double LEAST_RATE = 1e-4           # per second
cdef uint64_t TIME_MASK = (<uint64_t>1 << TIME_BITS) - 1


cdef inline uint64_t tag_of(uint64_t word) noexcept nogil:
    return word >> TIME_BITS


cdef inline int64_t time_of(uint64_t word, int64_t now) noexcept nogil:
    # In full, given a time less than 2**39 units away from it. 0 is a word that was never used.
    if word == 0:
        return now - (<int64_t>1 << (TIME_BITS - 1))
    return now + (<int64_t>((word - <uint64_t>now) << TAG_BITS) >> TAG_BITS)


cdef inline uint64_t tag_in(uint64_t hashed) noexcept nogil:
    # Never 0, so that no word that is in use is.
    return max(tag_of(hashed), <uint64_t>1)


cdef inline uint64_t word_of(uint64_t tag, int64_t time) noexcept nogil:
    return tag << TIME_BITS | <uint64_t>time & TIME_MASK


cdef inline uint64_t* find(uint64_t* words, uint64_t tag, uint64_t* seen, uint64_t* found) noexcept nogil:
    # The word that counts for this tag, and what it was; NULL: none, and all words as they were seen.
    cdef int index
    for index in range(SET_WORDS):
        seen[index] = load_word(&words[index])
        if tag_of(seen[index]) == tag:
            found[0] = load_word(words)             # it may be a copy of what has entered since
            if tag_of(found[0]) == tag:
                return words
            found[0] = seen[index]
            return &words[index]
    return NULL


cdef inline bint enter(uint64_t* words, uint64_t* seen, int room, uint64_t word, int64_t now) noexcept nogil:
    # Moves the first word's occupant to words[room] (0: there is none), and the new word in.
    cdef uint64_t moved
    if room > 0:
        moved = word_of(tag_of(seen[0]), max(time_of(seen[0], now), time_of(seen[room], now)))
        if moved != seen[room] and not swap_word(&words[room], &seen[room], moved):
            return False
    return swap_word(words, &seen[0], word)


@cython.final
cdef class KeyedBuckets:
    def __cinit__(self, rate, capacity, *, table_bytes=1024 * 1024, Segment segment=None, str name not None=""):
        self.rate = checked_rate(rate)
        self.capacity = checked_capacity(capacity, self.rate)
        self.table_bytes = checked_table_bytes(table_bytes)
        self.name = name
        self.last_set = self.table_bytes // LINE_BYTES - 1
        self.turn_shift = TURN_BITS - (<object>self.last_set).bit_length()
        count, each_s = (<object>self.rate).as_integer_ratio()         # exact: there is no float between
        time_ns = 1_000_000_000 * each_s
        self.shift = max(0, int(time_ns // (count * UNITS)).bit_length() - 1)
        self.interval = -(-time_ns // (count << self.shift)) + 1
        self.burst = self.capacity * self.interval
        if segment is None:
            self.allocate_c()
        else:
            self.map_c(segment)

    def __dealloc__(self):
        free(self.own)

    def __repr__(self):
        return f"<KeyedBuckets {self.name!r} rate={self.rate:g} capacity={self.capacity}>"

    cdef long long take_c(self, const char* key, Py_ssize_t size, long long cost, long long now_ns) noexcept nogil:
        return self.decide_c(key, size, cost, now_ns, True)

    cdef long long wait_c(self, const char* key, Py_ssize_t size, long long cost, long long now_ns) noexcept nogil:
        return self.decide_c(key, size, cost, now_ns, False)

    cdef void refund_c(self, const char* key, Py_ssize_t size, long long cost, long long taken_ns,
                       long long now_ns) noexcept nogil:
        # What is left of the take is worked out as in TokenBucket.refund_c. A key that is not there and
        # has something left was counted in the overflow bucket.
        cdef uint64_t hashed = siphash13(self.secret, key, size)
        cdef uint64_t* words = self.set_c(hashed)
        cdef uint64_t seen[SET_WORDS]
        cdef uint64_t found
        cdef uint64_t* word
        cdef uint64_t passed
        cdef int64_t now, taken = self.units_c(taken_ns), back, time
        while 0 < cost <= self.capacity:
            now = self.now_c(now_ns)
            word = find(words, tag_in(hashed), seen, &found)
            if word == NULL:
                word = &self.head.overflow
                found = load_word(word)
            if <int64_t>load_word(&self.head.newest) > now:
                continue
            passed = <uint64_t>now - <uint64_t>taken if now > taken else 0
            back = cost * self.interval - <int64_t>min(passed, <uint64_t>self.burst)
            time = time_of(found, now)
            if back <= 0 or time <= now or swap_word(word, &found, word_of(tag_of(found), max(now, time - back))):
                return

    cdef long long decide_c(self, const char* key, Py_ssize_t size, long long cost, long long now_ns,
                            bint taking) noexcept nogil:
        cdef uint64_t hashed = siphash13(self.secret, key, size)
        cdef uint64_t tag = tag_in(hashed)
        cdef uint64_t* words = self.set_c(hashed)
        cdef uint64_t seen[SET_WORDS]
        cdef uint64_t found
        cdef uint64_t* word
        cdef int64_t now, arrival
        cdef int room = NO_ROOM
        if not 0 < cost <= self.capacity:
            return 0 if cost == 0 else NEVER_ADMITTED
        while True:
            now = self.now_c(now_ns)
            word = find(words, tag, seen, &found)
            if word == NULL:
                room = self.room_c(seen, now)
                if room == NO_ROOM:
                    word = &self.head.overflow
                    found = load_word(word)
            if <int64_t>load_word(&self.head.newest) > now:
                continue
            if word == NULL:
                if not taking or enter(words, seen, room, word_of(tag, now + cost * self.interval), now):
                    return 0
                continue
            arrival = max(now, time_of(found, now)) + cost * self.interval
            if arrival - now > self.burst:
                self.overflows += word == &self.head.overflow
                # Unsigned: in years of nanoseconds the shift may pass the sign, and the difference is small again.
                return <int64_t>(
                    (<uint64_t>(arrival - self.burst) << self.shift) - <uint64_t>(now_ns - self.epoch_ns)
                )
            if not taking or swap_word(word, &found, word_of(tag, arrival)):
                self.overflows += word == &self.head.overflow
                return 0

    # ---- the table ----------------------------------------------------------------------------

    cdef inline uint64_t* set_c(self, uint64_t hashed) noexcept nogil:
        return self.words + (hashed & self.last_set) * SET_WORDS

    cdef inline int64_t units_c(self, long long now_ns) noexcept nogil:
        return <int64_t>(<uint64_t>now_ns - <uint64_t>self.epoch_ns) >> self.shift

    cdef inline int64_t now_c(self, long long now_ns) noexcept nogil:
        cdef int64_t units = self.units_c(now_ns)
        cdef int64_t newest = <int64_t>load_word(&self.head.newest)
        if units - newest > 1 << LAG_BITS:
            self.advance_c(units)
        return max(units, newest)

    cdef int room_c(self, const uint64_t* seen, int64_t now) noexcept nogil:
        # Where the first word's occupant can be copied to; 0: it has none. NO_ROOM: all are live.
        cdef int index, least = 1
        if seen[0] == 0:
            return 0
        for index in range(1, SET_WORDS):
            if tag_of(seen[index]) == tag_of(seen[0]):
                return index
            if time_of(seen[index], now) < time_of(seen[least], now):
                least = index
        if time_of(seen[least], now) >= now:
            return NO_ROOM
        if time_of(seen[least], now) >= <int64_t>load_word(&self.head.newest):
            self.advance_c(now)
        return least

    cdef void advance_c(self, int64_t now) noexcept nogil:
        cdef uint64_t newest = load_word(&self.head.newest)
        while <int64_t>newest < now:
            self.turn_hand_c(newest, now)
            if swap_word(&self.head.newest, &newest, now):
                return

    cdef void turn_hand_c(self, uint64_t newest, int64_t now) noexcept nogil:
        # Before the clock is advanced, because the times in the words are told from its old one.
        cdef uint64_t last = <uint64_t>now >> self.turn_shift
        cdef uint64_t turn = max(newest >> self.turn_shift, last - min(last, self.last_set + 1))
        cdef int index
        self.renew_c(&self.head.overflow, newest, now)
        while turn < last:
            turn += 1
            for index in range(SET_WORDS):
                if not self.renew_c(self.set_c(turn) + index, newest, now):
                    return

    cdef bint renew_c(self, uint64_t* word, uint64_t newest, int64_t now) noexcept nogil:
        # False: another has advanced the clock, and has seen to everything.
        # Not to now itself, because idle is what was full before the clock.
        cdef uint64_t found = load_word(word)
        if load_word(&self.head.newest) != newest:
            return False
        if found != 0 and time_of(found, <int64_t>newest) < now:
            swap_word(word, &found, word_of(tag_of(found), now - 1))
        return True

    cdef int allocate_c(self) except -1:
        # Zero pages of the system, until they are written; begins on a cache line, as a segment's areas do.
        cdef bytes secret = os.urandom(sizeof(self.secret))
        memcpy(self.secret, <const char*>secret, sizeof(self.secret))
        self.own = calloc(1, sizeof(TableHead) + self.table_bytes + LINE_BYTES)
        if self.own == NULL:
            raise MemoryError
        self.place_c(<char*>self.own + LINE_BYTES - <uintptr_t>self.own % LINE_BYTES)
        return 0

    cdef int map_c(self, Segment segment) except -1:
        memcpy(self.secret, segment.secret, sizeof(self.secret))
        self.segment = segment
        self.epoch_ns = segment.epoch_ns
        self.place_c(segment.area_c(f"table {self.name} {self.shift}", sizeof(TableHead) + self.table_bytes))
        return 0

    cdef void place_c(self, char* area) noexcept:
        self.head = <TableHead*>area
        self.words = <uint64_t*>(area + sizeof(TableHead))

    # ---- Python -------------------------------------------------------------------------------

    def take(self, key, cost=1, *, now_ns=None):
        cdef bytes octets = octets_of(key)
        return self.take_c(PyBytes_AS_STRING(octets), PyBytes_GET_SIZE(octets), checked_cost_c(cost),
                           instant_of(now_ns))

    def wait(self, key, cost=1, *, now_ns=None):
        cdef bytes octets = octets_of(key)
        return self.wait_c(PyBytes_AS_STRING(octets), PyBytes_GET_SIZE(octets), checked_cost_c(cost),
                           instant_of(now_ns))

    def refund(self, key, cost, taken_ns, *, now_ns=None):
        cdef bytes octets = octets_of(key)
        self.refund_c(PyBytes_AS_STRING(octets), PyBytes_GET_SIZE(octets), checked_cost_c(cost),
                      PyNumber_Index(taken_ns), instant_of(now_ns))


cdef bytes octets_of(object key):
    if isinstance(key, str):
        return (<str>key).encode("utf-8", "surrogatepass")
    if isinstance(key, bytes):
        return key
    raise TypeError(f"key must be bytes or str, not {type(key).__name__}")


cdef double checked_rate(object rate) except -1:
    if not LEAST_RATE <= rate <= MOST_RATE:
        raise ValueError(f"rate must be from {LEAST_RATE} to {MOST_RATE} per second for each key, not {rate!r}")
    return rate


cdef long long checked_capacity(object capacity, double rate) except -1:
    if not isinstance(capacity, int) or not 1 <= capacity <= MOST_CAPACITY:
        raise ValueError(f"capacity must be a whole number from 1 to {MOST_CAPACITY} for each key, not {capacity!r}")
    if capacity / rate > MOST_DAYS * 24 * 3600:
        raise ValueError(f"capacity {capacity} at rate {rate:g} per second takes more than {MOST_DAYS} days to fill")
    return capacity


cdef Py_ssize_t checked_table_bytes(object table_bytes) except -1:
    cdef Py_ssize_t size = PyNumber_Index(table_bytes) if LEAST_BYTES <= table_bytes <= MOST_BYTES else 0
    if size == 0 or size & (size - 1):
        raise ValueError(
            f"table_bytes must be a power of two from {LEAST_BYTES} to {MOST_BYTES}, not {table_bytes!r}"
        )
    return size
