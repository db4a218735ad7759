"""The windows said naively: one event at a time, plain Python, every event kept. Shares no code with features/."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

DAY = 86_400_000


@dataclass(frozen=True)
class Happening:
    """One event of one entity. An `other` of 0 is none."""

    at: int
    amount: int = 100
    flags: int = 1
    others: tuple[int, ...] = ()


@dataclass(frozen=True)
class Ask:
    """One number: `what` over `tiles` tiles of `tile_ms` (0 = for ever), of the kinds `of`, ending `delay` ms earlier.

    `own` is a measure; the event has none where it is None.
    """

    what: str
    tile_ms: int = 0
    tiles: int = 0
    of: int = 255
    delay: int = 0
    current: bool = True
    slot: int = 0
    nth: int = 0  # of the newest events, 1: the newest
    to: tuple[int, int] = (0, 0)  # of a ratio: the longer window
    bad: int = 0
    less: int = 0
    prior: float = 0.0
    weight: float = 0.0
    own: Callable[[Happening], int | None] | None = None
    least: bool = False  # the smallest of them, not the sum


@dataclass
class Spec:
    """What is asked of an entity; `longest` is the longest window as (tile_ms, tiles)."""

    asks: Sequence[Ask]
    exact: int
    grace: int
    longest: tuple[int, int]
    keep: int = 0
    event: int = 255  # the kinds that are events of their own, and not what became of others
    started: tuple[int, int] = (0, 0)  # the longest window that has a start, where `longest` has none


@dataclass
class Entity:
    """All that was seen of an entity, in the order of arrival."""

    seen: list[Happening] = field(default_factory=list)

    def tell(self, spec: Spec, event: Happening) -> list[float]:
        """Takes the event and answers for it."""
        before = list(self.seen)
        self.seen.append(event)
        seen = sight(spec, before, event)
        return [answer(spec, ask, seen, before, event) for ask in spec.asks]


@dataclass(frozen=True)
class Sight:
    """What an event sees: all events up to itself, where its windows end, what is kept one by one."""

    events: list[Happening]
    end: int
    floor: int
    looked: dict[tuple[int, int], list[Happening]] = field(default_factory=dict)  # what was asked for before

    def inside(self, at: int, window: tuple[int, int]) -> bool:
        """Exactly where it is kept one by one, by tiles where it is not."""
        tile_ms, tiles = window
        if tiles == 0:
            return True
        if at > self.floor:
            return at > self.end - tile_ms * tiles
        return in_tiles(at, window, self.end)

    def within(self, ask: Ask, window: tuple[int, int] | None = None) -> list[Happening]:
        """The events of the window, or of what the longer one has beyond the delay."""
        tile_ms, tiles = window or (ask.tile_ms, ask.tiles)
        if not ask.delay:
            if (tile_ms, tiles) not in self.looked:
                self.looked[tile_ms, tiles] = [e for e in self.events if self.inside(e.at, (tile_ms, tiles))]
            return self.looked[tile_ms, tiles]
        late = ask.delay // tile_ms
        return [
            e
            for e in self.events
            if self.inside(e.at, (tile_ms, tiles + late)) and not self.inside(e.at, (tile_ms, late))
        ]


def in_tiles(at: int, window: tuple[int, int], end: int) -> bool:
    tile_ms, tiles = window
    return tiles == 0 or at // tile_ms > end // tile_ms - tiles


def sight(spec: Spec, before: list[Happening], event: Happening) -> Sight:
    newest = max((e.at for e in before), default=-1)
    events = [*before, event]
    floor = 1 << 62  # nothing is kept: all by tiles
    if spec.keep:
        times = sorted((e.at for e in events if spec.event == 255 or e.flags & spec.event), reverse=True)
        floor = times[spec.keep] if len(times) > spec.keep else -1
    return Sight(events, max(event.at, newest - spec.grace), floor)


def answer(spec: Spec, ask: Ask, seen: Sight, before: list[Happening], event: Happening) -> float:
    if ask.what in TIMES:
        return TIMES[ask.what](spec, seen, before, event)
    if ask.what in ("distinct", "new"):
        return counterparties(spec, ask, seen, before, event)
    if ask.what in ("usual", "outlying"):
        return against_usual(ask, seen, event)
    if ask.what in RECENT:
        return recent(spec, ask, seen, event)
    if ask.what == "since":
        return days_since(ask, seen)
    if ask.what == "streak":
        return streak(ask, seen)
    return of_window(ask, seen, event)


def counts(event: Happening, ask: Ask) -> bool:
    return ask.of == 255 or bool(event.flags & ask.of)


def told(event: Happening, ask: Ask) -> int:
    return bool(event.flags & ask.bad) - bool(event.flags & ask.less)


def of_window(ask: Ask, seen: Sight, event: Happening) -> float:
    events = seen.within(ask)
    if not ask.current or ask.what == "habit":
        events = [e for e in events if e is not event]
    known = sum(told(e, ask) for e in events)
    counted = [e for e in events if counts(e, ask)]
    amounts = [e.amount for e in counted]
    n = len(counted)
    if ask.what == "known":
        return known
    if ask.what == "share":
        below = n + ask.weight
        return (known + ask.prior * ask.weight) / (below if ask.weight else max(n, 1))
    if ask.what == "ratio":
        longer = sum(1 for e in seen.within(ask, ask.to) if counts(e, ask))
        return n / max(longer, 1) * ((ask.to[0] * ask.to[1]) / (ask.tile_ms * ask.tiles))
    if ask.what == "own":
        return measured(ask, counted)
    if ask.what == "habit":
        return habit(counted, event.at)
    mean = sum(amounts) / n if n else 0.0
    return {"count": n, "sum": sum(amounts), "mean": mean, "max": max(amounts, default=0), "spread": spread(amounts)}[
        ask.what
    ]


def measured(ask: Ask, events: list[Happening]) -> float:
    assert ask.own is not None
    values = [value for value in map(ask.own, events) if value is not None]
    return min(values, default=-1) if ask.least else sum(values)


def spread(amounts: list[int]) -> float:
    n = len(amounts)
    places = [place(a) for a in amounts]
    mean = sum(places) / n if n else 0.0
    variance = sum(p * p for p in places) / n - mean * mean if n else 0.0
    return math.sqrt(max(variance, 0.0)) / 32


def habit(events: list[Happening], at: int) -> float:
    """A von Mises distribution fitted to the quarters of an hour, as if two events more had no direction."""
    if not events:
        return 0.0
    cosine, sine = (sum(part) for part in zip(*(direction(e.at) for e in events), strict=True))
    length = math.sqrt(cosine * cosine + sine * sine) / 1024  # of whole numbers: the same on every machine
    mean = min(length / (len(events) + 2), 0.999)
    kappa = mean * (2 - mean * mean) / (1 - mean * mean)
    x, y = direction(at)
    towards: float = (cosine * x + sine * y) / max(length * 1024 * 1024, 1.0)
    return kappa * towards


def direction(at: int) -> tuple[int, int]:
    angle = 2 * math.pi * (at % DAY // 900_000 + 0.5) / 96
    return round(1024 * math.cos(angle)), round(1024 * math.sin(angle))


def against_usual(ask: Ask, seen: Sight, event: Happening) -> float:
    kept = [e for e in seen.events if e is not event and e.at > seen.floor and counts(e, ask)]
    places = [place(e.amount) for e in kept if seen.inside(e.at, (ask.tile_ms, ask.tiles))]
    if not places:
        return 0.0
    middle = median(places)
    away = place(event.amount) - middle
    if ask.what == "usual":
        return away / 32
    return away / max(1.4826 * median(abs(p - middle) for p in places), 8)


def recent(spec: Spec, ask: Ask, seen: Sight, event: Happening) -> float:
    """The nth newest other event that is kept one by one; of several at once, by what they are."""
    window = spec.longest if spec.longest[1] else spec.started
    kept = [e for e in seen.events if e is not event and e.at > seen.floor and counts(e, ask)]
    kept = [e for e in kept if seen.inside(e.at, window)]
    kept.sort(key=lambda e: (e.at, e.amount, e.others), reverse=True)
    if len(kept) < ask.nth:
        return 0.0 if ask.what == "recent_amount" else -1.0
    found = kept[ask.nth - 1]
    if ask.what == "recent_amount":
        return found.amount
    if ask.what == "recent_gap":
        return max(event.at - found.at, 0) / 1000
    mine, theirs = event.others[ask.slot], found.others[ask.slot]
    return float(mine == theirs) if mine and theirs else -1.0


def days_since(ask: Ask, seen: Sight) -> float:
    sums: dict[int, int] = {}
    for e in seen.events:
        if in_tiles(e.at, (ask.tile_ms, ask.tiles), seen.end):
            sums[e.at // ask.tile_ms] = sums.get(e.at // ask.tile_ms, 0) + told(e, ask)
    bad = [tick for tick, sum_ in sums.items() if sum_ > 0]
    if not bad:
        return -1.0
    return max(seen.end - (max(bad) if ask.current else min(bad)) * ask.tile_ms, 0) / DAY


def streak(ask: Ask, seen: Sight) -> float:
    """Of whole tiles, the newest first, until one has an event that is not known as bad."""
    late = ask.delay // ask.tile_ms
    inside = [
        e
        for e in seen.events
        if in_tiles(e.at, (ask.tile_ms, ask.tiles + late), seen.end)
        and not in_tiles(e.at, (ask.tile_ms, late), seen.end)
    ]
    found = 0
    for tick in sorted({e.at // ask.tile_ms for e in inside}, reverse=True):
        tile = [e for e in inside if e.at // ask.tile_ms == tick]
        bad = sum(told(e, ask) for e in tile)
        if bad < sum(counts(e, ask) for e in tile):
            break
        found += bad
    return found


def counterparties(spec: Spec, ask: Ask, seen: Sight, before: list[Happening], event: Happening) -> float:
    window = ask.tile_ms, ask.tiles

    def hashes(events: list[Happening]) -> set[int]:
        return {e.others[ask.slot] for e in events if e.others[ask.slot] and in_tiles(e.at, window, seen.end)}

    if ask.what == "distinct":
        return how_many(hashes(seen.events), spec.exact)
    own, known = event.others[ask.slot], hashes(before)
    mine = {own} if in_tiles(event.at, window, seen.end) else set()
    return float(own != 0 and own not in known and sum(h < own for h in known | mine) < spec.exact)


def since_last(spec: Spec, seen: Sight, before: list[Happening], event: Happening) -> float:
    newest = max((e.at for e in before), default=-1)
    known = newest >= 0 and seen.inside(newest, spec.longest)
    return max(event.at - newest, 0) / 1000 if known else -1.0


def since_first(spec: Spec, seen: Sight, _before: list[Happening], event: Happening) -> float:
    held = [e.at for e in seen.events if seen.inside(e.at, spec.longest)]
    return max(event.at - min(held), 0) / 1000 if held else 0.0


def span(spec: Spec, seen: Sight, _before: list[Happening], _event: Happening) -> float:
    held = [e.at for e in seen.events if seen.inside(e.at, spec.longest)]
    return max(max(e.at for e in seen.events) - min(held), 0) / 1000 if held else 0.0


RECENT = ("recent_amount", "recent_gap", "recent_same")
TIMES = {"since_last": since_last, "since_first": since_first, "span": span}


def place(amount: int) -> int:
    """1 + the largest i with 2^i <= amount^32; 0 for nothing."""
    return (amount**32).bit_length() if amount > 0 else 0


def how_many(hashes: set[int], exact: int) -> float:
    if len(hashes) <= exact:
        return float(len(hashes))
    kth = sorted(hashes)[exact]
    return float(max(round(exact * 2**30 / kth), exact + 1))
