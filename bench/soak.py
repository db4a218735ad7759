"""The soak: whether memory, keys and metrics stay flat while users come and go. `make soak MINUTES=20`.

    python -m bench.soak [--minutes 20] [--events-s 1000] [--embedded] [--no-figure]

A real `headrace worker` runs the shop in fast motion (soak_features.py) on Apache Kafka or, with `--embedded`, on the
embedded broker. It begins with ten seconds of backlog, so that large ranges, and what they need, lie behind it; with
more, memory that is free again would hide a leak. Once a second: resident memory of worker and store, number of keys,
number of series on a real scrape. The first five minutes, fifteen lives of a bag, or a third of a shorter run, are
warm-up: what windows and lives hold is there after one life, the heap has its shape after some five. Of the rest, the
slope of a straight line, over its length and in per cent of the mean, must be under 1 for each of them, up or down.
Then the keys: none without a time to live but those of the closed list; and once the feed has stopped and the longest
life has passed, no bag is left.

Exit 0: it holds; 1: it does not; 2: it could not run, or the worker did not keep up, so that nothing is proved. The
price: it wants a machine that does nothing else. Whoever loads it makes lag, lag makes larger ranges, and what those
need stays in the worker's memory.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import redis

from bench import figure, soak_features
from bench.soak_feed import feed
from schemas.settings import Settings
from streams.chaos.kafka import start_kafka
from streams.chaos.site import Site, Worker
from streams.configuration import DEFAULT
from streams.data.topics import create_topics
from streams.embedded.broker import start_broker
from streams.embedded.ending import ended_by_signals
from streams.embedded.processes import LOCALHOST, Children, StartError, free_port
from streams.embedded.store import start_store
from streams.space import ttls_of
from streams.stores.keys import BAG, WITHOUT_TTL
from streams.transport.quiet import quieten

CACHE = figure.ROOT / ".cache" / "kafka"
FEATURES = Path(soak_features.__file__)
HOLDS, DOES_NOT, COULD_NOT = 0, 1, 2
EVERY_S = 1.0
BACKLOG_S = 10
WARM_UP_S = 300.0
MOST_SLOPE_PERCENT = 1.0
MOST_LAG = 5.0  # seconds of feed, at the median: else it does not keep up
STARTED_WITHIN_S = 60.0
SETTLES_S = 10.0  # beyond a bag's life, until the store's own round has collected it
POINTS = 60  # of each series in the figure
SEED = 11
MB = 2**20


class VoidRunError(Exception):
    """The run proves nothing; the message says why."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What was seen at one moment; `series` is the number of lines of a scrape that carry a value."""

    at_s: float
    worker_mb: float
    store_mb: float
    keys: int
    series: int
    lag: float
    events_in: float
    store_used_mb: float  # what the store says it has given out; the rest of its resident memory is the allocator's
    store_lua_mb: float


FLAT = ("worker_mb", "store_mb", "keys", "series")


def warm_up(samples: int) -> int:
    """How many samples are not judged."""
    return min(int(WARM_UP_S / EVERY_S), samples // 3)


def slope_percent(at_s: Sequence[float], values: Sequence[float]) -> float:
    """How far a straight line through (n,) values rises over their whole length, in per cent of their mean."""
    x, y = np.asarray(at_s, np.float64), np.asarray(values, np.float64)
    mean = float(y.mean())
    if len(x) < 2 or mean == 0:
        return 0.0
    return float(np.polyfit(x - x[0], y, 1)[0] * (x[-1] - x[0]) / mean * 100)


def judged(samples: Sequence[Sample]) -> dict[str, dict[str, float]]:
    """Of each series after the warm-up: mean, range and slope."""
    at_s = [sample.at_s for sample in samples]
    found = {}
    for name in FLAT:
        values = [float(getattr(sample, name)) for sample in samples]
        found[name] = {
            "slope_percent": round(slope_percent(at_s, values), 3),
            "mean": round(statistics.fmean(values), 2),
            "least": round(min(values), 2),
            "most": round(max(values), 2),
        }
    return found


def thinned(samples: Sequence[Sample], points: int = POINTS) -> dict[str, list[float]]:
    """The whole run as so many points of each column."""
    some = samples[:: max(1, len(samples) // points)]
    return {field.name: [round(float(getattr(one, field.name)), 1) for one in some] for field in fields(Sample)}


def strangers(server: redis.Redis) -> list[str]:
    """Keys without a time to live that the closed list does not name."""
    keys: list[bytes] = list(server.scan_iter(count=1000))
    pipeline = server.pipeline(transaction=False)
    for key in keys:
        pipeline.pttl(key)
    lives = pipeline.execute()
    endless = [key for key, life in zip(keys, lives, strict=True) if life == -1]
    return sorted(key.decode() for key in endless if not WITHOUT_TTL.fullmatch(key))


def bags(server: redis.Redis) -> int:
    """How many bags there are; a scan passes over what has expired."""
    return sum(BAG.fullmatch(key) is not None for key in server.scan_iter(count=1000))


@dataclass(frozen=True, slots=True)
class Watch:
    """Looks at a worker and its store from outside."""

    worker: Worker
    server: redis.Redis
    store_pid: int

    def sample(self, at_s: float) -> Sample:
        """One look at everything; raises VoidRunError where the worker has ended."""
        if (why := self.worker.ended()) is not None:
            raise VoidRunError(why)
        assert self.worker.child is not None
        values = _scrape(self.worker.metrics_port)
        memory: Mapping[str, Any] = self.server.info("memory")
        return Sample(
            at_s,
            psutil.Process(self.worker.child.pid).memory_info().rss / MB,
            psutil.Process(self.store_pid).memory_info().rss / MB,
            int(self.server.dbsize()),
            len(values),
            sum(value for name, value in values if name.startswith("headrace_lag_records{")),
            sum(value for name, value in values if name.startswith("headrace_events_in_total{")),
            memory["used_memory"] / MB,
            memory["used_memory_vm_total"] / MB,
        )

    async def _look(self, at_s: float) -> Sample:
        try:
            return await asyncio.to_thread(self.sample, at_s)
        except OSError as error:
            await asyncio.sleep(EVERY_S)  # one that ends lets go of its port before it is gone
            raise VoidRunError(self.worker.ended() or f"the worker does not serve its metrics: {error}") from error

    async def until_works(self) -> None:
        """Returns once the worker has taken its first events."""
        deadline = time.monotonic() + STARTED_WITHIN_S
        while True:
            await asyncio.sleep(0.2)
            try:
                if (await asyncio.to_thread(self.sample, 0.0)).events_in > 0:
                    return
            except OSError:
                pass  # it does not serve its metrics yet
            if time.monotonic() > deadline:
                raise VoidRunError(f"the worker took nothing within {STARTED_WITHIN_S:g} s")

    async def samples(self, seconds: float) -> list[Sample]:
        """One a second for so long; a minute's are told on the way."""
        taken: list[Sample] = []
        began = time.monotonic()
        for turn in range(1, int(seconds / EVERY_S) + 1):
            await asyncio.sleep(max(0.0, began + turn * EVERY_S - time.monotonic()))
            taken.append(await self._look(round(time.monotonic() - began, 3)))
            if turn % 60 == 0:
                print(f"  {turn:5} s  {_shown(taken[-1])}", file=sys.stderr, flush=True)
        return taken


def _scrape(port: int) -> list[tuple[str, float]]:
    """(series, value) of every sample on the page."""
    with urllib.request.urlopen(f"http://{LOCALHOST}:{port}/metrics", timeout=10) as answer:
        page: bytes = answer.read()
    lines = [line.rpartition(" ") for line in page.decode().splitlines() if line and not line.startswith("#")]
    return [(name, float(value)) for name, _, value in lines]


def _shown(sample: Sample) -> str:
    return ", ".join(f"{name} {getattr(sample, name):,.1f}" for name in (*FLAT, "lag"))


def fast_model(folder: Path) -> Path:
    """The shipped model, declared as fitted for these features: what it says is of no interest here, its work is."""
    shipped = max(path.parent for path in DEFAULT.rglob("model.json"))
    manifest = json.loads((shipped / "manifest.json").read_text())
    manifest["feature_hash"] = soak_features.definitions.vector.hash
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "model.json").write_bytes((shipped / "model.json").read_bytes())
    return folder


def limits() -> Mapping[str, str]:
    """Settings that bring the memory of ids down to seconds as well."""
    return {
        "HEADRACE_FEATURES": str(FEATURES),
        "HEADRACE_LIMITS__LATE_S": "10",
        "HEADRACE_LIMITS__DEDUP_OFFSETS": "5000",
        "HEADRACE_LIMITS__DEDUP_HOURS": "0.01",
    }


def life_s() -> float:
    """How long the store keeps a bag that nobody touches."""
    return max(ttls_of(soak_features.definitions).values()) / 1000


@dataclass(frozen=True, slots=True)
class Run:
    """What came out."""

    samples: list[Sample]
    sent: int
    without_ttl: list[str]
    bags_alive: int
    bags_left: int


async def run(site: Site, settings: Settings, seconds: float, events_s: float, model: Path) -> Run:
    """Feeds and watches one worker; raises VoidRunError where that proves nothing."""
    await create_topics(settings)
    told = {**limits(), **site.environment(), "HEADRACE_KAFKA__GROUP": settings.kafka.group}
    worker = Worker(0, site.children, {**told, "HEADRACE_MODEL": str(model)})
    worker.start()
    (store,) = site.stores
    with redis.Redis.from_url(store.url) as server:
        watch = Watch(worker, server, store.child.pid)
        over = asyncio.Event()
        feeding = asyncio.create_task(feed(settings, SEED, events_s, BACKLOG_S, lambda: not over.is_set()))
        try:
            await watch.until_works()
            samples = await watch.samples(seconds)
            without_ttl, alive = await asyncio.to_thread(strangers, server), await asyncio.to_thread(bags, server)
        finally:
            over.set()
        sent = await feeding
        await asyncio.sleep(life_s() + SETTLES_S)
        left = await asyncio.to_thread(bags, server)
    return Run(samples, sent, without_ttl, alive, left)


def build_site(children: Children, *, embedded: bool) -> Site:
    """A broker and a store of our own."""
    broker = start_broker(children, free_port()) if embedded else start_kafka(children, CACHE)
    return Site(children, broker, [start_store(children, free_port())])


def verdict(done: Run, events_s: float) -> dict[str, Any]:
    """What the figure says; raises VoidRunError where the worker did not keep up."""
    rest = done.samples[warm_up(len(done.samples)) :]
    if (lag := statistics.median(sample.lag for sample in rest)) > MOST_LAG * events_s:
        raise VoidRunError(f"the worker did not keep up: {lag:,.0f} records behind; lower --events-s {events_s:g}")
    series = judged(rest)
    flat = all(abs(found["slope_percent"]) < MOST_SLOPE_PERCENT for found in series.values())
    value: dict[str, Any] = {f"{name}_slope_percent": found["slope_percent"] for name, found in series.items()}
    value |= {"without_ttl": done.without_ttl[:10], "bags_alive": done.bags_alive, "bags_left": done.bags_left}
    value["holds"] = flat and not done.without_ttl and done.bags_alive > 0 and done.bags_left == 0
    return {"value": value, "series": series, "events": done.sent, "points": thinned(done.samples)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--events-s", type=float, default=1000.0)
    parser.add_argument("--embedded", action="store_true", help="on the embedded broker: no Java needed")
    parser.add_argument("--no-figure", action="store_true")
    a = parser.parse_args()
    quieten()
    with ended_by_signals(), Children() as children, tempfile.TemporaryDirectory() as folder:
        try:
            site = build_site(children, embedded=a.embedded)
            settings = site.settings(group="soak", delivery="at-least-once")
            done = asyncio.run(run(site, settings, a.minutes * 60, a.events_s, fast_model(Path(folder))))
            found = verdict(done, a.events_s)
        except (StartError, VoidRunError) as error:
            print(f"the soak could not run: {error}", file=sys.stderr)
            return COULD_NOT
        print(json.dumps({"value": found["value"], "series": found["series"]}, indent=2))
        if not a.no_figure:
            broker, _ = site.what()
            print(_write(found, a.minutes, a.events_s, broker, a.embedded))
        return HOLDS if found["value"]["holds"] else DOES_NOT
    return 130


def _write(found: dict[str, Any], minutes: float, events_s: float, broker: str, embedded: bool) -> Path:
    here = Path(__file__)
    return figure.write(
        "soak-embedded" if embedded else "soak",
        target={"slope_percent": MOST_SLOPE_PERCENT, "without_ttl": [], "bags_left": 0},
        command=f"python -m bench.soak --minutes {minutes:g}" + (" --embedded" if embedded else ""),
        data_hash=figure.sha256(FEATURES, here.with_name("soak_feed.py")),
        minutes=minutes,
        warm_up_minutes=min(WARM_UP_S / 60, minutes / 3),
        events_s=events_s,
        broker=broker,
        load_average=round(os.getloadavg()[2], 1),
        **found,
    )


if __name__ == "__main__":
    sys.exit(main())
