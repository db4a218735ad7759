"""`headrace features backfill`: a group that is new is there as if it had always been."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import pytest

from features.definitions import load
from features.shop import shop_definitions
from streams.space import open_store
from streams.stores import keys, wire
from tests.support.archive import all_archived, start_archive
from tests.support.events import event, orders
from tests.support.worker import Stream

DEFINITIONS = """
from dataclasses import replace

from features.feature import Count, Distinct, Feature, Sum
from features.group import Group
from features.shop import shop_definitions
from features.window import WINDOW_24H

READS = Count(), Sum(), Distinct("ip")
PAIRS = Group("pair", 20, "card_device", tuple(Feature(read, WINDOW_24H) for read in READS))
shop = shop_definitions()
flows = tuple(replace(flow, groups=(*flow.groups, PAIRS)) if flow.topic == "orders" else flow for flow in shop.flows)
definitions = replace(shop, flows=flows)
"""
HOLDS, COULD_NOT_RUN = 0, 2


async def space(stream: Stream, shards: Iterable[int], **constants: str) -> None:
    """Tells some shards other constants, as a run does that dies between two of them."""
    store = open_store(stream.settings(), shop_definitions())
    words = [word for pair in constants.items() for word in pair]
    try:
        await store.nodes.trip([(n, wire.command("HSET", keys.space_key(n), *words)) for n in shards])
    finally:
        await store.close()


async def test_a_new_group_has_the_bags_that_it_would_have_had(embedded_stream: Stream, tmp_path: Path) -> None:
    stream, url = embedded_stream, tmp_path / "archive"
    newer = tmp_path / "newer.py"
    newer.write_text(DEFINITIONS)
    worker = stream.worker(RANGE_RECORDS="40")
    await stream.working(worker)
    await stream.send(*orders(200), *orders(20), event("labels", "chargeback", "cb", "u5", order_id="o-n5"))
    await stream.settled(sent=221)
    backfill = ("features", "backfill", "pair")
    stream.environment["ARCHIVE__URL"] = str(url)
    told = partial(stream.command, within_s=60.0, FEATURES=str(newer))
    url.mkdir()
    assert worker.terminate() == 0
    before = await stream.dump()

    code, _, errors = await told(*backfill)
    assert code == COULD_NOT_RUN
    assert "let `headrace archive` catch up" in errors
    refused = stream.worker(FEATURES=str(newer))
    assert await refused.ended() == COULD_NOT_RUN
    assert "the state space was made with layout" in refused.said

    archive = start_archive(stream, url)
    await all_archived(stream, url, archive)
    assert archive.terminate() == 0
    assert await stream.dump() == before, "nothing has changed so far"
    code, output, errors = await told(*backfill)
    assert code == HOLDS, errors
    assert "20 bags of pair from 200 events" in output
    code, filled, errors = await told("state", "dump")
    assert code == HOLDS, errors
    code, _, errors = await told(*backfill)
    assert code == HOLDS
    assert "pair: in the state space already" in errors

    pair = load(newer).contents["pair"]
    await space(stream, range(0, 16, 2), switch=f"new:pair={pair}", layout=shop_definitions().layout)
    refused = stream.worker(FEATURES=str(newer))
    assert await refused.ended() == COULD_NOT_RUN, "a run that was cut short leaves no worker a space of two minds"
    assert "a backfill was cut short while it put groups in place" in refused.said
    code, output, errors = await told(*backfill)
    assert code == HOLDS, errors
    assert "this one goes on with that" in errors
    assert (await told("state", "dump"))[1] == filled

    code, _, errors = await told("state", "rebuild", "--from-scratch")
    assert code == HOLDS, errors
    worker = stream.worker(FEATURES=str(newer))
    await stream.working(worker)
    await stream.settled(sent=221)
    assert worker.terminate() == 0
    code, made, errors = await told("state", "dump")
    assert made == filled


CHANGED = """
from dataclasses import replace

from features.shop import shop_definitions
from features.window import DAY_MS, WINDOW_30D, Window

LONGER = Window("30d", DAY_MS, 45)

def longer(group):
    if group.name == "card":  # the same bytes, asked for further back
        of = [replace(one, over=LONGER) if one.over == WINDOW_30D else one for one in group.features]
        return replace(group, features=tuple(of))
    if group.name == "user":
        return replace(group, layout=21, keep=group.keep + 4)
    return group

shop = shop_definitions()
flows = tuple(replace(flow, groups=tuple(map(longer, flow.groups))) for flow in shop.flows)
vector = replace(shop.vector, groups=tuple(map(longer, shop.vector.groups)))
session = replace(shop.session, groups=tuple(map(longer, shop.session.groups)))
definitions = replace(shop, flows=flows, vector=vector, session=session)
"""


@pytest.mark.slow
async def test_a_changed_group_is_filled_beside_workers_that_run_and_put_in_place_when_they_have_stopped(
    embedded_stream: Stream, tmp_path: Path
) -> None:
    stream, url = embedded_stream, tmp_path / "archive"
    changed = tmp_path / "changed.py"
    changed.write_text(CHANGED)
    stream.environment["ARCHIVE__URL"] = str(url)
    told = partial(stream.command, within_s=90.0, FEATURES=str(changed))
    url.mkdir()
    worker, archive = stream.worker(RANGE_RECORDS="40"), start_archive(stream, url)
    await stream.working(worker)
    await stream.send(*orders(200))
    await stream.settled(sent=200)

    code, _, errors = await told("features", "backfill", "card", "user")
    assert code == COULD_NOT_RUN, "a worker is alive"
    refused = stream.worker(FEATURES=str(changed))
    assert await refused.ended() == COULD_NOT_RUN
    assert "`headrace features backfill" in refused.said
    code, _, errors = await told("features", "backfill", "card", "--beside")
    assert code == COULD_NOT_RUN
    assert "card is not all that is new or changed: user differs too" in errors

    beside = asyncio.create_task(told("features", "backfill", "card", "user", "--beside", "--json"))
    await asyncio.sleep(6.0)
    assert not beside.done()
    await stream.send(*orders(200, name="later"))
    await stream.settled(sent=400)
    assert worker.terminate() == 0
    code, output, errors = await beside
    assert code == HOLDS, errors
    assert "workers are alive" in errors
    skews = {one["group"]: one for one in json.loads(output)["skews"]}
    assert skews["card"]["events"] >= 400
    assert all(feature["kept"] == 0 for one in skews.values() for feature in one["features"])
    code, filled, errors = await told("state", "dump")
    assert code == HOLDS, errors
    assert archive.terminate() == 0

    refused = stream.worker()
    assert await refused.ended() == COULD_NOT_RUN, "the old definitions would misread what is there"
    code, _, errors = await told("state", "rebuild", "--from-scratch")
    assert code == HOLDS, errors
    worker = stream.worker(FEATURES=str(changed))
    await stream.working(worker)
    await stream.settled(sent=400)
    assert worker.terminate() == 0
    assert (await told("state", "dump"))[1] == filled
