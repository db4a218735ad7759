"""Sequences: the newest events of an entity told one by one, newest first, for models that read an order of things.

    user_recent_amount_1  user_recent_gap_s_1  user_recent_same_device_1      the order before this one
    user_recent_amount_2  user_recent_gap_s_2  user_recent_same_device_2      the one before that

They are those that the group keeps one by one (features/recent.py), so nothing more is stored, and places are 1 to
`Group.keep`; the event itself is one of those kept. What is known counts, also what is dated later than the event, as
in every window: it is told as 0 seconds ago. Of several in one millisecond the one with the larger amount is the newer,
then the one with the larger hashes of its counterparties, so that the order of arrival never changes a value. An entry
names three counterparties; of others no sequence can tell.
The price: eight places of three columns take .15 to .35 us an event in the fold, and where a decision writes its vector
down .2 us and some 70 to 180 bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from features.feature import ANY_KIND, Feature, Read


@dataclass(frozen=True)
class Recent(Read):
    """Told of the `nth` newest other event (1: the newest) within the longest window, of those kept one by one."""

    nth: int

    windowed = False


@dataclass(frozen=True)
class RecentAmount(Recent):
    """Its amount, minor units; 0 where there is none."""

    words = "amount of the {nth}{what} before, of the {who}"

    @property
    def named(self) -> str:
        return f"recent_amount_{self.nth}"


@dataclass(frozen=True)
class RecentGap(Recent):
    """Seconds from it to the event; -1 where there is none."""

    words = "seconds from the {nth}{what} before to this one, of the {who}"

    @property
    def named(self) -> str:
        return f"recent_gap_s_{self.nth}"


@dataclass(frozen=True)
class RecentSame(Recent):
    """1 where it had the event's own counterparty, 0 where it had another; -1 where there is none, and where one of the
    two names none.
    """

    of: str

    words = "same {other} as the {nth}{what} before, of the {who}, 1: yes"

    @property
    def named(self) -> str:
        return f"recent_same_{self.of}_{self.nth}"

    @property
    def other(self) -> str:
        return self.of


def recent(n: int, same: Iterable[str] = (), of: int = ANY_KIND) -> tuple[Feature, ...]:
    """The newest `n` events: the amounts of all, the seconds since each, then of each counterparty whether it is the
    same.
    """
    places = range(1, n + 1)
    reads: list[Recent] = [RecentAmount(nth) for nth in places] + [RecentGap(nth) for nth in places]
    reads += [RecentSame(nth, other) for other in same for nth in places]
    return tuple(Feature(read, of=of) for read in reads)
