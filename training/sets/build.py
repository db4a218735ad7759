"""Build: a point-in-time correct table from the archive.

The story: the labels that were known at T; then the orders of the window that counted, partition by partition, each
with the vector that was logged for it or, where it was logged with other features than today's, with the one that a
replay gives; then all of it sorted by time and written. What was asked for twice is the same bytes twice, also when the
archive has grown in between, as long as what came is dated after T.

A vector cannot know of anything after its decision: it was logged then, or is rebuilt from the ranges that were applied
before. A label cannot be of after T. An order without a label is good only when it is old enough at T.
The price: memory for the labels and some ten thousand rows; disk for the set, not compressed, until it is sorted.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np

from archive.arrow import pa
from archive.errors import ArchiveError
from features.columns import Floats2d, Ints
from features.definitions import Definitions, Flow
from schemas.ids import decision_id
from schemas.timestamps import rfc3339
from storage.places import Place
from training.provenance import revision
from training.sets import file, labels, parts
from training.sets.asked import Asked, Bools, Built, Counts, Rebuild, Tell, Vectors
from training.sets.cursor import Cursor
from training.sets.labels import Labels
from training.sets.logged import SAID, Decisions, Found, decisions, matrix_of, vectors_of
from training.sets.parts import Records, Topic
from training.sets.runs import Runs

VERSION: Final = 1
FRAUD, GOOD = 1, 0


def build(place: Place, definitions: Definitions, asked: Asked, out: Path, *, rebuild: Rebuild, tell: Tell) -> Built:
    """Writes the set; raises ArchiveError where the archive does not hold what it takes."""
    flow = _flow(definitions, asked.topic)
    names, feature_hash = definitions.vector.names, definitions.vector.hash
    file.check_names(names)
    file.check_out(out)
    orders = parts.archived(place, asked.topic, asked.record_span)
    spoken = parts.archived(place, labels.TOPIC, asked.label_span)
    digest = Digest()
    decode = next((one.decode for one in definitions.flows if one.topic == labels.TOPIC), labels.decode_labels)
    known = labels.known_at(asked.as_of_ms, spoken.fresh(asked.label_span), digest.records, decode)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".headrace-set-", dir=out.parent) as name:
        folder = Path(name)
        made = decisions(place, asked, feature_hash, len(names))
        upto = {partition: orders.stretch(partition, asked.record_span) for partition in orders.bounds}
        again = _replayed(asked, made, rebuild, folder, {partition: last for partition, (_, last) in upto.items()})
        wanted = _Orders(asked, flow, len(names), known, orders, made, again, digest)
        runs, total, done = Runs(folder), sum(count for count, _ in upto.values()), 0
        for partition in orders.bounds:
            for rows, read in wanted.of_partition(partition):
                runs.add(rows)
                tell("orders", done := done + read, total)
        facts = _facts(asked, feature_hash, digest.text, wanted.counts)
        written = file.write(out, _told(runs, wanted.counts.rows, tell), names, facts)
    return Built(wanted.counts, facts, tuple(map(str, written)))


def _flow(definitions: Definitions, topic: str) -> Flow:
    scored = [flow for flow in definitions.flows if flow.scored]
    found = next((flow for flow in scored if flow.topic == topic), None)
    if found is None:
        names = ", ".join(flow.topic for flow in scored)
        raise ArchiveError(f"topic {topic!r} is not scored: want one of {names} (--topic)")
    return found


def _told(runs: Runs, total: int, tell: Tell) -> Iterator[Any]:
    done = 0
    for rows in runs.merged(file.GROUP_ROWS):
        yield rows
        tell("written", done := done + len(rows), total)


def _facts(asked: Asked, feature_hash: str, data_hash: str, counts: Counts) -> dict[str, Any]:
    """The footer."""
    return {
        "version": VERSION,
        "topic": asked.topic,
        "from": rfc3339(asked.from_ms),
        "to": rfc3339(asked.to_ms),
        "labels_as_of": rfc3339(asked.as_of_ms),
        "mature_after_ms": asked.mature_ms,
        "vectors": asked.source,
        "feature_hash": feature_hash,
        "data_hash": data_hash,
        "revision": revision(),
        "counts": counts.as_dict(),
    }


def _replayed(
    asked: Asked, made: Decisions, rebuild: Rebuild, folder: Path, upto: Mapping[int, int]
) -> Mapping[int, Cursor]:
    """Rebuilt vectors by partition, where some are wanted."""
    if asked.source == "logged" or (asked.source == "auto" and not made.others()):
        return {}
    paths = _spilled(rebuild({partition: last for partition, last in upto.items() if last >= 0}), folder)
    return {partition: Cursor(_read(path)) for partition, path in paths.items()}


def _spilled(vectors: Iterable[Vectors], folder: Path) -> dict[int, Path]:
    """Partitions come by turns, and are wanted one after the other."""
    found: dict[int, tuple[Path, Any]] = {}
    for some in vectors:
        columns = {"offset": some.offset, "exact": some.exact, "vector": vectors_of(some.rows)}
        table = pa.table({name: pa.array(column) for name, column in columns.items()})
        if some.partition not in found:
            path = folder / f"replayed-{some.partition:05d}.arrow"
            found[some.partition] = path, pa.ipc.new_stream(str(path), table.schema)
        found[some.partition][1].write_table(table)
    for _, into in found.values():
        into.close()
    return {partition: path for partition, (path, _) in found.items()}


def _read(path: Path) -> Iterator[Any]:
    with pa.OSFile(str(path)) as held, pa.ipc.open_stream(held) as batches:
        for batch in batches:
            yield pa.Table.from_batches([batch])


class Digest:
    """What went in: records and vectors apart, so that it does not matter how many are read at a time."""

    def __init__(self) -> None:
        self.records, self.vectors = sha256(), sha256()

    @property
    def text(self) -> str:
        """16 hex digits."""
        return sha256(self.records.digest() + self.vectors.digest()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class _Orders:
    """The orders of the window that counted, with all that is told of them."""

    asked: Asked
    flow: Flow
    size: int  # of a vector
    labels: Labels
    orders: Topic
    made: Decisions
    replayed: Mapping[int, Cursor]
    digest: Digest
    counts: Counts = field(default_factory=Counts)

    def of_partition(self, partition: int) -> Iterator[tuple[Any, int]]:
        """Some rows of the set, and how many records were read for them."""
        found, again = self.made.of_partition(partition), self.replayed.get(partition)
        for records in self.orders.of_partition(partition, self.asked.record_span):
            batch = self._batch(records)
            if len(batch.at_ms):
                yield self._table(batch, found, again), len(records.offset)

    def _batch(self, records: Records) -> _Batch:
        """Those of the window; the digest hears of them."""
        decoded = self.flow.decode(records.values)
        here = (decoded.at_ms >= self.asked.from_ms) & (decoded.at_ms < self.asked.to_ms)
        here &= np.array([event is not None for event in decoded.events], np.bool_)
        places = np.flatnonzero(here).tolist()
        for place in places:
            self.digest.records.update(records.values[place])
        events = [decoded.events[place] for place in places]
        return _Batch(records.partition, records.offset[here], decoded.at_ms[here], events)

    def _table(self, batch: _Batch, found: Found, again: Cursor | None) -> Any:
        said, places = found.take(batch.offset)
        where = np.full(len(batch.offset), -1)
        where[places] = np.arange(len(places))
        vectors = _Filled(
            np.zeros((len(where), self.size)), np.zeros(len(where), np.bool_), np.ones(len(where), np.bool_)
        )
        if said is not None and self.asked.source != "replayed":
            logged = np.asarray(said.column("logged"))
            vectors.fill(places[logged], matrix_of(said.column("vector"), self.size)[logged])
        count = int(vectors.there.sum())
        if again is not None:
            vectors.fill_rest(*again.take(batch.offset))
        if not vectors.there.all():
            raise self._missing(batch, int(np.argmin(vectors.there)), said is not None and len(places) == len(where))
        self.digest.vectors.update(vectors.rows.tobytes())
        self.counts.logged += count
        self.counts.undecided += int((where < 0).sum())
        return self._told(batch, said, where, vectors, self._labelled(batch))

    def _labelled(self, batch: _Batch) -> dict[str, Any]:
        said = self.labels.of([getattr(event, "order_id", None) for event in batch.events])
        matured = batch.at_ms + self.asked.mature_ms <= self.asked.as_of_ms
        known = said.fraud | matured
        counts = self.counts
        counts.fraud += int(said.fraud.sum())
        counts.good += int((known & ~said.fraud).sum())
        counts.unknown += int((~known).sum())
        counts.matured += int(matured.sum())
        return {
            "label": pa.array(np.where(said.fraud, FRAUD, GOOD).astype(np.int8), mask=~known),
            "label_time": pa.array(said.at_ms, file.UTC_MS, mask=~said.known),
            "label_type": said.type,
            "matured": pa.array(matured),
        }

    def _told(self, batch: _Batch, said: Any, where: Ints, vectors: _Filled, labelled: dict[str, Any]) -> Any:
        ids = self.flow.identify(batch.events)
        self.counts.rows += len(ids)
        self.counts.replayed += int(vectors.again.sum())
        self.counts.inexact += int((~vectors.exact).sum())
        index = pa.array(where, mask=where < 0)
        told: dict[str, Any] = {
            "decision_id": pa.array([decision_id(one) for one in ids]),
            "order_id": _texts(batch.events, "order_id"),
            "event_id": pa.array(ids),
            "event_time": pa.array(batch.at_ms, file.UTC_MS),
            **{name: _texts(batch.events, name) for name in file.IDS},
            **({name: said.column(name).combine_chunks().take(index) for name in SAID} if said is not None else {}),
            "replayed": pa.array(vectors.again),
            "exact": pa.array(vectors.exact),
            **labelled,
        }
        columns = [told.get(each.name, pa.nulls(len(ids), each.type)) for each in file.TOLD]
        return pa.Table.from_arrays(
            [*columns, vectors_of(vectors.rows)], names=[*(f.name for f in file.TOLD), "vector"]
        )

    def _missing(self, batch: _Batch, place: int, decided: bool) -> ArchiveError:
        where = f"{self.asked.topic}/{batch.partition} offset {batch.offset[place]}"
        remedy = "`--vectors replayed` makes all vectors again from the log"
        if self.replayed:
            return ArchiveError(
                f"{where}: no vector of it can be rebuilt yet, for other topics may be behind: try again when the "
                "archive has settled (--settled), or ask for an earlier window"
            )
        if decided:
            return ArchiveError(f"{where} was decided with other features than today's: {remedy}")
        return ArchiveError(
            f"{where} ({rfc3339(int(batch.at_ms[place]))}): no decision of it is archived. Is `headrace archive` "
            f"behind, or did its `decisions` begin later? {remedy}"
        )


@dataclass(frozen=True, slots=True)
class _Batch:
    """Orders of the window, by offset."""

    partition: int
    offset: Ints
    at_ms: Ints
    events: Sequence[Any]


@dataclass(slots=True)
class _Filled:
    """(n, d) vectors as far as they are there."""

    rows: Floats2d
    there: Bools
    exact: Bools

    again: Bools = field(init=False)  # rebuilt by a replay

    def __post_init__(self) -> None:
        self.again = np.zeros(len(self.there), np.bool_)

    def fill(self, places: Ints, rows: Floats2d) -> None:
        self.rows[places], self.there[places] = rows, True

    def fill_rest(self, rebuilt: Any, places: Ints) -> None:
        """Of rebuilt ones those that are not there yet."""
        if rebuilt is None:
            return
        new = ~self.there[places]
        self.fill(places[new], matrix_of(rebuilt.column("vector"), self.rows.shape[1])[new])
        self.exact[places[new]] = np.asarray(rebuilt.column("exact"))[new]
        self.again[places[new]] = True


def _texts(events: Sequence[Any], name: str) -> Any:
    return pa.array([getattr(event, name, None) for event in events], pa.string())
