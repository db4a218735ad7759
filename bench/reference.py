"""The reference job beside its peers, in one run of the peer bench: `make bench PEERBENCH=DIR`.

The peer bench is copied to .cache/peerbench (its own folder may be read-only), the environments of the rows named are
made from its own setup script, our row is added to its table and its `run.py` does the rest: outputs checked against
the reference, three rounds of saturation, latency at 2,000 events/s. What comes out is docs/figures/reference-job.json:
ratios within one run, since machines drift.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench import figure

HERE = Path(__file__).resolve().parent
OUT = figure.ROOT / ".cache" / "peerbench"
ROWS = ("headrace", "quix", "floor_aiokafka")
VENVS = {"floor_aiokafka": "core", "floor_confluent": "core", "quix": "quix"}
# Adds our row and runs the bench: executed by the bench's own Python.
LAUNCH = """
import os, sys
sys.path.insert(0, {here!r})
import run
run.IMPLS["headrace"] = ("Headrace, bags in Valkey", ["bash", {row!r}], ["headrace_job.py"])
for name in ("headrace_eos",):
    run.IMPLS[name] = ("Headrace, exactly-once", ["bash", {row!r}], ["headrace_job.py"])
    run.ENV[name] = {{"HEADRACE_DELIVERY": "exactly-once"}}
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
    """Ours against the peers of the same run."""
    ours = rows.get("headrace", {})
    out: dict[str, float] = {}
    for peer in ("quix", "floor_aiokafka"):
        if ours.get("events_s") and rows.get(peer, {}).get("events_s"):
            out[f"events_s_vs_{peer}"] = round(ours["events_s"] / rows[peer]["events_s"], 2)
    floor = rows.get("floor_aiokafka", {})
    for key in ("p50_ms", "p99_ms"):
        if ours.get(key) and floor.get(key):
            out[f"{key}_vs_floor"] = round(ours[key] / floor[key], 2)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peerbench", type=Path, required=True)
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--do", default="check,sat,lat")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--name", default="reference-job")
    parser.add_argument("--no-figure", action="store_true")
    a = parser.parse_args()
    rows = tuple(a.rows.split(","))
    prepare(a.peerbench.resolve(), rows)
    results = OUT / f"{a.name}-results.json"
    measured = run_bench(rows, ["--do", a.do, "--repeats", str(a.repeats)], results)
    table = {name: summary(row) for name, row in measured.items()}
    print(json.dumps({"rows": table, "ratios": ratios(table)}, indent=2))
    if not a.no_figure:
        path = figure.write(
            a.name,
            value=ratios(table),
            target={"cpu_us": 14, "events_s_vs_quix": 2.2, "events_s_vs_floor_aiokafka": 1.2, "p99_ms_vs_floor": 1.5},
            command=f"make bench PEERBENCH={a.peerbench}",
            data_hash=figure.sha256(OUT / "gen.py", OUT / "impl" / "job.py"),
            rows=table,
        )
        print(path)


if __name__ == "__main__":
    main()
