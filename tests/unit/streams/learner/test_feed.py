"""What records of `decisions` and `labels` say, and at which time."""

from __future__ import annotations

import orjson
import pytest

from archive.columns import Row
from schemas.ids import decision_id, hash64
from streams.learner.feed import DECISIONS, LABELS, Accepted, Source, decided, heard, sources_of
from streams.learner.queue import Decided
from streams.learner.said import decision_of

AS_USUAL = Accepted(late_ms=5_000, future_ms=1_000)


def in_log(offset: int, body: dict[str, object] | bytes, at_ms: int = 5_000) -> Row:
    return Row(offset, at_ms, b"k", body if isinstance(body, bytes) else orjson.dumps(body), ())


def label(type_: str, **more: object) -> dict[str, object]:
    return {"type": type_, "event_id": "l1", "event_time": "1970-01-01T00:00:04.000Z", "order_id": "o1", **more}


def test_a_decision_is_of_its_orders_time_not_of_its_records() -> None:
    body = {"decision_id": decision_id("e1"), "order_id": "o1", "at_ms": 3_000, "vector": [1, 2]}
    ((at_ms, item),) = decided(2, [in_log(7, body, 999_999)])
    assert at_ms == 3_000
    assert item == Decided(hash64("o1"), decision_of(decision_id("e1")), 3_000, 2, 7)


def test_a_label_is_known_by_its_records_time_and_says_what_it_tells_of() -> None:
    ((at_ms, item),) = heard([in_log(1, label("chargeback"))], AS_USUAL)
    assert at_ms == 5_000
    assert item is not None
    assert (item.order, item.label) == (hash64("o1"), (4_000, "l1", "chargeback", True))


def test_only_chargebacks_and_reviews_say_something_and_all_else_is_a_sign_of_the_time() -> None:
    records = [
        in_log(1, label("review_outcome", fraud=False)),
        in_log(2, label("refund"), 6_000),
        in_log(3, label("order_cancelled"), 7_000),
        in_log(4, b"no JSON", 8_000),
        in_log(5, label("chargeback", event_time="yesterday"), 9_000),
    ]
    said = list(heard(records, AS_USUAL))
    assert [at_ms for at_ms, _ in said] == [5_000, 6_000, 7_000, 8_000, 9_000]
    assert [item is not None for _, item in said] == [True, False, False, False, False]


def test_a_decision_that_cannot_be_read_says_nothing_at_no_time() -> None:
    assert list(decided(0, [in_log(1, b"cut of", 8_000)])) == [(0, None)]


def test_decisions_go_before_labels_of_the_same_time() -> None:
    assert sources_of({LABELS: 1, DECISIONS: 2}) == [Source(DECISIONS, 0), Source(DECISIONS, 1), Source(LABELS, 0)]


@pytest.mark.parametrize(("at_ms", "taken"), [(3_000, True), (9_000, True), (2_999, False), (9_001, False)])
def test_a_label_that_workers_refuse_says_nothing_here_either(at_ms: int, taken: bool) -> None:
    """Its event is of 4,000: too far ahead of its record, or behind it."""
    ((time, item),) = heard([in_log(1, label("chargeback"), at_ms)], AS_USUAL)
    assert (time, item is not None) == (at_ms, taken)


def test_a_label_in_a_currency_that_workers_do_not_know_says_nothing_here_either() -> None:
    body = label("chargeback", value=3.5, currency="EUR")
    ((_, known),) = heard([in_log(1, body)], AS_USUAL)
    ((_, unknown),) = heard([in_log(1, body)], Accepted(5_000, 1_000, {"USD"}))
    assert known is not None
    assert unknown is None
