"""Learning what sessions are usual: reads `sessions`, teaches one model, and puts snapshots of it in force.

Nobody says of a session whether it is good, so each vector is learned as it comes, in the order of the log. A worker
that did a range again wrote its sessions again: what an input partition has said before is passed over. What is
learned is a function of the records up to the model's place, as with labels. The price: an attack that is as common as
visits are is learned as usual.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import msgspec
import numpy as np

from models.sessions import Sessions
from schemas.records import Record
from schemas.sessions import SESSIONS, SessionVector, decode_session
from streams.learner.loop import Loop
from streams.learner.online import Kind, Learner, Snapshot, Vectors
from streams.learner.snapshots import Snapshots

NO_LABEL = "none"  # as a label of metrics


class Visited(msgspec.Struct, frozen=True):
    """How far a model has read `sessions`, as a snapshot's manifest says it."""

    topic: ClassVar[str] = SESSIONS

    topic_id: str  # the broker's
    offset: int = 0  # of the next record
    rows: int = 0  # records up to here
    said: Mapping[str, int] = {}  # of each input partition, the largest offset that was learned from


class Row(msgspec.Struct, gc=False, frozen=True):
    """A record of `sessions` and its offset."""

    offset: int
    record: SessionVector


class Visits:
    """A model that learns from sessions. Pure but for the learner that it changes."""

    def __init__(self, kind: Kind, vectors: Vectors, learner: Learner, place: Visited) -> None:
        self.name, self.vectors, self.learner = kind.name, vectors, learner
        self.skipped = 0  # by this process
        self._place, self._said = place, dict(place.said)

    @classmethod
    def new(cls, kind: Kind, vectors: Vectors, topic_id: str) -> Self:
        """One that knows nothing and has read nothing."""
        return cls(kind, vectors, kind.new(vectors.names), Visited(topic_id))

    @property
    def place(self) -> Visited:
        """How far it has read."""
        return msgspec.structs.replace(self._place, said=dict(sorted(self._said.items())))

    def take(self, rows: Sequence[Row]) -> int:
        """Learns from records in the order of the log; from how many of them."""
        used = list[Sequence[float]]()
        for row in rows:
            if row.offset < self._place.offset:
                continue
            self._place = Visited(self._place.topic_id, row.offset + 1, self._place.rows + 1)
            one = row.record
            if one.offset <= self._said.get(one.source, -1):
                continue
            self._said[one.source] = one.offset
            if one.feature_hash == self.vectors.hash and len(one.vector) == len(self.vectors.names):
                used.append(one.vector)
            else:
                self.skipped += 1
        if used:
            self.learner.learn_many(np.array(used, dtype=np.float64), np.zeros(len(used), dtype=np.bool_))
        return len(used)

    def snapshot(self) -> Snapshot:
        """What it is now. Raises ValueError where that cannot be a model."""
        state = self.learner.state()
        return Snapshot(self.name, self.learner.scorer(self.vectors.names), state, self.place, self.learner.seed)


class Visiting(Loop[Visits, Snapshots[Visited]]):
    """One model, taught by one reader."""

    topic: ClassVar[str] = SESSIONS

    def _new(self, records: Sequence[Record]) -> list[Row]:
        """All of them: the model knows which were written twice."""
        return [Row(one.offset, decode_session(one.value or b"")) for one in records]

    def _teach(self, rows: Sequence[Any]) -> None:
        metrics = self._shell.metrics
        for pupil in self._pupils:
            model, before = pupil.model, pupil.model.skipped
            metrics.learned.labels(model.name, NO_LABEL).inc(model.take(rows))
            pupil.probe.take(len(rows), ())
            metrics.skipped.labels(model.name).inc(model.skipped - before)

    def _fit(self, snapshot: Snapshot) -> bool:
        """One that says of no session yet how rare it is would be one more configuration for nothing."""
        return isinstance(snapshot.scorer, Sessions) and len(snapshot.scorer.late) > 0
