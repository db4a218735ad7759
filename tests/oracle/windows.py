"""The windows said naively: one event at a time, plain Python, every event kept. Shares no code with features/."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Happening:
    """One event of one entity. An `other` of 0 is none."""

    at: int
    amount: int = 100
    flags: int = 1
    others: tuple[int, ...] = ()


@dataclass
class Spec:
    """What to compute: windows as (tile_ms, tiles), tiles 0 = for ever."""

    windows: list[tuple[int, int]]
    distinct: list[tuple[int, int]]
    slots: int
    exact: int
    grace: int
    extra: str = "none"  # "squares" (a sum), "checkout" (a minimum) or "none"


@dataclass
class Entity:
    """All that was seen of an entity, in the order of arrival."""

    seen: list[Happening] = field(default_factory=list)

    def tell(self, spec: Spec, event: Happening) -> list[float]:
        """Takes the event and answers for it: per window count, sum, mean, max, spread (, extra), then the rest."""
        before = max((e.at for e in self.seen), default=-1)
        end = max(event.at, before - spec.grace)
        self.seen.append(event)
        answer: list[float] = []
        for window in spec.windows:
            answer += aggregates([e for e in self.seen if inside(window, e.at, end)], spec.extra)
        for slot in range(spec.slots):
            for window in spec.distinct:
                recent = {e.others[slot] for e in self.seen if e.others[slot] and inside(window, e.at, end)}
                answer.append(how_many(recent, spec.exact))
        longest = max(spec.windows, key=lambda w: (w[1] == 0, w[0] * w[1]))
        known = before >= 0 and inside(longest, before, end)
        answer.append(max(event.at - before, 0) / 1000 if known else -1.0)
        held = [e.at for e in self.seen if inside(longest, e.at, end)]
        answer.append(max(event.at - min(held), 0) / 1000 if held else 0.0)
        answer.append((max(event.at, before) - min(held)) / 1000 if held else 0.0)
        return answer


def inside(window: tuple[int, int], at: int, end: int) -> bool:
    tile_ms, tiles = window
    return tiles == 0 or at // tile_ms > end // tile_ms - tiles


def aggregates(events: list[Happening], extra: str) -> list[float]:
    amounts = [e.amount for e in events]
    n = len(events)
    places = [place(a) for a in amounts]
    mean_place = sum(places) / n if n else 0.0
    variance = sum(p * p for p in places) / n - mean_place * mean_place if n else 0.0
    answer: list[float] = [n, sum(amounts), sum(amounts) / n if n else 0.0, max(amounts, default=0)]
    answer.append(math.sqrt(max(variance, 0.0)) / 32)
    if extra == "squares":
        answer.append(sum(a * a for a in amounts))
    if extra == "checkout":
        answer.append(min((e.at for e in events if e.flags & 2), default=-1))
    return answer


def place(amount: int) -> int:
    """1 + the largest i with 2^i <= amount^32; 0 for nothing."""
    return (amount**32).bit_length() if amount > 0 else 0


def how_many(hashes: set[int], exact: int) -> float:
    if len(hashes) <= exact:
        return float(len(hashes))
    kth = sorted(hashes)[exact]
    return float(max(round(exact * 2**30 / kth), exact + 1))
