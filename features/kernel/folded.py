"""Folded: what a bag's old entries and tiles become when it is compacted. features/compact.py says why that is safe."""

from __future__ import annotations

import numpy as np

from features.bag import ENTRY_WORDS, ETERNAL, HEADER_WORDS, TICK_BITS
from features.columns import HASH_BITS
from features.kernel.compiled import INTS, INTS2D, Ints, Ints2d, compiled
from features.kernel.rows import ENDLESS, NEVER, Others, Rows, lift, parts, sharp, stamp

TOO_MANY = -2
MOST = 0xFFFF  # tiles or counterparties of a bag


@compiled
def first_start(windows: Ints2d, end: int, exact: int, below_ms: int) -> int:
    """Where the earliest of the windows starts whose tiles are narrower; ENDLESS without one.

    `exact`: it may start at any ms, not at the edge of a tile alone.
    """
    found = ENDLESS
    for window in range(len(windows)):
        tile_ms, tiles, reach_ms = windows[window, 0], windows[window, 1], windows[window, 2]
        if tiles and tile_ms < below_ms:
            edge = end - reach_ms + 1 if exact else (end // tile_ms - (tiles - 1)) * tile_ms
            found = min(found, max(edge, 0))
    return found


@compiled
def tile_of(at: int, ladder: Ints, bounds: Ints, gone: int, forever: int) -> tuple[int, int]:
    """(level, tile) of a time, as coarse as no window to come can tell; (NEVER, 0): before every window.

    `bounds`: of each width of the ladder the earliest start of a window of narrower tiles.
    """
    if at < gone:
        return (ETERNAL if forever else NEVER), 0
    level = 0
    for width in range(1, len(ladder)):
        level += (at // ladder[width] + 1) * ladder[width] <= bounds[width]
    return level, at // ladder[level]


@compiled
def _tiles(rows: Rows, count: int, ladder: Ints, bounds: Ints, gone: int, forever: int, out: Ints, start: int) -> int:
    """Writes rows as tiles. Where the last one ends."""
    fields = rows.values.shape[1]
    last, word, after = (NEVER, 0), start, start
    for nth in range(count):
        row = rows.order[nth]
        at = rows.at[row]
        mine = tile_of(at, ladder, bounds, gone, forever)
        if mine[0] == NEVER:
            continue
        if mine == last:
            for field in range(fields):
                here = word + 1 + field
                value = rows.values[row, field]
                out[here] = out[here] + value if field < rows.split else max(out[here], value)
        else:
            word, after = after, after + 1 + fields
            out[word] = at << 8 | mine[0]
            for field in range(fields):
                out[word + 1 + field] = rows.values[row, field]
            last = mine
    return after


@compiled
def latest_named(
    others: Others, slot: int, keep: int, since: int, finest_ms: int, latest: Ints, out: Ints, start: int
) -> int:
    """Writes those of a slot's counterparties that may still be asked for. Where the last one ends.

    One may not that has `keep` others with a smaller hash, each seen at the same time or later (features/skyband.py);
    `latest` is room for the times of the `keep` latest, in order.
    """
    held, word = 0, start
    for place in range(others.known[slot]):
        if others.last[slot, place] < since:
            continue
        tick = others.last[slot, place] // finest_ms
        if held == keep:
            if tick <= latest[0]:
                continue
            at = 1
            while at < keep and latest[at] < tick:
                latest[at - 1] = latest[at]
                at += 1
            latest[at - 1] = tick
        else:
            at = held
            while at > 0 and latest[at - 1] > tick:
                latest[at] = latest[at - 1]
                at -= 1
            latest[at] = tick
            held += 1
        out[word] = (slot << HASH_BITS | others.hash[slot, place]) << TICK_BITS | tick
        word += 1
    return word


def _compact_bags(
    bags: tuple[Ints, Ints, Ints, int, int],
    given: Ints2d,
    tables: tuple[Ints2d, Ints2d, Ints2d, Ints],
    numbers: tuple[int, int, int, int, int, int],
    forever: int,
    circle: Ints2d,
) -> tuple[int, Ints, Ints, Ints, Ints]:
    """Compacts bags. The words that stand for the parts below the limits, how many of each bag, how many words of each
    bag they stand for, and how many of its entries are folded (0: leave it as it is).

    First of all: the place of a bag that cannot be read, TOO_MANY where a bag would have too many tiles, else -1.
    `bags`: the words of all, how many each has, below which stamp (less 2^63) entries are folded, how many
    counterparties are counted exactly, the mark of entries. `given`: the group's own measures of the entries. `tables`:
    fields, windows that rows are summed over, those that counterparties are counted in, widths of tiles. `numbers`:
    those of `Group.numbers`.
    """
    words, sizes, limits, exact, mark = bags
    fields, summed, counted, ladder = tables
    split, keep, grace_ms, event, _, finest_ms = numbers
    tile_words = 1 + len(fields)
    slots = 3 if len(counted) else 0

    room = start = length = 0
    for bag in range(len(sizes)):
        _, tiles, named, raws = parts(words, start, sizes[bag], tile_words, mark)
        if raws < 0:
            return bag, words[:0].copy(), sizes.copy(), sizes.copy(), sizes.copy()
        room = max(room, max(tiles, named) + raws)
        length += HEADER_WORDS + (tiles + raws) * tile_words + named + raws * (slots + ENTRY_WORDS)
        start += sizes[bag]
    rows = Rows(
        np.empty(room, np.int64),
        np.empty(room, np.int64),
        np.empty((room, len(fields)), np.int64),
        split,
        np.empty((0, 0), np.int64),
    )
    others = Others(np.empty((slots, room), np.int64), np.empty((slots, room), np.int64), np.zeros(slots, np.int64))
    left, latest, bounds = np.empty(room, np.int64), np.empty(exact + 1, np.int64), np.empty(len(ladder), np.int64)
    out, made = np.empty(length, np.int64), np.zeros(len(sizes), np.int64)
    stand_for, folded = np.zeros(len(sizes), np.int64), np.zeros(len(sizes), np.int64)

    start = entry = word = 0
    for bag in range(len(sizes)):
        has = parts(words, start, sizes[bag], tile_words, mark)
        raws = has[3]
        count, newest, floor, stay = lift(
            words, start, has, limits[bag], mark, finest_ms, keep, rows, others, fields, circle, given, entry,
            ENDLESS, left,
        )  # fmt: skip
        if count < 0:
            return bag, out, made, stand_for, folded
        end = max(newest - grace_ms, 0)
        gone = first_start(summed, end, keep, ENDLESS)
        if keep:
            floor = sharp(rows, count, event, keep, floor) - 1
            count, _, _, stay = lift(
                words, start, has, limits[bag], mark, finest_ms, keep, rows, others, fields, circle, given, entry,
                max(floor, gone - 1), left,
            )  # fmt: skip
        for width in range(len(ladder)):
            bounds[width] = first_start(summed, end, 0, ladder[width])
        first = word
        after = _tiles(rows, count, ladder, bounds, gone, forever, out, first + HEADER_WORDS)
        tiles_made = (after - first - HEADER_WORDS) // tile_words
        word, since = after, first_start(counted, end, 0, ENDLESS)
        for slot in range(slots):
            word = latest_named(others, slot, exact + 1, since, finest_ms, latest, out, word)
        if max(tiles_made, word - after) > MOST:
            return TOO_MANY, out, made, stand_for, folded
        out[first] = mark >> 5 | (mark & 31) << 8 | tiles_made << 16 | (word - after) << 32
        out[first + 1], out[first + 2] = newest, floor
        below, raw = 0, start + sizes[bag] - raws * ENTRY_WORDS
        while below < raws and stamp(words[raw + below * ENTRY_WORDS]) < limits[bag]:
            below += 1
        stand_for[bag], folded[bag] = raw + below * ENTRY_WORDS - start, below - stay
        for nth in range(stay):
            for part in range(ENTRY_WORDS):
                out[word + part] = words[left[nth] + part]
            word += ENTRY_WORDS
        made[bag] = word - first
        start, entry = start + sizes[bag], entry + raws
    return -1, out[:word].copy(), made, stand_for, folded


compact_bags = compiled(
    _compact_bags,
    f"Tuple((int64, int64[::1], int64[::1], int64[::1], int64[::1]))(Tuple(({INTS}, {INTS}, {INTS}, int64, int64)),"
    f"{INTS2D}, Tuple(({INTS2D}, {INTS2D}, {INTS2D}, {INTS})), UniTuple(int64, 6), int64, {INTS2D})",
)
