"""The fold: bags and a range's events in, one row of aggregates per event out. One code for live and for history.

What an event sees is told in features/kernel, in loops that are compiled; here is what goes in and comes out.

The price: about 1 us an event of the reference job and 15 us a call; the first fold of an installation waits until the
kernel is compiled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from features.bag import Numbers
from features.columns import Floats2d
from features.entry import Own, mark_of
from features.fields import CIRCLES, measures
from features.group import Group
from features.packed import kernel, measured, packed, refused


@dataclass(frozen=True)
class Lot:
    """What a range needs of one group: the bags of its entities, the number of each one's shard, its events."""

    group: Group
    bags: Sequence[bytes | None]
    limit: Numbers
    own: Own


def fold_each(lots: Sequence[Lot]) -> list[Floats2d]:
    """`fold` of each lot."""
    return [fold(lot.group, lot.bags, lot.limit, lot.own) for lot in lots]


def fold(group: Group, bags: Sequence[bytes | None], limit: Numbers, own: Own) -> Floats2d:
    """(n, len(group.columns)) float64, row i for event i of `own`.

    `bags` (u,) are those of the range's entities, `limit` (u,) the number of each one's shard: entries stamped with it
    or above are ignored. The k-th event of an entity sees the bag, the k - 1 before it and itself. An event without an
    entity gets zeros, one with several the largest of theirs. features/feature.py says what each column is. Raises
    BadBagError on a bag that this version cannot read.
    """
    plan, bag_words = group.plan, packed(group, bags, limit)
    out = np.zeros((len(group.columns), len(own.owner)))
    unreadable = kernel().fold_bags(
        (*bag_words, group.exact, mark_of(group)),
        (own.table, own.others),
        (measured(group, bag_words), measures(plan.measures, own.at, own.amount, own.flags)),
        (plan.fields, plan.windows, plan.terms, plan.columns, plan.constants),
        group.numbers,
        CIRCLES,
        out,
    )
    if unreadable >= 0:
        raise refused(group, bags, limit)
    return own.per_event(out).T
