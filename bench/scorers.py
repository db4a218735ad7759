"""What a score costs: us of CPU a row in batches of several sizes, for each kind of model, beside its own library.

    python -m bench.scorers [--rounds 15] [--kinds boosted forest ...]

Every kind of models/kinds.py that scores orders has a model of realistic size (bench/scorers_made.py), over the
shop's whole vector. The best of some rounds, of ours and the library's in turns, on one thread, in CPU time, so that
other load matters little. The libraries are given their columns cut out beforehand. It holds where no kind costs more
than its library, in any batch, nor its contributions, and where scores are equal to the library's. The price of the
figure: caches are warmer than in a worker, where a store client and a codec run between two batches.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from bench import figure
from bench.scorers_made import MAKE, READ, Made, orders
from models.exact import Floats
from models.kinds import KINDS

BATCHES: Final = (1, 18, 256, 4096)
ROWS: Final = 512  # of a round: small batches are scored several times over
ROUND_US: Final = 50_000.0  # of a round: a call that takes long is not repeated as often
EXPLAINED: Final = 18  # rows: contributions are asked for the few that are stopped
OF_ORDERS: Final = tuple(sorted(KINDS.keys() - {"sessions"}))  # what sessions cost: bench.sessions
MOST_OF_LIBRARY: Final = 1.0  # our price as a share of the library's


def once_us(call: Callable[[], object], times: int) -> float:
    started = time.process_time_ns()
    for _ in range(times):
        call()
    return (time.process_time_ns() - started) / times / 1e3


def best_us(calls: Mapping[str, Callable[[], object]], rows: int, rounds: int) -> dict[str, float]:
    """us a row of each call, the best of the rounds; they take turns, so that they meet the same machine."""
    times = {name: max(1, min(ROWS // rows, int(ROUND_US / once_us(call, 1)))) for name, call in calls.items()}
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for name, call in calls.items():
            best[name] = min(best[name], once_us(call, times[name]))
    return {name: round(us / rows, 3) for name, us in best.items()}


def measured(made: Made, rounds: int) -> dict[str, Any]:
    """Prices of one kind, by batch."""
    x, _ = orders()
    cut = np.ascontiguousarray(x[:, :READ])
    scores, explained = list[tuple[int, dict[str, float]]](), dict[str, float]()
    for batch in BATCHES:
        calls = _calls(made.scorer.score, made.theirs, x[:batch], cut[:batch])
        scores.append((batch, best_us(calls, batch, rounds)))
    if made.scorer.additive:
        calls = _calls(made.scorer.contributions, made.theirs_explained, x[:EXPLAINED], cut[:EXPLAINED])
        explained = best_us(calls, EXPLAINED, rounds)
    return {
        "size": made.size,
        "kb": round(sum(map(len, made.scorer.files().values())) / 1e3),
        "us": {str(batch): found["ours"] for batch, found in scores},
        **({"contributions_us": explained["ours"]} if explained else {}),
        **({"library": made.library} if made.library else {}),
        **({"library_us": {str(batch): found["theirs"] for batch, found in scores}} if made.theirs else {}),
        **({"library_contributions_us": explained["theirs"]} if made.theirs_explained else {}),
        **({"equal": _equal(made, x, cut)} if made.theirs else {}),
    }


def _calls(
    ours: Callable[[Floats], object], theirs: Callable[[Floats], object] | None, x: Floats, cut: Floats
) -> dict[str, Callable[[], object]]:
    calls: dict[str, Callable[[], object]] = {"ours": lambda: ours(x)}
    return calls if theirs is None else {**calls, "theirs": lambda: theirs(cut)}


def _equal(made: Made, x: Floats, cut: Floats) -> bool:
    """Whether our scores are the library's, but for the rounding."""
    assert made.theirs is not None
    said = np.asarray(made.theirs(cut))
    said = said[:, 1] if said.ndim == 2 else np.abs(said)  # scikit-learn's score_samples are below 0
    return bool(np.abs(made.scorer.score(x) - said).max() <= 5.1e-7)


def holds(value: Mapping[str, Mapping[str, Any]]) -> bool:
    """No dearer than the libraries, and equal to them."""
    pairs = [(row["us"][batch], us) for row in value.values() for batch, us in row.get("library_us", {}).items()]
    pairs += [
        (row["contributions_us"], row["library_contributions_us"])
        for row in value.values()
        if "library_contributions_us" in row
    ]
    equal = all(row.get("equal", True) for row in value.values())
    return equal and bool(pairs) and all(ours <= MOST_OF_LIBRARY * theirs for ours, theirs in pairs)


def line(kind: str, row: Mapping[str, Any]) -> str:
    def prices(us: Mapping[str, float]) -> str:
        return " ".join(f"{us[str(batch)]:9.2f}" for batch in BATCHES)

    told = f"{kind:16} {prices(row['us'])}   contributions {row.get('contributions_us', 0.0):8.1f}   {row['size']}"
    if "library_us" in row:
        theirs = row.get("library_contributions_us", 0.0)
        told += f"\n{'':16} {prices(row['library_us'])}   contributions {theirs:8.1f}   {row['library']}"
    return told


def main() -> int:
    """Prints and writes the prices."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--kinds", nargs="+", choices=OF_ORDERS, default=OF_ORDERS)
    chosen = parser.parse_args()
    value = {}
    print(f"{'us a row':16} {' '.join(f'{batch:9}' for batch in BATCHES)}")
    for kind in chosen.kinds:
        value[kind] = measured(MAKE[kind](), chosen.rounds)
        print(line(kind, value[kind]), flush=True)
    if set(chosen.kinds) == set(OF_ORDERS):
        figure.write(
            "scorers",
            value=value,
            target={"of_the_librarys_price": MOST_OF_LIBRARY, "equal": True},
            command="python -m bench.scorers",
            data_hash=figure.hash_of(orders()[0].tobytes()),
            holds=holds(value),
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
