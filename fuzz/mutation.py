"""Inputs from inputs: a few octets put in, changed, taken out, said twice, or taken from another input."""

from collections.abc import Callable, Sequence
from random import Random

OCTETS = [bytes([octet]) for octet in range(256)]
NUMBERS = (b"0", b"1", b"-1", b"255", b"256", b"65536", b"2147483648", b"4294967296", b"9223372036854775807")
NUMBERS += (b"9223372036854775808", b"18446744073709551616", b"ffffffffffffffff", b"00000000000000000001")
FEW, MANY = 16, 300


class Mutator:
    """Makes a new input of one, or of two."""

    def __init__(self, dice: Random, words: Sequence[bytes], longest: int) -> None:
        self.dice = dice
        self.words = [*words, *NUMBERS]
        self.longest = longest
        self.ways: list[Callable[[bytearray], None]] = [
            *[self.put_word] * 3,
            *[self.replace_by_word] * 3,
            *[self.change_octet] * 2,
            *[self.remove] * 2,
            *[self.repeat] * 2,
            self.put_octet,
            self.flip,
            self.move,
            self.cut_off,
        ]

    def mutate(self, octets: bytes, other: bytes) -> bytes:
        dice, made = self.dice, bytearray(octets)
        if dice.random() < 0.1:
            made = self.splice(octets, other)
        for _ in range(int(1 / (dice.random() + 0.12))):  # mostly one or two, eight at most
            self.ways[int(dice.random() * len(self.ways))](made)
        return bytes(made[: self.longest])

    def place(self, text: bytearray) -> int:
        return int(self.dice.random() * (len(text) + 1))

    def size(self) -> int:
        return 1 + int(self.dice.random() * (FEW if self.dice.random() < 0.9 else MANY))

    def word(self) -> bytes:
        return self.words[int(self.dice.random() * len(self.words))]

    def octet(self) -> bytes:
        return OCTETS[int(self.dice.random() * 256)]

    def splice(self, octets: bytes, other: bytes) -> bytearray:
        """The beginning of one, the end of another."""
        return bytearray(octets[: self.place(bytearray(octets))] + other[self.place(bytearray(other)) :])

    def put_word(self, text: bytearray) -> None:
        at = self.place(text)
        text[at:at] = self.word()

    def replace_by_word(self, text: bytearray) -> None:
        at, word = self.place(text), self.word()
        text[at : at + len(word)] = word

    def change_octet(self, text: bytearray) -> None:
        at = self.place(text)
        text[at : at + 1] = self.octet()

    def put_octet(self, text: bytearray) -> None:
        at = self.place(text)
        text[at:at] = self.octet()

    def remove(self, text: bytearray) -> None:
        at = self.place(text)
        del text[at : at + self.size()]

    def repeat(self, text: bytearray) -> None:
        at, source = self.place(text), self.place(text)
        text[at:at] = text[source : source + self.size()] * (1 if self.dice.random() < 0.9 else self.size())

    def flip(self, text: bytearray) -> None:
        at = self.place(text)
        if at < len(text):
            text[at] ^= 0x20 if self.dice.random() < 0.5 else 1 << int(self.dice.random() * 8)

    def move(self, text: bytearray) -> None:
        source, size = self.place(text), self.size()
        moved = text[source : source + size]
        del text[source : source + size]
        at = self.place(text)
        text[at:at] = moved

    def cut_off(self, text: bytearray) -> None:
        del text[self.place(text) :]
