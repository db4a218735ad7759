"""Entries of events: what a range adds to the bags of a group, entity by entity."""

from __future__ import annotations

import numpy as np

from features.kernel.compiled import INTS, INTS2D, Ints, Ints2d, compiled
from features.kernel.hot import WORDS, Room, Tables, fold_events, sort_by_time, write_event
from features.kernel.rows import Others, Rows

FEW = 4  # events of one entity: folding more is tried


@compiled
def in_order(owners: Ints, since: int, bags: int) -> tuple[Ints, Ints]:
    """The events from place `since` on by owner, then in offset order, and where those of each owner end (owners + 1,).

    An event without an owner is in none.
    """
    ends = np.zeros(bags + 1, np.int64)
    for nth in range(since, len(owners)):
        ends[owners[nth] + 1] += 1
    ends[0] = 0
    for bag in range(bags):
        ends[bag + 1] += ends[bag]
    order, place = np.empty(ends[bags], np.int64), ends[:-1].copy()
    for nth in range(since, len(owners)):
        if owners[nth] >= 0:
            order[place[owners[nth]]] = nth
            place[owners[nth]] += 1
    return order, ends


def _pack_events(
    own: tuple[Ints2d, Ints2d, Ints2d],
    since: int,
    bags: int,
    tables: tuple[Ints2d, Ints2d, Ints2d, Ints, Ints2d],
    numbers: tuple[int, int, int, int, int, int],
    exact: int,
    forever: int,
    mark: int,
) -> tuple[Ints, Ints]:
    """The entries of `bags` entities as words (features/entry.py), and where those of each end (bags + 1,), in entries.

    `own`: the events from place `since` on count, (5, n); their counterparties; the group's own measures of them.
    `tables`: those of `hot.Tables`. The others are as in `_compact_bags`.
    """
    events, others, given = own
    of = Tables(tables[0], tables[1], tables[2], tables[3], tables[4])
    order, ends = in_order(events[0], since, bags)
    busiest = 0
    for bag in range(bags):
        busiest = max(busiest, ends[bag + 1] - ends[bag])
    size, slots = (busiest if busiest > FEW else 0), len(others)
    rows = Rows(np.empty(2, np.int64), np.empty(2, np.int64), np.empty((2, len(of.fields)), np.int64), numbers[0])
    named = Others(np.empty((slots, size), np.int64), np.empty((slots, size), np.int64), np.zeros(slots, np.int64))
    names, ticks, latest = np.empty(slots * size, np.int64), np.empty(size, np.int64), np.empty(exact + 1, np.int64)
    room = Room(rows, named, names, ticks, latest, np.empty(len(of.ladder), np.int64))
    words, found = np.empty(len(order) * WORDS, np.int64), np.zeros(bags + 1, np.int64)
    for bag in range(bags):
        first, last, entry = ends[bag], ends[bag + 1], found[bag]
        some = last - first
        if some > FEW:
            by_time = order[first:last].copy()
            sort_by_time(by_time, events[1])
            out = words[entry * WORDS : (entry + some) * WORDS]
            some = fold_events(by_time, events, others, given, of, numbers, exact, forever, mark, room, out)
        if last - first <= FEW or some >= last - first:
            some = last - first
            for nth in range(some):
                write_event(words, entry + nth, events, others, order[first + nth], mark)
        found[bag + 1] = entry + some
    return words[: found[bags] * WORDS].copy(), found


pack_events = compiled(
    _pack_events,
    f"Tuple((int64[::1], int64[::1]))(Tuple(({INTS2D}, {INTS2D}, {INTS2D})), int64, int64,"
    f"Tuple(({INTS2D}, {INTS2D}, {INTS2D}, {INTS}, {INTS2D})), UniTuple(int64, 6), int64, int64, int64)",
)
