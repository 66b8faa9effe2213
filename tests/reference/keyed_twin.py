"""SipHash and a table of token buckets that are slow and obvious: fractions, dictionaries, no words.

The oracles of siphash and guards/keyed; share no code with them. What the table says in one
line each:

- every key has a bucket of its own, full at `full_at`, that is kept for ever;
- time is rounded down to the unit, which is the power of two of nanoseconds that an interval has at
  least 1024 of, and the interval is rounded up to it and one unit longer;
- a set knows the key that entered last, and up to seven that entered before; one more drives out the one
  that was full first, if it has been full for a unit, else it is counted in the overflow bucket.
"""

from collections.abc import Callable, Hashable
from fractions import Fraction
from math import ceil, floor

SECOND_NS = 10**9
LONG_AGO_NS = Fraction(-(10**30))
MASK = 2**64 - 1


def siphash(secret: bytes, message: bytes, compressions: int, finalizations: int) -> int:
    """SipHash-c-d as the paper has it: all words first, then the rounds."""
    k0, k1 = (int.from_bytes(secret[at : at + 8], "little") for at in (0, 8))
    constant = b"somepseudorandomlygeneratedbytes"
    v0, v2 = (k0 ^ int.from_bytes(constant[at : at + 8], "big") for at in (0, 16))
    v1, v3 = (k1 ^ int.from_bytes(constant[at : at + 8], "big") for at in (8, 24))

    def rotated(word: int, bits: int) -> int:
        return (word << bits | word >> (64 - bits)) & MASK

    def rounds(count: int) -> None:
        nonlocal v0, v1, v2, v3
        for _ in range(count):
            v0, v2 = (v0 + v1) & MASK, (v2 + v3) & MASK
            v1, v3 = rotated(v1, 13) ^ v0, rotated(v3, 16) ^ v2
            v0 = rotated(v0, 32)
            v2, v0 = (v2 + v1) & MASK, (v0 + v3) & MASK
            v1, v3 = rotated(v1, 17) ^ v2, rotated(v3, 21) ^ v0
            v2 = rotated(v2, 32)

    padded = message + bytes(-(len(message) + 1) % 8) + bytes([len(message) % 256])
    for at in range(0, len(padded), 8):
        word = int.from_bytes(padded[at : at + 8], "little")
        v3 ^= word
        rounds(compressions)
        v0 ^= word
    v2 ^= 0xFF
    rounds(finalizations)
    return v0 ^ v1 ^ v2 ^ v3


class KeyedTwin:
    def __init__(self, rate: float, capacity: int, set_of: Callable[[bytes], Hashable]) -> None:
        self.exact_rate = Fraction(rate)
        exact_ns = SECOND_NS / self.exact_rate
        self.unit_ns = 1
        while exact_ns / self.unit_ns >= 2048:
            self.unit_ns *= 2
        self.interval_ns = (ceil(exact_ns / self.unit_ns) + 1) * self.unit_ns
        self.burst_ns = capacity * self.interval_ns
        self.capacity = capacity
        self.set_of = set_of
        self.full_at: dict[bytes | None, Fraction] = {}  # None: the overflow bucket
        self.sets: dict[Hashable, list[bytes]] = {}  # the key that entered last comes last

    def rounded(self, now_ns: int) -> int:
        return floor(Fraction(now_ns, self.unit_ns)) * self.unit_ns

    def bucket_of(self, key: bytes, now: int, *, entering: bool) -> bytes | None:
        keys = self.sets.setdefault(self.set_of(key), [])
        if key in keys:
            return key
        gone = None
        if len(keys) == 8:
            gone = min(keys[:-1], key=self.full_at.__getitem__)
            if self.full_at[gone] >= now:
                return None
        if entering:
            if gone is not None:
                keys.remove(gone)
            keys.append(key)
        return key

    def wait(self, key: bytes, cost: int, now_ns: int) -> int:
        return self.decide(key, cost, now_ns, taking=False)

    def take(self, key: bytes, cost: int, now_ns: int) -> int:
        return self.decide(key, cost, now_ns, taking=True)

    def decide(self, key: bytes, cost: int, now_ns: int, *, taking: bool) -> int:
        if cost == 0:
            return 0
        if cost > self.capacity:
            return -1
        now = self.rounded(now_ns)
        bucket = self.bucket_of(key, now, entering=taking)
        full_at = max(now, self.full_at.get(bucket, LONG_AGO_NS)) + cost * self.interval_ns
        if full_at - now > self.burst_ns:
            return int(full_at - self.burst_ns - now_ns)
        if taking:
            self.full_at[bucket] = Fraction(full_at)
        return 0

    def refund(self, key: bytes, cost: int, taken_ns: int, now_ns: int) -> None:
        now = self.rounded(now_ns)
        back = cost * self.interval_ns - (now - self.rounded(taken_ns))
        bucket = key if key in self.sets.get(self.set_of(key), ()) else None
        full_at = self.full_at.get(bucket, LONG_AGO_NS)
        if back > 0 and full_at > now:
            self.full_at[bucket] = max(Fraction(now), full_at - back)
