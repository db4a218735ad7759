"""Dead letters: what the producer wrote stays, what we write is always the last failure."""

from __future__ import annotations

import pytest

from schemas.deadletters import attempt_of, headers_of, without_ours
from schemas.decode import Fault, Reason

FAULT = Fault(Reason.OUT_OF_RANGE, "$.items[0].quantity", "want at least 1")
OWN = [("trace", b"\x00\x01"), ("empty", None), ("trace", b"twice")]


def test_a_dead_letter_says_why_and_where_from() -> None:
    assert headers_of(FAULT, "orders", 3, 17, 1_700, OWN) == (
        *OWN,
        ("dlq-reason", b"out_of_range"),
        ("dlq-path", b"$.items[0].quantity"),
        ("dlq-detail", b"want at least 1"),
        ("dlq-topic", b"orders"),
        ("dlq-partition", b"3"),
        ("dlq-offset", b"17"),
        ("dlq-timestamp", b"1700"),
        ("dlq-attempt", b"1"),
    )


def test_a_record_that_fails_again_counts_its_attempts_and_keeps_one_set_of_headers() -> None:
    first = headers_of(FAULT, "orders", 3, 17, 1_700, OWN)
    second = headers_of(Fault(Reason.FUTURE, "$.event_time", "later"), "orders", 3, 99, 1_800, first)
    assert without_ours(second) == OWN
    assert dict(second)["dlq-attempt"] == b"2"
    assert dict(second)["dlq-offset"] == b"99"
    assert len(second) == len(first)


@pytest.mark.parametrize(
    ("header", "attempts"), [(None, 0), (b"", 0), (b"4", 4), (b"-1", 0), (b"9" * 40, 0), (b"\xff", 0)]
)
def test_an_attempt_header_that_is_nonsense_counts_as_none(header: bytes | None, attempts: int) -> None:
    assert attempt_of([("dlq-attempt", header)]) == attempts
    assert attempt_of([]) == 0
