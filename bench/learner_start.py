"""How long a learner's label queue takes to start: from the beginning of the logs, and from a checkpoint.

    python -m bench.learner_start [--orders 1000000]

The queue, feed, release and checkpoints are those of `headrace learn`; the logs are made up as they are read, with
vectors as long as the shop's, in chunks of a megabyte, so no broker is in the figures: what the network takes comes on
top. Orders come a second apart, and half of them are mature. The price: a few minutes, and 2 GB.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from array import array
from collections.abc import Sequence
from typing import Any, Final

from prometheus_client import CollectorRegistry

from archive.columns import Row
from bench import figure
from features.shop import shop_definitions
from schemas.ids import decision_id
from storage.places import Place, place_of
from streams.learner.checkpoint import PATH, About, Checkpoints
from streams.learner.feed import DECISIONS, LABELS, Accepted, Feed, sources_of
from streams.learner.metrics import LearnerMetrics
from streams.learner.queue import Ages
from streams.learner.queueing import Queueing
from streams.transport.log import Chunk
from streams.transport.output import Output

ORDERS: Final = 1_000_000
NEW: Final = 2_000  # orders since the checkpoint
PARTITIONS: Final = 4
AT_ONCE: Final = 256  # records of a fetch: a megabyte of the shop's
SECOND_MS: Final = 1_000
HASH: Final = "f" * 16
COLUMNS: Final = len(shop_definitions().vector.names)
VECTOR: Final = "[" + ",".join(f"{n * 7919 % 100_000 / 100:.2f}" for n in range(COLUMNS)) + "]"
FOR_EVER_S: Final = 1e9
TARGET: Final = {"times_faster": 10}


class Logs:
    """Logs of so many orders, and what is written to `matured`, without its vectors."""

    def __init__(self, orders: int) -> None:
        self.orders = orders
        self.matured = array("Q")  # the number of the order, by offset
        self.due_ms = array("q")

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        return 0, self._end(topic, partition)

    def _end(self, topic: str, partition: int) -> int:
        if topic == LABELS:
            return 0
        return len(self.matured) if topic == "matured" else (self.orders - partition + PARTITIONS - 1) // PARTITIONS

    async def fetch(self, topic: str, partition: int, position: int, *, max_bytes: int) -> Chunk:
        del max_bytes
        end = self._end(topic, partition)
        made = self._said if topic == "matured" else self._decided
        records: Any = [made(partition, offset) for offset in range(position, min(end, position + AT_ONCE))]
        return Chunk(records, position + len(records), end)

    def _decided(self, partition: int, offset: int) -> Row:
        return Row(offset, 0, b"k", self._body(offset * PARTITIONS + partition, "").encode(), ())

    def _said(self, partition: int, offset: int) -> Row:
        n = self.matured[offset]
        lies = f'"partition":{n % PARTITIONS},"offset":{n // PARTITIONS},'
        more = f'"due_ms":{self.due_ms[offset]},"label":0,"turn":1,{lies}'
        return Row(offset, partition, b"k", self._body(n, more).encode(), ())

    def _body(self, n: int, more: str) -> str:
        ids = f'"decision_id":"{decision_id(f"e{n}")}","order_id":"o-{n}","event_id":"e{n:012d}"'
        rest = f'"vector":{VECTOR},"members":{{}},"score":0.5,"feature_hash":"{HASH}"'
        return f'{{{ids},"at_ms":{n * SECOND_MS},{more}{rest}}}'

    async def send(self, outputs: Sequence[Output]) -> None:
        for one in outputs:
            value = one.value or b""
            self.matured.append(int(value[14:26]))  # {"event_id":"e000000000012",
            at = value.index(b'"due_ms":') + 9
            self.due_ms.append(int(value[at : value.index(b",", at)]))


async def start(logs: Any, place: Place, mature_ms: int) -> dict[str, float]:
    """One start until all is settled that is there, and its checkpoint is written."""
    metrics = LearnerMetrics(CollectorRegistry())
    about = About({DECISIONS: ("id", PARTITIONS)}, HASH, mature_ms, 4 * mature_ms, 0, 0, [])
    feed = Feed(logs, sources_of({DECISIONS: PARTITIONS, LABELS: 1}), Accepted(0, 0), idle_s=1.0, once=True)
    checkpoints = Checkpoints(place, about, FOR_EVER_S, metrics)
    began_s, cpu_s = time.perf_counter(), time.process_time()
    await Queueing(logs, logs, feed, Ages(mature_ms, 4 * mature_ms), metrics, checkpoints, once=True).run()
    return {"s": round(time.perf_counter() - began_s, 2), "cpu_s": round(time.process_time() - cpu_s, 2)}


async def measure(orders: int) -> dict[str, Any]:
    """The same logs, twice: with the checkpoint from before the newest orders, and without any."""
    logs, mature_ms = Logs(orders), orders * SECOND_MS // 2
    with tempfile.TemporaryDirectory() as folder:
        place = place_of(folder, "registry")
        place.check()
        await start(logs, place, mature_ms)
        size, said = sum(size for _, size in place.list()), len(logs.matured)
        logs.orders += NEW
        quick = await start(logs, place, mature_ms)
        place.remove(PATH)
        slow = await start(logs, place, mature_ms)
    times = round(slow["s"] / quick["s"], 1)
    return {
        "orders": orders,
        "mature": said,
        "new": NEW,
        "from_the_beginning": slow,
        "from_a_checkpoint": quick,
        "times_faster": times,
        "checkpoint_mb": round(size / 1e6, 1),
        "holds": times >= TARGET["times_faster"],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=ORDERS)
    a = parser.parse_args()
    value = asyncio.run(measure(a.orders))
    print(value, flush=True)
    if a.orders >= ORDERS:
        data_hash = figure.hash_of(VECTOR.encode())
        command = "python -m bench.learner_start"
        figure.write("learner-start", value=value, target=TARGET, command=command, data_hash=data_hash)
    return 0 if value["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
