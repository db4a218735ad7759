"""The watchdog: a worker that does nothing although it could is ended, any other is spared."""

from dataclasses import dataclass, field

import pytest
from faust.types import TP

from streams.protocol.ports import SinkDown, StoreDown
from streams.transport.consumer import Standing
from streams.transport.watchdog import StalledError, Watchdog, kept_in_mind

ORDERS = TP("orders", 0)


@dataclass
class World:
    now: float = 0.0
    assigned: bool = True
    broker: bool = True
    store: bool = True
    at: dict[TP, Standing] = field(default_factory=lambda: {ORDERS: Standing(10, 10, 0)})
    finished: dict[TP, int] = field(default_factory=dict)
    told: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dog = Watchdog(
            self,
            self.standings,
            self.answers,
            stall_s=16.0,
            excused=lambda: not self.store,
            clock=lambda: self.now,
            tell=self.told.append,
        )

    def places(self) -> dict[TP, int]:
        return self.finished

    async def standings(self) -> dict[TP, Standing]:
        return dict(self.at)

    async def answers(self) -> None:
        if not self.broker:
            raise SinkDown("away")

    async def after(self, seconds: float) -> None:
        """Looks once a second for so long."""
        for _ in range(int(seconds)):
            self.now += 1
            await self.dog.look()


async def test_records_that_nobody_takes_are_a_stall() -> None:
    world = World(at={ORDERS: Standing(10, 20, 0)})
    with pytest.raises(StalledError, match="orders/0 has not moved"):
        await world.after(18)


async def test_how_long_nothing_has_moved_is_told_before_the_end_and_is_nothing_while_the_broker_is_away() -> None:
    world = World(at={ORDERS: Standing(10, 20, 0)})
    await world.after(10)
    assert world.told[-1] == 9
    world.broker = False
    await world.after(1)
    assert world.told[-1] == 0


async def test_records_in_hand_that_are_never_finished_are_a_stall() -> None:
    world = World(at={ORDERS: Standing(20, 20, 10)}, finished={ORDERS: 10})
    with pytest.raises(StalledError, match="10 records in hand"):
        await world.after(18)


async def test_an_idle_worker_is_spared() -> None:
    await World().after(100)


async def test_progress_of_either_kind_is_progress() -> None:
    world = World(at={ORDERS: Standing(10, 99, 5)})
    for step in range(20):
        await world.after(10)
        world.at[ORDERS] = Standing(11 + step, 99, 5)
        await world.after(10)
        world.finished[ORDERS] = step


async def test_one_partition_that_stands_still_is_seen_behind_one_that_moves() -> None:
    world = World(at={ORDERS: Standing(10, 20, 0)})
    world.at[TP("cart", 1)] = Standing(0, 99, 0)
    await world.after(15)
    world.at[TP("cart", 1)] = Standing(1, 99, 0)
    with pytest.raises(StalledError, match="orders/0"):
        await world.after(3)


async def test_while_the_broker_is_away_nobody_is_ended_and_its_return_gives_a_full_term() -> None:
    world = World(at={ORDERS: Standing(10, 20, 0)}, broker=False)
    await world.after(100)
    world.broker = True
    await world.after(15)
    with pytest.raises(StalledError):
        await world.after(5)


async def test_a_process_that_was_stopped_itself_has_a_full_term_when_it_goes_on() -> None:
    world = World(at={ORDERS: Standing(20, 20, 10)}, finished={ORDERS: 10})
    await world.after(2)
    world.now += 18  # SIGSTOP, SIGCONT
    await world.after(16)
    with pytest.raises(StalledError, match="10 records in hand"):
        await world.after(2)


async def test_while_the_store_is_known_to_be_down_nobody_is_ended() -> None:
    world = World(at={ORDERS: Standing(20, 20, 10)}, store=False)
    await world.after(100)


async def test_a_worker_that_the_group_never_answers_is_ended() -> None:
    world = World(assigned=False)
    await world.after(30)
    with pytest.raises(StalledError, match="--slot"):
        await world.after(2)


async def test_a_partition_that_left_is_forgotten() -> None:
    world = World(at={ORDERS: Standing(10, 20, 0)})
    await world.after(10)
    world.at.clear()
    await world.after(10)
    world.at[ORDERS] = Standing(10, 20, 0)
    await world.after(10)


@pytest.mark.parametrize("store", ["well", "away"])
async def test_an_exit_is_kept_in_mind_where_the_store_answers_and_takes_place_where_it_does_not(store: str) -> None:
    world, kept = World(at={ORDERS: Standing(10, 20, 0)}), list[tuple[str, str]]()
    world.dog.look_every_s, world.dog.stall_s = 0.001, -1.0

    async def add(_: int, worker: str, what: str) -> None:
        if store == "away":
            raise StoreDown("away")
        kept.append((worker, what))

    with pytest.raises(StalledError) as ended:
        await kept_in_mind(world.dog, add, "worker-1")
    assert kept == ([("worker-1", str(ended.value))] if store == "well" else [])
