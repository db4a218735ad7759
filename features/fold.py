"""The fold: bags and a range's events in, one row of aggregates per event out. One code for live and for history.

Rows (entries and tiles alike) are sorted once by entity and time and summed up; a window of an event is then the
total of its entity minus the sum before the window's start, found by binary search. Peaks are taken over the
contiguous slice. The entity's other events of the same range come as pairs (features/seen.py). All sums are int64;
floats appear only in the last step, each by a fixed sequence of IEEE operations, so that the bytes repeat on any CPU.

The price: 1.2 to 1.7 us an event of the reference job, 3 to 7 with five windows and three counterparties to count;
see bench/features.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features import distinct, seen
from features.bag import Numbers, Rows, lift
from features.entry import Own
from features.group import ABSENT, Aggregate, Group
from features.logscale import STEPS
from features.segments import VALUE_MASK, keyed, run_ends

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Floats2d = npt.NDArray[np.float64]

ENDLESS = np.iinfo(np.int64).max  # sorts after every key
NO_TIME = VALUE_MASK  # later than every event


def fold(group: Group, bags: Sequence[bytes | None], limit: Numbers, own: Own) -> Floats2d:
    """(n, len(group.columns)) float64, row i for event i of `own`.

    `bags` (u,) are those of the range's entities, `limit` (u,) the number of each one's shard: entries stamped with it
    or above are ignored. The k-th event of an entity sees the bag, the k - 1 before it and itself. An event without an
    entity gets zeros. Amounts are in minor units, spread in doublings (powers of two); `since_last` is -1 where the
    entity was not seen within the longest window; an extra measure is -1 where a minimum or maximum has nothing.
    """
    out = np.zeros((len(group.columns), len(own.owner)))
    past = lift(group, bags, limit)
    events = seen.events_of(group, own, past.newest)
    if len(events.order):
        views = seen.views_of(events, len(bags))
        pairs = seen.pairs_of(events)
        sight = _sight(seen.rows_seen(past.rows, events, views), events, views, pairs)
        columns = [*_windows(group, sight)]
        if group.counted:
            items = seen.items_seen(past.items, events, views)
            columns += distinct.count(group, items, events, views, pairs)
        if group.recency:
            columns += _recency(group, sight)
        out[:, events.order] = columns
    return out.T


@dataclass(frozen=True)
class _Sight:
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
        return np.searchsorted(self.key, keyed(self.view, cut))

    def outside(self, cut: Ints) -> Ints:
        """Which pairs are not in the windows that start at `cut`: few, since the events of a range are near in time."""
        return np.flatnonzero(self.near.at < cut[self.near.owner])


def _sight(rows: Rows, events: seen.Events, views: seen.Views, pairs: seen.Pairs) -> _Sight:
    key = keyed(rows.owner, rows.at)
    order = np.argsort(key, kind="stable")  # a merge sort: bags are mostly in order already
    totals = np.zeros((len(rows.sums), len(order) + 1), np.int64)
    np.cumsum(rows.sums.take(order, axis=1), axis=1, out=totals[:, 1:])
    peaks = np.full((len(rows.peaks), len(order) + 1), ABSENT)
    peaks[:, :-1] = rows.peaks.take(order, axis=1)
    near = seen.rows_near(events, pairs)
    stop = run_ends(rows.owner, len(views.owner))[views.of]
    ends = totals.take(stop, axis=1) + _merge(np.add, pairs, near.sums)
    ordered = np.append(key[order], ENDLESS)
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
    """Seconds since the newest seen before (-1: never) and since the oldest that the longest window holds."""
    at, before = sight.events.rows.at, sight.events.before
    cut = group.horizon.cut(sight.events.end)
    known = (before >= cut) & (before >= 0)
    last = np.where(known, np.maximum(at - before, 0) / 1000, -1.0)
    start = sight.start(cut)
    far = np.where(start < sight.stop, sight.key[start] & VALUE_MASK, NO_TIME)
    near = sight.near.at.copy()
    near[sight.outside(cut)] = NO_TIME
    oldest = np.minimum(far, _merge(np.minimum, sight.pairs, near))
    return [last, np.where(oldest == NO_TIME, 0.0, np.maximum(at - oldest, 0) / 1000)]
