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


@compiled
def _pack(words: Ints, entry: int, events: Ints2d, others: Ints2d, order: Ints, mark: int) -> None:
    """Writes events as entries, the first of them at place `entry`."""
    for nth in range(len(order)):
        write_event(words, entry + nth, events, others, order[nth], mark)


def _pack_events(events: Ints2d, others: Ints2d, since: int, bags: int, mark: int) -> tuple[Ints, Ints, int]:
    """The entries of `bags` entities as words (features/entry.py), where those of each end (bags + 1,), in entries, and
    how many the busiest has.

    `events`: those from place `since` on count, (5, n); `others`: their counterparties.
    """
    order, ends = in_order(events[0], since, bags)
    words = np.empty(len(order) * WORDS, np.int64)
    _pack(words, 0, events, others, order, mark)
    busiest = 0
    for bag in range(bags):
        busiest = max(busiest, ends[bag + 1] - ends[bag])
    return words, ends, busiest


def _pack_hot_events(
    own: tuple[Ints2d, Ints2d, Ints2d],
    since: int,
    bags: int,
    mark: int,
    tables: tuple[Ints2d, Ints2d, Ints2d, Ints, Ints2d],
    numbers: tuple[int, int, int, int, int, int],
    exact: int,
    forever: int,
) -> tuple[Ints, Ints]:
    """The same where some entity has many events: those are folded, if that is shorter.

    `own`: events, counterparties and the group's own measures of them. `tables`: those of `hot.Tables`. The others are
    as in `_compact_bags`.
    """
    events, others, given = own
    of = Tables(tables[0], tables[1], tables[2], tables[3], tables[4])
    order, ends = in_order(events[0], since, bags)
    size, slots = 0, len(others)
    for bag in range(bags):
        size = max(size, ends[bag + 1] - ends[bag])
    rows = Rows(
        np.empty(2, np.int64),
        np.empty(2, np.int64),
        np.empty((2, len(of.fields)), np.int64),
        numbers[0],
        np.empty((0, 0), np.int64),
    )
    named = Others(np.empty((slots, size), np.int64), np.empty((slots, size), np.int64), np.zeros(slots, np.int64))
    names, ticks, latest = np.empty(slots * size, np.int64), np.empty(size, np.int64), np.empty(exact + 1, np.int64)
    room = Room(rows, named, names, ticks, latest, np.empty(len(of.ladder), np.int64))
    words, found = np.empty(len(order) * WORDS, np.int64), np.zeros(bags + 1, np.int64)
    for bag in range(bags):
        mine, entry = order[ends[bag] : ends[bag + 1]], found[bag]
        some = len(mine)
        if some > FEW:
            by_time = mine.copy()
            sort_by_time(by_time, events[1])
            out = words[entry * WORDS : (entry + some) * WORDS]
            some = fold_events(by_time, events, others, given, of, numbers, exact, forever, mark, room, out)
        if len(mine) <= FEW or some >= len(mine):
            some = len(mine)
            _pack(words, entry, events, others, mine, mark)
        found[bag + 1] = entry + some
    return words[: found[bags] * WORDS].copy(), found


pack_events = compiled(_pack_events, f"Tuple((int64[::1], int64[::1], int64))({INTS2D}, {INTS2D}, int64, int64, int64)")
pack_hot_events = compiled(
    _pack_hot_events,
    f"Tuple((int64[::1], int64[::1]))(Tuple(({INTS2D}, {INTS2D}, {INTS2D})), int64, int64, int64,"
    f"Tuple(({INTS2D}, {INTS2D}, {INTS2D}, {INTS}, {INTS2D})), UniTuple(int64, 6), int64, int64)",
)
