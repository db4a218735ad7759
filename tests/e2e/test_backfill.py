"""`headrace features backfill`: a group that is new is there as if it had always been."""

from __future__ import annotations

from functools import partial
from pathlib import Path

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


async def half_done(stream: Stream) -> None:
    """As if it had died while it told the shards, one after the other."""
    store = open_store(stream.settings(), shop_definitions())
    try:
        some = [
            (n, wire.command("HSET", keys.space_key(n), "layout", shop_definitions().layout)) for n in range(0, 16, 2)
        ]
        await store.nodes.trip(some)
    finally:
        await store.close()


async def test_a_new_group_has_the_bags_that_it_would_have_had(embedded_stream: Stream, tmp_path: Path) -> None:
    stream, url = embedded_stream, tmp_path / "archive"
    newer = tmp_path / "newer.py"
    newer.write_text(DEFINITIONS)
    worker = stream.worker(RANGE_RECORDS="40")
    await stream.working(worker)
    await stream.send(*orders(200), event("labels", "chargeback", "cb", "u5", order_id="o-n5"))
    await stream.settled(sent=201)
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
    assert "is in the state space already" in errors

    await half_done(stream)
    refused = stream.worker(FEATURES=str(newer))
    assert await refused.ended() == COULD_NOT_RUN, "a run that was cut short leaves no worker a space of two minds"
    code, output, errors = await told(*backfill)
    assert (code, output) == (HOLDS, "20 bags of pair from 200 events\n"), errors
    assert (await told("state", "dump"))[1] == filled

    code, _, errors = await told("state", "rebuild", "--from-scratch")
    assert code == HOLDS, errors
    worker = stream.worker(FEATURES=str(newer))
    await stream.working(worker)
    await stream.settled(sent=201)
    assert worker.terminate() == 0
    code, made, errors = await told("state", "dump")
    assert made == filled
