"""Records of `matured`, and a learner that is small enough to know what it must say."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from models.exact import Floats
from models.scorer import Scorer
from schemas.ids import decision_id
from schemas.matured import Label, Matured
from streams.learner.online import Kind, Row, Vectors

VECTORS = Vectors(("amount", "count"), "00ff00ff00ff00ff")


def record(name: str, due_ms: int, label: Label = 0, **more: object) -> Matured:
    told: dict[str, object] = {
        "event_id": name,
        "decision_id": decision_id(name),
        "order_id": f"o-{name}",
        "at_ms": due_ms - 10,
        "due_ms": due_ms,
        "label": label,
        "label_type": "chargeback" if label else None,
        "was": None,
        "turn": 1,
        "vector": (1.0, 2.0),
        "feature_hash": VECTORS.hash,
        "partition": 0,
        "offset": 0,
        "score": 0.5,
        "members": {},
    }
    return Matured(**(told | more))  # type: ignore[arg-type]  # each is its own


def rows(count: int, first: int = 0) -> list[Row]:
    """Every fifth is a fraud, with an amount of its own."""
    return [
        Row(n, record(f"e{n:04d}", 100 + n, 1 if n % 5 == 0 else 0, vector=(float(n % 5 == 0), float(n))))
        for n in range(first, first + count)
    ]


@dataclass(frozen=True)
class Share:
    """Says for all orders what share of those it knows were frauds; more where the first column is set."""

    frauds: int
    all: int
    kind: ClassVar[str] = "share"
    additive: ClassVar[bool] = False
    reads: tuple[str, ...] = VECTORS.names

    @property
    def usual(self) -> Floats:
        return np.zeros(2)

    @property
    def base(self) -> float:
        return 0.0

    def score(self, x: Floats) -> Floats:
        return np.clip((self.frauds + x[:, 0]) / (self.all + 2), 0, 1)

    def contributions(self, x: Floats) -> Floats:
        return np.zeros((len(x), 2))

    def files(self) -> dict[str, bytes]:
        return {"share.json": json.dumps([self.frauds, self.all]).encode()}

    @classmethod
    def of(cls, files: Mapping[str, bytes], names: Sequence[str]) -> Self:
        del names
        return cls(*json.loads(files["share.json"]))


class Counts:
    """Learns shares."""

    seed = 7

    def __init__(self, frauds: int = 0, all_: int = 0) -> None:
        self.frauds, self.all = frauds, all_

    def learn_many(self, x: Floats, fraud: npt.NDArray[np.bool_]) -> None:
        self.frauds += int(fraud.sum())
        self.all += len(x)

    def scorer(self, names: Sequence[str]) -> Scorer:
        del names
        return Share(self.frauds, self.all)

    def state(self) -> bytes:
        return json.dumps([self.frauds, self.all]).encode()


def counts_of(written: bytes, names: Sequence[str]) -> Counts:
    if tuple(names) != VECTORS.names:
        raise ValueError("other columns")
    return Counts(*json.loads(written))


COUNTS = Kind("counts", lambda _names: Counts(), counts_of)
