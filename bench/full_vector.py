"""The shop's whole vector on Apache Kafka: every kind of entity, each worker on one core, the store on another.

    python -m bench.full_vector                                      all rows; writes docs/figures/full-vector.json
    python -m bench.full_vector --rows at-least-once two-stores --no-figure

The rows: at-least-once, exactly-once, at-least-once again with two workers, with one on a cluster of two stores, and of
a smaller vector that a user might define, five entities with labels (bench/peers/five_entities.py), with one worker and
with two; each process on a core of its own (four cores at most). A second worker joins some seconds after the first:
what is measured begins when both are at it, and there is twice as much to do. Orders are preloaded (Zipf users, cards,
devices, addresses and merchants over ten days), then `headrace worker` drains them. Rates come from the decisions' own
end offsets, CPU from the processes, bytes from the store. `busy` is the share of its core that each process took: who
is at 1 sets the rate.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
import psutil
from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]  # it has no types

from bench import figure
from features.definitions import load
from features.shop import shop_definitions
from models import artefact
from models.logistic import Logistic
from schemas.ids import partition_for
from schemas.settings import Settings
from schemas.timestamps import rfc3339
from streams.chaos.cluster import start_store_cluster
from streams.chaos.kafka import start_kafka
from streams.embedded.processes import Children, free_port
from streams.embedded.store import Store, start_store
from streams.space import definitions_of, open_store
from streams.stores import wire
from streams.stores.admin import fullness, scan
from streams.stores.keys import BAG
from streams.transport.link import Link
from streams.transport.log import LogReader

CACHE = figure.ROOT / ".cache" / "kafka"
FIVE = figure.ROOT / "bench" / "peers" / "five_entities.py"
SHOP_MODEL = figure.ROOT / "models" / "default" / "shop-logistic" / "1"
HEADRACE = str(Path(sys.executable).with_name("headrace"))
PARTITIONS = 4
SPAN_MS = 10 * 86_400_000
START_MS = 1_790_000_000_000
KB, LIMIT = 1024, 16 * 1024
Order = tuple[bytes, bytes, int]  # key, value, event ms


@dataclass(frozen=True)
class Row:
    delivery: str = "at-least-once"
    workers: int = 1
    stores: int = 1
    five: bool = False  # the smaller vector


ROWS = {
    "at-least-once": Row(),
    "exactly-once": Row(delivery="exactly-once"),
    "two-workers": Row(workers=2),
    "two-stores": Row(stores=2),
    "five-entities": Row(five=True),
    "five-entities-two-workers": Row(five=True, workers=2),
}
WORKER_CORES = (1, 3)
POLL_S = 0.2
AT_IT = 0.3  # of its core, for one poll
ORDERS_S = 20_000


def orders(n: int, seed: int = 7, start_ms: int = START_MS) -> list[Order]:
    """n orders of SPAN_MS, in time order."""
    rng = np.random.default_rng(seed)

    def zipf(ids: int) -> list[int]:
        weights = np.cumsum(1.0 / np.arange(1, ids + 1) ** 0.8)
        found: list[int] = np.searchsorted(weights, rng.random(n) * weights[-1]).tolist()
        return found

    users, merchants, products = zipf(50_000), zipf(2_000), zipf(20_000)
    at_ms = (start_ms + np.sort(rng.random(n)) * SPAN_MS).astype(np.int64).tolist()
    prices = np.round(rng.lognormal(3.4, 0.8, n), 2).tolist()
    encode = msgspec.json.Encoder().encode
    made = []
    for i, (user, merchant, product, at, price) in enumerate(
        zip(users, merchants, products, at_ms, prices, strict=True)
    ):
        order = {
            "type": "purchase", "event_id": f"e{i}", "event_time": rfc3339(at), "user_id": f"u{user}",
            "session_id": f"s{user}-{i // 4096}", "order_id": f"o{i}", "value": price, "currency": "EUR",
            "items": [{"item_id": f"p{product}", "item_name": "thing", "item_category": "things", "price": price,
                       "quantity": 1}],
            "card_id": f"c{user * 2 + i % 2}", "device_id": f"d{user * 3 + i % 3}", "ip": f"10.{user % 250}.{i % 4}.7",
            "merchant_id": f"m{merchant}", "billing_country": "DE", "shipping_country": "DE", "payment_method": "card",
        }  # fmt: skip
        made.append((f"u{user}".encode(), encode(order), at))
    return made


async def preload(address: str, made: list[Order]) -> None:
    """Sends all orders, each stamped with its event time."""
    producer = AIOKafkaProducer(bootstrap_servers=address, linger_ms=20, max_batch_size=262_144)
    await producer.start()
    try:
        sent = [
            await producer.send("orders", value, key, partition_for(key, PARTITIONS), timestamp_ms=at)
            for key, value, at in made
        ]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


async def decided(reader: LogReader) -> int:
    """Decisions whose offsets are below the committed end; transaction markers count as well and hardly matter."""
    return sum([(await reader.bounds("fraud", partition))[1] for partition in range(PARTITIONS)])


async def sizes(settings: Settings) -> dict[str, Any]:
    """Bytes of every bag, and of the store in all."""
    async with open_store(settings, definitions_of(settings)) as store:
        lengths: list[int] = []
        async for keys in scan(store):
            bags = [(int(found[1]), key) for key in keys if (found := BAG.fullmatch(key))]
            lengths += await store.trip("size", [(shard, wire.command("STRLEN", key)) for shard, key in bags])
        memory = sum([one.used_bytes for one in await fullness(store)])
    array = np.array(lengths)
    return {
        "bags": len(lengths),
        "store_mb": round(memory / 2**20, 1),
        "median_bytes": int(np.median(array)),
        "largest_bytes": int(array.max()),
        "share_under_1kb": round(float((array < KB).mean()), 4),
        "none_over_16kb": bool(array.max() <= LIMIT),
    }


def stores_of(children: Children, count: int) -> Sequence[Store]:
    """One store, or a cluster of several; each on a core of its own, from the third on."""
    config = {"appendfsync": "everysec"}
    if count == 1:
        stores = [start_store(children, free_port(), config)]
    else:
        stores = start_store_cluster(children, count, config).nodes
    for store, core in zip(stores, itertools.count(2)):
        pin(store.child.pid, core)
    return stores


def five_entities(folder: Path) -> dict[str, str]:
    """The environment of workers with the smaller vector. Its model is what of the shop's own it has inputs for."""
    definitions, shop = load(FIVE), shop_definitions()
    model = artefact.load(SHOP_MODEL, shop.vector.names, shop.vector.hash).model
    assert isinstance(model, Logistic)
    inputs = [one for one in model.inputs if one.name in definitions.vector.names]
    path = artefact.save(
        folder, Logistic(inputs, model.bias, definitions.vector.names), version="1", name="five-entities",
        feature_hash=definitions.vector.hash, metrics={}, data={}, seed=0, revision="",
    )  # fmt: skip
    return {
        "HEADRACE_FEATURES": str(FIVE),
        "HEADRACE_RULES": str(FIVE.with_suffix(".toml")),
        "HEADRACE_MODEL": str(path),
    }


def run(n: int, row: Row) -> dict[str, Any]:
    """One run: a fresh broker and stores, everything preloaded."""
    with Children() as children, TemporaryDirectory() as folder:
        kafka = start_kafka(children, CACHE)
        pin(kafka.child.pid, 0)
        stores = stores_of(children, row.stores)
        url = stores[0].url
        env = {**os.environ, "HEADRACE_KAFKA__BROKERS": kafka.address, "HEADRACE_REDIS__URL": url}
        env |= {"HEADRACE_DELIVERY": row.delivery, **(five_entities(Path(folder)) if row.five else {})}
        subprocess.run([HEADRACE, "topics", "create"], env=env, check=True, stdout=subprocess.DEVNULL)
        made = orders(n := n * row.workers)
        asyncio.run(preload(kafka.address, made))
        started = [worker(env, slot, core) for slot, core in enumerate(WORKER_CORES[: row.workers])]
        try:
            used = [psutil.Process(store.child.pid) for store in stores]
            measured = asyncio.run(watch(kafka.address, n, started, used))
        finally:
            for process in started:
                process.terminate()
            for process in started:
                process.wait(30)
        settings = Settings.model_validate(
            {"redis": {"url": url}, "kafka": {"brokers": kafka.address}, "features": str(FIVE) if row.five else None}
        )
        return (
            measured
            | asyncio.run(sizes(settings))
            | {"order_bytes": round(statistics.mean(len(v) for _, v, _ in made))}
        )


def worker(env: Mapping[str, str], slot: int, core: int) -> Any:
    command = ["taskset", "-c", str(core), HEADRACE, "worker", "--slot", str(slot)]
    return psutil.Popen(command, env=dict(env), stderr=subprocess.DEVNULL)


async def watch(address: str, n: int, workers: Sequence[Any], stores: Sequence[Any]) -> dict[str, Any]:
    """From 10 % of the decisions, or from when all workers are at it, to 95 %."""
    reader = LogReader(Link(address))
    first: tuple[float, int, list[float]] | None = None
    idle = [_cpu(one) for one in workers]
    try:
        while True:
            await asyncio.sleep(POLL_S)
            if ended := [worker.returncode for worker in workers if worker.poll() is not None]:
                sys.exit(f"a worker ended with {ended[0]}")
            now = (time.time(), await decided(reader), [_cpu(one) for one in (*workers, *stores)])
            before, idle = idle, now[2][: len(workers)]
            at_it = all(used - had >= AT_IT * POLL_S for had, used in zip(before, idle, strict=True))
            if first is None and at_it and now[1] > n * 0.1:
                first = now
            if first is not None and now[1] > n * 0.95:
                span, events = now[0] - first[0], now[1] - first[1]
                cpu = [end - start for start, end in zip(first[2], now[2], strict=True)]
                of_workers, of_stores = cpu[: len(workers)], cpu[len(workers) :]
                return {
                    "orders_s": round(events / span),
                    "worker_us": round(sum(of_workers) / events * 1e6, 1),
                    "store_us": round(sum(of_stores) / events * 1e6, 1),
                    "busy": {
                        "workers": [round(one / span, 2) for one in of_workers],
                        "stores": [round(one / span, 2) for one in of_stores],
                    },
                }
    finally:
        await reader.stop()


def _cpu(process: Any) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def pin(pid: int, core: int) -> None:
    """Keeps a process on one core, as far as there are so many."""
    psutil.Process(pid).cpu_affinity([core % (os.cpu_count() or 1)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=200_000)
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--no-figure", action="store_true")
    a = parser.parse_args()
    rows = {}
    for name in a.rows:
        rows[name] = run(a.orders, ROWS[name])
        print(name, rows[name], flush=True)
    if not a.no_figure:
        data = figure.hash_of(b"".join(value for _, value, _ in orders(1_000)))
        target = {"share_under_1kb": 0.95, "largest_bytes": LIMIT, "orders_s": ORDERS_S}
        print(
            figure.write(
                "full-vector", value=rows, target=target, command="python -m bench.full_vector", data_hash=data
            )
        )


if __name__ == "__main__":
    main()
