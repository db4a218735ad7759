"""Reading: what a group tells of its entities at a moment, where no event of theirs asks.

A worker folds the bag of an entity together with the event that it scores, and that event counts. Whoever only looks
has none. So an event is put in that counts for nothing: it has no kind and no amount, what adds up leaves it out, and
its time alone says where windows end. The same fold, so a value cannot mean two things.

"As of" a moment is what an order at that moment would see, less itself. It is no journey into the past: windows end no
earlier than the newest event seen less the grace, and hold what is dated later (features/window.py), for what is older
may have been folded into coarser tiles. `Reading.end_ms` says where they ended.
The price: what compares the event itself with its past (`Usual`, `Outlying`, `New`, `RecentSame`) has no value here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from features.bag import Lifted, lift
from features.compact import ALL
from features.entry import Own
from features.feature import (
    ABSENT,
    Count,
    Feature,
    Habit,
    Known,
    Max,
    Mean,
    Measure,
    Measured,
    New,
    Outlying,
    Ratio,
    Read,
    Share,
    SinceFirst,
    SinceKnown,
    SinceLast,
    Span,
    Spread,
    Sum,
    Usual,
)
from features.fold import fold
from features.group import Group
from features.sequence import RecentAmount, RecentGap, RecentSame

Ints = npt.NDArray[np.int64]

OF_THE_EVENT = (Usual, Outlying, New, RecentSame)
UNITS: Mapping[tuple[type[Read], ...], str] = {
    (Sum, Mean, Max, RecentAmount): "amount",
    (SinceFirst, SinceLast, Span, RecentGap): "s",
    (Spread, Usual): "doublings",
    (SinceKnown,): "days",
}
ADDS_UP = (Count, Sum, Mean, Spread, Share, Known, Ratio, Habit)


@dataclass(frozen=True)
class Reading:
    """What is known of one entity. Values are those of the fold: amounts in minor units, times in seconds or days."""

    values: Mapping[str, float | None]  # by column; None: it is told of an event, and there is none
    newest_ms: int | None  # of the events that the bag holds; None: it holds none
    oldest_ms: int | None  # of a tile, the first of its events
    end_ms: int  # where the windows end
    tiles: int
    entries: int
    others: int  # counterparties that tiles name
    bag_bytes: int


def read(group: Group, bags: Sequence[bytes | None], at_ms: int) -> list[Reading]:
    """What each bag tells at `at_ms`; None is a bag that is not there. Raises BadBagError, as a worker would."""
    past = lift(group, bags, np.full(len(bags), ALL, np.uint64))
    folded = fold(_looking(group), bags, np.full(len(bags), ALL, np.uint64), _lookers(group, len(bags), at_ms))
    oldest = np.full(len(bags), np.iinfo(np.int64).max)
    np.minimum.at(oldest, past.rows.owner, past.rows.at)
    return [_reading(group, past, place, row, int(oldest[place]), at_ms) for place, row in enumerate(folded.tolist())]


def _reading(group: Group, past: Lifted, place: int, row: Sequence[float], oldest: int, at_ms: int) -> Reading:
    newest = int(past.newest[place])
    parsed = past.parsed
    told = newest >= 0
    sizes = np.diff(np.append(parsed.start, len(parsed.words)))
    return Reading(
        values={
            name: _value(feature, value, newest, at_ms)
            for name, feature, value in zip(group.columns, group.features, row, strict=True)
        },
        newest_ms=newest if told else None,
        oldest_ms=oldest if told and oldest <= newest else None,
        end_ms=max(at_ms, newest - group.grace_ms),
        tiles=int(parsed.tiles[place]),
        entries=int(parsed.raws[place]),
        others=int(parsed.others[place]),
        bag_bytes=8 * int(sizes[place]),
    )


def _value(feature: Feature, value: float, newest: int, at_ms: int) -> float | None:
    if isinstance(feature.read, OF_THE_EVENT):
        return None
    if isinstance(feature.read, Span):  # up to the newest that is known: whoever looks is not one of them
        return max(value - max(at_ms - newest, 0) / 1000, 0.0) if newest >= 0 else 0.0
    return value


def _lookers(group: Group, bags: int, at_ms: int) -> Own:
    """One event of each entity that counts for nothing."""
    nothing = np.zeros(bags, np.int64)
    others = np.zeros((len(group.others), bags), np.int64)
    return Own.of(np.arange(bags), np.full(bags, at_ms), np.full(bags, ABSENT), nothing, nothing, others)


def _looking(group: Group) -> Group:
    """The group, leaving out an event whose amount is `ABSENT`, which no real one has."""
    return replace(group, features=tuple(_leaving_out(feature) for feature in group.features))


def _leaving_out(feature: Feature) -> Feature:
    if isinstance(feature.read, Measured):
        return replace(feature, read=Measured(_blind(feature.read.measure)))
    return replace(feature, current=False) if isinstance(feature.read, ADDS_UP) else feature


def _blind(measure: Measure) -> Measure:
    """A measure that does not see whoever looks."""
    nothing = 0 if measure.merge == "sum" else ABSENT

    def of(at_ms: Ints, amount: Ints, flags: Ints) -> Ints:
        return np.where(amount == ABSENT, nothing, measure.of(at_ms, amount, flags))

    return replace(measure, of=of)


def unit_of(feature: Feature) -> str:
    """What a value counts: "amount" (minor units of the base currency), "s", "days", "doublings"; "": a number."""
    return next((unit for reads, unit in UNITS.items() if isinstance(feature.read, reads)), "")
