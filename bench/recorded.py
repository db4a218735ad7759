"""The main job on real recorded data: `headrace replay --lockstep` feeds workers, and what came out is judged.

    python -m bench.recorded --data DIR [--kafka] [ga360] [fraud-handbook]

GA360 is the whole set: clicks, views, carts, checkouts, orders of three months. Of the Fraud Handbook it is the book's
test week with the 38 days before it, so that windows of 30 days are full; the published score of the week's orders is
held against the labels, by the book's protocol, beside what the same model reached offline when it was fitted. Both are
replayed as a user would, by the command; services are the embedded ones, or Apache Kafka with --kafka. The price: a
record says when its event was, years ago, so latencies of these runs mean nothing and are not told.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bench import figure
from features.shop import shop_definitions
from schemas.decisions import Anomaly
from schemas.settings import Settings, load
from schemas.topics import INPUTS
from streams.audit import audit
from streams.chaos.kafka import Kafka
from streams.chaos.site import Site, Worker, build_site
from streams.configuration import from_files
from streams.data.cluster import Cluster
from streams.data.consume import read_all
from streams.data.ga360 import FILE as GA360_FILE
from streams.data.topics import create_topics
from streams.embedded.processes import Children
from streams.transport.link import Link
from streams.transport.log import LogReader
from training import handbook
from training.metrics import Scored, measure

KAFKA_CACHE = figure.ROOT / ".cache" / "kafka"
WORKERS = 2
GROUP = "recorded"
LOCKSTEP = "1h"
DRAINED_WITHIN_S = 120.0
SEED = 11  # of the bootstrap


@dataclass(frozen=True, slots=True)
class Recording:
    """What is replayed: a data set by the name that `headrace replay` knows, and its part."""

    name: str
    file: str  # in the data folder
    part: tuple[str, ...] = ()


RECORDINGS = {
    "ga360": Recording("ga360", GA360_FILE),
    "fraud-handbook": Recording("fraud-handbook", handbook.FILE, ("--from", "2018-07-01", "--to", "2018-08-15")),
}


class Out(msgspec.Struct):
    """What is read of a decision."""

    order_id: str
    score: float
    action: str


async def main_job(recording: Recording, data: Path, site: Site) -> dict[str, Any]:
    """Replays it to two workers; what was consumed, what became of it, and how long it took."""
    settings = site.settings(group=GROUP, delivery="at-least-once")
    await create_topics(settings)
    workers = [
        Worker(slot, site.children, {**site.environment(), "HEADRACE_KAFKA__GROUP": GROUP}) for slot in range(WORKERS)
    ]
    for worker in workers:
        worker.start()
    began = time.monotonic()
    await asyncio.to_thread(_replay, recording, data, site)
    report = await _drained(settings)
    took_s = time.monotonic() - began
    ended = [worker.ended() for worker in workers]
    outputs = [out async for out in _outputs(settings)]
    result = {
        "events": report["consumed"],
        "decisions": report["decided"],
        "actions": dict(sorted(Counter(out.action for out in outputs).items())),
        "anomalies": await _anomalies(settings),
        "dead_letters": report["dead"],
        "audit": report,
        "workers_that_died": [why for why in ended if why],
        "seconds": round(took_s, 1),
        "events_a_second": round(report["consumed"] / took_s),
        "broker": "Apache Kafka" if isinstance(site.broker, Kafka) else "embedded",
        "workers": WORKERS,
        "lockstep": LOCKSTEP,
    }
    if recording.name == "fraud-handbook":
        result["test_week"] = judged(outputs, data)
    return result


def _replay(recording: Recording, data: Path, site: Site) -> None:
    argv = [sys.executable, "-P", "-m", "streams.cli", "replay", recording.name, "--data", str(data)]
    argv += ["--lockstep", LOCKSTEP, "--keep-forever", *recording.part]
    environment = {**os.environ, **site.environment(), "HEADRACE_KAFKA__GROUP": GROUP}
    subprocess.run(argv, env=environment, check=True)


async def _drained(settings: Settings) -> dict[str, Any]:
    """The audit once all is taken; as it is where that takes too long."""
    reader = LogReader(Link.of(settings.kafka))
    deadline = time.monotonic() + DRAINED_WITHIN_S
    try:
        while True:
            report = await audit(reader, INPUTS)
            if (not report.pending and report.holds) or time.monotonic() > deadline:
                return report.as_dict()
            await asyncio.sleep(0.5)
    finally:
        await reader.stop()


async def _outputs(settings: Settings) -> Any:
    """Every decision once."""
    decode, seen = msgspec.json.Decoder(Out).decode, set[str]()
    async for records in read_all(Cluster(settings.kafka), ["fraud"]):
        for record in records:
            out = decode(record.value or b"")
            if out.order_id not in seen:
                seen.add(out.order_id)
                yield out


async def _anomalies(settings: Settings) -> int:
    """Sessions and rules: each may have been written several times under its id."""
    decode = msgspec.json.Decoder(Anomaly).decode
    found = read_all(Cluster(settings.kafka), ["anomalies"])
    return len({decode(record.value or b"").anomaly_id async for records in found for record in records})


def judged(outputs: Sequence[Out], data: Path) -> dict[str, Any]:
    """The published scores of the book's test week against its labels; every order of it must have one."""
    transactions = handbook.around(handbook.read(handbook.path_in(data)))
    test = transactions.rows(handbook.split(transactions).test)
    by_order = {out.order_id: out.score for out in outputs}
    score = np.array([by_order[f"fh-{number}"] for number in test.id.tolist()])
    found = measure(Scored(score, test.fraud, test.customer, test.day), SEED)
    model = from_files(shop_definitions(), None, None).artefact
    return {
        "orders": len(test.id),
        "frauds": int(test.fraud.sum()),
        **{name: metric.as_json() for name, metric in found.items()},
        "model": f"{model.manifest.name} {model.manifest.version}" if model else None,
        "offline": {name: model.manifest.metrics.get(name) for name in found} if model else None,
        "published_logistic_regression_of_the_book": handbook.PUBLISHED,
    }


def run(recording: Recording, data: Path, *, kafka: bool) -> dict[str, Any]:
    with Children() as children:
        site = build_site(children, kafka=KAFKA_CACHE if kafka else None)
        return asyncio.run(main_job(recording, data, site))


def main() -> None:
    parser = argparse.ArgumentParser(description="replays recorded data through workers and judges what came out")
    parser.add_argument("names", nargs="*", metavar="NAME", default=list(RECORDINGS), help=" or ".join(RECORDINGS))
    parser.add_argument("--data", type=Path, default=load().data)
    parser.add_argument("--kafka", action="store_true", help="Apache Kafka in place of the embedded broker")
    parser.add_argument("--no-figure", action="store_true")
    arguments = parser.parse_args()
    if arguments.data is None:
        sys.exit("no data: give the folder of data sets with --data DIR or HEADRACE_DATA")
    if unknown := set(arguments.names) - RECORDINGS.keys():
        sys.exit(f"no such recording: {', '.join(sorted(unknown))}: want {' or '.join(RECORDINGS)}")
    for name in arguments.names:
        recording = RECORDINGS[name]
        result = run(recording, arguments.data, kafka=arguments.kafka)
        print(result)
        if not arguments.no_figure:
            holds = bool(result["audit"]["holds"]) and not result["workers_that_died"]
            path = figure.write(
                f"recorded-{name}{'-kafka' if arguments.kafka else ''}",
                value=result,
                target="the audit holds: every event of the set is accounted for, every order decided once",
                command=f"python -m bench.recorded --data DIR{' --kafka' if arguments.kafka else ''} {name}",
                data_hash=figure.sha256(arguments.data / recording.file),
                holds=holds,
            )
            print(path)


if __name__ == "__main__":
    main()
