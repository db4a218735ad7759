"""Plants: bugs put into the live side on purpose, to prove that parity finds what it says it finds.

    window   a window of the live side is half as long as it is defined
    label    the live side does not hear what a label says (an outcome; where no feature reads them, a cart)
    clock    the live side dates events by the clock on the wall

Each leaves names, definitions and hashes as they are, as a slip of the pen would. The replay finds all three, since it
has the definitions without the plant. What is wrong in code that both share, it cannot find: that is what the oracle is
for. Only `headrace parity --plant` sets one, for workers of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from features.columns import Columns, Ints
from features.definitions import Definitions, Flow
from features.group import Group
from features.window import DAY_MS, Window

PLANT = "HEADRACE_PARITY_PLANT"  # names one to a worker
LABELS = ("outcomes", "cart")  # topics that say what became of something; the first that goes into bags


def planted(definitions: Definitions, name: str) -> Definitions:
    """The definitions with a plant of PLANTS; "" leaves them alone."""
    return PLANTS[name](definitions) if name else definitions


@dataclass(frozen=True)
class _Half(Window):
    """A window that is half as long as it says."""

    def cut(self, end: Ints) -> Ints:
        return super().cut(end) + self.tiles // 2 * self.tile_ms

    def sharp_cut(self, end: Ints) -> Ints:
        return super().sharp_cut(end) + self.tiles // 2 * self.tile_ms

    def __repr__(self) -> str:  # what a vector's hash is made of
        return repr(Window(self.name, self.tile_ms, self.tiles))


def _window(definitions: Definitions) -> Definitions:
    """The longest window of the vector's first group that a run of some days fills."""
    group = definitions.vector.groups[0]
    window = max(group.summed, key=lambda window: (window.reach_ms <= DAY_MS, window.reach_ms))
    half = _Half(window.name, window.tile_ms, window.tiles)
    features = tuple(replace(f, over=half) if f.over == window else f for f in group.features)
    return _with_group(definitions, replace(group, features=features))


def _with_group(definitions: Definitions, changed: Group) -> Definitions:
    def swapped(groups: Sequence[Group]) -> tuple[Group, ...]:
        return tuple(changed if group.name == changed.name else group for group in groups)

    flows = tuple(replace(flow, groups=swapped(flow.groups)) for flow in definitions.flows)
    vector = replace(definitions.vector, groups=swapped(definitions.vector.groups))
    return replace(definitions, flows=flows, vector=vector)


def _label(definitions: Definitions) -> Definitions:
    heard = {flow.topic for flow in definitions.flows if flow.groups}
    topic = next(topic for topic in LABELS if topic in heard)

    def deaf(columns: Columns) -> Columns:
        return replace(columns, flags=np.zeros_like(columns.flags))

    return _with_columns(definitions, lambda flow: deaf if flow.topic == topic else None)


def _clock(definitions: Definitions) -> Definitions:
    def now(columns: Columns) -> Columns:
        return replace(columns, at_ms=np.full_like(columns.at_ms, int(time.time() * 1000)))

    return _with_columns(definitions, lambda _: now)


def _with_columns(
    definitions: Definitions, change: Callable[[Flow], Callable[[Columns], Columns] | None]
) -> Definitions:
    def wrapped(flow: Flow) -> Flow:
        wrong = change(flow)
        if wrong is None:
            return flow

        def columns(events: Sequence[Any], at_ms: Ints) -> Columns:
            return wrong(flow.columns(events, at_ms))

        return replace(flow, columns=columns)

    return replace(definitions, flows=tuple(map(wrapped, definitions.flows)))


PLANTS: dict[str, Callable[[Definitions], Definitions]] = {"window": _window, "label": _label, "clock": _clock}
