"""The dead letters of a topic, and what has become of each.

A letter's identity is the place its record had in the source topic plus a hash of its bytes, not its place among the
dead letters: a worker that repeats a range after a crash publishes the same letter twice, and that is one letter.
The hash tells apart two records of one place where a topic was deleted and made anew.

What was sent back is written into the dead-letter topic itself, as marks: records with a `dlq-mark` header, in the
partition of the letters they speak of. A log is cut from its start, so no letter outlives its marks; a topic of their
own, compacted, would need tombstones for that. The price: readers of a dead-letter topic must skip records with that
header, as `letters_and_marks` does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Literal

import msgspec
from aiokafka import TopicPartition  # type: ignore[import-untyped]  # it ships no types

from schemas import deadletters
from schemas.ids import hash64
from schemas.topics import INPUTS, dead_letters_of
from streams.data.cluster import Cluster, ClusterError
from streams.data.consume import Read, read_all

MARK = "dlq-mark"
TIMESTAMP = "dlq-timestamp"  # the source record's, where the writer says it
CLAIM_HOLDS_MS = 60_000  # a redrive takes milliseconds; one that has not ended after this was killed

State = Literal["dead", "busy", "redriven"]


@dataclass(frozen=True, slots=True)
class Where:
    """Which letters: all of a topic, those of a reason, or the one of a record's place."""

    topic: str
    partition: int | None = None
    offset: int | None = None
    reason: str | None = None

    @classmethod
    def parse(cls, text: str, reason: str | None = None) -> Where:
        """`orders`, `orders.dlq` or `orders/0/17`: the place that the record had in its topic."""
        topic, *place = text.split("/")
        topic = topic.removesuffix(dead_letters_of(""))
        if not topic or len(place) not in (0, 2) or not all(part.isdigit() and part.isascii() for part in place):
            raise ClusterError(f"{text!r}: want a topic as in orders, or a letter as in orders/0/17")
        partition, offset = map(int, place) if place else (None, None)
        return cls(topic, partition, offset, reason)

    def holds(self, letter: Letter) -> bool:
        """Whether the letter is meant."""
        return (
            self.partition in (None, letter.partition)
            and self.offset in (None, letter.offset)
            and self.reason in (None, letter.reason)
        )


@dataclass(frozen=True, slots=True)
class Letter:
    """A record that could not be used. topic, partition and offset are where it was."""

    topic: str
    partition: int
    offset: int
    reason: str
    path: str
    detail: str
    attempt: int
    record: Read  # as it lies among the dead letters: key and value are the original's

    @property
    def place(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"

    @property
    def id(self) -> str:
        return f"{self.place}/{hash64(self.record.value or b''):016x}"

    @property
    def headers(self) -> list[tuple[str, bytes | None]]:
        """The original's own."""
        return deadletters.without_ours(self.record.headers)

    @property
    def timestamp_ms(self) -> int:
        """The original's where the letter says it, else when it became a dead letter."""
        said = dict(self.record.headers).get(TIMESTAMP) or b""
        return int(said) if said.isdigit() else self.record.timestamp


class Mark(msgspec.Struct, frozen=True):
    """A claim: `token` is about to send these letters, and the source topic ended at `ends`. Done: they are sent."""

    kind: Literal["claim", "done"]
    token: str
    ids: list[str]
    ends: dict[int, int] = {}


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim that nobody has called done."""

    mark: Mark
    at: TopicPartition
    offset: int
    at_ms: int


@dataclass(slots=True)
class Letters:
    """What a dead-letter topic holds."""

    letters: dict[str, Letter] = field(default_factory=dict)  # by id; of copies the one that lies first
    redriven: set[str] = field(default_factory=set)
    claims: list[Claim] = field(default_factory=list)  # in log order within a partition
    positions: dict[TopicPartition, int] = field(default_factory=dict)  # how far it was read

    def add(self, record: Read) -> None:
        """Takes the next record of a partition."""
        tp = TopicPartition(record.topic, record.partition)
        self.positions[tp] = record.offset + 1
        if any(name == MARK for name, _ in record.headers):
            self._mark(tp, record)
        elif letter := letter_of(record):
            known = self.letters.get(letter.id)
            if known is None or (record.partition, record.offset) < (known.record.partition, known.record.offset):
                self.letters[letter.id] = letter

    def _mark(self, tp: TopicPartition, record: Read) -> None:
        mark = msgspec.json.decode(record.value or b"", type=Mark)
        if mark.kind == "claim":
            self.claims.append(Claim(mark, tp, record.offset, record.timestamp))
            return
        self.redriven.update(mark.ids)
        self.claims = [claim for claim in self.claims if not self.redriven.issuperset(claim.mark.ids)]

    def open_claims(self) -> dict[str, Claim]:
        """The first claim on each letter that is not yet sent."""
        first: dict[str, Claim] = {}
        for claim in self.claims:
            for letter_id in claim.mark.ids:
                if letter_id not in self.redriven:
                    first.setdefault(letter_id, claim)
        return first

    def states(self, letters: Iterable[Letter], now_ms: int) -> list[State]:
        """What has become of each letter."""
        claims = self.open_claims()
        return [_state(letter.id in self.redriven, claims.get(letter.id), now_ms) for letter in letters]

    def chosen(self, where: Where) -> list[Letter]:
        """Letters that are meant, by place."""
        found = [letter for letter in self.letters.values() if where.holds(letter)]
        return sorted(found, key=lambda letter: (letter.partition, letter.offset))


def _state(redriven: bool, claim: Claim | None, now_ms: int) -> State:
    if redriven:
        return "redriven"
    return "busy" if claim is not None and now_ms - claim.at_ms < CLAIM_HOLDS_MS else "dead"


def letter_of(record: Read) -> Letter | None:
    """The letter that a record is; None for a record that no worker of ours wrote."""
    said = {name: (value or b"").decode(errors="replace") for name, value in record.headers}
    place = said.get(deadletters.PARTITION, ""), said.get(deadletters.OFFSET, "")
    if deadletters.TOPIC not in said or not all(part.isdigit() for part in place):
        return None
    return Letter(
        topic=said[deadletters.TOPIC],
        partition=int(place[0]),
        offset=int(place[1]),
        reason=said.get(deadletters.REASON, ""),
        path=said.get(deadletters.PATH, ""),
        detail=said.get(deadletters.DETAIL, ""),
        attempt=deadletters.attempt_of(record.headers),
        record=record,
    )


async def letters_and_marks(cluster: Cluster, topic: str) -> Letters:
    """Everything that the dead-letter topic of `topic` holds now."""
    found = Letters()
    async for records in read_all(cluster, [dead_letters_of(topic)]):
        for record in records:
            found.add(record)
    return found


@dataclass(frozen=True, slots=True)
class Count:
    """A line of `headrace dlq ls`."""

    topic: str
    reason: str
    letters: int
    redriven: int
    first_ms: int
    last_ms: int


async def counts(cluster: Cluster, topics: Collection[str] = INPUTS) -> list[Count]:
    """Dead letters by topic and reason, of the dead-letter topics that exist."""
    present = await cluster.topics()
    lines: list[Count] = []
    for topic in topics:
        if dead_letters_of(topic) in present:
            lines += count(topic, await letters_and_marks(cluster, topic))
    return lines


def count(topic: str, found: Letters) -> list[Count]:
    """The letters of one topic by reason."""
    by_reason: dict[str, list[Letter]] = defaultdict(list)
    for letter in found.letters.values():
        by_reason[letter.reason].append(letter)
    return [_count(topic, reason, letters, found.redriven) for reason, letters in sorted(by_reason.items())]


def _count(topic: str, reason: str, letters: Iterable[Letter], redriven: set[str]) -> Count:
    times = [letter.record.timestamp for letter in letters]
    again = sum(letter.id in redriven for letter in letters)
    return Count(topic, reason, len(times), again, min(times), max(times))
