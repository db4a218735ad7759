"""The fold: bags and a range's events in, one row of aggregates per event out. One code for live and for history.

Rows (entries and tiles alike) are sorted once by entity and time and summed up; a window of an event is then the
total of its entity minus the sum before the window's start, found by binary search. Peaks are taken over the
contiguous slice. The entity's other events of the same range come as pairs (features/seen.py). All sums are int64;
floats appear only in the last step, each by a fixed sequence of IEEE operations, so that the bytes repeat on any CPU.
Groups that are read alike are folded in one pass while they are small (features/kin.py).

The price: 1.2 to 1.7 us an event of the reference job, 3 to 7 with five windows and three counterparties to count, and
1 ms a pass however short the range; see docs/performance.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from features import distinct, seen
from features.bag import Numbers, Rows, lift
from features.entry import Own, side_by_side
from features.group import ABSENT, Aggregate, Group
from features.kin import Kin, alike, alone
from features.logscale import STEPS
from features.segments import VALUE_MASK, keyed, run_ends

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Floats2d = npt.NDArray[np.float64]

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
        for places in _portions(kin, [sum(len(bag or b"") for bag in lots[place].bags) for place in kin]):
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
        yield (own if lot.group is kin.like else own[_rows_of(lot.group, kin.like)]).T


def _rows_of(group: Group, like: Group) -> Ints:
    """The places of the group's columns among those of the one that stands for it: it may count fewer others."""
    missing = (len(like.others) - len(group.others)) * len(like.counted)
    last = len(like.columns) - like.times
    places = np.arange(len(like.columns))
    return np.delete(places, slice(last - missing, last))


def fold(group: Group, bags: Sequence[bytes | None], limit: Numbers, own: Own) -> Floats2d:
    """(n, len(group.columns)) float64, row i for event i of `own`.

    `bags` (u,) are those of the range's entities, `limit` (u,) the number of each one's shard: entries stamped with it
    or above are ignored. The k-th event of an entity sees the bag, the k - 1 before it and itself. An event without an
    entity gets zeros. Amounts are in minor units, spread in doublings (powers of two); `since_last` is -1 where the
    entity was not seen within the longest window; `span` goes from the oldest that it holds to the
    newest that is known, the event among them, so its last value does not depend on the order of arrival; an extra
    measure is -1 where a minimum or maximum has nothing.
    """
    return _fold(alone(group, len(bags)), bags, limit, own).T


def _fold(kin: Kin, bags: Sequence[bytes | None], limit: Numbers, own: Own) -> Floats2d:
    """(columns, n), those of the group that stands for all."""
    group = kin.like
    out = np.zeros((len(group.columns), len(own.owner)))
    past = lift(kin, bags, limit)
    events = seen.events_of(group, own, past.newest)
    if len(events.order):
        views = seen.views_of(events, len(bags))
        pairs = seen.pairs_of(events)
        sight = _sight(seen.rows_seen(past.rows, events, views), events, views, pairs)
        columns = [*_windows(group, sight)]
        if group.counted:
            items = seen.items_seen(past.items, events, views)
            columns += distinct.count(kin, items, events, views, pairs)
        if group.recency:
            columns += _recency(group, sight)
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

    def start(self, cut: Ints) -> Ints:
        """(e,) where each event's rows at or after `cut` begin."""
        return self.key.searchsorted(keyed(self.view, cut))

    def outside(self, cut: Ints) -> Ints:
        """Which pairs are not in the windows that start at `cut`: few, since the events of a range are near in time."""
        return (self.near.at < cut[self.near.owner]).nonzero()[0]


def _sight(rows: Rows, events: seen.Events, views: seen.Views, pairs: seen.Pairs) -> _Sight:
    key = keyed(rows.owner, rows.at)
    order = key.argsort(kind="stable")  # a merge sort: bags are mostly in order already
    totals = np.zeros((len(rows.sums), len(order) + 1), np.int64)
    np.cumsum(rows.sums.take(order, axis=1), axis=1, out=totals[:, 1:])
    peaks = np.full((len(rows.peaks), len(order) + 1), ABSENT)
    peaks[:, :-1] = rows.peaks.take(order, axis=1)
    near = seen.rows_near(events, pairs)
    stop = run_ends(rows.owner, len(views.owner))[views.of]
    ends = totals.take(stop, axis=1) + _merge(np.add, pairs, near.sums)
    ordered = np.full(len(order) + 1, ENDLESS)
    ordered[:-1] = key[order]
    near_peaks = _merge(np.maximum, pairs, near.peaks)
    return _Sight(events, pairs, views.of, stop, ordered, totals, ends, peaks, near, near_peaks)


def _merge(rule: np.ufunc, pairs: seen.Pairs, near: Ints) -> Ints:
    """(..., p) -> (..., e): what each event sees of its own block, merged."""
    return near if pairs.alone else rule.reduceat(near, pairs.start, axis=-1)


def _windows(group: Group, sight: _Sight) -> Iterator[Floats]:
    for window in group.windows:
        cut = window.cut(sight.events.end)
        start, outside = sight.start(cut), sight.outside(cut)
        sums = sight.ends - sight.totals.take(start, axis=1)
        if len(outside):
            for row, near in zip(sums, sight.near.sums, strict=True):
                np.subtract.at(row, sight.near.owner[outside], near[outside])
        peaks = _peaks(sight, start, outside) if {"max", "extra"} & set(group.of(window)) else sight.peaks
        for aggregate in group.of(window):
            yield _aggregate(group, aggregate, sums, peaks)


def _peaks(sight: _Sight, start: Ints, outside: Ints) -> Ints:
    """(peaks, e) the largest of each peak field in the window, ABSENT where there is none."""
    if not len(sight.peaks):
        return sight.peaks
    bounds = np.stack((start, sight.stop), axis=1).ravel()
    far = np.where(start < sight.stop, np.maximum.reduceat(sight.peaks, bounds, axis=1)[:, ::2], ABSENT)
    near = sight.near_peaks
    if len(outside):
        inside = sight.near.peaks.copy()
        inside[:, outside] = ABSENT
        near = _merge(np.maximum, sight.pairs, inside)
    return np.maximum(far, near)


def _aggregate(group: Group, aggregate: Aggregate, sums: Ints, peaks: Ints) -> Floats:
    values: Floats
    if aggregate == "count":
        values = sums[0].astype(np.float64)
    elif aggregate == "sum":
        values = sums[1].astype(np.float64)
    elif aggregate == "mean":
        values = sums[1] / np.maximum(sums[0], 1)
    elif aggregate == "max":
        values = np.where(peaks[0] == ABSENT, 0, peaks[0]).astype(np.float64)
    elif aggregate == "spread":
        values = _spread(sums)
    else:
        values = _extra(group, sums, peaks)
    return values


def _spread(sums: Ints) -> Floats:
    """Standard deviation of the places on the log scale, in doublings."""
    some = np.maximum(sums[0], 1)
    mean = sums[2] / some
    spread: Floats = np.sqrt(np.maximum(sums[3] / some - mean * mean, 0.0)) / STEPS
    return spread


def _extra(group: Group, sums: Ints, peaks: Ints) -> Floats:
    merge = group.extra.merge if group.extra is not None else "sum"
    if merge == "sum":
        values: Floats = sums[-1].astype(np.float64)
    else:
        values = np.where(peaks[-1] == ABSENT, -1, -peaks[-1] if merge == "min" else peaks[-1]).astype(np.float64)
    return values


def _recency(group: Group, sight: _Sight) -> list[Floats]:
    """Seconds since the newest seen before (-1: never) and since the oldest that the longest window holds; the span."""
    at, before = sight.events.rows.at, sight.events.before
    cut = group.horizon.cut(sight.events.end)
    known = (before >= cut) & (before >= 0)
    last = np.where(known, np.maximum(at - before, 0) / 1000, -1.0)
    start = sight.start(cut)
    far = np.where(start < sight.stop, sight.key[start] & VALUE_MASK, NO_TIME)
    near = sight.near.at.copy()
    near[sight.outside(cut)] = NO_TIME
    oldest = np.minimum(far, _merge(np.minimum, sight.pairs, near))
    first = np.where(oldest == NO_TIME, 0.0, np.maximum(at - oldest, 0) / 1000)
    if not group.span:
        return [last, first]
    newest = np.maximum(at, before)
    return [last, first, np.where(oldest == NO_TIME, 0.0, (newest - oldest) / 1000)]
