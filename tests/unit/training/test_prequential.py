"""Judging under late labels: nothing is known before it is due, and nothing later reaches back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.training.online.cases import MINUTE_MS, NAMES, cases
from training.metrics import Bools, Floats
from training.online.learner import Learner, learner_of
from training.prequential import Cases, Judged, NothingToJudgeError, prequential

DELAY_MS = 120 * MINUTE_MS


def learner(kind: str = "online_logistic") -> Learner:
    made = learner_of(kind)
    more = {"trees": 3, "grace": 30} if kind == "adaptive_forest" else {}
    return made(NAMES, seed=1, settings=made.told(rate=0.5, **more))


def judged(of: Cases, kind: str = "online_logistic", refresh_ms: int = 0, *, score_all: bool = True) -> Judged:
    return prequential(of, learner(kind), refresh_ms=refresh_ms, score_all=score_all, seed=1)


class Noted:
    """A learner that notes what it was taught, and before which case."""

    def __init__(self) -> None:
        self.taught: list[float] = []
        self.of = learner()
        self.names = NAMES

    def learn_many(self, x: Floats, _fraud: Bools) -> None:
        self.taught += x[:, 0].tolist()

    def scorer(self, _names: tuple[str, ...]) -> Noted:
        self.seen = list(self.taught)
        return self

    def score(self, x: Floats) -> Floats:
        return np.full(len(x), float(len(self.seen)))

    def state(self) -> bytes:
        return b""


@pytest.mark.parametrize("refresh_ms", [0, 7 * MINUTE_MS])
@pytest.mark.parametrize("delay_ms", [0, 1, DELAY_MS])
def test_a_score_knows_just_what_was_due_before_its_snapshot(refresh_ms: int, delay_ms: int) -> None:
    of = cases(400, delay_ms)
    found = prequential(of, Noted(), refresh_ms=refresh_ms, score_all=True, seed=1)  # type: ignore[arg-type]
    for row, at in enumerate(of.at_ms.tolist()):
        moment = at // refresh_ms * refresh_ms if refresh_ms else at
        assert found.score[row] == (of.due_ms < moment).sum()


def test_labels_are_learned_in_the_order_in_which_they_are_due() -> None:
    of = cases(300, DELAY_MS)
    rng = np.random.default_rng(5)
    of = replace(of, due_ms=of.at_ms + rng.integers(0, 9, 300) * 60 * MINUTE_MS, id=rng.permutation(300))
    noted = Noted()
    prequential(of, noted, refresh_ms=0, seed=1)  # type: ignore[arg-type]
    order = np.lexsort((of.id, of.due_ms))
    assert noted.taught == of.x[order, 0][: len(noted.taught)].tolist()


@pytest.mark.parametrize("kind", ["online_logistic", "adaptive_forest"])
def test_a_label_that_is_not_due_changes_no_score(kind: str) -> None:
    of, row = cases(700, DELAY_MS), 300
    other = replace(of, fraud=of.fraud ^ (np.arange(700) == row))
    before, after = judged(of, kind).score, judged(other, kind).score
    known_from = int(np.searchsorted(of.at_ms, of.due_ms[row], side="right"))
    assert before[:known_from].tobytes() == after[:known_from].tobytes()
    assert before[known_from:].tobytes() != after[known_from:].tobytes()


@pytest.mark.parametrize("row", [350, 500, 699])
def test_what_happens_later_changes_no_score_before_it(row: int) -> None:
    of = cases(700, DELAY_MS)
    later = np.arange(700) >= row
    other = replace(of, x=np.where(later[:, None], of.x[::-1] + 1, of.x), fraud=of.fraud ^ later)
    assert judged(of).score[:row].tobytes() == judged(other).score[:row].tobytes()


def test_an_unknown_label_is_never_learned_nor_judged() -> None:
    of = cases(600, DELAY_MS)
    gone = np.arange(600) % 3 == 0
    of = replace(of, known=~gone, judged=of.judged & ~gone)
    other = replace(of, fraud=of.fraud ^ gone)
    assert judged(of).score.tobytes() == judged(other).score.tobytes()
    assert judged(of).metrics == judged(other).metrics


def test_the_order_of_the_rows_does_not_matter() -> None:
    of = cases(600, DELAY_MS)
    place = np.random.default_rng(2).permutation(600)
    moved = Cases(**{name: getattr(of, name)[place] for name in Cases.__dataclass_fields__})
    assert judged(moved).score.tobytes() == judged(of).score[place].tobytes()
    assert judged(moved).state_hash == judged(of).state_hash


def test_the_delay_matters() -> None:
    soon, late = judged(cases(1500, 0)), judged(cases(1500, 600 * MINUTE_MS))
    assert soon.learned - late.learned == pytest.approx(600, abs=1)
    assert soon.score.tobytes() != late.score.tobytes()


def test_shuffled_labels_cannot_be_found() -> None:
    of = cases(4000, DELAY_MS)
    of = replace(of, fraud=np.random.default_rng(3).permutation(of.fraud))
    assert judged(of, refresh_ms=60 * MINUTE_MS).metrics["auc"].value == pytest.approx(0.5, abs=0.05)


def test_cases_that_do_not_count_need_not_be_scored_and_that_changes_nothing() -> None:
    of = cases(600, DELAY_MS)
    every, some = judged(of), judged(of, score_all=False)
    assert np.isnan(some.score[~of.judged]).all()
    assert some.metrics == every.metrics
    assert some.snapshots < every.snapshots


def test_what_cannot_be_judged_is_refused() -> None:
    of = cases(100, DELAY_MS)
    with pytest.raises(NothingToJudgeError, match="0 frauds among 50 judged cases: want some of both"):
        judged(replace(of, fraud=of.fraud & ~of.judged))
    with pytest.raises(NothingToJudgeError, match="a case without a label"):
        judged(replace(of, known=of.known & ~of.judged))
    with pytest.raises(NothingToJudgeError, match="100 labels are due before their cases"):
        judged(replace(of, due_ms=of.at_ms - 1))
