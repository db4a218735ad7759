"""Distinct counterparties: how many other ids an entity was seen with in a window, exact for few, estimated for many.

Only the last time a counterparty was seen matters: it counts for a window iff that is after the window's start. Up to
K (`group.exact`) of them are counted. Beyond it the answer is the estimate of the K + 1 minimum values,
K * 2^30 / h, where h is the (K+1)-th smallest hash in the window (Bar-Yossef et al., 2002): off by about
1 / sqrt(K - 1), 18 % for K = 32. It reads the K + 1 smallest hashes only, so everything that can never again be among
them may be forgotten (features/skyband.py), and the answer stays a function of the events alone.

The price: one more sort of the bag's counterparties, and for busy entities a selection per distinct window start.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from features.bag import Items
from features.columns import HASH_BITS, HASH_MASK, Floats2d
from features.kin import Kin
from features.seen import Events, Pairs, Views
from features.segments import VALUE_BITS, VALUE_MASK, heads, keyed, last_by_key, ranges, run_ends, running_max

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

NEVER = -1


class Known(NamedTuple):
    """The views' counterparties, each once with the time it was last seen, ordered by bin and hash.

    A bin is one slot of one view.
    """

    key: Ints  # bin << 30 | hash
    last: Ints
    start: Ints  # (bins + 1,) where each bin begins
    by_time: Ints  # keyed(bin, last), sorted

    def since(self, bins: Ints, cut: Ints) -> Ints:
        """How many of each bin were last seen at or after the cut."""
        return self.start[bins + 1] - self.by_time.searchsorted(keyed(bins, cut))


class Near(NamedTuple):
    """What a block's own events change, for one slot: who looks, and the latest mention of each other it sees."""

    of: Ints  # place in Events of who looks
    hash: Ints
    last: Ints  # when the counterparty was last seen, the bag included
    past: Ints  # the same without the block's events, NEVER if it is not in the bag
    before: Ints  # (e,) when each event's own counterparty was last seen before it, NEVER if it was not

    def added(self, cut: Ints) -> npt.NDArray[np.bool_]:
        """Which pairs add a counterparty to the window that starts at `cut` (e,)."""
        start = cut[self.of]
        return (self.last >= start) & (self.past < start)


def fill(kin: Kin, items: Items, events: Events, views: Views, pairs: Pairs, columns: Floats2d) -> None:
    """The columns of counterparties: how many there are in a window, and whether the event's own is new to it."""
    group, slots = kin.like, len(kin.like.others)
    exact = kin.each([group.exact for group in kin.groups])[events.owner]
    cuts = {window: window.cut(events.end) for window in group.counted}
    since = int(min(cut.min() for cut in cuts.values()))
    known = _known(items, slots, len(views.owner), group.ladder[0], since)
    near = {slot: _near(known, views.of * slots + slot, events, pairs, slot) for slot in range(slots)}
    for row, slot, window in group.plan.distinct:
        columns[row] = _count(exact, known, views.of * slots + slot, near[slot], cuts[window])
    for row, slot, window in group.plan.new:
        columns[row] = _new(exact, known, views.of * slots + slot, events.others[slot], near[slot], cuts[window])


def _known(items: Items, slots: int, views: int, tile_ms: int, since: int) -> Known:
    """What was seen at `since` or later, by the start of its tile: no window can tell, and fewer bits sort faster."""
    key = (items.owner * slots + items.slot) << HASH_BITS | items.hash
    recent = items.at >= since
    key, last = last_by_key(key[recent], (items.at[recent] - since) // tile_ms)
    last = last * tile_ms + since
    bins = key >> HASH_BITS
    start = np.zeros(views * slots + 1, np.int64)
    start[1:] = run_ends(bins, views * slots)
    by_time = keyed(bins, last)
    by_time.sort()
    return Known(key, last, start, by_time)


def _near(known: Known, bins: Ints, events: Events, pairs: Pairs, slot: int) -> Near:
    hashes, at = events.others[slot], events.rows.at
    key = bins << HASH_BITS | hashes
    past = _last_seen(known, key)
    if pairs.alone:
        of = hashes.nonzero()[0]
        return Near(of, hashes[of], np.maximum(at, past)[of], past[of], past)
    last, following, before = _mentions(key, np.maximum(at, past))
    of, which = pairs.of, pairs.seen
    live = (hashes[which] != 0) & (following[which] > of)
    of, which = of[live], which[live]
    return Near(of, hashes[which], last[which], past[which], np.maximum(before, past))


def _last_seen(known: Known, key: Ints) -> Ints:
    if not len(known.key):
        return np.full(len(key), NEVER)
    where = np.minimum(known.key.searchsorted(key), len(known.key) - 1)
    return np.where(known.key[where] == key, known.last[where], NEVER)


def _mentions(key: Ints, at: Ints) -> tuple[Ints, Ints, Ints]:
    """Of each mention of a counterparty: when it was last seen up to here, the place of its next mention, and when it
    was seen before, NEVER where this is the first.
    """
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    run = np.cumsum(heads(ordered)) - 1
    last = np.empty_like(at)
    last[order] = running_max(run, at[order])
    following = np.full(len(key), len(key))
    same = ordered[1:] == ordered[:-1]
    following[order[:-1][same]] = order[1:][same]
    before = np.full(len(key), NEVER)
    before[order[1:][same]] = last[order[:-1][same]]
    return last, following, before


def _new(exact: Ints, known: Known, bins: Ints, hashes: Ints, near: Near, cut: Ints) -> Floats:
    """1.0 where the event's own counterparty was not seen since the cut, and it would be known if it had been.

    It would where fewer than `exact` others of the window have a smaller hash: those are never forgotten.
    """
    fresh = (hashes != 0) & (near.before < cut)
    asked = np.flatnonzero(fresh & (known.start[bins + 1] - known.start[bins] + _block(near, len(bins)) > exact))
    if len(asked):
        smaller = _smaller(known, bins[asked], hashes[asked], cut[asked])
        added = near.added(cut) & (near.hash < hashes[near.of])
        smaller += np.bincount(near.of[added], minlength=len(bins))[asked]
        fresh[asked] = smaller < exact[asked]
    answer: Floats = fresh.astype(np.float64)
    return answer


def _block(near: Near, events: int) -> Ints:
    return np.bincount(near.of, minlength=events)


def _smaller(known: Known, bins: Ints, hashes: Ints, cut: Ints) -> Ints:
    """How many of each bin have a smaller hash and were seen since the cut."""
    start = known.start[bins]
    sizes = np.searchsorted(known.key, bins << HASH_BITS | hashes) - start
    owner = np.repeat(np.arange(len(bins)), sizes)
    inside = known.last[ranges(start, sizes)] >= cut[owner]
    return np.bincount(owner[inside], minlength=len(bins))


def _count(exact: Ints, known: Known, bins: Ints, near: Near, cut: Ints) -> Floats:
    added = near.added(cut)
    counts = known.since(bins, cut) + np.bincount(near.of[added], minlength=len(bins))
    many = (counts > exact).nonzero()[0]
    answer = counts.astype(np.float64)
    if len(many):
        k = exact[many]
        smallest = _nth_smallest(k, known, bins[many], cut[many], _only(near, added, many))
        answer[many] = np.maximum(np.rint(k * float(1 << HASH_BITS) / smallest), k + 1)
    return answer


def _only(near: Near, added: npt.NDArray[np.bool_], many: Ints) -> tuple[Ints, Ints]:
    """The added hashes of the events in `many`, with each one's place in `many`."""
    place = np.full(int(many.max()) + 1, -1)
    place[many] = np.arange(len(many))
    of, hashes = near.of[added], near.hash[added]
    kept = of < len(place)
    of, hashes = place[of[kept]], hashes[kept]
    return of[of >= 0], hashes[of >= 0]


def _nth_smallest(n: Ints, known: Known, bins: Ints, cut: Ints, extra: tuple[Ints, Ints]) -> Ints:
    """(k,) the n-th smallest hash (from 0) among a bin's since the cut and the extra ones; there are more than n.

    Events of one entity mostly share their window's start, so the bag is gone through once per (bin, cut); what the
    block adds changes the answer only where it is smaller.
    """
    pair, first, group = np.unique(keyed(bins, cut), return_index=True, return_inverse=True)
    hashes, start, counts = _smallest_since(n[first] + 1, known, pair)
    answer = np.full(len(bins), HASH_MASK + 1)
    enough = counts[group] > n
    answer[enough] = hashes[start[group[enough]] + n[enough]]
    of, added = extra
    smaller = added < answer[of]
    if smaller.any():
        merged = np.flatnonzero(np.bincount(of[smaller], minlength=len(bins)))
        far = ranges(start[group[merged]], counts[group[merged]])
        owner = np.concatenate((np.repeat(merged, counts[group[merged]]), of[smaller]))
        key = np.sort(owner << HASH_BITS | np.concatenate((hashes[far], added[smaller])))
        answer[merged] = key[np.searchsorted(key, merged << HASH_BITS) + n[merged]] & HASH_MASK
    return answer


def _smallest_since(n: Ints, known: Known, pair: Ints) -> tuple[Ints, Ints, Ints]:
    """Of each (bin, cut): its up to n smallest hashes since the cut, as one flat array with starts and counts."""
    bins, cut = pair >> VALUE_BITS, pair & VALUE_MASK
    sizes = known.start[bins + 1] - known.start[bins]
    which = ranges(known.start[bins], sizes)
    owner = np.repeat(np.arange(len(pair)), sizes)
    inside = known.last[which] >= cut[owner]
    which, owner = which[inside], owner[inside]
    counts = np.bincount(owner, minlength=len(pair))
    start = np.cumsum(counts) - counts
    kept = np.arange(len(owner)) - start[owner] < n[owner]
    counts = np.minimum(counts, n)
    return known.key[which[kept]] & HASH_MASK, np.cumsum(counts) - counts, counts
