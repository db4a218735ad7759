"""Spans: which days are learned from, which days weights and calibration are found on, and which days judge.

    |--------- fit ---------|-- weigh --|-- calibrate --|....... gap .......|---- held ----|
    from                                                to                                 end

By time, never shuffled. The gap is the delay of labels: a model that is fitted at some moment knows only of orders that
have matured by then, so days of that length lie between what it learned from and what it first scores. To leave it out
would flatter every figure. Inside the training span there is none: weights and calibration are found on the newest
days, as the model will stand when it is used.

The price: a delay of 120 days asks for half a year of history, where a shorter one (--gap-days) is only as honest as
its labels are quick.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from schemas.timestamps import rfc3339

DAY_MS: Final = 86_400_000
SLICE: Final = 0.15  # of the training span, for weights and as much for calibration
SLICE_DAYS: Final = (1, 14)  # at least, at most
LEAST_DAYS: Final = 3  # of a training span: one to fit, one to weigh, one to calibrate


class TooShortError(ValueError):
    """The history does not hold a training span, a gap and days to judge; the message says how long each is."""


@dataclass(frozen=True, slots=True)
class Spans:
    """Epoch ms; each span is [start, end)."""

    from_ms: int
    weigh_ms: int
    calibrate_ms: int
    to_ms: int
    held_ms: int
    end_ms: int

    @property
    def train(self) -> tuple[int, int]:
        return self.from_ms, self.to_ms

    @property
    def fit(self) -> tuple[int, int]:
        return self.from_ms, self.weigh_ms

    @property
    def weigh(self) -> tuple[int, int]:
        return self.weigh_ms, self.calibrate_ms

    @property
    def calibrate(self) -> tuple[int, int]:
        return self.calibrate_ms, self.to_ms

    @property
    def held(self) -> tuple[int, int]:
        return self.held_ms, self.end_ms

    @property
    def gap_days(self) -> float:
        return (self.held_ms - self.to_ms) / DAY_MS

    def about(self) -> dict[str, Any]:
        """For people and manifests."""
        spans = {name: getattr(self, name) for name in ("train", "fit", "weigh", "calibrate", "held")}
        return {name: {"from": rfc3339(a), "to": rfc3339(b)} for name, (a, b) in spans.items()} | {
            "gap_days": round(self.gap_days, 3)
        }


def spans(first_ms: int, last_ms: int, *, held_days: float, gap_days: float) -> Spans:
    """How a history of orders from `first_ms` to `last_ms` is cut, at midnights (UTC); raises TooShortError.

    A day that has only begun counts to the days that judge, one that began late to those that are learned from.
    """
    end_ms = last_ms + 1
    held_ms = _midnight(end_ms - round(held_days * DAY_MS))
    to_ms = held_ms - round(gap_days * DAY_MS)
    days = (to_ms - first_ms) / DAY_MS
    if days < LEAST_DAYS:
        raise TooShortError(
            f"labelled orders from {rfc3339(first_ms)} to {rfc3339(last_ms)}: {held_days:g} days to judge on and a gap "
            f"of {gap_days:g} days for labels leave {max(days, 0):.1f} days to learn from, want {LEAST_DAYS}: build a "
            "longer set, or set --held-days and --gap-days"
        )
    least, most = SLICE_DAYS
    slice_ms = min(max(round(days * SLICE), least), most) * DAY_MS
    return Spans(first_ms, to_ms - 2 * slice_ms, to_ms - slice_ms, to_ms, held_ms, end_ms)


def _midnight(at_ms: int) -> int:
    """The nearest one."""
    return round(at_ms / DAY_MS) * DAY_MS
