"""Entries of events: what a range adds to the bags of a group, entity by entity."""

from __future__ import annotations

import numpy as np

from features.kernel.compiled import INTS2D, Ints, Ints2d, compiled
from features.kernel.rows import FLAGS_AT, MARK_AT, OTHER_BITS

WORDS = 4  # of an entry, before the store stamps it


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


def _pack_events(events: Ints2d, others: Ints2d, mark: int, since: int, bags: int) -> tuple[Ints, Ints, Ints]:
    """Their entries as words (features/entry.py), the events in that order, and where those of each owner end."""
    order, ends = in_order(events[0], since, bags)
    words = np.zeros(len(order) * WORDS, np.int64)
    for nth in range(len(order)):
        event, word = order[nth], nth * WORDS
        words[word], words[word + 1] = events[1, event], events[2, event]
        words[word + 3] = events[4, event] << OTHER_BITS | events[3, event] << FLAGS_AT | mark << MARK_AT
        for slot in range(len(others)):
            words[word + 2 + slot // 2] |= others[slot, event] << OTHER_BITS * (slot % 2)
    return words, order, ends


pack_events = compiled(
    _pack_events, f"Tuple((int64[::1], int64[::1], int64[::1]))({INTS2D}, {INTS2D}, int64, int64, int64)"
)
