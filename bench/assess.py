"""How long `POST /v1/fraud/orders` takes while the stream runs: 200 a second, beside 300 orders a second to decide.

    python -m bench.assess [--seconds 60] [--asked-s 200] [--orders-s 300] [--no-figure]

Everything is what `headrace up` starts: an embedded broker, one worker, one serving process, with one page open in it.
But for the store: it writes its file once a second, as most stores do that people rely on (docs/store.md). With
`appendfsync always`, which `up` has, a read waits for the disk behind what a worker has just written.

The shop's whole vector, over 20,000 orders of ten days that were decided before. The questions are about further orders
of the same users. They come at their times whatever became of those before (an open loop), and each is timed from when
it was due, so one that had to wait for a late sender or a busy server counts with its wait (coordinated omission). Who
asks is a process of its own. The first seconds are left out.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import aiohttp
import click
import numpy as np
import orjson
from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]  # it has no types

from bench import figure
from bench.full_vector import PARTITIONS, SPAN_MS, Order, orders, preload
from schemas.ids import partition_for
from streams.embedded.processes import LOCALHOST, Children, free_port
from streams.embedded.stack import Ports, Stack, running
from streams.embedded.store import start_store

BACKLOG: Final = 20_000
WARM_S: Final = 5.0
P99_MS: Final = 25.0
CONNECTIONS: Final = 64
BURST_S: Final = 0.01
START_S: Final = 90.0
FILLED: Final = ("event_id", "event_time")  # by the API: the order comes now


def bodies(made: list[Order]) -> list[bytes]:
    """As a shop asks before it places them."""
    return [
        orjson.dumps({name: value for name, value in orjson.loads(order).items() if name not in FILLED})
        for _, order, _ in made
    ]


def ask(url: str, made: list[bytes], per_s: float) -> list[float]:
    """ms from when each was due until it was answered, in order; raises where one is not answered by 200."""
    return asyncio.run(_ask(url, made, per_s))


async def _ask(url: str, made: list[bytes], per_s: float) -> list[float]:
    took = [0.0] * len(made)
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(connector=connector, headers={"content-type": "application/json"}) as session:
        begun = time.perf_counter() + 0.5

        async def one(at: int) -> None:
            async with session.post(f"{url}/v1/fraud/orders", data=made[at]) as answer:
                body = await answer.read()
            took[at] = (time.perf_counter() - begun - at / per_s) * 1000
            if answer.status != 200:
                raise RuntimeError(f"order {at} was answered by {answer.status}: {body.decode()}")

        async with asyncio.TaskGroup() as asking:
            for at in range(len(made)):
                await asyncio.sleep(max(0.0, begun + at / per_s - time.perf_counter()))
                asking.create_task(one(at))
    return took


async def feed(address: str, made: list[Order], per_s: float) -> None:
    """Orders at their pace, in small bursts as a shop's come."""
    producer = AIOKafkaProducer(bootstrap_servers=address, linger_ms=0)
    await producer.start()
    try:
        begun, burst = time.perf_counter(), max(1, round(per_s * BURST_S))
        for at, (key, value, stamp_ms) in enumerate(made):
            if at % burst == 0:
                await asyncio.sleep(max(0.0, begun + at / per_s - time.perf_counter()))
            await producer.send("orders", value, key, partition_for(key, PARTITIONS), timestamp_ms=stamp_ms)
    finally:
        await producer.stop()


async def watched(url: str) -> None:
    """An open page: reads what moves until it is cancelled."""
    async with aiohttp.ClientSession() as session, session.get(f"{url}/page/live") as live:
        async for _ in live.content:
            pass


async def decided(url: str, least: int) -> None:
    """Returns once so many orders lie in the log and none of them waits for a worker."""
    async with aiohttp.ClientSession() as session, asyncio.timeout(START_S):
        while True:
            with suppress(aiohttp.ClientError):
                async with session.get(f"{url}/v1/status") as answer:
                    topics = {one["topic"]: one for one in (await answer.json())["topics"]}
                    if "orders" in topics and topics["orders"]["end"] >= least and not topics["orders"]["lag"]:
                        return
            await asyncio.sleep(0.2)


async def measured(stack: Stack, options: argparse.Namespace) -> dict[str, Any]:
    """The run itself."""
    live = round(options.orders_s * (options.seconds + WARM_S))
    asked = round(options.asked_s * (options.seconds + WARM_S))
    made = orders(BACKLOG + live + asked, start_ms=time.time_ns() // 1_000_000 - SPAN_MS)
    address, url = stack.services.settings.kafka.brokers, f"http://{LOCALHOST}:{stack.page_port}"
    await preload(address, made[:BACKLOG])
    await decided(url, BACKLOG)
    watching = asyncio.create_task(watched(url))
    feeding = asyncio.create_task(feed(address, made[BACKLOG : BACKLOG + live], options.orders_s))
    questions = bodies(made[BACKLOG + live :])
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        loop = asyncio.get_running_loop()
        took = await loop.run_in_executor(pool, partial(ask, url, questions, options.asked_s))
    behind = not feeding.done()
    await feeding
    watching.cancel()
    await decided(url, BACKLOG + live)
    ms = np.array(took[round(options.asked_s * WARM_S) :])
    p50, p90, p99, p999 = np.quantile(ms, [0.5, 0.9, 0.99, 0.999]).round(2).tolist()
    return {"p50_ms": p50, "p90_ms": p90, "p99_ms": p99, "p999_ms": p999, "max_ms": round(float(ms.max()), 1),
            "asked": len(ms), "orders_decided_beside": live, "feed_was_late": behind}  # fmt: skip


@contextmanager
def stack_of(children: Children) -> Iterator[Stack]:
    """`headrace up` with a store of its own."""
    store = start_store(children, free_port(), {"appendfsync": "everysec"})
    os.environ["HEADRACE_REDIS__URL"] = store.url
    with running(children, 1, Ports(), partial(click.echo, err=True)) as stack:
        yield stack


def priority() -> int:
    """How nice the run is to others on the machine: of its autogroup, which Linux weighs sessions by; 0: as all are."""
    with suppress(OSError, IndexError, ValueError):
        return int(Path("/proc/self/autogroup").read_text().split()[2])
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--asked-s", type=float, default=200.0, help="questions a second")
    parser.add_argument("--orders-s", type=float, default=300.0, help="orders to decide a second")
    parser.add_argument("--no-figure", action="store_true")
    options = parser.parse_args()
    with Children() as children, stack_of(children) as stack:
        stack.wait_for_workers()
        before = os.getloadavg()[0]
        try:
            value = asyncio.run(measured(stack, options))
        except BaseException:
            page = next(one for one in stack.supervisor.services if one.name == "the page")
            print(page.child.last_words(60), file=sys.stderr)
            raise
    print(value, "load before", before)
    if not options.no_figure:
        figure.write(
            "assess",
            value=value,
            target={"p99_ms": P99_MS},
            command="python -m bench.assess",
            data_hash=figure.hash_of(b"".join(bodies(orders(1_000)))),
            load_before=round(before, 2),
            priority=priority(),
            asked_s=options.asked_s,
            orders_s=options.orders_s,
            holds=value["p99_ms"] <= P99_MS,
        )
    return 0 if value["p99_ms"] <= P99_MS else 1


if __name__ == "__main__":
    sys.exit(main())
