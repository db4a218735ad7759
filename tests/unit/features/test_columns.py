"""Events by their entities: shared among a range's events, or each event's own where they only ask."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from features.columns import Columns

IDS: dict[str, list[Any]] = {"user": ["a", "b", None, "a"], "products": [("x", "y"), (), ("y", "y"), ("x",)]}
FOUR = np.arange(4)
COLUMNS = Columns(4, FOUR, FOUR, FOUR, IDS, {}, ())


def test_events_of_one_entity_share_it() -> None:
    owned = COLUMNS.owned("user", many=False)
    assert (owned.entities, owned.table[0].tolist()) == (["a", "b"], [0, 1, -1, 0])


def test_events_that_are_apart_share_nothing() -> None:
    apart = replace(COLUMNS, apart=True)
    owned = apart.owned("user", many=False)
    assert (owned.entities, owned.table[0].tolist()) == (["a", "b", "a"], [0, 1, -1, 2])
    several = apart.owned("products", many=True)
    assert (several.entities, several.table[0].tolist()) == (["x", "y", "y", "x"], [0, 1, 2, 3])
    assert several.event is not None
    assert several.event.tolist() == [0, 0, 2, 3]
