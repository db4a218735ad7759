"""Fields: the integers that tiles add up, each a function of one entry.

An entry tells its time, an amount, the kinds of its event (bits), and the place of its amount on the log scale. A field
takes one number of that, of the kinds that count, less the same of the kinds that take back. Fields with the same base
and kinds are one field, however many features read it. The price: eight bytes of every tile each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from features.feature import ABSENT, ANY_KIND, Measure, Merge
from features.window import DAY_MS

Ints = npt.NDArray[np.int64]

ONE, AMOUNT, PLACE, SQUARE, COSINE, SINE = "count", "sum", "log", "log2", "cos", "sin"
CIRCLE = 96  # quarters of an hour of a day
UNIT = 1024  # of a cosine
_ANGLES = [2 * math.pi * (slot + 0.5) / CIRCLE for slot in range(CIRCLE)]
_COSINES = np.array([round(UNIT * math.cos(angle)) for angle in _ANGLES])
_SINES = np.array([round(UNIT * math.sin(angle)) for angle in _ANGLES])
CIRCLES = np.array([_COSINES, _SINES])
"""(2, CIRCLE) int64."""


@dataclass(frozen=True)
class Field:
    """One number of a tile. `less`: the kinds of event that take one back."""

    base: str
    kinds: int = ANY_KIND
    less: int = 0
    merge: Merge = "sum"
    measure: Measure | None = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        """As a dump of the state calls it."""
        kinds = "" if self.kinds == ANY_KIND else f"#{self.kinds:x}"
        return self.base + kinds + (f"-{self.less:x}" if self.less else "")


def largest(base: str, kinds: int) -> Field:
    """The largest amount."""
    return Field("max" if base == AMOUNT else base, kinds, merge="max")


def measured(measure: Measure, kinds: int) -> Field:
    """A measure of a user's own."""
    return Field(f"{measure.name}", kinds, merge=measure.merge, measure=measure)


def values(fields: Sequence[Field], at: Ints, amount: Ints, flags: Ints, place: Ints) -> Ints:
    """(len(fields), m) what events count for; ABSENT where a peak has nothing."""
    found = np.empty((len(fields), len(at)), np.int64)
    for row, one in zip(found, fields, strict=True):
        row[:] = _base(one, at, amount, flags, place)
        if one.kinds != ANY_KIND:
            _only(row, one, flags)
    return found


def _only(row: Ints, one: Field, flags: Ints) -> None:
    counts = (flags & one.kinds) != 0
    if one.merge == "sum":
        row *= counts.astype(np.int64) - ((flags & one.less) != 0) if one.less else counts
    else:
        row[~counts] = ABSENT


def _base(one: Field, at: Ints, amount: Ints, flags: Ints, place: Ints) -> Ints | int:
    if one.measure is not None:
        measured = one.measure.of(at, amount, flags)
        return -measured if one.merge == "min" else measured
    if one.base == ONE:
        return 1
    if one.base in (COSINE, SINE):
        table = _COSINES if one.base == COSINE else _SINES
        return table[at % DAY_MS * CIRCLE // DAY_MS]
    return {AMOUNT: amount, "max": amount, PLACE: place, SQUARE: place * place}[one.base]


def measures(fields: Sequence[Field], at: Ints, amount: Ints, flags: Ints) -> Ints:
    """(m, len(fields)) what events count for by a group's own measures, of whatever kind they are."""
    found = np.empty((len(at), len(fields)), np.int64)
    for nth, one in enumerate(fields):
        found[:, nth] = _base(one, at, amount, flags, at)
    return found
