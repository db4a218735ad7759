"""The data sets that `headrace replay` knows by name; anything else is a file of events."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

from streams.data.dataset import DataError, Dataset
from streams.data.ga360 import Ga360
from streams.data.handbook import Handbook
from streams.data.ndjson import Lines

ADAPTERS: dict[str, Callable[[Path | None], Dataset]] = {"fraud-handbook": Handbook.under, "ga360": Ga360.under}


def dataset(name: str, folder: Path | None, topics: tuple[str, ...]) -> Dataset:
    """A data set by name, or a file; `topics` is what the caller wants of it (none: all)."""
    if name in ADAPTERS:
        found = ADAPTERS[name](folder)
        if absent := [topic for topic in topics if topic not in found.topics]:
            raise DataError(f"{name} has no events for {', '.join(absent)}: it has {', '.join(found.topics)}")
        return found
    path = Path(name)
    if not path.is_file():
        near = get_close_matches(name, ADAPTERS, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise DataError(f"{name}: neither a data set nor a file. {hint}Data sets: {', '.join(ADAPTERS)}")
    return Lines(path, topics[0] if len(topics) == 1 else None)
