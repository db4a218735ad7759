"""The seams of the store's protocol: what the partition driver asks of the log, the store, the work and the sink.

Everything in this folder is pure apart from the four ports below, so that one driver runs on Kafka and Redis and, word for
word the same, in the random-schedule simulation. `docs/protocol.md` tells the story; each name here is a word of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


class Verdict(IntEnum):
    """What became of a record. A pure function of the log; only FRESH records make entries and register their id."""

    FRESH = 0
    DUPLICATE = 1  # the same id and payload, fresh at a lower offset
    CONFLICT = 2  # the same id with another payload
    TOO_LATE = 3  # event time further behind the record timestamp than the longest window
    FUTURE = 4  # event time ahead of the record timestamp by more than the tolerance
    DEAD = 5  # cannot be decoded or breaks a limit


@dataclass(frozen=True, slots=True)
class Tp:
    """A topic-partition with the id that the broker gave the topic: a topic made anew has another one."""

    topic: str
    partition: int
    topic_id: str

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}"


class HasOffset(Protocol):
    @property
    def offset(self) -> int: ...


R = TypeVar("R", bound=HasOffset)  # a record of the input log
P = TypeVar("P")  # a prepared batch: decoded once, asked several times
O = TypeVar("O")  # what a range publishes  # noqa: E741
R_co = TypeVar("R_co", bound=HasOffset, covariant=True)
O_contra = TypeVar("O_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class Batch(Generic[R]):
    """Records of one partition in offset order. `first` is a position: offsets have holes, so it need not be a record's."""

    first: int
    records: Sequence[R]  # at least one

    @property
    def last(self) -> int:
        return self.records[-1].offset


Exceptions = dict[int, Verdict]  # offset -> verdict, for the records that are not fresh


@dataclass(frozen=True, slots=True)
class Facts:
    """What the judge must know of each record of a batch, (n,) each, in offset order."""

    offset: Ints
    record_ms: Ints  # the Kafka record's timestamp, epoch ms
    event_ms: Ints  # event time, epoch ms; anything where `dead`
    event_id: npt.NDArray[np.uint64]  # hash of (event id); anything where `dead`
    payload: npt.NDArray[np.uint32]  # hash of the value bytes
    dead: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A range that a worker offers to `begin`: judged already, since verdicts are a function of the log."""

    last: int
    exceptions: Exceptions
    ids: bytes  # the id-log blob of the fresh records (see judge.py for its layout)
    upto_ms: int  # largest record timestamp of the range: what the id log is trimmed by


@dataclass(frozen=True, slots=True)
class Open:
    """The one open range of a partition. Whoever holds the partition must obey it: same bounds, same configuration."""

    first: int
    last: int
    config: str
    exceptions: Exceptions
    token: bytes
    recovered: bool
    mine: bool


@dataclass(frozen=True, slots=True)
class Position:
    """No range is open; the next one starts here."""

    at: int


@dataclass(frozen=True, slots=True)
class Unknown:
    """Home has never heard of this partition ('none')."""


@dataclass(frozen=True, slots=True)
class Rebind:
    """The store holds this partition under another topic id: the worker stops and names `headrace state rebase TOPIC`."""

    known: str


BeginReply = Open | Position | Unknown | Rebind


@dataclass(frozen=True, slots=True)
class ShardCall:
    """What one shard is told of a range: the bags to return and, for each, the bytes of its new entries without stamps."""

    shard: int
    keys: Sequence[bytes]  # distinct; may be empty: every range goes to every shard
    payloads: Sequence[bytes]  # as many as keys; b"" where a bag is only read
    sizes: Sequence[int]  # bytes of one entry without its stamp, per key


@dataclass(frozen=True, slots=True)
class Applied:
    """The shard has the range: `bags` before it (entries stamped `number` or above are to be ignored)."""

    number: int
    bags: Sequence[bytes | None]
    flag: bool  # something here was recovered after a loss
    repeat: bool  # the range was applied by an earlier call


@dataclass(frozen=True, slots=True)
class At:
    """The shard stands elsewhere and changed nothing."""

    position: int


ApplyReply = Applied | At | Rebind


@dataclass(frozen=True, slots=True)
class Swap:
    """Compaction of one bag: its first bytes, and what stands for them from now on."""

    shard: int
    key: bytes
    prefix: bytes
    replacement: bytes
    newest: int  # the largest stamp inside `prefix`; refused while a smaller-or-equal number may still be asked for


class Store(Protocol):
    """The store's calls, each atomic in its shard (docs/protocol.md). Raises `StoreDown` when it cannot be reached or is full."""

    @property
    def shards(self) -> int: ...

    async def begin(
        self,
        tp: Tp,
        at: int | None,
        genesis: int,
        proposal: Proposal | None,
        published: int,
        config: str,
        token: bytes,
        tail: int,
    ) -> BeginReply:
        """`at` is the position the proposal starts from ('from' in the protocol); no proposal: only close what is published."""
        ...

    async def verdicts(self, tp: Tp, first: int, last: int) -> Exceptions | None:
        """The exceptions within first..last; None where home cannot tell (beyond its position or below its log)."""
        ...

    async def ids(self, tp: Tp) -> Sequence[bytes]:
        """The id log of a partition, oldest blob first: what the judge's window is loaded from."""
        ...

    async def apply(
        self, tp: Tp, genesis: int, first: int, last: int, token: bytes, calls: Sequence[ShardCall], *, catchup: bool = False
    ) -> Sequence[ApplyReply]:
        """One call per shard named, sent together; replies in the order of `calls`."""
        ...

    async def read(self, calls: Sequence[ShardCall]) -> Sequence[Sequence[bytes | None]]:
        """The bags as they are now (payloads ignored): for the rest of a range that a shard was found beyond."""
        ...

    async def where(self, tp: Tp) -> Sequence[int | None]:
        """Every shard's position for the partition; None where a shard has none yet (it stands at genesis)."""
        ...

    async def genesis(self, tp: Tp) -> int | None:
        """The first offset ever taken for a partition; None where home has never heard of it."""
        ...

    async def empty(self) -> bool:
        """Whether no partition at all is known to this state space."""
        ...

    async def swap(self, swaps: Sequence[Swap]) -> int:
        """Compacts; returns how many were accepted. A refusal is no error: the bag moved on."""
        ...


class Source(Protocol[R]):
    """The input log of one partition."""

    async def next(self, place: int) -> Batch[R] | None:
        """The next records from `place` on (`first == place`); None when idle for a while."""
        ...

    async def read(self, first: int, last: int) -> Batch[R] | None:
        """Exactly the records of first..last that the log holds (at most a few thousand); None where it holds none of them."""
        ...

    async def bounds(self) -> tuple[int, int]:
        """The log's start offset and its end (the offset of the next record to come)."""
        ...


@dataclass(frozen=True, slots=True)
class Row:
    """A record of topic `applied`: one range, and the number under which each shard took it."""

    topic: str
    partition: int
    topic_id: str
    first: int
    last: int
    config: str
    exceptions: Exceptions
    numbers: tuple[int, ...]  # one per shard
    recovered: bool


@dataclass(frozen=True, slots=True)
class ShardBags:
    """What a shard answered for a range: `bags[i]` belongs to `keys[i]` of the call; stamps at or above `number` are to be ignored."""

    number: int
    bags: Sequence[bytes | None]


class Work(Protocol[R, P, O]):
    """What a range means: decode, entries, vectors, decisions. Pure but for the clock of its metrics."""

    def prepare(self, batch: Batch[R]) -> P:
        """Decodes. A pure function of the records."""
        ...

    def facts(self, prepared: P) -> Facts: ...

    def calls(self, prepared: P, exceptions: Exceptions, since: int) -> Sequence[ShardCall]:
        """One per shard, all shards, in shard order: the entries of the fresh records at offsets >= `since`.

        The keys are those of all fresh records of the batch whatever `since` is, in an order that depends on the batch and
        the exceptions alone, so that replies of different calls for one batch line up.
        """
        ...

    def decide(self, prepared: P, range_: Open, bags: Sequence[ShardBags], recovered: bool) -> O:
        """The bytes to publish for the range: decisions, anomalies, dead letters. The same arguments give the same bytes."""
        ...

    def compact(self, prepared: P, bags: Sequence[ShardBags]) -> Sequence[Swap]:
        """Bags that have grown over their cap, folded into tiles."""
        ...


class Sink(Protocol[O_contra]):
    """Where a range's outputs go. Raises `SinkDown` when the broker cannot be reached, `Fenced` when another owner took over."""

    @property
    def exactly_once(self) -> bool: ...

    async def open(self, tp: Tp) -> int | None:
        """At-least-once: None. Exactly-once: init_transactions, THEN the committed offset of the input partition (0 if none)."""
        ...

    async def tail(self, tp: Tp) -> int:
        """`last` of the newest row of this partition and topic id in `applied`; -1 where there is none."""
        ...

    async def rows(self, tp: Tp, first: int, last: int) -> Sequence[Row]:
        """The rows of exactly this range."""
        ...

    async def row(self, row: Row) -> None:
        """At-least-once: sends the row and awaits its acknowledgement."""
        ...

    async def publish(self, tp: Tp, outputs: O_contra) -> None:
        """At-least-once: sends the outputs and awaits every acknowledgement."""
        ...

    async def transact(self, row: Row, outputs: O_contra, since: int) -> None:
        """Exactly-once: one transaction of the outputs of offsets >= `since`, the row, and the input offset row.last + 1."""
        ...


class StoreDown(Exception):
    """The store cannot be reached or takes no writes: back off, nothing is lost."""


class SinkDown(Exception):
    """The broker does not acknowledge: back off, nothing is lost."""


class Fenced(Exception):
    """Another owner has this partition's transactional id: give the partition up."""


class Stop(Exception):
    """The worker must not go on; the message names the thing, its value and the remedy."""
