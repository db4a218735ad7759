"""A topic's partitions in the archive: whether a span of time is there whole, and its records that counted.

What is missing is refused, with its name: a hole in a set's window would be a set of other orders than it says. The
price: a partition that begins late is refused for its whole topic, and a window has to begin later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from archive.arrow import pa
from archive.columns import OFFSET
from archive.errors import ArchiveError
from archive.names import File
from archive.reader import Between, Partition, covers, footer
from features.columns import Ints
from schemas.timestamps import rfc3339
from storage.places import Place
from training.sets.verdicts import Taken, verdicts

AT_ONCE: Final = 8_192  # records


@dataclass(frozen=True, slots=True)
class Records:
    """Some records that counted, by offset."""

    partition: int
    offset: Ints
    values: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it is archived, with what became of its records."""

    place: Place
    name: str
    bounds: Mapping[int, tuple[int, int]]  # first and last offset by partition
    taken: Mapping[int, Taken]

    def fresh(self, span: tuple[int, int]) -> Iterator[Records]:
        """The records with timestamps in [start, end) that counted, partition by partition."""
        for partition in self.bounds:
            yield from self.of_partition(partition, span)

    def of_partition(self, partition: int, span: tuple[int, int]) -> Iterator[Records]:
        """The same of one partition."""
        part, (first, last) = Partition(self.place, self.name, partition), self.bounds[partition]
        taken = self.taken.get(partition, Taken())
        for batch in part.read(first, last, Between(*span), [OFFSET, "kafka_value"]):
            for start in range(0, len(batch), AT_ONCE):
                piece = batch.slice(start, AT_ONCE)
                offset = np.asarray(piece.column(OFFSET))
                if not (covered := taken.covers(offset)).all():
                    raise self._behind(partition, int(offset[np.argmin(covered)]))
                fresh = taken.fresh(offset)
                values = piece.column("kafka_value").filter(pa.array(fresh)).to_pylist()
                yield Records(partition, offset[fresh], [value or b"" for value in values])

    def stretch(self, partition: int, span: tuple[int, int]) -> tuple[int, int]:
        """How many records of the span there are, and the last offset of them; -1 where there is none."""
        count, newest = 0, -1
        part, (first, last) = Partition(self.place, self.name, partition), self.bounds[partition]
        for batch in part.read(first, last, Between(*span), [OFFSET]):
            count, newest = count + len(batch), batch.column(OFFSET)[-1].as_py()
        return count, newest

    def _behind(self, partition: int, offset: int) -> ArchiveError:
        return ArchiveError(
            f"{self.name}/{partition}: what became of offset {offset} is not in the archive: no row of `applied` tells "
            "of it. Are the workers or `headrace archive` behind? Try again when they are not, or ask for an earlier "
            "moment"
        )


def archived(place: Place, name: str, span: tuple[int, int]) -> Topic:
    """A topic whose records of [start, end) are archived; raises ArchiveError where they are not."""
    found = {key[1]: whole for key, whole in covers(place, name)}
    if not found:
        raise ArchiveError(
            f"topic {name!r} is not in the archive {place.shown}: want HEADRACE_ARCHIVE__URL of its topics"
        )
    for partition, whole in found.items():
        for gap in whole.gaps:
            raise ArchiveError(
                f"{name}/{partition}: offsets {gap.first} to {gap.last} are missing in {place.shown} "
                "(`headrace archive ls`): a set cannot be made over a hole"
            )
        _check_begin(place, name, whole.pieces[0].file, span[0])
    bounds = {partition: (whole.pieces[0].first, whole.pieces[-1].last) for partition, whole in sorted(found.items())}
    newest = {partition: whole.pieces[-1].file for partition, whole in found.items()}
    about = footer(place, newest[min(newest)])
    taken = verdicts(place, name, about.topic_id if about else "")
    for partition, rows in taken.items():
        _check_end(place, name, partition, rows, newest.get(partition), span[1])
    return Topic(place, name, bounds, taken)


def _check_begin(place: Place, name: str, oldest: File, start_ms: int) -> None:
    facts = footer(place, oldest) if oldest.first > 0 else None
    if facts is not None and facts.least_ms > start_ms:
        raise ArchiveError(
            f"{name}/{oldest.span.partition} begins at offset {oldest.first} in {place.shown}, dated "
            f"{rfc3339(facts.least_ms)}: what was before is gone. Ask for a window that begins later"
        )


def _check_end(place: Place, name: str, partition: int, rows: Taken, newest: File | None, end_ms: int) -> None:
    if newest is not None and newest.last + 1 >= rows.next:
        return
    facts = footer(place, newest) if newest is not None else None
    if facts is None or facts.most_ms < end_ms:
        there = f"up to offset {newest.last}" if newest is not None else "not at all"
        raise ArchiveError(
            f"{name}/{partition} is archived {there}, and was taken up to {rows.next - 1}: is `headrace archive` "
            "behind? Try again when it is not, or ask for an earlier moment"
        )
