"""What the measured path runs on: Apache Kafka, a store, two workers and the archive's process, all of them ours.

Everything is done by the commands that a user has: `headrace worker`, `archive`, `replay`, `features build`, `consume`,
`audit`. The price: a record says when its event was, years ago, so latencies of such a run mean nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench import figure
from models.registry import Registry
from schemas.settings import Settings
from streams.chaos.kafka import Kafka
from streams.chaos.site import Site, Worker, build_site
from streams.data.cluster import Cluster
from streams.data.topics import create_topics
from streams.embedded.processes import LOCALHOST, Child, Children, StartError

KAFKA_CACHE: Final = figure.ROOT / ".cache" / "kafka"
GROUP: Final = "handbook"
LOCKSTEP: Final = "1h"
WORKERS: Final = 2
FILE_S: Final = 20.0  # of the archive: nothing waits for longer
WITHIN_S: Final = 300.0
KEPT: Final = ("orders", "labels", "outcomes", "decisions", "applied")


@dataclass(slots=True)
class Ground:
    """`environment`: what every command must be told."""

    site: Site
    children: Children
    data: Path
    environment: Mapping[str, str]
    registry: Registry
    workers: list[Worker] = field(default_factory=list)
    archive: Child | None = None

    def headrace(self, *words: str) -> str:
        """What a command prints; raises StartError where it fails."""
        done = subprocess.run(
            argv_of(words), env=self.told(), cwd=figure.ROOT, stdout=subprocess.PIPE, text=True, check=False
        )
        if done.returncode:
            raise StartError(f"headrace {' '.join(words)} ended with code {done.returncode}: {done.stdout[-800:]}")
        return done.stdout

    def lines(self, *words: str) -> Iterator[bytes]:
        """The same, line by line as they come."""
        with subprocess.Popen(argv_of(words), env=self.told(), cwd=figure.ROOT, stdout=subprocess.PIPE) as running:
            assert running.stdout is not None
            yield from running.stdout
        if running.returncode:
            raise StartError(f"headrace {' '.join(words)} ended with code {running.returncode}")

    def told(self) -> dict[str, str]:
        """The environment of a command."""
        return {**os.environ, **self.environment}

    @property
    def settings(self) -> Settings:
        return self.site.settings(group=GROUP, delivery="at-least-once")

    def start_workers(self) -> None:
        self.workers = [Worker(slot, self.children, self.environment) for slot in range(WORKERS)]
        for worker in self.workers:
            worker.start()

    def await_deployment(self, number: int) -> None:
        """Until every worker decides new ranges by it."""
        deadline = time.monotonic() + WITHIN_S
        while any(_gauge(worker.metrics_port, "headrace_deployment") < number for worker in self.workers):
            self.check_workers()
            if time.monotonic() > deadline:
                raise StartError(f"deployment {number} is not in force after {WITHIN_S:g} s: see the workers' logs")
            time.sleep(0.2)

    def stop_workers(self) -> None:
        """In good order."""
        self.check_workers()
        for worker in self.workers:
            assert worker.child is not None
            worker.child.terminate(60.0)
        self.workers = []

    def check_workers(self) -> None:
        """Raises StartError where one has ended."""
        if ended := [why for worker in self.workers if (why := worker.ended())]:
            raise StartError("; ".join(ended))

    def replay(self, since: str, until: str) -> None:
        """The Handbook's records of these days, never further ahead of the workers than LOCKSTEP."""
        part = ("--from", since, "--to", until, "--data", str(self.data), "--lockstep", LOCKSTEP, "--keep-forever")
        self.headrace("replay", "fraud-handbook", *part)
        self.check_workers()

    def start_archive(self) -> None:
        self.archive = self.children.start("archive", argv_of(("archive",)), self.environment, cwd=figure.ROOT)

    def await_archive(self) -> None:
        """Until it has every record that there is now."""
        ends, deadline = asyncio.run(_ends(self.settings)), time.monotonic() + WITHIN_S
        while missing := [place for place, end in ends.items() if self._archived().get(place, 0) < end]:
            assert self.archive is not None
            if not self.archive.running or time.monotonic() > deadline:
                raise StartError(f"not archived: {missing[:4]}; its last words:\n{self.archive.last_words()}")
            time.sleep(1.0)

    def _archived(self) -> dict[tuple[str, int], int]:
        """Behind the last offset of each partition."""
        rows = [json.loads(line) for line in self.headrace("archive", "ls", "--json").splitlines()]
        return {(row["topic"], row["partition"]): row["last"] + 1 for row in rows}

    def audit(self) -> Mapping[str, Any]:
        """Of everything there is, once all of it is decided."""
        deadline = time.monotonic() + WITHIN_S
        while True:
            said = subprocess.run(
                argv_of(("audit", "--json")),
                env=self.told(),
                cwd=figure.ROOT,
                capture_output=True,
                text=True,
                check=False,
            )
            if said.returncode not in (0, 1):
                raise StartError(f"headrace audit ended with code {said.returncode}: {said.stderr[-800:]}")
            report: Mapping[str, Any] = json.loads(said.stdout)
            if (report["holds"] and not report["pending"]) or time.monotonic() > deadline:
                return report
            time.sleep(1.0)

    @property
    def broker(self) -> str:
        return "Apache Kafka" if isinstance(self.site.broker, Kafka) else "embedded"


def begin(children: Children, data: Path, out: Path, *, kafka: bool = True) -> Ground:
    """Broker, store and topics; nothing runs on them yet."""
    site = build_site(children, kafka=KAFKA_CACHE if kafka else None)
    environment = {
        **site.environment(),
        "HEADRACE_KAFKA__GROUP": GROUP,
        "HEADRACE_ARCHIVE__URL": str(out / "archive"),
        "HEADRACE_ARCHIVE__FILE_S": str(FILE_S),
        "HEADRACE_REGISTRY__URL": str(out / "registry"),
    }
    (out / "registry").mkdir(exist_ok=True)
    ground = Ground(site, children, data, environment, Registry.at(environment["HEADRACE_REGISTRY__URL"]))
    asyncio.run(create_topics(ground.settings))
    return ground


def argv_of(words: Sequence[str]) -> list[str]:
    """The command of these words."""
    return [sys.executable, "-P", "-m", "streams.cli", *words]


def _gauge(port: int, name: str) -> float:
    """A metric of a worker; -1 where it does not answer yet."""
    try:
        with urllib.request.urlopen(f"http://{LOCALHOST}:{port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return -1.0
    return next((float(line.split()[-1]) for line in lines if line.startswith(f"{name} ")), -1.0)


async def _ends(settings: Settings) -> dict[tuple[str, int], int]:
    """The end of each partition's log, of those that hold anything."""
    from aiokafka import TopicPartition  # type: ignore[import-untyped]  # it ships no types

    cluster = Cluster(settings.kafka)
    counts = await cluster.partitions(KEPT)
    tps = [TopicPartition(topic, number) for topic, count in counts.items() for number in range(count)]
    return {(tp.topic, tp.partition): end for tp, end in (await cluster.ends(tps)).items() if end}
