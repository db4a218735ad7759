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
from bench.handbook.chosen import BLEND, CHOSEN, SEED, WEIGHTS, WITH_MORE, columns_of
from features.columns import Floats, Floats2d
from features.shop import shop_definitions
from models.blend import Blend
from models.calibration import Beta
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


def fit(kind: str, x: Floats2d, fraud: Bools, names: Sequence[str], mode: str = "week") -> Scorer:
    """What training/fits/KIND.py makes of the chosen columns of (n, d) vectors, with what was chosen
    for the `mode` of training.

    It is fitted on these alone and then bound to the whole vector. A blend is not calibrated: its weights were found by
    log loss, so they hold as they are.
    """
    if kind == BLEND:
        return blended({one: fit(one, x, fraud, names, mode) for one in WEIGHTS.of}, names)
    taken = columns_of(kind)
    module, options = import_module(f"training.fits.{kind}"), KINDS[kind].options
    told = {**CHOSEN[kind], **WITH_MORE.get(kind, {})} if mode == "everything" else CHOSEN[kind]
    chosen = told if options is None else {"options": getattr(module, options)(**told)}
    if "seed" in signature(module.fit).parameters:
        chosen = {**chosen, "seed": SEED}
    made: Scorer = module.fit(x[:, [names.index(name) for name in taken]], fraud, taken, **chosen)
    return type(made).of(made.files(), names)


def blended(members: Mapping[str, Scorer], names: Sequence[str]) -> Blend:
    """The chosen blend of members that are fitted."""
    return Blend(members, WEIGHTS.of, Beta(), names, WEIGHTS.bias)


@dataclass(frozen=True)
class Read:
    """Orders of a training set with their logged vectors: (n,) each but `x`."""

    names: Sequence[str]
    feature_hash: str
    x: Floats2d  # (n, d)
    order_ids: Sequence[str]
    score: Floats  # that was decided
    label: Floats  # NaN where there is none yet


def read_set(path: Path) -> Read:
    """All of a set that `headrace features build` wrote of the shop's vector."""
    names = shop_definitions().vector.names
    table = parquet.read_table(path, columns=["order_id", "score", "label", *names])
    x = np.column_stack([table.column(name).to_numpy() for name in names])
    score, label = (table.column(name).to_numpy(zero_copy_only=False).astype(np.float64) for name in ("score", "label"))
    feature_hash = str(file.about(path)["feature_hash"])
    return Read(names, feature_hash, x, table.column("order_id").to_pylist(), score, label)


def fit_set(path: Path, registry: Registry, kind: str) -> Fitted:
    """Fits a kind on a set whose labels are all known, and puts it into the registry as handbook-KIND."""
    read = read_set(path)
    if unlabelled := int(np.isnan(read.label).sum()):
        raise ValueError(f"{path}: {unlabelled} orders have no label yet: build it as of later")
    model, about = fit(kind, read.x, read.label == 1, read.names), file.about(path)
    manifest = registry.put(
        model,
        name=f"handbook-{kind.replace('_', '-')}",
        feature_hash=read.feature_hash,
        metrics={},
        data=about,
        seed=SEED,
        revision=revision(),
    )
    said = {"kind": kind, "label": manifest.label, "reads": list(model.reads), "orders": len(read.x), "set": about}
    return Fitted(Ref(manifest.name, manifest.version, manifest.model_hash), said)
