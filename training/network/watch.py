"""Watching a training: what is told of it, when it must end, and when it is kept.

The loop asks every few steps. The price: the clock may be late by so many steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from training.network import checkpoint
from training.network.course import Course

EVERY: Final = 20  # steps between two looks; an epoch's end is one, too


@dataclass(frozen=True, slots=True)
class Told:
    """How a training goes: what a fit's `Step` has (training/fits/progress.py), and more for whoever watches."""

    done: int  # epochs
    total: int  # of them, if nothing ends it early
    loss: float | None  # mean log loss of the held rows after the newest epoch
    metric: float | None  # their average precision then
    best: float | None  # the highest so far
    batches: int  # done, of all epochs
    batch_loss: float  # mean of the newest ones, weighted and with all heads
    left_s: float  # at this pace, or until the limit


@dataclass(frozen=True, slots=True)
class Keeping:
    """Where checkpoints go, which training they must be of, and how often they are written between epochs."""

    path: Path
    about: Mapping[str, Any]
    every_s: float = 60.0


class Watch:
    """Of one training in one process."""

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        limit_s: float = math.inf,
        keeping: Keeping | None = None,
        tell: Callable[[Told], bool] = lambda _: True,
    ) -> None:
        """`tell` answers whether to go on."""
        self._clock, self._limit_s, self._keeping, self._tell = clock, limit_s, keeping, tell
        self._began = self._saved = clock()
        self._first, self._losses = 0, list[float]()

    def resume(self, course: Course) -> None:
        """Brings a course to where its checkpoint is, if there is one; raises CheckpointError."""
        if self._keeping and self._keeping.path.exists():
            course.resume(*checkpoint.load(self._keeping.path, self._keeping.about))
        self._first = course.standing.steps

    def add(self, loss: float) -> None:
        """The loss of a step."""
        self._losses = [*self._losses[1 - EVERY :], loss]

    def is_over(self, course: Course, steps: int) -> bool:
        """Tells how it goes; whether the clock, or who was told, ends it. `steps` are those of all epochs."""
        standing, now = course.standing, self._clock()
        each_s = (now - self._began) / max(standing.steps - self._first, 1)
        told = Told(
            done=standing.epochs,
            total=course.config.epochs,
            loss=standing.losses[-1] if standing.losses else None,
            metric=standing.metrics[-1] if standing.metrics else None,
            best=standing.best,
            batches=standing.steps,
            batch_loss=sum(self._losses) / max(len(self._losses), 1),
            left_s=max(0.0, min(each_s * (steps - standing.steps), self._began + self._limit_s - now)),
        )
        return not self._tell(told) or now - self._began >= self._limit_s

    def keep(self, course: Course, *, now: bool) -> None:
        """Writes a checkpoint, at once or where the last one is old."""
        if self._keeping and (now or self._clock() - self._saved >= self._keeping.every_s):
            checkpoint.save(self._keeping.path, self._keeping.about, course.as_json(), course.states())
            self._saved = self._clock()
