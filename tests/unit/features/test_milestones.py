"""Milestones: a session is written down when it has doubled, from its fourth event on."""

import numpy as np

from features.milestones import at_milestone


def test_a_session_is_looked_at_when_its_events_have_doubled() -> None:
    assert (at_milestone(np.arange(70.0))).tolist() == [4, 8, 16, 32, 64]


def test_a_million_events_are_looked_at_eighteen_times() -> None:
    assert len(at_milestone(np.arange(1_000_001.0))) == 18
    assert at_milestone(np.zeros(0)).tolist() == []
