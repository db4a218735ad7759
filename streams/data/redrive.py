"""Dead letters back to where they came from, each once however often one asks.

Three steps, each durable before the next: a claim in the dead-letter topic names the letters and where the source
topic ends; the letters are sent, each with a header that names it; a mark says done. A process that dies in between
leaves a claim without its done; whoever comes next (a minute later, when the first can no longer be at work) looks in
the source topic from the claimed end on for exactly those headers, and sends only what is missing. Of two
processes at once the claim that stands first in the log wins. This needs no transaction, so it holds on the embedded
broker too. The price: a process that sleeps for a minute between its claim and its send may send twice; workers then
drop the second copy as a duplicate of the first, where the first was accepted.

Key, value and the producer's headers are the original bytes. `dlq-attempt` says how often the record has died before;
a worker that refuses it again adds one. It goes to the partition it came from, so that it meets the same state.
"""

from __future__ import annotations

import secrets
import time
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import msgspec
from aiokafka import TopicPartition  # type: ignore[import-untyped]  # it ships no types

from schemas import deadletters
from schemas.cloudevents import Headers
from schemas.decode import Reason
from schemas.topics import dead_letters_of
from streams.data.cluster import Cluster
from streams.data.consume import read_all
from streams.data.dlq import CLAIM_HOLDS_MS, MARK, Claim, Letter, Letters, Mark, Where, letters_and_marks
from streams.data.record import Record
from streams.data.sender import Sender

REDRIVE = "dlq-redrive"  # on a record that was sent back: the letter it was
CLAIM_LETTERS = 500


@dataclass(frozen=True, slots=True)
class Redriven:
    """What became of the letters that were meant."""

    sent: int = 0
    before: int = 0  # sent back earlier, by this command or another process
    busy: int = 0  # claimed by a process that may still be at work
    again: int = 0  # they were sent back and died again, and were not asked for by name or with `again`


async def redrive(cluster: Cluster, where: Where, now_ms: int | None = None, *, again: bool = False) -> Redriven:
    """Sends back the letters that `where` means and that were not sent back yet.

    One that was sent back and died again is a letter of its own, but nothing has changed for it: it goes only where
    `where` names it or with `again`. So asking twice sends once, whatever the workers make of it in between.
    """
    now_ms = round(time.time() * 1000) if now_ms is None else now_ms
    await cluster.partitions([where.topic, dead_letters_of(where.topic)])
    found = await letters_and_marks(cluster, where.topic)
    meant = found.chosen(where)
    async with cluster.producer() as producer:
        run = _Run(cluster, Sender(producer), where.topic, found, now_ms)
        await run.settle({letter.id for letter in meant})
        left = [letter for letter in meant if letter.id not in found.redriven]
        wanted = [letter for letter in left if again or where.offset is not None or letter.attempt <= 1]
        states = found.states(wanted, now_ms)
        free = [letter for letter, state in zip(wanted, states, strict=True) if state == "dead"]
        sent = 0
        for letters in _by_partition(free):
            sent += await run.send_back(letters)
    return Redriven(sent, len(meant) - len(left), len(wanted) - sent, len(left) - len(wanted))


def _by_partition(letters: Sequence[Letter]) -> list[list[Letter]]:
    """Letters that one claim can name: of one partition of the dead-letter topic, a bounded number."""
    groups: dict[int, list[Letter]] = defaultdict(list)
    for letter in letters:
        groups[letter.record.partition].append(letter)
    return [of[at : at + CLAIM_LETTERS] for of in groups.values() for at in range(0, len(of), CLAIM_LETTERS)]


@dataclass(slots=True)
class _Run:
    """One process's redrive of one topic."""

    cluster: Cluster
    sender: Sender
    topic: str
    found: Letters
    now_ms: int

    async def settle(self, ids: Collection[str]) -> None:
        """Finds out what claims of processes that died have sent, and marks it done."""
        dead: dict[tuple[TopicPartition, int], Claim] = {}
        wanted: set[str] = set()
        for letter_id, claim in self.found.open_claims().items():
            if letter_id in ids and self.now_ms - claim.at_ms >= CLAIM_HOLDS_MS:
                dead[claim.at, claim.offset] = claim
                wanted.add(letter_id)
        if not dead:
            return
        sent = await self._sent_since(_earliest(dead.values(), self.topic)) & wanted
        for claim in dead.values():
            if arrived := sorted(sent & set(claim.mark.ids)):
                await self._write(claim.at, Mark("done", claim.mark.token, arrived))
        self.found.redriven |= sent
        self.found.claims = [claim for claim in self.found.claims if (claim.at, claim.offset) not in dead]

    async def send_back(self, letters: Sequence[Letter]) -> int:
        """Claims, sends and marks letters of one partition; those that another process claimed first are left out."""
        at = TopicPartition(dead_letters_of(self.topic), letters[0].record.partition)
        mine = await self._claim(at, letters)
        if mine is None:
            return 0
        token, granted = mine
        counts = await self.cluster.partitions([self.topic])
        await self.sender.send([record_of(letter, counts[self.topic]) for letter in granted])
        await self.sender.flush()
        await self._write(at, Mark("done", token, [letter.id for letter in granted]))
        self.found.redriven |= {letter.id for letter in granted}
        return len(granted)

    async def _claim(self, at: TopicPartition, letters: Sequence[Letter]) -> tuple[str, list[Letter]] | None:
        token = secrets.token_hex(8)
        count = (await self.cluster.partitions([self.topic]))[self.topic]
        ends = await self.cluster.ends(TopicPartition(self.topic, number) for number in range(count))
        ids = [letter.id for letter in letters]
        await self._write(at, Mark("claim", token, ids, {tp.partition: offset for tp, offset in ends.items()}))
        return await self._granted(at, token, letters)

    async def _granted(
        self, at: TopicPartition, token: str, letters: Sequence[Letter]
    ) -> tuple[str, list[Letter]] | None:
        """What of our claim stands first in the log: all that was written since we looked is read."""
        since = {at: self.found.positions.get(at, 0)}
        async for records in read_all(self.cluster, [at.topic], since):
            for record in records:
                self.found.add(record)
        first = self.found.open_claims()
        granted = [letter for letter in letters if (c := first.get(letter.id)) is not None and c.mark.token == token]
        return (token, granted) if granted else None

    async def _sent_since(self, since: dict[TopicPartition, int]) -> set[str]:
        """The letters that the source topic holds again, from some offsets on."""
        sent: set[str] = set()
        async for records in read_all(self.cluster, [self.topic], since):
            for record in records:
                sent |= {(value or b"").decode() for name, value in record.headers if name == REDRIVE}
        return sent

    async def _write(self, at: TopicPartition, mark: Mark) -> None:
        headers: Headers = ((MARK, mark.kind.encode()),)
        value = msgspec.json.encode(mark)
        await self.sender.send([Record(at.topic, None, value, headers, partition=at.partition)])
        await self.sender.flush()


def record_of(letter: Letter, partitions: int) -> Record:
    """The original record again. A record from the future is dated now, or it would be from the future for ever."""
    ours: Headers = ((deadletters.ATTEMPT, str(letter.attempt).encode()), (REDRIVE, letter.id.encode()))
    theirs = tuple((name, value or b"") for name, value in letter.headers)
    return Record(
        letter.topic,
        letter.record.key,
        letter.record.value,
        (*theirs, *ours),
        None if letter.reason == Reason.FUTURE else letter.timestamp_ms,
        letter.partition if letter.partition < partitions else None,
    )


def _earliest(claims: Collection[Claim], topic: str) -> dict[TopicPartition, int]:
    """Where to begin looking for what the claims may have sent."""
    earliest: dict[TopicPartition, int] = {}
    for claim in claims:
        for partition, offset in claim.mark.ends.items():
            tp = TopicPartition(topic, partition)
            earliest[tp] = min(offset, earliest.get(tp, offset))
    return earliest
