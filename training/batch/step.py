"""Steps and limits: what a long job tells of itself, and how long it may take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple


class Step(NamedTuple):
    """How far a stage of training is. `loss` falls and `metric` rises where there are some."""

    stage: str
    done: int
    total: int
    loss: float | None = None
    metric: float | None = None
    note: str = ""


Tell = Callable[[Step], None]


@dataclass(frozen=True, slots=True)
class Limit:
    """A moment of `clock` (seconds) at which a job ends with the best it has; None: never."""

    clock: Callable[[], float]
    end_s: float | None = None

    @classmethod
    def of(cls, clock: Callable[[], float], seconds: float | None) -> Limit:
        return cls(clock, None if seconds is None else clock() + seconds)

    @property
    def left_s(self) -> float:
        return float("inf") if self.end_s is None else self.end_s - self.clock()

    def part(self, share: float) -> Limit:
        """The limit of a stage that may take this share of what is left."""
        return self if self.end_s is None else Limit(self.clock, self.clock() + max(self.left_s, 0.0) * share)
