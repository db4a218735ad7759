"""Packed: bags as the kernel takes them, side by side in one array of words."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from features.bag import BadBagError, Numbers, lift
from features.entry import mark_of
from features.fields import measures
from features.group import Group

Ints = npt.NDArray[np.int64]

SIGN = np.uint64(1 << 63)
NOTHING = np.zeros((0, 0), np.int64)


class Packed(NamedTuple):
    """Of several bags of one group."""

    words: Ints
    sizes: Ints  # (u,) in words
    limits: Ints  # (u,) stamps less 2^63


@cache
def kernel() -> ModuleType:
    """features/kernel: compiled the first time (ten seconds), later read in half a second. Workers ask at once."""
    return import_module("features.kernel")


def packed(group: Group, bags: Sequence[bytes | None], limit: Numbers) -> Packed:
    """Raises BadBagError on what is no whole number of words."""
    blobs = [bag or b"" for bag in bags]
    lengths = np.fromiter(map(len, blobs), np.int64, len(blobs))
    if (lengths & 7).any():
        raise refused(group, bags, limit)
    return Packed(np.frombuffer(b"".join(blobs), "<i8"), lengths >> 3, (limit ^ SIGN).view(np.int64))


def measured(group: Group, of: Packed) -> Ints:
    """(entries, m) the group's own measures of what is in the bags."""
    fields = group.plan.measures
    if not fields:
        return NOTHING
    words, where = of.words, kernel().entries_of(of.words, of.sizes, group.tile_words, mark_of(group))
    return measures(fields, words[where + 1], words[where + 2], words[where + 4] >> 48 & 0xFF)


def refused(group: Group, bags: Sequence[bytes | None], limit: Numbers) -> Exception:
    """Why one of the bags cannot be read."""
    try:
        lift(group, bags, limit)
    except BadBagError as error:
        return error
    raise AssertionError(f"group {group.name!r}: the kernel refuses a bag that is readable")
