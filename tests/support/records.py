"""Records as this version writes them, kept as a file that every later version must read: `tests/data/records-N.json`.

    python -m tests.support.records      writes today's file: another one as soon as the version of any kind was raised

One record of each kind that outlives the worker that wrote it: bags (entries, tiles, parts of tiles), what the store's
functions keep of partitions, the log of ids, rows of `applied`, a pinned configuration. Beside each is what it means.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import redis

import features.entry
from features.columns import Columns
from features.compact import canonical
from features.definitions import Definitions, Flow
from features.entry import Own
from features.feature import MONEY, RECENCY, Count, Feature, Measure, Measured, Sum, Usual, distinct, each
from features.group import Group
from features.logscale import place
from features.vector import Vector
from features.window import EVER, WINDOW_1H, WINDOW_7D, WINDOW_24H, WINDOWS
from schemas.decisions import APPLIED_VERSION
from schemas.decode import Decoded
from streams import configuration
from streams.configuration import from_files
from streams.embedded.processes import Children
from streams.protocol import judge
from streams.protocol.judge import ENTRY, encode_ids
from streams.protocol.places import home_shard
from streams.protocol.ports import Exceptions, Row, Standing, Tp, Verdict
from streams.stores.nodes import Access
from streams.stores.prepare import library
from streams.stores.valkey import ValkeyStore
from streams.transport.applied import encode_row
from tests.contract.stores import CLICKS, LIMITS, SHARDS, TTL_MS, applied, call, entry, opened
from tests.support.valkey import start_valkey
from tests.unit.features.build import compacted, stamped

FOLDER = Path(__file__).parents[1] / "data"
DAY_MS = 86_400_000
START_MS = 20_000 * DAY_MS
STAMP_US = 1_700_000_000_000_000

GROUP = Group(
    "kept",
    layout=3,
    entity="who",
    features=(
        *each(WINDOWS, *MONEY),
        *each((EVER,), Count(), Sum(), Measured(Measure("squares", lambda _at, amount, _flags: amount * amount))),
        *distinct("abc", (WINDOW_1H, WINDOW_24H, WINDOW_7D)),
        *RECENCY,
        Feature(Usual(), WINDOWS[-1]),
    ),
    forever=True,
    keep=4,
)

RULES = """
[score]
review_at = 0.5
block_at = 0.9

[[rule]]
name = "many"
code = "MANY"
text = "{kept_count_1h:.0f} within the hour"
when = "kept_count_1h > 10"
action = "review"
"""

EXCEPTIONS: Exceptions = {1: Verdict.DEAD, 3: Verdict.DUPLICATE}
ROW = Row("orders", 1, "id-of-orders", 0, 4, "c1", EXCEPTIONS, tuple(range(1, SHARDS + 1)), True, 9)
CONTENT = b"the content of c1"
MADE_ANEW = Tp(CLICKS.topic, CLICKS.partition, "id-made-anew")
REBASED = (home_shard(CLICKS.topic, CLICKS.partition, SHARDS) + 1) % SHARDS  # a shard that is not home
CLOCK_S = 7


def versions() -> dict[str, int]:
    """Of each kind of record, as this version writes it."""
    _, source = library()
    stored = re.search(r"(?m)^local FORMAT = (\d+)", source)
    assert stored is not None
    return {
        "bags": features.entry.VERSION,
        "store": int(stored[1]),
        "ids": judge.VERSION,
        "applied": APPLIED_VERSION,
        "configuration": configuration.VERSION,
    }


def path_of(written: Mapping[str, int]) -> Path:
    """The file of these versions: its number grows whenever one of them does."""
    return FOLDER / f"records-{1 + sum(written.values()) - len(written)}.json"


def definitions() -> Definitions:
    """One topic, one group, its own columns for a vector."""

    def nothing(_: Sequence[Any], at_ms: Any) -> Columns:
        return Columns(0, at_ms, at_ms, at_ms, {}, {}, ())

    flow = Flow("orders", lambda _: Decoded([], {}, np.empty(0, np.int64)), lambda _: [], nothing, (GROUP,), True)
    return Definitions((flow,), Vector(GROUP.columns, (GROUP,), lambda _, folded: list(folded[GROUP.name].T)))


def events(count: int, step_ms: int) -> Own:
    """Events of one entity, without any chance in them."""
    n = np.arange(count, dtype=np.int64)
    others = np.stack([1 + n * 7 % 5, 1 + n * 11 % 40, n % 2 * 9])
    amount = 100 + n * n * 37 % 9_999
    return Own.of(np.zeros(count, np.int64), START_MS + n * step_ms, amount, n % 3, place(amount), others)


def bags() -> Mapping[str, bytes]:
    """By what they show: entries as they are sent, tiles, entries behind tiles, and a hot entity's parts of tiles."""
    young = stamped(GROUP, events(10, DAY_MS // 5), STAMP_US)
    folded = compacted(GROUP, stamped(GROUP, events(120, DAY_MS // 3), STAMP_US - 1_000_000), STAMP_US)
    hot = stamped(GROUP, events(200, 900), STAMP_US)
    return {"entries": young, "tiles": folded, "tiles and entries": folded + young, "parts": hot}


def ids(first: int, count: int) -> bytes:
    """The blob of a range whose records are all fresh."""
    made = np.zeros(count, ENTRY)
    offsets = np.arange(first, first + count)
    made["id"], made["offset"], made["payload"], made["clock_s"] = offsets * 2**40 + 1, offsets, offsets + 5, CLOCK_S
    return encode_ids(made)


async def fill(store: ValkeyStore) -> None:
    """A closed range with exceptions, an open one, a shard of a topic that was made anew, a configuration."""
    await opened(store, 0, 4, EXCEPTIONS, ids=ids(0, 5), clock_s=CLOCK_S)
    await applied(store, 0, 4, call(user_a=entry(1), user_b=entry(2)))
    await opened(store, 5, 9, ids=ids(5, 5), clock_s=CLOCK_S)
    await applied(store, 5, 9, call(user_a=entry(3), user_b=b""))
    await applied(store, 0, 4, call(REBASED), tp=CLICKS)
    assert await store.rebase(MADE_ANEW, REBASED, Standing(CLICKS.topic_id, 0, 5), 100, None)
    await store.put_config("c1", CONTENT)


def look(server: redis.Redis) -> dict[str, Any]:
    """Every key with its type and content, bytes in hexadecimal."""
    found: dict[str, Any] = {}
    for key in sorted(server.scan_iter()):
        kind: Any = server.type(key)
        if kind == b"hash":
            found[key.decode()] = {"hash": _hexed(server.hgetall(key))}
        elif kind == b"stream":
            entries: Any = server.xrange(key)
            found[key.decode()] = {"stream": [[name.decode(), _hexed(fields)] for name, fields in entries]}
        else:
            content: Any = server.get(key)
            found[key.decode()] = {"string": content.hex()}
    return found


def _hexed(fields: Any) -> dict[str, str]:
    return {field.hex(): value.hex() for field, value in sorted(fields.items())}


def put(server: redis.Redis, found: Mapping[str, Any]) -> None:
    """The opposite of `look`: into an empty server."""
    for key, content in found.items():
        ((kind, value),) = content.items()
        if kind == "hash":
            server.hset(key, mapping={bytes.fromhex(f): bytes.fromhex(v) for f, v in value.items()})
        elif kind == "stream":
            for name, fields in value:
                server.xadd(key, {bytes.fromhex(f): bytes.fromhex(v) for f, v in fields.items()}, id=name)
        else:
            server.set(key, bytes.fromhex(value))


def store_at(url: str) -> ValkeyStore:
    return ValkeyStore(Access(url), SHARDS, limits=LIMITS, ttl_ms=TTL_MS)


async def _filled(url: str) -> dict[str, Any]:
    async with store_at(url) as store:
        await fill(store)
    with redis.Redis.from_url(url) as server:
        return look(server)


def without_store(folder: Path) -> dict[str, Any]:
    """What is the same bytes whenever it is written; `folder` is for a file that is needed on the way."""
    rules = folder / "rules.toml"
    rules.write_text(RULES)
    decided_by = from_files(definitions(), rules, None)
    return {
        "bags": {name: {"bytes": bag.hex(), "means": canonical(GROUP, bag)} for name, bag in bags().items()},
        "ids": ids(0, 5).hex(),
        "applied": encode_row(ROW).decode(),
        "configuration": {"id": decided_by.id, "content": decided_by.content.decode()},
    }


def main() -> None:
    """Writes the file of today's versions."""
    path = path_of(versions())
    with Children() as children:
        store = asyncio.run(_filled(start_valkey(children).url))
        content = {"versions": versions(), **without_store(children.folder), "store": store}
    path.write_text(json.dumps(content, indent=1) + "\n")
    print(path)


if __name__ == "__main__":
    main()
