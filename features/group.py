"""Groups: what is remembered of an entity, and which aggregates are read of it. Adding one is a few lines.

A group keeps one bag (features/bag.py) per entity, say per card, with one entry per event. Windows are defined on
tiles: an entry is in a window iff

    floor(at / tile_ms) > floor(end / tile_ms) - tiles,    end = max(event at, newest at seen before - grace_ms)

so an entry may be merged with others of its tile without changing an answer. There is no upper cut: a window holds
everything known of the entity since its start, also what is dated later than the event; otherwise a back-dated order
would hide a burst. The event itself is in its own windows (if its time is: a late one may be too old for a short
window). "Seen" is the order of arrival: the bag before the range, then the range's events of that entity in offset
order.

The price: the old edge of a window is exact only to within one tile; and what an entry or a tile holds is fixed by the
group (`layout` names that choice), so a change of the entity, the counterparties, the extra measure or of which
fields are kept needs another layout number, and then the old bags are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

Aggregate = Literal["count", "sum", "mean", "max", "spread", "extra"]
Merge = Literal["sum", "min", "max"]

SECOND_MS = 1_000
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000

MOST_OTHERS = 3
MOST_LEVELS = 16
LAYOUTS = range(1, 32)
ANY_KIND = 0xFF


@dataclass(frozen=True)
class Window:
    """`tiles` tiles of `tile_ms`, the open one included; `tiles` = 0: everything ever seen (see `ever`).

    `aggregates` None: those of the group.
    """

    name: str
    tile_ms: int
    tiles: int
    aggregates: tuple[Aggregate, ...] | None = None

    @property
    def reach_ms(self) -> int:
        return self.tile_ms * self.tiles

    def cut(self, end: Ints) -> Ints:
        """(n,) ends -> (n,) first ms inside; 0 for a window without a start."""
        if self.tiles == 0:
            return np.zeros_like(end)
        return np.maximum((end // self.tile_ms - (self.tiles - 1)) * self.tile_ms, 0)


@dataclass(frozen=True)
class Extra:
    """One more integer per entry, `of(at_ms, amount, flags)`, merged by a rule that commutes.

    The function may read nothing else, since it is computed from the entry again whenever a bag is read. Its sums must
    stay below 2^63; for "min" and "max", `ABSENT` means that the entry has none.
    """

    name: str
    of: Callable[[Ints, Ints, Ints], Ints]
    merge: Merge


ABSENT = -(1 << 63)

WINDOW_10M = Window("10m", MINUTE_MS, 10)
WINDOW_1H = Window("1h", MINUTE_MS, 60)
WINDOW_24H = Window("24h", HOUR_MS, 24)
WINDOW_7D = Window("7d", 6 * HOUR_MS, 28)
WINDOW_30D = Window("30d", DAY_MS, 30)

EVER_NAME = "ever"
DEFAULT_WINDOWS = (WINDOW_10M, WINDOW_1H, WINDOW_24H, WINDOW_7D, WINDOW_30D)
DEFAULT_DISTINCT = (WINDOW_1H, WINDOW_24H, WINDOW_7D)
DEFAULT_AGGREGATES: tuple[Aggregate, ...] = ("count", "sum", "mean", "max", "spread")


def ever(*aggregates: Aggregate) -> Window:
    """A window without a start, for groups with `forever`: as old as the bag, which expires when nobody touches it."""
    return Window(EVER_NAME, 0, 0, aggregates or None)


@dataclass(frozen=True)
class Group:
    """One kind of bag and the columns read of it.

    `others`: up to three columns of counterparties to count; `distinct`: the windows to count them over, exact up to
    `exact` of them and an estimate beyond. `span`: also tell the time from the oldest event to the newest.
    `money`: the kinds of event (bits) whose amount counts; others add 0. `forever`: what leaves the longest window is
    kept in one tile of totals instead of being dropped. `cap`: entries that a bag may hold before it is worth
    compacting.
    """

    name: str
    layout: int
    entity: str
    windows: tuple[Window, ...] = DEFAULT_WINDOWS
    aggregates: tuple[Aggregate, ...] = DEFAULT_AGGREGATES
    others: tuple[str, ...] = ()
    distinct: tuple[Window, ...] = DEFAULT_DISTINCT
    exact: int = 32
    recency: bool = True
    span: bool = False  # needs recency
    grace_ms: int = 10 * MINUTE_MS
    forever: bool = False
    extra: Extra | None = None
    money: int = ANY_KIND
    cap: int = 24

    def __post_init__(self) -> None:
        _check(self)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Names of what `fold` gives, in its order: windows, then counterparties, then recency."""
        names = [_named(self.name, agg, window) for window in self.windows for agg in self.of(window)]
        names += [_named(self.name, f"distinct_{other}s", w) for other in self.others for w in self.distinct]
        if self.recency:
            names += [f"{self.name}_since_last_s", f"{self.name}_since_first_s"]
        if self.span:
            names.append(f"{self.name}_span_s")
        return tuple(names)

    @cached_property
    def times(self) -> int:
        """How many columns are of recency and span, the last ones."""
        return 2 * self.recency + self.span

    def of(self, window: Window) -> tuple[Aggregate, ...]:
        """The aggregates read of a window."""
        return self.aggregates if window.aggregates is None else window.aggregates

    @cached_property
    def kept(self) -> frozenset[Aggregate]:
        """Every aggregate read of some window."""
        return frozenset(agg for window in self.windows for agg in self.of(window))

    @cached_property
    def sums(self) -> tuple[str, ...]:
        """The fields of a tile that merge by addition, in their order."""
        spread = ("log", "log2") if "spread" in self.kept else ()
        extra = ("extra",) if self.extra is not None and self.extra.merge == "sum" else ()
        return ("count", "sum", *spread, *extra)

    @cached_property
    def peaks(self) -> tuple[str, ...]:
        """The fields of a tile that merge by maximum, in their order; a minimum is the maximum of its negative."""
        largest = ("max",) if "max" in self.kept else ()
        extra = ("extra",) if self.extra is not None and self.extra.merge != "sum" else ()
        return (*largest, *extra)

    @cached_property
    def tile_words(self) -> int:
        """Eight-byte words of a tile: its first time with its level, then the fields."""
        return 1 + len(self.sums) + len(self.peaks)

    @cached_property
    def counted(self) -> tuple[Window, ...]:
        """The windows that counterparties are counted over; none where there is nobody to count."""
        return self.distinct if self.others else ()

    @cached_property
    def ladder(self) -> tuple[int, ...]:
        """Tile widths, finest first; each divides the next."""
        return tuple(sorted({w.tile_ms for w in (*self.windows, *self.counted) if w.tiles}))

    @cached_property
    def horizon(self) -> Window:
        """The longest window: what is outside it is as if it had never been seen."""
        return max(self.windows, key=lambda w: (w.tiles == 0, w.reach_ms))

    @cached_property
    def longest_ms(self) -> int:
        """How far back the longest window with a start may reach: what a late event is judged by."""
        return max(w.reach_ms for w in (*self.windows, *self.counted))

    @cached_property
    def shape(self) -> tuple[object, ...]:
        """What decides how bags are read: groups of one shape can be read together (features/kin.py)."""
        windows = tuple((w, self.of(w)) for w in self.windows)
        return windows, self.counted, self.recency, self.span, self.grace_ms, self.forever, self.extra

    @cached_property
    def definition(self) -> str:
        """Everything that decides a value of `columns`, as text: part of a vector's hash."""
        windows = [(w.name, w.tile_ms, w.tiles, self.of(w)) for w in self.windows]
        distinct = [(w.name, w.tile_ms, w.tiles) for w in self.counted]
        extra = self.extra and (self.extra.name, self.extra.merge)
        parts = (self.name, self.layout, self.entity, windows, self.others, distinct, self.exact, self.recency)
        later = ("span",) if self.span else ()  # what a version added is named where it is used: other hashes stay
        return repr((*parts, self.grace_ms, self.forever, extra, self.money, *later))


def _named(group: str, aggregate: str, window: Window) -> str:
    return f"{group}_{aggregate}_{window.name}" if window.name else f"{group}_{aggregate}"


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
        raise GroupError(f"{where}: {len(group.others)} counterparty columns: an entry holds at most {MOST_OTHERS}")
    if not 1 <= group.exact <= 1024:
        raise GroupError(f"{where}: exact {group.exact}: want 1 to 1024 distinct counterparties counted exactly")
    if group.cap < 1 or group.grace_ms < 0:
        raise GroupError(f"{where}: cap {group.cap}, grace {group.grace_ms} ms: want at least 1 and at least 0")
    if not 0 <= group.money <= ANY_KIND:
        raise GroupError(f"{where}: money {group.money:#x}: want bits of 0 to {ANY_KIND:#x}")
    if group.span and not group.recency:
        raise GroupError(f"{where}: span without recency: leave recency=True, or span out")
    _check_windows(group, where)
    if "extra" in group.kept and group.extra is None:
        raise GroupError(f"{where}: the aggregate 'extra' needs the group's `extra=Extra(name, of, merge)`")


def _check_windows(group: Group, where: str) -> None:
    if not any(w.tiles for w in group.windows):
        raise GroupError(f"{where}: no window with a start: want at least one, such as Window('24h', 3_600_000, 24)")
    for window in (*group.windows, *group.distinct):
        if window.tiles < 0 or (window.tiles and window.tile_ms < SECOND_MS):
            raise GroupError(
                f"{where}: window {window.name!r}: {window.tiles} tiles of {window.tile_ms} ms: want >= 1,000 ms"
            )
    if not group.forever and any(w.tiles == 0 for w in group.windows):
        raise GroupError(f"{where}: a window without a start needs forever=True")
    if any(w.tiles == 0 for w in group.distinct):
        raise GroupError(f"{where}: counterparties cannot be counted without a start: choose a window with one")
    names = [w.name for w in group.windows]
    if len(set(names)) < len(names) or len(set(group.columns)) < len(group.columns):
        raise GroupError(f"{where}: two windows or columns of one name: {', '.join(names)}")
    for fine, coarse in zip(group.ladder, group.ladder[1:], strict=False):
        if coarse % fine:
            raise GroupError(f"{where}: tiles of {fine} ms do not divide tiles of {coarse} ms: choose widths that do")
    if len(group.ladder) > MOST_LEVELS:
        raise GroupError(f"{where}: {len(group.ladder)} widths of tiles: want at most {MOST_LEVELS}")
