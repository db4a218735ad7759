"""Payloads: the bytes that a range adds to each bag, with the events of hot entities folded before they are sent.

Most entities have a few events in a range, and each becomes an entry. Where one has more (the only merchant of a shop
has all of them), those of one tile are added up, which no window to come can tell from the events themselves,
and only those counterparties are sent that may ever be asked for. A tile travels as entries that add up to it
(`PART_...` in features/bag.py), so the store still appends entries of one size; where that is no less than its events
are, they are sent as they are, as are the newest of all and those that a group keeps one by one. What is sent depends
on the events alone.
The price: some 20 ns an event of a hot entity, instead of up to 80 KB appended and read again by the next range.
"""

from __future__ import annotations

from itertools import pairwise

from features.entry import ENTRY_BYTES, Own, mark_of
from features.fields import CIRCLES, measures
from features.group import Group
from features.packed import kernel


def payloads(group: Group, own: Own, owners: int, since: int = 0) -> list[bytes]:
    """The entries of each of `owners` entities, those of the range's events from place `since` on; b"" for none."""
    first, mark = own.since(since), mark_of(group)
    words, ends, busiest = kernel().pack_events(own.table, own.others, first, owners, mark)
    if busiest > kernel().FEW:
        plan = group.plan
        words, ends = kernel().pack_hot_events(
            (own.table, own.others, measures(plan.measures, own.at, own.amount, own.flags)),
            first,
            owners,
            mark,
            (plan.fields, plan.summed, plan.counted, plan.ladder, CIRCLES),
            group.numbers,
            group.exact,
            group.forever,
        )
    blob = words.tobytes()
    return [blob[a * ENTRY_BYTES : b * ENTRY_BYTES] for a, b in pairwise(ends.tolist())]
