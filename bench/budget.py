"""Whether the budget is right: a store is filled by the code of workers and weighed, group by group, and compared.

    python -m bench.budget            100,000 entities of each kind; writes docs/figures/budget.json

Orders, clicks and labels of forty days go through driver and work into a Valkey of its own. Nothing expires meanwhile,
since the days are those of events, so the prediction is told the same (`Demand.kept`). A group's bytes are the sum of
MEMORY USAGE of its keys; the total is `used_memory`. The price: three minutes, and Zipf's shop, not yours.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from bench import figure
from bench.hotpath import ListSource, Memory, NullSink, Stopwatch
from features.definitions import Definitions, Flow
from features.shop import shop_definitions
from features.window import DAY_MS
from schemas.ids import partitions_for
from schemas.settings import Settings
from schemas.timestamps import rfc3339
from streams.budget import Budget, Demand, Server, predict, specimens
from streams.configuration import from_files
from streams.configurations import Configurations
from streams.embedded.processes import Children, free_port
from streams.embedded.store import start_store
from streams.growth import Appetite, Growth
from streams.outputs import Writer
from streams.protocol.driver import Driver
from streams.protocol.ports import Batch, Tp
from streams.space import limits_of, open_store
from streams.stores import wire
from streams.stores.admin import fullness, scan
from streams.stores.keys import BAG
from streams.stores.valkey import ValkeyStore
from streams.work import RangeWork

DAYS = 40
START_MS = 1_790_000_000_000
PARTITIONS, RANGE = 4, 500
SKEW = 0.8
WITHIN = 0.15
ID_BYTES = 8
AT_ONCE = 2_000
STRANGERS = 1e9  # an entity meets another one each time

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Shop:
    """How large: `entities` of each kind, with so many orders and clicks of them all, and labels of some orders."""

    entities: int
    orders: int
    clicks: int
    labels: int
    range_records: int = RANGE  # at most

    @property
    def step_ms(self) -> int:
        """In which each partition of orders gets a range, and no more than a day."""
        return min(DAYS * DAY_MS * PARTITIONS * self.range_records // self.orders, DAY_MS)

    @property
    def demand(self) -> Demand:
        """What the prediction is told."""
        n = float(self.entities)
        staying = ("user", "card", "device", "ip", "subnet", "merchant", "products", "categories", "visitor")
        count = {**dict.fromkeys(staying, n), "shop": 1.0, "session": n / DAYS}
        events = {"orders": self.orders, "clickstream": self.clicks, "cart": 0, "labels": self.labels, "outcomes": 0}
        anybody = (
            "user.ip", "user.merchant", "card.ip", "device.ip", "ip.user", "ip.card", "ip.device", "merchant.user",
            "merchant.card", "subnet.user", "subnet.card_device", "session.product",
        )  # fmt: skip
        own = ("user.card", "user.device", "user.country", "card.user", "card.device", "device.user", "device.card")
        return Demand(
            count=count,
            events={topic: n / DAYS for topic, n in events.items()},
            fleeting=frozenset({"session"}),
            deals=dict.fromkeys(anybody, STRANGERS) | dict.fromkeys(own, 1.0),
            skew=SKEW,
            since_days=DAYS,
            id_bytes=ID_BYTES,
            kept=True,
        )


def records(shop: Shop, seed: int = 7) -> dict[str, list[tuple[bytes, bytes, int]]]:
    """(key, value, event ms) of every topic's events, in time order. A user has one card and device."""
    rng = np.random.default_rng(seed)
    return {"orders": _orders(rng, shop), "clickstream": _clicks(rng, shop), "labels": _labels(rng, shop)}


def _drawn(rng: np.random.Generator, shop: Shop, size: int) -> list[int]:
    weights = np.cumsum(1.0 / np.arange(1, shop.entities + 1) ** SKEW)
    found: list[int] = np.searchsorted(weights, rng.random(size) * weights[-1]).tolist()
    return found


def _times(rng: np.random.Generator, size: int) -> list[int]:
    found: list[int] = (START_MS + np.sort(rng.random(size)) * DAYS * DAY_MS).astype(np.int64).tolist()
    return found


def _session(shop: Shop, at_ms: int) -> str:
    """Sessions follow each other, so that each has its events close together."""
    return f"s{int((at_ms - START_MS) / (DAYS * DAY_MS) * shop.entities):07d}"


def _orders(rng: np.random.Generator, shop: Shop) -> list[tuple[bytes, bytes, int]]:
    n = shop.orders
    users, ips, merchants, products, categories, visitors = (_drawn(rng, shop, n) for _ in range(6))
    prices = np.round(rng.lognormal(3.4, 0.8, n), 2).tolist()
    made = []
    for i, at in enumerate(_times(rng, n)):
        user, ip, price = users[i], ips[i], prices[i]
        order = {
            "type": "purchase", "event_id": f"e{i:07d}", "event_time": rfc3339(at), "user_id": f"u{user:07d}",
            "visitor_id": f"v{visitors[i]:07d}", "session_id": _session(shop, at), "order_id": f"o{i:07d}",
            "value": price, "currency": "EUR", "card_id": f"c{user:07d}", "device_id": f"d{user:07d}",
            "ip": f"{10 + ip // 65_536}.{ip // 256 % 256}.{ip % 256}.7", "merchant_id": f"m{merchants[i]:07d}",
            "billing_country": "DE", "shipping_country": "DE",
            "items": [{"item_id": f"p{products[i]:07d}", "item_name": "thing", "item_category": f"k{categories[i]:07d}",
                       "price": price, "quantity": 1}],
        }  # fmt: skip
        made.append((order["user_id"].encode(), msgspec.json.encode(order), at))
    return made


def _clicks(rng: np.random.Generator, shop: Shop) -> list[tuple[bytes, bytes, int]]:
    visitors, products = _drawn(rng, shop, shop.clicks), _drawn(rng, shop, shop.clicks)
    made = []
    for i, at in enumerate(_times(rng, shop.clicks)):
        click = {
            "type": "view_item", "event_id": f"w{i:07d}", "event_time": rfc3339(at),
            "visitor_id": f"v{visitors[i]:07d}", "session_id": _session(shop, at), "item_id": f"p{products[i]:07d}",
        }  # fmt: skip
        made.append((click["visitor_id"].encode(), msgspec.json.encode(click), at))
    return made


def _labels(rng: np.random.Generator, shop: Shop) -> list[tuple[bytes, bytes, int]]:
    made = []
    for i, order in enumerate(rng.choice(shop.orders, shop.labels, replace=False).tolist()):
        at = START_MS + DAYS * DAY_MS
        label = {"type": "chargeback", "event_id": f"l{i:07d}", "event_time": rfc3339(at), "order_id": f"o{order:07d}"}
        made.append((label["order_id"].encode(), msgspec.json.encode(label), at))
    return made


class Paced(ListSource):
    """A partition's log, of which a little more can be read each time; idle at the end of it."""

    def __init__(self, records: Sequence[Memory], appetite: Appetite) -> None:
        super().__init__(records, appetite)
        self._at_ms = np.array([record.timestamp for record in records], np.int64)
        self._upto = 0

    def until(self, at_ms: int) -> None:
        """What is older can be read from now on."""
        self._upto = int(np.searchsorted(self._at_ms, at_ms))
        self.idle.clear()

    async def next(self, place: int) -> Batch[Memory] | None:
        part = self.records[place : min(self._upto, place + self.appetite.records)]
        if part:
            return Batch(place, part)
        self.idle.set()
        await asyncio.sleep(0.002)
        return None

    async def bounds(self) -> tuple[int, int]:
        return 0, self._upto


async def fill(
    store: ValkeyStore, settings: Settings, made: Mapping[str, Sequence[tuple[bytes, bytes, int]]], shop: Shop
) -> None:
    """Every topic's events through driver and work into the store, in the order of their times but for `shop.step_ms`.

    So no partition is far behind another: what follows the last range of one can be folded in no bag that both touch.
    """
    definitions = shop_definitions()
    own = from_files(definitions, None, None)
    configurations = Configurations(definitions, own, store.get_config)
    watch, sources, drivers = Stopwatch(), list[Paced](), list[Driver[Any, Any, Any]]()
    for flow in [flow for flow in definitions.flows if made.get(flow.topic)]:
        appetite = Appetite(shop.range_records)
        for partition, log in enumerate(_by_partition(made[flow.topic])):
            tp = Tp(flow.topic, partition, "bench")
            sources.append(Paced(log, appetite))
            work = _work(tp, flow, definitions, store, configurations, Growth(tp, appetite, watch.stamps))
            limits = limits_of(settings)
            drivers.append(
                Driver(tp, store, sources[-1], NullSink(), work, lambda: own.id, limits=limits, observer=watch)
            )
    tasks = [asyncio.create_task(driver.run()) for driver in drivers]
    for until_ms in range(START_MS + shop.step_ms, START_MS + DAYS * DAY_MS + 2 * shop.step_ms, shop.step_ms):
        for source in sources:
            source.until(until_ms)
        idle = asyncio.create_task(_all_idle(sources))
        await asyncio.wait([idle, *tasks], return_when=asyncio.FIRST_COMPLETED)
        if any(task.done() for task in tasks):
            break
    for task in tasks:
        task.cancel()
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(ended, Exception):
            raise ended


async def _all_idle(sources: Sequence[Paced]) -> None:
    for source in sources:
        await source.idle.wait()


def _work(
    tp: Tp, flow: Flow, definitions: Definitions, store: ValkeyStore, configurations: Configurations, growth: Growth
) -> RangeWork:
    writer = Writer(tp, same_partitions=True, feature_hash=definitions.vector.hash, declared=flow.writes)
    return RangeWork(tp, flow, definitions, store.shards, configurations, writer, growth)


def _by_partition(made: Sequence[tuple[bytes, bytes, int]]) -> list[list[Memory]]:
    logs: list[list[Memory]] = [[] for _ in range(PARTITIONS)]
    for (key, value, at), partition in zip(made, partitions_for([key for key, _, _ in made], PARTITIONS), strict=True):
        logs[partition].append(Memory(len(logs[partition]), at, key, value))
    return logs


async def weighed(store: ValkeyStore) -> tuple[dict[str, tuple[int, int, int]], int]:
    """(keys, bytes of bags, bytes of keys) by group, and the bytes of the whole server."""
    found: dict[str, tuple[int, int, int]] = {}
    async for some in scan(store):
        for at in range(0, len(some), AT_ONCE):
            part = some[at : at + AT_ONCE]
            sizes = await store.nodes.trip([(0, wire.command("MEMORY", "USAGE", key, "SAMPLES", 0)) for key in part])
            names = [_name(key) for key in part]
            bags = [key for key, name in zip(part, names, strict=True) if name not in OTHER]
            lengths = iter(await store.nodes.trip([(0, wire.command("STRLEN", key)) for key in bags]))
            for name, size in zip(names, sizes, strict=True):
                keys, own, total = found.get(name, (0, 0, 0))
                found[name] = keys + 1, own + (0 if name in OTHER else next(lengths)), total + size
    return found, sum([one.used_bytes for one in await fullness(store)])


OTHER = ("ids", "places")


def _name(key: bytes) -> str:
    if bag := BAG.fullmatch(key):
        return bag[2].decode()
    return "ids" if b":ids:" in key else "places"


async def run(shop: Shop) -> tuple[Budget, dict[str, tuple[int, int, int]], int]:
    """The prediction, and what a store of its own comes to."""
    definitions = shop_definitions()
    with Children() as children:
        url = start_store(children, free_port(), {"appendonly": "no"}).url
        settings = Settings.model_validate({"redis": {"url": url}})
        server = Server(settings.shards, PARTITIONS, limits_of(settings), "libc", min(shop.range_records, RANGE / 2))
        predicted = predict(definitions, shop.demand, server, specimens(ID_BYTES))
        async with open_store(settings, definitions) as store:
            await fill(store, settings, records(shop), shop)
            return predicted, *await weighed(store)


def compared(predicted: Budget, found: Mapping[str, tuple[int, int, int]], used: int) -> dict[str, Any]:
    """Row by row, and in total: what was predicted against what is there."""
    rows = {}
    for row in predicted.rows:
        keys, own, total = found.get(row.name, (0, 0, 0))
        rows[row.name] = {
            "keys": keys, "predicted_keys": round(row.keys), "bag_bytes": round(own / max(keys, 1), 1),
            "predicted_bag_bytes": round(row.bag_bytes, 1), "key_bytes": round(total / max(keys, 1), 1),
            "predicted_key_bytes": round(row.key_bytes, 1), "off": round(row.total_bytes / max(total, 1) - 1, 4),
        }  # fmt: skip
    off = predicted.total_bytes / used - 1
    large = {name: one["off"] for name, one in rows.items() if one["keys"] > LARGE}
    worst = max(map(abs, [off, *large.values()]))
    return {
        "holds": bool(worst <= WITHIN), "worst_off": worst, "total_off": round(off, 4), "used_mb": round(used / 1e6, 1),
        "predicted_mb": round(predicted.total_bytes / 1e6, 1), "keys": sum(one["keys"] for one in rows.values()),
        "groups": rows,
    }  # fmt: skip


LARGE = 100  # keys from which a row counts: the shop itself is one bag


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entities", type=int, default=100_000)
    parser.add_argument("--orders", type=int, default=500_000)
    parser.add_argument("--clicks", type=int, default=300_000)
    parser.add_argument("--labels", type=int, default=5_000)
    parser.add_argument("--show", action="store_true", help="write no figure")
    a = parser.parse_args()
    started = time.monotonic()
    value = compared(*asyncio.run(run(Shop(a.entities, a.orders, a.clicks, a.labels))))
    for name, row in value["groups"].items():
        print(f"{name:10}", *(f"{key} {cell:,}" for key, cell in row.items()))
    print(*(f"{key} {cell}" for key, cell in value.items() if key != "groups"), f"{time.monotonic() - started:.0f} s")
    if not a.show:
        told = {"entities": a.entities, "orders": a.orders, "clicks": a.clicks, "labels": a.labels}
        command = "python -m bench.budget" + "".join(f" --{name} {n}" for name, n in told.items())
        seen = figure.hash_of(repr(told).encode())
        figure.write("budget", value=value, target={"worst_off": WITHIN}, command=command, data_hash=seen)
    return 0 if value["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
