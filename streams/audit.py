"""Does everything add up? Log, rows of `applied`, decisions and dead letters are read whole and compared.

    consumed = decided + duplicate + conflict + dead + too_late + future + other

`consumed` are the records of the input topics that some row of `applied` covers; `other` are accepted events of topics
that are not scored. Every accepted order must have a decision, every decision an accepted order; two decisions of one
id must be the same bytes unless the later says `recovered`; and what the rows call bad must be in a dead-letter topic.
It may run beside workers: rows are read first, so that what they tell of is there; what is behind them is `pending`,
decided or not. The price: it reads everything, and holds 16 bytes an order.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from schemas.decisions import decode_applied
from schemas.decode import Decoded, decode_batch
from schemas.ids import decision_id
from schemas.records import Record
from schemas.topics import applied_partition, dead_letters_of
from streams.protocol.ports import Verdict
from streams.transport.checks import check_applied
from streams.transport.log import LogReader, TopicFacts

SHOWN = 20  # problems that are named


class _Known(msgspec.Struct):
    """What the audit reads of a decision."""

    decision_id: str
    order_id: str
    recovered: bool = False


@dataclass(slots=True)
class Report:
    """The sums, and what does not fit."""

    consumed: int = 0
    decided: int = 0
    duplicate: int = 0
    conflict: int = 0
    dead: int = 0
    too_late: int = 0
    future: int = 0
    other: int = 0
    pending: int = 0  # in the log, and in no row yet
    published: int = 0  # decisions in the log, repeats included
    repeated: int = 0  # decisions published more than once with the same bytes
    recovered: int = 0  # decisions published again with other bytes after a loss, and saying so
    problems: list[str] = field(default_factory=list)
    problem_count: int = 0

    @property
    def holds(self) -> bool:
        parts = (self.decided, self.duplicate, self.conflict, self.dead, self.too_late, self.future, self.other)
        return not self.problem_count and self.consumed == sum(parts)

    def wrong(self, text: str) -> None:
        """Notes a problem; the first few are kept in words, those that name an order before all others."""
        self.problem_count += 1
        self.problems.append(text)
        if len(self.problems) > SHOWN:
            others = [place for place, kept in enumerate(self.problems) if not kept.startswith("order ")]
            del self.problems[others[-1] if others else SHOWN]

    def as_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {"holds": self.holds}


@dataclass(frozen=True, slots=True)
class Covered:
    """What the rows say of one input partition."""

    verdicts: Mapping[int, Verdict]
    ranges: Sequence[tuple[int, int]]  # sorted, merged

    def has(self, offset: int) -> bool:
        return any(first <= offset <= last for first, last in self.ranges)

    @property
    def end(self) -> int:
        return self.ranges[-1][1] + 1 if self.ranges else 0


Read = Callable[[str, Sequence[bytes | None]], Decoded]
Rows = Mapping[tuple[str, int], Covered]


async def audit(
    reader: LogReader, inputs: Sequence[str], scored: Sequence[str] = ("orders",), read: Read = decode_batch
) -> Report:
    """Reads everything and compares. `read` decodes values of a topic.

    Raises SinkDown where the broker does not answer, Stop where `applied` lacks the rows' places.
    """
    report = Report()
    topics = await reader.topics([*inputs, *map(dead_letters_of, inputs), "applied", "fraud"])
    check_applied(topics, inputs)
    rows = await _rows(reader, topics, inputs)
    decisions = await _decisions(reader, topics, report)
    late: list[tuple[str, list[Record]]] = []
    for (topic, partition), covered in rows.items():
        fresh, uncovered = await _count(reader, topic, partition, covered, report, read)
        if topic in scored:
            _match(topic, partition, read(topic, _values(fresh)), fresh, decisions, report)
            late.append((topic, uncovered))
        else:
            report.other += len(fresh)
    for topic, uncovered in late:
        _leave_out(read(topic, _values(uncovered)), decisions)
    for order in decisions.values():
        report.wrong(f"order {order}: decided, and no accepted order has this decision's id")
    for topic in inputs:
        await _dead_letters(reader, topics, topic, rows, report)
    return report


async def _rows(reader: LogReader, topics: Mapping[str, TopicFacts], inputs: Sequence[str]) -> Rows:
    """What `applied` says of each input partition that exists."""
    return {
        (topic, partition): await _covered(reader, topics[topic], topic, partition, inputs)
        for topic in inputs
        if topic in topics
        for partition in range(topics[topic].partitions)
    }


async def _covered(reader: LogReader, facts: TopicFacts, topic: str, partition: int, inputs: Sequence[str]) -> Covered:
    verdicts: dict[int, Verdict] = {}
    ranges: list[tuple[int, int]] = []
    async for record in reader.whole("applied", applied_partition(topic, partition, inputs)):
        row = decode_applied(record.value or b"")
        if (row.topic, row.partition, row.topic_id) == (topic, partition, facts.id):
            ranges.append((row.first, row.last))
            for name, offsets in row.exceptions.items():
                verdicts.update(dict.fromkeys(offsets, Verdict[name.upper()]))
    return Covered(verdicts, _merged(ranges))


def _merged(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Sorted ranges without overlaps; neighbours are joined."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged


async def _decisions(reader: LogReader, topics: Mapping[str, TopicFacts], report: Report) -> dict[str, str]:
    """Decision id -> order id of all decisions; repeats are compared on the way."""
    decode = msgspec.json.Decoder(_Known).decode
    seen: dict[str, tuple[str, int]] = {}
    async for record in _all(reader, topics, "fraud"):
        known, content = decode(record.value or b""), hash(record.value)
        report.published += 1
        first = seen.setdefault(known.decision_id, (known.order_id, content))
        if report.published > len(seen) + report.repeated + report.recovered:
            _repeat(known, same=first[1] == content, report=report)
    return {decision: order for decision, (order, _) in seen.items()}


def _repeat(known: _Known, *, same: bool, report: Report) -> None:
    """A decision that was published before."""
    if same:
        report.repeated += 1
        return
    report.recovered += 1
    if not known.recovered:
        report.wrong(f"order {known.order_id}: decided twice with other bytes and without `recovered`")


async def _count(
    reader: LogReader, topic: str, partition: int, covered: Covered, report: Report, read: Read
) -> tuple[list[Record], list[Record]]:
    """Counts the records of one input partition by verdict; returns the accepted, and those behind the rows."""
    fresh: list[Record] = []
    behind: list[Record] = []
    async for record in reader.whole(topic, partition):
        if not covered.has(record.offset):
            report.pending += 1
            if record.offset < covered.end:
                what = f"{topic}/{partition} offset {record.offset}"
                report.wrong(f"{_named(topic, record, what, read)}: no row of `applied` covers it")
            else:
                behind.append(record)
            continue
        report.consumed += 1
        verdict = covered.verdicts.get(record.offset, Verdict.FRESH)
        if verdict == Verdict.FRESH:
            fresh.append(record)
        else:
            name = verdict.name.lower()
            setattr(report, name, getattr(report, name) + 1)
    return fresh, behind


def _values(records: Sequence[Record]) -> list[bytes | None]:
    return [record.value for record in records]


def _named(topic: str, record: Record, where: str, read: Read) -> str:
    """A record in words: by its order, if it is one."""
    event = read(topic, [record.value]).events[0] if topic == "orders" else None
    return where if event is None else f"order {event.order_id} ({where})"


def _match(
    topic: str,
    partition: int,
    decoded: Decoded,
    fresh: Sequence[Record],
    decisions: dict[str, str],
    report: Report,
) -> None:
    """Takes the decisions of accepted orders out of `decisions`."""
    for record, event in zip(fresh, decoded.events, strict=True):
        where = f"{topic}/{partition} offset {record.offset}"
        if event is None:
            report.wrong(f"{where}: accepted, although it cannot be decoded")
        elif decisions.pop(decision_id(event.event_id), None) is None:
            report.wrong(f"order {event.order_id} ({where}): accepted, and never decided")
        else:
            report.decided += 1


def _leave_out(behind: Decoded, decisions: dict[str, str]) -> None:
    """A decision may be out before the row of its range is: while a stream runs, and where a worker was killed."""
    for event in behind.events:
        if event is not None:
            decisions.pop(decision_id(event.event_id), None)


async def _dead_letters(
    reader: LogReader, topics: Mapping[str, TopicFacts], topic: str, rows: Rows, report: Report
) -> None:
    """Every record that a row refuses must be among the dead letters."""
    name = dead_letters_of(topic)
    found: set[tuple[int, int]] = set()
    async for record in _all(reader, topics, name):
        headers = {key: value or b"" for key, value in record.headers}
        found.add((int(headers.get("dlq-partition", b"-1")), int(headers.get("dlq-offset", b"-1"))))
    for (source, partition), covered in rows.items():
        for offset, verdict in covered.verdicts.items():
            if source == topic and verdict != Verdict.DUPLICATE and (partition, offset) not in found:
                report.wrong(f"{topic}/{partition} offset {offset}: refused as {verdict.name.lower()}, not in {name}")


async def _all(reader: LogReader, topics: Mapping[str, TopicFacts], topic: str) -> AsyncIterator[Record]:
    """Every record of every partition of a topic; none where there is no such topic."""
    for partition in range(topics[topic].partitions if topic in topics else 0):
        async for record in reader.whole(topic, partition):
            yield record
