"""The fold: bags and a range's events in, one row of aggregates per event out. One code for live and for history.

What an event sees is told in features/kernel.py, in loops that are compiled; here is what goes in and comes out.

The price: .4 us an event of the reference job; the first fold of an installation waits until the kernel is compiled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import ModuleType

import numpy as np
import numpy.typing as npt

from features.bag import BadBagError, Numbers, lift
from features.columns import Floats2d
from features.entry import Own
from features.fields import CIRCLES, measures
from features.group import Group
from features.kin import alone

Ints = npt.NDArray[np.int64]

SIGN = np.uint64(1 << 63)
NOTHING = np.zeros((0, 0), np.int64)


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
    plan = group.plan
    blobs = [bag or b"" for bag in bags]
    lengths = np.fromiter(map(len, blobs), np.int64, len(blobs))
    if (lengths & 7).any():
        raise _refused(group, bags, limit)
    words, sizes = np.frombuffer(b"".join(blobs), "<i8"), lengths >> 3
    events = np.empty((5, len(own.owner)), np.int64)
    for row, values in zip(events, (own.owner, own.at, own.amount, own.flags, own.place), strict=True):
        row[:] = values
    out = np.zeros((len(group.columns), len(own.owner)))
    unreadable = kernel().fold_bags(
        (words, sizes, (limit ^ SIGN).view(np.int64), np.full(len(blobs), group.exact), group.layout),
        (events, np.ascontiguousarray(own.others)),
        _given(group, words, sizes, own) if plan.measures else (NOTHING, NOTHING),
        (plan.fields, plan.windows, plan.terms, plan.columns, plan.constants),
        group.numbers,
        CIRCLES,
        out,
    )
    if unreadable >= 0:
        raise _refused(group, bags, limit)
    return own.per_event(out).T


@cache
def kernel() -> ModuleType:
    """features/kernel.py: compiled the first time (ten seconds), then half a second, so a worker asks as it starts."""
    return import_module("features.kernel")


def _given(group: Group, words: Ints, sizes: Ints, own: Own) -> tuple[Ints, Ints]:
    """(entries, m) and (n, m): the group's own measures of what is in the bags, and of the events."""
    where = kernel().entries_of(words, sizes, group.tile_words, group.layout)
    fields = group.plan.measures
    past = measures(fields, words[where + 1], words[where + 2], words[where + 4] >> 48 & 0xFF)
    return past, measures(fields, own.at, own.amount, own.flags)


def _refused(group: Group, bags: Sequence[bytes | None], limit: Numbers) -> Exception:
    """Why one of the bags cannot be read."""
    try:
        lift(alone(group, len(bags)), bags, limit)
    except BadBagError as error:
        return error
    raise AssertionError(f"group {group.name!r}: the kernel refuses a bag that is readable")
