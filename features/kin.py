"""Kin: groups that are read alike, so that one pass over arrays serves all of them.

A call of numpy costs a microsecond or more however little it is given, and a fold makes several hundred. Groups of one
shape, such as the shop's user, card, device, IP address and merchant, differ only in whose bags they are, whom they
count and up to how many exactly. Their bags are laid side by side and read as if they were one group's.
The price: what is skipped where no entity of a group has two events is skipped only where none of all has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from features.group import Group, Shape

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Kin:
    """Groups of one shape; the bags of the first lie first, `counts` of each."""

    groups: tuple[Group, ...]
    counts: tuple[int, ...]

    @cached_property
    def like(self) -> Group:
        """The group that stands for all: the one with the most counterparties."""
        return max(self.groups, key=lambda group: len(group.others))

    def each(self, values: Sequence[int]) -> Ints:
        """One value of each group -> (u,) one of each bag."""
        return np.repeat(np.array(values, np.int64), self.counts)

    def group_of(self, bag: int) -> Group:
        """The group of the bag at this place."""
        return self.groups[int(np.searchsorted(np.cumsum(self.counts), bag, side="right"))]


def alone(group: Group, bags: int) -> Kin:
    """One group by itself."""
    return Kin((group,), (bags,))


def alike(groups: Sequence[Group]) -> list[list[int]]:
    """The places of the groups of each shape."""
    found: dict[Shape, list[int]] = {}
    for place, group in enumerate(groups):
        found.setdefault(group.shape, []).append(place)
    return list(found.values())
