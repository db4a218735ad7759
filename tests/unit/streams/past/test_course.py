"""Rows of one partition become ranges: each offset once, under the numbers of the first row that covers it."""

from __future__ import annotations

from streams.past.course import Course
from streams.protocol.ports import LATE_ROWS, Tp
from tests.support.past import row_of

TP = Tp("orders", 0, "t")


def course() -> Course:
    return Course("t")


def test_a_row_that_is_there_twice_is_one_range() -> None:
    own = course()
    assert own.take(row_of(TP, 0, 4, (7, 8))) is not None
    assert own.take(row_of(TP, 0, 4, (7, 8))) is None
    after = own.take(row_of(TP, 5, 9, (9, 9)))
    assert after is not None
    assert not after.after_loss


def test_a_copy_that_a_zombie_sends_late_is_no_loss() -> None:
    own = course()
    rows = [row_of(TP, 0, 4, (7, 8)), row_of(TP, 5, 9, (9, 9)), row_of(TP, 0, 4, (7, 8)), row_of(TP, 10, 11, (11, 12))]
    made = [own.take(row) for row in rows]
    assert [one and one.after_loss for one in made] == [False, False, None, False]


def test_a_zombie_may_have_slept_for_any_number_of_rows() -> None:
    own = course()
    rows = [row_of(TP, at, at, (100 + at, 200 + at)) for at in range(3 * LATE_ROWS)]
    assert all(own.take(row) for row in rows)
    assert own.take(rows[0]) is None
    after = own.take(row_of(TP, 100, 101, (300, 400)))
    assert after is not None
    assert not after.after_loss


def test_offsets_taken_again_under_later_numbers_are_a_loss_though_no_row_says_so() -> None:
    own = course()
    own.take(row_of(TP, 0, 4, (7, 8)))
    assert own.take(row_of(TP, 0, 4, (9, 10))) is None
    after = own.take(row_of(TP, 5, 9, (21, 22)))
    assert after is not None
    assert after.after_loss


def test_what_is_taken_again_after_a_loss_counts_once_and_what_follows_says_so() -> None:
    own = course()
    own.take(row_of(TP, 0, 4, (7, 8)))
    assert own.take(row_of(TP, 0, 4, (19, 20), recovered=True)) is None
    after = own.take(row_of(TP, 5, 9, (21, 22)))
    assert after is not None
    assert (after.first, after.after_loss, after.recovered) == (5, True, False)


def test_of_a_row_that_begins_before_the_last_one_ended_only_the_rest_is_new() -> None:
    own = course()
    own.take(row_of(TP, 0, 4, (7, 8)))
    rest = own.take(row_of(TP, 3, 8, (19, 20), recovered=True))
    assert rest is not None
    assert (rest.first, rest.last, rest.recovered) == (5, 8, True)


def test_a_shard_that_was_found_beyond_the_range_took_it_after_the_one_before() -> None:
    own = course()
    own.take(row_of(TP, 0, 4, (7, 8)))
    after = own.take(row_of(TP, 5, 9, (0, 22), recovered=True))
    assert after is not None
    assert after.numbers == (8, 22)


def test_rows_of_a_topic_that_was_made_anew_since_are_counted_and_left_out() -> None:
    own = Course("new")
    assert own.take(row_of(TP, 0, 4, (7, 8))) is None
    assert (own.strangers, own.first) == (1, None)


def test_offsets_without_a_row_are_holes() -> None:
    own = course()
    own.take(row_of(TP, 3, 4, (7, 8)))
    own.take(row_of(TP, 6, 9, (9, 10)))
    assert (own.first, own.holes) == (3, 1)
