"""What is kept of a decision: its log, what was published, the order, and the names of the vector's columns then.

All of it lies in the archive. Ids are looked for first, in their columns alone; records are read where one was found.
The price: without `--from` and `--to` the ids of all decisions are looked through, about a second for ten million.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import msgspec
import numpy as np

from archive.arrow import compute, pa
from archive.columns import OFFSET, records_of
from archive.errors import ArchiveError
from archive.reader import ALWAYS, Between, Partition, files, footer, scan
from schemas.decisions import DecisionLog
from schemas.deployments import TOPIC as MODELS
from schemas.deployments import Configured, Content, configuration_key
from schemas.records import Record
from storage.places import Place

IDS: Final = ("decision_id", "order_id", "event_id")
Spot = tuple[int, int]  # partition and offset of a record

_LOG = msgspec.json.Decoder(DecisionLog)
_CONFIGURED = msgspec.json.Decoder(Configured)


@dataclass(frozen=True)
class Kept:
    """One decision. `published`: every copy that topic `fraud` holds, oldest first, all equal but for `recovered`."""

    log: bytes
    published: tuple[bytes, ...]
    order: Record
    names: tuple[str, ...]  # of the vector's columns

    @cached_property
    def logged(self) -> DecisionLog:
        """The log, read once."""
        return _LOG.decode(self.log)


class Archived:
    """The decisions of an archive."""

    def __init__(self, place: Place, between: Between = ALWAYS) -> None:
        self._place, self._between = place, between
        self._names: dict[str, tuple[str, ...]] = {}

    def find(self, ids: Collection[str]) -> dict[str, list[Spot]]:
        """Where the log has a decision of each id; an id is of a decision, an order or an event."""
        found: dict[str, list[Spot]] = {one: [] for one in ids}
        wanted = pa.array(list(found))
        for batch in self._columns("decisions", IDS):
            for name in IDS:
                column = batch.column(name)
                for row in _rows(column, wanted):
                    spot = _spot(batch, row)
                    if spot not in found[column[row].as_py()]:
                        found[column[row].as_py()].append(spot)
        return found

    def sample(self, n: int, seed: int) -> list[Spot]:
        """n decisions drawn without repetition, all where there are fewer; the same seed draws the same."""
        spots = [
            np.column_stack([np.asarray(batch.column("kafka_partition")), np.asarray(batch.column(OFFSET))])
            for batch in self._columns("decisions", ("kafka_partition",))
        ]
        every = np.concatenate(spots) if spots else np.zeros((0, 2), np.int64)
        drawn = np.random.default_rng(seed).permutation(len(every))[:n]
        return [(int(partition), int(offset)) for partition, offset in every[np.sort(drawn)].tolist()]

    def read(self, spots: Sequence[Spot]) -> Iterator[Kept]:
        """What is kept of each of them; raises ArchiveError where a part is not archived."""
        logs = [self._record("decisions", *spot).value or b"" for spot in spots]
        logged = [_LOG.decode(log) for log in logs]
        published = self._published([one.decision_id for one in logged])
        for log, one in zip(logs, logged, strict=True):
            order = self._record(one.topic, one.partition, one.offset)
            yield Kept(log, tuple(published[one.decision_id]), order, self._named(one.feature_hash))

    def configurations(self, wanted: Collection[str]) -> Mapping[str, Content]:
        """What each configuration was made of, by its id, as far as topic `models` is archived."""
        keys = pa.array([configuration_key(one) for one in wanted], pa.binary())
        found: dict[str, Content] = {}
        for batch in scan(self._place, MODELS, columns=["kafka_key", "kafka_value"], gaps=True):
            for row in _rows(batch.column("kafka_key"), keys):
                told = _CONFIGURED.decode(batch.column("kafka_value")[row].as_py())
                found[told.config] = told.content
        return found

    def _published(self, ids: Sequence[str]) -> dict[str, list[bytes]]:
        found: dict[str, list[bytes]] = {one: [] for one in ids}
        wanted = pa.array(ids)
        for batch in self._columns("fraud", ("decision_id", "kafka_partition")):
            for row in _rows(batch.column("decision_id"), wanted):
                value = self._record("fraud", *_spot(batch, row)).value or b""
                found[batch.column("decision_id")[row].as_py()].append(value)
        return found

    def _columns(self, topic: str, names: Sequence[str]) -> Iterator[Any]:
        columns = list(dict.fromkeys((*names, "kafka_partition", OFFSET)))
        return scan(self._place, topic, between=self._between, columns=columns)

    def _record(self, topic: str, partition: int, offset: int) -> Record:
        for batch in Partition(self._place, topic, partition).read(offset, offset):
            return next(iter(records_of(batch)))
        raise ArchiveError(f"{topic}/{partition}: offset {offset} is not in {self._place.shown} (yet)")

    def _named(self, feature_hash: str) -> tuple[str, ...]:
        if feature_hash not in self._names:
            for piece in files(self._place, "decisions"):
                about = footer(self._place, piece.file)
                self._names |= {known: tuple(names) for known, names in (about.vector if about else {}).items()}
                if feature_hash in self._names:
                    break
            else:
                raise ArchiveError(
                    f"no file of {self._place.shown} names the columns of features {feature_hash}: were files removed?"
                )
        return self._names[feature_hash]


def _rows(column: Any, wanted: Any) -> list[int]:
    """Where a column has one of these."""
    rows: list[int] = np.flatnonzero(np.asarray(compute.is_in(column, value_set=wanted))).tolist()
    return rows


def _spot(batch: Any, row: int) -> Spot:
    return batch.column("kafka_partition")[row].as_py(), batch.column(OFFSET)[row].as_py()
