"""One online model: a learner and how far it has read. Pure but for the learner that it changes.

What it has learned is a function of the records of `matured` up to its place, whatever became of the processes that
read them: records come in the order of their keys, one that is not above the last key is none, and a learner that was
saved goes on as if it had never stopped. A correction is learned as one more row: nothing can be unlearned.

A row counts though the model cannot use it: its vector has other features than the model's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Protocol, Self

import msgspec
import numpy as np
import numpy.typing as npt

from models.exact import Floats
from models.scorer import Scorer
from schemas.matured import MATURED, Key, Matured

STATE_FILE: Final = "state.json"  # of a snapshot's card: what the learner goes on from
DIGITS: Final = 20  # of an offset, as a snapshot's version

Bools = npt.NDArray[np.bool_]


class Learner(Protocol):
    """What learns (training/online/learner.py)."""

    @property
    def seed(self) -> int: ...

    def learn_many(self, x: Floats, fraud: Bools) -> None:
        """(n, d) vectors and their labels, one after the other: the same as each alone."""
        ...

    def scorer(self, names: Sequence[str]) -> Scorer:
        """What it knows now, as a value."""
        ...

    def state(self) -> bytes:
        """All that it is; equal learners have equal bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Kind:
    """A model's name and how to make its learner: a new one, or one of a state, which runs nothing of it.

    `of_state` raises ValueError for a state of another learner, or of one that was told otherwise.
    """

    name: str
    new: Callable[[Sequence[str]], Learner]
    of_state: Callable[[bytes, Sequence[str]], Learner]


class Course(Protocol):
    """How far a model has read its topic."""

    topic: ClassVar[str]

    @property
    def topic_id(self) -> str: ...

    @property
    def offset(self) -> int:
        """Of the next record."""
        ...

    @property
    def rows(self) -> int:
        """Records that counted, up to here."""
        ...


class Taught(Protocol):
    """A model that learns from a topic."""

    name: str
    skipped: int  # by this process: rows that it could not use

    @property
    def place(self) -> Course: ...

    def snapshot(self) -> Snapshot:
        """What it is now. Raises ValueError where that cannot be a model: its numbers are none any more."""
        ...


def version_of(offset: int) -> str:
    """What a snapshot is called that had read up to there."""
    return f"{offset:0{DIGITS}d}"


class Place(msgspec.Struct, frozen=True):
    """How far a model has read `matured`, as a snapshot's manifest says it."""

    topic: ClassVar[str] = MATURED

    topic_id: str  # the broker's, of `matured`
    offset: int = 0  # of the next record
    due_ms: int = -1  # the last key
    event_id: str = ""
    rows: int = 0  # records with keys of their own, up to here

    @property
    def key(self) -> Key:
        return Key(self.due_ms, self.event_id)

    def after(self, offset: int, key: Key) -> Place:
        """Behind one more record."""
        return Place(self.topic_id, offset + 1, key.due_ms, key.event_id, self.rows + 1)


class Row(msgspec.Struct, gc=False, frozen=True):
    """A record of `matured` and its offset."""

    offset: int
    record: Matured

    @property
    def key(self) -> Key:
        return Key(self.record.due_ms, self.record.event_id)


@dataclass(frozen=True, slots=True)
class Vectors:
    """What vectors are made of: the columns, and the hash that stands for them."""

    names: tuple[str, ...]
    hash: str


class Online:
    """A model that learns."""

    def __init__(self, kind: Kind, vectors: Vectors, learner: Learner, place: Place) -> None:
        self.name, self.vectors, self.learner, self.place = kind.name, vectors, learner, place
        self.learned = self.skipped = 0  # by this process

    @classmethod
    def new(cls, kind: Kind, vectors: Vectors, topic_id: str) -> Self:
        """One that knows nothing and has read nothing."""
        return cls(kind, vectors, kind.new(vectors.names), Place(topic_id))

    def take(self, rows: Sequence[Row]) -> list[Matured]:
        """Learns from records in the order of the log; those that it learned from."""
        used = list[Matured]()
        for row in rows:
            if row.offset < self.place.offset or row.key <= self.place.key:
                continue
            self.place = self.place.after(row.offset, row.key)
            if self._usable(row.record):
                used.append(row.record)
            else:
                self.skipped += 1
        if used:
            x = np.array([record.vector for record in used], dtype=np.float64)
            self.learner.learn_many(x, np.array([record.label == 1 for record in used]))
            self.learned += len(used)
        return used

    def _usable(self, record: Matured) -> bool:
        return record.feature_hash == self.vectors.hash and len(record.vector) == len(self.vectors.names)

    def snapshot(self) -> Snapshot:
        """What it is now. Raises ValueError where that cannot be a model: its numbers are none any more."""
        state = self.learner.state()
        return Snapshot(self.name, self.learner.scorer(self.vectors.names), state, self.place, self.learner.seed)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A model at a place: what scores, and what goes on learning."""

    name: str
    scorer: Scorer
    state: bytes
    place: Course
    seed: int

    @property
    def version(self) -> str:
        """What it is called."""
        return version_of(self.place.offset)

    def about(self) -> dict[str, Any]:
        """What the manifest says of the data; a function of the place alone."""
        return {
            "name": self.place.topic,
            **msgspec.to_builtins(self.place),
            "state": hashlib.sha256(self.state).hexdigest(),
        }
