"""The configurations that a worker can decide by: the one of its new ranges, and those of ranges that others began.

New ranges ask for `own`, which is replaced while the worker runs (models/watch.py); a range that is open is looked up
by its id. What a swap costs a range is nothing: both are a look into a dict. Before a configuration is used at all it
is kept, in the store for whoever finds a range open and in topic `models` for whoever asks later.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from features.definitions import Definitions
from models.documents import ArtefactError
from models.rules import RulesError
from storage.errors import StorageDown
from streams.configuration import BadConfigurationError, Configuration, Load, from_content
from streams.models.aside import aside
from streams.protocol.ports import Stop, StoreDown

log = logging.getLogger("headrace")

KEPT = 8  # of the newest: between the begin of a range and its decisions there are seconds, and changes take longer


class RegistryDown(StoreDown):
    """The registry does not answer, and a range waits for a model of it."""


async def _nobody(_: Configuration) -> None: ...


class Configurations:
    """`own` is for new ranges. One event loop's."""

    def __init__(
        self,
        definitions: Definitions,
        own: Configuration,
        load: Callable[[str], Awaitable[bytes | None]],
        model: Load | None = None,
        keep: Callable[[Configuration], Awaitable[None]] = _nobody,
        sessions: Load | None = None,
    ) -> None:
        """`load` gives the content that the store keeps under an id, None where it has none.

        `model` reads a model of the registry, and `sessions` that of sessions, in a thread; `keep` makes a
        configuration one that others find.
        """
        self._definitions, self._load, self._keep = definitions, load, keep
        self._model, self._sessions = model, sessions
        self.own = own
        self._known = {own.id: own}
        self._lacking = set[str]()
        self.failing = dict[str, str]()  # why challengers of `own` gave no score, by name/version
        self.failed = asyncio.Event()

    def __getitem__(self, config: str) -> Configuration:
        return self._known[config]

    async def use(self, new: Configuration) -> None:
        """New ranges are decided by it from now on; raises StoreDown or SinkDown where it cannot be kept."""
        if new.id != self.own.id:
            await self._keep(new)
        self._know(new.id, new)
        self.own = new
        self.failing.clear()

    async def ready(self, config: str) -> bool:
        """Makes a configuration known; whether it decides as it did where the range was begun.

        Raises Stop where it is nowhere to be had, or is not for these features, and RegistryDown where a model of it
        cannot be read now.
        """
        if config not in self._known:
            found, lacking = await aside(partial(self._restored, config, await self._content(config)))
            if lacking:
                log.error(
                    "a range is decided without what it was begun with: it says `recovered`",
                    extra={"config": config, "instead": found.id, "why": "; ".join(lacking)},
                )
            await self._keep(found)
            if lacking:
                self._lacking.add(config)
            self._know(config, found)
        return config not in self._lacking

    def note(self, failed: Mapping[str, str]) -> None:
        """Challengers that gave no score, and why: whoever waits for `failed` takes them out."""
        if failed:
            self.failing |= failed
            self.failed.set()

    async def _content(self, config: str) -> bytes:
        content = await self._load(config)
        if content is None:
            raise Stop(
                f"a range was begun under configuration {config}, which the store no longer keeps: "
                "start this worker once with the rules and the model of that time (HEADRACE_RULES, HEADRACE_MODEL)"
            )
        return content

    def _restored(self, config: str, content: bytes) -> tuple[Configuration, list[str]]:
        try:
            return from_content(content, self._definitions, self._model, self._sessions)
        except StorageDown as down:
            raise RegistryDown(f"the registry is needed for configuration {config} of an open range: {down}") from down
        except (BadConfigurationError, ArtefactError, RulesError) as error:
            raise Stop(f"configuration {config} of an open range: {error}") from error

    def _know(self, config: str, configuration: Configuration) -> None:
        """The newest last; of the others the oldest goes, but never that of new ranges."""
        self._known.pop(config, None)
        self._known[config] = configuration
        for old in list(self._known)[:-KEPT]:
            if old != self.own.id:
                del self._known[old]
                self._lacking.discard(old)
