"""A model from a training set (docs/training-sets.md), fitted with what was chosen, and put into the registry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np

from archive.arrow import parquet
from bench.handbook.chosen import CHOSEN, COLUMNS, SEED
from features.columns import Floats2d
from features.shop import shop_definitions
from models.registry import Registry
from models.scorer import Scorer
from schemas.deployments import Ref
from training.batch.members import KINDS
from training.handbook import Bools
from training.provenance import revision
from training.sets import file


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model in the registry; `about` is for the figure."""

    ref: Ref
    about: Mapping[str, Any]


def fit(kind: str, x: Floats2d, fraud: Bools, names: Sequence[str]) -> Scorer:
    """What training/fits/KIND.py makes of the chosen columns of (n, d) vectors, with what was chosen.

    The others are shown as if they never varied, so no kind can use them; they keep their places in the vector.
    """
    shown = np.zeros_like(x)
    taken = [names.index(name) for name in COLUMNS]
    shown[:, taken] = x[:, taken]
    module, options = import_module(f"training.fits.{kind}"), KINDS[kind].options
    chosen = CHOSEN[kind] if options is None else {"options": getattr(module, options)(**CHOSEN[kind])}
    if "seed" in signature(module.fit).parameters:
        chosen = {**chosen, "seed": SEED}
    made: Scorer = module.fit(shown, fraud, names, **chosen)
    return made


def fit_set(path: Path, registry: Registry, kind: str) -> Fitted:
    """Fits a kind on a set whose labels are all known, and puts it into the registry as handbook-KIND."""
    names, about = shop_definitions().vector.names, file.about(path)
    table = parquet.read_table(path, columns=[*names, "label"])
    if table.column("label").null_count:
        raise ValueError(f"{path}: {table.column('label').null_count} orders have no label yet: build it as of later")
    x = np.column_stack([table.column(name).to_numpy() for name in names])
    model = fit(kind, x, table.column("label").to_numpy() == 1, names)
    manifest = registry.put(
        model,
        name=f"handbook-{kind.replace('_', '-')}",
        feature_hash=str(about["feature_hash"]),
        metrics={},
        data=about,
        seed=SEED,
        revision=revision(),
    )
    said = {"kind": kind, "label": manifest.label, "reads": list(model.reads), "orders": len(x), "set": about}
    return Fitted(Ref(manifest.name, manifest.version, manifest.model_hash), said)
