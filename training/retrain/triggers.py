"""Triggers: the reasons to train anew, by priority, and what keeps a job from running although there is one. Pure.

    never_trained 100   nothing that was trained here is in force
    drift          90   many columns moved far from where the champion learned
    performance    85   on newer days the champion is worse than its card says, beyond noise of both
    schedule       50   it is in force, or was last retrained, long ago
    new_data       40   many frauds have become known since

The price: drift and a worse champion stay as they are when a challenger was no better, so after a run the next one
waits (`least_hours`), whatever the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from training.batch.drift import MUCH
from training.metrics import Measured

PRIORITY: Final = {"never_trained": 100, "drift": 90, "performance": 85, "schedule": 50, "new_data": 40}
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
_NAMED: Final = 3


@dataclass(frozen=True, slots=True)
class Policy:
    """When it is time, and what it takes."""

    every_days: float = 7.0
    new_frauds: int = 200
    drift_share: float = 0.2  # of the columns
    least_orders: int = 2_000
    least_frauds: int = 100
    least_hours: float = 24.0  # between two runs


@dataclass(frozen=True, slots=True)
class Seen:
    """What there is to be seen; None: it cannot be told."""

    now_ms: int
    orders: int  # with labels
    frauds: int
    champion: str | None = None
    since_ms: int | None = None  # the champion is in force
    run_ms: int | None = None  # the last run began
    drift: Mapping[str, float] = field(default_factory=dict)  # PSI by column
    then: Measured | None = None  # the champion's average precision, by its card
    newer: Measured | None = None  # and on days since
    new_frauds: int | None = None  # since the champion's training span, or the last run's


@dataclass(frozen=True, slots=True)
class Trigger:
    """A reason to train."""

    name: str
    text: str

    @property
    def priority(self) -> int:
        return PRIORITY[self.name]

    def about(self) -> dict[str, Any]:
        return {"trigger": self.name, "priority": self.priority, "text": self.text}


@dataclass(frozen=True, slots=True)
class Due:
    """The reasons, most urgent first, and what keeps the job from running in spite of them."""

    triggers: tuple[Trigger, ...]
    blocked: tuple[str, ...] = ()

    @property
    def now(self) -> bool:
        return bool(self.triggers) and not self.blocked


def due(seen: Seen, policy: Policy) -> Due:
    """What is to be done at `seen.now_ms`."""
    found = [
        one
        for one in (
            _never(seen),
            _drift(seen, policy),
            _performance(seen),
            _schedule(seen, policy),
            _new_data(seen, policy),
        )
        if one is not None
    ]
    return Due(tuple(sorted(found, key=lambda one: -one.priority)), tuple(_blocked(seen, policy)))


def _never(seen: Seen) -> Trigger | None:
    return None if seen.champion else Trigger("never_trained", "no model that was trained here is in force")


def _drift(seen: Seen, policy: Policy) -> Trigger | None:
    moved = [name for name, value in seen.drift.items() if value > MUCH]
    if not moved or len(moved) < policy.drift_share * len(seen.drift):
        return None
    named = ", ".join(f"{name} {seen.drift[name]:.2f}" for name in moved[:_NAMED])
    return Trigger("drift", f"{len(moved)} of {len(seen.drift)} columns moved (PSI above {MUCH}): {named}")


def _performance(seen: Seen) -> Trigger | None:
    if seen.then is None or seen.newer is None or seen.newer.high >= seen.then.low:
        return None
    newer, then = (f"{one.value:.3f} ({one.low:.3f} to {one.high:.3f})" for one in (seen.newer, seen.then))
    return Trigger("performance", f"average precision {newer} on newer days, {then} by its card")


def _schedule(seen: Seen, policy: Policy) -> Trigger | None:
    last = max(seen.since_ms or 0, seen.run_ms or 0)
    days = (seen.now_ms - last) / DAY_MS
    if not seen.champion or days < policy.every_days:
        return None
    return Trigger("schedule", f"in force or retrained {days:.1f} days ago, every {policy.every_days:g}")


def _new_data(seen: Seen, policy: Policy) -> Trigger | None:
    if seen.new_frauds is None or seen.new_frauds < policy.new_frauds:
        return None
    return Trigger("new_data", f"{seen.new_frauds:,} frauds have become known since")


def _blocked(seen: Seen, policy: Policy) -> list[str]:
    found = []
    if seen.orders < policy.least_orders:
        found.append(f"{seen.orders:,} labelled orders: want {policy.least_orders:,}")
    if seen.frauds < policy.least_frauds:
        found.append(f"{seen.frauds:,} frauds: want {policy.least_frauds:,}")
    if seen.run_ms is not None and (hours := (seen.now_ms - seen.run_ms) / HOUR_MS) < policy.least_hours:
        found.append(f"the last run began {hours:.1f} hours ago: want {policy.least_hours:g}")
    return found
