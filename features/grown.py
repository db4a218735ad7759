"""Grown: what the store and its workers do to a bag, where there are none: entries are appended, old ones folded.

The price: 2 us a bag to see whether its entries lie in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from features.bag import stamps_of
from features.compact import ALL, compact, over_cap
from features.entry import ENTRY_BYTES
from features.group import Group

STAMPED_BYTES: Final = 8 + ENTRY_BYTES


def ordered(group: Group, bag: bytes) -> bytes:
    """A bag with its entries by their stamps: the store's are, and compaction takes the first of them."""
    stamps = stamps_of(group, bag)
    if (stamps[1:] >= stamps[:-1]).all():
        return bag
    start = len(bag) - STAMPED_BYTES * len(stamps)
    entries = np.frombuffer(bag, np.uint8, offset=start).reshape(-1, STAMPED_BYTES)
    return bag[:start] + entries[np.argsort(stamps, kind="stable")].tobytes()


def grown(group: Group, bags: Sequence[bytes | None], added: Sequence[bytes]) -> list[bytes]:
    """Each bag with its new entries, which are stamped; one that is over the group's cap is folded whole.

    For bags that nobody asks for as they were before.
    """
    whole = [ordered(group, (bag or b"") + entries) for bag, entries in zip(bags, added, strict=True)]
    full = over_cap(group, whole).tolist()
    if full:
        made = compact(group, [whole[place] for place in full], np.full(len(full), ALL, np.uint64))
        for place, each in zip(full, made, strict=True):
            if each is not None:
                whole[place] = each.replacement + whole[place][len(each.prefix) :]
    return whole
