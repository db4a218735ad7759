"""Sessions at their milestones: what a range writes of them to topic `sessions`, and which of them are unusual.

A pure function of the range's vectors and the configuration. The price: a range without a milestone costs a few array
operations, each milestone some 5 us, one that is unusual 3 ms for its reasons.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from features.columns import Columns, Floats2d, Ints
from features.milestones import at_milestone
from features.text import json_rows
from features.vector import Vector
from models.decide import Unusual, rare_sessions
from schemas.sessions import SessionVector
from streams.configuration import Configuration
from streams.protocol.ports import Tp


@dataclass(frozen=True, slots=True)
class Reached:
    """The milestones of a range, k of them."""

    places: Ints  # (k,) of their events in the range
    events: Sequence[int]  # that each session had come to
    vectors: Floats2d  # (k, d)
    feature_hash: str
    scores: Sequence[float | None]
    unusual: Sequence[Unusual]  # rows are places

    def records(self, tp: Tp, columns: Columns, offset: Ints, config: str, *, recovered: bool) -> list[SessionVector]:
        """For topic `sessions`."""
        vectors: list[Any] = json_rows(self.vectors)  # byte for byte as numbers are encoded
        return [
            SessionVector(
                columns.events[place].session_id,
                columns.events[place].event_id,
                count,
                at_ms,
                tp.topic,
                tp.partition,
                at,
                vector,
                self.feature_hash,
                score,
                config,
                recovered,
            )
            for place, count, at_ms, at, vector, score in zip(
                self.places.tolist(),
                self.events,
                columns.at_ms[self.places].tolist(),
                offset[self.places].tolist(),
                vectors,
                self.scores,
                strict=True,
            )
        ]


def reached(
    columns: Columns, rows: Floats2d, session: Vector, counted: str, configuration: Configuration
) -> Reached | None:
    """The milestones among (n, d) rows, None where there are none. `counted`: the column that counts events."""
    counts = rows[:, session.names.index(counted)]
    places = at_milestone(counts)
    places = places[[columns.events[place].session_id is not None for place in places.tolist()]]
    if not len(places):
        return None
    vectors = rows[places]
    scores: list[float | None] = [None] * len(places)
    unusual = list[Unusual]()
    if (model := configuration.sessions) is not None:
        score = model.score(vectors)
        scores = list(score.tolist())
        rare = rare_sessions(configuration.rules.unusual_at, model, configuration.made_of.words, vectors, score)
        unusual = [replace(one, row=int(places[one.row])) for one in rare]
    return Reached(places, counts[places].astype(int).tolist(), vectors, session.hash, scores, unusual)
