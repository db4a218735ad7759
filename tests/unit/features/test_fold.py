from __future__ import annotations

import numpy as np
import pytest

from features.entry import Own
from features.feature import Feature, Span
from features.fold import fold
from features.group import Group
from features.sequence import recent
from features.window import Window
from tests.unit.features.build import compacted, group, limits, own, stamped

G = group(grace_ms=2_000)


def answers(made: Group, bag: bytes | None, events: Own) -> list[dict[str, float]]:
    rows = fold(made, [bag], limits(1 << 62), events)
    return [dict(zip(made.columns, row, strict=True)) for row in rows.tolist()]


def test_an_event_is_in_its_own_windows() -> None:
    [first] = answers(G, None, own([50_000], [700]))
    assert (first["g_count_10s"], first["g_sum_1m"], first["g_mean_1m"], first["g_max_1m"]) == (1, 700, 700, 700)
    assert (first["g_spread_1m"], first["g_since_last_s"], first["g_since_first_s"]) == (0, -1, 0)


def test_the_second_event_of_a_range_sees_the_first() -> None:
    _, second = answers(G, None, own([50_000, 53_500], [700, 300]))
    assert (second["g_count_10s"], second["g_mean_10s"], second["g_since_last_s"]) == (2, 500, 3.5)
    assert second["g_since_first_s"] == 3.5


def test_a_back_dated_event_does_not_hide_a_burst() -> None:
    bag = stamped(G, own([50_000] * 5))
    [late] = answers(G, bag, own([45_000]))
    assert late["g_count_10s"] == 6, "there is no upper cut: what is dated later counts"
    assert late["g_since_last_s"] == 0


def test_a_span_goes_from_the_oldest_known_to_the_newest_whichever_came_last() -> None:
    made = group(Feature(Span()), grace_ms=2_000)
    bag = stamped(made, own([50_000, 53_000]))
    spans = [answers(made, bag, own([at]))[0]["g_span_s"] for at in (48_000, 51_000, 55_500)]
    assert spans == [5.0, 3.0, 5.5]
    assert answers(made, None, own([50_000]))[0]["g_span_s"] == 0


def test_a_window_ends_at_the_newest_seen_less_the_grace() -> None:
    #   39.9 s | 40 s ... 50 s      the newest is 51.9 s, grace 2 s: end 49.9 s, so 10 tiles of 1 s begin at 40 s
    bag = stamped(G, own([39_900, 40_000, 51_900]))
    [row] = answers(G, bag, own([45_000]))
    assert row["g_count_10s"] == 3


def test_an_event_older_than_its_window_is_not_in_it() -> None:
    bag = stamped(G, own([100_000]))
    [row] = answers(G, bag, own([60_000], [900]))
    assert (row["g_count_10s"], row["g_sum_10s"], row["g_count_1m"], row["g_sum_1m"]) == (1, 100, 2, 1_000)


SEQUENCE = group(*recent(3, "a"), others=("a",), keep=4, grace_ms=2_000)


def told(bag: bytes | None, events: Own, fact: str) -> list[list[float]]:
    """Of each event, what its three newest others say."""
    return [[row[f"g_recent_{fact}_{nth}"] for nth in (1, 2, 3)] for row in answers(SEQUENCE, bag, events)]


def test_a_sequence_tells_the_newest_events_one_by_one_those_of_the_range_among_them() -> None:
    bag, events = stamped(SEQUENCE, own([50_000], [700], [[7]])), own([52_000, 53_500], [300, 900], [[8, 7]])
    assert told(bag, events, "amount") == [[700, 0, 0], [300, 700, 0]]
    assert told(bag, events, "gap_s") == [[2, -1, -1], [1.5, 3.5, -1]]
    assert told(bag, events, "same_a") == [[0, -1, -1], [0, 1, -1]]


def test_a_sequence_holds_what_is_dated_later_and_nothing_that_the_longest_window_has_left() -> None:
    bag = stamped(SEQUENCE, own([10_000, 50_000, 75_000], [1, 2, 3], [[7, 7, 7]]))
    late, gone = told(bag, own([60_000], [9], [[7]]), "gap_s"), told(bag, own([110_000], [9], [[7]]), "amount")
    assert late == [[0, 10, -1]], "75 s is known, and 10 s is more than a minute before 73 s, where windows end"
    assert gone == [[3, 0, 0]], "50 s is a minute before, to the millisecond"


def test_a_sequence_does_not_say_that_two_unknown_counterparties_are_the_same() -> None:
    bag = stamped(SEQUENCE, own([50_000, 51_000], [1, 2], [[0, 7]]))
    assert told(bag, own([52_000, 53_000], [3, 4], [[0, 7]]), "same_a") == [[-1, -1, -1], [-1, 1, -1]]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_events_of_one_millisecond_are_told_in_the_same_order_however_they_came(order: tuple[int, ...]) -> None:
    at_once = [(300, 9), (700, 7), (300, 8)]
    came = own([50_000] * 3, [at_once[nth][0] for nth in order], [[at_once[nth][1] for nth in order]])
    for bag in (stamped(SEQUENCE, came), compacted(SEQUENCE, stamped(SEQUENCE, came))):
        assert told(bag, own([51_000], [1], [[8]]), "amount") == [[700, 300, 300]]
        assert told(bag, own([51_000], [1], [[8]]), "same_a") == [[0, 0, 1]]


def test_what_the_longest_window_has_left_is_as_if_it_had_never_been() -> None:
    bag = stamped(G, own([10_000]))
    [row] = answers(G, bag, own([200_000]))
    assert (row["g_count_1m"], row["g_since_last_s"], row["g_since_first_s"]) == (1, -1, 0)


def test_an_event_without_an_entity_gets_zeros() -> None:
    events = own([50_000, 51_000])
    events.owner[0] = -1
    none, some = answers(G, None, events)
    assert set(none.values()) == {0}
    assert some["g_count_10s"] == 1


def test_no_events_and_no_bags() -> None:
    assert fold(G, [], limits(), own([])).shape == (0, len(G.columns))


def test_spread_is_in_doublings() -> None:
    rows = answers(G, None, own([50_000, 50_001], [1_000, 4_000]))
    assert rows[1]["g_spread_10s"] == pytest.approx(1.0, abs=0.05), "1,000 and 4,000 are one doubling off their middle"


def test_no_answer_is_ever_nan_or_infinite() -> None:
    events = own([0, 10**12, 5, 2**42], [0, -5, 2**53, 1])
    assert np.isfinite(fold(G, [None], limits(9), events)).all()


def test_distinct_is_exact_up_to_its_limit_and_close_beyond() -> None:
    window = Window("1m", 10_000, 6)
    made = group(others=("a",), counted=(window,), exact=32)
    rng = np.random.default_rng(3)
    hashes = rng.permutation(np.unique(rng.integers(1, 1 << 30, 5_100)))[:5_000]
    bag = b""
    for start in range(0, 5_000, 500):
        some = own([50_000 + start] * 500, others=[hashes[start : start + 500].tolist()])
        bag = compacted(made, bag + stamped(made, some, 1_000 + start))
        [row] = answers(made, bag, own([56_000], others=[[0]]))
        assert row["g_distinct_as_1m"] == pytest.approx(start + 500, rel=0.5)
    few = stamped(made, own([50_000] * 32, others=[hashes[:32].tolist()]))
    [row] = answers(made, few, own([50_500], others=[[int(hashes[0])]]))
    assert row["g_distinct_as_1m"] == 32
    [row] = answers(made, few, own([50_500], others=[[int(hashes[40])]]))
    assert row["g_distinct_as_1m"] > 32


def test_the_bytes_of_an_answer_do_not_depend_on_the_range_around_it() -> None:
    bag = stamped(G, own([50_000, 50_500, 49_000], [17, 99, 1_234]))
    alone = fold(G, [bag], limits(1 << 62), own([51_000], [77]))
    many = own([51_000] * 40, [77] * 40)
    many = Own.of(np.arange(40), many.at, many.amount, many.flags, many.place, many.others)
    beside = fold(G, [bag] * 40, limits(*[1 << 62] * 40), many)
    assert {row.tobytes() for row in np.ascontiguousarray(beside)} == {np.ascontiguousarray(alone)[0].tobytes()}
