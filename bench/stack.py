"""What models cost a worker on Apache Kafka: orders a second of the whole path, and how long a decision takes.

    python -m bench.stack [--models shipped boosted stack] [--orders 100000] [--seconds 30]

The shop's whole vector as in bench.full_vector, decided by rules and the shipped logistic regression, by rules and
boosted trees, and by rules and the stack that a shop trains: boosted trees, network and online logistic regression,
blended (bench/scorers_made.py makes them, of the size that is served), with a threshold that stops one order in a
hundred: those are explained. First a backlog is drained: rate and CPU. Then
orders come at 2,000 a second, and each is timed from the call that sends it until its decision is in a consumer's
hands. Broker, worker and store have a core each; who sends and who times share the fourth.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import orjson
import psutil
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer  # type: ignore[import-untyped]  # it has no types

from bench import figure
from bench.full_vector import (
    CACHE,
    HEADRACE,
    PARTITIONS,
    SPAN_MS,
    Order,
    decided,
    orders,
    pin,
    preload,
    watch,
    worker,
)
from bench.scorers_made import make_blend, make_boosted
from features.shop import shop_definitions
from models import artefact
from models.scorer import Scorer
from schemas.ids import partition_for
from streams.chaos.kafka import start_kafka
from streams.embedded.processes import Children, free_port
from streams.embedded.store import start_store
from streams.transport.link import Link
from streams.transport.log import LogReader

ORDERS_S: Final = 2_000
BURST_S: Final = 0.01
WARM_S: Final = 5.0  # of the timed orders, left out
TIMED_CORE: Final = 3
MOST_P99: Final = 1.25  # of the stack's, as a multiple of the shipped model's in the same run
STOPPED: Final = 0.01  # of orders
RULES: Final = figure.ROOT / "models" / "default" / "rules.toml"
MODELS: Final = ("shipped", "boosted", "stack")


def saved(name: str, folder: Path) -> dict[str, str]:
    """The environment of a worker that decides by this model."""
    if name == "shipped":
        return {}
    model: Scorer = make_boosted().scorer if name == "boosted" else make_blend().scorer
    path = artefact.save(
        folder, model, version="1", name=name, feature_hash=shop_definitions().vector.hash, metrics={}, data={},
        seed=0, revision="",
    )  # fmt: skip
    return {"HEADRACE_MODEL": str(path)}


async def timed(address: str, made: list[Order], first: int) -> dict[str, float]:
    """Sends them at ORDERS_S; ms from the call that sends one until its decision is read. `first`: their number."""
    sent_at = np.zeros(len(made))
    read_at = np.zeros(len(made))
    producer = AIOKafkaProducer(bootstrap_servers=address, linger_ms=0, acks="all")
    consumer = AIOKafkaConsumer("fraud", bootstrap_servers=address, auto_offset_reset="latest", fetch_max_wait_ms=500)
    await producer.start()
    await consumer.start()
    await consumer.seek_to_end()
    sending = asyncio.create_task(send(producer, made, sent_at))
    try:
        async with asyncio.timeout(len(made) / ORDERS_S + 60):
            while not read_at.all():
                for records in (await consumer.getmany(timeout_ms=1_000)).values():
                    now = time.perf_counter()
                    for record in records:
                        read_at[int(orjson.loads(record.value)["order_id"][1:]) - first] = now
        await sending
    finally:
        sending.cancel()
        await producer.stop()
        await consumer.stop()
    ms = (read_at - sent_at)[int(WARM_S * ORDERS_S) :] * 1e3
    return {"p50_ms": round(float(np.quantile(ms, 0.5)), 1), "p99_ms": round(float(np.quantile(ms, 0.99)), 1)}


async def send(producer: Any, made: list[Order], sent_at: np.ndarray[Any, Any]) -> None:
    """In bursts, each at its time: a sender that is late does not wait for what it missed."""
    begun, burst = time.perf_counter(), round(ORDERS_S * BURST_S)
    for at, (key, value, stamp_ms) in enumerate(made):
        if at % burst == 0:
            await asyncio.sleep(max(0.0, begun + at / ORDERS_S - time.perf_counter()))
        sent_at[at] = time.perf_counter()
        await producer.send("orders", value, key, partition_for(key, PARTITIONS), timestamp_ms=stamp_ms)


@dataclass(frozen=True)
class Place:
    """A broker, a store and one worker, each on its own core, with a backlog to decide."""

    address: str
    store: psutil.Process
    process: psutil.Process

    @classmethod
    @contextmanager
    def of(cls, backlog: list[Order], env: Mapping[str, str]) -> Iterator[Place]:
        with Children() as children:
            kafka = start_kafka(children, CACHE)
            pin(kafka.child.pid, 0)
            store = start_store(children, free_port(), {"appendfsync": "everysec"})
            pin(store.child.pid, 2)
            env = {**os.environ, **env, "HEADRACE_KAFKA__BROKERS": kafka.address, "HEADRACE_REDIS__URL": store.url}
            subprocess.run([HEADRACE, "topics", "create"], env=env, check=True, stdout=subprocess.DEVNULL)
            asyncio.run(preload(kafka.address, backlog))
            process = worker(env, 0, 1)
            try:
                yield cls(kafka.address, psutil.Process(store.child.pid), process)
            finally:
                process.terminate()
                process.wait(30)


def stopping(backlog: list[Order], env: Mapping[str, str], folder: Path) -> Path:
    """Rules by which the score stops one order in a hundred of these, as a shop would set them."""
    text = RULES.read_text()
    rules = folder / "rules.toml"
    rules.write_text(re.sub(r"^(review|block)_at = .*\n", "", text, flags=re.MULTILINE))
    with Place.of(backlog, {**env, "HEADRACE_RULES": str(rules)}) as place:
        scores = asyncio.run(all_decided(place.address, len(backlog)))
    at = float(np.quantile(scores, 1.0 - STOPPED))
    rules.write_text(re.sub(r"^review_at = .*\nblock_at = .*\n", f"review_at = {at:.6f}\n", text, flags=re.MULTILINE))
    return rules


def run(name: str, backlog: int, seconds: float) -> dict[str, Any]:
    """One model on a fresh broker and store."""
    live = round(seconds * ORDERS_S)
    made = orders(backlog + live, start_ms=time.time_ns() // 1_000_000 - SPAN_MS)
    with TemporaryDirectory() as folder:
        env = saved(name, Path(folder))
        env |= {"HEADRACE_RULES": str(stopping(made[:backlog], env, Path(folder)))}
        with Place.of(made[:backlog], env) as place:
            drained = asyncio.run(watch(place.address, backlog, [place.process], [place.store]))
            asyncio.run(all_decided(place.address, backlog))
            pin(os.getpid(), TIMED_CORE)
            try:
                return drained | asyncio.run(timed(place.address, made[backlog:], backlog))
            finally:
                psutil.Process().cpu_affinity([])


async def all_decided(address: str, backlog: int) -> list[float]:
    """Waits until nothing of the backlog is left; the scores of what was decided."""
    reader = LogReader(Link(address))
    try:
        async with asyncio.timeout(60):
            while await decided(reader) < backlog:  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.1)
        told = [record for partition in range(PARTITIONS) async for record in reader.whole("fraud", partition)]
        return [float(orjson.loads(record.value or b"")["score"]) for record in told]
    finally:
        await reader.stop()


def main() -> int:
    """Prints and writes what each model costs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--orders", type=int, default=100_000, help="of the backlog")
    parser.add_argument("--seconds", type=float, default=30.0, help="of the timed orders")
    chosen = parser.parse_args()
    value = {}
    for name in chosen.models:
        value[name] = run(name, chosen.orders, chosen.seconds)
        print(name, value[name], flush=True)
    if set(chosen.models) == set(MODELS):
        ratio = round(value["stack"]["p99_ms"] / value["shipped"]["p99_ms"], 2)
        figure.write(
            "stack",
            value={**value, "p99_of_shipped": ratio},
            target={"p99_of_shipped": MOST_P99},
            command="python -m bench.stack",
            data_hash=figure.hash_of(b"".join(value for _, value, _ in orders(1_000))),
            holds=ratio <= MOST_P99,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
