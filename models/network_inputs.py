"""What a network reads: columns of the vector, squashed and standardised, in float32, the same bits on any CPU.

Each column has one line in the model's file, in the unit of its feature: it is clipped to the range that training saw,
squashed (`exact.log2_line`), and told as distance from an ordinary order's value in spreads. A column belongs to one of
three `parts`, each of which has an encoder of its own in the network, or to a step of the sequence:

    transaction  the order and whom it goes to        user  what is known of the account        device  from where

A step is one of the user's last orders: its columns in the order of `channels`, and behind them whether there was such
an order at all (`absent`, 1: none). There was none where its `gap_s`, which is never negative otherwise, is below 0;
what its other columns hold is then read as 0, as if it were usual.

The price: some .5 us an order of the shop's whole vector, beside the 2 to 5 us of the network (docs/network.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from models.documents import ArtefactError, column, number
from models.exact import Floats, log2_line
from models.kernel.columns import inputs

Singles = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

PARTS: Final = ("transaction", "user", "device")
RECENT: Final = re.compile(r"user_recent_(?P<channel>.+)_(?P<step>[1-9][0-9]*)")
GAP: Final = "gap_s"  # the channel that says whether there was such an order
_KEYS: Final = ("name", "part", "usual", "spread", "low", "high")


@dataclass(frozen=True, slots=True)
class Read:
    """One column that the network reads, in the unit of its feature; `spread` is in octaves."""

    name: str
    part: str  # one of PARTS, or "recent": then the name says channel and step
    usual: float
    spread: float  # > 0
    low: float
    high: float

    @property
    def place(self) -> tuple[int, int, str]:
        """By which columns are sorted: parts as in PARTS, then steps from the newest order on, channels by name."""
        if self.part in PARTS:
            return PARTS.index(self.part), 0, ""
        channel, step = step_of(self.name)
        return len(PARTS), step, channel


def step_of(name: str) -> tuple[str, int]:
    """`user_recent_gap_s_3` -> ("gap_s", 3)."""
    found = RECENT.fullmatch(name)
    if found is None:
        raise ArtefactError(f"input {name!r} is no step of a sequence: want user_recent_CHANNEL_STEP")
    return found["channel"], int(found["step"])


@dataclass(frozen=True, slots=True)
class Shape:
    """How many inputs each part has, and the sequence: what the network is built for."""

    parts: Mapping[str, int]
    steps: int
    channels: int  # without `absent`

    @property
    def recent(self) -> int:
        """Inputs of the sequence."""
        return self.steps * (self.channels + 1)

    @property
    def width(self) -> int:
        return sum(self.parts.values()) + self.recent


class Inputs:
    """The columns that a network reads, bound to a vector. A value."""

    __slots__ = ("_scale", "_steps", "columns", "names", "reads", "shape", "usual", "width")

    def __init__(self, reads: Sequence[Read], names: Sequence[str]) -> None:
        """`names` are the columns of the vector; raises ArtefactError for a sequence with holes."""
        self.reads = tuple(sorted(reads, key=lambda one: one.place))
        self.names: tuple[str, ...] = tuple(one.name for one in self.reads)
        self.shape, self.width = shape_of(self.reads), len(names)
        place = {name: at for at, name in enumerate(names)}
        self.columns: Ints = np.array([place[name] for name in self.names], dtype=np.int64)
        self.usual: Floats = np.array([one.usual for one in self.reads], dtype=np.float64)
        low, high, spread = (
            np.array([getattr(one, key) for one in self.reads], dtype=np.float64) for key in ("low", "high", "spread")
        )
        self._scale: Floats = np.array([low, high, log2_line(np.clip(self.usual, low, high)), spread])
        channels = sorted({step_of(one.name)[0] for one in self.reads if one.part not in PARTS})
        gap = channels.index(GAP) if channels else 0
        self._steps: Ints = np.array([self.shape.steps, self.shape.channels, gap], dtype=np.int64)

    def of(self, x: Floats) -> Singles:
        """(n, d) vectors -> (n, shape.width), one contiguous row an order."""
        out = np.empty((len(x), self.shape.width), dtype=np.float32)
        inputs(x, self.columns, self._scale, self._steps, out)
        return out

    def as_json(self) -> list[dict[str, Any]]:
        """One table a column."""
        return [{key: getattr(one, key) for key in _KEYS} for one in self.reads]


def shape_of(reads: Sequence[Read]) -> Shape:
    """Raises ArtefactError where the steps of the sequence are not 1 to n, or have not the same channels."""
    steps: dict[int, set[str]] = {}
    for one in reads:
        if one.part not in PARTS:
            channel, step = step_of(one.name)
            steps.setdefault(step, set()).add(channel)
    channels = steps.get(1, set())
    if sorted(steps) != list(range(1, len(steps) + 1)) or any(found != channels for found in steps.values()):
        raise ArtefactError(
            "the sequence has holes: want user_recent_CHANNEL_STEP for the steps 1 to n of each channel"
        )
    if steps and GAP not in channels:
        raise ArtefactError(
            f"the sequence has no {GAP}: want user_recent_{GAP}_1 and on, which say how many orders are"
        )
    counts = {part: sum(one.part == part for one in reads) for part in PARTS}
    return Shape(counts, len(steps), len(channels))


def inputs_of(tables: Any, names: Sequence[str], where: str) -> Inputs:
    """The inputs of a model's file; raises ArtefactError."""
    if not isinstance(tables, list) or not tables:
        raise ArtefactError(f"{where}: columns is missing: want a list of columns")
    places = {name: at for at, name in enumerate(names)}
    reads = [_read(table, places, where) for table in tables]
    if len({one.name for one in reads}) < len(reads):
        raise ArtefactError(f"{where}: a column is named twice: want each once")
    return Inputs(reads, names)


def _read(table: Any, places: Mapping[str, int], where: str) -> Read:
    if not isinstance(table, dict) or set(table) != set(_KEYS):
        raise ArtefactError(f"{where}: column {table!r}: want exactly {', '.join(_KEYS)}")
    name, part = table["name"], table["part"]
    column(name, places, where)
    if part not in (*PARTS, "recent"):
        raise ArtefactError(f"{where}: column {name!r}: part = {part!r}: want {', '.join(PARTS)} or recent")
    numbers = {key: number(table[key], f"{where}: column {name!r}: {key}") for key in _KEYS[2:]}
    if not numbers["low"] <= numbers["usual"] <= numbers["high"]:
        raise ArtefactError(f"{where}: column {name!r}: want low <= usual <= high, not {numbers}")
    if numbers["spread"] <= 0.0:
        raise ArtefactError(f"{where}: column {name!r}: spread = {numbers['spread']}: want a number above 0")
    return Read(name, part, **numbers)
