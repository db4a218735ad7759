"""The fold: bags and a range's events in, one row of aggregates per event out. One code for live and for history.

Rows (entries and tiles alike) are sorted once by entity and time and summed up; a window of an event is then the
total of its entity minus the sum before the window's start, found by binary search, for all windows and fields at once.
Peaks are taken over the contiguous slice. The entity's other events of the same range come as pairs (features/seen.py).
All sums are int64; floats appear only in the last step, each by a fixed sequence of IEEE operations, so that the bytes
repeat on any CPU. Groups that are read alike are folded in one pass while they are small (features/kin.py).

The price: 1.2 to 1.7 us an event of the reference job, 3 to 7 with five windows and three counterparties to count, and
1 ms a pass however short the range; see docs/performance.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from features import distinct, recent, seen
from features.bag import Lifted, Numbers, Rows, counts_for, lift
from features.columns import Floats2d
from features.entry import Own, side_by_side
from features.feature import ABSENT
from features.fields import UNIT, direction
from features.group import Group
from features.kin import Kin, alike, alone
from features.logscale import STEPS
from features.segments import VALUE_BITS, VALUE_MASK, heads, keyed, ranges, run_ends
from features.window import DAY_MS, Window

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

ENDLESS = np.iinfo(np.int64).max  # sorts after every key
PASS_BYTES = 800_000  # of bags that one pass reads: beyond, what it makes of them leaves the cache before it is used
NO_TIME = VALUE_MASK  # later than every event


@dataclass(frozen=True)
class Lot:
    """What a range needs of one group: the bags of its entities, the number of each one's shard, its events."""

    group: Group
    bags: Sequence[bytes | None]
    limit: Numbers
    own: Own


def fold_each(lots: Sequence[Lot]) -> list[Floats2d]:
    """`fold` of each lot; of small ones that are read alike in one pass."""
    folded: dict[int, Floats2d] = {}
    for kin in alike([lot.group for lot in lots]):
        for places in _portions(kin, [sum(map(len, filter(None, lots[place].bags))) for place in kin]):
            folded |= zip(places, _together([lots[place] for place in places]), strict=True)
    return [folded[place] for place in range(len(lots))]


def _portions(places: Sequence[int], sizes: Sequence[int]) -> Iterator[list[int]]:
    """Cuts `places` where their bytes would come to more than PASS_BYTES."""
    portion: list[int] = []
    held = 0
    for place, size in zip(places, sizes, strict=True):
        if portion and held + size > PASS_BYTES:
            yield portion
            portion, held = [], 0
        portion.append(place)
        held += size
    yield portion


def _together(lots: Sequence[Lot]) -> Iterator[Floats2d]:
    kin = Kin(tuple(lot.group for lot in lots), tuple(len(lot.bags) for lot in lots))
    bags = [bag for lot in lots for bag in lot.bags]
    limit = np.concatenate([lot.limit for lot in lots])
    out = _fold(kin, bags, limit, side_by_side([lot.own for lot in lots], kin.counts, len(kin.like.others)))
    ends = np.cumsum([len(lot.own.owner) for lot in lots]).tolist()
    for lot, start, end in zip(lots, [0, *ends], ends, strict=False):
        own = out[:, start:end]
        yield lot.own.per_event(own if lot.group is kin.like else own[_rows_of(lot.group, kin.like)]).T


@cache
def _rows_of(group: Group, like: Group) -> Ints:
    """The places of the group's columns among those of the one that stands for it: it may count fewer others."""
    return np.array([like.keys.index(key) for key in group.keys], np.int64)


def fold(group: Group, bags: Sequence[bytes | None], limit: Numbers, own: Own) -> Floats2d:
    """(n, len(group.columns)) float64, row i for event i of `own`.

    `bags` (u,) are those of the range's entities, `limit` (u,) the number of each one's shard: entries stamped with it
    or above are ignored. The k-th event of an entity sees the bag, the k - 1 before it and itself. An event without an
    entity gets zeros, one with several the largest of theirs. features/feature.py says what each column is.
    """
    return own.per_event(_fold(alone(group, len(bags)), bags, limit, own)).T


def _fold(kin: Kin, bags: Sequence[bytes | None], limit: Numbers, own: Own) -> Floats2d:
    """(columns, n), those of the group that stands for all."""
    group = kin.like
    out = np.zeros((len(group.columns), len(own.owner)))
    past = lift(kin, bags, limit)
    events = seen.events_of(group, own, past.newest)
    if len(events.order):
        views = seen.views_of(events, len(bags))
        pairs = seen.pairs_of(events)
        sight = _sight(group, past, events, views, pairs)
        columns = np.empty((len(group.columns), len(events.order)))
        _sums(group, sight, columns)
        _peaks(group, sight, columns)
        _recent(group, sight, columns)
        _times(group, sight, columns)
        if group.counted:
            distinct.fill(kin, seen.items_seen(past.items, events, views), events, views, pairs, columns)
        out[:, events.order] = columns
    return out


class _Sight(NamedTuple):
    """All that an event can see: the rows of its view, sorted by time, and the pairs of its block ("near")."""

    events: seen.Events
    pairs: seen.Pairs
    view: Ints  # (e,)
    stop: Ints  # (e,) where the view's rows end
    key: Ints  # (m + 1,) view and time, then a sentinel
    totals: Ints  # (sums, m + 1) running sums of the rows
    ends: Ints  # (sums, e) the view's total with all that is near
    peaks: Ints  # (peaks, m + 1) of the rows; the last is a sentinel
    near: Rows  # (p,) the seen events of the pairs; the owner is who sees
    near_peaks: Ints  # (peaks, e) of all that is near
    far: recent.Far | None  # the rows that are events of their own
    floor: Ints | None  # (e,) what is later is kept one by one; None where nothing is

    def cut(self, window: Window) -> Ints:
        """(e,) the first ms inside."""
        tile = window.cut(self.events.end)
        return tile if self.floor is None else recent.cut(tile, window.sharp_cut(self.events.end), self.floor)

    def start(self, cut: Ints) -> Ints:
        """(..., e) where each event's rows at or after `cut` begin."""
        return self.key.searchsorted(keyed(self.view, cut))

    def outside(self, cut: Ints) -> Ints:
        """Which pairs are not in the windows that start at `cut`: few, since the events of a range are near in time."""
        return (self.near.at < cut[self.near.owner]).nonzero()[0]


def _sight(group: Group, past: Lifted, events: seen.Events, views: seen.Views, pairs: seen.Pairs) -> _Sight:
    rows = seen.rows_seen(past.rows, events, views)
    if group.keep:
        rows = rows.only(counts_for(rows))
    key = keyed(rows.owner, rows.at)
    order = key.argsort(kind="stable")  # a merge sort: bags are mostly in order already
    totals = np.zeros((len(rows.sums), len(order) + 1), np.int64)
    np.cumsum(rows.sums.take(order, axis=1), axis=1, out=totals[:, 1:])
    peaks = np.full((len(rows.peaks), len(order) + 1), ABSENT)
    peaks[:, :-1] = rows.peaks.take(order, axis=1)
    near = seen.rows_near(events, pairs)
    ends = run_ends(rows.owner, len(views.owner))
    stop = ends[views.of]
    total = totals.take(stop, axis=1) + _merge(np.add, pairs, near.sums)
    ordered = np.full(len(order) + 1, ENDLESS)
    ordered[:-1] = key[order]
    near_peaks = _merge(np.maximum, pairs, near.peaks)
    floor = far = None
    if group.keep:
        far = _events(group, rows, order, ordered, views)
        mine = near.sums[group.sums.index(group.event)] > 0
        least = past.floor[views.owner][views.of]
        floor = recent.floors_seen(group.keep, far, least, near.owner[mine], near.at[mine])
    return _Sight(events, pairs, views.of, stop, ordered, totals, total, peaks, near, near_peaks, far, floor)


def _events(group: Group, rows: Rows, order: Ints, key: Ints, views: seen.Views) -> recent.Far:
    """Those of the sorted rows that are events of their own."""
    where = (rows.sums[group.sums.index(group.event)].take(order) > 0).nonzero()[0]
    ends = run_ends(rows.owner.take(order.take(where)), len(views.owner))
    return recent.Far(key.take(np.append(where, -1)), where, np.append(0, ends)[views.of], ends[views.of])


def _merge(rule: np.ufunc, pairs: seen.Pairs, near: Ints) -> Ints:
    """(..., p) -> (..., e): what each event sees of its own block, merged."""
    return near if pairs.alone else rule.reduceat(near, pairs.start, axis=-1)


def _sums(group: Group, sight: _Sight, columns: Floats2d) -> None:
    """What adds up: every term once, then the columns made of them."""
    plan = group.plan
    if not plan.terms:
        return
    terms = _terms(group, sight)
    for row, term in plan.plain:
        columns[row] = terms[term]
    for row, q in plan.quotients:
        top, below = terms[q.top], terms[q.below]
        if q.plus or q.more:
            top, below = top + q.plus, below + q.more
        np.divide(top, np.maximum(below, q.least), out=columns[row])
        if q.scale != 1.0:
            columns[row] *= q.scale
    for row, count, places, squares in plan.spreads:
        columns[row] = _spread(terms[count], terms[places], terms[squares])
    for row, count, cosine, sine in plan.habits:
        columns[row] = _habit(sight.events.rows.at, terms[count], terms[cosine], terms[sine])


def _terms(group: Group, sight: _Sight) -> Ints:
    """(terms, e)"""
    plan = group.plan
    cuts = np.array([sight.cut(window) for window in plan.windows])
    sums = sight.ends[:, None] - sight.totals.take(sight.start(cuts), axis=1)
    for window, cut in enumerate(cuts):
        if len(outside := sight.outside(cut)):
            for row, near in zip(sums[:, window], sight.near.sums, strict=True):
                np.subtract.at(row, sight.near.owner[outside], near[outside])
    terms = np.empty((len(plan.terms), len(sight.stop)), np.int64)
    mine = sight.events.rows
    for row, term in zip(terms, plan.terms, strict=True):
        row[:] = sums[term.field, term.window]
        if term.late >= 0:
            row -= sums[term.field, term.late]
        if term.own:
            row -= mine.sums[term.field] * _inside(mine.at, cuts, term.window, term.late)
    return terms


def _inside(at: Ints, cuts: Ints, window: int, late: int) -> Ints:
    """(e,) 1 where the event itself is in the window."""
    inside = at >= cuts[window]
    if late >= 0:
        inside &= at < cuts[late]
    told: Ints = inside.astype(np.int64)
    return told


def _spread(count: Ints, places: Ints, squares: Ints) -> Floats:
    """Standard deviation of the places on the log scale, in doublings."""
    some = np.maximum(count, 1)
    mean = places / some
    spread: Floats = np.sqrt(np.maximum(squares / some - mean * mean, 0.0)) / STEPS
    return spread


def _habit(at: Ints, count: Ints, cosine: Ints, sine: Ints) -> Floats:
    """kappa * cos(hour - usual hour), kappa as Banerjee et al. (2005) estimate it from the mean resultant length.

    A single event would make a certainty of itself, so the length is taken as if two more events had no direction.
    """
    length = np.sqrt((cosine * cosine + sine * sine).astype(np.float64)) / UNIT
    mean = np.minimum(length / (count + 2), 0.999)
    kappa = mean * (2.0 - mean * mean) / (1.0 - mean * mean)
    x, y = direction(at)
    towards = (cosine * x + sine * y) / np.maximum(length * (UNIT * UNIT), 1.0)
    fits: Floats = np.where(count > 0, kappa * towards, 0.0)
    return fits


def _peaks(group: Group, sight: _Sight, columns: Floats2d) -> None:
    """The largest of a field in each window; a minimum is the largest negative."""
    found: dict[int, Ints] = {}
    for row, field, window, negated, nothing in group.plan.peaks:
        if window not in found:
            found[window] = _largest(sight, sight.cut(group.plan.windows[window]))
        largest = found[window][field]
        columns[row] = np.where(largest == ABSENT, nothing, -largest if negated else largest)


def _largest(sight: _Sight, cut: Ints) -> Ints:
    """(peaks, e) the largest of each peak field since `cut`, ABSENT where there is none."""
    start, outside = sight.start(cut), sight.outside(cut)
    bounds = np.stack((start, sight.stop), axis=1).ravel()
    far = np.where(start < sight.stop, np.maximum.reduceat(sight.peaks, bounds, axis=1)[:, ::2], ABSENT)
    near = sight.near_peaks
    if len(outside):
        inside = sight.near.peaks.copy()
        inside[:, outside] = ABSENT
        near = _merge(np.maximum, sight.pairs, inside)
    return np.maximum(far, near)


def _recent(group: Group, sight: _Sight, columns: Floats2d) -> None:
    """The amount against those of the newest events that are kept one by one."""
    told: dict[object, tuple[Floats, Floats]] = {}
    for row, one, place, window, in_spreads in group.plan.usual:
        key = one, place, window
        if key not in told:
            kept = _kept(group.keep, sight, sight.cut(window), one, place)
            told[key] = recent.against_usual(sight.events.place, kept)
        away, spread = told[key]
        unit = np.maximum(spread * recent.NORMAL, recent.LEAST_SPREAD) if in_spreads else float(STEPS)
        columns[row] = away / unit


def _kept(keep: int, sight: _Sight, cut: Ints, one: int, place: int) -> Floats2d:
    """(e, k) the places of the events kept one by one since `cut` that count, without the event itself; else inf."""
    assert sight.far is not None
    assert sight.floor is not None
    events, since = sight.far, np.maximum(cut, sight.floor + 1)
    nth = events.stop[:, None] - np.arange(1, keep + 1)
    there = nth >= np.maximum(events.key.searchsorted(keyed(sight.view, since)), events.first)[:, None]
    where = events.where.take(nth * there) if len(events.where) else np.zeros_like(nth)
    counts = sight.totals[one].take(where + there) - sight.totals[one].take(where)
    places = sight.totals[place].take(where + there) - sight.totals[place].take(where)
    far = np.where(there & (counts == 1), places, np.inf)
    if sight.pairs.alone:
        return far
    near, pairs = sight.near, sight.pairs
    earlier = ((near.at >= since[near.owner]) & (near.sums[one] == 1) & (pairs.seen != pairs.of)).nonzero()[0]
    beside = np.full((len(cut), int(np.diff(np.append(pairs.start, len(near.at))).max())), np.inf)
    beside[near.owner[earlier], earlier - pairs.start[near.owner[earlier]]] = near.sums[place][earlier]
    return np.concatenate((far, beside), axis=1)


def _times(group: Group, sight: _Sight, columns: Floats2d) -> None:
    """Seconds since the newest seen before (-1: never) and since the oldest that the longest window holds; the span."""
    for row, field, window, last in group.plan.since:
        columns[row] = _days_since(sight, field, window, last)
    if not group.plan.times:
        return
    at, before = sight.events.rows.at, sight.events.before
    cut = sight.cut(group.horizon)
    known = (before >= cut) & (before >= 0)
    start = sight.start(cut)
    far = np.where(start < sight.stop, sight.key[start] & VALUE_MASK, NO_TIME)
    near = sight.near.at.copy()
    near[sight.outside(cut)] = NO_TIME
    oldest = np.minimum(far, _merge(np.minimum, sight.pairs, near))
    for row, label in group.plan.times:
        if label == "since_last_s":
            columns[row] = np.where(known, np.maximum(at - before, 0) / 1000, -1.0)
        else:
            newest = at if label == "since_first_s" else np.maximum(at, before)
            columns[row] = np.where(oldest == NO_TIME, 0.0, np.maximum(newest - oldest, 0) / 1000)


def _days_since(sight: _Sight, field: int, window: Window, last: bool) -> Floats:
    """Days from the start of the last (first) tile of the window whose field adds up to more than 0; -1: none."""
    end = sight.events.end
    cut = window.cut(end)
    start = sight.start(cut)
    counts = np.maximum(sight.stop - start, 0)
    where = ranges(start, counts)
    told = sight.totals[field, where + 1] - sight.totals[field, where]
    near = sight.near
    inside = near.at >= cut[near.owner]
    owner = np.concatenate((np.repeat(np.arange(len(end)), counts)[told != 0], near.owner[inside]))
    at = np.concatenate((sight.key[where[told != 0]] & VALUE_MASK, near.at[inside]))
    value = np.concatenate((told[told != 0], near.sums[field][inside]))
    tiles = keyed(owner, at // window.tile_ms)
    order = np.argsort(tiles, kind="stable")
    first = np.flatnonzero(heads(tiles[order]))
    found = np.full(len(end), -1)
    if len(first):
        bad = np.add.reduceat(value[order], first) > 0
        tile = tiles[order][first][bad]
        who, tick = tile >> VALUE_BITS, tile & VALUE_MASK
        if not last:
            who, tick = who[::-1], tick[::-1]
        found[who] = tick
    return np.where(found < 0, -1.0, np.maximum(end - found * window.tile_ms, 0) / DAY_MS)
