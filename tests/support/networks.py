"""Networks of random weights, made without torch: the graph is the one that training exports."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.network import Network
from models.network_inputs import GAP, PARTS, Inputs, Read, Shape, Singles
from models.scorer import Scorer
from training.network.export import graph_of

WIDTH, HIDDEN, HEADS = 8, 16, 2
KINDS = ("stolen_card", "taken_over")
STEPS = tuple(f"user_recent_{channel}_{step}" for step in (1, 2, 3) for channel in ("amount", GAP))


def attention(names: Sequence[str]) -> Scorer:
    """Of three columns, one for each encoder, and no sequence."""
    reads = [
        Read("amount", "transaction", 40.0, 2.5, 0.0, 1e5),
        Read("count", "user", 2.0, 1.5, 0.0, 500.0),
        Read("risk", "device", 0.25, 0.25, 0.0, 1.0),
    ]
    return random_network(Inputs(reads, names), KINDS)


def with_sequence(names: Sequence[str]) -> Network:
    """Of `amount`, `count` and STEPS."""
    reads = [
        Read("amount", "transaction", 40.0, 2.5, 0.0, 1e5),
        Read("count", "user", 2.0, 1.5, 0.0, 500.0),
        *(Read(name, "recent", 30.0, 3.0, 0.0, 1e6) for name in STEPS),
    ]
    return random_network(Inputs(reads, names), ())


def random_network(inputs: Inputs, kinds: Sequence[str], seed: int = 5) -> Network:
    return Network(graph_of(random_weights(inputs.shape, len(kinds), seed), inputs.shape), inputs, kinds, 250.0)


def random_weights(shape: Shape, kinds: int, seed: int = 5) -> dict[str, Singles]:
    """By the names that a net's `state_dict` has."""
    rng = np.random.default_rng(seed)
    parts = [part for part in PARTS if shape.parts[part]]
    layers = {
        **{f"encoders.{part}.first": (HIDDEN, shape.parts[part]) for part in parts},
        **{f"encoders.{part}.second": (WIDTH, HIDDEN) for part in parts},
        "fusion.ask": (HEADS * WIDTH, WIDTH),
        "fusion.out": (WIDTH, HEADS * WIDTH),
        "fused": (HIDDEN, (len(parts) + 1) * WIDTH),
        "heads": (2 + kinds, HIDDEN),
    }
    if shape.steps:
        layers |= {"orders.order.first": (WIDTH, shape.channels + 1), "orders.order.second": (WIDTH, WIDTH)}
        layers |= {"orders.ask": (WIDTH, WIDTH), "orders.out": (WIDTH, WIDTH)}
    weights = {f"{layer}.weight": rng.normal(0, sizes[1] ** -0.5, sizes) for layer, sizes in layers.items()}
    weights |= {f"{layer}.bias": rng.normal(0, 0.3, sizes[0]) for layer, sizes in layers.items()}
    if shape.steps:
        weights["orders.place"] = rng.normal(0, 0.3, (shape.steps, WIDTH))
    return {name: value.astype(np.float32) for name, value in weights.items()}
