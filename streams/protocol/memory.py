"""The store's calls in plain Python: the reference that the Lua library is held against, and the simulation's store.

Each method is one atomic step per shard. State is immutable values in dicts, so a snapshot is a shallow copy and a
rollback of any shard to any moment is an assignment. The price: one process, nothing durable; it is for tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from streams.protocol.apart import take_apart
from streams.protocol.places import home_shard
from streams.protocol.ports import (
    Applied,
    ApplyReply,
    At,
    Begin,
    BeginReply,
    Exceptions,
    IdLog,
    Limits,
    Open,
    Position,
    Proposal,
    Rebind,
    ShardCall,
    Standing,
    Swap,
    Tp,
    Unknown,
    Unsaid,
    Verdict,
)

STAMP_BYTES = 8  # u64, big-endian
Key = tuple[str, int]  # topic, partition


@dataclass(frozen=True, slots=True)
class Note:
    """The last range that a shard took of a partition."""

    first: int
    last: int
    number: int
    token: bytes
    flag: bool
    catchup: bool
    only_read: frozenset[bytes] = frozenset()


@dataclass(frozen=True, slots=True)
class Held:
    """What every shard keeps of every partition."""

    topic_id: str
    genesis: int
    position: int
    note: Note | None = None
    catchup: bool = False  # the last range was caught up; outlives a forgotten note
    before: tuple[str, int] | None = None
    again: tuple[int, int] | None = None  # taken in silence, and not looked at since


@dataclass(frozen=True, slots=True)
class IdBlob:
    last: int
    clock_s: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Home:
    """What only the home shard keeps of a partition."""

    topic_id: str
    genesis: int
    position: int  # begun: after the open range
    open: Open | None = None
    clock_s: int = 0
    ids: tuple[IdBlob, ...] = ()
    verdicts: tuple[tuple[int, Verdict], ...] = ()  # by offset
    floor: int = 0  # the oldest offset whose verdict is kept


@dataclass(slots=True)
class Shard:
    number: int = 0
    held: dict[Key, Held] = field(default_factory=dict)
    homes: dict[Key, Home] = field(default_factory=dict)
    bags: dict[bytes, bytes] = field(default_factory=dict)

    def copy(self) -> Shard:
        return Shard(self.number, dict(self.held), dict(self.homes), dict(self.bags))


class MemoryStore:
    """`ports.Store` in memory. `time_us` is its own clock: it moves on over a rollback, so no number repeats."""

    def __init__(self, shards: int, time_us: Callable[[], int], limits: Limits | None = None) -> None:
        self._shards = [Shard() for _ in range(shards)]
        self._time_us = time_us
        self._limits = limits or Limits()

    @property
    def shards(self) -> int:
        return len(self._shards)

    # ---- what tests do to it

    def snapshot(self) -> tuple[Shard, ...]:
        return tuple(shard.copy() for shard in self._shards)

    def restore(self, snapshot: Sequence[Shard], shards: Iterable[int] | None = None) -> None:
        """Rolls the named shards (all of them without a name) back to the snapshot."""
        for index in range(self.shards) if shards is None else shards:
            self._shards[index] = snapshot[index].copy()

    def bags(self) -> dict[bytes, bytes]:
        """Every bag of the state space."""
        return {key: bag for shard in self._shards for key, bag in shard.bags.items()}

    def shard(self, index: int) -> Shard:
        return self._shards[index]

    def home(self, tp: Tp) -> Home | None:
        return self._home_shard(tp).homes.get(_key(tp))

    def _home_shard(self, tp: Tp) -> Shard:
        return self._shards[home_shard(tp.topic, tp.partition, self.shards)]

    # ---- home

    async def begin(self, tp: Tp, asked: Begin) -> BeginReply:
        at, genesis, proposal = asked.at, asked.genesis, asked.proposal
        homes, key = self._home_shard(tp).homes, _key(tp)
        home = homes.get(key)
        if home is not None and home.topic_id != tp.topic_id:
            return Rebind(home.topic_id)
        if home is None:
            if proposal is None or not self._may_start(at, genesis):
                return Unknown()
            home = Home(tp.topic_id, genesis, genesis, floor=genesis)
        if home.open is not None and asked.published >= home.open.last:
            home = replace(home, open=None)
        if home.open is None and proposal is not None and self._is_next(home, at):
            home = self._opened(home, proposal, asked.config, asked.token, asked.tail)
            homes[key] = home
            assert home.open is not None
            return home.open._replace(mine=True)
        homes[key] = home
        return Position(home.position) if home.open is None else home.open

    async def take(
        self, tp: Tp, asked: Begin, calls: Sequence[ShardCall]
    ) -> tuple[BeginReply, Sequence[ApplyReply] | None]:
        return await take_apart(self, tp, asked, calls)

    def _may_start(self, at: int | None, genesis: int) -> bool:
        return at == genesis

    def _is_next(self, home: Home, at: int | None) -> bool:
        return at == home.position

    def _opened(self, home: Home, proposal: Proposal, config: str, token: bytes, tail: int) -> Home:
        first, position = home.position, proposal.last + 1
        clock_s = max(home.clock_s, proposal.clock_s)
        blob = (IdBlob(proposal.last, clock_s, proposal.ids),) if proposal.ids else ()
        oldest, oldest_s = position - self._limits.dedup_offsets, clock_s - self._limits.dedup_s
        ids = (*home.ids, *blob)
        gone = next((i for i, b in enumerate(ids) if b.last >= oldest and b.clock_s >= oldest_s), len(ids))
        floor = max(home.floor, position - self._limits.verdict_offsets)
        verdicts = (*home.verdicts, *sorted(proposal.exceptions.items()))
        return replace(
            home,
            position=position,
            open=Open(first, proposal.last, config, dict(proposal.exceptions), token, first <= tail, mine=False),
            clock_s=clock_s,
            ids=ids[gone:],
            verdicts=tuple(v for v in verdicts if v[0] >= floor),
            floor=floor,
        )

    async def verdicts(self, tp: Tp, first: int, last: int) -> Exceptions | Unsaid:
        home = self._known_home(tp)
        if home is None:
            return Unsaid(0, 0)
        if last >= home.position or first < home.floor:
            return Unsaid(home.floor, home.position)
        return {offset: verdict for offset, verdict in home.verdicts if first <= offset <= last}

    async def ids(self, tp: Tp) -> IdLog | None:
        home = self._known_home(tp)
        if home is None:
            return None
        return IdLog(home.genesis, home.position, home.clock_s, [blob.data for blob in home.ids])

    def _known_home(self, tp: Tp) -> Home | None:
        home = self.home(tp)
        return home if home is not None and home.topic_id == tp.topic_id else None

    # ---- every shard

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
        args = (tp, genesis, first, last, token)
        return [self.apply_one(*args, call, catchup=catchup, again=again) for call in calls]

    def apply_one(
        self,
        tp: Tp,
        genesis: int,
        first: int,
        last: int,
        token: bytes,
        call: ShardCall,
        *,
        catchup: bool,
        again: bool = False,
    ) -> ApplyReply:
        """One shard's atomic step."""
        shard, key = self._shards[call.shard], _key(tp)
        held = shard.held.get(key) or self._newcomer(tp, genesis, first)
        if held.topic_id != tp.topic_id:
            return Rebind(held.topic_id)
        note = held.note
        if held.position == first:
            number = shard.number = max(shard.number + 1, self._time_us())
            before = [shard.bags.get(k) for k in call.keys]
            only_read = frozenset(k for k, payload in zip(call.keys, call.payloads, strict=True) if not payload)
            self._append(shard, call, number)
            flag = catchup or held.catchup
            note = Note(first, last, number, token, flag, catchup, only_read)
            noted = (held.again[0] if held.again else first, last) if catchup or again else held.again
            shard.held[key] = replace(held, position=last + 1, note=note, catchup=catchup, again=noted)
            return Applied(number, before, flag, repeat=False)
        if note is not None and (note.first, note.last) == (first, last):
            bags = [shard.bags.get(k) for k in call.keys]
            return Applied(note.number, bags, note.flag or note.token != token, repeat=True)
        return At(held.position)

    def _newcomer(self, tp: Tp, genesis: int, first: int) -> Held:  # noqa: ARG002  a mutation of the simulation asks for `first`
        return Held(tp.topic_id, genesis, genesis)

    def _append(self, shard: Shard, call: ShardCall, number: int) -> None:
        stamp = number.to_bytes(STAMP_BYTES, "big")
        for key, payload, size in zip(call.keys, call.payloads, call.sizes, strict=True):
            if payload:
                entries = (stamp + payload[i : i + size] for i in range(0, len(payload), size))
                shard.bags[key] = shard.bags.get(key, b"") + b"".join(entries)

    async def read(self, calls: Sequence[ShardCall]) -> Sequence[Sequence[bytes | None]]:
        return [[self._shards[call.shard].bags.get(key) for key in call.keys] for call in calls]

    async def where(self, tp: Tp, closed: int | None = None) -> Sequence[Standing | None]:
        return [self.where_one(tp, index, closed) for index in range(self.shards)]

    def where_one(self, tp: Tp, index: int, closed: int | None) -> Standing | None:
        """One shard's atomic step."""
        shard, key = self._shards[index], _key(tp)
        held = shard.held.get(key)
        if held is None:
            return None
        if closed is not None and held.topic_id == tp.topic_id and held.note is not None and held.note.last < closed:
            shard.held[key] = replace(held, note=None)
        return Standing(held.topic_id, held.genesis, held.position, held.before, held.again)

    async def looked(self, tp: Tp, notes: Mapping[int, tuple[int, int]], upto: int) -> None:
        for shard, again in notes.items():
            place, key = self._shards[shard], _key(tp)
            held = place.held.get(key)
            if held is not None and held.topic_id == tp.topic_id and held.again == again:
                place.held[key] = replace(held, again=None if upto >= again[1] else (upto + 1, again[1]))

    async def empty(self) -> bool:
        return not any(shard.held or shard.homes for shard in self._shards)

    # ---- compaction

    async def swap(self, swaps: Sequence[Swap]) -> int:
        return sum(self.swap_one(swap) for swap in swaps)

    def swap_one(self, swap: Swap) -> bool:
        """One bag's atomic step."""
        shard = self._shards[swap.shard]
        bag = shard.bags.get(swap.key)
        if bag is None or not self._same_prefix(bag, swap.prefix) or self._asked_again(shard, swap):
            return False
        shard.bags[swap.key] = swap.replacement + bag[len(swap.prefix) :]
        return True

    def _same_prefix(self, bag: bytes, prefix: bytes) -> bool:
        return bag.startswith(prefix)

    def _asked_again(self, shard: Shard, swap: Swap) -> bool:
        """Whether a noted number at or below `newest` is a stamp in the prefix, or of a range that only read the bag.

        Any 8 bytes that look like the number count: a refusal too many costs nothing.
        """
        notes = (held.note for held in shard.held.values() if held.note is not None and held.note.number <= swap.newest)
        return any(n.number.to_bytes(STAMP_BYTES, "big") in swap.prefix or swap.key in n.only_read for n in notes)

    # ---- rebase

    async def rebase(self, tp: Tp, shard: int, old: Standing, genesis: int, ids: Sequence[bytes] | None) -> bool:
        place, key = self._shards[shard], _key(tp)
        held = place.held.get(key)
        if held is not None and held.topic_id == tp.topic_id:
            return True
        home = place.homes.get(key)
        if held is None or (held.topic_id, held.position) != (old.topic_id, old.position):
            return False
        if home is not None:
            if ids is None or home.open is not None or home.position != old.position:
                return False
            blobs = tuple(IdBlob(genesis - 1, home.clock_s, blob) for blob in ids)
            place.homes[key] = Home(tp.topic_id, genesis, genesis, None, home.clock_s, blobs, floor=genesis)
        place.held[key] = Held(tp.topic_id, genesis, genesis, before=(old.topic_id, old.position))
        return True


def _key(tp: Tp) -> Key:
    return tp.topic, tp.partition
