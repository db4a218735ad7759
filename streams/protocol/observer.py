"""What the driver tells of itself: facts, once per range or less often. The shell counts them; the driver keeps none.

The price of this seam: one small object per range.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from streams.protocol.ports import Exceptions, Tp


class Stages(NamedTuple):
    """Seconds that a range spent in each stage. `fetch` is what the driver waited, not what ran ahead."""

    fetch_s: float = 0.0
    judge_s: float = 0.0
    apply_s: float = 0.0
    decide_s: float = 0.0
    publish_s: float = 0.0
    compact_s: float = 0.0


class Laps:
    """A stopwatch whose laps are the stages of a range."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._at = clock()
        self._laps: dict[str, float] = {}

    @property
    def stages(self) -> Stages:
        return Stages(**self._laps)

    def lap(self, stage: str) -> None:
        now = self._clock()
        self._laps[stage] = now - self._at
        self._at = now


class RangeDone(NamedTuple):
    """One range is published."""

    first: int
    last: int
    records: int
    exceptions: Exceptions
    config: str
    repeat: bool  # it was open already when this owner found it
    recovered: bool  # its outputs say so
    stages: Stages
    window_ids: int  # ids in the judge's window
    window_bytes: int


class Observer(Protocol):
    """Where the facts go."""

    def learned(self, tp: Tp, place: int, *, repeat: bool) -> None:
        """The driver knows its place: after the start, an outage, a loss or a change of owner."""

    def done(self, tp: Tp, done: RangeDone) -> None:
        """A range is published."""

    def dropped(self, tp: Tp, first: int, last: int) -> None:
        """A range was not this owner's any more."""

    def behind(self, tp: Tp, shards: int) -> None:
        """How many shards stand behind home; 0 once they are caught up."""

    def caught_up(self, tp: Tp, shard: int, first: int, last: int) -> None:
        """A shard that had lost its tail took these offsets again, in silence."""

    def compacted(self, tp: Tp, asked: int, accepted: int) -> None:
        """Bags were folded into tiles; a refusal is no error."""

    def outage(self, tp: Tp, error: Exception, wait_s: float) -> None:
        """The store or the broker failed; the driver waits and learns its place anew."""

    def stalled(self, tp: Tp, seconds: float) -> None:
        """The process stood still for longer than a session: the place is learnt anew before anything is published."""


class Silent:
    """An observer that looks away."""

    def learned(self, tp: Tp, place: int, *, repeat: bool) -> None: ...

    def done(self, tp: Tp, done: RangeDone) -> None: ...

    def dropped(self, tp: Tp, first: int, last: int) -> None: ...

    def behind(self, tp: Tp, shards: int) -> None: ...

    def caught_up(self, tp: Tp, shard: int, first: int, last: int) -> None: ...

    def compacted(self, tp: Tp, asked: int, accepted: int) -> None: ...

    def outage(self, tp: Tp, error: Exception, wait_s: float) -> None: ...

    def stalled(self, tp: Tp, seconds: float) -> None: ...
