"""Rows: a bag laid out for reading, whatever is read of it.

Entries and tiles become rows in order of time, and counterparties lie in order of hash. What the words of a bag are is
said in features/bag.py, what the numbers of a table of fields are in features/plan.py.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from features.bag import ENTRY_WORDS, HEADER_WORDS, PART_EVENT, PART_FIELDS, PLACE_BITS, PLACE_MASK, TICK_BITS
from features.columns import HASH_BITS, HASH_MASK
from features.feature import ABSENT, ANY_KIND
from features.fields import CIRCLE
from features.kernel.compiled import INTS, Ints, Ints2d, compiled
from features.plan import Base
from features.window import DAY_MS

NEVER = -1
ENDLESS = (1 << 63) - 1
FLAGS_AT, MARK_AT, OTHER_BITS = 48, 56, 32  # bits of an entry's words

# Members of an enumeration are no constants to the compiler.
ONE, AMOUNT, PLACE, SQUARE = int(Base.ONE), int(Base.AMOUNT), int(Base.PLACE), int(Base.SQUARE)
COSINE, GIVEN = int(Base.COSINE), int(Base.GIVEN)


class Rows(NamedTuple):
    """What is known of an entity, entries and tiles alike; `order` has their places in order of time.

    `named`: of each event its counterparties; of a tile nothing, and nothing at all where no sequence is read.
    """

    order: Ints
    at: Ints
    values: Ints2d  # (rows, fields): the first `split` add up, of the others the largest counts
    split: int
    named: Ints2d  # (rows, slots)


class Others(NamedTuple):
    """Its counterparties by slot, in order of hash, with the time that each was last seen."""

    hash: Ints2d
    last: Ints2d
    known: Ints  # how many of each slot


@compiled
def stamp(word: int) -> int:
    """A stamp, which lies big-endian in the bag, less 2^63: as signed integers these order as stamps do."""
    stamp = 0
    for _ in range(8):
        stamp = stamp << 8 | word & 0xFF
        word >>= 8
    return stamp ^ ABSENT


@compiled
def parts(words: Ints, start: int, size: int, tile_words: int, mark: int) -> tuple[int, int, int, int]:
    """The words of a bag's header, how many tiles, others and entries it has; -1 entries: it cannot be read.

    `mark`: the version up to which it can and the layout, as in an entry.
    """
    head = words[start] if size > 0 else 0
    if head & 0xFF == 0:
        return 0, 0, 0, size // ENTRY_WORDS if size % ENTRY_WORDS == 0 else -1
    if head & 0xFF > mark >> 5 or head >> 8 & 0xFF != mark & 31:
        return 0, 0, 0, -1
    tiles, others = head >> 16 & 0xFFFF, head >> 32 & 0xFFFF
    rest = size - HEADER_WORDS - tiles * tile_words - others
    return HEADER_WORDS, tiles, others, rest // ENTRY_WORDS if rest >= 0 and rest % ENTRY_WORDS == 0 else -1


@compiled
def measure(
    rows: Rows, row: int, fields: Ints2d, circle: Ints2d, at: int, amount: int, flags: int, place: int,
    given: Ints2d, entry: int,
) -> None:  # fmt: skip
    """What an event counts for, into a row; `given` are the group's own measures of each entry."""
    rows.at[row] = at
    for field in range(len(fields)):
        base, kinds, less = fields[field, 0], fields[field, 1], fields[field, 2]
        if base == ONE:
            value = 1
        elif base == AMOUNT:
            value = amount
        elif base == PLACE:
            value = place
        elif base == SQUARE:
            value = place * place
        elif base < GIVEN:
            value = circle[base - COSINE, at % DAY_MS * CIRCLE // DAY_MS]
        else:
            value = given[entry, base - GIVEN]
        if kinds == ANY_KIND:
            rows.values[row, field] = value
        elif field < rows.split:
            rows.values[row, field] = value * (np.int64(flags & kinds != 0) - np.int64(flags & less != 0))
        else:
            rows.values[row, field] = value if flags & kinds != 0 else ABSENT


@compiled
def measure_part(rows: Rows, row: int, at: int, amount: int, pair: int, place: int, part: int) -> None:
    """What a part of a tile counts for, into a row: two of the tile's fields, or nothing."""
    rows.at[row] = at
    fields = rows.values.shape[1]
    for field in range(fields):
        rows.values[row, field] = 0 if field < rows.split else ABSENT
    if part == PART_FIELDS and 2 * place < fields:
        rows.values[row, 2 * place] = amount
        if 2 * place + 1 < fields:
            rows.values[row, 2 * place + 1] = pair


@compiled
def counts(rows: Rows, row: int) -> bool:
    """Whether a row counts for anything."""
    for field in range(rows.values.shape[1]):
        if rows.values[row, field] != (0 if field < rows.split else ABSENT):
            return True
    return False


@compiled
def put(rows: Rows, row: int) -> None:
    """Puts the newest of the rows into its place among those before."""
    place = row
    while place > 0 and rows.at[rows.order[place - 1]] > rows.at[row]:
        rows.order[place] = rows.order[place - 1]
        place -= 1
    rows.order[place] = row


@compiled
def mention(others: Others, slot: int, hashed: int, at: int) -> int:
    """Notes that a counterparty was seen. When it had been seen before; NEVER where it had not."""
    place, end = 0, others.known[slot]
    while place < end:
        middle = (place + end) // 2
        if others.hash[slot, middle] < hashed:
            place = middle + 1
        else:
            end = middle
    if place < others.known[slot] and others.hash[slot, place] == hashed:
        before: int = others.last[slot, place]
        others.last[slot, place] = max(before, at)
        return before
    for later in range(others.known[slot], place, -1):
        others.hash[slot, later] = others.hash[slot, later - 1]
        others.last[slot, later] = others.last[slot, later - 1]
    others.hash[slot, place], others.last[slot, place] = hashed, at
    others.known[slot] += 1
    return NEVER


@compiled
def lift(
    words: Ints, start: int, parts: tuple[int, int, int, int], limit: int, mark: int, finest_ms: int, keep: int,
    rows: Rows, others: Others, fields: Ints2d, circle: Ints2d, given: Ints2d, entry: int, later: int, left: Ints,
) -> tuple[int, int, int, int]:  # fmt: skip
    """A bag as rows and counterparties: how many rows, the newest time seen, the floor, how many entries were left.

    Entries stamped `limit` or above are not there. Where events are kept one by one, neither is what counts for
    nothing, and events later than `later` are left: `left` gets their places. -1 rows: it cannot be read.
    """
    header, tiles, named, raws = parts
    newest, floor, count, word, stay = NEVER, NEVER, 0, start + header, 0
    if header:
        newest, floor = words[start + 1], words[start + 2]
    others.known[:] = 0
    for _ in range(tiles):
        rows.at[count] = words[word] >> 8
        for field in range(len(fields)):
            rows.values[count, field] = words[word + 1 + field]
        word += 1 + len(fields)
        if not keep or counts(rows, count):
            put(rows, count)
            count += 1
    for _ in range(named):
        slot = words[word] >> TICK_BITS + HASH_BITS & 3
        if slot >= len(others.known):
            return -1, newest, floor, stay
        place = others.known[slot]  # they lie in order of hash
        others.hash[slot, place] = words[word] >> TICK_BITS & HASH_MASK
        others.last[slot, place] = (words[word] & (1 << TICK_BITS) - 1) * finest_ms
        others.known[slot] += 1
        word += 1
    for nth in range(raws):
        if stamp(words[word]) < limit:
            at, amount, pair, tail = words[word + 1], words[word + 2], words[word + 3], words[word + 4]
            marked = tail >> MARK_AT & 0xFF
            if marked >> 5 > mark >> 5 or marked & 31 != mark & 31:
                return -1, newest, floor, stay
            newest = max(newest, at)
            place, part = tail >> OTHER_BITS & PLACE_MASK, tail >> OTHER_BITS + PLACE_BITS & 0xF
            if part == PART_EVENT:
                flags = tail >> FLAGS_AT & 0xFF
                measure(rows, count, fields, circle, at, amount, flags, place, given, entry + nth)
            else:
                measure_part(rows, count, at, amount, pair, place, part)
            told = not keep or counts(rows, count)
            if part == PART_FIELDS:
                floor = max(floor, at)
            elif part == PART_EVENT and at > later and told:
                left[stay] = word
                stay, told = stay + 1, False
            else:
                for slot in range(len(others.known)):
                    hashed = (tail if slot == 2 else pair >> OTHER_BITS * slot) & 0xFFFFFFFF
                    if slot < rows.named.shape[1]:
                        rows.named[count, slot] = hashed
                    if hashed != 0:
                        mention(others, slot, hashed, at)
            if told:
                put(rows, count)
                count += 1
        word += ENTRY_WORDS
    return count, newest, floor, stay


@compiled
def sharp(rows: Rows, count: int, event: int, keep: int, floor: int) -> int:
    """The first ms of what is kept one by one: after the (keep + 1)-th newest event, and after the floor."""
    events = 0
    for place in range(count - 1, -1, -1):
        row = rows.order[place]
        if rows.values[row, event] > 0:
            events += 1
            if events > keep:
                floor = max(floor, rows.at[row])
                break
    return floor + 1


def _entries_of(words: Ints, sizes: Ints, tile_words: int, mark: int) -> Ints:
    """Where the entries of all bags begin, a bag that cannot be read having none."""
    where, found, start = np.empty(len(words) // ENTRY_WORDS, np.int64), 0, 0
    for size in sizes:
        header, tiles, named, raws = parts(words, start, size, tile_words, mark)
        first = start + header + tiles * tile_words + named
        for nth in range(raws):
            where[found] = first + nth * ENTRY_WORDS
            found += 1
        start += size
    return where[:found]


entries_of = compiled(_entries_of, f"int64[::1]({INTS}, {INTS}, int64, int64)")
