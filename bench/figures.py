"""Every figure of docs/figures, measured anew or shown: `make figures`.

    python -m bench.figures [--only NAME ...] [--peerbench DIR] [--data DIR] [--minutes 20]
    python -m bench.figures --list        what the files say, nothing is measured

Each bench is a process of its own, one after the other, for they would measure each other. One whose needs are absent
(Java, the recorded data, the peer bench) is skipped with the reason, and its files stay as they are. Exit 0: everything
that ran ended well and holds; 1: something did not. The price: four hours for all of it, of a machine that does
nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from bench import figure
from bench.page.browser import AbsentError, chromium

HEADRACE = str(Path(sys.executable).with_name("headrace"))
REQUIRED = ("name", "value", "target", "command", "data_hash", "revision", "machine")
Need = Literal["java", "data", "peerbench", "torch", "chromium"]
Figure = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Options:
    """What the benches are told."""

    peerbench: Path | None
    data: Path | None
    minutes: float
    scratch: Path  # for what a bench leaves besides its figure


@dataclass(frozen=True, slots=True)
class Bench:
    """A command and the figures that it writes; `shown` are the places in a figure that its line of the table gives."""

    name: str
    figures: tuple[str, ...]
    argv: Callable[[Options], Sequence[str]]
    needs: tuple[Need, ...]
    shown: tuple[str, ...]


def module(name: str, *words: str) -> Callable[[Options], Sequence[str]]:
    return lambda _: (sys.executable, "-m", f"bench.{name}", *words)


def fit(name: str, *words: str) -> Callable[[Options], Sequence[str]]:
    """The model is made again as well, and thrown away: the one that ships is replaced by hand."""
    path = str(figure.FIGURES / f"{name}.json")
    return lambda o: (HEADRACE, "fit", "--data", str(o.data), "--out", str(o.scratch), *words, "--figure", path)


def soak(*words: str) -> Callable[[Options], Sequence[str]]:
    return lambda o: (sys.executable, "-m", "bench.soak", "--minutes", f"{o.minutes:g}", *words)


CRASH = ("crash", "crash-exactly-once", "crash-cluster", "crash-embedded", "crash-rollback", "crash-mutations")
RECORDED = ("recorded-ga360", "recorded-fraud-handbook")
FITTED = ("value.auc.value", "value.ap.value", "value.cp100.value", "gain.auc.low")
COUNTED = ("value.events", "value.decisions", "value.anomalies")
FLAT = (
    "minutes", "value.worker_mb_slope_percent", "value.store_mb_slope_percent", "value.keys_slope_percent",
    "value.series_slope_percent", "value.bags_left",
)  # fmt: skip
FIVE = "five-entities"
PLAIN, SHARP = "fraud-handbook-logistic", "fraud-handbook-logistic-sharp"

BENCHES = (
    Bench("startup", ("install",), module("startup"), (), ("value.help_ms", "value.installed_mb")),
    Bench("image", ("image",), module("image"), (), ("value.installed_mb", "value.kernel_s")),
    Bench(
        "doctor",
        ("doctor",),
        module("doctor"),
        ("java",),
        tuple(f"value.{case}.{what}" for case in ("well", "never_answers") for what in ("median_s", "most_s")),
    ),
    Bench(
        "page",
        ("page",),
        module("page.measure"),
        ("chromium",),
        ("value.first_number_s.max", "value.attack_seen_s.max", "value.bytes", "value.axe_serious_or_critical"),
    ),
    Bench("assess", ("assess",), module("assess"), (), ("value.p50_ms", "value.p99_ms")),
    Bench("fit", (PLAIN,), fit(PLAIN), ("data",), FITTED),
    Bench("fit-sharp", (SHARP,), fit(SHARP, "--sharp"), ("data",), FITTED),
    Bench(
        "online",
        ("online-handbook",),
        lambda o: (sys.executable, "-m", "bench.online", "--data", str(o.data)),
        ("data",),
        ("value.adaptive_forest, 7 days late.periods.2018-08-08.ap.value",
         "value.online_logistic, 7 days late.periods.2018-08-08.ap.value"),
    ),
    Bench(
        "handbook",
        ("handbook",),
        lambda o: (
            *(sys.executable, "-m", "bench.handbook", "--data", str(o.data)),
            *("runs", "--out", str(o.scratch / "handbook")),
        ),
        ("java", "data"),
        ("value.auc.value", "value.ap.value", "value.cp100.value", "value.apart.ap"),
    ),
    Bench(
        "handbook-scorers",
        ("handbook-scorers",),
        lambda o: (sys.executable, "-m", "bench.handbook", "--data", str(o.data), "scorers"),
        ("data", "torch"),
        ("value.week.mean.blend.ap", "value.everything.mean.blend.ap",
         "value.everything.weeks.2018-08-08.blend.ap.value"),
    ),
    Bench(
        "handbook-windows",
        ("handbook-windows",),
        lambda o: (sys.executable, "-m", "bench.handbook_windows", "--data", str(o.data)),
        ("data",),
        ("value.keep 16.ap_lost", "value.keep 256.ap_lost", "holds"),
    ),
    Bench(
        "recorded",
        RECORDED,
        lambda o: (sys.executable, "-m", "bench.recorded", "--data", str(o.data)),
        ("data",),
        COUNTED,
    ),
    Bench(
        "recorded-kafka",
        tuple(f"{name}-kafka" for name in RECORDED),
        lambda o: (sys.executable, "-m", "bench.recorded", "--kafka", "--data", str(o.data)),
        ("java", "data"),
        COUNTED,
    ),
    Bench(
        "full_vector",
        ("full-vector",),
        module("full_vector"),
        ("java",),
        tuple(
            f"value.{delivery}.{name}"
            for delivery in ("at-least-once", "two-stores", "exactly-once")
            for name in ("orders_s", "worker_us", "store_us", "share_under_1kb", "largest_bytes")
        ),
    ),
    Bench(
        "reference",
        ("reference-job",),
        lambda o: (sys.executable, "-m", "bench.reference", "--peerbench", str(o.peerbench), "--rows", "all"),
        ("java", "peerbench"),
        ("rows.headrace.events_s", "rows.headrace.cpu_us", "value.events_s_vs_quix",
         "value.events_s_vs_floor_aiokafka", "value.events_s_vs_kstreams_mem", "value.events_s_vs_flink_java",
         "value.p50_ms_vs_floor", "value.p99_ms_vs_floor", "value.eos_events_s_vs_kstreams_eos",
         "value.eos_p99_ms_vs_kstreams_eos"),
    ),
    Bench(
        "wire",
        ("wire-security",),
        module("wire"),
        ("java",),
        ("value.kafka-tls.of_plain", "value.store-tls.of_plain", "value.kafka-tls-scram-store-tls.of_plain",
         "value.login_of_tls"),
    ),
    Bench(
        "keys",
        ("keys",),
        lambda o: (sys.executable, "-m", "bench.keys", "--peerbench", str(o.peerbench)),
        ("peerbench",),
        ("value.off.reference", "value.off.shop"),
    ),
    Bench(
        "sessions",
        ("sessions",),
        module("sessions", "--figure"),
        (),
        ("value.told.bot.told", "value.told.cart_stuffing.told", "value.told.normal.told",
         "value.us_a_click.250.scored"),
    ),
    Bench("soak", ("soak",), soak(), ("java",), FLAT),
    Bench("soak-embedded", ("soak-embedded",), soak("--embedded"), (), FLAT),
    Bench(
        "budget",
        ("budget",),
        module("budget"),
        (),
        ("value.worst_off", "value.total_off", "value.keys", "value.used_mb", "value.predicted_mb"),
    ),
    Bench(
        "scorers",
        ("scorers",),
        module("scorers"),
        (),
        ("value.boosted.us.1", "value.boosted.us.256", "value.boosted.contributions_us", "value.forest.us.256",
         "value.network.us.256", "value.blend.us.256", "holds"),
    ),
    Bench(
        "year",
        ("year",),
        module("year"),
        (),
        ("value.packed.deployed_ms", "value.unpacked.deployed_ms", "value.packed.since_s", "value.unpacked.since_s",
         "value.packed.gc_s", "value.deploy_ms", "holds"),
    ),
    Bench(
        "training",
        ("training",),
        module("training"),
        (),
        tuple(f"value.kinds.{kind}.{what}" for kind in ("logistic", "boosted") for what in ("cpu_s", "more_mb")),
    ),
    Bench(
        "learner_start",
        ("learner-start",),
        module("learner_start"),
        (),
        ("value.from_the_beginning.s", "value.from_a_checkpoint.s", "value.checkpoint_mb", "holds"),
    ),
    Bench(
        "stack",
        ("stack",),
        module("stack"),
        ("java",),
        tuple(f"value.{one}.{name}" for one in ("shipped", "stack") for name in ("orders_s", "worker_us", "p99_ms")),
    ),
    Bench(
        "explain",
        ("explain",),
        module("explain"),
        ("java",),
        ("value.explained", "value.equal", "value.vectors_equal", "value.configurations"),
    ),
    Bench(
        "archive",
        ("archive",),
        module("archive"),
        ("java",),
        ("value.events", "value.kills", "value.missing", "value.twice", "value.overlaps", "value.seconds"),
    ),
    Bench(
        "parity",
        ("parity",),
        module("parity"),
        ("java",),
        ("value.compared", "value.mismatches", "value.oracle.compared", "value.oracle.mismatches",
         "value.replay_orders_per_cpu_s"),
    ),
    Bench(
        "training_set",
        ("training-set",),
        module("training_set"),
        (),
        ("value.logged.rows_s", "value.replayed.rows_s", "value.duckdb_1.rows_s", "value.duckdb_3.rows_s",
         "value.values_that_differ"),
    ),
    Bench(
        "network",
        ("network",),
        module("network"),
        ("torch",),
        tuple(f"value.us_a_row.{batch}.{way}" for batch in (1, 18, 256) for way in ("whole", "eager_torch")),
    ),
    Bench(
        "crash",
        CRASH,
        module("crash"),
        ("java",),
        ("value.kills_with_open_range", "value.decisions_published_twice", "value.state_equal",
         "value.standstill.worker-kill.standstill_s.max", "value.mutations_found"),
    ),
)  # fmt: skip


def missing(need: Need, options: Options) -> str | None:
    """Why a need is not met; None where it is."""
    if need == "java":
        return None if shutil.which("java") else "java is not on the PATH: Apache Kafka needs Java 17"
    if need == "data":
        there = options.data is not None and options.data.is_dir()
        return None if there else f"no recorded data at {options.data}: give its folder (--data DIR or HEADRACE_DATA)"
    if need == "torch":
        return None if find_spec("torch") else "torch is not installed: pip install 'headrace[train]' (3.4 GB)"
    if need == "chromium":
        try:
            chromium()
        except AbsentError as error:
            return str(error)
        return None
    there = options.peerbench is not None and (options.peerbench / "run.py").is_file()
    return None if there else f"no peer bench at {options.peerbench}: give its folder (--peerbench DIR)"


def at(found: Figure, place: str) -> Any:
    """What is at `a.b.c` of a figure; None where there is nothing."""
    here: Any = found
    for name in place.split("."):
        here = here.get(name) if isinstance(here, Mapping) else None
    return here


def holds(found: Figure) -> bool | None:
    """Whether a figure meets its target; None where its file does not say and no rule here does."""
    for place in ("holds", "value.holds"):
        if (said := at(found, place)) is not None:
            return bool(said)
    rule = RULES.get(found["name"])
    return rule(found) if rule else None


def _install(found: Figure) -> bool:
    return all(found["value"][name] <= most for name, most in found["target"].items())


def _full_vector(found: Figure) -> bool:
    least, most = found["target"]["share_under_1kb"], found["target"]["largest_bytes"]
    rows = found["value"].values()
    wanted = found["target"].get("orders_s", 0)  # of a vector of some 60 columns and five entities
    fast = max((row["orders_s"] for name, row in found["value"].items() if name.startswith(FIVE)), default=0) >= wanted
    return fast and all(row["share_under_1kb"] >= least and row["largest_bytes"] <= most for row in rows)


def _reference(found: Figure) -> bool:
    """`cpu_us` and latencies are at most what the target says, rates at least; every row's outputs are right."""
    value = found["value"] | {"cpu_us": found["rows"]["headrace"]["cpu_us"]}
    most = {name: want for name, want in found["target"].items() if name == "cpu_us" or "_ms_" in name}
    least = {name: want for name, want in found["target"].items() if name not in most}
    return (
        all(value.get(name, float("inf")) <= want for name, want in most.items())
        and all(value.get(name, 0) >= want for name, want in least.items())
        and all(row["outputs_ok"] for row in found["rows"].values())
    )


RULES: Mapping[str, Callable[[Figure], bool]] = {
    "install": _install,
    "image": _install,
    "full-vector": _full_vector,
    "reference-job": _reference,
}


def read(name: str) -> Figure | None:
    """A figure as its file has it; None where it was never measured."""
    path = figure.FIGURES / f"{name}.json"
    content: Figure | None = json.loads(path.read_text()) if path.is_file() else None
    return content


def line(bench: Bench, name: str) -> str:
    """Name, verdict, values, target and revision of one figure."""
    found = read(name)
    if found is None:
        return f"{name:30} never measured: python -m bench.figures --only {bench.name}"
    verdict = {True: "holds", False: "DOES NOT", None: "-"}[holds(found)]
    values = ", ".join(
        f"{_word(place)} {_short(value)}" for place in bench.shown if (value := at(found, place)) is not None
    )
    return f"{name:30} {verdict:9} {values}   target: {_short(found['target'])}   ({found['revision']})"


def _word(place: str) -> str:
    """`value.standstill.max` -> `standstill.max`."""
    return place.split(".", 1)[1].removesuffix(".value") if "." in place else place


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_short(one)}" for name, one in value.items())
    return f"{value:,.6g}" if isinstance(value, float) else str(value)


def measure(bench: Bench, options: Options) -> bool | None:
    """Runs one bench; whether it ended well, None where it was skipped."""
    for need in bench.needs:
        if (why := missing(need, options)) is not None:
            print(f"== {bench.name}: skipped: {why}", flush=True)
            return None
    argv = bench.argv(options)
    print(f"== {bench.name}: {' '.join(argv)}", flush=True)
    return subprocess.run(argv, cwd=figure.ROOT, check=False).returncode == 0


def chosen(names: Sequence[str] | None) -> list[Bench]:
    """The benches of these names, or of these figures; all where none is named."""
    known = {name for bench in BENCHES for name in (bench.name, *bench.figures)}
    if unknown := sorted(set(names or ()) - known):
        sys.exit(f"no such figure: {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    return [bench for bench in BENCHES if not names or {bench.name, *bench.figures} & set(names)]


def main() -> int:
    data = os.environ.get("HEADRACE_DATA")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="NAME", help="a bench or a figure; may be given again")
    parser.add_argument("--peerbench", type=Path)
    parser.add_argument("--data", type=Path, default=Path(data) if data else None)
    parser.add_argument("--minutes", type=float, default=20.0, help="of the soak")
    parser.add_argument("--list", action="store_true", help="show the figures that are there")
    a = parser.parse_args()
    benches = chosen(a.only)
    well = a.list or measured(benches, a)
    for bench in benches:
        for name in bench.figures:
            print(line(bench, name))
    return 0 if well else 1


def measured(benches: Sequence[Bench], a: argparse.Namespace) -> bool:
    """Runs the benches; whether all that ran ended well and hold."""
    with tempfile.TemporaryDirectory(prefix="headrace-figures-") as scratch:
        options = Options(a.peerbench, a.data, a.minutes, Path(scratch))
        ended = {bench.name: measure(bench, options) for bench in benches}
    written = [read(name) for bench in benches if ended[bench.name] for name in bench.figures]
    return False not in ended.values() and all(found is None or holds(found) is not False for found in written)


if __name__ == "__main__":
    sys.exit(main())
