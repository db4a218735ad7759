"""The bench of keys: a store of many towns is one town many times over, and only its number of keys differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from bench.keys import (
    JOBS,
    Bag,
    at_work,
    bags_of,
    compared,
    measured,
    moved,
    of_all,
    of_town,
    opened,
    parts,
    row,
    settle,
)
from features.shop import shop_definitions

SMALL = replace(JOBS["shop"], users=40, lap=40, most=20)
SHOP = shop_definitions()
OF_USERS = ("user", "card", "device", "ip", "subnet", "merchant", "habits", "product", "category", "visitor")
ENTRY = (1).to_bytes(8, "big") + bytes(32)
COME_NEW = 2  # keys an order: its own and its session's


async def town() -> list[Bag]:
    made = of_town(SMALL)
    async with opened(SHOP) as (store, settings, _), at_work(SMALL, SHOP, store, settings, made) as (until, _):
        await until(made[-1].timestamp)
        return await bags_of(store)


def entities(bags: Sequence[Bag], group: str) -> set[str]:
    return {bag.entity for bag in bags if bag.group == group}


@pytest.mark.timeout(60)
async def test_a_store_of_more_keys_is_measured_beside_a_small_one() -> None:
    laps = 2
    small, large = await measured(SMALL, SHOP, (1, 10_000), laps)
    new = COME_NEW * SMALL.lap * (laps + 1)
    assert large["keys"] - new == pytest.approx(10_000, rel=0.2)
    assert small["keys"] - new == pytest.approx(3_400, rel=0.2)
    assert small["against_first"] == 1
    assert min(small["worker_us"], small["store_us"], large["worker_us"], large["store_us"]) > 0


@pytest.mark.timeout(60)
async def test_who_comes_of_whatever_town_finds_a_bag() -> None:
    towns, bags = 3, await town()
    orders = of_all(SMALL, towns, SMALL.users * towns, of_town(SMALL))
    async with opened(SHOP) as (store, settings, _):
        await settle(store, SHOP, bags, towns)
        async with at_work(SMALL, SHOP, store, settings, orders) as (until, _):
            await until(orders[-1].timestamp)
            found = await bags_of(store)
    for group in OF_USERS:
        own = entities(bags, group)
        assert len(own) == SMALL.users
        assert entities(found, group) == {moved(entity, to) for entity in own for to in range(towns)}
    assert len(entities(found, "order")) == len(entities(bags, "order")) * towns + len(orders)


async def test_a_bag_is_written_with_the_room_that_appending_leaves_behind_it() -> None:
    user = SHOP.groups[0]
    compacted, raw = next(bag.content for bag in await town() if bag.group == "user"), b"".join([ENTRY] * 3)
    assert b"".join(parts(compacted, user)) == compacted
    assert [len(part) for part in parts(raw, user)] == [40, 40, 40]
    assert parts(ENTRY, user) == [ENTRY]
    assert parts(b"an order's", None) == [b"an order's"]


@pytest.mark.parametrize("towns", [1, 3])
def test_nobody_comes_twice_before_everybody_has_come(towns: int) -> None:
    everybody = SMALL.users * towns
    keys = [one.key for one in of_all(SMALL, towns, 2 * everybody + 5, of_town(SMALL))]
    assert len({*keys[:everybody]}) == everybody
    assert keys[everybody:] == keys[: everybody + 5]


def sized(*totals: float) -> list[dict[str, Any]]:
    """A row for each size, of one lap that cost so much in all."""
    return [row(10, 1, 1, [(one, 0.0)], [[(totals[0], 0.0)]]) for one in totals]


@pytest.mark.parametrize("totals", [(10.0, 11.4), (10.0, 9.0, 10.3)])
def test_it_holds_while_sizes_cost_much_the_same(totals: Sequence[float]) -> None:
    assert compared({"reference": sized(*totals)})["holds"] is True


@pytest.mark.parametrize("totals", [(10.0, 11.6), (10.0, 12.0, 10.0), (10.0, 8.0)])
def test_it_does_not_hold_where_one_size_costs_more(totals: Sequence[float]) -> None:
    found = compared({"reference": sized(10.0, 10.1), "shop": sized(*totals)})
    assert found["holds"] is False
    assert found["off"]["shop"] > 0.15 > found["off"]["reference"]


def test_what_else_the_machine_does_meets_all_sizes_of_a_round() -> None:
    rounds = [[(10.0, 0.0), (10.0, 0.0)], [(30.0, 0.0), (30.0, 0.0)], [(20.0, 0.0), (22.0, 0.0)]]
    assert row(10, 1, 1, [one[1] for one in rounds], rounds)["against_first"] == 1
