"""Reach: how much of the past it takes to rebuild a vector."""

from __future__ import annotations

from features.definitions import Definitions
from features.window import DAY_MS


def reach_ms(definitions: Definitions, future_ms: int) -> int | None:
    """How far back the windows of a vector go; a day more than they say, since they begin at the edge of a tile."""
    groups = definitions.vector.groups
    if any(group.forever for group in groups):
        return None
    return max(group.longest_ms for group in groups) + DAY_MS + future_ms
