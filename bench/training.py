"""What it takes to train each kind of model on two cores: seconds, and memory beside that of the vectors.

    python -m bench.training [--orders 20000]

Made-up orders with as many columns as the shop's vector, of which a tenth tell of fraud. Each kind is fitted once, with
its own defaults, by the code of `headrace train`, in a process of its own that may use two cores. A kind whose library
is not installed is left out. numpy works on one core: its threads wait for each other where a machine has other work.
The price: some minutes.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench import figure
from features.shop import shop_definitions
from training.batch.members import KINDS, Offer, fit
from training.batch.step import Limit
from training.batch.table import Table

ORDERS: Final = 20_000
CORES: Final = 2
DAYS: Final = 30
MB: Final = 1_000_000
TARGET: Final = {"logistic.more_mb": 200}  # a copy of the vectors, and not five


def table(orders: int) -> Table:
    """The same every time: lognormal columns, a fraud in fifty."""
    rng, names = np.random.default_rng(1), shop_definitions().vector.names
    x = rng.lognormal(1.0, 1.5, (orders, len(names)))
    weight = rng.normal(0.0, 1.0, len(names)) * (rng.random(len(names)) < 0.1)
    told = np.log2(1.0 + x) @ weight
    return Table(
        x=x,
        fraud=told + rng.logistic(0.0, 1.0, orders) > np.quantile(told, 0.98),
        at_ms=np.sort(rng.integers(0, DAYS * 86_400_000, orders)),
        owner=rng.integers(0, orders // 5, orders),
        types=(None,) * orders,
        names=names,
        feature_hash="f" * 16,
        hash="made up",
    )


def fitted(kind: str, orders: int) -> dict[str, float]:
    """In a process of its own, so that its memory is its own."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    made = table(orders)
    Path("/proc/self/clear_refs").write_text("5")  # the peak is what is there now: making orders up does not count
    before_mb, began_s, cpu_s = _peak_mb(), time.perf_counter(), time.process_time()
    fit(kind, made, Offer(1, Limit(time.monotonic), lambda _: None, threads=CORES))
    return {
        "s": round(time.perf_counter() - began_s, 1),
        "cpu_s": round(time.process_time() - cpu_s, 1),
        "peak_mb": _peak_mb(),
        "more_mb": _peak_mb() - before_mb,
    }


def _peak_mb() -> int:
    """Of this process alone: getrusage tells what the one had that started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 // MB


def measure(orders: int) -> dict[str, Any]:
    """Every kind, one after the other."""
    found = dict[str, Any]()
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # of the processes that are started: each loads its own
    for kind in (name for name, one in KINDS.items() if one.missing is None):
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            found[kind] = pool.submit(fitted, kind, orders).result()
        print(kind, found[kind], file=sys.stderr, flush=True)
    columns = len(shop_definitions().vector.names)
    holds = found["logistic"]["more_mb"] <= TARGET["logistic.more_mb"]
    about = {"orders": orders, "columns": columns, "cores": CORES, "vectors_mb": orders * columns * 8 // MB}
    return about | {"kinds": found, "holds": holds}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=ORDERS)
    a = parser.parse_args()
    value = measure(a.orders)
    print(value, flush=True)
    if a.orders >= ORDERS:
        data_hash = figure.hash_of(table(1_000).x.tobytes())
        figure.write("training", value=value, target=TARGET, command="python -m bench.training", data_hash=data_hash)
    return 0 if value["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
