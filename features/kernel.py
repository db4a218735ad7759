"""The kernel of the fold: one entity after the other, one event after the other, in machine code (numba).

Of each entity the bag is laid out as rows in order of time, and its counterparties in order of hash. Then its events of
the range come one by one, in offset order: each is put where it belongs, and told what it sees, itself included. A
window is the rows since its start, so one walk from the newest row to the oldest adds up all of them, nearest first.

Sums are int64; floats appear only in the last step, each by a fixed sequence of IEEE operations, so that the bytes
repeat on any CPU. What the numbers of a plan mean is said in features/plan.py, the words of a bag in features/bag.py.
The price: numba with LLVM, 190 MB, and ten seconds of compiling, once per installation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

from features.bag import ENTRY_WORDS, HEADER_WORDS, PART_EVENT, PART_FIELDS, PLACE_BITS, PLACE_MASK, TICK_BITS
from features.columns import HASH_BITS, HASH_MASK
from features.entry import VERSION
from features.feature import ABSENT, ANY_KIND
from features.fields import CIRCLE, UNIT
from features.logscale import STEPS
from features.plan import Base, Told
from features.recent import LEAST_SPREAD, NORMAL
from features.window import DAY_MS

Ints = npt.NDArray[np.int64]
Ints2d = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Floats2d = npt.NDArray[np.float64]
Function = TypeVar("Function", bound=Callable[..., Any])

NEVER = -1
FLAGS_AT, MARK_AT, OTHER_BITS = 48, 56, 32  # bits of an entry's words

# Members of an enumeration are no constants to the compiler.
ONE, AMOUNT, PLACE, SQUARE = int(Base.ONE), int(Base.AMOUNT), int(Base.PLACE), int(Base.SQUARE)
COSINE, GIVEN = int(Base.COSINE), int(Base.GIVEN)
PLAIN, QUOTIENT, SPREAD, HABIT = int(Told.PLAIN), int(Told.QUOTIENT), int(Told.SPREAD), int(Told.HABIT)
PEAK, USUAL, SINCE, DISTINCT, NEW = int(Told.PEAK), int(Told.USUAL), int(Told.SINCE), int(Told.DISTINCT), int(Told.NEW)
SINCE_LAST, SINCE_FIRST = int(Told.SINCE_LAST), int(Told.SINCE_FIRST)


def compiled(function: Function, signature: str | None = None) -> Function:
    """The function as machine code. It runs without the interpreter's lock, so other threads go on.

    It is kept beside this file or in the user's folder of caches; where neither can be written, each start makes it.
    """
    try:
        return cast(Function, numba.njit(signature, cache=True, nogil=True, error_model="numpy")(function))
    except RuntimeError:  # no place to keep it
        return cast(Function, numba.njit(signature, nogil=True, error_model="numpy")(function))


class Plan(NamedTuple):
    """The tables of a group, as features/plan.py makes them."""

    fields: Ints2d
    windows: Ints2d
    terms: Ints2d
    columns: Ints2d
    constants: Floats2d


class Rows(NamedTuple):
    """What is known of an entity, entries and tiles alike; `order` has their places in order of time."""

    order: Ints
    at: Ints
    values: Ints2d  # (rows, fields): the first `split` add up, of the others the largest counts
    split: int


class Others(NamedTuple):
    """Its counterparties by slot, in order of hash, with the time that each was last seen."""

    hash: Ints2d
    last: Ints2d
    known: Ints  # how many of each slot


class Windows(NamedTuple):
    """Where the windows of an event start, and what lies in each."""

    edge: Ints  # at the edge of a tile
    start: Ints  # among the events kept one by one exactly
    nearest: Ints  # their order, the shortest first
    seen: Ints2d  # (windows, fields)


@compiled
def _stamp(word: int) -> int:
    """A stamp, which lies big-endian in the bag, less 2^63: as signed integers these order as stamps do."""
    stamp = 0
    for _ in range(8):
        stamp = stamp << 8 | word & 0xFF
        word >>= 8
    return stamp ^ ABSENT


@compiled
def _parts(words: Ints, start: int, size: int, tile_words: int, layout: int) -> tuple[int, int, int, int]:
    """The words of a bag's header, how many tiles, others and entries it has; -1 entries: it cannot be read."""
    head = words[start] if size > 0 else 0
    if head & 0xFF == 0:
        return 0, 0, 0, size // ENTRY_WORDS if size % ENTRY_WORDS == 0 else -1
    if head & 0xFF > VERSION or head >> 8 & 0xFF != layout:
        return 0, 0, 0, -1
    tiles, others = head >> 16 & 0xFFFF, head >> 32 & 0xFFFF
    rest = size - HEADER_WORDS - tiles * tile_words - others
    return HEADER_WORDS, tiles, others, rest // ENTRY_WORDS if rest >= 0 and rest % ENTRY_WORDS == 0 else -1


@compiled
def _measure(
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
def _part(rows: Rows, row: int, at: int, amount: int, pair: int, place: int, part: int) -> None:
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
def _counts(rows: Rows, row: int) -> bool:
    """Whether a row counts for anything."""
    for field in range(rows.values.shape[1]):
        if rows.values[row, field] != (0 if field < rows.split else ABSENT):
            return True
    return False


@compiled
def _put(rows: Rows, row: int) -> None:
    """Puts the newest of the rows into its place among those before."""
    place = row
    while place > 0 and rows.at[rows.order[place - 1]] > rows.at[row]:
        rows.order[place] = rows.order[place - 1]
        place -= 1
    rows.order[place] = row


@compiled
def _mention(others: Others, slot: int, hashed: int, at: int) -> int:
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
def _lift(
    words: Ints, start: int, parts: tuple[int, int, int, int], limit: int, layout: int, finest_ms: int, keep: int,
    rows: Rows, others: Others, fields: Ints2d, circle: Ints2d, given: Ints2d, entry: int,
) -> tuple[int, int, int]:  # fmt: skip
    """A bag as rows and counterparties: how many rows, the newest time seen, the floor. -1 rows: it cannot be read.

    Entries stamped `limit` or above are left out. Where events are kept one by one, so is what counts for nothing.
    """
    header, tiles, named, raws = parts
    newest, floor, count, word = NEVER, NEVER, 0, start + header
    if header:
        newest, floor = words[start + 1], words[start + 2]
    others.known[:] = 0
    for _ in range(tiles):
        rows.at[count] = words[word] >> 8
        for field in range(len(fields)):
            rows.values[count, field] = words[word + 1 + field]
        word += 1 + len(fields)
        if not keep or _counts(rows, count):
            _put(rows, count)
            count += 1
    for _ in range(named):
        slot = words[word] >> TICK_BITS + HASH_BITS & 3
        if slot >= len(others.known):
            return -1, newest, floor
        place = others.known[slot]  # they lie in order of hash
        others.hash[slot, place] = words[word] >> TICK_BITS & HASH_MASK
        others.last[slot, place] = (words[word] & (1 << TICK_BITS) - 1) * finest_ms
        others.known[slot] += 1
        word += 1
    for nth in range(raws):
        if _stamp(words[word]) < limit:
            at, amount, pair, tail = words[word + 1], words[word + 2], words[word + 3], words[word + 4]
            mark = tail >> MARK_AT & 0xFF
            if mark >> 5 > VERSION or mark & 31 != layout:
                return -1, newest, floor
            newest = max(newest, at)
            place, part = tail >> OTHER_BITS & PLACE_MASK, tail >> OTHER_BITS + PLACE_BITS & 0xF
            if part == PART_EVENT:
                flags = tail >> FLAGS_AT & 0xFF
                _measure(rows, count, fields, circle, at, amount, flags, place, given, entry + nth)
            else:
                _part(rows, count, at, amount, pair, place, part)
            if part == PART_FIELDS:
                floor = max(floor, at)
            else:
                for slot in range(len(others.known)):
                    hashed = (tail if slot == 2 else pair >> OTHER_BITS * slot) & 0xFFFFFFFF
                    if hashed != 0:
                        _mention(others, slot, hashed, at)
            if not keep or _counts(rows, count):
                _put(rows, count)
                count += 1
        word += ENTRY_WORDS
    return count, newest, floor


@compiled
def _sharp(rows: Rows, count: int, event: int, keep: int, floor: int) -> int:
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


@compiled
def _edges(plan: Plan, windows: Windows, end: int, keep: int, sharp: int) -> None:
    """Where the windows of an event start."""
    for window in range(len(plan.windows)):
        tile_ms, tiles, reach_ms = plan.windows[window, 0], plan.windows[window, 1], plan.windows[window, 2]
        edge = max((end // tile_ms - (tiles - 1)) * tile_ms, 0) if tiles else 0
        exactly = max(end - reach_ms + 1, 0) if tiles else 0
        windows.edge[window] = edge
        windows.start[window] = min(max(sharp, exactly), edge) if keep else edge
        place = window
        while place > 0 and windows.start[windows.nearest[place - 1]] < windows.start[window]:
            windows.nearest[place] = windows.nearest[place - 1]
            place -= 1
        windows.nearest[place] = window


@compiled
def _walk(rows: Rows, count: int, windows: Windows) -> None:
    """Adds up the rows of each window."""
    fields = windows.seen.shape[1]
    before, place = -1, count - 1
    for nth in range(len(windows.nearest)):
        window = windows.nearest[nth]
        for field in range(fields):
            nothing = 0 if field < rows.split else ABSENT
            windows.seen[window, field] = windows.seen[before, field] if nth else nothing
        while place >= 0 and rows.at[rows.order[place]] >= windows.start[window]:
            row = rows.order[place]
            for field in range(rows.split):
                windows.seen[window, field] += rows.values[row, field]
            for field in range(rows.split, fields):
                windows.seen[window, field] = max(windows.seen[window, field], rows.values[row, field])
            place -= 1
        before = window


@compiled
def _terms(plan: Plan, windows: Windows, rows: Rows, me: int, found: Ints) -> None:
    """The integers that columns are made of."""
    at = rows.at[me]
    for term in range(len(plan.terms)):
        field, window = plan.terms[term, 0], plan.terms[term, 1]
        late, own = plan.terms[term, 2], plan.terms[term, 3]
        value = windows.seen[window, field]
        inside = at >= windows.start[window]
        if late >= 0:
            value -= windows.seen[late, field]
            inside = inside and at < windows.start[late]
        if own and inside:
            value -= rows.values[me, field]
        found[term] = value


@compiled
def _spread(count: int, places: int, squares: int) -> float:
    """Standard deviation of the places on the log scale, in doublings."""
    some = max(count, 1)
    mean = places / some
    spread: float = np.sqrt(max(squares / some - mean * mean, 0.0)) / STEPS
    return spread


@compiled
def _habit(x: int, y: int, count: int, cosine: int, sine: int) -> float:
    """kappa * cos(hour - usual hour), kappa as Banerjee et al. (2005) estimate it from the mean resultant length.

    A single event would make a certainty of itself, so the length is taken as if two more events had no direction.
    """
    if count <= 0:
        return 0.0
    length = np.sqrt(float(cosine * cosine + sine * sine)) / UNIT
    mean = min(length / (count + 2), 0.999)
    kappa = mean * (2.0 - mean * mean) / (1.0 - mean * mean)
    fits: float = kappa * ((cosine * x + sine * y) / max(length * (UNIT * UNIT), 1.0))
    return fits


@compiled
def _median(values: Floats, count: int) -> float:
    """Of the first `count`, which it sorts."""
    for nth in range(1, count):
        value, place = values[nth], nth
        while place > 0 and values[place - 1] > value:
            values[place] = values[place - 1]
            place -= 1
        values[place] = value
    median: float = (values[(count - 1) // 2] + values[count // 2]) / 2.0
    return median


@compiled
def _usual(
    rows: Rows, count: int, me: int, since: int, one: int, place: int, mine: int, in_spreads: int, kept: Floats
) -> float:
    """The place of the amount against the median of the other events since then, in doublings or in their own spreads.

    0 without others; `kept` is room for those that a group keeps one by one.
    """
    several = 0
    for nth in range(count - 1, -1, -1):
        row = rows.order[nth]
        if rows.at[row] < since or several == len(kept):
            break
        if row != me and rows.values[row, one] == 1:
            kept[several] = rows.values[row, place]
            several += 1
    if several == 0:
        return 0.0
    middle = _median(kept, several)
    if not in_spreads:
        return (mine - middle) / STEPS
    for nth in range(several):
        kept[nth] = abs(kept[nth] - middle)
    return (mine - middle) / max(_median(kept, several) * NORMAL, float(LEAST_SPREAD))


@compiled
def _days_since(rows: Rows, count: int, field: int, tile_ms: int, edge: int, last: int, end: int) -> float:
    """Days from the start of the last (first) tile since `edge` whose field adds up to more than 0; -1: none."""
    found, tile, total = NEVER, NEVER, 0
    for nth in range(count - 1, -1, -1):
        row = rows.order[nth]
        if rows.at[row] < edge:
            break
        if rows.at[row] // tile_ms != tile:
            if total > 0:
                found = tile
                if last:
                    break
            tile, total = rows.at[row] // tile_ms, 0
        total += rows.values[row, field]
    if total > 0 and not (last and found >= 0):
        found = tile
    return -1.0 if found < 0 else max(end - found * tile_ms, 0) / DAY_MS


@compiled
def _oldest(rows: Rows, count: int, start: int) -> int:
    for nth in range(count):
        oldest: int = rows.at[rows.order[nth]]
        if oldest >= start:
            return oldest
    return NEVER


@compiled
def _distinct(others: Others, slot: int, exact: int, edge: int) -> float:
    """How many were seen since the edge: exactly up to `exact`, beyond it by the estimate of the k + 1 minimum values.

    That is k * 2^30 / h, h being the (k + 1)-th smallest hash (Bar-Yossef et al., 2002): off by about 1 / sqrt(k - 1).
    """
    count = 0
    for place in range(others.known[slot]):
        count += others.last[slot, place] >= edge
    if count <= exact:
        return float(count)
    count = place = 0
    while count <= exact:
        count += others.last[slot, place] >= edge
        place += 1
    estimate: float = np.rint(exact * float(1 << HASH_BITS) / others.hash[slot, place - 1])
    return max(estimate, exact + 1.0)


@compiled
def _is_new(others: Others, slot: int, exact: int, edge: int, mine: int, before: int) -> float:
    """1 where it was not seen since the edge, and would be known if it had been.

    It would where fewer than `exact` others of the window have a smaller hash: those are never forgotten.
    """
    if mine == 0 or before >= edge:
        return 0.0
    smaller = 0
    for place in range(others.known[slot]):
        if others.hash[slot, place] >= mine:
            break
        smaller += others.last[slot, place] >= edge
    return 1.0 if smaller < exact else 0.0


@compiled
def _in_order(owners: Ints, bags: int) -> tuple[Ints, Ints]:
    """The events of each bag in offset order, and where those of each bag end; an event without one is in none."""
    ends = np.zeros(bags + 1, np.int64)
    for owner in owners:
        ends[owner + 1] += 1
    ends[0] = 0
    for bag in range(bags):
        ends[bag + 1] += ends[bag]
    order, place = np.empty(ends[bags], np.int64), ends[:-1].copy()
    for nth in range(len(owners)):
        if owners[nth] >= 0:
            order[place[owners[nth]]] = nth
            place[owners[nth]] += 1
    return order, ends


def _fold_bags(
    bags: tuple[Ints, Ints, Ints, Ints, int],
    own: tuple[Ints2d, Ints2d],
    given: tuple[Ints2d, Ints2d],
    tables: tuple[Ints2d, Ints2d, Ints2d, Ints2d, Floats2d],
    numbers: tuple[int, int, int, int, int, int],
    circle: Ints2d,
    out: Floats2d,
) -> int:
    """Tells every event of a range what it sees, into `out` (columns, n). The place of a bag that is none, else -1.

    `bags`: the words of all, how many each has, below which stamp (less 2^63) entries count, how many counterparties
    are counted exactly, the layout. `own`: owner, time, amount, flags and place of the events, (5, n), and their
    counterparties. `given`: the group's own measures of the bags' entries and of the events. `tables`: the plan.
    `numbers`: those of `Group.numbers`.
    """
    words, sizes, limits, exacts, layout = bags
    events, names = own
    given_past, given_own = given
    plan = Plan(tables[0], tables[1], tables[2], tables[3], tables[4])
    split, keep, grace_ms, event, horizon, finest_ms = numbers
    fields, slots = len(plan.fields), len(names)
    order, ends = _in_order(events[0], len(sizes))

    room = start = 0
    for bag in range(len(sizes)):
        _, tiles, named, raws = _parts(words, start, sizes[bag], 1 + fields, layout)
        if raws < 0:
            return bag
        room = max(room, max(tiles, named) + raws + ends[bag + 1] - ends[bag])
        start += sizes[bag]
    rows = Rows(np.empty(room, np.int64), np.empty(room, np.int64), np.empty((room, fields), np.int64), split)
    others = Others(np.empty((slots, room), np.int64), np.empty((slots, room), np.int64), np.zeros(slots, np.int64))
    several = len(plan.windows)
    windows = Windows(
        np.empty(several, np.int64),
        np.empty(several, np.int64),
        np.empty(several, np.int64),
        np.empty((several, fields), np.int64),
    )
    found, before_of, kept = np.empty(len(plan.terms), np.int64), np.empty(slots, np.int64), np.empty(keep + 1)

    start = entry = 0
    for bag in range(len(sizes)):
        parts = _parts(words, start, sizes[bag], 1 + fields, layout)
        count, newest, floor = _lift(
            words, start, parts, limits[bag], layout, finest_ms, keep, rows, others, plan.fields, circle, given_past,
            entry,
        )  # fmt: skip
        if count < 0:
            return bag
        start, entry = start + sizes[bag], entry + parts[3]
        for nth in order[ends[bag] : ends[bag + 1]]:
            me, at, before = count, events[1, nth], newest
            count, newest, end = count + 1, max(newest, at), max(at, before - grace_ms)
            _measure(rows, me, plan.fields, circle, at, events[2, nth], events[3, nth], events[4, nth], given_own, nth)
            _put(rows, me)
            for slot in range(slots):
                before_of[slot] = _mention(others, slot, names[slot, nth], at) if names[slot, nth] != 0 else NEVER
            sharp = _sharp(rows, count, event, keep, floor) if keep else 0
            _edges(plan, windows, end, keep, sharp)
            _walk(rows, count, windows)
            _terms(plan, windows, rows, me, found)
            for column in range(len(plan.columns)):
                told, a, b = plan.columns[column, 0], plan.columns[column, 1], plan.columns[column, 2]
                c, d = plan.columns[column, 3], plan.columns[column, 4]
                if told == PLAIN:
                    value = float(found[a])
                elif told == QUOTIENT:
                    top, below = found[a] + plan.constants[column, 0], found[b] + plan.constants[column, 1]
                    value = top / max(below, plan.constants[column, 2]) * plan.constants[column, 3]
                elif told == SPREAD:
                    value = _spread(found[a], found[b], found[c])
                elif told == HABIT:
                    hour = at % DAY_MS * CIRCLE // DAY_MS
                    value = _habit(circle[0, hour], circle[1, hour], found[a], found[b], found[c])
                elif told == PEAK:
                    peak = windows.seen[b, a]
                    value = plan.constants[column, 0] if peak == ABSENT else float(-peak if c else peak)
                elif told == USUAL:
                    value = _usual(rows, count, me, max(windows.start[c], sharp), a, b, events[4, nth], d, kept)
                elif told == SINCE:
                    value = _days_since(rows, count, a, plan.windows[b, 0], windows.edge[b], c, end)
                elif told == DISTINCT:
                    value = _distinct(others, a, exacts[bag], windows.edge[b])
                elif told == NEW:
                    value = _is_new(others, a, exacts[bag], windows.edge[b], names[a, nth], before_of[a])
                elif told == SINCE_LAST:
                    known = before >= max(windows.start[horizon], 0)
                    value = max(at - before, 0) / 1000 if known else -1.0
                else:
                    oldest = _oldest(rows, count, windows.start[horizon])
                    latest = at if told == SINCE_FIRST else newest
                    value = 0.0 if oldest == NEVER else max(latest - oldest, 0) / 1000
                out[column, nth] = value
    return -1


def _entries_of(words: Ints, sizes: Ints, tile_words: int, layout: int) -> Ints:
    """Where the entries of all bags begin, a bag that cannot be read having none."""
    where, found, start = np.empty(len(words) // ENTRY_WORDS, np.int64), 0, 0
    for size in sizes:
        header, tiles, named, raws = _parts(words, start, size, tile_words, layout)
        first = start + header + tiles * tile_words + named
        for nth in range(raws):
            where[found] = first + nth * ENTRY_WORDS
            found += 1
        start += size
    return where[:found]


_INTS, _INTS2 = "Array(int64, 1, 'C', readonly=True)", "Array(int64, 2, 'C', readonly=True)"
_FLOATS2 = "Array(float64, 2, 'C', readonly=True)"
fold_bags = compiled(
    _fold_bags,
    f"int64(Tuple(({_INTS}, {_INTS}, {_INTS}, {_INTS}, int64)), Tuple(({_INTS2}, {_INTS2})),"
    f"Tuple(({_INTS2}, {_INTS2})), Tuple(({_INTS2}, {_INTS2}, {_INTS2}, {_INTS2}, {_FLOATS2})),"
    f"UniTuple(int64, 6), {_INTS2}, float64[:, ::1])",
)
entries_of = compiled(_entries_of, f"int64[::1]({_INTS}, {_INTS}, int64, int64)")
