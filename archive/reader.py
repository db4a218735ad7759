"""Reading the archive: which files, and every record once, in offset order. For training, replays and the curious.

Files may come and go while we read (a merge replaces small ones, retention removes old ones), and a listing is not one
moment's picture. So: who does not find a file lists again and goes on at the offset where he was; a hole or an end is
believed only when a second listing shows it too, since a merged file may have been put into a part that was listed
already. The price: two listings, and memory for one file of a bucket, or one row group of a folder's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import numpy as np

from archive.arrow import pa
from archive.columns import OFFSET, TIMESTAMP, cut
from archive.cover import Cover, Piece, by_partition, cover
from archive.errors import ArchiveError
from archive.listing import files_of
from archive.names import DAY_MS, File, date_of, day_of
from archive.parquet import About, about, opened
from storage.places import Place, place_of

TRIES: Final = 5  # listings, before a hole or a missing file is believed
AT_ONCE: Final = 16  # footers


@dataclass(frozen=True, slots=True)
class Between:
    """Records whose own timestamps are in [start, end): epoch ms, None where there is no bound."""

    start_ms: int | None = None
    end_ms: int | None = None

    @classmethod
    def dates(cls, first: date | None, last: date | None) -> Between:
        """Whole days in UTC, the last one included."""
        after = None if last is None else last + timedelta(days=1)
        return cls(_epoch_ms(first), _epoch_ms(after))

    def may_hold(self, span_date: str) -> bool:
        """Whether a file of this date may hold such a record: none of its records is younger."""
        return self.start_ms is None or span_date >= date_of(day_of(self.start_ms))

    def overlaps(self, facts: About) -> bool:
        young = self.start_ms is None or facts.most_ms >= self.start_ms
        return young and (self.end_ms is None or facts.least_ms < self.end_ms)

    def ends_before(self, span_date: str) -> bool:
        """Whether a file of this date may hold late records of ours only: its footer must be asked."""
        return self.end_ms is not None and span_date > date_of(day_of(self.end_ms - 1))


def _epoch_ms(day: date | None) -> int | None:
    return None if day is None else (datetime(day.year, day.month, day.day, tzinfo=UTC) - _EPOCH).days * DAY_MS


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ALWAYS = Between()


def files(where: str | Place, topic: str, between: Between = ALWAYS) -> list[Piece]:
    """What to read of a topic, by partition and offset: of each file the rows from `piece.first` on.

    A file that is dated later than `between` ends may hold late records: its footer is asked, one small request each.
    """
    place = place_of(where) if isinstance(where, str) else where
    pieces = [piece for _, found in covers(place, topic) for piece in found.pieces]
    pieces = [piece for piece in pieces if between.may_hold(piece.file.span.date)]
    asked = [piece for piece in pieces if between.ends_before(piece.file.span.date)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        facts = dict(zip(asked, pool.map(lambda piece: footer(place, piece.file), asked), strict=True))
    return [piece for piece in pieces if piece not in facts or _wanted(between, facts[piece])]


def _wanted(between: Between, facts: About | None) -> bool:
    return facts is None or between.overlaps(facts)  # one that is gone was merged: whoever reads lists again


def listed(place: Place, topic: str | None = None) -> list[File]:
    """What is committed, of one topic or of all: all that either of two listings shows.

    One alone may miss files that were merged while it was taken, and the merged one: then a partition seems to end
    early. Some of these files may be gone: another covers them.
    """
    return list({file.span: file for file in (*files_of(place, topic), *files_of(place, topic))}.values())


def covers(place: Place, topic: str | None = None) -> list[tuple[tuple[str, int], Cover]]:
    """Each partition of a topic (or of all) with its cover; holes that are told are there."""
    return [(key, cover(group)) for key, group in by_partition(listed(place, topic)).items()]


def footer(place: Place, file: File) -> About | None:
    """What a file says of itself; None where it is gone."""
    try:
        with place.open(file.span.path, footer=True) as raw:
            return about(opened(raw, file.span.path), file.span.path)
    except FileNotFoundError:
        return None


def scan(
    where: str | Place,
    topic: str,
    *,
    between: Between = ALWAYS,
    partitions: Collection[int] | None = None,
    columns: Sequence[str] | None = None,
    gaps: bool = False,
) -> Iterator[Any]:
    """Arrow record batches of a topic: each offset once, by partition and offset, as much as is archived at the start.

    Raises ArchiveError where offsets are missing between files, unless `gaps` says to go on behind them.
    """
    place = place_of(where) if isinstance(where, str) else where
    held = by_partition(listed(place, topic))
    for (_, partition), group in held.items():
        if partitions is None or partition in partitions:
            part = Partition(place, topic, partition, gaps=gaps)
            yield from part.read(min(file.first for file in group), max(file.last for file in group), between, columns)


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition of an archive."""

    place: Place
    topic: str
    partition: int
    gaps: bool = False  # whether holes are passed over

    def read(
        self, first: int, last: int, between: Between = ALWAYS, columns: Sequence[str] | None = None
    ) -> Iterator[Any]:
        """Batches of the offsets first..last."""
        following, tries = first, 0
        while following <= last and tries < TRIES:
            tries += 1
            for piece in self._pieces(following):
                if piece.first > last:
                    return
                if between.may_hold(piece.file.span.date):
                    try:
                        raw = self.place.open(piece.file.span.path)
                    except FileNotFoundError:
                        break  # merged or expired since it was listed
                    with raw:
                        yield from _batches(raw, piece, last, between, columns)
                following, tries = piece.last + 1, 0
        if following <= last and not self.gaps:
            raise self._missing(following, last)

    def _pieces(self, since: int) -> tuple[Piece, ...]:
        """What covers the partition from `since` on."""
        found = self._cover(since)
        for _ in range(TRIES):
            if not found.gaps:
                break
            found, before = self._cover(since), found
            if found.gaps == before.gaps and not self.gaps:
                raise self._missing(found.gaps[0].first, found.gaps[0].last)
        return found.pieces

    def _missing(self, first: int, last: int) -> ArchiveError:
        return ArchiveError(
            f"{self.topic}/{self.partition}: offsets {first} to {last} are missing in {self.place.shown}: were files "
            "removed, by hand or by retention while they were read? (`headrace archive ls` tells what is there)"
        )

    def _cover(self, since: int) -> Cover:
        listed = files_of(self.place, self.topic)
        return cover([file for file in listed if file.span.partition == self.partition], since)


def _batches(raw: Any, piece: Piece, last: int, between: Between, columns: Sequence[str] | None) -> Iterator[Any]:
    """The wanted rows of one file, a row group at a time."""
    file = opened(raw, piece.file.span.path)
    if not between.overlaps(about(file, piece.file.span.path)):
        return
    wanted = None if columns is None else list(dict.fromkeys([*columns, OFFSET, TIMESTAMP]))
    for group in range(file.num_row_groups):
        for batch in file.read_row_group(group, columns=wanted).to_batches():
            kept = _timely(cut(batch, piece.first, last), between)
            if len(kept):
                yield kept if columns is None else kept.select(list(columns))


def _timely(batch: Any, between: Between) -> Any:
    """The rows that are in time."""
    if between == ALWAYS or not len(batch):
        return batch
    at_ms = np.asarray(batch.column(TIMESTAMP).cast(pa.int64()))
    inside = at_ms >= (between.start_ms if between.start_ms is not None else at_ms.min())
    inside &= at_ms < (between.end_ms if between.end_ms is not None else at_ms.max() + 1)
    return batch if inside.all() else batch.filter(pa.array(inside))
