"""A hostile world in which the real driver runs: one seed, one schedule.

Workers die, stand still and come back, own the same partition at once; the store and the broker fail on either side of
a call, and a call that failed may arrive late; shards are rolled back, one or all; the configuration changes; bags are
compacted at any moment; topics are made anew. Then the faults stop, the world drains, and `promises` looks at what is
left.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from streams.protocol.driver import Driver, Pace
from streams.protocol.observer import Silent
from streams.protocol.ports import Limits, ShardCall, SinkDown, Stop, StoreDown, Swap, Tp, Work
from streams.protocol.rebase import rebase
from streams.protocol.rebuild import Rebuild
from tests.simulation.links import Published, SinkLink, SourceLink, StoreLink, Weather
from tests.simulation.log import KEYS, START_MS, Meets, Partition, Record
from tests.simulation.meet import labelled, ordered, read_back
from tests.simulation.mutations import Mutation
from tests.simulation.stores import Moment
from tests.simulation.threads import STEP, Process, Thread, instant
from tests.simulation.work import Output, SimWork, Told, shard_of, squeezed_of

STEP_US = 1000
LAYOUT = (("orders", 0, True), ("orders", 1, True), ("clicks", 0, False))
MEETING = (("labels", 0, False), ("labels", 1, False), ("outcomes", 0, False))  # of worlds in which flows meet
MEETS: Mapping[str, Meets] = {"orders": ordered, "labels": labelled}
DRAIN_STEPS = 60_000


class NoProgressError(AssertionError):
    """P7: the faults stopped, the work did not go on."""


@dataclass(slots=True)
class Counts(Silent):
    """What happened: the schedules must be hostile to mean anything."""

    crashes: int = 0
    zombies: int = 0
    rollbacks: int = 0
    remade: int = 0
    rebuilds: int = 0
    stops: int = 0
    repeats: int = 0
    catchups: int = 0
    stalls: int = 0
    orders: int = 0
    told: int = 0  # where flows meet
    turns: int = 0  # different ones
    steps: int = 0
    late: int = 0  # calls that were given up, and arrived
    holes: int = 0  # schedules with one, when summed up

    def caught_up(self, tp: Tp, shard: int, first: int, last: int) -> None:  # noqa: ARG002
        self.catchups += 1

    def stalled(self, tp: Tp, seconds: float) -> None:  # noqa: ARG002
        self.stalls += 1

    def learned(self, tp: Tp, place: int, *, repeat: bool) -> None:  # noqa: ARG002
        self.repeats += repeat


@dataclass(slots=True, eq=False)
class Duty:
    """One driver at work in a process; a partition may have several, one of them rightful."""

    partition: Partition
    process: Process
    driver: Driver[Record, Any, list[Output]]
    thread: Thread[None]
    until: int | None = None  # a former owner is told to go at this step
    saw_rollback: bool = False
    held: int | None = None  # its place at the rollback; None: it was learning

    @property
    def spans_rollback(self) -> bool:
        """Whether what it has in hand is from before a rollback."""
        return self.saw_rollback and self.held in (None, self.driver.place)


class World:
    def __init__(
        self,
        rng: random.Random,
        mutation: Mutation,
        limits: Limits,
        *,
        remakes: bool,
        meets: bool,
        shards: int | None = None,
    ) -> None:
        """`meets`: orders and labels meet, and what follows is told in a log that is read back."""
        self.rng, self.mutation, self.limits, self.remakes = rng, mutation, limits, remakes
        self.meets = meets
        self.exactly_once = rng.random() < 0.4
        self.rolls_back = rng.random() < 0.6
        self.now = 0
        self.config = "c0"
        self.counts = Counts()
        self.rolled_back = False
        self.two_owners: set[Tp] = set()  # around a rollback
        few = rng.choice((1, 2, 3, 3))
        self.store = mutation.store(shards or few, self.time_us, limits)
        self.weather = Weather(rng)
        self.partitions = [
            Partition(
                Tp(topic, number, f"{topic}-a"),
                i,
                scored,
                limits,
                start=rng.choice((0, 0, 7)),
                meets=MEETS.get(topic) if meets else None,
            )
            for i, (topic, number, scored) in enumerate((*LAYOUT, *(MEETING if meets else ())))
        ]
        self.past: list[Partition] = []
        self.published: dict[Tp, Published] = {p.tp: Published() for p in self.partitions}
        self.snapshots: list[Moment] = [self.store.snapshot()]
        self.processes = [Process(f"w{i}") for i in range(rng.choice((2, 3)))]
        self.operator = Process("operator")
        self.compactor = Process("compactor")
        self.compactor.start(self._compact_for_ever())
        self.duties: list[Duty] = []
        self.ids: list[int] = []
        self.most = rng.choice((2, 4, 8))
        stall_s = rng.choice((0.1, 0.3, 3600.0)) * max(1, self.store.shards // 3)  # else a call to many shards is one
        self.pace = Pace(stall_s, chunk=rng.choice((2, 5, 50)), backoff_s=0.002)

    def time_us(self) -> int:
        return START_MS * 1000 + self.now * STEP_US

    def clock(self) -> float:
        return self.now * STEP_US / 1e6

    def token(self) -> bytes:
        return self.rng.randbytes(6)

    async def sleep(self, seconds: float) -> None:
        for _ in range(1 + int(self.rng.random() * min(seconds * 1e6 / STEP_US, 8))):
            await STEP

    # ---- owners

    def employ(self, partition: Partition, process: Process) -> Duty:
        """A new driver for a partition: its rightful owner from now on."""
        tp = partition.tp
        sink = SinkLink(
            self.published[tp],
            self.weather,
            self.tell,
            exactly_once=self.exactly_once,
            fence_first=self.mutation.fence_first,
        )
        driver: Driver[Record, Any, list[Output]] = Driver(
            tp,
            StoreLink(self.store, self.weather, lambda: self.now),
            SourceLink(partition, self.rng, self.most),
            sink,
            SimWork(partition, self.store.shards, self.rng),
            lambda: self.config,
            limits=self.limits,
            pace=self.pace,
            observer=self.counts,
            sleep=self.sleep,
            clock=self.clock,
            token=self.token,
            start=process.start,
            safety=self.mutation.safety,
        )
        duty = Duty(partition, process, driver, process.start(driver.run()))
        self.duties.append(duty)
        self._note_owners(partition)
        return duty

    def tell(self, told: Told) -> None:
        """What was published where flows meet is there to be read."""
        outcomes = next(p for p in self.partitions if p.tp.topic == "outcomes")
        outcomes.tell(*read_back(told.made.value))
        self.counts.told += 1

    def dismiss(self, duty: Duty) -> None:
        duty.thread.cancel()
        self.duties.remove(duty)

    def rightful(self, partition: Partition) -> Duty | None:
        return next((d for d in self.duties if d.partition is partition and d.until is None), None)

    def staff(self) -> None:
        """Sees to it that each partition has a rightful owner, and that nobody outstays the time given."""
        for duty in list(self.duties):
            if duty not in self.duties:
                continue  # dismissed by the operator meanwhile
            if duty.thread.done:
                self._ended(duty)
            elif duty.until is not None and self.now >= duty.until:
                self.dismiss(duty)
        for partition in self.partitions:
            if self.rightful(partition) is None and not self.operator.threads:
                awake = [p for p in self.processes if p.paused_until <= self.now]
                if awake:
                    self.employ(partition, self.rng.choice(awake))
        self.operator.threads = [thread for thread in self.operator.threads if not thread.done]

    def _ended(self, duty: Duty) -> None:
        self.duties.remove(duty)
        error = duty.thread.error
        if isinstance(error, Stop) and duty.until is None and duty.partition in self.partitions:
            self.counts.stops += 1
            self._operate(duty.partition, str(error))

    def _operate(self, partition: Partition, remedy: str) -> None:
        """The person on duty: stops the workers of the partition and runs the command that the message names."""
        for duty in [d for d in self.duties if d.partition is partition or d.partition.tp.topic == partition.tp.topic]:
            self.dismiss(duty)
        if "state rebase" in remedy:
            self.operator.start(self._persist(lambda: self._rebase(partition)))
        elif "state rebuild" in remedy:
            self.counts.rebuilds += 1
            self.operator.start(self._persist(lambda: self._rebuild(partition)))
        else:
            raise AssertionError(f"a stop without a remedy: {remedy}")

    async def _persist(self, command: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Runs a command again until it is through."""
        for _ in range(200):
            try:
                await command()
                return
            except (StoreDown, SinkDown, Stop):
                await self.sleep(0.01)
        raise NoProgressError("the operator gave up")

    async def _rebase(self, partition: Partition) -> None:
        link = StoreLink(self.store, self.weather, lambda: self.now)
        await rebase(partition.tp, link, partition.start, self.limits)

    async def _rebuild(self, partition: Partition) -> None:
        published = self.published[partition.tp]
        upto = published.rows[-1].first - 1 if published.rows else -1
        if self.exactly_once:
            upto = (published.committed or 0) - 1
        link = StoreLink(self.store, self.weather, lambda: self.now)
        source = SourceLink(partition, self.rng, self.most)
        work: Work[Record, Any, list[Output]] = SimWork(partition, self.store.shards, self.rng)
        await Rebuild(partition.tp, link, source, work, self.limits, self.config, self.token()).run(upto)

    # ---- the schedule

    def move(self) -> None:
        """One step of one thread."""
        self.now += 1
        self.counts.steps += 1
        self.weather.arrive(self.now)
        ready = [
            thread
            for process in (*self.processes, self.operator, self.compactor)
            if process.paused_until <= self.now
            for thread in process.threads
            if thread.ready
        ]
        if ready:
            self.rng.choice(ready).step()
        if self.now % 16 == 0:
            for process in self.processes:
                process.threads = [thread for thread in process.threads if not thread.done]

    def faults(self, steps: int) -> None:
        """The hostile part."""
        rng = self.rng
        self.weather.store, self.weather.sink = rng.choice((0.0, 0.003, 0.02)), rng.choice((0.0, 0.003, 0.02))
        hostility = rng.choice((0.01, 0.04, 0.1))
        for _ in range(steps):
            self.staff()
            if rng.random() < hostility:
                rng.choice(self._mischief())()
            self.move()
        self.weather.clear()

    def _mischief(self) -> list[Callable[[], None]]:
        twice = [self.crash, self.pause, self.grow, self.snapshot]
        once = [self.second_owner, self.hand_over, self.reconfigure, self.outage, self.pause]
        return [*twice, *twice, *once, *([self.roll_back] * 2 if self.rolls_back else [])]

    def crash(self) -> None:
        process = self.rng.choice(self.processes)
        self.counts.crashes += 1
        process.kill()
        process.paused_until = self.now + self.rng.choice((0, 5, 60))
        self.duties = [duty for duty in self.duties if duty.process is not process]

    def pause(self) -> None:
        """A process stands still; usually its partitions are given away meanwhile, and it wakes without knowing."""
        process = self.rng.choice(self.processes)
        process.paused_until = max(process.paused_until, self.now + self.rng.choice((3, 40, 150, 400)))
        if self.rng.random() < 0.7:
            self._replace([duty for duty in self.duties if duty.process is process], process.paused_until)

    def second_owner(self) -> None:
        """A partition is given to another process while its owner works on."""
        owners = [duty for duty in self.duties if duty.until is None]
        if owners:
            self._replace([self.rng.choice(owners)], self.now)

    def _replace(self, duties: list[Duty], since: int) -> None:
        for duty in duties:
            if duty.until is None:
                self.counts.zombies += 1
                duty.until = since + self.rng.choice((1, 20, 100, 300))

    def hand_over(self) -> None:
        """A clean rebalance: the old owner is gone before the new one comes."""
        if self.duties:
            self.dismiss(self.rng.choice(self.duties))

    def grow(self) -> None:
        self.rng.choice([p for p in self.partitions if p.tp.topic != "outcomes"]).grow(
            self.rng, self.ids, self.rng.randint(1, 8)
        )

    def reconfigure(self) -> None:
        self.config = f"c{self.rng.randint(0, 9)}"

    def outage(self) -> None:
        self.weather.store_down_until = self.now + self.rng.choice((3, 30))

    def snapshot(self) -> None:
        self.snapshots.append(self.store.snapshot())
        del self.snapshots[1:-8]

    def roll_back(self) -> None:
        """A shard, some or all come back as they once were; each alone or all at one moment."""
        self.counts.rollbacks += 1
        self.rolled_back = True
        snapshots = self.snapshots if self.rng.random() < 0.15 else (self.snapshots[1:] or self.snapshots)
        shards = range(self.store.shards)
        some = list(shards) if self.rng.random() < 0.4 else self.rng.sample(shards, self.rng.randint(1, len(shards)))
        moment = self.rng.choice(snapshots)
        for shard in some:
            self.store.restore(moment if self.rng.random() < 0.6 else self.rng.choice(snapshots), [shard])
        for duty in self.duties:
            duty.saw_rollback, duty.held = True, duty.driver.place
        for partition in self.partitions:
            self._note_owners(partition)

    def _note_owners(self, partition: Partition) -> None:
        """Two live owners, one with a range in hand since before a rollback: the hole in P2 that the docs admit."""
        owners = [duty for duty in self.duties if duty.partition is partition]
        if len(owners) > 1 and any(duty.spans_rollback for duty in owners):
            self.two_owners.add(partition.tp)

    async def _compact_for_ever(self) -> None:
        """Compacts any bag at any moment, from a reading that may be old by then, as far as the store lets it."""
        while True:
            for _ in range(self.rng.randint(1, 30)):
                await STEP
            bags = sorted(self.store.bags()) if self.meets else KEYS
            key = self.rng.choice(bags or KEYS)
            shard = shard_of(key, self.store.shards)
            ((bag,),) = instant(self.store.read([ShardCall(shard, [key], [b""], [0])]))
            squeezed = squeezed_of(key, bag or b"", 2**63, self.rng)
            for _ in range(self.rng.randint(0, 60)):
                await STEP
            if squeezed is not None:
                self.store.swap_one(Swap(shard, key, *squeezed))

    # ---- calm

    def drain(self) -> None:
        """No more faults: everything must come to rest."""
        for process in self.processes:
            process.paused_until = 0
        for duty in self.duties:
            if duty.until is not None:
                duty.until = self.now + self.rng.choice((1, 100))
        for step in range(DRAIN_STEPS):
            self.staff()
            self.move()
            if step % 64 == 0 and self.at_rest():
                return
        raise NoProgressError(f"P7: after {DRAIN_STEPS} calm steps: {[self._standing(p) for p in self.partitions]}")

    def at_rest(self) -> bool:
        if self.operator.threads or any(duty.until is not None for duty in self.duties):
            return False
        return all(self._rests(partition) for partition in self.partitions)

    def _rests(self, partition: Partition) -> bool:
        if not partition.records:
            return True
        positions, open_ = self._standing(partition)
        return not open_ and set(positions) == {partition.end} and not self._waits(partition)

    def _waits(self, partition: Partition) -> bool:
        """Whether some shard was caught up and not been looked at since, where flows meet."""
        looks = partition.joins and self.mutation.safety.again
        return looks and any(one is not None and one.again for one in instant(self.store.where(partition.tp)))

    def _standing(self, partition: Partition) -> tuple[list[int], bool]:
        home = self.store.home(partition.tp)
        if home is None or home.topic_id != partition.tp.topic_id:
            return [], True
        held = instant(self.store.where(partition.tp))
        positions = [h.position if h is not None and h.topic_id == partition.tp.topic_id else -1 for h in held]
        return [home.position, *positions], home.open is not None

    def end(self) -> None:
        for process in (*self.processes, self.operator, self.compactor):
            process.kill()
        self.counts.late = self.weather.late

    def remake(self) -> None:
        """Topics are deleted and made anew: other ids, other offsets, some of the old events again. The state stays."""
        self.counts.remade += 1
        topic = self.rng.choice(("orders", "clicks"))
        for duty in list(self.duties):
            if duty.partition.tp.topic == topic and self.rng.random() < 0.5:
                self.dismiss(duty)
        for index, old in enumerate(self.partitions):
            if old.tp.topic != topic:
                continue
            left, clock_s = old.left_behind()
            tp = Tp(topic, old.tp.partition, f"{topic}-b")
            start = self.rng.choice((0, 3, old.end + 5))
            new = Partition(tp, old.number + 100, old.scored, self.limits, [], start, left, clock_s, old.meets)
            new.grow(self.rng, self.ids, self.rng.randint(0, 6))
            self.past.append(old)
            self.partitions[index] = new
            self.published[tp] = Published()
        for duty in self.duties:
            if duty.partition in self.past:
                duty.until = self.now + self.rng.choice((1, 100))
        self.snapshots = [self.store.snapshot()] * 2


def build(rng: random.Random, mutation: Mutation, shards: int | None = None) -> World:
    """A world of this seed's choosing, but for the shards where they are given."""
    remakes, meets = rng.random() < 0.25, rng.random() < 0.4
    limits = Limits(
        dedup_offsets=100_000 if meets else rng.choice((6, 15, 1000)),  # what is told twice is dropped by its id alone
        dedup_s=10_000_000 if meets else rng.choice((8, 60, 10_000)),
        late_ms=10_000_000,
        future_ms=5_000_000,
        verdict_offsets=10_000 if remakes else rng.choice((12, 10_000, 10_000)),
    )
    world = World(rng, mutation, limits, remakes=remakes, meets=meets, shards=shards)
    for partition in world.partitions:
        if partition.tp.topic != "outcomes":
            partition.grow(rng, world.ids, rng.randint(5, 20))
    return world


def live(world: World) -> World:
    """Faults, calm, and for some worlds a topic made anew and the same again."""
    try:
        world.faults(world.rng.choice((200, 500, 900)))
        world.drain()
        if world.remakes:
            world.remake()
            world.faults(world.rng.choice((100, 400)))
            world.drain()
    finally:
        world.end()
    return world
