"""`python -m bench.handbook JOB`, each a file of its name (judge: offline.py)."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from bench.handbook import runs, scorers, table, weeks
from bench.handbook.chosen import BLEND, KINDS
from bench.handbook.offline import SPLITS, judge, leaks
from bench.handbook.run import BOOK, run
from schemas.timestamps import epoch_ms
from streams.data.dataset import Window
from training import handbook

WHOLE: Final = ("2018-04-01", "2018-06-15", "2018-09-26")  # replayed from, written from, and until


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.handbook", description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("HEADRACE_DATA"))
    jobs = parser.add_subparsers(dest="job", required=True)
    job = jobs.add_parser("table", help="the shop's vectors of the transactions, without workers")
    job.add_argument("--out", type=Path, required=True)
    job.add_argument("--from", dest="since", default=WHOLE[0], help="replay from this day on")
    job.add_argument("--keep", default=WHOLE[1], help="write from this day on")
    job.add_argument("--to", dest="until", default=WHOLE[2], help="and up to before this day")
    job = jobs.add_parser("run", help="all of it through Kafka and the workers")
    job.add_argument("--out", type=Path, required=True, help="folder for fraud.ndjson, figures.json and the rest")
    job.add_argument("--kind", default=BLEND, choices=KINDS)
    job.add_argument("--warm", default=BOOK.warm, help="workers begin to remember on this day")
    job.add_argument("--embedded", action="store_true", help="the embedded broker in place of Apache Kafka")
    job = jobs.add_parser("runs", help="three such runs and what they differ by: docs/figures/handbook.json")
    job.add_argument("--out", type=Path, required=True, help="folder for the runs; one that is done is not done again")
    job = jobs.add_parser("plots", help="what a run found, drawn: docs/figures/handbook-*.svg")
    job.add_argument("--run", type=Path, required=True, help="folder of a run that is done")
    job = jobs.add_parser("weigh", help="the weights of the blend, on the weeks before the test")
    job.add_argument("--table", type=Path, required=True)
    job = jobs.add_parser("scorers", help="each kind alone and the blend: docs/figures/handbook-scorers.json")
    job.add_argument("--table", type=Path, help="made anew where none is given")
    job.add_argument("--jobs", type=int, default=2, help="processes")
    job = jobs.add_parser("judge", help="models on the table, by the book's protocol and on everything labelled")
    job.add_argument("--table", type=Path, required=True)
    job.add_argument("--kind", default=BLEND, choices=KINDS)
    job.add_argument("--mode", default="week", choices=sorted(SPLITS))
    job.add_argument("--choosing", action="store_true", help="on the weeks before the test")
    job.add_argument("--leaks", action="store_true", help="also what would tell of a leak, on the first of the weeks")
    job.add_argument("--out", type=Path, help="write it here, too")
    a = parser.parse_args()
    if a.job == "judge":
        return _judge(a)
    if a.job == "weigh":
        print(scorers.weigh(weeks.read(a.table)))
        return 0
    if a.data is None:
        parser.error("give the folder of the recorded data: --data DIR or HEADRACE_DATA")
    if a.job == "run":
        days = replace(BOOK, warm=a.warm)
        print(json.dumps(run(a.data, a.out.resolve(), days, kind=a.kind, kafka=not a.embedded)["value"], indent=2))
        return 0
    if a.job == "runs":
        print(runs.runs(a.data, a.out.resolve()))
        return 0
    if a.job == "plots":
        from bench.handbook import plots  # matplotlib takes a second

        print(*plots.draw(a.data, a.run), sep="\n")
        return 0
    if a.job == "scorers":
        return _scorers(a)
    print(_table(a.data, a.out, a.since, a.keep, a.until))
    return 0


def _table(data: Path, out: Path, since: str, keep: str, until: str) -> Mapping[str, Any]:
    end_ms = _ms(until)
    return table.write(data, out, Window(_ms(since), end_ms), Window(_ms(keep), end_ms))


def _scorers(a: argparse.Namespace) -> int:
    data_hash = handbook.data_hash(handbook.path_in(a.data))
    if a.table is not None:
        print(scorers.write(a.table, data_hash, a.jobs))
        return 0
    with tempfile.TemporaryDirectory(prefix="headrace-handbook-") as folder:
        made = Path(folder) / "table.parquet"
        _table(a.data, made, *WHOLE)
        print(scorers.write(made, data_hash, a.jobs))
    return 0


def _judge(a: argparse.Namespace) -> int:
    read = weeks.read(a.table)
    tests = weeks.CHOOSING if a.choosing else weeks.TESTS
    found = judge(read, a.kind, tests, a.mode) | {"table": dict(read.about)}
    if a.leaks:
        found["leaks"] = leaks(read, a.kind, tests[0], a.mode)
    text = json.dumps(found, indent=2)
    print(text)
    if a.out:
        a.out.write_text(text + "\n")
    return 0


def _ms(date: str) -> int:
    at_ms, bad = epoch_ms([f"{date}T00:00:00Z"])
    if bad[0]:
        raise SystemExit(f"{date!r}: want a date, as in 2018-08-08")
    return int(at_ms[0])


if __name__ == "__main__":
    sys.exit(main())
