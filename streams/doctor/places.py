"""Where files lie, the archive and the registry; and where schemas are asked for."""

from __future__ import annotations

import asyncio
from typing import Final

from schemas.settings import Settings
from storage.places import Place, place_of
from streams.doctor.finding import Check
from streams.formats.registry import Registry

PROBE: Final = ".headrace-doctor"  # no name of ours: readers pass it over


def archive_checks(settings: Settings) -> list[tuple[str, Check]]:
    """Whether `headrace archive` could write, and others read."""

    async def reached() -> str:
        return await asyncio.to_thread(lambda: writable(place_of(url or "", "archive")))

    async def unset() -> str:
        return "none is set (HEADRACE_ARCHIVE__URL): there is no history but Kafka's own, nothing to train from"

    url = settings.archive.url
    return [("files", reached if url else unset)]


def registry_checks(settings: Settings) -> list[tuple[str, Check]]:
    """Whether models can be read."""

    async def reached() -> str:
        return await asyncio.to_thread(lambda: readable(place_of(url or "", "registry")))

    async def unset() -> str:
        return "none is set (HEADRACE_REGISTRY__URL): no model can be promoted"

    url = settings.registry.url
    return [("files", reached if url else unset)]


def schema_checks(settings: Settings) -> list[tuple[str, Check]]:
    """Whether the schema registry answers, where one is named: few have one."""
    registry = settings.schema_registry
    if registry.url is None:
        return []

    async def answers() -> str:
        await asyncio.to_thread(Registry(registry).check)
        return f"{registry.shown} answers"

    return [("answers", answers)]


def readable(place: Place) -> str:
    """Raises StorageDown where it cannot be listed."""
    place.check()
    return f"{place.shown}: {', '.join(place.folders()) or 'nothing yet'}"


def writable(place: Place) -> str:
    """The same, and a file can be put there and taken away."""
    said = readable(place)
    place.commit(PROBE, b"")
    place.remove(PROBE)
    return said
