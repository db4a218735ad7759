"""What decoding costs: us of CPU a record, all checks included, for records of several kinds.

    python -m bench.decode [--records 2000] [--rounds 15]

The best of several rounds, in CPU time, so that other load on the machine matters little; each round decodes a batch of
different records as a worker does. The price: caches are warmer than in a worker, where it costs up to twice that.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

from schemas.avro import schemas
from schemas.decode import Decoded, decode_batch
from streams.formats.plain import Plain, Values
from tests.support.schemas import Kept, as_written
from tests.support.schemas import avro as written
from tests.support.schemas import framed as behind
from tests.unit.schemas.builders import ORDER

Decode = Callable[[str, Values], Decoded]

AVRO = schemas()["orders"]
NAMED = {**ORDER, "items": [{**ORDER["items"][0], "item_name": "Läufer"}, ORDER["items"][1]]}
LONG = {**ORDER, "items": ORDER["items"] * 5}
LEAN = {name: ORDER[name] for name in ("type", "event_id", "event_time", "user_id", "order_id", "value", "currency")}
LEAN["items"] = [{"item_id": "sku-1001", "price": 129.97, "quantity": 1}]


def records(order: dict[str, Any], count: int, *, ascii_only: bool = False) -> list[bytes]:
    """Orders that differ in their ids."""
    return [
        json.dumps(
            {**order, "event_id": f"e-{at:016x}", "user_id": f"u-{at:05d}"},
            separators=(",", ":"),
            ensure_ascii=ascii_only,
        ).encode()
        for at in range(count)
    ]


def framed(values: list[bytes]) -> tuple[list[bytes], list[bytes], Plain]:
    """The same as a schema registry's serialisers write them, in Avro and in JSON, and what reads them."""
    kept = Kept()
    numbers = kept.keep(AVRO), kept.keep({}, "JSON")
    avro = [written(numbers[0], AVRO, as_written("orders", json.loads(value))) for value in values]
    return avro, [behind(numbers[1], value) for value in values], Plain(kept)


def us_each(values: list[bytes], rounds: int, decode: Decode) -> float:
    """CPU of decoding a batch, per record: the best of the rounds."""
    best = float("inf")
    for _ in range(rounds):
        started = time.process_time()
        decode("orders", values)
        best = min(best, time.process_time() - started)
    return best / len(values) * 1e6


def main() -> None:
    """Prints one line per kind of record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=15)
    chosen = parser.parse_args()
    kinds = {
        "all fields, ASCII": records(ORDER, chosen.records),
        "required fields only": records(LEAN, chosen.records),
        "a name in UTF-8": records(NAMED, chosen.records),
        "a name in escapes": records(NAMED, chosen.records, ascii_only=True),
        "ten items": records(LONG, chosen.records),
        "all bad: NaN": [value.replace(b"129.97", b"NaN") for value in records(ORDER, chosen.records)],
    }
    avro, behind_frames, plain = framed(kinds["all fields, ASCII"])
    every: list[tuple[str, list[bytes], Decode]] = [(name, values, decode_batch) for name, values in kinds.items()]
    every += [("all fields, Avro", avro, plain.decode_topic), ("framed JSON", behind_frames, plain.decode_topic)]
    for name, values, decode in every:
        print(f"{name:22} {len(values[0]):5} bytes {us_each(values, chosen.rounds, decode):7.2f} us")


if __name__ == "__main__":
    main()
