"""Rolling upgrade: version N reads what N-1 wrote, and a record newer than its reader is refused, never guessed at.

What N-1 wrote lies in tests/data/records-N.json, written by that version (tests/support/records.py) and kept for good.
Where N-1 has not been yet, the reader is told that its own version is one later: it must read today's records then as
well. The other way round, today's reader meets what a writer of the next version would leave behind.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis

import features.bag
import features.compact
import features.entry
from features.bag import BadBagError
from features.compact import canonical
from streams import configuration
from streams.configuration import BadConfigurationError, from_content
from streams.embedded.store import Store
from streams.protocol import judge
from streams.protocol.judge import decode_ids
from streams.protocol.ports import IdLog, Open, Standing, Stop, Unsaid
from streams.stores import admin, prepare
from streams.stores.valkey import ValkeyStore
from streams.transport.applied import decode_row, encode_row
from tests.contract.stores import ORDERS, SHARDS, applied, begin, call, entry, opened, stamped
from tests.support import records
from tests.unit.features.build import ENTRY_BYTES

FILES = sorted(records.FOLDER.glob("records-*.json"))
SHOWN = ("entries", "tiles", "tiles and entries", "parts")
READERS = ("today", "next")

Found = dict[str, Any]


@pytest.fixture(params=FILES, ids=[path.stem for path in FILES])
def found(request: pytest.FixtureRequest) -> Found:
    """The records of an earlier version, or of this one."""
    content: Found = json.loads(Path(request.param).read_text())
    return content


VERSIONED: tuple[Any, ...] = (features.entry, features.bag, judge, configuration)


@contextmanager
def next_version() -> Iterator[None]:
    """Within it this process is of the next version, as far as numbers go."""
    with pytest.MonkeyPatch.context() as patch:
        for module in VERSIONED:
            patch.setattr(module, "VERSION", module.VERSION + 1)
        yield


@pytest.fixture(params=READERS)
def reader(request: pytest.FixtureRequest) -> Iterator[str]:
    """Reads as this version, and as the next."""
    if request.param == "today":
        yield request.param
        return
    with next_version():
        yield request.param


def newer_than(version: int) -> str:
    """What every refusal says: both versions, and what to do."""
    return rf"version {version + 1}\b.* up to {version}\b.*upgrade this worker"


def test_this_version_writes_what_its_file_says(tmp_path: Path) -> None:
    """Where it does not, a format has changed: raise its version and add a file (python -m tests.support.records)."""
    kept = json.loads(records.path_of(records.versions()).read_text())
    assert kept["versions"] == records.versions()
    written = json.loads(json.dumps(records.without_store(tmp_path)))
    assert written == {name: kept[name] for name in written}


# ---------------------------------------------------------------- bags


@pytest.mark.parametrize("shown", SHOWN)
@pytest.mark.usefixtures("reader")
def test_a_bag_of_an_earlier_version_means_what_it_meant(found: Found, shown: str) -> None:
    kept = found["bags"][shown]
    assert canonical(records.GROUP, bytes.fromhex(kept["bytes"])) == kept["means"]


def test_entries_of_two_versions_in_one_bag_are_read_together(found: Found) -> None:
    """A worker of the new version appends to a bag that one of the old has begun."""
    old = bytes.fromhex(found["bags"]["tiles and entries"]["bytes"])
    alone = canonical(records.GROUP, old)
    with next_version():
        both = canonical(records.GROUP, old + records.bags()["entries"])
    counted = [sum(tile["count"] for tile in meaning["tiles"]) for meaning in (alone, both)]
    assert counted[1] == counted[0] + 10


@pytest.mark.parametrize("shown", SHOWN)
def test_a_bag_of_a_later_version_is_refused(shown: str) -> None:
    with next_version():
        newer = records.bags()[shown]
    with pytest.raises(BadBagError, match=newer_than(features.entry.VERSION)) as refused:
        canonical(records.GROUP, newer)
    assert "group 'kept'" in str(refused.value)


def test_one_entry_of_a_later_version_is_enough_to_refuse_a_bag() -> None:
    with next_version():
        newest = records.bags()["entries"][-ENTRY_BYTES:]
    with pytest.raises(BadBagError, match=newer_than(features.entry.VERSION)):
        canonical(records.GROUP, records.bags()["tiles"] + newest)


# ---------------------------------------------------------------- ids, rows, configurations


@pytest.mark.usefixtures("reader")
def test_an_id_log_of_an_earlier_version_is_read(found: Found) -> None:
    log = decode_ids([bytes.fromhex(found["ids"])])
    assert log["id"].tolist() == [offset * 2**40 + 1 for offset in range(5)]
    assert log["offset"].tolist() == list(range(5))


def test_an_id_log_of_a_later_version_is_refused() -> None:
    newer = bytes([judge.VERSION + 1]) + judge.HEADER[1:]
    with pytest.raises(Stop, match=newer_than(judge.VERSION)):
        decode_ids([newer])


def test_a_row_of_applied_of_an_earlier_version_is_read(found: Found) -> None:
    assert decode_row(found["applied"].encode()) == records.ROW


def test_a_row_of_applied_of_a_later_version_is_refused_whatever_else_it_holds() -> None:
    row = json.loads(encode_row(records.ROW))
    newer = json.dumps({"version": row["version"] + 1, "ranges": [row]}).encode()
    with pytest.raises(Stop, match=newer_than(row["version"])):
        decode_row(newer)


@pytest.mark.usefixtures("reader")
def test_a_configuration_of_an_earlier_version_decides_under_its_own_id(found: Found) -> None:
    kept = found["configuration"]
    read, lacking = from_content(kept["content"].encode(), records.definitions())
    assert not lacking
    assert read.id == kept["id"]
    assert [rule.name for rule in read.rules.rules] == ["many"]


def test_a_configuration_from_before_contents_had_versions_is_read(found: Found) -> None:
    kept = found["configuration"]
    content = {name: value for name, value in json.loads(kept["content"]).items() if name != "version"}
    assert from_content(msgspec.json.encode(content), records.definitions())[0].id == kept["id"]


def test_a_configuration_of_a_later_version_is_refused_whatever_else_it_holds() -> None:
    newer = json.dumps({"version": configuration.VERSION + 1, "rules": ["another", "shape"]}).encode()
    with pytest.raises(BadConfigurationError, match=newer_than(configuration.VERSION)):
        from_content(newer, records.definitions())


# ---------------------------------------------------------------- the store and its functions


def library(*, later: int = 0) -> str:
    """Our functions as those of a later version: of themselves, and of what they write."""
    _, source = prepare.library()
    return re.sub(r"(?m)^local (REVISION|FORMAT) = (\d+)", lambda at: f"local {at[1]} = {int(at[2]) + later}", source)


async def load(store: ValkeyStore, source: str) -> None:
    for node in await store.nodes.primaries():
        await store.nodes.ask(node, "FUNCTION", "LOAD", "REPLACE", source)


async def revision(store: ValkeyStore) -> int:
    (node,) = await store.nodes.primaries()
    return await prepare.revision_at(store.nodes, node)


@pytest.fixture
async def empty(valkey: Store) -> AsyncIterator[ValkeyStore]:
    """A store without any data, with today's functions; other tests find those again."""
    with redis.Redis.from_url(valkey.url) as server:
        server.flushall()
    async with records.store_at(valkey.url) as store:
        yield store
        await load(store, library())


@pytest.fixture
async def kept(empty: ValkeyStore, valkey: Store, found: Found) -> ValkeyStore:
    """A store as an earlier version has left it."""
    with redis.Redis.from_url(valkey.url) as server:
        server.flushall()
        records.put(server, found["store"])
    return empty


@pytest.mark.parametrize("functions", READERS)
async def test_a_store_of_an_earlier_version_goes_on_where_it_stood(kept: ValkeyStore, functions: str) -> None:
    if functions == "next":
        await load(kept, library(later=1))
    await kept.prepare()
    assert await kept.where(ORDERS) == [Standing("id-of-orders", 0, 10), *[None] * (SHARDS - 1)]
    assert (await kept.where(records.MADE_ANEW))[records.REBASED] == Standing(
        "id-made-anew", 100, 100, ("id-of-clicks", 5)
    )
    assert await kept.verdicts(ORDERS, 0, 4) == records.EXCEPTIONS
    assert await kept.ids(ORDERS) == IdLog(0, 10, records.CLOCK_S, [records.ids(0, 5), records.ids(5, 5)])
    assert await kept.get_config("c1") == records.CONTENT
    places = {(place.topic, place.shard, place.home): place.last_range for place in await admin.places(kept)}
    assert places["orders", 0, False] == (5, 9)


@pytest.mark.parametrize("functions", READERS)
async def test_a_range_that_an_earlier_version_left_open_is_finished(kept: ValkeyStore, functions: str) -> None:
    if functions == "next":
        await load(kept, library(later=1))
    reply = await begin(kept, None)
    assert isinstance(reply, Open)
    assert (reply.first, reply.last, reply.config, reply.mine) == (5, 9, "c1", False)
    again = await applied(kept, 5, 9, call(user_a=entry(3), user_b=b""), token=reply.token)
    bag = again.bags[0] or b""
    assert again.repeat
    assert bag[-ENTRY_BYTES:] == stamped(again.number, 3)
    await opened(kept, 10, 14)
    later = await applied(kept, 10, 14, call(user_a=entry(4)))
    assert later.number > again.number
    assert later.bags == [bag]


async def refused(store: ValkeyStore, what: str) -> None:
    """One of the calls that look at a partition's records."""
    match what:
        case "begin":
            await begin(store, None)
        case "apply":
            await applied(store, 15, 19, call(user_a=entry(5)))
        case "where":
            await store.where(ORDERS)
        case "ids":
            await store.ids(ORDERS)
        case "verdicts":
            assert not isinstance(await store.verdicts(ORDERS, 0, 4), Unsaid)
        case "places":
            await admin.places(store)


@pytest.mark.parametrize("what", ["begin", "apply", "where", "ids", "verdicts", "places"])
async def test_records_of_later_functions_are_refused_by_todays(empty: ValkeyStore, what: str) -> None:
    """As where a server is restored from before its functions were upgraded."""
    await load(empty, library(later=1))
    for first in (0, 5, 10):
        await opened(empty, first, first + 4)
        await applied(empty, first, first + 4, call(user_a=entry(first)))
    await load(empty, library())
    with pytest.raises(Stop, match=r"has format 2 and this worker reads up to 1: start a newer headrace"):
        await refused(empty, what)


async def test_functions_are_never_downgraded_and_an_older_worker_works_on_with_the_newer(empty: ValkeyStore) -> None:
    ours, _ = prepare.library()
    await load(empty, library(later=1))
    await empty.prepare()
    assert await revision(empty) == ours + 1
    for first in (0, 5):
        await opened(empty, first, first + 4, records.EXCEPTIONS, ids=records.ids(first, 3))
        await applied(empty, first, first + 4, call(user_a=entry(first)))
    assert (await empty.where(ORDERS))[0] == Standing("id-of-orders", 0, 10)
    assert (await empty.ids(ORDERS) or IdLog(0, 0, 0, [])).position == 10
    assert await revision(empty) == ours + 1


async def test_a_constant_that_only_the_newer_worker_knows_does_not_stop_the_older(
    empty: ValkeyStore, valkey: Store
) -> None:
    with redis.Redis.from_url(valkey.url) as server:
        for shard in range(SHARDS):
            server.hset(f"{{{shard}}}:space", "of_the_next_version", "1")
    await empty.prepare()
