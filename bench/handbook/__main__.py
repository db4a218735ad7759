"""`python -m bench.handbook table|judge|run`: see table.py, offline.py and run.py."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

from bench.handbook import table, weeks
from bench.handbook.chosen import CHOSEN
from bench.handbook.offline import SPLITS, judge, leaks
from bench.handbook.run import BOOK, run
from schemas.timestamps import epoch_ms
from streams.data.dataset import Window


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.handbook", description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("HEADRACE_DATA"))
    jobs = parser.add_subparsers(dest="job", required=True)
    job = jobs.add_parser("table", help="the shop's vectors of the transactions, without workers")
    job.add_argument("--out", type=Path, required=True)
    job.add_argument("--from", dest="since", default="2018-04-01", help="replay from this day on")
    job.add_argument("--keep", default="2018-06-15", help="write from this day on")
    job.add_argument("--to", dest="until", default="2018-09-26", help="and up to before this day")
    job = jobs.add_parser("run", help="all of it through Kafka and the workers")
    job.add_argument("--out", type=Path, required=True, help="folder for fraud.ndjson, figures.json and the rest")
    job.add_argument("--kind", default="boosted", choices=sorted(CHOSEN))
    job.add_argument("--warm", default=BOOK.warm, help="workers begin to remember on this day")
    job.add_argument("--embedded", action="store_true", help="the embedded broker in place of Apache Kafka")
    job = jobs.add_parser("judge", help="models on the table, by the book's protocol and on everything labelled")
    job.add_argument("--table", type=Path, required=True)
    job.add_argument("--kind", default="boosted", choices=sorted(CHOSEN))
    job.add_argument("--mode", default="week", choices=sorted(SPLITS))
    job.add_argument("--choosing", action="store_true", help="on the weeks before the test")
    job.add_argument("--leaks", action="store_true", help="also what would tell of a leak, on the first of the weeks")
    job.add_argument("--out", type=Path, help="write it here, too")
    a = parser.parse_args()
    if a.job == "judge":
        return _judge(a)
    if a.data is None:
        parser.error("give the folder of the recorded data: --data DIR or HEADRACE_DATA")
    if a.job == "run":
        days = replace(BOOK, warm=a.warm)
        print(json.dumps(run(a.data, a.out.resolve(), days, kind=a.kind, kafka=not a.embedded)["value"], indent=2))
        return 0
    until = _ms(a.until)
    print(table.write(a.data, a.out, Window(_ms(a.since), until), Window(_ms(a.keep), until)))
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
