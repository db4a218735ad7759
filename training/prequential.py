"""Prequential judging under late labels: each case is scored when it comes, and learned when its label is due.

The order of things is that of the stream. Cases go by time; a label is learned once it was due before the moment at
hand, in the order of (due, id), and never earlier. Scores are those of a snapshot, as in the worker: a new one is taken
every `refresh_ms` of event time, where something was learned since. Whatever happens later changes no score before it.

Judged with a delay of 0 a model looks better than it will ever be: in truth a chargeback takes weeks, and the frauds of
the same card fall within that time. The price: one pass in one process; learning is what costs (training/online).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from training.metrics import Bools, Floats, Ints, Measured, Scored, measure
from training.online.learner import Learner

DAY_MS: Final = 86_400_000
REFRESH_MS: Final = 600_000  # the least time between two snapshots that a learner hands out
_SCORED_AT_ONCE: Final = 20_000

Tell = Callable[[int, int], None]  # of so many cases so many are done


class NothingToJudgeError(ValueError):
    """The cases cannot be judged; the message says why."""


@dataclass(frozen=True)
class Cases:
    """(n,) each but `x`: what happened, in any order."""

    x: Floats  # (n, d)
    at_ms: Ints
    id: Any  # (n,) numbers or words: of two labels that are due at once, the lesser goes first
    fraud: Bools
    known: Bools  # whether the label ever comes
    due_ms: Ints  # when it does
    owner: Ints  # whose, small integers: intervals are over owners
    judged: Bools  # whether it counts in the metrics

    def __len__(self) -> int:
        return len(self.at_ms)


@dataclass(frozen=True)
class Judged:
    """What came out; `score` (n,) is NaN where nothing was asked for."""

    score: Floats
    metrics: dict[str, Measured]
    learned: int  # labels that were due before the last case
    frauds: int  # of those
    snapshots: int
    state_hash: str  # of the learner in the end: equal runs have equal ones


def prequential(
    cases: Cases,
    learner: Learner,
    *,
    refresh_ms: int = REFRESH_MS,
    score_all: bool = False,
    seed: int,
    tell: Tell = lambda _done, _all: None,
) -> Judged:
    """Runs the learner over the cases and judges its scores; `score_all`: also of cases that do not count.

    The learner ends as the last case found it. Raises NothingToJudgeError where the judged cases have not both classes.
    """
    wanted = cases.judged | score_all
    _check(cases)
    score, learned, snapshots = np.full(len(cases), np.nan), 0, 0
    order = np.lexsort((cases.id, cases.at_ms))
    queue = _queue(cases)
    scorer, told = None, -1
    for rows, until_ms in _blocks(cases.at_ms[order], order, refresh_ms):
        due = int(np.searchsorted(cases.due_ms[queue], until_ms, side="left"))
        for start in range(learned, due, _SCORED_AT_ONCE):
            some = queue[start : min(start + _SCORED_AT_ONCE, due)]
            learner.learn_many(cases.x[some], cases.fraud[some])
            tell(start, len(cases))
        learned = due
        if len(asked := rows[wanted[rows]]):
            if told != learned:
                scorer, told, snapshots = learner.scorer(learner.names), learned, snapshots + 1
            assert scorer is not None
            score[asked] = scorer.score(cases.x[asked])
        tell(learned, len(cases))
    tell(len(cases), len(cases))
    return Judged(
        score=score,
        metrics=judge(cases, score, seed),
        learned=learned,
        frauds=int(cases.fraud[queue[:learned]].sum()),
        snapshots=snapshots,
        state_hash=hashlib.sha256(learner.state()).hexdigest(),
    )


def judge(cases: Cases, score: Floats, seed: int) -> dict[str, Measured]:
    """AUC, AP and CP@100 of the judged cases, with intervals over owners."""
    rows = np.flatnonzero(cases.judged)
    owner = np.unique(cases.owner[rows], return_inverse=True)[1].astype(np.int64)
    return measure(Scored(score[rows], cases.fraud[rows], owner, cases.at_ms[rows] // DAY_MS), seed)


def _queue(cases: Cases) -> Ints:
    """The labels in the order in which they are due."""
    known = np.flatnonzero(cases.known)
    return known[np.lexsort((np.asarray(cases.id)[known], cases.due_ms[known]))]


def _blocks(at_ms: Ints, order: Ints, refresh_ms: int) -> Iterator[tuple[Ints, int]]:
    """Cases that are scored by one snapshot, with the moment at which it is taken: none of them is earlier."""
    moment = at_ms // refresh_ms * refresh_ms if refresh_ms else at_ms
    edges = np.flatnonzero(np.diff(moment, prepend=moment[:1] - 1))
    for begin, end in zip(edges.tolist(), [*edges[1:].tolist(), len(order)], strict=True):
        yield order[begin:end], int(moment[begin])


def _check(cases: Cases) -> None:
    if (cases.judged & ~cases.known).any():
        raise NothingToJudgeError("a case without a label cannot be judged")
    if (early := cases.known & (cases.due_ms < cases.at_ms)).any():
        raise NothingToJudgeError(f"{int(early.sum())} labels are due before their cases: want a delay of 0 or more")
    frauds, judged = int(cases.fraud[cases.judged].sum()), int(cases.judged.sum())
    if not 0 < frauds < judged:
        raise NothingToJudgeError(
            f"{frauds} frauds among {judged} judged cases: want some of both; name another test period"
        )
