"""Sessions: a score is a share of late vectors, whatever the trees say, and known before it is learned."""

from __future__ import annotations

import numpy as np
import pytest

from models.documents import ArtefactError
from models.sessions import FILE, Sessions
from tests.unit.models.test_half_space import NAMES, sessions
from training.online.learner import of_state
from training.online.sessions import SessionLearner, SessionSettings

ODD = np.array([[5000.0, 0.01, 900.0]])


def taught(n: int, late: int = 2000) -> SessionLearner:
    made = SessionLearner(NAMES, seed=5, settings=SessionSettings(trees=30, height=6, window=400, late=late))
    made.learn_many(sessions(n), np.zeros(n, dtype=np.bool_))
    return made


def test_one_vector_in_so_many_reaches_a_threshold() -> None:
    score = taught(4400).scorer(NAMES).score(sessions(4000, seed=2))
    for at in (0.5, 0.9, 0.99):
        assert (score >= at).mean() == pytest.approx(1 - at, rel=0.5)


def test_what_is_like_nothing_of_late_is_above_all_of_it_and_the_reason_is_named() -> None:
    scorer = taught(2400).scorer(NAMES)
    assert scorer.score(ODD)[0] > 0.995
    assert {name for name, _ in scorer.most_unusual(ODD)[0]} >= {"clicks", "items"}


@pytest.mark.parametrize(("n", "late"), [(399, 0), (400, 0), (401, 1), (1399, 999), (9000, 2000)])
def test_nothing_reaches_one_in_a_thousand_before_a_thousand_were_seen(n: int, late: int) -> None:
    scorer = taught(n).scorer(NAMES)
    assert len(scorer.late) == late
    assert scorer.score(ODD)[0] <= late / (late + 1)


def test_a_vector_is_scored_by_what_was_set_before_it_was_learned() -> None:
    learner = taught(800)
    trees = learner.scorer(NAMES).trees
    new = sessions(150, seed=6)
    learner.learn_many(new, np.zeros(150, dtype=np.bool_))
    late = learner.scorer(NAMES).late
    assert sorted(late.tolist()) == sorted([*taught(800).scorer(NAMES).late.tolist(), *trees.score(new).tolist()])
    assert learner.scorer(NAMES).trees.files() == trees.files(), "nothing is set before a window has ended"


def test_what_was_set_is_in_the_state() -> None:
    again = of_state(taught(950).state())
    assert again.scorer(NAMES).files() == taught(950).scorer(NAMES).files()


@pytest.mark.parametrize(
    ("late", "why"),
    [("3", "want a list"), ("[0.5, 1.5]", "want scores from 0 to 1"), ('["a"]', "late"), ("[NaN]", "number")],
)
def test_a_file_that_has_no_scores_is_refused(late: str, why: str) -> None:
    files = taught(500).scorer(NAMES).files()
    with pytest.raises(ArtefactError, match=why):
        Sessions.of(files | {FILE: f'{{"format": "sessions 1", "late": {late}}}'.encode()}, NAMES)
