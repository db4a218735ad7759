"""A thousand decisions made again, after three promotions and two edits of the rules, on Apache Kafka.

    python -m bench.explain [--orders 20000] [--sample 1000]

Two workers decide orders by the stack that a shop trains (bench/scorers_made.py): boosted trees alone, then the
blend, then the blend with other weights, each promoted while they run; then the rules are edited twice, for which
they are started anew. The archive writes it all down. Then `headrace explain --sample N --replay` rebuilds decisions
by lot: event, vector, each member's score, rules, reasons. It holds where all of them have the same bytes as then.
The price: five minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from bench import figure
from bench.full_vector import Order, orders, preload
from bench.handbook.ground import Ground, argv_of, begin
from bench.scorers_made import NAMES, make_blend, make_boosted
from features.shop import shop_definitions
from models.blend import Blend
from models.calibration import Beta
from models.deployments import promoted
from models.scorer import Scorer
from schemas.deployments import Ref
from streams.embedded.processes import Children

RULES: Final = figure.ROOT / "models" / "default" / "rules.toml"
NEW_RULE: Final = """
[[rule]]
name = "dear_{amount}"
code = "DEAR"
text = "an order of {{order_amount:.2f}}"
when = "order_amount > {amount}"
action = "review"
"""


def rules(edits: int) -> str:
    """The shop's own, and a rule more for each edit."""
    return RULES.read_text() + "".join(NEW_RULE.format(amount=60 * (n + 1)) for n in range(edits))


def models() -> list[Scorer]:
    """Three that are promoted one after the other."""
    blend = make_blend().scorer
    assert isinstance(blend, Blend)
    weights = {name: 1.5 * weight for name, weight in blend.weights.items()}
    return [make_boosted().scorer, blend, Blend(blend.scorers, weights, Beta(1.0, 1.0, 1.0), NAMES)]


def decide(ground: Ground, some: list[Order]) -> None:
    """Sends these orders and waits until each is decided."""
    asyncio.run(preload(ground.settings.kafka.brokers, some))
    time.sleep(1.0)
    report = ground.audit()
    if not report["holds"] or report["pending"]:
        sys.exit(f"not decided: {report}")


def story(ground: Ground, folder: Path, made: list[Order]) -> None:
    """Promotions while workers run, then edits of the rules, a fifth of the orders after each."""
    path, put = folder / "rules.toml", [_put(ground, model) for model in models()]
    path.write_text(rules(0))
    ground.environment = {**ground.environment, "HEADRACE_RULES": str(path)}
    ground.start_archive()
    ground.start_workers()
    fifth = len(made) // 5
    parts = iter([made[at : at + fifth] for at in range(0, len(made), fifth)])
    for ref in put:
        ground.registry.deploy(promoted(ref), why="bench", by="bench")
        ground.await_deployment(ground.registry.deployed().number)
        decide(ground, next(parts))
    for edit in (1, 2):
        ground.stop_workers()
        path.write_text(rules(edit))
        ground.start_workers()
        decide(ground, next(parts))
    ground.await_archive()
    ground.stop_workers()


def _put(ground: Ground, model: Scorer) -> Ref:
    about: dict[str, Any] = {"metrics": {}, "data": {}, "seed": 0, "revision": figure.revision()}
    manifest = ground.registry.put(model, name="stack", feature_hash=shop_definitions().vector.hash, **about)
    return Ref(manifest.name, manifest.version, manifest.model_hash)


def explained(ground: Ground, sample: int) -> tuple[list[Mapping[str, Any]], float]:
    """What `headrace explain` says of decisions by lot, and in how many seconds."""
    words = ("explain", "--sample", str(sample), "--replay", "--settled", "0", "--json")
    begun = time.monotonic()
    done = subprocess.run(argv_of(words), env=ground.told(), cwd=figure.ROOT, stdout=subprocess.PIPE, check=False)
    return [json.loads(line) for line in done.stdout.splitlines()], time.monotonic() - begun


def main() -> int:
    """Prints and writes how many were equal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=20_000)
    parser.add_argument("--sample", type=int, default=1_000)
    chosen = parser.parse_args()
    made = orders(chosen.orders)
    with Children() as children, TemporaryDirectory() as folder:
        ground = begin(children, Path(folder), Path(folder))
        story(ground, Path(folder), made)
        told, seconds = explained(ground, chosen.sample)
    value = {
        "explained": len(told),
        "equal": sum(one["equal"] for one in told),
        "vectors_equal": sum(one["vector_equal"] is True for one in told),
        "configurations": len({one["config"] for one in told}),
        "by_model": dict(sorted(Counter(one["model"]["version"] for one in told).items())),
        "by_action": dict(sorted(Counter(one["action"] for one in told).items())),
        "seconds": round(seconds, 1),
    }
    print(value)
    for one in [one for one in told if not (one["equal"] and one["vector_equal"])][:3]:
        print(json.dumps(one)[:2_000])
    holds = value["equal"] == value["vectors_equal"] == chosen.sample and value["configurations"] == 5
    if chosen.sample >= 1_000:
        figure.write(
            "explain",
            value=value,
            target={"equal": chosen.sample, "vectors_equal": chosen.sample, "configurations": 5},
            command="python -m bench.explain",
            data_hash=figure.hash_of(b"".join(value for _, value, _ in made)),
            holds=holds,
        )
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
