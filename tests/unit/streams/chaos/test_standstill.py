"""Standstills are read off the rows of `applied`.

rows of a/0:   1000   1100      |killed 1150|         4150   4200
rows of a/1:   1000   1100   1200   1300   ...
"""

from streams.chaos.faults import Happened
from streams.chaos.plan import Kind
from streams.chaos.standstill import silence_of_others_ms, stood_still_ms, summary
from streams.chaos.watch import Partition

HIT: Partition = ("orders", 0)
OTHER: Partition = ("orders", 1)
LABELS: Partition = ("labels", 0)


def killed(at_ms: int = 1150, over_ms: int | None = None, hit: Partition = HIT) -> Happened:
    over = at_ms if over_ms is None else over_ms
    return Happened(Kind.WORKER_KILL, at_ms, over, frozenset({hit}), frozenset({OTHER}))


def test_it_lasts_from_the_fault_to_the_next_row_of_a_partition_that_was_hit() -> None:
    assert stood_still_ms(killed(), {HIT: [1000, 1100, 4150, 4200]}) == 3000


def test_a_row_made_just_after_the_fault_and_sent_after_it_does_not_hide_it() -> None:
    assert stood_still_ms(killed(at_ms=1150, over_ms=6000), {HIT: [1100, 1160, 7000]}) == 5840


def test_silences_long_before_and_long_after_are_not_its_own() -> None:
    assert stood_still_ms(killed(at_ms=5000), {HIT: [100, 4990, 5010, 5400, 5600, 19_000]}) == 390


def test_the_others_are_looked_at_for_as_long_as_the_hit_ones_stand_still() -> None:
    moves = {HIT: [1100, 4150], OTHER: [1000, 1200, 1300, 2100, 2200, 4200, 9999]}
    assert silence_of_others_ms(killed(), moves) == 2000
    assert silence_of_others_ms(killed(), {**moves, OTHER: [1000, 60_000]}) == 3500


def test_partitions_that_are_not_fed_tell_nothing() -> None:
    assert stood_still_ms(killed(hit=LABELS), {HIT: [1000, 9000]}) is None


def test_the_summary_has_a_row_for_each_kind_with_the_longest_and_the_median() -> None:
    table = summary([killed(1150), killed(4150)], {HIT: [1100, 4150, 4250, 4260], OTHER: [1000, 5000]})
    assert table["worker-kill"]["standstill_s"] == {"median": 1.55, "max": 3.0}
    assert table["worker-kill"]["faults"] == 2
