"""The simulated work: a bag holds stamped weights, a decision shows count and sum of each bag that its order touches.

Enough to give away any entry that is missing, doubled, or seen though it came later; cheap enough for thousands of
schedules.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from features.columns import Columns
from features.join import Made, added, compacted, news
from features.orders import MEETING
from streams.protocol.memory import STAMP_BYTES
from streams.protocol.ports import Batch, Exceptions, Facts, Open, ShardBags, ShardCall, Swap
from tests.simulation.log import Partition, Record, weight
from tests.simulation.meet import JOIN

ENTRY = struct.Struct("<IQ4x")  # partition number, weight
STAMPED = STAMP_BYTES + ENTRY.size
TILE = struct.Struct("<cQQ")  # marker, count, sum
MASK = 2**64 - 1

Seen = tuple[int, int]  # count, sum
MEETS = b"meet:"  # what the key of a bag in which flows meet begins with


def shard_of(key: bytes, shards: int) -> int:
    return key[-1] % shards


def parse(bag: bytes | None) -> tuple[int, int, list[tuple[int, int]]]:
    """A bag's tile as count and sum, and its raw entries as (stamp, weight)."""
    if not bag:
        return 0, 0, []
    count = total = at = 0
    if bag[:1] == b"T":
        _, count, total = TILE.unpack_from(bag)
        at = TILE.size
    raw = [bag[i : i + STAMPED] for i in range(at, len(bag), STAMPED)]
    return count, total, [(int.from_bytes(e[:STAMP_BYTES], "big"), ENTRY.unpack(e[STAMP_BYTES:])[1]) for e in raw]


def meaning(bag: bytes | None, below: int = 2**63) -> Seen:
    """Count and sum of what is stamped below a number; tiles bear no stamp and always count."""
    count, total, raw = parse(bag)
    inside = [w for stamp, w in raw if stamp < below]
    return count + len(inside), (total + sum(inside)) & MASK


def squeeze(bag: bytes, below: int, rng: random.Random) -> tuple[bytes, bytes, int] | None:
    """(prefix, replacement, newest) of some raw entries stamped below a number; None where there are none."""
    count, total, raw = parse(bag)
    able = sum(stamp < below for stamp, _ in raw)
    if not able:
        return None
    taken = raw[: rng.randint(1, able)]
    tile = TILE.pack(b"T", count + len(taken), (total + sum(w for _, w in taken)) & MASK)
    head = TILE.size if bag[:1] == b"T" else 0
    return bag[: head + len(taken) * STAMPED], tile, max(stamp for stamp, _ in taken)


def squeezed_of(key: bytes, bag: bytes, below: int, rng: random.Random) -> tuple[bytes, bytes, int] | None:
    """The same of a bag of either kind."""
    return compacted(MEETING, bag, below) if key.startswith(MEETS) else squeeze(bag, below, rng)


@dataclass(frozen=True, slots=True)
class Decision:
    """One output: an order, what it saw, under which configuration."""

    offset: int
    event_id: int
    config: str
    recovered: bool
    vector: tuple[tuple[bytes, Seen], ...]


@dataclass(frozen=True, slots=True)
class Told:
    """One output of a meeting: what `features/join.py` made."""

    made: Made
    offset: int = 2**63 - 1


Output = Decision | Told


@dataclass(slots=True)
class Prepared:
    records: Sequence[Record]
    keys: list[list[bytes]] = field(default_factory=list)  # asked for, by shard
    met: dict[bytes, tuple[str, list[bytes]]] = field(default_factory=dict)  # order id and own records, by key


@dataclass(slots=True)
class SimWork:
    partition: Partition
    shards: int
    rng: random.Random

    def prepare(self, batch: Batch[Record]) -> Prepared:
        return Prepared(batch.records)

    async def ready(self, config: str) -> bool:  # noqa: ARG002 - every configuration is at hand
        return True

    def facts(self, prepared: Prepared) -> Facts:
        rows = prepared.records
        return Facts(
            np.array([r.offset for r in rows], np.int64),
            np.array([r.record_ms for r in rows], np.int64),
            np.array([r.event_ms for r in rows], np.int64),
            np.array([r.event_id for r in rows], np.uint64),
            np.array([r.payload for r in rows], np.uint32),
            np.array([r.dead for r in rows], np.bool_),
        )

    @property
    def joins(self) -> bool:
        return self.partition.joins

    def _meet(self, prepared: Prepared, exceptions: Exceptions, since: int) -> dict[bytes, bytes]:
        """What the range adds to each bag in which flows meet, as streams/work.py has it."""
        fresh = [r for r in prepared.records if r.offset not in exceptions and r.meets is not None]
        met = [r.meets for r in fresh if r.meets is not None]
        nothing = np.zeros(len(met), np.int64)
        ids = {"order": [order_id for order_id, _ in met]}
        columns = Columns(len(met), nothing, nothing, nothing, ids, {}, [record for _, record in met])
        start = sum(r.offset < since for r in fresh)
        entities, records, payloads = added(JOIN, columns, start)
        keys = [MEETS + entity.encode() for entity in entities]
        prepared.met = dict(zip(keys, zip(entities, records, strict=True), strict=True))
        return dict(zip(keys, payloads, strict=True))

    def _keys(self, prepared: Prepared, exceptions: Exceptions) -> list[list[bytes]]:
        fresh = [r for r in prepared.records if r.offset not in exceptions]
        keys = list(dict.fromkeys(key for r in fresh for key in r.keys))
        keys += dict.fromkeys(MEETS + r.meets[0].encode() for r in fresh if r.meets is not None)
        return [[key for key in keys if shard_of(key, self.shards) == shard] for shard in range(self.shards)]

    def calls(self, prepared: Prepared, exceptions: Exceptions, since: int) -> list[ShardCall]:
        number = self.partition.number
        new = [r for r in prepared.records if r.offset not in exceptions and r.offset >= since]
        payloads: dict[bytes, bytes] = {}
        for r in new:
            for key in r.keys:
                payloads[key] = payloads.get(key, b"") + ENTRY.pack(number, weight(number, r.offset))
        meeting = self._meet(prepared, exceptions, since)
        payloads |= meeting
        prepared.keys = self._keys(prepared, exceptions)
        return [
            ShardCall(
                shard,
                keys,
                [payloads.get(key, b"") for key in keys],
                [len(meeting[key]) if key in meeting else ENTRY.size for key in keys],
            )
            for shard, keys in enumerate(prepared.keys)
        ]

    def decide(self, prepared: Prepared, range_: Open, bags: Sequence[ShardBags], recovered: bool) -> list[Output]:
        told = self._told(prepared, range_.exceptions, range_.first, bags)
        if not self.partition.scored:
            return told
        seen, whole = self._before(prepared, range_, bags)
        out: list[Output] = told
        for r in prepared.records:
            if r.offset in range_.exceptions:
                continue
            for key in r.keys:
                if key not in whole:
                    count, total = seen[key]
                    seen[key] = count + 1, (total + weight(self.partition.number, r.offset)) & MASK
            vector = tuple((key, seen[key]) for key in r.keys)
            out.append(Decision(r.offset, r.event_id, range_.config, recovered, vector))
        return out

    def _told(self, prepared: Prepared, exceptions: Exceptions, since: int, bags: Sequence[ShardBags]) -> list[Output]:
        self._meet(prepared, exceptions, since)
        return [
            Told(made)
            for keys, answer in zip(self._keys(prepared, exceptions), bags, strict=True)
            for key, bag in zip(keys, answer.bags, strict=True)
            if key in prepared.met
            for order_id, own in [prepared.met[key]]
            for made in news(MEETING, order_id, bag, answer.number, own, whole=answer.whole)
        ]

    def again(
        self, prepared: Prepared, exceptions: Exceptions, first: int, bags: Sequence[ShardBags]
    ) -> list[Output] | None:
        return self._told(prepared, exceptions, first, bags) or None

    def _before(
        self, prepared: Prepared, range_: Open, bags: Sequence[ShardBags]
    ) -> tuple[dict[bytes, Seen], set[bytes]]:
        seen, whole = {}, set()
        for keys, answer in zip(self._keys(prepared, range_.exceptions), bags, strict=True):
            for key, bag in zip(keys, answer.bags, strict=True):
                if key.startswith(MEETS):
                    continue
                seen[key] = meaning(bag, answer.number)
                if answer.whole:
                    whole.add(key)
        return seen, whole

    def compact(self, prepared: Prepared, bags: Sequence[ShardBags]) -> list[Swap]:
        """Squeezes some of the bags that the last range read, as far as its number allows."""
        swaps = []
        for shard, (keys, answer) in enumerate(zip(prepared.keys, bags, strict=True)):
            for key, bag in zip(keys, answer.bags, strict=True):
                if bag and self.rng.random() < 0.3 and (squeezed := squeezed_of(key, bag, answer.number, self.rng)):
                    swaps.append(Swap(shard, key, *squeezed))
        return swaps
