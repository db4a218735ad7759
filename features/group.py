"""Groups: an entity, the features told of it, and what its bag must hold for them. Adding a feature is one line.

A group keeps one bag (features/bag.py) per entity, say per card, with one entry per event. What a tile adds up (`sums`,
`peaks`), which counterparties an entry names (`others`), how wide tiles are (`ladder`) and which columns there are
follow from the features. The event itself is in its own windows (if its time is: a late one may be too old for a short
one). "Seen" is the order of arrival: the bag before the range, then the range's events of that entity in offset order.

The price: what an entry or a tile holds is fixed by the group (`layout` names that choice), so a change of the entity,
the counterparties or of which fields are kept needs another layout number, and then the old bags are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from features import feature as read
from features.feature import ANY_KIND, NO_WINDOW, Feature
from features.fields import (
    AMOUNT,
    COSINE,
    ONE,
    PLACE,
    SINE,
    SQUARE,
    Field,
    largest,
    measured,
)
from features.plan import Plan, plan_of
from features.sequence import Recent
from features.window import MINUTE_MS, SECOND_MS, Window

Ints = npt.NDArray[np.int64]

MOST_OTHERS = 3
MOST_LEVELS = 16
LAYOUTS = range(1, 32)


@dataclass(frozen=True)
class Group:
    """One kind of bag and the columns read of it.

    `entity` names the column of ids; with `many` an event has a tuple of them, and a feature is the largest of theirs.
    `exact`: how many counterparties are counted exactly. `keep`: the newest events of an entity that stay one by one,
    for windows that are exact among them. `forever`: what leaves the longest window is kept in one tile of totals.
    `cap`: entries that a bag may hold before it is worth compacting.
    """

    name: str
    layout: int
    entity: str
    features: tuple[Feature, ...]
    many: bool = False
    exact: int = 32
    keep: int = 0
    grace_ms: int = 10 * MINUTE_MS
    forever: bool = False
    cap: int = 24

    def __post_init__(self) -> None:
        _check(self)

    def __hash__(self) -> int:
        """Once for all, of the text: a feature is a tree of small objects, and a fold looks its group up every time."""
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash(self.definition)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Names of what `fold` gives, in the order of the features."""
        return tuple(feature.column(self.name) for feature in self.features)

    @cached_property
    def others(self) -> tuple[str, ...]:
        """The counterparties that an entry names, by first use."""
        return tuple(dict.fromkeys(f.read.other for f in self.features if f.read.other is not None))

    @cached_property
    def other_kinds(self) -> tuple[int, ...]:
        """Of each counterparty, the kinds of event whose it is."""
        kinds = {f.read.other: f.of for f in self.features}
        return tuple(kinds[other] for other in self.others)

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """What a tile holds: those that add up, then those of which the largest counts."""
        found = dict.fromkeys(field for feature in self.features for field in _fields(feature))
        if self.keep:
            found[self.event] = None
        return tuple(sorted(found, key=lambda field: field.merge != "sum"))

    @cached_property
    def sums(self) -> tuple[Field, ...]:
        return tuple(field for field in self.fields if field.merge == "sum")

    @cached_property
    def peaks(self) -> tuple[Field, ...]:
        """Merged by maximum; a minimum is the maximum of its negative."""
        return tuple(field for field in self.fields if field.merge != "sum")

    @cached_property
    def event(self) -> Field:
        """What makes an entry an event of its own: of a kind that some feature counts.

        An entry that only says what became of another, such as an outcome, is none: it takes nobody's place among those
        that are kept one by one. How often something was taken back depends on more than the events.
        """
        kinds = 0
        for feature in self.features:
            tells_more = isinstance(feature.read, read.Known | read.SinceKnown) or feature.read.other is not None
            if isinstance(feature.read, Recent) or (feature.read.windowed and not tells_more):
                kinds |= feature.of
        return Field(ONE, kinds or ANY_KIND)

    @cached_property
    def tile_words(self) -> int:
        """Eight-byte words of a tile: its first time with its level, then the fields."""
        return 1 + len(self.fields)

    @cached_property
    def summed(self) -> tuple[Window, ...]:
        """Every window that rows are summed up over, those of delays among them."""
        return tuple(dict.fromkeys(window for feature in self.features for window in _windows(feature)))

    @cached_property
    def counted(self) -> tuple[Window, ...]:
        """The windows that counterparties are looked up in."""
        return tuple(dict.fromkeys(f.over for f in self.features if f.read.other is not None and f.read.windowed))

    @cached_property
    def ladder(self) -> tuple[int, ...]:
        """Tile widths, finest first; each divides the next."""
        return tuple(sorted({w.tile_ms for w in (*self.summed, *self.counted) if w.tiles}))

    @cached_property
    def horizon(self) -> Window:
        """The longest window: what is outside it is as if it had never been seen."""
        return max(self.summed, key=lambda w: (w.tiles == 0, w.reach_ms))

    @cached_property
    def longest_ms(self) -> int:
        """How far back the longest window with a start may reach: what a late event is judged by."""
        return max(w.reach_ms for w in (*self.summed, *self.counted))

    @cached_property
    def plan(self) -> Plan:
        """The features as tables of what to compute."""
        return plan_of(self.features, self.fields, self.summed, self.counted, self.others, self.ladder)

    @cached_property
    def numbers(self) -> tuple[int, int, int, int, int, int]:
        """What else the kernel goes by: how many fields add up, how many events are kept, the grace in ms, the field
        that makes an event of an entry, the longest window, the finest tile in ms.
        """
        event = self.fields.index(self.event) if self.keep else 0
        return len(self.sums), self.keep, self.grace_ms, event, self.summed.index(self.horizon), self.ladder[0]

    @cached_property
    def definition(self) -> str:
        """Everything that decides a value of `columns`, as text: part of a vector's hash."""
        parts = (self.name, self.layout, self.entity, self.many, self.exact, self.keep, self.grace_ms, self.forever)
        return repr((*parts, self.features))


def _fields(feature: Feature) -> Iterator[Field]:
    """What a tile must hold for a feature."""
    of, kinds = feature.read, feature.of
    if isinstance(of, read.Count | read.Ratio):
        yield Field(ONE, kinds)
    elif isinstance(of, read.Sum):
        yield Field(AMOUNT, kinds)
    elif isinstance(of, read.Mean):
        yield from (Field(ONE, kinds), Field(AMOUNT, kinds))
    elif isinstance(of, read.Max):
        yield largest(AMOUNT, kinds)
    elif isinstance(of, read.Spread):
        yield from (Field(ONE, kinds), Field(PLACE, kinds), Field(SQUARE, kinds))
    elif isinstance(of, read.Usual | read.Outlying):
        yield from (Field(ONE, kinds), Field(PLACE, kinds))
    elif isinstance(of, Recent):
        yield from (Field(ONE, kinds), Field(AMOUNT, kinds))
    elif isinstance(of, read.Habit):
        yield from (Field(ONE, kinds), Field(COSINE, kinds), Field(SINE, kinds))
    elif isinstance(of, read.Measured):
        yield measured(of.measure, kinds)
    elif isinstance(of, read.Share | read.Streak):
        yield from (Field(ONE, kinds), Field(ONE, of.bad, of.less))
    elif isinstance(of, read.Known | read.SinceKnown):
        yield Field(ONE, of.bad, of.less)


def _windows(feature: Feature) -> Iterator[Window]:
    """What rows are summed up over for a feature."""
    if feature.read.other is not None or not feature.read.windowed:
        return
    if feature.delay_ms:
        yield from feature.over.behind(feature.delay_ms)
    else:
        yield feature.over
    if isinstance(feature.read, read.Ratio):
        yield feature.read.to


class GroupError(ValueError):
    """A definition that cannot work; the message names the group, the value and the remedy."""


def _check(group: Group) -> None:
    where = f"group {group.name!r}"
    if not group.name.isidentifier():
        raise GroupError(f"{where}: the name goes into column names: want letters, digits and _")
    if group.layout not in LAYOUTS:
        raise GroupError(
            f"{where}: layout {group.layout}: want 1 to {LAYOUTS[-1]}, another one for each change of the layout"
        )
    if len(group.others) > MOST_OTHERS:
        raise GroupError(
            f"{where}: counterparties {', '.join(group.others)}: an entry holds at most {MOST_OTHERS}: "
            "give the others a group of their own over the same entity"
        )
    if not 1 <= group.exact <= 1024:
        raise GroupError(f"{where}: exact {group.exact}: want 1 to 1024 distinct counterparties counted exactly")
    if group.cap < 1 or group.grace_ms < 0:
        raise GroupError(f"{where}: cap {group.cap}, grace {group.grace_ms} ms: want at least 1 and at least 0")
    if not 0 <= group.keep < group.cap:
        raise GroupError(f"{where}: keep {group.keep}: want 0 or more, and less than the cap of {group.cap} entries")
    for feature in group.features:
        _check_feature(group, feature, f"{where}: {feature.column(group.name)}")
    _check_windows(group, where)


def _check_feature(group: Group, feature: Feature, where: str) -> None:
    of = feature.read
    if not 1 <= feature.of <= ANY_KIND:
        raise GroupError(f"{where}: of {feature.of:#x}: want bits of 0x1 to {ANY_KIND:#x}")
    if of.windowed != (feature.over is not NO_WINDOW):
        what = "needs a window: Feature(..., WINDOW_24H)" if of.windowed else "reads the longest window: give it none"
        raise GroupError(f"{where}: {what}")
    if _asks_beyond(feature):
        raise GroupError(
            f"{where}: what is older than every start is one tile of totals: give it a window with a start, such as "
            "WINDOW_30D"
        )
    additive = isinstance(of, read.Count | read.Sum | read.Mean | read.Spread | read.Share | read.Known | read.Ratio)
    additive |= isinstance(of, read.Measured) and of.measure.merge == "sum"
    if isinstance(of, read.Streak) and not feature.delay_ms:
        raise GroupError(f"{where}: an event whose label is not known yet would end it: give it a delay_ms")
    if (feature.delay_ms or not feature.current) and not (additive or isinstance(of, read.Habit | read.Streak)):
        raise GroupError(f"{where}: a delay or current=False takes sums: want a read that adds up, such as Count()")
    if feature.delay_ms < 0 or (feature.delay_ms and feature.delay_ms % max(feature.over.tile_ms, 1)):
        raise GroupError(
            f"{where}: a delay of {feature.delay_ms} ms: want a multiple of {feature.over.tile_ms}, the window's tile"
        )
    if isinstance(of, read.Usual | read.Outlying | Recent) and not group.keep:
        raise GroupError(f"{where}: reads the events that are kept one by one: give the group keep=16")
    if isinstance(of, Recent):
        _check_recent(group, of, where)
    if any(f.of != feature.of for f in group.features if of.other is not None and f.read.other == of.other):
        raise GroupError(f"{where}: counterparty {of.other!r} is read of two kinds of event: want one `of` for all")


def _asks_beyond(feature: Feature) -> bool:
    """Whether it asks for events, days or a length of time behind every start, of which a tile of totals tells none."""
    of = feature.read
    if isinstance(of, read.Ratio) and not of.to.tiles:
        return True
    needs = feature.delay_ms or isinstance(of, read.Usual | read.Outlying | read.SinceKnown | read.Ratio)
    return bool(needs) and not feature.over.tiles


def _check_recent(group: Group, of: Recent, where: str) -> None:
    if not 1 <= of.nth <= group.keep:
        raise GroupError(f"{where}: place {of.nth} among the newest events: want 1 to keep={group.keep}")
    if group.many:
        raise GroupError(f"{where}: a sequence is of one entity: an event of a group with many=True has several")


def _check_windows(group: Group, where: str) -> None:
    if not any(w.tiles for w in group.summed):
        raise GroupError(f"{where}: no window with a start: want at least one, such as Feature(Count(), WINDOW_24H)")
    for window in (*group.summed, *group.counted):
        if window.tiles < 0 or (window.tiles and window.tile_ms < SECOND_MS):
            raise GroupError(
                f"{where}: window {window.name!r}: {window.tiles} tiles of {window.tile_ms} ms: want >= 1,000 ms"
            )
    if not group.forever and any(w.tiles == 0 for w in group.summed):
        raise GroupError(f"{where}: a window without a start needs forever=True")
    if any(w.tiles == 0 for w in group.counted):
        raise GroupError(f"{where}: counterparties cannot be counted without a start: choose a window with one")
    if len(set(group.columns)) < len(group.columns):
        double = next(name for name in group.columns if group.columns.count(name) > 1)
        raise GroupError(f"{where}: two features are named {double!r}: give one of them a name")
    for fine, coarse in zip(group.ladder, group.ladder[1:], strict=False):
        if coarse % fine:
            raise GroupError(f"{where}: tiles of {fine} ms do not divide tiles of {coarse} ms: choose widths that do")
    if len(group.ladder) > MOST_LEVELS:
        raise GroupError(f"{where}: {len(group.ladder)} widths of tiles: want at most {MOST_LEVELS}")
