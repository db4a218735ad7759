"""Dead letters and the marks beside them: what is one letter, what has become of it."""

import msgspec
import pytest

from schemas.deadletters import headers_of
from schemas.decode import Fault, Reason
from streams.data.cluster import ClusterError
from streams.data.dlq import CLAIM_HOLDS_MS, MARK, Letters, Mark, Where, count, letter_of
from streams.data.redrive import record_of
from tests.unit.streams.data.test_show import Rec

NOW_MS = 1_768_480_496_789


def dead(
    offset: int,
    *,
    at: int = 0,
    value: bytes | None = b"{",
    reason: Reason = Reason.NOT_JSON,
    original: tuple[tuple[str, bytes | None], ...] = (),
) -> Rec:
    headers = headers_of(Fault(reason, "$", "bad"), "orders", 1, offset, NOW_MS, original)
    return Rec(value, b"u1", headers, "orders.dlq", 2, at, NOW_MS)


def mark(kind: str, token: str, *ids: str, at: int = 0, at_ms: int = NOW_MS) -> Rec:
    value = msgspec.json.encode(Mark(kind, token, list(ids), {0: 5}))  # type: ignore[arg-type]  # a literal
    return Rec(value, None, ((MARK, kind.encode()),), "orders.dlq", 2, at, at_ms)


def held(*records: Rec) -> Letters:
    letters = Letters()
    for at, record in enumerate(records):
        letters.add(Rec(record.value, record.key, record.headers, record.topic, 2, at, record.timestamp))
    return letters


def id_of(record: Rec) -> str:
    letter = letter_of(record)
    assert letter is not None
    return letter.id


def states(letters: Letters, now_ms: int = NOW_MS) -> list[str]:
    return list(letters.states(letters.chosen(Where("orders")), now_ms))


def test_a_letter_that_a_repeated_range_published_twice_is_one_letter() -> None:
    letters = held(dead(7), dead(8), dead(7))
    assert [letter.place for letter in letters.chosen(Where("orders"))] == ["orders/1/7", "orders/1/8"]
    assert letters.letters[id_of(dead(7))].record.offset == 0


def test_other_bytes_at_the_same_place_are_another_letter() -> None:
    assert len(held(dead(7), dead(7, value=b"[")).letters) == 2


def test_a_letter_shows_the_original_headers_only() -> None:
    letter = letter_of(dead(7, original=(("trace", b"1"), ("dlq-attempt", b"2"))))
    assert letter is not None
    assert (letter.headers, letter.attempt) == ([("trace", b"1")], 3)


def test_a_record_that_no_worker_wrote_is_no_letter() -> None:
    assert letter_of(Rec(b"{}")) is None


def test_letters_are_chosen_by_topic_place_and_reason() -> None:
    letters = held(dead(7), dead(8, reason=Reason.FUTURE))
    assert len(letters.chosen(Where.parse("orders.dlq"))) == 2
    assert [letter.offset for letter in letters.chosen(Where.parse("orders/1/8"))] == [8]
    assert not letters.chosen(Where.parse("orders/0/8"))
    assert [letter.offset for letter in letters.chosen(Where.parse("orders", "future"))] == [8]


@pytest.mark.parametrize("text", ["", "orders/1", "orders/a/b", "orders/1/2/3", "orders/-1/2"])
def test_a_place_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ClusterError, match="want a topic as in orders"):
        Where.parse(text)


def test_done_makes_a_letter_redriven_for_ever() -> None:
    first, second = id_of(dead(7)), id_of(dead(8))
    letters = held(dead(7), dead(8), mark("claim", "t", first), mark("done", "t", first))
    assert states(letters, NOW_MS + 10 * CLAIM_HOLDS_MS) == ["redriven", "dead"]
    assert not letters.claims
    assert second not in letters.redriven


def test_a_claim_keeps_others_off_for_a_minute_and_then_no_more() -> None:
    letters = held(dead(7), mark("claim", "t", id_of(dead(7))))
    assert states(letters) == ["busy"]
    assert states(letters, NOW_MS + CLAIM_HOLDS_MS) == ["dead"]


def test_of_two_claims_the_first_in_the_log_stands() -> None:
    letter_id = id_of(dead(7))
    letters = held(dead(7), mark("claim", "a", letter_id), mark("claim", "b", letter_id))
    assert letters.open_claims()[letter_id].mark.token == "a"


def test_letters_are_counted_by_reason() -> None:
    letters = held(dead(7), dead(7), dead(8), dead(9, reason=Reason.FUTURE), mark("done", "t", id_of(dead(8))))
    assert [(line.reason, line.letters, line.redriven) for line in count("orders", letters)] == [
        ("future", 1, 0),
        ("not_json", 2, 1),
    ]


def test_a_redriven_record_is_the_original_and_says_how_often_it_died() -> None:
    letter = letter_of(dead(7, value=b"\xff", original=(("trace", b"1"), ("dlq-attempt", b"1"), ("dlq-path", b"x"))))
    assert letter is not None
    record = record_of(letter, partitions=4)
    assert (record.topic, record.key, record.value, record.partition) == ("orders", b"u1", b"\xff", 1)
    assert record.headers == (("trace", b"1"), ("dlq-attempt", b"2"), ("dlq-redrive", letter.id.encode()))
    assert record.timestamp_ms == NOW_MS


def test_a_partition_that_is_gone_leaves_the_choice_to_the_key() -> None:
    letter = letter_of(dead(7))
    assert letter is not None
    assert record_of(letter, partitions=1).partition is None


def test_the_original_timestamp_is_kept_where_the_letter_says_it() -> None:
    letter = letter_of(Rec(b"{", None, (*dead(7).headers, ("dlq-timestamp", b"1234"))))
    assert letter is not None
    assert record_of(letter, 4).timestamp_ms == 1234


def test_a_record_from_the_future_is_dated_now() -> None:
    letter = letter_of(dead(7, reason=Reason.FUTURE))
    assert letter is not None
    assert record_of(letter, 4).timestamp_ms is None
