"""What an event costs as the store grows: CPU of worker and store, from 10,000 to 5 million keys, without Kafka.

    python -m bench.keys                    both jobs; writes docs/figures/keys.json
    python -m bench.keys --jobs reference --keys 10000 1000000 --preload /usr/lib/.../libjemalloc.so.2 --show

`reference` is the peers' job: a key is a user. `shop` is the full vector: everybody has a card, a device, an address, a
merchant and a product of his own, and each order and its session are keys as well. A town is filled first, by driver
and work, until its bags are as full as they get, each at another point between two compactions. A store of more keys
is that town many times over: each bag under the names of every town, with the room behind it that appending leaves. So
an event finds bags of the same size whatever the number of keys, nobody comes twice in a range, and what is left to
differ is the number of keys.

Costs are medians of some laps, which go round the sizes. The price: ten minutes, up to 10 GB, and no new keys but the
sessions and orders of the shop: what a store pays for growing is not in it.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from bench import figure
from bench.full_vector import pin
from bench.hotpath import PARTITIONS, ListSource, Memory, Stopwatch, drivers
from bench.reference import OUT
from bench.store import Meter
from features.bag import stamps_of
from features.definitions import Definitions, load
from features.group import Group
from features.shop import shop_definitions
from schemas.ids import partitions_for
from schemas.settings import Settings
from schemas.timestamps import rfc3339
from streams.embedded.processes import Children, free_port
from streams.embedded.store import start_store
from streams.growth import ENTRY_BYTES, Appetite
from streams.protocol.ports import Batch
from streams.space import open_store, ttls_of
from streams.stores import wire
from streams.stores.admin import fullness, scan
from streams.stores.keys import BAG, bag_key
from streams.stores.valkey import ValkeyStore

START_MS = 1_793_000_000_000
HOUR_MS = 3_600_000
FULL = 24  # orders of everybody in a town: as many as a bag holds before it is compacted, and up to as many more
FIRST = 10  # part of the first town's addresses
FILL = 500  # keys of one call
WITHIN = 0.15
SETTLE_S = 2.0  # the store tidies its tables up
TURN_S = 0.005
REFERENCE = Path(__file__).resolve().parent / "peers" / "headrace_job.py"


class Who(NamedTuple):
    """One inhabitant."""

    town: int
    user: int


@dataclass(frozen=True, slots=True)
class Job:
    """What is run, and how large."""

    definitions: Callable[[Path], Definitions]
    event: Callable[[Who, int, int], dict[str, Any]]  # of somebody, the n-th of all, at ms
    users: int  # of a town
    between_ms: int  # two events of a user
    keys: Sequence[int]  # sizes of the store, as near as towns come to them
    lap: int  # events
    most: int  # records of a range: few enough that no bag makes them fewer, for then they differ between sizes


def reference(peerbench: Path) -> Definitions:
    """The peers' job; its definitions import the peer bench's own."""
    sys.path.insert(0, str(peerbench / "impl"))
    return load(REFERENCE)


def reference_event(who: Who, n: int, at_ms: int) -> dict[str, Any]:
    """As the peer bench's, of about as many bytes."""
    user = f"{_town(who.town)}u{who.user:05d}"
    return {
        "event_id": f"e{n:09d}", "event_type": "order", "user_id": user, "session_id": f"s{n}",
        "card_id": f"c{who.user}", "device_id": f"d{who.user}-{n % 3}", "ip": "10.1.2.3",
        "amount": 1 + n * 7919 % 20_000 / 100, "currency": "EUR",
        "items": [{"product_id": f"p{n % 20_000}", "qty": 1, "price": 12.5}] * (1 + n % 2), "ts": at_ms,
    }  # fmt: skip


def shop_event(who: Who, n: int, at_ms: int) -> dict[str, Any]:
    """An order with all that it may have. Of each kind a town has as many as users, so that no range shares bags."""
    town, user = _town(who.town), f"{who.user:05d}"
    price = 1 + n * 7919 % 20_000 / 100
    return {
        "type": "purchase", "event_id": f"e{n:09d}", "event_time": rfc3339(at_ms), "user_id": f"{town}u{user}",
        "visitor_id": f"{town}v{user}", "session_id": f"{town}s{n:09d}", "order_id": f"{town}o{n:09d}",
        "value": price, "currency": "EUR", "card_id": f"{town}c{user}", "device_id": f"{town}d{user}",
        "ip": f"{FIRST + who.town}.{who.user // 256}.{who.user % 256}.7", "merchant_id": f"{town}m{user}",
        "billing_country": "DE", "shipping_country": "DE", "payment_method": "card",
        "items": [{"item_id": f"{town}p{user}", "item_name": "thing", "item_category": f"{town}k{user}",
                   "price": price, "quantity": 1}],
    }  # fmt: skip


def _town(town: int) -> str:
    return f"t{town:03d}-"


def moved(entity: str, town: int) -> str:
    """The same name in another town; what belongs to no town keeps its own."""
    if "-" in entity:
        return entity.replace(_town(0), _town(town))
    return entity.replace(f"{FIRST}.", f"{FIRST + town}.", 1) if "." in entity else entity


def of_town(job: Job, seed: int = 7) -> Sequence[Memory]:
    """Everybody orders once each time round; the last to join come in `FULL` rounds later than the first."""
    turn = np.random.default_rng(seed).permutation(job.users).tolist()
    rounds = ((round_, user) for round_ in range(2 * FULL) for user in turn if user % FULL <= round_)
    step = job.between_ms / job.users
    return [_record(job, Who(0, user), n, START_MS + int(n * step)) for n, (_, user) in enumerate(rounds)]


def of_all(job: Job, towns: int, n: int, after: Sequence[Memory], seed: int = 8) -> Sequence[Memory]:
    """The next n orders: everybody of all towns in turn, each as often as before."""
    everybody = job.users * towns
    turn = np.random.default_rng(seed).permutation(everybody)
    since, first, step = after[-1].timestamp, len(after), job.between_ms / everybody
    found = np.resize(turn[:n], n).tolist()
    return [_record(job, Who(*divmod(one, job.users)), first + i, since + int(i * step)) for i, one in enumerate(found)]


def _record(job: Job, who: Who, n: int, at_ms: int) -> Memory:
    event = job.event(who, n, at_ms)
    return Memory(n, at_ms, event["user_id"].encode(), msgspec.json.encode(event))


def by_partition(made: Sequence[Memory]) -> list[list[Memory]]:
    """The log of each partition."""
    logs: list[list[Memory]] = [[] for _ in range(PARTITIONS)]
    keys = [one.key or b"" for one in made]
    for one, partition in zip(made, partitions_for(keys, PARTITIONS), strict=True):
        one.offset = len(logs[partition])
        logs[partition].append(one)
    return logs


class Lapped(ListSource):
    """A partition's log, of which one lap more can be read each time. At its end there is nothing once, so that the
    last range is closed; who asks again waits and takes no turns meanwhile.
    """

    def __init__(self, records: Sequence[Memory], appetite: Appetite) -> None:
        super().__init__(records, appetite)
        self._upto, self._more = 0, asyncio.Event()

    def until(self, at_ms: int) -> int:
        """What is not younger can be read from now on: so many records."""
        self._upto = sum(record.timestamp <= at_ms for record in self.records)
        self._more.set()
        return self._upto

    async def next(self, place: int) -> Batch[Memory] | None:
        if place >= self._upto:
            if self._more.is_set():
                self._more.clear()
                return None
            await self._more.wait()
        part = self.records[place : min(self._upto, place + self.appetite.records)]
        return Batch(place, part) if part else None

    async def bounds(self) -> tuple[int, int]:
        return 0, self._upto


@dataclass(frozen=True, slots=True)
class Bag:
    """One of the town's."""

    group: str
    entity: str
    content: bytes


async def bags_of(store: ValkeyStore) -> list[Bag]:
    """Everything that the town has left."""
    found = []
    async for some in scan(store):
        named = [(int(match[1]), key, match) for key in some if (match := BAG.fullmatch(key))]
        contents = await store.trip("read", [(shard, wire.command("GET", key)) for shard, key, _ in named])
        found += [Bag(m[2].decode(), m[3].decode(), bag) for (_, _, m), bag in zip(named, contents, strict=True)]
    return found


async def settle(store: ValkeyStore, definitions: Definitions, bags: Sequence[Bag], towns: int) -> None:
    """Writes every bag of the town under its names in all towns."""
    ttls, groups = ttls_of(definitions), {group.name: group for group in definitions.groups}
    grown = [(*parts(bag.content, groups.get(bag.group)), b"", b"")[:3] for bag in bags]
    for town in range(towns):
        named = zip(bags, grown, strict=True)
        while some := list(islice(named, FILL)):
            names = [bag_key(bag.group, moved(bag.entity, town), store.shards)[1] for bag, _ in some]
            contents = [word for bag, three in some for word in (*three, b"%d" % ttls[bag.group])]
            await store.trip("fill", [(0, wire.command("EVAL", GROWN, len(names), *names, *contents))])


GROWN = """
for i, key in ipairs(KEYS) do
  redis.call('SET', key, ARGV[4 * i - 3], 'PX', ARGV[4 * i])
  for part = 4 * i - 2, 4 * i - 1 do
    if ARGV[part] ~= '' then redis.call('APPEND', key, ARGV[part]) end
  end
end
"""


def parts(content: bytes, group: Group | None) -> list[bytes]:
    """What a compaction left, the next entry, and what has come since: appended in turn, they take as much room."""
    raw = 0 if group is None else len(stamps_of(group, content))
    tiles = len(content) > raw * ENTRY_BYTES
    since = max(0, raw - (group.keep if group is not None and tiles else 1))
    start = len(content) - since * ENTRY_BYTES
    cuts = sorted({0, start, min(start + ENTRY_BYTES, len(content)), len(content)})
    return [content[one:other] for one, other in pairwise(cuts)]


@asynccontextmanager
async def at_work(
    job: Job, definitions: Definitions, store: ValkeyStore, settings: Settings, made: Sequence[Memory]
) -> AsyncIterator[tuple[Callable[[int], Any], Stopwatch]]:
    """Drivers over these records; the first of the two works off what is not younger than a time."""
    watch, appetite = Stopwatch(), Appetite(job.most)
    sources = [Lapped(log, appetite) for log in by_partition(made)]
    tasks = [asyncio.create_task(one.run()) for one in drivers(definitions, store, settings, sources, watch)]

    async def until(at_ms: int) -> None:
        due = sum(source.until(at_ms) for source in sources)
        while watch.records < due:
            for task in tasks:
                if task.done():
                    task.result()  # a driver ends by an error alone
            await asyncio.sleep(TURN_S)

    try:
        yield until, watch
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def opened(definitions: Definitions) -> AsyncIterator[tuple[ValkeyStore, Settings, int]]:
    """A store on a core of its own, and its process. Its file is never rewritten: that is a price of time."""
    with Children() as children:
        server = start_store(children, free_port(), {"appendfsync": "everysec", "auto-aof-rewrite-percentage": "0"})
        pin(server.child.pid, 2)
        settings = Settings.model_validate({"redis": {"url": server.url}})
        async with open_store(settings, definitions) as store:
            yield store, settings, server.child.pid


@dataclass(slots=True)
class Sized:
    """A store of so many towns, and drivers that wait for their next lap."""

    until: Callable[[int], Any]
    watch: Stopwatch
    store: ValkeyStore
    pid: int
    ends: Iterator[int]  # of the laps

    async def lap(self) -> tuple[float, float]:
        """us of CPU an event of the next lap: worker, store."""
        meter, before = Meter(self.pid), self.watch.records
        await self.until(next(self.ends))
        there, here = meter.us()
        events = self.watch.records - before
        return here / events, there / events


@asynccontextmanager
async def sized(
    job: Job, definitions: Definitions, bags: Sequence[Bag], towns: int, made: Sequence[Memory]
) -> AsyncIterator[Sized]:
    """A store with the bags of so many towns, and drivers over the records that are `made` for them."""
    ends = iter([one.timestamp for one in made[job.lap - 1 :: job.lap]])
    async with opened(definitions) as (store, settings, pid):
        await settle(store, definitions, bags, towns)
        async with at_work(job, definitions, store, settings, made) as (until, watch):
            yield Sized(until, watch, store, pid, ends)


async def measured(job: Job, definitions: Definitions, sizes: Sequence[int], laps: int) -> list[dict[str, Any]]:
    """A row for each size of the store. Laps go round the sizes, so that what else the machine does meets them all."""
    made = of_town(job)
    async with (
        opened(definitions) as (store, settings, _),
        at_work(job, definitions, store, settings, made) as (until, _),
    ):
        await until(made[-1].timestamp)
        bags = await bags_of(store)
    async with AsyncExitStack() as stack:
        stores = []
        for size in sizes:
            towns, started = max(1, round(size / len(bags))), time.monotonic()
            records = of_all(job, towns, job.lap * (laps + 1), made)
            stores.append(await stack.enter_async_context(sized(job, definitions, bags, towns, records)))
            print(f"{towns * len(bags)} keys in {time.monotonic() - started:.0f} s", flush=True)
        await asyncio.sleep(SETTLE_S)
        gc.collect()
        gc.freeze()  # as the worker does with what is there at its start
        seen = [[await one.lap() for one in stores] for _ in range(laps + 1)][1:]
        gc.unfreeze()
        return [row(*await told(one), [lap[place] for lap in seen], seen) for place, one in enumerate(stores)]


async def told(one: Sized) -> tuple[int, int, int]:
    """Keys, MB, records of a range."""
    (full,) = await fullness(one.store)
    return full.keys, round(full.used_bytes / 2**20), round(one.watch.records / one.watch.ranges)


Lap = tuple[float, float]


def row(
    keys: int, store_mb: int, range_: int, laps: Sequence[Lap], all_laps: Sequence[Sequence[Lap]]
) -> dict[str, Any]:
    """Medians of the laps; `against_first` is of the ratios within each round."""
    worker, store = (round(statistics.median(column), 2) for column in zip(*laps, strict=True))
    totals = sorted(round(sum(lap), 2) for lap in laps)
    ratios = [sum(own) / sum(round_[0]) for own, round_ in zip(laps, all_laps, strict=True)]
    return {
        "keys": keys, "store_mb": store_mb, "range": range_, "worker_us": worker, "store_us": store,
        "total_us": round(statistics.median(totals), 2), "total_us_min_max": [totals[0], totals[-1]],
        "against_first": round(statistics.median(ratios), 3),
    }  # fmt: skip


def compared(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """`off`: by how much the dearest size is above the cheapest."""
    off = {}
    for name, rows in found.items():
        ratios = [one["against_first"] for one in rows]
        off[name] = round(max(ratios) / min(ratios) - 1, 3)
    return {"holds": all(one <= WITHIN for one in off.values()), "off": off, **found}


JOBS = {
    "reference": Job(
        reference, reference_event, 10_000, 36 * HOUR_MS, (10_000, 100_000, 1_000_000, 5_000_000), 40_000, 2_000
    ),
    "shop": Job(lambda _: shop_definitions(), shop_event, 2_560, HOUR_MS, (200_000, 1_000_000, 5_000_000), 8_000, 200),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peerbench", type=Path, default=OUT, help="its folder; bench.reference leaves a copy")
    parser.add_argument("--jobs", nargs="+", choices=list(JOBS), default=list(JOBS))
    parser.add_argument("--keys", type=int, nargs="+", help="sizes of the store, instead of a job's own")
    parser.add_argument("--laps", type=int, default=5)
    parser.add_argument("--preload", help="a library for the stores alone: another malloc than the C library's")
    parser.add_argument("--show", action="store_true", help="write no figure")
    a = parser.parse_args()
    pin(os.getpid(), 1)
    if a.preload:
        os.environ["LD_PRELOAD"] = a.preload
    found = {}
    for name in a.jobs:
        print(name)
        job = JOBS[name]
        found[name] = asyncio.run(measured(job, job.definitions(a.peerbench), a.keys or job.keys, a.laps))
        for one in found[name]:
            print(*(f"{word} {cell}" for word, cell in one.items()), flush=True)
    value = compared(found)
    print("off", value["off"], "holds" if value["holds"] else f"does not hold: want at most {WITHIN}")
    if not a.show:
        data = figure.hash_of(b"".join(one.value or b"" for job in JOBS.values() for one in of_town(job)[:1_000]))
        figure.write(
            "keys",
            value=value,
            target={"off": WITHIN},
            command=" ".join(("python -m bench.keys", *sys.argv[1:])),
            data_hash=data,
        )
    return 0 if value["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
