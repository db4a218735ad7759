"""What a year of a learner leaves in a registry, and what it costs whoever comes to it.

    python -m bench.year [--deployments 52560]

As many deployments as there are ten minutes in a year, each of another snapshot of one online member, and a folder for
each snapshot: what a worker asks when it starts, what `headrace status`, a promotion and a learner's start ask, and a
`gc` that finds nothing to remove. Asked of one file for each, as an older Headrace left them, and once they are packed.
The price: a few minutes, and 300,000 small files for as long.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace

from bench import figure
from models.collecting import collect
from models.deployments import champion_since_ms, online
from models.registry import Registry
from schemas.decisions import encode
from schemas.deployments import Deployment, Ref
from storage.places import place_of
from streams.models import desk

YEAR: Final = 365 * 24 * 6
CHANGES: Final = 100
MEMBER: Final = "online_logistic"
TARGET: Final = {"deployed_ms": 100}


def version(number: int) -> str:
    return f"{number * 1_000:020d}"


def deployments(folder: Path, count: int) -> None:
    """A champion, and then a snapshot of its member every time, as an older Headrace left them; past the syncing."""
    (folder / "deployments").mkdir()
    made = Deployment(1, Ref("shop", "1", "a" * 64), (), {}, 0, "the first", "bench")
    for number in range(1, count + 1):
        if number > 1:
            one = online({MEMBER: Ref(MEMBER, version(number), f"{number:064d}")})(made)
            made = replace(one, number=number, at_ms=number * 600_000, why="a snapshot", by="bench")
        (folder / "deployments" / f"{number:08d}.json").write_bytes(encode(made))


def snapshots(folder: Path, count: int) -> None:
    """What is asked of them: that they are there."""
    for number in range(2, count + 1):
        (folder / MEMBER / version(number)).mkdir(parents=True)
        for file in ("claim.json", "manifest.json", "model.json"):
            (folder / MEMBER / version(number) / file).write_bytes(b"{}")


def measure(count: int) -> dict[str, Any]:
    """In a folder, without packs and with them."""
    with tempfile.TemporaryDirectory() as name:
        registry = Registry(place_of(name))
        registry.place.check()
        deployments(Path(name), count)
        snapshots(Path(name), count)
        before = list(registry.history())
        found: dict[str, Any] = {"deployments": count, "unpacked": asked(registry) | {"files": count}}
        began_s = time.perf_counter()
        registry.tidy()
        found["packing_s"] = round(time.perf_counter() - began_s, 1)
        found["packed"] = asked(registry) | {"files": len(registry.place.list("deployments"))}
        same = list(registry.history()) == before
        began_s = time.perf_counter()
        for number in range(count + 1, count + 1 + CHANGES):
            ref = Ref(MEMBER, version(number), f"{number:064d}")
            registry.deploy(online({MEMBER: ref}), why="a snapshot", by="bench")
        found["deploy_ms"] = round((time.perf_counter() - began_s) / CHANGES * 1e3, 1)
    return found | {"holds": same and found["packed"]["deployed_ms"] <= TARGET["deployed_ms"]}


def asked(registry: Registry) -> dict[str, float]:
    """A worker's or a promotion's question; that of `headrace status`; that of a learner."""
    now: Deployment = registry.deployed()
    return {
        "deployed_ms": round(1e3 * seconds(registry.deployed), 2),
        "later_ms": round(1e3 * seconds(lambda: registry.deployed(since=now.number)), 2),
        "since_s": seconds(lambda: champion_since_ms(registry.history(), now)),
        "versions_s": seconds(lambda: registry.begun(MEMBER)),
        "gc_s": seconds(lambda: collect(registry, desk.needed(registry, None), dry_run=True)),
    }


def seconds(work: Callable[[], object]) -> float:
    """The least of three: what it takes, and not what else the machine did."""
    took = []
    for _ in range(3):
        began_s = time.perf_counter()
        work()
        took.append(time.perf_counter() - began_s)
    return round(min(took), 5)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deployments", type=int, default=YEAR)
    a = parser.parse_args()
    value = measure(a.deployments)
    print(value, flush=True)
    if a.deployments >= YEAR:
        data_hash = figure.hash_of(version(YEAR).encode())
        figure.write("year", value=value, target=TARGET, command="python -m bench.year", data_hash=data_hash)
    return 0 if value["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
