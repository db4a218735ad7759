"""Bags that are filled beside those in use: unseen until they are put in place, which may be cut short anywhere."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from features.compact import canonical
from features.entry import own_of, stamped
from features.payload import payloads
from streams.protocol.ports import Stop
from streams.stores import admin, dump, keys, prepare, wire
from streams.stores.beside import Beside
from streams.stores.nodes import Access
from streams.stores.valkey import ValkeyStore
from tests.contract.stores import LIMITS, SHARDS, TTL_MS
from tests.support.past import WHERE, WHO, Event, columns

CONTENTS = {"who": "new-who"}
AFTER = {prepare.LAYOUT: "l2", prepare.GROUP + "who": "new-who"}
PEOPLE = [f"user {n}" for n in range(40)]
LIFE_MS = 3_600_000


class CutShortError(Exception):
    """It was killed."""


class Mortal(ValkeyStore):
    """Dies at its n-th round trip; -1: never."""

    left = -1

    async def trip(self, name: str, calls: Sequence[tuple[int, bytes]]) -> Sequence[Any]:
        if self.left == 0:
            raise CutShortError
        self.left -= 1
        return await super().trip(name, calls)


@pytest.fixture
async def store(url: str) -> AsyncIterator[Mortal]:
    store = Mortal(Access(url), SHARDS, limits=LIMITS, ttl_ms=TTL_MS)
    async with store:
        yield store


def beside(store: ValkeyStore) -> Beside:
    return Beside(store, CONTENTS, {"who": LIFE_MS})


def entries(at: int, number: int) -> Mapping[str, bytes]:
    """One event of everybody."""
    events = [Event(name, "here", at) for name in PEOPLE]
    entities, own = own_of(WHO, columns(events, np.full(len(events), at)))
    new = payloads(WHO, own, len(entities))
    return dict(zip(entities, [stamped(one, number.to_bytes(8, "big")) for one in new], strict=True))


async def in_use(store: ValkeyStore) -> dict[tuple[str, str], bytes]:
    return {(one.group, one.entity): one.content async for one in dump.bags(store)}


async def worked_before(store: ValkeyStore) -> None:
    """Bags of the old definitions: of people who are still there, of one who is not, and of another group."""
    old = [("who", "user 1"), ("who", "gone"), ("where", "here")]
    where = [keys.bag_key(*name, SHARDS) for name in old]
    await store.trip("test", [(shard, wire.command("SET", key, b"old")) for shard, key in where])


async def test_what_is_filled_beside_is_no_bag_until_it_is_put_in_place(store: Mortal) -> None:
    await worked_before(store)
    before = await in_use(store)
    aside = beside(store)
    await aside.add(WHO, entries(1_000, 7))
    await aside.add(WHO, entries(2_000, 8))
    assert await in_use(store) == before
    assert await aside.put_in_place(AFTER) == len(PEOPLE)
    after = await in_use(store)
    assert after.keys() == {("who", name) for name in PEOPLE} | {("where", "here")}
    assert canonical(WHO, after["who", "user 1"])["newest"] == 2_000
    assert after["where", "here"] == b"old"


async def test_they_live_as_long_as_a_worker_would_let_them(store: Mortal) -> None:
    aside = beside(store)
    await aside.add(WHO, entries(1_000, 7))
    await aside.put_in_place(AFTER)
    shard, key = keys.bag_key("who", "user 1", SHARDS)
    (left,) = await store.trip("test", [(shard, wire.command("PTTL", key))])
    assert LIFE_MS - 60_000 < left <= LIFE_MS


async def test_cut_short_anywhere_it_is_run_again_and_ends_the_same(store: Mortal) -> None:
    found = []
    for life in range(1, 1_000):
        store.left = -1
        await admin.wipe(store)
        await worked_before(store)
        aside = beside(store)
        await aside.add(WHO, entries(1_000, 7))
        store.left, died = life, False
        try:
            await aside.put_in_place(AFTER)
        except CutShortError:
            died = True
        store.left = -1
        if died:
            assert await beside(store).switching()
            await beside(store).put_in_place(AFTER)
        found.append(await in_use(store))
        assert not await beside(store).switching()
        known = await prepare.known_of(store.nodes, SHARDS - 1)
        assert known.items() >= AFTER.items()
        if not died:
            break
    assert len(found) > 5
    assert all(one == found[-1] for one in found)


async def test_no_worker_starts_while_groups_are_put_in_place(store: Mortal, url: str) -> None:
    await beside(store).announce()
    worker = ValkeyStore(
        Access(url), SHARDS, limits=LIMITS, constants={prepare.SWITCH: prepare.SWITCHED}, ttl_ms=TTL_MS
    )
    with pytest.raises(Stop, match="a backfill was cut short while it put groups in place"):
        await worker.prepare()
    assert not await beside(store).switching(), "nothing was changed yet: whoever comes begins anew"
    await beside(store).withdraw()
    await worker.prepare()
    await worker.close()


async def test_other_groups_than_those_of_the_run_that_was_cut_short_are_refused(store: Mortal) -> None:
    await beside(store).add(WHO, entries(1_000, 7))
    store.left = 2
    with pytest.raises(CutShortError):
        await beside(store).put_in_place(AFTER)
    store.left = -1
    other = Beside(store, {"who": "something else"}, {"who": LIFE_MS})
    with pytest.raises(Stop, match="put other groups in place"):
        await other.switching()


async def test_what_an_earlier_run_left_is_forgotten(store: Mortal) -> None:
    aside = beside(store)
    await aside.add(WHO, entries(1_000, 7))
    await aside.clear()
    assert await aside.put_in_place(AFTER) == 0


async def test_a_group_that_is_new_to_a_space_is_not_said_to_be_in_it_by_who_is_refused(
    store: Mortal, url: str
) -> None:
    old = {prepare.LAYOUT: "l1", prepare.GROUP + "where": "w"}
    new = {prepare.LAYOUT: "l2", prepare.GROUP + "where": "w", prepare.GROUP + "who": "n"}
    for constants, refusal in [(old, ""), (new, "headrace features backfill who")]:
        worker = ValkeyStore(Access(url), SHARDS, limits=LIMITS, constants=constants, ttl_ms=TTL_MS)
        if refusal:
            with pytest.raises(Stop, match=refusal):
                await worker.prepare()
        else:
            await worker.prepare()
        await worker.close()
    assert prepare.GROUP + "who" not in await prepare.known_of(store.nodes, 0)


async def test_a_group_whose_bags_hold_something_else_is_refused_by_its_name(url: str) -> None:
    for held, refusal in [("w", ""), ("x", r"group:where w \(here x\).*headrace features backfill where")]:
        constants = {prepare.LAYOUT: "l1", prepare.GROUP + WHERE.name: held}
        worker = ValkeyStore(Access(url), SHARDS, limits=LIMITS, constants=constants, ttl_ms=TTL_MS)
        if refusal:
            with pytest.raises(Stop, match=refusal):
                await worker.prepare()
        else:
            await worker.prepare()
        await worker.close()
