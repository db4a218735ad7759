"""The pulse of a range: whether the process stood still for so long that another owner may have taken over meanwhile.

A beat after every step; two beats too far apart are a stall, however fast the rest was. Slow work in small steps (a
long catch-up) is none. The price: one clock reading per step.
"""

from __future__ import annotations

from collections.abc import Callable


class Pulse:
    def __init__(self, clock: Callable[[], float], stall_s: float) -> None:
        self._clock = clock
        self._stall_s = stall_s
        self._at = clock()
        self.longest_s = 0.0

    def start(self) -> None:
        """A new range: what was before does not count."""
        self._at, self.longest_s = self._clock(), 0.0

    def beat(self) -> float:
        """Seconds since the last beat."""
        now = self._clock()
        gap, self._at = now - self._at, now
        self.longest_s = max(self.longest_s, gap)
        return gap

    @property
    def stalled(self) -> bool:
        return self.longest_s > self._stall_s
