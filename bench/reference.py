"""The reference job beside its peers, in one run of the peer bench: `make bench PEERBENCH=DIR`.

    python -m bench.reference --peerbench DIR --rows all      beside Kafka Streams and Flink too, and exactly-once
    python -m bench.reference --peerbench DIR --rows headrace,kstreams_mem --events 100000 --lat-secs 8 --no-figure

The peer bench is copied to .cache/peerbench (its own folder may be read-only), the environments of the rows named are
made from its own setup script, those of Java (a JDK 17 and Maven) compiled by its own build script, our rows are added
to its table and its `run.py` does the rest: outputs checked against the reference, three rounds of saturation, latency
at 2,000 events/s. Options that are not known here are given to it. What comes out is docs/figures/reference-job.json:
ratios within one run, since machines drift. The price of all rows: twenty minutes, and cores 0 and 1 to themselves.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from bench import figure

HERE = Path(__file__).resolve().parent
OUT = figure.ROOT / ".cache" / "peerbench"
ROWS = ("headrace", "quix", "floor_aiokafka")
STREAMS_AND_FLINK = ("kstreams_mem", "flink_java")  # state in memory: their fastest
EXACTLY_ONCE = ("headrace_eos", "kstreams_eos", "kstreams_mem_eos")
ALL = (*ROWS, *STREAMS_AND_FLINK, *EXACTLY_ONCE)
JAVA = ("kstreams", "flink_java", "floor_java")  # how the names of rows begin that are compiled
VENVS = {"floor_aiokafka": "core", "floor_confluent": "core", "quix": "quix"}
# Adds our rows, and Kafka Streams' memory store in a mode that the bench has for RocksDB alone, and runs the bench:
# executed by the bench's own Python.
LAUNCH = """
import os, sys
sys.path.insert(0, {here!r})
import run
run.IMPLS["headrace"] = ("Headrace, bags in Valkey", ["bash", {row!r}], ["headrace_job.py"])
run.IMPLS["headrace_eos"] = ("Headrace, exactly-once", ["bash", {row!r}], ["headrace_job.py"])
run.ENV["headrace_eos"] = {{"HEADRACE_DELIVERY": "exactly-once"}}
run.IMPLS["kstreams_mem_eos"] = ("Kafka Streams 4.1 (memory store, exactly_once_v2)", *run.IMPLS["kstreams_mem"][1:])
run.ENV["kstreams_mem_eos"] = run.ENV["kstreams_mem"] | run.ENV["kstreams_eos"]
run.COPIES["kstreams_mem_eos"] = run.COPIES["kstreams_mem"]
sys.argv = ["run.py", *sys.argv[1:]]
run.main()
"""


def prepare(peerbench: Path, rows: tuple[str, ...]) -> None:
    """Copies the bench and makes the environments that `rows` need, and Kafka's jars."""
    OUT.mkdir(parents=True, exist_ok=True)
    for source in peerbench.rglob("*"):
        if source.is_file() and not any(
            part.startswith("v-") or part in ("libs", "tmp", "logs") for part in source.parts
        ):
            target = OUT / source.relative_to(peerbench)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    setup = (OUT / "setup.sh").read_text()
    for venv in sorted({"core"} | {VENVS[row] for row in rows if row in VENVS}):
        line = re.search(rf"^mk {venv} (.+)$", setup, re.MULTILINE)
        if line is None:
            sys.exit(f"{peerbench}/setup.sh: no line 'mk {venv} ...': is this the peer bench?")
        if not (OUT / f"v-{venv}").exists():
            subprocess.run([sys.executable, "-m", "venv", OUT / f"v-{venv}"], check=True)
            pip = f"'{OUT}/v-{venv}/bin/pip' install -q {line[1]}"
            subprocess.run(["bash", "-c", pip], check=True)
    if not (OUT / "kafka" / "libs").exists():
        pom = str(OUT / "kafka" / "pom.xml")
        goal = ["dependency:copy-dependencies", "-DoutputDirectory=libs"]
        command = ["mvn", "-q", "-B", "-f", pom, *goal]
        subprocess.run(command, check=True)
    if any(row.startswith(JAVA) for row in rows) and not (OUT / "impl-java" / "flink" / "classes").exists():
        subprocess.run(["bash", str(OUT / "impl-java" / "build.sh")], check=True)
    shutil.copyfile(HERE / "peers" / "headrace_job.py", OUT / "impl" / "headrace_job.py")


def run_bench(rows: tuple[str, ...], extra: list[str], results: Path) -> dict[str, Any]:
    """Runs the bench over `rows` in one call; its results by row."""
    launch = LAUNCH.format(here=str(OUT), row=str(HERE / "peers" / "row.sh"))
    python = str(OUT / "v-core" / "bin" / "python")
    command = [python, "-c", launch, *rows, "--out", str(results), "--fresh", *extra]
    subprocess.run(command, check=True, cwd=OUT)
    return {name: row for name, row in json.loads(results.read_text()).items() if name in rows}


def summary(row: dict[str, Any]) -> dict[str, Any]:
    """Medians over the rounds of one row; missing parts are None."""
    sat = [r for r in row.get("sat", []) if "rate" in r]
    lat = [r for r in row.get("lat", []) if "p50" in r]

    def median(rounds: list[dict[str, Any]], key: str) -> float | None:
        return round(statistics.median(r[key] for r in rounds), 2) if rounds else None

    return {
        "outputs_ok": bool(row.get("check", {}).get("ok")),
        "events_s": median(sat, "rate"),
        "events_s_min_max": [round(min(r["rate"] for r in sat)), round(max(r["rate"] for r in sat))] if sat else None,
        "cpu_us": median(sat, "cpu_us"),
        "store_us": median(sat, "valkey_us"),
        "broker_us": median(sat, "broker_us"),
        "p50_ms": median(lat, "p50"),
        "p99_ms": median(lat, "p99"),
        "rss_mb": median(sat, "rss_mb"),
    }


def ratios(rows: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Ours against the peers of the same run; of the peers that did not run, or gave no number, nothing."""
    found = {name: _ratio(rows, *of) for name, (of, _) in RATIOS.items()}
    return {name: ratio for name, ratio in found.items() if ratio is not None}


def _ratio(rows: dict[str, dict[str, Any]], ours: str, peer: str, key: str) -> float | None:
    mine, theirs = (rows.get(name, {}).get(key) for name in (ours, peer))
    return round(mine / theirs, 2) if mine and theirs else None


def target(rows: Collection[str]) -> dict[str, float]:
    """What is wanted of a run of these rows."""
    return {"cpu_us": CPU_US} | {
        name: want for name, ((ours, peer, _), want) in RATIOS.items() if {ours, peer} <= {*rows}
    }


CPU_US = 10
# ratio -> ((our row, the peer's, what is compared), what is wanted: at least of a rate, at most of a latency)
RATIOS: Mapping[str, tuple[tuple[str, str, str], float]] = {
    "events_s_vs_quix": (("headrace", "quix", "events_s"), 2.2),
    "events_s_vs_floor_aiokafka": (("headrace", "floor_aiokafka", "events_s"), 1.2),
    "events_s_vs_kstreams_mem": (("headrace", "kstreams_mem", "events_s"), 1),
    "events_s_vs_flink_java": (("headrace", "flink_java", "events_s"), 1),
    "p50_ms_vs_floor": (("headrace", "floor_aiokafka", "p50_ms"), 1.5),
    "p99_ms_vs_floor": (("headrace", "floor_aiokafka", "p99_ms"), 1.5),
    "eos_events_s_vs_kstreams_eos": (("headrace_eos", "kstreams_eos", "events_s"), 1),
    "eos_p99_ms_vs_kstreams_eos": (("headrace_eos", "kstreams_eos", "p99_ms"), 1),
    "eos_events_s_vs_kstreams_mem_eos": (("headrace_eos", "kstreams_mem_eos", "events_s"), 1),
    "eos_p99_ms_vs_kstreams_mem_eos": (("headrace_eos", "kstreams_mem_eos", "p99_ms"), 1),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peerbench", type=Path, required=True)
    parser.add_argument("--rows", default=",".join(ROWS), help="of the peer bench and ours, by commas, or `all`")
    parser.add_argument("--do", default="check,sat,lat")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--name", default="reference-job")
    parser.add_argument("--no-figure", action="store_true")
    a, more = parser.parse_known_args()
    rows = ALL if a.rows == "all" else tuple(a.rows.split(","))
    prepare(a.peerbench.resolve(), rows)
    results = OUT / f"{a.name}-results.json"
    measured = run_bench(rows, ["--do", a.do, "--repeats", str(a.repeats), *more], results)
    table = {name: summary(row) for name, row in measured.items()}
    print(json.dumps({"rows": table, "ratios": ratios(table)}, indent=2))
    if not a.no_figure:
        path = figure.write(
            a.name,
            value=ratios(table),
            target=target(rows),
            command=f"python -m bench.reference --peerbench {a.peerbench} --rows {a.rows}",
            data_hash=figure.sha256(OUT / "gen.py", OUT / "impl" / "job.py"),
            rows=table,
        )
        print(path)


if __name__ == "__main__":
    main()
