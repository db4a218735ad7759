"""What the learner costs: an order that waits, a record that is read at the start, a label that is learned.

    python -m bench.learner [--orders 1000000] [--rows 5000]

CPU of one process, without a broker: what the reading costs beside it is the network's. Rows are of the shop's own
vector, with values of no meaning: what a forest costs grows with what it has seen.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import orjson

from archive.columns import Row as Kept
from features.shop import shop_definitions
from schemas.decisions import encode
from schemas.ids import decision_id, hash64
from schemas.matured import Matured, decode_matured
from streams.learner.feed import decided
from streams.learner.merge import Merge
from streams.learner.online import Kind, Online, Row, Vectors
from streams.learner.queue import Ages, Decided, Heard, Queue
from streams.learner.said import Said, decision_of
from training.online.learner import kinds, learner_of

DAY_MS: Final = 86_400_000
PARTITIONS: Final = 4
VECTOR: Final = shop_definitions().vector


def waiting(orders: int) -> dict[str, float]:
    """Orders a second apart over some partitions, none of which matures."""
    merge: Merge[Decided | Heard] = Merge(PARTITIONS)
    queue, began = Queue(Ages(1_000 * DAY_MS, 1_000 * DAY_MS), Said()), time.process_time()
    for n in range(orders):
        made = Decided(hash64(f"o-{n}"), decision_of(decision_id(f"e-{n}")), n * 1_000, n % PARTITIONS, n)
        merge.add(n % PARTITIONS, n * 1_000, made)
        if n % 1_000 == 999:
            for at_ms, item in merge.take():
                queue.take(at_ms, item)
            queue.advance(merge.bound())
    seconds = time.process_time() - began
    return {"us": seconds / orders * 1e6, "bytes": queue.orders.bytes / len(queue.orders)}


def reading(records: int) -> float:
    """us a record of `decisions`."""
    rng = np.random.default_rng(1)
    kept = []
    for n in range(records):
        body = {"decision_id": decision_id(f"e{n}"), "order_id": f"o-{n}", "at_ms": n}
        body["vector"] = rng.random(len(VECTOR.names)).tolist()
        kept.append(Kept(n, 0, b"k", orjson.dumps(body), ()))
    began = time.process_time()
    count = sum(1 for _ in decided(0, kept))
    return (time.process_time() - began) / count * 1e6


def learning(kind: str, rows: int) -> dict[str, float]:
    """us a record of `matured`, decoded and learned by the model's own settings; and its state."""
    made = learner_of(kind)
    vectors = Vectors(VECTOR.names, VECTOR.hash)
    model = Online.new(Kind(kind, made, lambda state, _names: made.of_state(state)), vectors, "")
    values = [encode(record) for record in records_of(rows)]
    began = time.process_time()
    for start in range(0, rows, 500):
        model.take([Row(n, decode_matured(values[n])) for n in range(start, min(rows, start + 500))])
    seconds, began = time.process_time() - began, time.process_time()
    snapshot = model.snapshot()
    kept_s = time.process_time() - began
    return {"us": seconds / rows * 1e6, "snapshot_ms": kept_s * 1e3, "state_kb": len(snapshot.state) / 1e3}


def records_of(rows: int) -> Iterator[Matured]:
    """One in a hundred is a fraud."""
    rng = np.random.default_rng(2)
    for n in range(rows):
        vector = np.round(rng.lognormal(1.0, 1.0, len(VECTOR.names)), 3).tolist()
        yield Matured(
            f"e{n:09d}", decision_id(f"e{n}"), f"o{n}", n, n + 1, 1 if n % 100 == 0 else 0, None, None, 1, vector,
            VECTOR.hash, 0, n, 0.0, {},
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, default=5_000)
    given = parser.parse_args()
    found: dict[str, Any] = {
        "orders": given.orders,
        "rows": given.rows,
        "columns": len(VECTOR.names),
        "waiting": waiting(given.orders),
        "reading_us": reading(20_000),
        "learning": {kind: learning(kind, given.rows) for kind in kinds()},
    }
    print(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())


if __name__ == "__main__":
    main()
