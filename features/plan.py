"""Plans: the features of a group as tables of integers, which is what the kernel of the fold goes by.

    fields     base, kinds, less (as in features/fields.py); the sums first
    windows    tile ms, tiles, reach ms
    terms      field, window, the window taken off (-1: none), whether the event's own share is taken off
    columns    what is told (`Told`), then up to five places in the tables above
    constants  the numbers of a column that are no integers

A term is an integer that several columns may be made of: a field over a window, less the same over a later one where
the feature is delayed. The price: a new kind of read has a line here and a branch in features/kernel/folding.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from features import feature as read
from features.feature import Feature
from features.fields import AMOUNT, COSINE, ONE, PLACE, SINE, SQUARE, Field, largest, measured
from features.sequence import Recent, RecentAmount, RecentGap, RecentSame
from features.window import Window

Ints = npt.NDArray[np.int64]
Floats2d = npt.NDArray[np.float64]


class Base(IntEnum):
    """What a field takes of an entry; GIVEN + i is the i-th measure of the group's own."""

    ONE = 0
    AMOUNT = 1
    PLACE = 2
    SQUARE = 3
    COSINE = 4
    SINE = 5
    GIVEN = 6


class Told(IntEnum):
    """What a column tells, and of which places (a to e) and constants."""

    PLAIN = 0  # term
    QUOTIENT = 1  # terms of top and below; plus, more, least, scale: (top + plus) * scale / max(below + more, least)
    SPREAD = 2  # terms of count, places, squares
    HABIT = 3  # terms of count, cosine, sine
    PEAK = 4  # field, window, negated; where there is none
    USUAL = 5  # fields of count and place, window, in own spreads
    SINCE = 6  # field, window, the last
    DISTINCT = 7  # slot, window
    NEW = 8  # slot, window
    SINCE_LAST = 9
    SINCE_FIRST = 10
    STREAK = 11  # fields of what is bad and of count, the window and the one taken off
    SPAN = 12
    RECENT_AMOUNT = 13  # fields of count and amount, window, which, slot; where there is none
    RECENT_GAP = 14  # the same
    RECENT_SAME = 15  # the same


BASES = {ONE: Base.ONE, AMOUNT: Base.AMOUNT, "max": Base.AMOUNT, PLACE: Base.PLACE, SQUARE: Base.SQUARE}
BASES |= {COSINE: Base.COSINE, SINE: Base.SINE}
RECENT = {RecentAmount: Told.RECENT_AMOUNT, RecentGap: Told.RECENT_GAP, RecentSame: Told.RECENT_SAME}
TIMES = {read.SinceLast: Told.SINCE_LAST, read.SinceFirst: Told.SINCE_FIRST, read.Span: Told.SPAN}


@dataclass(frozen=True, eq=False)
class Plan:
    """The tables; see the top of this file."""

    fields: Ints
    windows: Ints  # those that rows are summed over come first
    summed: Ints  # those
    counted: Ints  # those that counterparties are counted in
    ladder: Ints  # widths of tiles, ms
    terms: Ints
    columns: Ints
    constants: Floats2d
    measures: tuple[Field, ...]  # what the kernel cannot compute, in the order of GIVEN


Line = tuple[Told, Sequence[int], Sequence[float]]


class _Tables:
    """Where everything is, and the terms collected so far, each once.

    `longest`: of the windows with a start that rows are summed over; of what is older nothing may be left.
    """

    def __init__(
        self, fields: Sequence[Field], summed: Sequence[Window], counted: Sequence[Window], others: Sequence[str]
    ) -> None:
        self.fields = {field: place for place, field in enumerate(fields)}
        self.windows = {window: place for place, window in enumerate(dict.fromkeys((*summed, *counted)))}
        self.longest = self.windows[max((w for w in summed if w.tiles), key=lambda w: w.reach_ms)]
        self.others = {other: slot for slot, other in enumerate(others)}
        self.terms: dict[tuple[int, int, int, bool], int] = {}

    def term(self, field: Field, feature: Feature, over: Window | None = None) -> int:
        window = feature.over if over is None else over
        late = -1
        if feature.delay_ms:
            far, near = window.behind(feature.delay_ms)
            window, late = far, self.windows[near]
        own = not feature.current or isinstance(feature.read, read.Habit)
        found = (self.fields[field], self.windows[window], late, own)
        return self.terms.setdefault(found, len(self.terms))


def plan_of(
    features: Iterable[Feature],
    fields: Sequence[Field],
    summed: Sequence[Window],
    counted: Sequence[Window],
    others: Sequence[str],
    ladder: Sequence[int],
) -> Plan:
    """The tables of a group's features: of the fields of its tiles, the windows that rows are summed over and that its
    counterparties are counted in, and how wide its tiles are.
    """
    tables = _Tables(fields, summed, counted, others)
    lines = [_line(tables, feature) for feature in features]
    measures = tuple(field for field in fields if field.measure is not None)
    return Plan(
        fields=_table([(_base(field, measures), field.kinds, field.less) for field in fields], 3),
        windows=_table(map(_line_of, tables.windows), 3),
        summed=_table(map(_line_of, summed), 3),
        counted=_table(map(_line_of, counted), 3),
        ladder=np.array(ladder, np.int64),
        terms=_table(tables.terms, 4),
        columns=_table([(told, *places) for told, places, _ in lines], 6),
        constants=np.array([(*constants, *[0.0] * (4 - len(constants))) for *_, constants in lines]).reshape(-1, 4),
        measures=measures,
    )


def _table(rows: Iterable[Sequence[int]], width: int) -> Ints:
    return np.array([(*row, *[-1] * (width - len(row))) for row in rows], np.int64).reshape(-1, width)


def _line_of(window: Window) -> Sequence[int]:
    return window.tile_ms, window.tiles, window.reach_ms


def _base(field: Field, measures: Sequence[Field]) -> int:
    return BASES[field.base] if field.measure is None else Base.GIVEN + measures.index(field)


def _line(tables: _Tables, feature: Feature) -> Line:
    """One column."""
    of, kinds = feature.read, feature.of
    if isinstance(of, read.Count | read.Sum | read.Known):
        return Told.PLAIN, (tables.term(_added(of, kinds), feature),), ()
    if isinstance(of, read.Mean | read.Ratio | read.Share):
        return _quotient(tables, feature)
    if isinstance(of, read.Spread):
        return Told.SPREAD, [tables.term(Field(base, kinds), feature) for base in (ONE, PLACE, SQUARE)], ()
    if isinstance(of, read.Habit):
        return Told.HABIT, [tables.term(Field(base, kinds), feature) for base in (ONE, COSINE, SINE)], ()
    window = tables.windows.get(feature.over, -1)
    if isinstance(of, read.Max):
        return Told.PEAK, (tables.fields[largest(AMOUNT, kinds)], window, False), (0.0,)
    if isinstance(of, read.Measured):
        field = measured(of.measure, kinds)
        if field.merge == "sum":
            return Told.PLAIN, (tables.term(field, feature),), ()
        return Told.PEAK, (tables.fields[field], window, of.measure.merge == "min"), (-1.0,)
    if isinstance(of, read.Usual | read.Outlying):
        one, place = tables.fields[Field(ONE, kinds)], tables.fields[Field(PLACE, kinds)]
        return Told.USUAL, (one, place, window, isinstance(of, read.Outlying)), ()
    if isinstance(of, read.SinceKnown):
        return Told.SINCE, (tables.fields[Field(ONE, of.bad, of.less)], window, of.which == "last"), ()
    if isinstance(of, read.Streak):
        far, near = (tables.windows[window] for window in feature.over.behind(feature.delay_ms))
        return (
            Told.STREAK,
            (tables.fields[Field(ONE, of.bad, of.less)], tables.fields[Field(ONE, kinds)], far, near),
            (),
        )
    if isinstance(of, read.Distinct | read.New):
        told = Told.DISTINCT if isinstance(of, read.Distinct) else Told.NEW
        return told, (tables.others[of.of], window), ()
    if isinstance(of, Recent):
        return _recent(tables, of, kinds)
    return TIMES[type(of)], (), ()


def _recent(tables: _Tables, of: Recent, kinds: int) -> Line:
    one, amount = tables.fields[Field(ONE, kinds)], tables.fields[Field(AMOUNT, kinds)]
    slot = tables.others[of.of] if isinstance(of, RecentSame) else -1
    none = 0.0 if isinstance(of, RecentAmount) else -1.0
    return RECENT[type(of)], (one, amount, tables.longest, of.nth - 1, slot), (none,)


def _added(of: read.Count | read.Sum | read.Known, kinds: int) -> Field:
    if isinstance(of, read.Known):
        return Field(ONE, of.bad, of.less)
    return Field(ONE if isinstance(of, read.Count) else AMOUNT, kinds)


def _quotient(tables: _Tables, feature: Feature) -> Line:
    of, kinds = feature.read, feature.of
    one, plus, more, least, scale = Field(ONE, kinds), 0.0, 0.0, 1.0, 1.0
    if isinstance(of, read.Ratio):
        top, below = tables.term(one, feature), tables.term(one, feature, of.to)
        scale = of.to.reach_ms / feature.over.reach_ms
    elif isinstance(of, read.Share):
        top, below = tables.term(Field(ONE, of.bad, of.less), feature), tables.term(one, feature)
        plus, more, least = of.prior * of.weight, of.weight, of.weight or 1.0
    else:
        top, below = tables.term(Field(AMOUNT, kinds), feature), tables.term(one, feature)
    return Told.QUOTIENT, (top, below), (plus, more, least, scale)
