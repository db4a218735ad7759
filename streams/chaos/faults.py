"""Makes one fault after the other happen, each while there is work, and notes what it met.

Before each, a burst of events is sent, and what is hit is hit while it works on that. Two kills of three wait for a
decision of the victim to appear in `fraud`: then outputs are out, and the range cannot be closed yet. Right after a
kill home is asked for the victim's open ranges: the survivors have not noticed yet, so what is open is what the dead
one left.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from streams.chaos.feed import Feed
from streams.chaos.plan import EVENTS_PER_ORDER, Kind, Plan
from streams.chaos.site import Site, Worker
from streams.chaos.watch import Partition, StuckError, Watch, held_by, until

AIM_WITHIN_S = 15.0  # a worker may still wait for its group
RANDOM_DELAY_S = 0.1
BETWEEN_S = 0.6  # more than standstill.AFTER_MS
AT_RANDOM = 3  # every third kill comes at any moment
BROKER_STOP_S, STORE_STOP_S = 10.0, 5.0
SESSIONS_STOPPED = 3
SUPERVISE_S = 0.2
MOST_EXITS = 20
BEGIN_EVENTS, BEGIN_S = 200, 0.3
OUTPUT = "fraud"
MIDST = 0.4  # share of a burst's decisions after which the latest kill comes

Seen = Callable[[], Awaitable[bool]]
Sign = Callable[[frozenset[Partition]], Awaitable[Seen]]


@dataclass(slots=True)
class Happened:
    """One fault: when (epoch ms), what it was over, and the partitions it hit (all, where it is not a worker's)."""

    kind: Kind
    at_ms: int
    over_ms: int = 0
    hit: frozenset[Partition] = frozenset()
    others: frozenset[Partition] = frozenset()
    open_ranges: int | None = None  # left behind by a worker that was killed


@dataclass(slots=True)
class Faults:
    """`run` makes the plan's faults happen; `supervise` starts again what ends by itself, and runs beside it."""

    plan: Plan
    site: Site
    workers: Sequence[Worker]
    watch: Watch
    feed: Feed
    session_s: float
    tell: Callable[[str], None]
    happened: list[Happened] = field(default_factory=list)
    exits: list[str] = field(default_factory=list)
    _bursts: set[asyncio.Task[None]] = field(default_factory=set)  # still being sent
    _random: Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = Random(f"faults/{self.plan.seed}")

    async def run(self) -> None:
        """Raises StuckError where the stream does not go on after one."""
        kinds: dict[Kind, Callable[[], Awaitable[Happened]]] = {
            Kind.WORKER_KILL: self._kill_worker,
            Kind.WORKER_STOP: self._stop_worker,
            Kind.BROKER_KILL: lambda: self._at_all(Kind.BROKER_KILL, self.site.broker_killed),
            Kind.BROKER_STOP: lambda: self._at_all(Kind.BROKER_STOP, lambda: self.site.broker_stopped(BROKER_STOP_S)),
            Kind.STORE_KILL: lambda: self._at_all(Kind.STORE_KILL, self.site.store_killed),
            Kind.STORE_STOP: lambda: self._at_all(Kind.STORE_STOP, lambda: self.site.store_stopped(STORE_STOP_S)),
            Kind.NODE_KILL: lambda: self._at_all(Kind.NODE_KILL, self._kill_node),
            Kind.STORE_ROLLBACK: self._roll_back,
        }
        for number, kind in enumerate(self.plan.faults, 1):
            await self._settled()
            happened = await kinds[kind]()
            self.happened.append(happened)
            left = "" if happened.open_ranges is None else f", {happened.open_ranges} ranges left open"
            self.tell(f"{number}/{len(self.plan.faults)} {kind}{left}")
            await asyncio.sleep(BETWEEN_S)

    async def supervise(self) -> None:
        """A worker that ends by itself is started again, as a supervisor would."""
        while True:
            for worker in self.workers:
                if why := worker.ended():
                    self.exits.append(why)
                    self.tell(why)
                    if len(self.exits) > MOST_EXITS:
                        raise StuckError(f"workers ended by themselves {len(self.exits)} times; the last: {why}")
                    worker.start()
            await asyncio.sleep(SUPERVISE_S)

    # ---- workers

    async def held(self) -> dict[int, frozenset[Partition]]:
        """What each worker that can be asked works on, by slot."""
        asked = [worker for worker in self.workers if not worker.standing_still]
        found = await asyncio.gather(*(held_by(worker.metrics_port) for worker in asked))
        return {worker.slot: held for worker, held in zip(asked, found, strict=True)}

    async def _settled(self) -> None:
        """Until every partition is worked on, each by one worker, and no worker is idle."""

        async def shared_out() -> bool:
            held = (await self.held()).values()
            return all(held) and sorted(one for some in held for one in some) == sorted(self.watch.partitions)

        try:
            await until("every partition has one worker, and every worker a partition", shared_out)
        except StuckError as stuck:
            held = {slot: sorted(f"{t}/{n}" for t, n in some) for slot, some in (await self.held()).items()}
            for worker in self.workers:
                self.tell(f"worker {worker.slot} said last:\n{worker.child.last_words() if worker.child else ''}")
            raise StuckError(f"{stuck}: {held}") from None

    async def _kill_worker(self) -> Happened:
        victim, mine = await self._victim()
        kills = sum(one.kind is Kind.WORKER_KILL for one in self.happened)
        await self._while_at_work(self._begun if kills % AT_RANDOM == AT_RANDOM - 1 else self._published, mine)
        happened = Happened(Kind.WORKER_KILL, _now_ms(), hit=mine, others=frozenset(self.watch.partitions) - mine)
        victim.kill()
        victim.start()
        homes = await self.watch.homes()
        happened.open_ranges = sum(homes[key].last_range is not None for key in mine if key in homes)
        happened.over_ms = _now_ms()
        await self._moved(mine, {key: homes[key].position for key in mine if key in homes})
        return happened

    async def _victim(self) -> tuple[Worker, frozenset[Partition]]:
        """A worker at random, and what it works on."""
        held = await self.held()
        victim = self._random.choice([worker for worker in self.workers if held[worker.slot]])
        return victim, held[victim.slot]

    async def _while_at_work(self, sign: Sign, partitions: frozenset[Partition]) -> None:
        """Sends a burst and returns when there is a sign that these partitions' worker is busy with it."""
        seen = await sign(partitions)
        burst, deadline = asyncio.create_task(self.feed.burst(self.plan.burst)), time.monotonic() + AIM_WITHIN_S
        while not await seen() and time.monotonic() < deadline:
            pass
        self._bursts.add(burst)
        burst.add_done_callback(self._bursts.discard)

    async def _begun(self, partitions: frozenset[Partition]) -> Seen:
        """A range of theirs is begun; then any moment of the next few ranges."""
        before, delay_s = await self.watch.homes(), self._random.random() * RANDOM_DELAY_S

        async def seen() -> bool:
            homes = await self.watch.homes()
            moved = any(key in homes and homes[key] != before.get(key) for key in partitions)
            await asyncio.sleep(delay_s if moved else 0)
            return moved

        return seen

    async def _published(self, partitions: frozenset[Partition]) -> Seen:
        """Somewhere in the burst a decision of theirs appears: its range cannot be closed at that moment."""
        numbers = [number for topic, number in partitions if topic == "orders"]
        reader = self.watch.reader
        before = [(await reader.bounds(OUTPUT, number))[1] for number in numbers]
        mine = self.plan.burst / EVENTS_PER_ORDER * len(numbers) / len(self.watch.numbers("orders"))
        wanted, last = sum(before) + self._random.random() * MIDST * mine, before

        async def seen() -> bool:
            nonlocal last
            looks = [reader.fetch(OUTPUT, number, end, max_bytes=1) for number, end in zip(numbers, last, strict=True)]
            ends = [chunk.end for chunk in await asyncio.gather(*looks)]
            moved, last = ends != last, ends
            return not numbers or (moved and sum(ends) > wanted)

        return seen

    async def _moved(self, partitions: frozenset[Partition], from_: dict[Partition, int]) -> None:
        """Until each of the partitions is beyond where it stood, or at its log's end."""

        async def moved() -> bool:
            homes, ends = await self.watch.homes(), await self.watch.ends()
            return all(key in homes and homes[key].position >= min(from_.get(key, 0) + 1, ends[key]) for key in from_)

        if partitions:
            await until("the partitions of a killed worker move again", moved)

    async def _stop_worker(self) -> Happened:
        victim, mine = await self._victim()
        await self._while_at_work(self._begun, mine)
        happened = Happened(Kind.WORKER_STOP, _now_ms(), hit=mine, others=frozenset(self.watch.partitions) - mine)
        victim.stop()
        try:
            await asyncio.sleep(SESSIONS_STOPPED * self.session_s)
        finally:
            victim.cont()
        happened.over_ms = _now_ms()
        return happened

    # ---- broker and store

    async def _at_all(self, kind: Kind, happen: Callable[[], Awaitable[None]]) -> Happened:
        everything = frozenset(self.watch.partitions)
        await self._while_at_work(self._begun, everything)
        happened = Happened(kind, _now_ms(), hit=everything)
        await happen()
        happened.over_ms = _now_ms()
        return happened

    async def _kill_node(self) -> None:
        await self.site.store_killed(self._random.randrange(len(self.site.stores)))

    async def _roll_back(self) -> Happened:
        """Copies the store's files, goes on for so many orders, kills the store and starts it from the copy."""
        await self._begin_all()
        copy, before = await self.site.store_copied(), await self.watch.begun("orders")
        await self.feed.burst(int(self.plan.rollback_orders * EVENTS_PER_ORDER * 1.1))

        async def far_enough() -> bool:
            return await self.watch.begun("orders") >= before + self.plan.rollback_orders

        await until(f"{self.plan.rollback_orders} orders are taken after the copy", far_enough, 300.0)
        return await self._at_all(Kind.STORE_ROLLBACK, lambda: self.site.store_rolled_back(copy))

    async def _begin_all(self) -> None:
        """Feeds until every partition has been begun: a store that lost the beginning of one asks for a rebuild."""
        while len(await self.watch.homes()) < len(self.watch.partitions) and not self.feed.exhausted:
            await self.feed.burst(BEGIN_EVENTS)
            await asyncio.sleep(BEGIN_S)


def _now_ms() -> int:
    return round(time.time() * 1000)
