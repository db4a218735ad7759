"""Learning from labels: reads `matured`, teaches the models, and judges them by what they said when orders came."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from typing import ClassVar, Final

import numpy as np

from models.scorer import Scorer
from schemas.matured import MATURED, Key, Matured, decode_matured
from schemas.records import Record
from storage.errors import StorageDown
from streams.learner.loop import Loop, Pupil, Rhythm, Shell
from streams.learner.metrics import KIND
from streams.learner.online import Online, Row
from streams.learner.snapshots import LabelSnapshots

FIGURES_S: Final = 10.0  # the figures of the window are worth no more


class Learning(Loop[Online, LabelSnapshots]):
    """Some models, taught by one reader."""

    topic: ClassVar[str] = MATURED

    def __init__(self, shell: Shell[LabelSnapshots], pupils: Sequence[Pupil[Online]], rhythm: Rhythm) -> None:
        super().__init__(shell, pupils, rhythm)
        self._key: Key = min((pupil.model.place for pupil in pupils), key=lambda place: place.offset).key
        self._figured_s = time.monotonic()

    def _new(self, records: Sequence[Record]) -> list[Row]:
        """Those whose keys rise: what was written twice is there once."""
        found = []
        for one in records:
            row = Row(one.offset, decode_matured(one.value or b""))
            if row.key > self._key:
                self._key = row.key
                found.append(row)
        return found

    def _figures(self) -> None:
        now_s = time.monotonic()
        if now_s - self._figured_s < FIGURES_S:
            return
        self._figured_s = now_s
        for pupil in self._pupils:
            if (figures := pupil.window.figures()) is not None:
                self._shell.metrics.precision.labels(pupil.model.name).set(figures[0])
                self._shell.metrics.loss.labels(pupil.model.name).set(figures[1])

    # ---- in a thread

    def _teach(self, rows: Sequence[Row]) -> None:
        metrics = self._shell.metrics
        for pupil in self._pupils:
            model, before = pupil.model, pupil.model.skipped
            used = model.take(rows)
            self._judge(pupil, used)
            pupil.probe.take(len(rows), used)
            for label, name in KIND.items():
                metrics.learned.labels(model.name, name).inc(sum(one.label == label for one in used))
            metrics.skipped.labels(model.name).inc(model.skipped - before)

    def _judge(self, pupil: Pupil[Online], rows: Sequence[Matured]) -> None:
        """By the scores that orders had when they came: the model has learned of them meanwhile, the score has not."""
        name, others = pupil.model.name, defaultdict[str, list[Matured]](list)
        scorers = {}
        for row in rows:
            if (score := row.members.get(name)) is not None:
                pupil.window.add(score, row.label == 1)
            elif (found := self._of_then(name, row.at_ms)) is not None:
                others[found[0]].append(row)
                scorers[found[0]] = found[1]
        for version, some in others.items():
            scores = scorers[version].score(np.array([row.vector for row in some], dtype=np.float64))
            for row, score in zip(some, scores.tolist(), strict=True):
                pupil.window.add(score, row.label == 1)

    def _of_then(self, name: str, at_ms: int) -> tuple[str, Scorer] | None:
        """None also where the registry does not answer: the figures do without."""
        try:
            return self._shell.snapshots.of_then(name, at_ms)
        except StorageDown:
            self._shell.metrics.errors.inc()
            return None
