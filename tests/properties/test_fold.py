"""The fold equals the oracle, at any moment of compaction, for any cut into ranges, in any order of arrival."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.bag import Numbers
from features.compact import canonical, compact
from features.entry import Own
from features.feature import (
    ABSENT,
    MONEY,
    RECENCY,
    Count,
    Distinct,
    Feature,
    Habit,
    Known,
    Mean,
    Measure,
    Measured,
    New,
    Outlying,
    Ratio,
    Read,
    Share,
    SinceKnown,
    Span,
    Streak,
    Sum,
    Usual,
)
from features.fold import fold
from features.group import Group
from features.logscale import place
from features.payload import payloads
from features.sequence import recent
from features.window import EVER, Window
from tests.oracle.shelf import Shelf
from tests.oracle.windows import Ask, Entity, Happening, Spec

WINDOWS = (Window("3s", 1_000, 3), Window("20s", 5_000, 4), Window("40s", 20_000, 2))
SHORT, MIDDLE, LONG = WINDOWS
SQUARES = Measured(Measure("squares", lambda _at, amount, _flags: amount * amount))
CHECKOUT = Measured(Measure("checkout", lambda at, _a, flags: np.where(flags & 2 != 0, at, ABSENT), "min"))
FRAUD, CLEARED = 1, 2
NAMES: dict[type[Read], str] = {type(read): read.label for read in MONEY}


def money(window: Window) -> list[tuple[Feature, Ask]]:
    return [(Feature(read, window), Ask(NAMES[type(read)], window.tile_ms, window.tiles)) for read in MONEY]


def asked(read: Read, window: Window, what: str, **more: Any) -> tuple[Feature, Ask]:
    """A feature and the same in the oracle's words; what they share is said once."""
    shared = {"of": more.pop("of", 255), "current": more.pop("current", True)}
    delay = more.pop("delay", 0)
    name = f"g_{what}_{window.name}_{shared['of']}_{delay}_{shared['current']}"
    ask = Ask(what, window.tile_ms, window.tiles, delay=delay, **shared, **more)
    return Feature(read, window, delay_ms=delay, name=name, **shared), ask


def plain(forever: bool) -> list[tuple[Feature, Ask]]:
    pairs = [pair for window in (*WINDOWS, EVER)[: 3 + forever] for pair in money(window)]
    for slot, other in enumerate("ab"):
        pairs += [
            (Feature(Distinct(other), window), Ask("distinct", window.tile_ms, window.tiles, slot=slot))
            for window in (SHORT, MIDDLE)
        ]
    times = zip((*RECENCY, Feature(Span())), ("since_last", "since_first", "span"), strict=True)
    return pairs + [(feature, Ask(what)) for feature, what in times]


MEASURES = [
    asked(SQUARES, LONG, "own", own=lambda e: e.amount * e.amount),
    asked(CHECKOUT, MIDDLE, "own", own=lambda e: e.at if e.flags & 2 else None, least=True),
]
FILTERED = [
    asked(Count(), MIDDLE, "count", of=2),
    asked(Mean(), LONG, "mean", of=1),
    asked(Sum(), MIDDLE, "sum", current=False),
    asked(Count(), SHORT, "count", delay=3_000),
    asked(Count(), MIDDLE, "count", delay=20_000, of=1, current=False),
    asked(Ratio(LONG), SHORT, "ratio", to=(LONG.tile_ms, LONG.tiles)),
]
LABELLED = [
    asked(Share(FRAUD, CLEARED), MIDDLE, "share", bad=FRAUD, less=CLEARED, delay=5_000),
    asked(Share(FRAUD, prior=0.25, weight=3), LONG, "share", bad=FRAUD, prior=0.25, weight=3.0, of=2),
    asked(Known(FRAUD, CLEARED), LONG, "known", bad=FRAUD, less=CLEARED),
    asked(SinceKnown("last", FRAUD, CLEARED), LONG, "since", bad=FRAUD, less=CLEARED),
    asked(Streak(FRAUD, CLEARED), MIDDLE, "streak", bad=FRAUD, less=CLEARED, delay=5_000),
    asked(Streak(FRAUD), MIDDLE, "streak", bad=FRAUD, delay=10_000, of=2),
    (
        Feature(SinceKnown("first", FRAUD, CLEARED), MIDDLE),
        Ask("since", MIDDLE.tile_ms, MIDDLE.tiles, bad=FRAUD, less=CLEARED, current=False),
    ),
]
HABITS = [asked(Habit(), LONG, "habit"), asked(New("a"), MIDDLE, "new", slot=0), asked(New("b"), SHORT, "new", slot=1)]
USUAL = [asked(Usual(), LONG, "usual"), asked(Outlying(), MIDDLE, "outlying", of=2)]
FACTS = {"amount": "recent_amount", "gap_s": "recent_gap", "same_a": "recent_same", "same_b": "recent_same"}


def sequences(n: int, of: int = 255) -> list[tuple[Feature, Ask]]:
    """The newest `n` of these kinds, with both their counterparties."""
    asks = [
        Ask(what, of=of, nth=nth, slot=int(name.endswith("b")))
        for name, what in FACTS.items()
        for nth in range(1, n + 1)
    ]
    return list(zip(recent(n, "ab", of), asks, strict=True))


SORTS = {"plain": [], "measures": MEASURES, "filtered": FILTERED, "labelled": LABELLED, "habits": HABITS}


@dataclass(frozen=True)
class Shape:
    """What of a group the claims are tried on."""

    grace: int
    exact: int
    sort: str
    forever: bool
    keep: int = 0

    @property
    def pairs(self) -> list[tuple[Feature, Ask]]:
        return plain(self.forever) + SORTS[self.sort] + (USUAL + sequences(self.keep) if self.keep else [])

    @property
    def group(self) -> Group:
        features = tuple(feature for feature, _ in self.pairs)
        cap = max(24, self.keep + 1)
        return Group(
            "g",
            3,
            "who",
            features,
            exact=self.exact,
            grace_ms=self.grace,
            forever=self.forever,
            keep=self.keep,
            cap=cap,
        )

    @property
    def spec(self) -> Spec:
        longest = (0, 0) if self.forever else (LONG.tile_ms, LONG.tiles)
        started = (LONG.tile_ms, LONG.tiles)
        return Spec([ask for _, ask in self.pairs], self.exact, self.grace, longest, self.keep, started=started)


def happenings(*, at_once: bool = False) -> st.SearchStrategy[Happening]:
    """Times crowd around the edges of tiles: t = 100 s is where tiles of 1, 5 and 20 s all begin; many `at_once`."""
    base = st.sampled_from([100_000, 101_000, 105_000, 120_000, 140_000, 200_000])
    beside = st.integers(-3, 3) | st.integers(-30_000, 30_000)
    at = st.builds(lambda b, d: b + d, base, st.just(0) | beside if at_once else beside)
    other = st.integers(0, 6).map(lambda i: i * 111_111_111)
    amount = st.integers(-50, 50) | st.integers(0, 10_000_000)
    return st.builds(Happening, at, amount, st.integers(0, 3), st.tuples(other, other))


class Replay:
    """Feeds events to the fold through a shelf, beside the oracle."""

    def __init__(self, shape: Shape) -> None:
        self.group, self.spec, self.shelf = shape.group, shape.spec, Shelf()
        self.truth: dict[str, Entity] = {}

    def range(self, events: list[tuple[str, Happening]]) -> None:
        """One range: what the fold says must be what the oracle says, now and when the range is repeated."""
        keys = list(dict.fromkeys(key for key, _ in events))
        own = own_of([event for _, event in events], [keys.index(key) for key, _ in events])
        expected = [self.truth.setdefault(key, Entity()).tell(self.spec, event) for key, event in events]
        number, before = self.shelf.apply(dict(zip(keys, payloads(self.group, own, len(keys)), strict=True)))
        limit = np.full(len(keys), number, np.uint64)
        for bags in ([before[key] for key in keys], [self.shelf.bags[key] for key in keys]):
            found = fold(self.group, bags, limit, own)
            np.testing.assert_allclose(found, np.array(expected, float), rtol=1e-12, atol=1e-12)

    def compact(self, key: str, back: int) -> None:
        """Folds what was stamped up to `back` ranges ago."""
        bag = self.shelf.bags.get(key)
        if bag is not None:
            done = compact(self.group, [bag], np.array([self.shelf.number + 1 - 7 * back], np.uint64))[0]
            if done is not None:
                self.shelf.swap(key, done.prefix, done.replacement)


def own_of(events: list[Happening], owner: list[int]) -> Own:
    amount = np.array([e.amount for e in events], np.int64)
    others = np.array([e.others for e in events], np.int64).T
    at, flags = (np.array(x, np.int64) for x in ([e.at for e in events], [e.flags for e in events]))
    return Own.of(np.array(owner, np.int64), at, amount, flags, place(amount), others)


Step = list[tuple[str, Happening]] | tuple[str, int]  # a range, or a compaction and how far back it stops

steps: st.SearchStrategy[list[Step]] = st.lists(
    st.lists(st.tuples(st.sampled_from("xyz"), happenings(at_once=True)), min_size=1, max_size=8)
    | st.tuples(st.sampled_from("xyz"), st.integers(0, 3)),
    max_size=12,
)
sorts = st.sampled_from(list(SORTS))
graces = st.sampled_from([0, 2_000, 7_500])
shapes = st.builds(Shape, graces, st.integers(1, 4), sorts, st.booleans(), st.sampled_from([0, 1, 3, 6]))


@given(shape=shapes, steps=steps)
@settings(max_examples=200, deadline=None)
def test_the_fold_equals_the_oracle_whenever_bags_are_compacted(shape: Shape, steps: list[Step]) -> None:
    replay = Replay(shape)
    for step in steps:
        if isinstance(step, tuple):
            replay.compact(*step)
        else:
            replay.range(step)


@given(shape=shapes, events=st.lists(happenings(), min_size=1, max_size=20), data=st.data())
@settings(max_examples=100, deadline=None)
def test_a_bag_means_the_same_whatever_the_order_of_arrival_and_the_moments_of_compaction(
    shape: Shape, events: list[Happening], data: st.DataObject
) -> None:
    group = shape.group
    meanings = []
    for order in (events, data.draw(st.permutations(events))):
        replay = Replay(shape)
        for event in order:
            replay.range([("x", event)])
            if data.draw(st.booleans()):
                replay.compact("x", data.draw(st.integers(0, 3)))
        meanings.append(canonical(group, replay.shelf.bags["x"]))
    assert meanings[0] == meanings[1]


@given(shape=shapes, events=st.lists(happenings(), min_size=1, max_size=12), cut=st.integers(0, 12))
@settings(max_examples=40, deadline=None)
def test_where_a_range_is_cut_does_not_matter(shape: Shape, events: list[Happening], cut: int) -> None:
    group = shape.group
    keyed = [("x", event) for event in events]
    whole, split = Replay(shape), Replay(shape)
    whole.range(keyed)
    for part in (keyed[:cut], keyed[cut:]):
        if part:
            split.range(part)
    assert canonical(group, whole.shelf.bags["x"]) == canonical(group, split.shelf.bags["x"])


@pytest.mark.parametrize("events", [5, 33, 200])
@pytest.mark.parametrize("sort", list(SORTS))
@pytest.mark.parametrize("keep", [0, 5, 70])
def test_a_hot_entity_is_folded_before_it_is_sent_and_nothing_changes(events: int, sort: str, keep: int) -> None:
    replay = Replay(Shape(grace=2_000, exact=4, sort=sort, forever=True, keep=keep))
    rng = np.random.default_rng(events)
    for step in range(4):
        at = 100_000 + 9_000 * step + rng.integers(-2_000, 10_000, events)
        others = rng.integers(0, 200, (events, 2)) * 5_000_001
        hot = [Happening(int(t), int(a), int(f), (int(o), int(p))) for t, a, f, (o, p) in
               zip(at, rng.integers(0, 10**7, events), rng.integers(0, 4, events), others, strict=True)]  # fmt: skip
        replay.range([("xy"[int(i == 3)], event) for i, event in enumerate(hot)])
        if step == 2:
            replay.compact("x", 1)
    unfolded = own_of(hot, [0] * events)
    entries = Shelf()
    for i in range(events):
        one = Own(unfolded.table[:, [i]].copy(), unfolded.others[:, [i]].copy())
        entries.apply({"x": payloads(replay.group, one, 1)[0]})
    folded = Shelf()
    folded.apply({"x": payloads(replay.group, unfolded, 1)[0]})
    assert canonical(replay.group, folded.bags["x"]) == canonical(replay.group, entries.bags["x"])
    assert events < 100 or keep > 5 or len(folded.bags["x"]) < len(entries.bags["x"]) // 2


def test_a_tile_of_a_single_field_travels_as_one_entry_beside_the_newest_event() -> None:
    group = Group("g", 3, "who", (Feature(Count(), MIDDLE),), grace_ms=0)
    hot = own_of([Happening(100_000 + i) for i in range(80)], [0] * 80)
    shelf = Shelf()
    shelf.apply({"x": payloads(group, hot, 1)[0]})
    assert len(shelf.bags["x"]) == 2 * 40
    [row] = fold(group, [shelf.bags["x"]], np.array([2**62], np.uint64), own_of([Happening(100_090)], [0]))
    assert row.tolist() == [81.0]


def test_a_hot_entity_names_counterparties_of_three_kinds() -> None:
    features = tuple(Feature(Distinct(other), window) for other in "abc" for window in (SHORT, MIDDLE))
    group = Group("g", 3, "who", (Feature(Count(), MIDDLE), *features), grace_ms=0, exact=8)
    hot = [Happening(100_000 + 300 * i, 100, 1, (1 + i % 2, 11 + i % 3, 101 + i % 4)) for i in range(40)]
    folded, entries = Shelf(), Shelf()
    folded.apply({"x": payloads(group, own_of(hot, [0] * 40), 1)[0]})
    for event in hot:
        entries.apply({"x": payloads(group, own_of([event], [0]), 1)[0]})
    assert len(folded.bags["x"]) < len(entries.bags["x"]) / 2
    assert canonical(group, folded.bags["x"]) == canonical(group, entries.bags["x"])
    [row] = fold(group, [folded.bags["x"]], np.array([2**62], np.uint64), own_of(hot[-1:], [0]))
    assert row.tolist()[2::2] == [2.0, 3.0, 4.0]


PAID, KNOWN, UNKNOWN = 1, 2, 4
TOLD = (
    asked(Count(), MIDDLE, "count", of=PAID),
    asked(Mean(), LONG, "mean", of=PAID),
    asked(Share(KNOWN, UNKNOWN), MIDDLE, "share", of=PAID, bad=KNOWN, less=UNKNOWN),
    asked(Share(KNOWN, UNKNOWN), SHORT, "share", of=PAID, bad=KNOWN, less=UNKNOWN, delay=3_000),
    asked(Usual(), LONG, "usual", of=PAID),
    asked(Streak(KNOWN, UNKNOWN), MIDDLE, "streak", of=PAID, bad=KNOWN, less=UNKNOWN, delay=5_000),
    (
        Feature(SinceKnown("last", KNOWN, UNKNOWN), LONG),
        Ask("since", LONG.tile_ms, LONG.tiles, bad=KNOWN, less=UNKNOWN),
    ),
)


@dataclass(frozen=True)
class Outcomes(Shape):
    """Payments, and what became of them: entries that are dated like their payment."""

    @property
    def group(self) -> Group:
        features = tuple(feature for feature, _ in TOLD)
        return Group("g", 3, "who", features, grace_ms=self.grace, keep=self.keep)

    @property
    def spec(self) -> Spec:
        return Spec([ask for _, ask in TOLD], 32, self.grace, (LONG.tile_ms, LONG.tiles), self.keep, PAID)


def life(dice: random.Random, payments: int) -> list[Happening]:
    """Payments in some order, each told later as fraud, as none, and so on, a few times."""
    events = []
    for _ in range(payments):
        at = 100_000 + dice.randint(0, 60_000)
        events.append((dice.random(), Happening(at, dice.randint(1, 9_999), PAID)))
        moment = events[-1][0]
        for turn in range(dice.choice((0, 0, 1, 2, 3))):
            moment += dice.random()
            events.append((moment, Happening(at, 0, UNKNOWN if turn % 2 else KNOWN)))
    return [event for _, event in sorted(events, key=lambda pair: pair[0])]


@pytest.mark.parametrize("keep", [1, 3, 6])
@pytest.mark.parametrize("seed", range(12))
def test_what_became_of_a_payment_takes_no_payments_place(keep: int, seed: int) -> None:
    dice = random.Random(seed)
    replay = Replay(Outcomes(grace=2_000, exact=4, sort="plain", forever=False, keep=keep))
    for event in life(dice, 25):
        replay.range([("x", event)])
        if dice.random() < 0.3:
            replay.compact("x", dice.randint(0, 2))


def test_taken_back_is_as_if_it_had_never_been_told_however_often() -> None:
    shape = Outcomes(grace=0, exact=4, sort="plain", forever=False, keep=3)
    paid = [Happening(100_000 + 7_000 * i, 100 + i, PAID) for i in range(8)]
    once = [Happening(e.at, 0, KNOWN) for e in paid[::2]]
    often = [Happening(e.at, 0, flag) for e in paid[::2] for flag in (KNOWN, UNKNOWN, KNOWN)]
    often += [Happening(paid[7].at, 0, flag) for flag in (KNOWN, UNKNOWN)]
    meanings = []
    for told in (once, often):
        replay = Replay(shape)
        for event in (*paid, *told):
            replay.range([("x", event)])
        meanings.append(canonical(shape.group, replay.shelf.bags["x"]))
    assert meanings[0] == meanings[1]


ranges = st.lists(st.lists(happenings(), min_size=1, max_size=4), min_size=2, max_size=6)


@given(shape=shapes, ranges=ranges, data=st.data())
@settings(max_examples=100, deadline=None)
def test_a_range_repeated_under_its_old_number_answers_as_it_did(
    shape: Shape, ranges: list[list[Happening]], data: st.DataObject
) -> None:
    """Whatever was appended since, and whatever was compacted below its number."""
    group, shelf = shape.group, Shelf()
    taken: list[tuple[Numbers, Own, bytes]] = []
    for events in ranges:
        own = own_of(events, [0] * len(events))
        number, before = shelf.apply({"x": payloads(group, own, 1)[0]})
        limit = np.array([number], np.uint64)
        taken.append((limit, own, fold(group, [before["x"]], limit, own).tobytes()))
    again = data.draw(st.integers(0, len(ranges) - 1))
    limit, own, answer = taken[again]
    for below in sorted(data.draw(st.lists(st.integers(0, again), max_size=3))):
        done = compact(group, [shelf.bags["x"]], taken[below][0])[0]
        if done is not None:
            shelf.swap("x", done.prefix, done.replacement)
    assert fold(group, [shelf.bags["x"]], limit, own).tobytes() == answer
