"""What `matured` says already, whatever was written twice."""

from __future__ import annotations

from schemas.ids import decision_id
from schemas.matured import Key, Told
from streams.learner.said import Said, decision_of


def told(name: str, due_ms: int, label: int, turn: int = 1) -> Told:
    return Told(name, decision_id(name), due_ms, label, turn, 0, 0)  # type: ignore[arg-type]  # 0 or 1


def test_the_newest_record_of_a_decision_says_what_was_said() -> None:
    said = Said()
    assert all(said.add(one) for one in (told("a", 5, 0), told("b", 6, 1), told("a", 9, 1, 2)))
    assert said.of(decision_of(decision_id("a"))) == (2, 1)
    assert said.of(decision_of(decision_id("b"))) == (1, 1)
    assert said.of(decision_of(decision_id("c"))) is None
    assert said.last == Key(9, "a")


def test_a_record_that_is_not_above_the_last_is_none() -> None:
    said = Said()
    assert [said.add(one) for one in (told("b", 5, 0), told("b", 5, 0), told("a", 5, 1), told("c", 5, 1))] == [
        True,
        False,
        False,
        True,
    ]
    assert len(said) == 2


def test_it_can_be_asked_between_records() -> None:
    said = Said()
    assert said.of(1) is None
    said.add(told("a", 5, 0))
    assert said.of(decision_of(decision_id("a"))) == (1, 0)
    said.add(told("a", 6, 1, 2))
    assert said.of(decision_of(decision_id("a"))) == (2, 1)
