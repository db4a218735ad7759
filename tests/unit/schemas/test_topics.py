"""The registry of topics: whole, and one place in `applied` for each input partition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import decode
from schemas.topics import (
    DEAD_LETTER_MESSAGE_BYTES,
    INPUTS,
    MAX_RECORD_BYTES,
    TOPICS,
    applied_partition,
    applied_partitions,
    dead_letters_of,
    partitions_of,
    registry_of,
)


def test_every_topic_of_the_design_is_there() -> None:
    inputs = {"orders", "clickstream", "cart", "labels", "outcomes"}
    outputs = {"fraud", "decisions", "applied", "anomalies", "models", "sessions", "matured"}
    assert set(TOPICS) == inputs | outputs | {f"{name}.dlq" for name in inputs}
    assert set(INPUTS) == inputs == set(decode._CODECS)
    assert all(topic.name == name and topic.doc and topic.key and topic.readers for name, topic in TOPICS.items())


def test_ten_megabytes_get_in_and_become_a_dead_letter() -> None:
    for name in INPUTS:
        accepted = TOPICS[name].max_message_bytes
        assert MAX_RECORD_BYTES < 10 * 2**20 < accepted < DEAD_LETTER_MESSAGE_BYTES
        assert TOPICS[dead_letters_of(name)].max_message_bytes == DEAD_LETTER_MESSAGE_BYTES


def test_decisions_are_kept_for_ever() -> None:
    assert TOPICS["fraud"].config()["retention.ms"] == "-1"
    assert TOPICS["fraud"].config()["cleanup.policy"] == "delete"


@given(st.integers(1, 50), st.lists(st.text(min_size=1), min_size=1, max_size=6, unique=True))
def test_each_input_partition_has_one_of_applied(partitions: int, inputs: list[str]) -> None:
    taken = [applied_partition(topic, at, inputs) for topic in inputs for at in range(partitions)]
    assert sorted(taken) == list(range(applied_partitions(partitions, inputs)))


def test_what_configurations_are_made_of_is_kept_for_ever_in_one_partition() -> None:
    assert TOPICS["models"].config()["cleanup.policy"] == "compact"
    assert partitions_of(TOPICS["models"], 12) == 1
    assert "models" in registry_of(["mine"])


def test_more_partitions_move_no_row() -> None:
    assert applied_partition("cart", 1) == 7  # whatever the number of partitions is
    assert partitions_of(TOPICS["applied"], 4) == 20
    assert partitions_of(TOPICS["orders"], 4) == partitions_of(TOPICS["fraud"], 4) == 4


def test_a_topic_that_is_no_input_has_no_row() -> None:
    with pytest.raises(KeyError, match="'fraud' is no input: want one of orders"):
        applied_partition("fraud", 0)
