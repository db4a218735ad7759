"""A snapshot may score where it has moved with its labels, and is no worse than the one before."""

from __future__ import annotations

import numpy as np
import pytest

from models.exact import Floats
from streams.learner.sanity import FROZEN_ROWS, Health, Probe
from tests.unit.streams.learner.rows import Share, rows


class Says(Share):
    """The same for all."""

    said = 0.2

    def score(self, x: Floats) -> Floats:
        return np.full(len(x), self.said)


class Nonsense(Says):
    said = 1.0


class NoNumber(Says):
    said = np.nan


def probe(seen: int = 100) -> Probe:
    made = Probe()
    made.take(seen, [row.record for row in rows(100)])
    return made


def test_one_that_moves_and_is_no_worse_is_well() -> None:
    one = probe()
    assert one.judge(Says(1, 5)).well
    assert one.judge(Says(2, 10)).well


def test_one_that_stays_what_it_was_while_labels_come_is_frozen() -> None:
    one = probe()
    assert one.judge(Says(1, 5)).well
    one.take(FROZEN_ROWS - 1, [])
    assert one.judge(Says(1, 5)).well, "so few may be goods that are left out"
    one.take(1, [])
    assert one.judge(Says(1, 5)) == Health(frozen=True)
    assert one.judge(Says(2, 9)).well


@pytest.mark.parametrize("worse", [Nonsense, NoNumber])
def test_one_that_scores_far_worse_explodes_and_is_not_what_the_next_is_held_to(worse: type[Says]) -> None:
    one = probe()
    assert one.judge(Says(1, 5)).well
    assert one.judge(worse(2, 9)) == Health(exploding=True)
    assert one.judge(worse(3, 12)) == Health(exploding=True)
    assert one.judge(Says(4, 15)).well


def test_after_a_start_it_is_held_to_what_is_in_force() -> None:
    one = Probe(Says(1, 5))
    one.take(100, [row.record for row in rows(100)])
    assert one.judge(Nonsense(2, 9)) == Health(exploding=True)


def test_the_first_is_held_to_nothing_but_being_a_score() -> None:
    assert probe().judge(Nonsense(1, 5)).well
    assert probe().judge(NoNumber(1, 5)).exploding
    assert Probe().judge(NoNumber(1, 5)).well, "nothing was learned yet"
