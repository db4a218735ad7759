"""Seen: what each event of a range may look at, without a loop over entities and without squares of a hot one.

An event sees its entity's bag and the entity's earlier events of the range. For most entities that is one event and its
bag. The events of a busy one are cut into blocks of 64: a block has a *view* of its own, the bag and all blocks before
it, sorted once; inside the block each event is paired with those before it and with itself. The price: a bag is copied
once per block, and at most 32 pairs an event are made on average, also where all 2,000 events are of one entity.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from features.bag import Items, Rows, join_items, join_rows, measures
from features.entry import Own
from features.group import Group
from features.segments import heads, ranges, running_max

Ints = npt.NDArray[np.int64]

BLOCK = 64


class Events(NamedTuple):
    """The range's events that have an entity, by entity and then in offset order, (e,) each."""

    order: Ints  # the place in the range
    owner: Ints
    rank: Ints  # among the entity's events
    rows: Rows  # of the events themselves
    place: Ints  # of the amounts on the log scale
    others: Ints  # (slots, e)
    before: Ints  # newest time seen before each, -1 where none
    end: Ints  # of each one's windows


class Pairs(NamedTuple):
    """Each event with those of its block up to itself: `of` (p,) sees `seen` (p,); `start` (e,) of each one."""

    of: Ints
    seen: Ints
    start: Ints
    alone: bool  # every event sees only itself


class Views(NamedTuple):
    """`of` (e,) is each event's view, `owner` (v,) a view's entity, whose first `earlier` (v,) events belong to it."""

    of: Ints
    owner: Ints
    earlier: Ints
    first: Ints  # (v,) place in Events of the entity's first event
    whole: bool  # views are entities: nothing has to be copied


def events_of(group: Group, own: Own, newest: Ints) -> Events:
    """Sorts the events by entity and finds the end of each one's windows; `newest` (u,) is that of the bags."""
    order = own.owner.argsort(kind="stable")
    order = order[own.owner.searchsorted(0, sorter=order) :]
    owner, at = own.owner[order], own.at[order]
    head = heads(owner)
    start = head.nonzero()[0]
    run = head.cumsum() - 1
    place = own.place[order]
    sums, peaks = measures(group, at, own.amount[order], own.flags[order], place)
    before = _newest_before(run, start, at, newest[owner])
    end = np.maximum(at, before - group.grace_ms)
    rank = np.arange(len(order)) - start[run]
    return Events(order, owner, rank, Rows(owner, at, sums, peaks), place, own.others[:, order], before, end)


def _newest_before(run: Ints, start: Ints, at: Ints, newest: Ints) -> Ints:
    """(e,) the newest time in the bag or among the entity's earlier events; -1 where there is none."""
    if len(start) == len(at):
        return newest
    earlier = np.empty_like(at)
    earlier[1:] = at[:-1] + 1
    earlier[start] = 0
    return np.maximum(running_max(run, earlier) - 1, newest)


def views_of(events: Events, owners: int) -> Views:
    block = events.rank // BLOCK
    if not block.any():
        return Views(
            events.owner, np.arange(owners), np.zeros(owners, np.int64), np.zeros(owners, np.int64), whole=True
        )
    head = heads(events.owner) | heads(block)
    first = np.flatnonzero(head)
    of = np.cumsum(head) - 1
    return Views(of, events.owner[first], events.rank[first], first - events.rank[first], whole=False)


def pairs_of(events: Events) -> Pairs:
    places = np.arange(len(events.order))
    back = events.rank % BLOCK
    if not back.any():
        return Pairs(places, places, places, alone=True)
    counts = back + 1
    return Pairs(np.repeat(places, counts), ranges(places - back, counts), np.cumsum(counts) - counts, alone=False)


def rows_near(events: Events, pairs: Pairs) -> Rows:
    """(p,) what each pair sees; `owner` becomes the place of the event that sees it."""
    mine, which = events.rows, pairs.seen
    if pairs.alone:
        return Rows(pairs.of, mine.at, mine.sums, mine.peaks)
    return Rows(pairs.of, mine.at[which], mine.sums.take(which, axis=1), mine.peaks.take(which, axis=1))


def rows_seen(rows: Rows, events: Events, views: Views) -> Rows:
    """The rows of each view; `owner` becomes the view."""
    if views.whole:
        return rows
    which, view = _spread(rows.owner, views)
    past = Rows(view, rows.at[which], rows.sums.take(which, axis=1), rows.peaks.take(which, axis=1))
    which, view = _earlier(views)
    mine = events.rows
    return join_rows(past, Rows(view, mine.at[which], mine.sums.take(which, axis=1), mine.peaks.take(which, axis=1)))


def items_seen(items: Items, events: Events, views: Views) -> Items:
    """The counterparties of each view; `owner` becomes the view."""
    if views.whole:
        return items
    which, view = _spread(items.owner, views)
    past = Items(view, items.slot[which], items.hash[which], items.at[which])
    which, view = _earlier(views)
    mine = [Items(view, np.full(len(which), s), h[which], events.rows.at[which]) for s, h in enumerate(events.others)]
    joined = join_items(past, *mine)
    real = joined.hash != 0
    return joined if real.all() else Items(joined.owner[real], joined.slot[real], joined.hash[real], joined.at[real])


def _spread(owner: Ints, views: Views) -> tuple[Ints, Ints]:
    """Which rows each view takes from its entity's bag, and the view of each."""
    order = np.argsort(owner, kind="stable")
    counts = np.bincount(owner, minlength=int(views.owner.max()) + 1)
    start = np.cumsum(counts) - counts
    taken = counts[views.owner]
    return order[ranges(start[views.owner], taken)], np.repeat(np.arange(len(views.owner)), taken)


def _earlier(views: Views) -> tuple[Ints, Ints]:
    """Which events each view takes from the blocks before its own, and the view of each."""
    return ranges(views.first, views.earlier), np.repeat(np.arange(len(views.owner)), views.earlier)
