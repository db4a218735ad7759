"""Fitting the attention-fusion network: rows in the order of time in, a scorer out that needs no torch.

    fit(x, fraud, names, seed=1, validation=(later, later_fraud), checkpoint=Path("network.safetensors"))

Early stopping judges rows of a later time (`validation`); without them all epochs are done. With a `checkpoint` a fit
that was killed goes on where it was, and one that is done is not done again. Under `torchrun` each process calls this
with the same rows and gets the same scorer. The price: minutes where boosting takes seconds (docs/network.md).
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from models.exact import Floats
from models.network import Network
from models.network_inputs import Inputs, Singles
from training.fits.table import with_both
from training.network.columns import learn
from training.network.config import Config
from training.network.export import graph_of
from training.network.framework import torch
from training.network.loop import train
from training.network.net import Net
from training.network.ranks import ranks
from training.network.rows import UNKNOWN, Rows, rows_of
from training.network.watch import Keeping, Told, Watch
from training.provenance import revision

Bools = npt.NDArray[np.bool_]

AMOUNT: Final = "order_amount"  # the money that is at stake
LARGE: Final = 0.99  # quantile of the amounts that is called a large one


def fit(
    x: Floats,
    fraud: Bools,
    names: Sequence[str],
    *,
    seed: int,
    types: Sequence[str | None] | None = None,
    validation: tuple[Floats, Bools] | None = None,
    options: Config | None = None,
    checkpoint: Path | None = None,
    about: Mapping[str, str] | None = None,
    limit_s: float = math.inf,
    progress: Callable[[Told], bool] = lambda _: True,
    device: str | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Network:
    """The network for (n, d) vectors and (n,) labels.

    `types` (n,) are the kinds of the frauds, None where not known. `about` says which training this is (feature hash,
    data cut); a checkpoint of another one is refused with CheckpointError. `limit_s` or a `progress` that answers False
    ends it with the best so far. `device` None: a GPU where there is one. Raises ValueError where one class is absent.
    """
    with_both(fraud)
    config = options or Config()
    inputs, money = learn(x, names), _amounts(x, names)
    kinds, kind = _kinds(types, fraud)
    large = max(float(np.quantile(money, LARGE)), 1.0)
    rows = rows_of(x, fraud, inputs, kind=kind, amount=money, large=large)
    held = validation and _held(*validation, inputs)
    said = {**(about or {}), "config": config.as_json(), "seed": seed, "revision": revision(), "rows": _hash(rows)}
    keeping = Keeping(checkpoint, said) if checkpoint else None
    with _torch(config.threads), ranks(os.environ, device) as own:
        torch.manual_seed(seed)
        net = Net(inputs.shape, len(kinds), config)
        watch = Watch(clock, limit_s=limit_s, keeping=keeping, tell=progress)
        course = train(net, rows, held, config, seed=seed, ranks=own, watch=watch)
        weights = weights_of(course.outcome, config)
    return Network(graph_of(weights, inputs.shape), inputs, kinds, large)


def weights_of(net: Any, config: Config) -> dict[str, Singles]:
    """What is exported, by name; the odds of fraud are those of the rows again, not of the weighted ones."""
    weights = {name: one.detach().cpu().numpy().copy() for name, one in net.state_dict().items()}
    weights["heads.bias"][0] -= math.log(config.fraud_weight)
    return weights


def _amounts(x: Floats, names: Sequence[str]) -> Floats:
    """(n,) the money of each order; 1 where the vector does not say."""
    return x[:, list(names).index(AMOUNT)] if AMOUNT in names else np.ones(len(x))


def _kinds(types: Sequence[str | None] | None, fraud: Bools) -> tuple[list[str], npt.NDArray[np.int64]]:
    """The kinds of fraud there are, and which one each row is."""
    told = [
        one if bad else None
        for one, bad in zip([None] * len(fraud) if types is None else types, fraud.tolist(), strict=True)
    ]
    kinds = sorted({one for one in told if one})
    place = {one: at for at, one in enumerate(kinds)}
    return kinds, np.array([place.get(one or "", UNKNOWN) for one in told], dtype=np.int64)


def _held(x: Floats, fraud: Bools, inputs: Inputs) -> Rows:
    """Rows to judge on; raises ValueError where they have nothing to find."""
    with_both(fraud)
    nothing = np.zeros(len(x))
    return rows_of(x, fraud, inputs, kind=nothing.astype(np.int64), amount=nothing, large=1.0)


def _hash(rows: Rows) -> str:
    """Of all that is learned from."""
    digest = sha256()
    for part in (rows.x, rows.fraud, rows.type, rows.risk):
        digest.update(memoryview(part.numpy()))
    return digest.hexdigest()[:16]


@contextmanager
def _torch(threads: int) -> Iterator[None]:
    """torch's own chance and threads are the caller's again afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng():
            yield
    finally:
        torch.set_num_threads(before)
