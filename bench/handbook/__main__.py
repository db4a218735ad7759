"""`python -m bench.handbook table`: see each module."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from bench.handbook import table
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
    a = parser.parse_args()
    if a.data is None:
        parser.error("give the folder of the recorded data: --data DIR or HEADRACE_DATA")
    until = _ms(a.until)
    print(table.write(a.data, a.out, Window(_ms(a.since), until), Window(_ms(a.keep), until)))
    return 0


def _ms(date: str) -> int:
    at_ms, bad = epoch_ms([f"{date}T00:00:00Z"])
    if bad[0]:
        raise SystemExit(f"{date!r}: want a date, as in 2018-08-08")
    return int(at_ms[0])


if __name__ == "__main__":
    sys.exit(main())
