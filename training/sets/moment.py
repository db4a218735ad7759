"""The newest moment of which the archive holds all: orders and labels up to then, and what became of them.

Topics are archived one beside the other, so at any time one of them is a little behind: `applied` tells of a record
that is not there yet, or a record is there of which no row tells. A set as of a moment before those is whole.
The price: `applied` is read once more for each topic; and where all of the archive stands still together, nothing in it
says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from archive.arrow import pa
from archive.columns import TIMESTAMP
from archive.cover import Cover
from archive.reader import Partition, covers, footer
from storage.places import Place
from training.sets import labels
from training.sets.verdicts import Taken, verdicts


@dataclass(frozen=True, order=True, slots=True)
class Moment:
    """As of `at_ms` the archive is whole; `why` not as of later, empty where there is no sign of it."""

    at_ms: int
    why: str = ""


def newest_whole(place: Place, topic: str, now_ms: int) -> Moment:
    """For a set of the orders of a topic. What has holes, or is not archived at all, is left for the set to refuse."""
    return min([Moment(now_ms), *_ends(place, topic), *_ends(place, labels.TOPIC)])


def _ends(place: Place, name: str) -> Iterator[Moment]:
    """Of each partition that ends."""
    found = {key[1]: whole for key, whole in covers(place, name)}
    abouts = {partition: footer(place, whole.pieces[-1].file) for partition, whole in found.items()}
    taken = verdicts(place, name, next((about.topic_id for about in abouts.values() if about is not None), ""))
    for partition, whole in found.items():
        about, rows = abouts[partition], taken.get(partition, Taken())
        last = whole.pieces[-1].last
        if about is not None and last + 1 < rows.next:
            yield Moment(
                about.most_ms - 1,
                f"{name}/{partition} is archived up to offset {last}, and was taken up to {rows.next - 1}",
            )
        elif last >= rows.next:
            why = f"{name}/{partition} is archived up to offset {last}, and `applied` tells of it up to {rows.next - 1}"
            yield Moment(_least_ms(place, name, partition, whole, rows.next) - 1, why)


def _least_ms(place: Place, name: str, partition: int, whole: Cover, first: int) -> int:
    """The earliest timestamp of the records from an offset on."""
    begin, last = max(first, whole.pieces[0].first), whole.pieces[-1].last
    batches = Partition(place, name, partition).read(begin, last, columns=[TIMESTAMP])
    return min(int(np.asarray(batch.column(TIMESTAMP).cast(pa.int64())).min()) for batch in batches)
