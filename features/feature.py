"""Features: one line says what a number means, and everything else follows from it.

    Feature(Count(), WINDOW_1H)                              how often within the hour
    Feature(Sum(), WINDOW_24H, of=PAID)                      amounts of the events of this kind only
    Feature(Distinct("device"), WINDOW_7D)                   different devices within a week
    Feature(Ratio(WINDOW_30D), WINDOW_1H)                    the hour's pace against the month's
    Feature(Share(FRAUD, less=CLEARED), WINDOW_7D, of=PAID, delay_ms=7 * DAY_MS)    known frauds a week ago
    Feature(Usual(), WINDOW_30D)                             this amount against the entity's own usual one

A group (features/group.py) is an entity with its features. From them follow what an entry of a bag holds, how tiles add
up, the fold, the columns of the vector with their names and words, and the memory that an entity takes.

`of` filters: the kinds of event that count, as bits. `delay_ms` ends the window so much earlier. `current=False` leaves
out the event that is being scored. `order` says whether the events' order of arrival may change the value: of what is
here none does, as every merge commutes; what was *known* at the time still does, as it must.
The price: a feature that fits none of these reads needs a new one, in the file of the read it resembles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from features.window import Window

Ints = npt.NDArray[np.int64]
Merge = Literal["sum", "min", "max"]
Order = Literal["any", "applied"]

ANY_KIND = 0xFF
ABSENT = -(1 << 63)
NO_WINDOW = Window("", 0, 0)


@dataclass(frozen=True)
class Measure:
    """One more integer per entry, `of(at_ms, amount, flags)`, merged by a rule that commutes.

    The function may read nothing else, since it is computed from the entry again whenever a bag is read. Its sums must
    stay below 2^63; for "min" and "max", `ABSENT` means that the entry has none. A change of the function needs another
    name: the name is what the layout of a bag knows of it.
    """

    name: str
    of: Callable[[Ints, Ints, Ints], Ints] = field(repr=False, compare=False)
    merge: Merge = "sum"


@dataclass(frozen=True)
class Read:
    """What is told of the events of a window. `label` leads the window in a column's name, `words` is for people."""

    label: ClassVar[str] = ""
    words: ClassVar[str] = ""
    windowed: ClassVar[bool] = True  # False: it reads the group's longest window
    order: ClassVar[Order] = "any"

    @property
    def named(self) -> str:
        """The middle of the column's name."""
        return self.label

    @property
    def other(self) -> str | None:
        """The column of counterparties that it reads."""
        return None


@dataclass(frozen=True)
class Count(Read):
    """How many events."""

    label = "count"
    words = "{what}s of the {who}"


@dataclass(frozen=True)
class Sum(Read):
    """Sum of the amounts, minor units."""

    label = "sum"
    words = "sum of the {who}'s {what}s"


@dataclass(frozen=True)
class Mean(Read):
    """Mean amount, minor units; 0 where there is none."""

    label = "mean"
    words = "average {what} of the {who}"


@dataclass(frozen=True)
class Max(Read):
    """Largest amount, minor units; 0 where there is none."""

    label = "max"
    words = "largest {what} of the {who}"


@dataclass(frozen=True)
class Spread(Read):
    """Standard deviation of the amounts' places on the log scale, in doublings."""

    label = "spread"
    words = "spread of the {who}'s {what}s in doublings"


@dataclass(frozen=True)
class Measured(Read):
    """A measure of one's own; -1 where a minimum or maximum has nothing."""

    measure: Measure

    words = "{measure} of the {who}"

    @property
    def named(self) -> str:
        return self.measure.name


@dataclass(frozen=True)
class Ratio(Read):
    """Events a unit of time in the window against those in the longer one `to`; 1: the usual pace."""

    to: Window

    label = "pace"
    words = "pace, against that{to}, of the {who}'s {what}s"


@dataclass(frozen=True)
class Share(Read):
    """Events of kinds `bad`, less those of kinds `less`, a counted event: (bad + prior * weight) / (count + weight).

    With `weight` 0 it is the plain share, 0 where nothing is counted.
    """

    bad: int
    less: int = 0
    prior: float = 0.0
    weight: float = 0.0
    called: str = "risk"

    words = "share of the {who}'s {what}s known as fraud"

    @property
    def named(self) -> str:
        return self.called


@dataclass(frozen=True)
class Known(Read):
    """Events of kinds `bad` less those of kinds `less`: how many are known."""

    bad: int
    less: int = 0
    called: str = "known"

    words = "known frauds of the {who}"

    @property
    def named(self) -> str:
        return self.called


@dataclass(frozen=True)
class Distinct(Read):
    """Different counterparties: exact up to the group's `exact`, an estimate beyond."""

    of: str

    words = "different {others} of the {who}"

    @property
    def named(self) -> str:
        return f"distinct_{self.of}s"

    @property
    def other(self) -> str:
        return self.of


@dataclass(frozen=True)
class New(Read):
    """1 where the event's counterparty was not seen in the window before; 0 where it was, where the event has none, and
    where the entity has more different ones than `exact` and this one is not among those it can tell.
    """

    of: str

    words = "{other} not seen before with the {who}, 1: yes,"

    @property
    def named(self) -> str:
        return f"new_{self.of}"

    @property
    def other(self) -> str:
        return self.of


@dataclass(frozen=True)
class Usual(Read):
    """The event's amount against the median of the entity's newest events kept one by one, in doublings; 0 without any.

    Up to half of them may be outliers, and it does not move: one order of a million does not make the next one usual.
    """

    label = "vs_usual"
    words = "amount against the {who}'s usual one in doublings,"


@dataclass(frozen=True)
class Outlying(Read):
    """The same in units of their own spread: the median distance from that median, at least a quarter of a doubling."""

    label = "outlying"
    words = "how far outside the {who}'s own amounts,"


@dataclass(frozen=True)
class Habit(Read):
    """How well the hour of day fits those of the entity's events before: kappa * cos(hour - usual hour).

    That is the log-likelihood of a von Mises distribution fitted to them, without its normaliser; 0 without events.
    """

    label = "hour_habit"
    words = "how usual the hour of day is for the {who},"


@dataclass(frozen=True)
class SinceLast(Read):
    """Seconds since the newest event seen before; -1 where the longest window holds none."""

    label = "since_last_s"
    words = "seconds since the {what} before, of the {who}"
    windowed = False


@dataclass(frozen=True)
class SinceFirst(Read):
    """Seconds since the oldest event that the longest window holds."""

    label = "since_first_s"
    words = "seconds since the first {what} of the {who}"
    windowed = False


@dataclass(frozen=True)
class Span(Read):
    """Seconds from the oldest event that the longest window holds to the newest known."""

    label = "span_s"
    words = "seconds from the first {what} to the last, of the {who}"
    windowed = False


@dataclass(frozen=True)
class SinceKnown(Read):
    """Days since the last (or first) day of the window on which more is known as bad than was taken back; -1: none.

    Whole tiles of the window: a bag does not remember a fraud's hour for a month.
    """

    which: Literal["last", "first"]
    bad: int
    less: int = 0
    called: str = "fraud"

    words = "days since the {which} known fraud of the {who}"

    @property
    def named(self) -> str:
        return f"days_since_{self.which}_{self.called}"


@dataclass(frozen=True)
class Streak(Read):
    """How many of the newest counted events are known as bad, one after the other; 0 where the newest is not.

    Whole tiles of the window: one that holds an event which is not known as bad ends it. It wants a delay: what is
    newer is not known yet, and would end it.
    """

    bad: int
    less: int = 0
    called: str = "fraud_streak"

    words = "known frauds of the {who} one after the other"

    @property
    def named(self) -> str:
        return self.called


@dataclass(frozen=True)
class Feature:
    """One column. See the top of this file."""

    read: Read
    over: Window = NO_WINDOW
    of: int = ANY_KIND
    delay_ms: int = 0
    current: bool = True
    name: str = ""  # "": <group>_<read>_<window>

    def column(self, group: str) -> str:
        """The name of its column."""
        if self.name:
            return self.name
        return "_".join(part for part in (group, self.read.named, self.over.name) if part)

    @property
    def order(self) -> Order:
        return self.read.order


def each(windows: Iterable[Window], *reads: Read, of: int = ANY_KIND) -> tuple[Feature, ...]:
    """Every read over every window, window by window."""
    return tuple(Feature(read, window, of) for window in windows for read in reads)


def distinct(others: Iterable[str], windows: Iterable[Window]) -> tuple[Feature, ...]:
    """Different ones of each counterparty over each window."""
    over = tuple(windows)
    return tuple(Feature(Distinct(other), window) for other in others for window in over)


RECENCY = (Feature(SinceLast()), Feature(SinceFirst()))
MONEY = (Count(), Sum(), Mean(), Max(), Spread())
