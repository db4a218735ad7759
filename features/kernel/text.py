"""Text: rows of numbers as JSON, in the shortest digits that mean the same number.

Most numbers of a vector are whole or have up to three decimals, and are written from tables, three digits at a time.
Shortest they are of themselves: no two texts of up to fifteen digits are the same number. What is left a library
writes (features/text.py), and it is put in its place here.
"""

from __future__ import annotations

import numpy as np

from features.kernel.compiled import FLOATS2D, Bytes, Floats, Floats2d, Ints, compiled

Word = np.uint64  # places are unsigned too, or each would be asked whether it counts from the end

MOST = 1e15  # thousandths with fifteen digits
WIDEST = 32  # bytes that any number takes, its comma and what a word writes beyond it included
OPEN, CLOSE, COMMA, MINUS = b"[],-"


def _words(texts: list[str]) -> np.ndarray[tuple[int], np.dtype[Word]]:
    """Texts of up to four letters, each in a word with its length above them."""
    return np.array([len(text) << 32 | int.from_bytes(text.encode(), "little") for text in texts], Word)


FIRST = _words([f"{digits}" for digits in range(1000)])
NEXT = _words([f"{digits:03}" for digits in range(1000)])
DECIMALS = _words([".0", *(f".{digits:03}".rstrip("0") for digits in range(1, 1000))])

ONE, TWO, THREE, THOUSAND = Word(1), Word(2), Word(3), Word(1000)
BYTE, LENGTH = Word(8), Word(32)


@compiled
def _is_short(number: float) -> bool:
    """Whether it has three decimals at most and fifteen digits."""
    thousandths = np.rint(number * 1000.0)
    return bool(abs(thousandths) < MOST and thousandths / 1000.0 == number)


@compiled
def _put(out: Bytes, at: Word, word: Word) -> Word:
    """Writes four bytes, of which the first are the text, in one instruction; where the text ends."""
    out[at] = word
    out[at + ONE] = word >> BYTE
    out[at + TWO] = word >> BYTE * TWO
    out[at + THREE] = word >> BYTE * THREE
    return at + (word >> LENGTH)


@compiled
def _put_whole(out: Bytes, at: Word, whole: Word) -> Word:
    unit = ONE
    while whole >= unit * THOUSAND:
        unit *= THOUSAND
    at = _put(out, at, FIRST[whole // unit])
    while unit > ONE:
        unit //= THOUSAND
        at = _put(out, at, NEXT[whole // unit % THOUSAND])
    return at


@compiled
def _put_short(out: Bytes, at: Word, number: float) -> Word:
    if np.signbit(number):
        out[at] = MINUS
        at += ONE
    thousandths = Word(np.rint(abs(number) * 1000.0))
    at = _put_whole(out, at, thousandths // THOUSAND)
    return _put(out, at, DECIMALS[thousandths % THOUSAND])


def _long_numbers(rows: Floats2d) -> Floats:
    """(k,) the numbers that `write_rows` asks for as text, in order."""
    found, known = np.empty(rows.size), 0
    for number in rows.flat:
        if not _is_short(number):
            found[known] = number
            known += 1
    return found[:known]


def _write_rows(rows: Floats2d, long: Bytes) -> tuple[Bytes, Ints]:
    """The text of all rows, and where that of each ends (n,). `long`: the long numbers as a JSON array."""
    out = np.empty(rows.shape[0] * (rows.shape[1] * WIDEST + 8), np.uint8)
    ends = np.empty(rows.shape[0], np.int64)
    at, read = Word(0), ONE
    for row in range(rows.shape[0]):
        out[at] = OPEN
        at += ONE
        for number in rows[row]:
            if _is_short(number):
                at = _put_short(out, at, number)
            else:
                while long[read] != COMMA and long[read] != CLOSE:
                    out[at] = long[read]
                    at, read = at + ONE, read + ONE
                read += ONE
            out[at] = COMMA
            at += ONE
        at -= Word(rows.shape[1] > 0)
        out[at] = CLOSE
        at += ONE
        ends[row] = at
    return out, ends


long_numbers = compiled(_long_numbers, f"float64[::1]({FLOATS2D})")
write_rows = compiled(_write_rows, f"Tuple((uint8[::1], int64[::1]))({FLOATS2D}, Array(uint8, 1, 'C', readonly=True))")
