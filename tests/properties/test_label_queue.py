"""However partitions take turns, and wherever the process is killed: the same labels are due, in the same order."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from random import Random
from typing import NamedTuple

import numpy as np
import orjson
from hypothesis import given
from hypothesis import strategies as st

from archive.columns import Row as Kept
from features.orders import Labelled
from schemas.ids import hash64
from schemas.matured import Key, Told
from schemas.timestamps import rfc3339
from streams.learner.feed import Accepted, heard
from streams.learner.merge import Merge
from streams.learner.queue import Ages, Decided, Due, Heard, Queue
from streams.learner.said import Said
from training.sets.labels import known_at
from training.sets.parts import Records

AGES = Ages(mature_ms=10, follow_ms=1_000)
DECISIONS, LABELS = 3, 2  # partitions


class Row(NamedTuple):
    """What a record of `matured` says."""

    due_ms: int
    event: str
    label: int
    was: int | None
    turn: int


@dataclass(frozen=True)
class Logs:
    """The records of each partition: (time, item)."""

    of: tuple[tuple[tuple[int, Decided | Heard], ...], ...]

    def timed(self) -> list[tuple[int, int, int, Decided | Heard]]:
        """(time, source, offset, item): a record is never before the one before it."""
        found = []
        for source, records in enumerate(self.of):
            clock = -1
            for offset, (at_ms, item) in enumerate(records):
                clock = max(clock, at_ms)
                found.append((clock, source, offset, item))
        return sorted(found, key=lambda one: one[:3])


@st.composite
def logs(draw: st.DrawFn) -> Logs:
    """Orders that share ids at times, told twice at times; labels before and after them, of any time."""
    times = st.integers(0, 30)
    of: list[tuple[tuple[int, Decided | Heard], ...]] = []
    for partition in range(DECISIONS):
        orders = draw(st.lists(st.tuples(times, st.integers(0, 4), st.integers(0, 2)), max_size=6))
        records = []
        for offset, (at_ms, order, again) in enumerate(orders):
            number = max(0, offset - again) if draw(st.booleans()) else offset
            at_ms, order, _ = orders[number]  # the same decision, written again
            records.append((at_ms, Decided(order, 100 * partition + number, at_ms, partition, offset)))
        of.append(tuple(records))
    for partition in range(LABELS):
        heard = draw(st.lists(st.tuples(times, st.integers(0, 4), st.integers(-5, 5), st.booleans()), max_size=8))
        of.append(
            tuple(
                (at_ms, Heard(order, Labelled(at_ms + off, f"l{partition}-{offset}", "chargeback", fraud)))
                for offset, (at_ms, order, off, fraud) in enumerate(heard)
            )
        )
    return Logs(tuple(of))


def due(logs: Logs, said: Said | None = None, ages: Ages = AGES, dice: Random | None = None) -> list[Row]:
    """What comes out, with the partitions read in some order, a few records at a time."""
    said = said or Said()
    merge: Merge[Decided | Heard] = Merge(len(logs.of))
    queue, left, found = Queue(ages, said, least=0), [list(records) for records in logs.of], list[Due]()
    while any(left):
        source = (
            dice.choice([n for n, records in enumerate(left) if records])
            if dice
            else next(n for n, records in enumerate(left) if records)
        )
        for _ in range(dice.randint(1, 3) if dice else 1):
            if left[source]:
                merge.add(source, *left[source].pop(0))
        if dice is None or dice.random() < 0.7:
            take(merge, queue)
            found += queue.drain()
    for source in range(len(logs.of)):
        merge.rest(source)
    take(merge, queue)
    queue.advance(10_000)
    return keyed([*found, *queue.drain()], said.last)


def take(merge: Merge[Decided | Heard], queue: Queue) -> None:
    for at_ms, item in merge.take():
        queue.take(at_ms, item)
    queue.advance(merge.bound())


def keyed(found: list[Due], last: Key | None) -> list[Row]:
    """As release.py writes them."""
    rows = []
    for one in sorted(found, key=lambda one: (one.due_ms, name(one))):
        key = Key(one.due_ms, name(one))
        last = Key(last.due_ms + 1, key.event_id) if last is not None and key <= last else key
        rows.append(Row(*last, one.label, one.was, one.turn))
    return rows


def name(one: Due) -> str:
    return f"e{one.partition}-{one.offset}"


def plainly(logs: Logs, ages: Ages = AGES) -> list[Row]:
    """The same, slowly: at each millisecond all that was known by then is looked at again."""
    timed = logs.timed()
    told: dict[str, list[int]] = {}
    rows = []
    for now in range(60):
        known = [item for at_ms, *_, item in timed if at_ms <= now]
        labels = [item for item in known if isinstance(item, Heard) and item.label.at_ms <= now]
        decided: dict[int, Decided] = {}
        for item in known:
            if isinstance(item, Decided):
                decided.setdefault(item.decision, item)
        for one in sorted(decided.values(), key=lambda one: f"e{one.partition}-{one.offset}"):
            of_order = [heard.label for heard in labels if heard.order == one.order]
            fraud = bool(of_order) and max(of_order).fraud
            label = 1 if fraud else 0 if now >= one.at_ms + ages.mature_ms else None
            event = f"e{one.partition}-{one.offset}"
            said = told.setdefault(event, [])
            if label is not None and (not said or said[-1] != label):
                rows.append(Row(now, event, label, said[-1] if said else None, len(said) + 1))
                said.append(label)
    return rows


def said_of(rows: list[Row], logs: Logs) -> Said:
    """What `matured` holds after some rows."""
    decisions = {f"e{one.partition}-{one.offset}": one.decision for *_, one in logs.timed() if isinstance(one, Decided)}
    said = Said()
    for row in rows:
        told = f"{decisions[row.event]:016x}" + "0" * 16, row.due_ms, row.label, row.turn
        assert said.add(Told(row.event, *told, *map(int, row.event[1:].split("-"))))  # type: ignore[arg-type]  # 0 or 1
    return said


@given(logs())
def test_what_is_due_is_what_the_slow_way_says(logs: Logs) -> None:
    assert due(logs) == plainly(logs)


@given(logs(), st.integers(0, 2**32))
def test_the_order_in_which_partitions_are_read_changes_nothing(logs: Logs, seed: int) -> None:
    assert due(logs, dice=Random(seed)) == due(logs)


@given(logs(), st.integers(0, 2**32), st.data())
def test_killed_anywhere_it_goes_on_as_if_nothing_had_been(logs: Logs, seed: int, data: st.DataObject) -> None:
    rows = due(logs)
    at = data.draw(st.integers(0, len(rows)))
    assert due(logs, said_of(rows[:at], logs), dice=Random(seed)) == rows[at:]


@given(logs(), st.data())
def test_what_was_said_under_another_maturity_is_made_right_and_nothing_is_said_twice(
    logs: Logs, data: st.DataObject
) -> None:
    before = due(logs, ages=Ages(data.draw(st.integers(0, 25)), 1_000))
    at = data.draw(st.integers(0, len(before)))
    after = due(logs, said_of(before[:at], logs))
    every = [*before[:at], *after]
    assert [row[:2] for row in every] == sorted({row[:2] for row in every}), "keys rise"
    newest: dict[str, Row] = {}
    for row in every:
        last = newest.get(row.event)
        assert (row.was, row.turn) == ((last.label, last.turn + 1) if last else (None, 1))
        newest[row.event] = row
    assert {event: row.label for event, row in newest.items()} == {row.event: row.label for row in plainly(logs)}


@given(logs())
def test_no_label_is_due_before_it_is_known_and_no_vector_is_later_than_its_decision(logs: Logs) -> None:
    decided = {f"e{one.partition}-{one.offset}": one for *_, one in logs.timed() if isinstance(one, Decided)}
    known = [(max(at_ms, item.label.at_ms), item) for at_ms, *_, item in logs.timed() if isinstance(item, Heard)]
    for row in due(logs):
        one = decided[row.event]
        assert row.due_ms >= one.at_ms
        if row.label:
            assert any(since <= row.due_ms and heard.order == one.order and heard.label.fraud for since, heard in known)
        else:
            assert row.due_ms >= one.at_ms + AGES.mature_ms


@given(logs(), st.integers(0, 2**32), st.integers(10, 20))
def test_an_order_that_is_closed_hears_no_more_whatever_is_still_in_memory(logs: Logs, seed: int, follow: int) -> None:
    ages = Ages(10, follow)
    rows = due(logs, ages=ages)
    assert due(logs, ages=ages, dice=Random(seed)) == rows
    decided = {f"e{one.partition}-{one.offset}": one for *_, one in logs.timed() if isinstance(one, Decided)}
    assert all(row.due_ms <= max(decided[row.event].at_ms, 0) + follow for row in rows if row.was is not None)


TYPES = st.sampled_from(["chargeback", "fraud review", "good review", "refund", "no label"])


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 3)), max_size=6),
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3), st.integers(-5, 5), TYPES), max_size=8),
)
def test_up_to_any_moment_it_says_what_a_training_set_of_then_says(
    orders: list[tuple[int, int]], labels: list[tuple[int, int, int, str]]
) -> None:
    orders, labels = sorted(orders), sorted(labels)
    records = [
        Kept(n, at_ms, b"k", _label_of(n, order, max(0, at_ms + off), kind), ())
        for n, (at_ms, order, off, kind) in enumerate(labels)
    ]
    decisions = tuple((at_ms, Decided(hash64(f"o{order}"), n, at_ms, 0, n)) for n, (at_ms, order) in enumerate(orders))
    merge: Merge[Decided | Heard] = Merge(2)
    queue = Queue(AGES, Said(), least=0)
    for at_ms, one in decisions:
        merge.add(0, at_ms, one)
    for at_ms, heard_of in heard(records, Accepted(1_000, 1_000)):
        if heard_of is not None:
            merge.add(1, at_ms, heard_of)
    merge.rest(0)
    merge.rest(1)
    take(merge, queue)
    queue.advance(10_000)
    rows = keyed(queue.drain(), None)
    for as_of in range(45):
        there = [record for record in records if record.timestamp <= as_of]
        known = known_at(
            as_of, [Records(0, np.array([r.offset for r in there]), [r.value or b"" for r in there])], sha256()
        )
        said = {row.event: row.label for row in rows if row.due_ms <= as_of}
        told = known.of([f"o{order}" for _, order in orders])
        for n, (at_ms, _) in enumerate(orders):
            if at_ms > as_of:
                continue
            mature = at_ms + AGES.mature_ms <= as_of
            label = 1 if told.fraud[n] else 0 if mature else None
            taken_back = label is None and said.get(f"e0-{n}") == 1  # it stays a fraud until it is mature
            assert said.get(f"e0-{n}") == label or taken_back


def _label_of(n: int, order: int, at_ms: int, kind: str) -> bytes:
    if kind == "no label":
        return b"{"
    type_ = {"fraud review": "review_outcome", "good review": "review_outcome"}.get(kind, kind)
    body: dict[str, object] = {
        "type": type_,
        "event_id": f"l{n}",
        "event_time": rfc3339(at_ms),
        "order_id": f"o{order}",
    }
    if type_ == "review_outcome":
        body |= {"fraud": kind == "fraud review"}
    return orjson.dumps(body)
