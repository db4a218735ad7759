"""What a chaos run found, as one JSON object or as lines for a person."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

SHOWN = 20


@dataclass(slots=True)
class Report:
    """`problems` break a promise; `void` says why a run without any still proves nothing."""

    orders: int
    workers: int
    seed: int
    start: str  # event time of the first event: with the seed it gives the same events again
    delivery: str
    mutate: str
    broker: str
    store: str
    events: int = 0
    kills: int = 0
    kills_with_open_range: int = 0
    decisions_published_twice: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    standstill: dict[str, dict[str, Any]] = field(default_factory=dict)
    worker_exits: list[str] = field(default_factory=list)
    audit: dict[str, Any] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)
    void: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not self.problems and not self.void

    @property
    def told(self) -> list[str]:
        """The first problems, those that name an order before all others."""
        return sorted(self.problems, key=lambda problem: not problem.startswith("order "))[:SHOWN]

    def as_dict(self) -> dict[str, Any]:
        return {"holds": self.holds, **asdict(self), "problems": self.told}

    def lines(self) -> Iterator[str]:
        """For a terminal."""
        happened = ", ".join(f"{count} x {kind}" for kind, count in self.faults.items())
        yield f"{self.orders:,} orders, {self.events:,} events, {self.workers} workers, {self.delivery}; {happened}"
        yield (
            f"{self.kills_with_open_range} of {self.kills} kills left a range open, "
            f"{self.decisions_published_twice:,} decisions were published twice"
        )
        for kind, row in self.standstill.items():
            yield f"  {kind}: stood still {_told(row['standstill_s'])}; others {_told(row['others_silent_s'])}"
        if self.audit:
            parts = ("consumed", "decided", "duplicate", "conflict", "dead", "too_late", "future", "other")
            yield "audit: " + ", ".join(f"{name} {self.audit[name]:,}" for name in parts)
        if self.state:
            same = "equal to" if self.state["equal"] else "NOT equal to"
            yield f"state: {self.state['bags']:,} records, {same} one clean pass (sha256 {self.state['sha256']})"
        yield from (f"  ! {problem}" for problem in self.told)
        yield from (f"  void: {why}" for why in self.void)
        yield "it holds" if self.holds else "it does not hold" if self.problems else "the run proves nothing"


def _told(seconds: dict[str, float] | None) -> str:
    return "-" if seconds is None else f"{seconds['median']:.2f} s (median), {seconds['max']:.2f} s (longest)"
