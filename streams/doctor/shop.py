"""The definitions of features: what most of the other checks ask about."""

from __future__ import annotations

from functools import cached_property

from features.definitions import Definitions
from schemas.settings import Settings
from streams.doctor.finding import Check
from streams.space import definitions_of


class Shop:
    """Loads once what several checks look at."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def definitions(self) -> Definitions:
        """Raises Stop where the file cannot be used."""
        return definitions_of(self._settings)

    def checks(self) -> list[tuple[str, Check]]:
        """What is looked at, in order."""
        return [("features", self.features)]

    async def features(self) -> str:
        """Whether the definitions load."""
        made, source = self.definitions, self._settings.features or "the shop's own"
        return f"{source}: {len(made.groups)} groups, {len(made.vector.names)} columns, hash {made.vector.hash}"
