"""Looking after an archive: many small files become few large ones, old ones go. Readers and writers notice nothing.

Each step leaves every offset covered: the merged file is committed before those that it replaces are removed, and what
is removed is contained in one file that stays (`cover.contained`), whoever else is at it. Killed anywhere, the next run
finishes. The price: a merge reads and writes its files once more, on this machine.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from archive.arrow import pa
from archive.columns import cut, records_of, schema_of, table_of
from archive.cover import Merge, Piece, by_partition, contained, expired, merges
from archive.listing import files_of
from archive.names import File
from archive.parquet import GROUP_BYTES, GROUP_ROWS, About, about, opened, writer
from storage.places import Folder, Place

SWEEP_S: Final = 86_400.0  # a temporary file of this age has no writer any more


@dataclass(frozen=True, slots=True)
class Kept:
    """What a run did."""

    merged: int = 0  # files that went into larger ones
    made: int = 0
    removed: int = 0  # files that were contained in another, those that were merged among them
    expired: int = 0

    def __add__(self, other: Kept) -> Kept:
        return Kept(
            self.merged + other.merged,
            self.made + other.made,
            self.removed + other.removed,
            self.expired + other.expired,
        )


def compact(place: Place, group: Sequence[File], target_bytes: int) -> Kept:
    """Merges the files of one partition and removes what is contained in others."""
    plan, done = merges(group, target_bytes), Kept()
    for each in plan:
        try:
            made = merge(place, each)
        except FileNotFoundError:  # another run was faster
            continue
        group = [*group, made]
        done += Kept(merged=len(each.sources), made=1)
    gone = contained(group)
    for file in gone:
        place.remove(file.span.path)
    return done + Kept(removed=len(gone))


def expire(place: Place, group: Sequence[File], before: str, today: str) -> Kept:
    """Removes the files of one partition that are dated before `before`, oldest first; the newest always stays."""
    gone = expired(group, before, today)
    for file in gone:
        place.remove(file.span.path)
    return Kept(expired=len(gone))


def partitions(place: Place, topic: str | None = None) -> list[list[File]]:
    """The files of an archive, a list for each partition."""
    return list(by_partition(files_of(place, topic)).values())


def sweep(place: Place, now_s: float) -> int:
    """Removes what killed writers left under temporary names in a folder; how many. A bucket has none."""
    return place.sweep(SWEEP_S, now_s) if isinstance(place, Folder) else 0


def merge(place: Place, plan: Merge) -> File:
    """Commits the merged file; raises FileNotFoundError where a source is gone. Removes nothing."""
    with tempfile.TemporaryDirectory(prefix="headrace-archive-") as folder:
        path = Path(folder) / "merged.parquet"
        with writer(path, _facts(place, plan)) as out:
            for table in _regrouped(_tables(place, plan)):
                out.write_table(table)
        place.commit(plan.span.path, path)
        return File(plan.span, path.stat().st_size)


def _facts(place: Place, plan: Merge) -> About:
    """The footer: of each source, what it says together with the others."""
    every = []
    for piece in plan.sources:
        with place.open(piece.file.span.path, footer=True) as raw:
            every.append(about(opened(raw, piece.file.span.path), piece.file.span.path))
    return replace(
        every[0],
        first=plan.span.first,
        last=plan.span.last,
        least_ms=min(facts.least_ms for facts in every),
        most_ms=max(facts.most_ms for facts in every),
        vector={name: columns for facts in every for name, columns in facts.vector.items()},
    )


def _tables(place: Place, plan: Merge) -> Iterator[Any]:
    for piece in plan.sources:
        with place.open(piece.file.span.path) as raw:
            yield from _rows(raw, piece)


def _rows(raw: Any, piece: Piece) -> Iterator[Any]:
    """The rows of a piece, with the columns of today: what an older version wrote is read from the value again."""
    file, span = opened(raw, piece.file.span.path), piece.file.span
    for group in range(file.num_row_groups):
        for batch in file.read_row_group(group).to_batches():
            kept = cut(batch, piece.first, piece.last)
            if kept.schema.remove_metadata() == schema_of(span.topic):
                yield pa.Table.from_batches([kept]).replace_schema_metadata(None)
            else:
                yield table_of(span.topic, span.partition, records_of(kept))


def _regrouped(tables: Iterator[Any]) -> Iterator[Any]:
    """The same rows in row groups of a good size."""
    held = list[Any]()
    for table in tables:
        held.append(table)
        if sum(each.nbytes for each in held) >= GROUP_BYTES or sum(map(len, held)) >= GROUP_ROWS:
            yield pa.concat_tables(held)
            held = []
    if held:
        yield pa.concat_tables(held)
