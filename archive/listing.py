"""The archive's files in the place where they lie: what a listing shows that has one of our names."""

from __future__ import annotations

from archive.names import File, parse
from storage.places import Place


def files_of(place: Place, topic: str | None = None) -> list[File]:
    """What is committed, of one topic or of all. Not one moment's picture: files may come and go meanwhile."""
    return [File(span, size) for path, size in place.list(topic or "") if (span := parse(path)) is not None]
