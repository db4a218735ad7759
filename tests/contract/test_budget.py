"""The budget against a store that workers' code has filled: within 15 % for each group and in total."""

from __future__ import annotations

import asyncio

import pytest

from bench.budget import WITHIN, Shop, compared, run
from streams.stores import keys, wire
from streams.stores.sampling import Census, draw
from streams.stores.valkey import ValkeyStore
from tests.contract.stores import SHARDS

FEW_EVENTS = Shop(entities=1_000, orders=5_000, clicks=3_000, labels=50)
COMPACTED = Shop(entities=300, orders=9_000, clicks=1_000, labels=50)
SHORT_RANGES = Shop(entities=200, orders=6_000, clicks=700, labels=50, range_records=5)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("shop", [FEW_EVENTS, COMPACTED, SHORT_RANGES], ids=["few", "many", "short"])
def test_what_is_predicted_is_what_a_store_takes(shop: Shop) -> None:
    found = compared(*asyncio.run(run(shop)))
    off = {name: row["off"] for name, row in found["groups"].items() if row["keys"] > 100}
    assert len(off) == 12
    if shop is not FEW_EVENTS:  # its sessions have all their events in one range, which sends them folded
        del off["session"]
    assert {name: one for name, one in off.items() if abs(one) > WITHIN} == {}
    assert abs(found["total_off"]) < WITHIN


async def test_some_keys_tell_what_all_of_a_group_take(real: ValkeyStore) -> None:
    named = [keys.bag_key(group, f"{group}-{n}", SHARDS) for group in ("user", "card") for n in range(500)]
    sizes = {b"user": 400, b"card": 100}
    asked = [(shard, wire.command("SET", key, b"v" * sizes[key[key.index(b"}") + 1 :][:4]])) for shard, key in named]
    await real.trip("fill", asked)
    told = [await real.trip("size", [(shard, wire.command("MEMORY", "USAGE", key))]) for shard, key in named]
    users = sum(size for (size,) in told[:500])
    found = Census().look(await draw(real, 2_000))
    assert found["user"][0] == pytest.approx(500, rel=0.15)
    assert found["user"][1] == pytest.approx(users, rel=0.15)
