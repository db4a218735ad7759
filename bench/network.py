"""The network's price: microseconds a row at batch 1, 18 and 256, through ONNX Runtime beside eager torch.

    python -m bench.network                                     writes docs/figures/network.json
    python -m bench.network --no-figure

The whole vector of the shop with every column varying, the default config, weights as they are before training (the
price does not depend on them). `whole` is what a worker pays: columns in, standardised, network, scores out. Rounds of
all are interleaved, each on one thread, and the least disturbed one of each counts.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import numpy as np

from bench import figure
from features.shop import shop_definitions
from models.exact import Floats
from models.network import HEADS, INPUT, Network
from training.fits.network import weights_of
from training.network.columns import learn
from training.network.config import Config
from training.network.export import graph_of
from training.network.framework import torch
from training.network.net import Net

BATCHES: Final = (1, 18, 256)  # one order, what a worker has at 2,000 orders/s, and under load
ROUNDS: Final = 200
ROUND_S: Final = 0.005
TARGET: Final = "through ONNX Runtime less than eager torch at every batch; torch's answer within 1e-5"


def vectors(n: int, names: tuple[str, ...]) -> Floats:
    """(n, d) of heavy tails, no column constant."""
    x: Floats = np.random.default_rng(1).lognormal(2, 2, (n, len(names)))
    return x


def measured() -> dict[str, Any]:
    """Prices a row, and how far the answers are apart."""
    names = shop_definitions().vector.names
    x = vectors(max(BATCHES) * 8, names)
    inputs, config = learn(x, names), Config()
    torch.manual_seed(1)
    torch.set_num_threads(1)
    net = Net(inputs.shape, 2, config).eval()
    served = Network(graph_of(weights_of(net, config), inputs.shape), inputs, ("card", "account"), 250.0)
    # A worker's vectors lie column by column.
    prices = {str(batch): _prices(net, served, np.asfortranarray(x[:batch])) for batch in BATCHES}
    with torch.no_grad():
        theirs = net(torch.from_numpy(inputs.of(x))).numpy()[:, 0].astype(np.float64)
    return {
        "us_a_row": prices,
        "apart": float(np.abs(served.score(x) - 1 / (1 + np.exp(-theirs))).max()),
        "inputs": inputs.shape.width,
        "weights": int(sum(one.numel() for one in net.parameters())),
        "file_bytes": sum(map(len, served.files().values())),
    }


def _prices(net: Any, served: Network, x: Floats) -> dict[str, float]:
    z = served.inputs.of(x)
    session, tensor = served._session, torch.from_numpy(z)

    def eager() -> None:
        with torch.no_grad():
            net(tensor)

    ways: Mapping[str, Callable[[], Any]] = {
        "onnx_runtime": lambda: session.run([HEADS], {INPUT: z}),
        "eager_torch": eager,
        "columns": partial(served.inputs.of, x),
        "whole": partial(served.score, x),
    }
    least = dict.fromkeys(ways, float("inf"))
    for _ in range(ROUNDS):
        for name, way in ways.items():
            least[name] = min(least[name], _timed(way))
    return {name: round(1e6 * seconds / len(x), 2) for name, seconds in least.items()}


def _timed(way: Callable[[], Any]) -> float:
    """Seconds a call, over as many as fit into a round."""
    calls, began = 0, time.perf_counter()
    while (passed := time.perf_counter() - began) < ROUND_S:
        way()
        calls += 1
    return passed / calls


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-figure", action="store_true")
    options = parser.parse_args()
    found = measured()
    print(json.dumps(found, indent=2))
    if options.no_figure:
        return
    prices = found["us_a_row"].values()
    holds = all(one["onnx_runtime"] < one["eager_torch"] for one in prices) and found["apart"] <= 1e-5
    figure.write(
        "network",
        value=found,
        target=TARGET,
        command="python -m bench.network",
        data_hash=figure.hash_of(json.dumps(shop_definitions().vector.hash).encode()),
        holds=holds,
    )


if __name__ == "__main__":
    main()
