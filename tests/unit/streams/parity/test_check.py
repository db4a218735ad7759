"""A check over a past in lists: what is compared, what is left out and why, and who finds what."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from streams.parity.check import Asked, Check, Report
from streams.parity.oracle import Oracle, OracleError, Sample, load
from streams.parity.pairs import Logged
from streams.parity.plants import PLANTS, planted
from tests.support.past import Event, Live, Record, definitions

DAY_MS = 86_400_000


def lived(*ranges: Sequence[Event], partitions: int = 2) -> Live:
    """Orders decided live, what each saw in `decisions`."""
    live = Live()
    for n, events in enumerate(ranges):
        live.range("orders", n % partitions, events)
    list(live.through())
    for range_ in [range_ for range_ in live.ranges if range_.tag is not None]:
        row = next(row for rows in live.log.rows_of.values() for row in rows if row.numbers == tuple(range_.numbers))
        for n, (event, vector) in enumerate(zip(range_.events, live.rows[range_.tag].tolist(), strict=True)):
            said(live, row.partition, row.first + n, event.at, vector)
    return live


def said(live: Live, partition: int, offset: int, at_ms: int, vector: Sequence[float], **more: Any) -> None:
    fields = {
        "decision_id": f"{partition * 1000 + offset:032x}", "order_id": f"o-{partition}-{offset}", "topic": "orders",
        "partition": partition, "offset": offset, "at_ms": at_ms, "vector": list(vector),
        "feature_hash": live.definitions.vector.hash, "recovered": False,
    }  # fmt: skip
    log = live.log.kept.setdefault(("decisions", partition), [])
    log.append(Record(len(log), msgspec.json.encode(fields | more)))


def checked(live: Live, asked: Asked | None = None, oracle: Oracle | None = None) -> Report:
    check = Check(live.log, definitions(), asked or Asked(), lifetimes_ms={}, oracle=oracle)

    async def run() -> Report:
        await check.open()
        await check.look(0)
        return check.end()

    return asyncio.run(run())


def event(at: int, who: str = "ann") -> Event:
    return Event(who, "here", at)


RANGES = [[event(100_000), event(101_000)], [event(102_000, "bob")], [event(103_000), event(104_000)]]


def test_what_was_logged_is_what_the_replay_gives() -> None:
    report = checked(lived(*RANGES))
    assert (report.replay.compared, report.replay.mismatches, report.undecided) == (5, 0, 0)
    assert report.holds


def test_a_value_that_differs_is_told_by_feature_and_order() -> None:
    live = lived(*RANGES)
    record = live.log.kept["decisions", 0][1]
    body = msgspec.json.decode(record.value)
    body["vector"][0] += 1
    live.log.kept["decisions", 0][1] = replace(record, value=msgspec.json.encode(body))
    report = checked(live)
    assert report.wrong == [live.definitions.vector.names[0]]
    assert report.replay.first[report.wrong[0]].order_id == "o-0-1"


def test_a_copy_is_compared_as_well() -> None:
    live = lived(*RANGES)
    first = msgspec.json.decode(live.log.kept["decisions", 0][0].value)
    said(live, 0, 0, 100_000, first["vector"])
    said(live, 0, 0, 100_000, [value + 1 for value in first["vector"]])
    report = checked(live)
    assert (report.replay.compared, report.copies, report.replay.mismatches) == (7, 2, 1)


@pytest.mark.parametrize(
    ("more", "why"),
    [({"recovered": True}, "recovered"), ({"feature_hash": "other"}, "other_features"), ({"offset": 99}, "unknown")],
)
def test_what_cannot_be_compared_is_counted_by_its_reason(more: dict[str, Any], why: str) -> None:
    live = lived(*RANGES)
    record = live.log.kept["decisions", 0][1]
    body = msgspec.json.decode(record.value) | {"vector": [7.0] * len(live.definitions.vector.names)} | more
    live.log.kept["decisions", 0][1] = replace(record, value=msgspec.json.encode(body))
    report = checked(live)
    assert report.left_out[why] == 1
    assert (report.replay.compared, report.replay.mismatches) == (4, 0)


def test_only_orders_of_the_time_asked_for_are_compared() -> None:
    report = checked(lived(*RANGES), Asked(101_000, 104_000))
    assert report.replay.compared == 3
    assert report.left_out["outside"] == 2


def test_windows_that_reach_into_what_the_log_has_lost_are_not_compared() -> None:
    """The beginning of orders/0 is gone, all before 100 s; windows here reach a minute, and a day is spared."""
    live = lived(*RANGES, [event(100_000 + 2 * DAY_MS)], partitions=1)
    kept = live.log.kept["orders", 0]
    live.log.kept["orders", 0] = [replace(record, timestamp=100_000) for record in kept[2:]]
    report = checked(live)
    assert report.left_out["warming_up"] == 3
    assert (report.replay.compared, report.replay.mismatches, report.left_out["unknown"]) == (1, 0, 2)


def test_who_asks_for_late_orders_does_not_wait_for_all_that_came_before() -> None:
    live = lived(*RANGES, [event(100_000 + 3 * DAY_MS)], [event(100_000 + 6 * DAY_MS)], partitions=1)
    dated = {n: range_.at_ms[0] for n, range_ in enumerate(live.ranges)}
    rows = live.log.rows_of["orders", 0]
    live.log.kept["orders", 0] = [
        replace(record, timestamp=int(dated[n]))
        for record in live.log.kept["orders", 0]
        for n, row in enumerate(rows)
        if row.first <= record.offset <= row.last
    ]
    report = checked(live, Asked(from_ms=5 * DAY_MS))
    assert (report.replay.compared, report.replay.mismatches, report.left_out["outside"]) == (1, 0, 6)


def test_an_order_without_a_vector_is_counted() -> None:
    live = lived(*RANGES)
    del live.log.kept["decisions", 1][:]
    assert checked(live).undecided == 1


class Naive:
    """An oracle that says what it was told to."""

    def __init__(self, answers: Mapping[tuple[int, int], Mapping[str, float]]) -> None:
        self.answers = answers
        self.taken: list[tuple[str, int, int]] = []

    def take(self, topic: str, partition: int, numbers: Sequence[int], events: Sequence[tuple[int, bytes]]) -> None:
        assert all(numbers)
        self.taken += [(topic, partition, offset) for offset, _ in events]

    def vector(self, topic: str, partition: int, offset: int) -> Mapping[str, float]:  # noqa: ARG002
        return self.answers[partition, offset]


def test_an_oracle_hears_all_and_is_asked_for_a_sample_and_what_it_does_not_know_differs() -> None:
    live = lived(*RANGES)
    names = live.definitions.vector.names
    bodies = [msgspec.json.decode(record.value) for record in live.log.kept["decisions", 0]]
    answers = {(0, body["offset"]): dict(zip(names, body["vector"], strict=True)) for body in bodies}
    missing = names[3]
    del answers[0, 1][missing]
    oracle = Naive(answers)
    report = checked(live, Asked(sample=3), oracle)
    assert sorted(oracle.taken) == [
        ("orders", 0, 0),
        ("orders", 0, 1),
        ("orders", 0, 2),
        ("orders", 0, 3),
        ("orders", 1, 0),
    ]
    assert report.oracle is not None
    assert (report.oracle.compared, report.oracle.mismatches) == (3, 1)
    assert report.wrong == [missing]


def test_the_sample_is_the_same_whatever_comes_first() -> None:
    told = [Logged(f"{n * 7919 % 100:032x}", f"o{n}", "orders", 0, n, 0, [], "", False) for n in range(50)]
    chosen = []
    for order in (told, told[::-1]):
        sample = Sample(5)
        for one in order:
            sample.choose(one)
        chosen.append([one.order_id for one in sample.decisions])
    assert chosen[0] == chosen[1]
    assert len(chosen[0]) == 5


def test_a_module_that_is_no_oracle_is_told_with_the_remedy() -> None:
    with pytest.raises(OracleError, match="want a module with a function oracle"):
        load("json")


def test_a_window_of_half_its_length_has_the_hash_of_the_whole_one() -> None:
    """Else parity would say that the vectors are of other features, and find nothing."""
    assert planted(definitions(), "window").vector.hash == definitions().vector.hash
    assert planted(definitions(), "window").vector.groups != definitions().vector.groups


def test_the_command_offers_every_plant() -> None:
    from streams.cli.parity import PLANTS as OFFERED

    assert tuple(PLANTS) == OFFERED
