"""Merging partitions: what is given out when, and what an idle one holds up."""

from __future__ import annotations

from streams.learner.merge import Merge


def taken(merge: Merge[str]) -> list[tuple[int, str]]:
    return list(merge.take())


def test_a_partition_whose_next_record_is_not_known_holds_up_what_is_later() -> None:
    merge: Merge[str] = Merge(2)
    merge.add(0, 10, "a")
    merge.add(0, 20, "c")
    assert (taken(merge), merge.bound()) == ([], -1)
    merge.add(1, 15, "b")
    assert (taken(merge), merge.bound()) == ([(10, "a"), (15, "b")], 15)
    merge.tick(1, 30)
    assert (taken(merge), merge.bound()) == ([(20, "c")], 20)


def test_a_record_is_never_before_the_one_before_it() -> None:
    merge: Merge[str] = Merge(1)
    for at_ms, item in ((10, "a"), (5, "b"), (12, "c")):
        merge.add(0, at_ms, item)
    assert taken(merge) == [(10, "a"), (10, "b"), (12, "c")]


def test_equal_times_go_by_the_number_of_the_partition() -> None:
    merge: Merge[str] = Merge(2)
    merge.add(1, 10, "b")
    merge.add(0, 10, "a")
    merge.tick(0, 11)
    merge.tick(1, 11)
    assert taken(merge) == [(10, "a"), (10, "b")]


def test_an_idle_partition_holds_up_nothing_until_something_comes() -> None:
    merge: Merge[str] = Merge(2)
    merge.add(0, 10, "a")
    merge.rest(1)
    assert (taken(merge), merge.bound()) == ([(10, "a")], 10)
    merge.add(1, 12, "b")
    merge.add(0, 20, "c")
    assert (taken(merge), merge.bound()) == ([(12, "b")], 12)


def test_where_all_are_idle_all_that_there_was_is_over() -> None:
    merge: Merge[str] = Merge(2)
    merge.add(0, 10, "a")
    assert taken(merge) == []
    merge.rest(0)
    merge.rest(1)
    assert (taken(merge), merge.bound()) == ([(10, "a")], 11)


def test_a_record_that_comes_late_to_an_idle_partition_takes_the_time_of_now() -> None:
    merge: Merge[str] = Merge(2)
    merge.rest(1)
    merge.add(0, 100, "a")
    merge.rest(0)
    assert (taken(merge), merge.bound()) == ([(100, "a")], 101)
    merge.add(1, 50, "late")
    assert taken(merge) == [(101, "late")]


def test_without_any_record_there_is_no_time() -> None:
    merge: Merge[str] = Merge(2)
    merge.rest(0)
    merge.rest(1)
    assert (taken(merge), merge.bound()) == ([], 0)
