"""How long `headrace doctor` takes: where all is well, and where nothing answers.

    python -m bench.doctor

A stream on Apache Kafka with an archive, a registry and a shop that is planned, so that every check has something to
do; then broker and store are stopped, so that they take connections and never answer; then killed. Each run is a
process of its own, as a user starts it. The price: a minute.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from bench import figure
from schemas.settings import load
from streams.chaos.kafka import start_kafka
from streams.data.topics import create_topics
from streams.embedded.processes import Children, free_port
from streams.embedded.store import start_store

RUNS = 9
TARGET_S = 3.0
JARS = figure.ROOT / ".cache" / "kafka"


def took_s(told: Mapping[str, str], fails: int) -> float:
    """Seconds of one run, which must find so many failures."""
    began = time.perf_counter()
    argv = [sys.executable, "-P", "-m", "streams.cli", "doctor", "--json"]
    done = subprocess.run(argv, env={**os.environ, **told}, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    found = [one for one in json.loads(done.stdout)["findings"] if one["state"] == "fails"]
    assert len(found) == fails, found
    return seconds


def measured(told: Mapping[str, str], fails: int) -> dict[str, float]:
    took = [took_s(told, fails) for _ in range(RUNS + 1)][1:]  # the first warms the file cache
    return {"median_s": round(statistics.median(took), 2), "most_s": round(max(took), 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description="measures `headrace doctor`")
    parser.add_argument("--no-figure", action="store_true")
    arguments = parser.parse_args()
    with Children() as children:
        told = stream(children)
        value = {"well": measured(told, 0)}
        for child in children.children:
            child.stop()
        value["never_answers"] = measured(told, 2)
        for child in children.children:
            child.kill()
        value["not_there"] = measured(told, 2)
    holds = all(one["most_s"] <= TARGET_S for one in value.values())
    print(value)
    if not arguments.no_figure:
        path = figure.write(
            "doctor",
            value=value,
            target={"most_s": TARGET_S},
            command="python -m bench.doctor",
            data_hash=figure.hash_of(json.dumps(sorted(told)).encode()),
            holds=holds,
            runs=RUNS,
        )
        print(path)


def stream(children: Children) -> dict[str, str]:
    """Broker and store with the topics made; the settings that lead to them."""
    broker, store = start_kafka(children, JARS), start_store(children, free_port(), {"maxmemory": "32gb"})
    told = {
        "HEADRACE_KAFKA__BROKERS": broker.address,
        "HEADRACE_REDIS__URL": store.url,
        "HEADRACE_ARCHIVE__URL": folder(children, "archive"),
        "HEADRACE_REGISTRY__URL": folder(children, "registry"),
        "HEADRACE_PLAN__USERS": "1e6",
    }
    asyncio.run(create_topics(load(kafka={"brokers": broker.address})))
    return told


def folder(children: Children, name: str) -> str:
    made: Path = children.folder / name
    made.mkdir()
    return str(made)


if __name__ == "__main__":
    main()
