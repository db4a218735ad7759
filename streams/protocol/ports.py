"""The seams of the store's protocol: what the partition driver asks of the log, the store, the work and the sink.

Everything in this folder is pure apart from the four ports below, so that one driver runs on Kafka and Redis and,
word for word the same, in the random-schedule simulation. `docs/protocol.md` tells the story; the names here
are its words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Generic, NamedTuple, Protocol, TypeVar

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
O_co = TypeVar("O_co", covariant=True)
O_contra = TypeVar("O_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class Batch(Generic[R]):
    """Records of one partition in offset order. `first` is a position: holes are possible, maybe no record's."""

    first: int
    records: Sequence[R]  # at least one

    @property
    def last(self) -> int:
        return self.records[-1].offset


@dataclass(frozen=True, slots=True)
class Limits:
    """Constants of the state space: they decide verdicts, so all workers of a store must agree on them for ever."""

    dedup_offsets: int = 1_000_000  # N: an id is remembered for so many offsets
    dedup_s: int = 7 * 86_400  # H: and for so long on the log's own clock
    late_ms: int = 30 * 86_400_000  # event time behind the record timestamp: the longest window
    future_ms: int = 300_000  # event time ahead of the record timestamp
    verdict_offsets: int = 10_000_000  # how deep the log of verdicts reaches: as far as a rollback may go


Exceptions = dict[int, Verdict]  # offset -> verdict, for the records that are not fresh


class Facts(NamedTuple):
    """What the judge must know of each record of a batch, (n,) each, in offset order."""

    offset: Ints
    record_ms: Ints  # the Kafka record's timestamp, epoch ms
    event_ms: Ints  # event time, epoch ms; anything where `dead`
    event_id: npt.NDArray[np.uint64]  # hash of (event id); anything where `dead`
    payload: npt.NDArray[np.uint32]  # hash of the value bytes
    dead: npt.NDArray[np.bool_]


class Proposal(NamedTuple):
    """A range that a worker offers to `begin`: judged already, since verdicts are a function of the log."""

    last: int
    exceptions: Exceptions
    ids: bytes  # the id-log blob of the fresh records (see judge.py for its layout); b"" where none is fresh
    clock_s: int  # the log's clock after the range: what the id log is trimmed by


class Begin(NamedTuple):
    """What `begin` is asked: to close the open range if it is published, and to open the one that is offered."""

    published: int  # everything up to here is out
    proposal: Proposal | None = None
    at: int | None = None  # the position that the proposal starts from ('from')
    genesis: int = 0
    config: str = ""
    token: bytes = b""
    tail: int = -1  # the largest offset known to have a row


class Open(NamedTuple):
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
    """The store holds this partition under another topic id: stop, and name `headrace state rebase TOPIC`."""

    known: str


BeginReply = Open | Position | Unknown | Rebind


@dataclass(frozen=True, slots=True)
class IdLog:
    """Home's memory of fresh ids, read together with the position that it is right for."""

    genesis: int
    position: int  # home's: after the open range, if there is one
    clock_s: int  # the log's clock there: the largest record timestamp so far, in whole seconds
    blobs: Sequence[bytes]  # oldest first


@dataclass(frozen=True, slots=True)
class Unsaid:
    """Home cannot give the verdicts asked for: they reach beyond its position, or below its log."""

    floor: int  # the oldest offset whose verdict is kept
    position: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one shard stands in one partition."""

    topic_id: str
    genesis: int
    position: int
    before: tuple[str, int] | None = None  # (topic id, position) of the topic that a rebase left behind
    again: tuple[int, int] | None = None  # first and last offset of what was caught up and not looked at since


class ShardCall(NamedTuple):
    """What one shard is told of a range: the bags to return and, for each, its new entries without their stamps."""

    shard: int
    keys: Sequence[bytes]  # distinct; may be empty: every range goes to every shard
    payloads: Sequence[bytes]  # as many as keys; b"" where a bag is only read
    sizes: Sequence[int]  # bytes of one entry without its stamp, per key


class Applied(NamedTuple):
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
    """Compaction of one bag: its first bytes, and what stands for them from now on.

    Refused unless the bag begins with `prefix`, and while a number that may still be asked for is not above `newest`: a
    noted number whose range stamped an entry inside `prefix`, or only read this bag.
    """

    shard: int
    key: bytes
    prefix: bytes
    replacement: bytes
    newest: int  # the largest stamp inside `prefix`


class Store(Protocol):
    """The store's calls, each atomic in its shard (docs/protocol.md). Raises `StoreDown`: out of reach, or full."""

    @property
    def shards(self) -> int: ...

    async def begin(self, tp: Tp, asked: Begin) -> BeginReply:
        """Closes, then opens; the range that is open already is told whatever was offered."""
        ...

    async def take(
        self, tp: Tp, asked: Begin, calls: Sequence[ShardCall]
    ) -> tuple[BeginReply, Sequence[ApplyReply] | None]:
        """`begin`, and where the range is opened as offered `apply` of it; None where it was not."""
        ...

    async def verdicts(self, tp: Tp, first: int, last: int) -> Exceptions | Unsaid:
        """The exceptions within first..last, of begun ranges only (the open one included)."""
        ...

    async def ids(self, tp: Tp) -> IdLog | None:
        """Genesis, position and id log of a partition in one atomic look; None where home has never heard of it."""
        ...

    async def apply(
        self,
        tp: Tp,
        genesis: int,
        first: int,
        last: int,
        token: bytes,
        calls: Sequence[ShardCall],
        *,
        catchup: bool = False,
        again: bool = False,
    ) -> Sequence[ApplyReply]:
        """One call per shard named, sent together; replies in the order of `calls`.

        `catchup`: in silence. `again`: maybe so, since decisions of the range may be out from an earlier life. A shard
        that takes the range either way notes that it is to be looked at again.
        """
        ...

    async def read(self, calls: Sequence[ShardCall]) -> Sequence[Sequence[bytes | None]]:
        """The bags as they are now (payloads ignored): for the rest of a range that a shard was found beyond."""
        ...

    async def where(self, tp: Tp, closed: int | None = None) -> Sequence[Standing | None]:
        """Every shard's standing, in shard order; None where a shard has none yet (it stands at genesis).

        Shards of this topic id forget the note of a range that ends below `closed`: it is published and closed,
        nobody may ask for it again (who does is told At), and compaction need not wait for a partition gone quiet.
        What they keep of the note is its catch-up bit.
        """
        ...

    async def looked(self, tp: Tp, notes: Mapping[int, tuple[int, int]], upto: int) -> None:
        """Takes up to `upto` off the notes of these shards, where a shard's is still this one."""
        ...

    async def empty(self) -> bool:
        """Whether no partition at all is known to this state space."""
        ...

    async def swap(self, swaps: Sequence[Swap]) -> int:
        """Compacts; returns how many were accepted. A refusal is no error: the bag moved on."""
        ...

    async def rebase(self, tp: Tp, shard: int, old: Standing, genesis: int, ids: Sequence[bytes] | None) -> bool:
        """Puts one shard on a new topic id: position = genesis, no note, `before` = (old topic id, old position).

        Done only where the shard still stands exactly at `old` (topic id and position; home: with no range open); True
        if it stands on the new id afterwards. `ids` is for home alone: the new id log, each blob as if it ended at
        genesis - 1; its clock stays, its verdict log is emptied, its floor is genesis.
        """
        ...


class Source(Protocol[R]):
    """The input log of one partition."""

    async def next(self, place: int) -> Batch[R] | None:
        """The next records from `place` on (`first == place`); None when idle for a while.

        `place` may be anywhere: it goes back after a rollback. The driver asks for a batch ahead while the one before
        is still unpublished, and may cancel the call: what it had taken is asked for again by its place.
        """
        ...

    def hold(self, last: int) -> None:
        """A range that was open already is worked on, up to `last`; what was handed out before is given back."""
        ...

    def done(self, last: int) -> None:
        """Everything up to `last` is published: what was handed out may be acknowledged."""
        ...

    async def read(self, first: int, last: int) -> Batch[R] | None:
        """Exactly the records of first..last that the log holds (a few thousand at most); None where it holds none."""
        ...

    async def bounds(self) -> tuple[int, int]:
        """The log's start offset and its end (the offset of the next record to come)."""
        ...


LATE_ROWS = 8
"""How many of the newest rows are looked at: each zombie sends one late row at most before it learns its place."""


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
    numbers: tuple[int, ...]  # one per shard; 0 where a shard was found beyond the range
    recovered: bool
    horizon: int  # the largest `last` of any row known to its writer, this one included: rows go back after a rollback


class ShardBags(NamedTuple):
    """What a shard answered: `bags[i]` belongs to `keys[i]` of the call; ignore stamps at or above `number`."""

    number: int
    bags: Sequence[bytes | None]
    whole: bool = False  # the bags hold the range itself (the shard was found beyond it): the batch adds nothing


class Work(Protocol[R, P, O_co]):
    """What a range means: decode, entries, vectors, decisions. Pure but for the clock of its metrics."""

    def prepare(self, batch: Batch[R]) -> P:
        """Decodes. A pure function of the records."""
        ...

    def facts(self, prepared: P) -> Facts: ...

    async def ready(self, config: str) -> bool:
        """Loads the configuration that a range was begun with, if another worker's; raises `Stop` where it cannot.

        False where a part of it is gone for good: the range is decided without it, and says `recovered`.
        """
        ...

    def calls(self, prepared: P, exceptions: Exceptions, since: int) -> Sequence[ShardCall]:
        """One per shard, all shards, in shard order: the entries of the fresh records at offsets >= `since`.

        The keys are those of all fresh records of the batch whatever `since` is, in an order that depends on the batch
        and the exceptions alone, so that replies of different calls for one batch line up.
        """
        ...

    def decide(self, prepared: P, range_: Open, bags: Sequence[ShardBags], recovered: bool) -> O_co:
        """What to publish for the range: decisions, anomalies, dead letters. Same arguments, same bytes."""
        ...

    def compact(self, prepared: P, bags: Sequence[ShardBags]) -> Sequence[Swap]:
        """Bags that have grown over their cap, folded into tiles."""
        ...

    @property
    def joins(self) -> bool:
        """Whether ranges publish what follows from bags that other partitions add to as well (features/join.py)."""
        ...

    def again(self, prepared: P, exceptions: Exceptions, first: int, bags: Sequence[ShardBags]) -> O_co | None:
        """What follows from those bags as they are now, for events that were taken in silence; None: nothing does.

        `bags` has None for every bag of a shard that was not asked.
        """
        ...


class Sink(Protocol[O_contra]):
    """Where outputs go. Raises `SinkDown` when the broker cannot be reached, `Fenced` when another owner took over."""

    @property
    def exactly_once(self) -> bool: ...

    async def open(self, tp: Tp) -> int | None:
        """At-least-once: None. Exactly-once: init_transactions, THEN the partition's committed offset (0 if none).

        Called once at the start and again after every `SinkDown`, when a transaction's fate is unknown.
        """
        ...

    async def newest(self, tp: Tp) -> Row | None:
        """The newest row of this partition and topic id in `applied` (exactly-once: the newest committed one).

        Its horizon is raised to the largest of the LATE_ROWS newest: a zombie that wakes may send one row late, and
        knows less than those who went on.
        """
        ...

    async def committed(self, tp: Tp) -> int | None:
        """The input offset committed for the partition, None if none: evidence that work was done here before."""
        ...

    async def rows(self, tp: Tp, first: int, last: int) -> Sequence[Row]:
        """The rows that overlap first..last, whatever their own bounds."""
        ...

    async def row(self, row: Row) -> None:
        """At-least-once: sends the row and awaits its acknowledgement."""
        ...

    async def publish(self, tp: Tp, outputs: O_contra) -> None:
        """At-least-once: sends the outputs and awaits every acknowledgement."""
        ...

    async def transact(self, row: Row, outputs: O_contra, since: int) -> None:
        """Exactly-once: one transaction of the outputs of offsets >= `since`, the row, and the input offset.

        The offset is max(since, row.last + 1): after a rollback the range may lie below what was committed long ago.
        """
        ...

    async def again(self, tp: Tp, outputs: O_contra, since: int) -> None:
        """Outputs that belong to no range and are dropped by their ids where they are out already; awaited.

        Exactly-once: in a transaction of their own, whose input offset is `since`, the one committed before.
        """
        ...


class StoreDown(Exception):  # noqa: N818
    """The store cannot be reached or takes no writes: back off, nothing is lost."""


class SinkDown(Exception):  # noqa: N818
    """The broker does not acknowledge: back off, nothing is lost."""


class Fenced(Exception):  # noqa: N818
    """Another owner has this partition's transactional id: give the partition up."""


class Stop(Exception):  # noqa: N818
    """The worker must not go on; the message names the thing, its value and the remedy."""
