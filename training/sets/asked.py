"""What a set is asked to be, and what was found on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy.typing as npt

from features.columns import Floats2d, Ints
from features.orders import KEEP_MS
from features.window import DAY_MS

MATURE_MS: Final = KEEP_MS  # a good order is known as good when no chargeback can come any more
Bools = npt.NDArray[Any]
Source = Literal["auto", "logged", "replayed"]


@dataclass(frozen=True, slots=True)
class Asked:
    """Orders of event times in [from_ms, to_ms), with what was known of them at `as_of_ms`; epoch ms."""

    from_ms: int
    to_ms: int
    as_of_ms: int
    mature_ms: int = MATURE_MS
    topic: str = "orders"
    source: Source = "auto"
    future_ms: int = 300_000  # how far an event may be ahead of its record

    @property
    def record_span(self) -> tuple[int, int]:
        """[start, end) of the timestamps that records of the window can have."""
        return max(0, self.from_ms - self.future_ms), self.as_of_ms + 1

    @property
    def label_span(self) -> tuple[int, int]:
        """The same of labels; one may be dated a day before its order."""
        return max(0, self.from_ms - DAY_MS), self.as_of_ms + 1


@dataclass(frozen=True, slots=True)
class Vectors:
    """Rebuilt vectors of one partition, by offset; `exact`: equal to what a worker had."""

    partition: int
    offset: Ints
    rows: Floats2d
    exact: Bools


Rebuild = Callable[[Mapping[int, int]], Iterable[Vectors]]
"""Given the last offset that is wanted of each partition: the vectors of all orders up to there and maybe beyond, each
partition by offset."""
Tell = Callable[[str, int, int], None]
"""A step, how much of it is done, and of how much."""


@dataclass(slots=True)
class Counts:
    """Of a set's rows."""

    rows: int = 0
    fraud: int = 0
    good: int = 0
    unknown: int = 0
    matured: int = 0
    logged: int = 0
    replayed: int = 0
    inexact: int = 0  # replayed around a loss of state, or from where the archive does not reach back far enough
    undecided: int = 0  # no decision was logged: without score and action

    def as_dict(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, slots=True)
class Built:
    """What was written."""

    counts: Counts
    about: Mapping[str, Any]
    files: tuple[str, ...] = field(default=())
