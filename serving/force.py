"""What is in force, as workers have it: read from the registry at the start and whenever it tells of another number.

The price: two seconds until a promotion is seen here; workers hear of it at once.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial

from streams.models.aside import aside
from streams.models.choose import Choice, Chooser
from streams.models.watch import KEEPS, newest

LOOK_S = 2.0


class Force:
    """`choice` is replaced while `watch` runs."""

    def __init__(self, chooser: Chooser, choice: Choice) -> None:
        self._chooser, self.choice = chooser, choice

    @classmethod
    async def of(cls, chooser: Chooser) -> Force:
        """Raises StorageDown where there is a registry that does not answer."""
        return cls(chooser, await aside(chooser.now))

    async def watch(self) -> None:
        """Never returns."""
        while self._chooser.registry is not None:
            await asyncio.sleep(LOOK_S)
            with contextlib.suppress(*KEEPS):
                await self.look()

    async def look(self) -> None:
        """One look at the registry; what could not be used is tried again."""
        registry, number = self._chooser.registry, self.choice.deployment.number
        assert registry is not None
        found = await aside(partial(newest, registry, number))
        if found.number != number or not self.choice.whole:
            self.choice = await aside(partial(self._chooser.choose, found))
