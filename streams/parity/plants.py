"""Plants: bugs put into the live side on purpose, to prove that parity finds what it says it finds.

    window   a window of the live side is half as long as it is defined
    label    the live side uses labels as soon as it knows them, before the delay that the features are defined with
    clock    the live side dates events by the clock on the wall

Each leaves names, definitions and hashes as they are, as a slip of the pen would. The replay finds all three, since it
has the definitions without the plant. What is wrong in code that both share, it cannot find: that is what the oracle is
for. Only `headrace parity --plant` sets one, for workers of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from features.columns import Columns, Ints
from features.definitions import Definitions, Flow
from features.feature import Feature, Streak
from features.group import Group
from features.window import DAY_MS, Window

PLANT = "HEADRACE_PARITY_PLANT"  # names one to a worker


def planted(definitions: Definitions, name: str) -> Definitions:
    """The definitions with a plant of PLANTS; "" leaves them alone, and so does one that finds no place in them."""
    made = PLANTS[name](definitions) if name else definitions
    if made == definitions:
        return definitions
    return _Planted(made.flows, made.vector, made.session, made.score, made.constants, said=definitions.contents)


@dataclass(frozen=True)
class _Planted(Definitions):
    """Definitions that tell of their bags what was meant."""

    said: Mapping[str, str] = field(default_factory=dict)

    @property
    def contents(self) -> Mapping[str, str]:
        return self.said


@dataclass(frozen=True, repr=False)
class _Half(Window):
    """A window of half as many tiles as it says."""

    said: int = 0

    def __repr__(self) -> str:  # what a vector's hash is made of
        return repr(Window(self.name, self.tile_ms, self.said))


def _window(definitions: Definitions) -> Definitions:
    """The longest window of the vector's first group that a run of some days fills."""
    group = definitions.vector.groups[0]
    window = max(group.summed, key=lambda window: (window.reach_ms <= DAY_MS, window.reach_ms))
    half = _Half(window.name, window.tile_ms, window.tiles // 2, said=window.tiles)
    features = tuple(replace(f, over=half) if f.over == window else f for f in group.features)
    return _with_group(definitions, replace(group, features=features))


def _with_group(definitions: Definitions, changed: Group) -> Definitions:
    def swapped(groups: Sequence[Group]) -> tuple[Group, ...]:
        return tuple(changed if group.name == changed.name else group for group in groups)

    flows = tuple(replace(flow, groups=swapped(flow.groups)) for flow in definitions.flows)
    vector = replace(definitions.vector, groups=swapped(definitions.vector.groups))
    return replace(definitions, flows=flows, vector=vector)


@dataclass(frozen=True)
class _Early(Feature):
    """A feature that has forgotten its delay."""

    said: str = ""

    def __repr__(self) -> str:  # what a vector's hash is made of
        return self.said


def _label(definitions: Definitions) -> Definitions:
    for group in definitions.vector.groups:
        features = tuple(_early(feature) if _can_be_early(feature) else feature for feature in group.features)
        if features != group.features:
            definitions = _with_group(definitions, replace(group, features=features))
    return definitions


def _can_be_early(feature: Feature) -> bool:
    return feature.delay_ms > 0 and not isinstance(feature.read, Streak)  # which is refused without a delay


def _early(feature: Feature) -> Feature:
    known = {each.name: getattr(feature, each.name) for each in fields(feature)}
    return _Early(**{**known, "delay_ms": 0, "said": repr(feature)})


def _clock(definitions: Definitions) -> Definitions:
    return replace(definitions, flows=tuple(map(_dated_now, definitions.flows)))


def _dated_now(flow: Flow) -> Flow:
    def columns(events: Sequence[Any], at_ms: Ints) -> Columns:
        known = flow.columns(events, at_ms)
        return replace(known, at_ms=np.full_like(known.at_ms, int(time.time() * 1000)))

    return replace(flow, columns=columns)


PLANTS: dict[str, Callable[[Definitions], Definitions]] = {"window": _window, "label": _label, "clock": _clock}
