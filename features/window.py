"""Windows: how far back a feature looks, and where exactly that is.

A window is a number of tiles, the open one included:

    floor(at / tile_ms) > floor(end / tile_ms) - tiles,    end = max(event at, newest at seen before - grace)

so what lies in one tile may be merged without changing an answer. A group may keep the newest few events of an entity
one by one (`Group.keep`); among those a window begins exactly `reach_ms` before its end. There is no upper cut: a
window holds everything known of the entity since its start, also what is dated later than the event; otherwise a
back-dated order would hide a burst.

The price: beyond the events kept one by one, the old edge of a window is exact only to within one tile.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

SECOND_MS = 1_000
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000


@dataclass(frozen=True)
class Window:
    """`tiles` tiles of `tile_ms`, the open one included; `tiles` = 0: everything ever seen (`EVER`)."""

    name: str
    tile_ms: int
    tiles: int

    @property
    def reach_ms(self) -> int:
        return self.tile_ms * self.tiles

    def cut(self, end: Ints) -> Ints:
        """(n,) ends -> (n,) first ms inside, at the edge of a tile; 0 for a window without a start."""
        if self.tiles == 0:
            return np.zeros_like(end)
        return np.maximum((end // self.tile_ms - (self.tiles - 1)) * self.tile_ms, 0)

    def sharp_cut(self, end: Ints) -> Ints:
        """(n,) ends -> (n,) first ms inside, for events that are kept one by one: `(end - reach, end]`."""
        if self.tiles == 0:
            return np.zeros_like(end)
        return np.maximum(end - self.reach_ms + 1, 0)

    def behind(self, delay_ms: int) -> tuple[Window, Window]:
        """The windows whose difference is this one ending `delay_ms` (a multiple of the tile) earlier."""
        late = delay_ms // self.tile_ms
        return Window("", self.tile_ms, self.tiles + late), Window("", self.tile_ms, late)


WINDOW_10M = Window("10m", MINUTE_MS, 10)
WINDOW_1H = Window("1h", MINUTE_MS, 60)
WINDOW_24H = Window("24h", HOUR_MS, 24)
WINDOW_7D = Window("7d", 6 * HOUR_MS, 28)
WINDOW_30D = Window("30d", DAY_MS, 30)
EVER = Window("ever", 0, 0)
"""For groups with `forever`: as old as the bag, which expires when nobody touches it."""

WINDOWS = (WINDOW_10M, WINDOW_1H, WINDOW_24H, WINDOW_7D, WINDOW_30D)
