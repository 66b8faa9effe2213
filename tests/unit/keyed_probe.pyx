# The C-level interface of guards/keyed and siphash, for the tests of one process and of several.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint64_t
from highperf.clock cimport monotonic_ns
from highperf.guards.keyed cimport SET_WORDS, KeyedBuckets
from highperf.siphash cimport siphash13
from highperf.segment cimport Segment, add_word, load_word, store_word

cdef extern from "sched.h":
    int sched_yield()


cdef uint64_t* words_of(Segment segment, str name, int count) except NULL:
    return <uint64_t*>segment.area_c(name, count * sizeof(uint64_t))


def siphash(bytes secret, bytes octets):
    cdef uint64_t words[2]
    for index in range(2):
        words[index] = int.from_bytes(secret[8 * index:8 * index + 8], "little")
    return siphash13(words, PyBytes_AS_STRING(octets), PyBytes_GET_SIZE(octets))


def hash_of(KeyedBuckets buckets, bytes key):
    return siphash13(buckets.secret, PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key))


def set_of(KeyedBuckets buckets, bytes key):
    return hash_of(buckets, key) & buckets.last_set


def tag_of(KeyedBuckets buckets, bytes key):
    return hash_of(buckets, key) >> 40


def words(KeyedBuckets buckets, int number):
    """The eight words of a set, as (tag, time) each."""
    return [(buckets.words[at] >> 40, buckets.words[at] & ((1 << 40) - 1))
            for at in range(number * SET_WORDS, (number + 1) * SET_WORDS)]


def set_word(KeyedBuckets buckets, int number, int index, uint64_t tag, uint64_t time):
    buckets.words[number * SET_WORDS + index] = tag << 40 | time


def newest(KeyedBuckets buckets):
    return buckets.head.newest


def unit_ns(KeyedBuckets buckets):
    return <long long>1 << buckets.shift


def interval_units(KeyedBuckets buckets):
    return buckets.interval


def take_c(KeyedBuckets buckets, bytes key, long long cost, long long now_ns):
    return buckets.take_c(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key), cost, now_ns)


def flood(KeyedBuckets buckets, uint64_t first, uint64_t count, long long now_ns, long long step_ns):
    """Takes one token of each of `count` keys that are numbers, step_ns apart; returns how many passed."""
    cdef uint64_t key, passed = 0
    for key in range(first, first + count):
        passed += buckets.take_c(<char*>&key, sizeof(key), 1, now_ns) == 0
        now_ns += step_ns
    return passed


# ---- several processes ------------------------------------------------------------------------

def hammer(KeyedBuckets buckets, Segment segment, list hot, uint64_t seed):
    """Takes of the hot keys in turn, with cold ones in between, until it is told to stop."""
    cdef uint64_t* stop = words_of(segment, "stop", 1)
    cdef uint64_t* passed = words_of(segment, "passed", 1024)
    cdef uint64_t* rounds = words_of(segment, "rounds", 1)
    cdef uint64_t cold = seed << 40
    cdef int index, count = len(hot)
    cdef bytes key
    while load_word(stop) == 0:
        for index in range(count):
            key = hot[index]
            if buckets.take_c(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key), 1, monotonic_ns()) == 0:
                add_word(&passed[index], 1)
            for _ in range(4):
                cold += 1
                buckets.take_c(<char*>&cold, sizeof(cold), 1, monotonic_ns())
        add_word(rounds, 1)


def keys_of_set(KeyedBuckets buckets, uint64_t number, int count):
    """So many numbers whose octets are keys of this set."""
    cdef uint64_t key = 0
    found = []
    while len(found) < count:
        key += 1
        if siphash13(buckets.secret, <char*>&key, sizeof(key)) & buckets.last_set == number:
            found.append(key)
    return found


def race(KeyedBuckets buckets, Segment segment, list keys, int width, int party, int parties, long long step_ns):
    """In each round all parties take of the same `width` fresh keys at once, until nobody gets any more.

    keys: numbers. "passed" counts what each of them got.
    """
    cdef uint64_t* arrived = words_of(segment, "arrived", 1)
    cdef uint64_t* passed = words_of(segment, "passed", <int>len(keys))
    cdef uint64_t key
    cdef long long now_ns = buckets.epoch_ns
    cdef int first, turn, at, refused
    for turn, first in enumerate(range(0, len(keys), width)):
        now_ns += step_ns
        add_word(arrived, 1)
        while load_word(arrived) < <uint64_t>(parties * (turn + 1)):
            sched_yield()
        at, refused = first + party * width // parties, 0
        while refused < width:
            key = keys[at]
            if buckets.take_c(<char*>&key, sizeof(key), 1, now_ns) == 0:
                add_word(&passed[at], 1)
                refused = 0
            else:
                refused += 1
            at = at + 1 if at + 1 < first + width else first


def counts(Segment segment, str name, int count):
    cdef uint64_t* found = words_of(segment, name, count)
    return [load_word(&found[index]) for index in range(count)]


def tell(Segment segment, str name):
    store_word(words_of(segment, name, 1), 1)
