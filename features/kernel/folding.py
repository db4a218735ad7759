"""Folding: what each event of a range sees, itself included.

Of each entity the bag is laid out as rows. Then its events of the range come one by one, in offset order: each is put
where it belongs, and told what it sees. A window is the rows since its start, so one walk from the newest row to the
oldest adds up all of them, nearest first.

Sums are int64; floats appear only in the last step, each by a fixed sequence of IEEE operations, so that the bytes
repeat on any CPU.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from features.columns import HASH_BITS
from features.feature import ABSENT
from features.fields import CIRCLE, UNIT
from features.kernel.compiled import FLOATS2D, INTS, INTS2D, Floats, Floats2d, Ints, Ints2d, compiled
from features.kernel.entries import in_order
from features.kernel.rows import ENDLESS, NEVER, Others, Rows, lift, measure, mention, parts, put, sharp
from features.logscale import STEPS
from features.plan import Told
from features.recent import LEAST_SPREAD, NORMAL
from features.window import DAY_MS

# Members of an enumeration are no constants to the compiler.
PLAIN, QUOTIENT, SPREAD, HABIT = int(Told.PLAIN), int(Told.QUOTIENT), int(Told.SPREAD), int(Told.HABIT)
PEAK, USUAL, SINCE, DISTINCT, NEW = int(Told.PEAK), int(Told.USUAL), int(Told.SINCE), int(Told.DISTINCT), int(Told.NEW)
SINCE_LAST, SINCE_FIRST, SPAN = int(Told.SINCE_LAST), int(Told.SINCE_FIRST), int(Told.SPAN)
STREAK = int(Told.STREAK)
RECENT_AMOUNT, RECENT_GAP, RECENT_SAME = (
    int(Told.RECENT_AMOUNT),
    int(Told.RECENT_GAP),
    int(Told.RECENT_SAME),
)


class Plan(NamedTuple):
    """The tables of a group, as features/plan.py makes them."""

    fields: Ints2d
    windows: Ints2d
    terms: Ints2d
    columns: Ints2d
    constants: Floats2d


class Windows(NamedTuple):
    """Where the windows of an event start, and what lies in each."""

    edge: Ints  # at the edge of a tile
    start: Ints  # among the events kept one by one exactly
    nearest: Ints  # their order, the shortest first
    seen: Ints2d  # (windows, fields)


@compiled
def _edges(plan: Plan, windows: Windows, end: int, keep: int, exact_since: int) -> None:
    """Where the windows of an event start."""
    for window in range(len(plan.windows)):
        tile_ms, tiles, reach_ms = plan.windows[window, 0], plan.windows[window, 1], plan.windows[window, 2]
        edge = max((end // tile_ms - (tiles - 1)) * tile_ms, 0) if tiles else 0
        exactly = max(end - reach_ms + 1, 0) if tiles else 0
        windows.edge[window] = edge
        windows.start[window] = min(max(exact_since, exactly), edge) if keep else edge
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
def _outranks(rows: Rows, one: int, other: int, amount: int) -> bool:
    """Whether an event is told before another: the newer one, then by what they are, as their arrival must not tell."""
    mine, theirs = rows.at[one], rows.at[other]
    if mine == theirs:
        mine, theirs = rows.values[one, amount], rows.values[other, amount]
    for slot in range(rows.named.shape[1]):
        if mine == theirs:
            mine, theirs = rows.named[one, slot], rows.named[other, slot]
    first: bool = mine > theirs
    return first


@compiled
def _recent(rows: Rows, count: int, me: int, since: int, one: int, amount: int, found: Ints) -> int:
    """Finds the other events since then, newest first. How many there are; `found` has room for those one by one."""
    several = 0
    for nth in range(count - 1, -1, -1):
        row = rows.order[nth]
        if rows.at[row] < since or several == len(found):
            break
        if row != me and rows.values[row, one] == 1:
            place = several
            while place > 0 and _outranks(rows, row, found[place - 1], amount):
                found[place] = found[place - 1]
                place -= 1
            found[place] = row
            several += 1
    return several


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
def _streak(rows: Rows, count: int, bad: int, one: int, tile_ms: int, edge: int, late: int) -> int:
    """How many events are known as bad, from the newest tile before `late` back to the first that has another event."""
    streak, tile, bads, events = 0, NEVER, 0, 0
    for nth in range(count - 1, -1, -1):
        row = rows.order[nth]
        if rows.at[row] >= late:
            continue
        if rows.at[row] < edge:
            break
        if rows.at[row] // tile_ms != tile:
            if bads < events:
                return streak
            streak += bads
            tile, bads, events = rows.at[row] // tile_ms, 0, 0
        bads += rows.values[row, bad]
        events += rows.values[row, one]
    return streak if bads < events else streak + bads


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


def _fold_bags(
    bags: tuple[Ints, Ints, Ints, int, int],
    own: tuple[Ints2d, Ints2d],
    given: tuple[Ints2d, Ints2d],
    tables: tuple[Ints2d, Ints2d, Ints2d, Ints2d, Floats2d],
    numbers: tuple[int, int, int, int, int, int],
    circle: Ints2d,
    out: Floats2d,
) -> int:
    """Tells every event of a range what it sees, into `out` (columns, n). The place of a bag that is none, else -1.

    `bags`: the words of all, how many each has, below which stamp (less 2^63) entries count, how many counterparties
    are counted exactly, the mark of entries. `own`: owner, time, amount, flags and place of the events, (5, n), and
    their counterparties. `given`: the group's own measures of the bags' entries and of the events. `tables`: the plan.
    `numbers`: those of `Group.numbers`. It is one function, columns and all: a call for each column, which takes all
    that is known of the entity, was measured to make a fold five times as dear.
    """
    words, sizes, limits, exact, mark = bags
    events, names = own
    given_past, given_own = given
    plan = Plan(tables[0], tables[1], tables[2], tables[3], tables[4])
    split, keep, grace_ms, event, horizon, finest_ms = numbers
    fields, slots = len(plan.fields), len(names)
    order, ends = in_order(events[0], 0, len(sizes))

    room = start = 0
    for bag in range(len(sizes)):
        _, tiles, named, raws = parts(words, start, sizes[bag], 1 + fields, mark)
        if raws < 0:
            return bag
        room = max(room, max(tiles, named) + raws + ends[bag + 1] - ends[bag])
        start += sizes[bag]
    whose = np.empty((room, slots) if (plan.columns[:, 0] > SPAN).any() else (0, 0), np.int64)
    rows = Rows(np.empty(room, np.int64), np.empty(room, np.int64), np.empty((room, fields), np.int64), split, whose)
    others = Others(np.empty((slots, room), np.int64), np.empty((slots, room), np.int64), np.zeros(slots, np.int64))
    several = len(plan.windows)
    windows = Windows(
        np.empty(several, np.int64),
        np.empty(several, np.int64),
        np.empty(several, np.int64),
        np.empty((several, fields), np.int64),
    )
    found, before_of, kept = np.empty(len(plan.terms), np.int64), np.empty(slots, np.int64), np.empty(keep + 1)
    recent = np.empty(keep + 1, np.int64)

    nothing = np.empty(0, np.int64)
    start = entry = 0
    for bag in range(len(sizes)):
        has = parts(words, start, sizes[bag], 1 + fields, mark)
        count, newest, floor, _ = lift(
            words, start, has, limits[bag], mark, finest_ms, keep, rows, others, plan.fields, circle, given_past,
            entry, ENDLESS, nothing,
        )  # fmt: skip
        if count < 0:
            return bag
        start, entry = start + sizes[bag], entry + has[3]
        for nth in order[ends[bag] : ends[bag + 1]]:
            me, at, before = count, events[1, nth], newest
            count, newest, end = count + 1, max(newest, at), max(at, before - grace_ms)
            measure(rows, me, plan.fields, circle, at, events[2, nth], events[3, nth], events[4, nth], given_own, nth)
            put(rows, me)
            for slot in range(whose.shape[1]):
                whose[me, slot] = names[slot, nth]
            for slot in range(slots):
                before_of[slot] = mention(others, slot, names[slot, nth], at) if names[slot, nth] != 0 else NEVER
            exact_since = sharp(rows, count, event, keep, floor) if keep else 0
            _edges(plan, windows, end, keep, exact_since)
            _walk(rows, count, windows)
            _terms(plan, windows, rows, me, found)
            listed, there = NEVER, 0
            for column in range(len(plan.columns)):
                told, a, b = plan.columns[column, 0], plan.columns[column, 1], plan.columns[column, 2]
                c, d, e = plan.columns[column, 3], plan.columns[column, 4], plan.columns[column, 5]
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
                    value = _usual(rows, count, me, max(windows.start[c], exact_since), a, b, events[4, nth], d, kept)
                elif told == SINCE:
                    value = _days_since(rows, count, a, plan.windows[b, 0], windows.edge[b], c, end)
                elif told == STREAK:
                    value = float(_streak(rows, count, a, b, plan.windows[c, 0], windows.edge[c], windows.edge[d]))
                elif told == DISTINCT:
                    value = _distinct(others, a, exact, windows.edge[b])
                elif told == NEW:
                    value = _is_new(others, a, exact, windows.edge[b], names[a, nth], before_of[a])
                elif told == SINCE_LAST:
                    known = before >= max(windows.start[horizon], 0)
                    value = max(at - before, 0) / 1000 if known else -1.0
                elif told > SPAN:
                    if listed != a:  # the events of these kinds: found once for all columns that tell of them
                        since = max(windows.start[c], exact_since)
                        listed, there = a, _recent(rows, count, me, since, a, b, recent)
                    value = plan.constants[column, 0]
                    if d < there and told == RECENT_AMOUNT:
                        value = float(rows.values[recent[d], b])
                    elif d < there and told == RECENT_GAP:
                        value = max(at - rows.at[recent[d]], 0) / 1000
                    elif d < there and told == RECENT_SAME and whose[recent[d], e] != 0 and names[e, nth] != 0:
                        value = 1.0 if whose[recent[d], e] == names[e, nth] else 0.0
                else:
                    oldest = _oldest(rows, count, windows.start[horizon])
                    latest = at if told == SINCE_FIRST else newest
                    value = 0.0 if oldest == NEVER else max(latest - oldest, 0) / 1000
                out[column, nth] = value
    return -1


fold_bags = compiled(
    _fold_bags,
    f"int64(Tuple(({INTS}, {INTS}, {INTS}, int64, int64)), Tuple(({INTS2D}, {INTS2D})),"
    f"Tuple(({INTS2D}, {INTS2D})), Tuple(({INTS2D}, {INTS2D}, {INTS2D}, {INTS2D}, {FLOATS2D})),"
    f"UniTuple(int64, 6), {INTS2D}, float64[:, ::1])",
)
