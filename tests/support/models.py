"""Models of the shop's vector for tests of the registry: each gives every order one score of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from features.shop import shop_definitions
from models.blend import Blend
from models.calibration import Beta
from models.logistic import Input, Logistic
from models.registry import Registry
from models.scorer import Scorer
from schemas.deployments import Ref
from storage.places import Folder

DEFINITIONS = shop_definitions()
NAMES, HASH = DEFINITIONS.vector.names, DEFINITIONS.vector.hash
ABOUT: dict[str, Any] = {"feature_hash": HASH, "metrics": {"ap": 0.7}, "data": {}, "seed": 1, "revision": "r"}
WHO: dict[str, str] = {"why": "a test", "by": "tests"}


def scoring(score: float) -> Logistic:
    """A model that gives every order this score."""
    inputs = [Input("order_amount", usual=40.0, low=0.0, high=1e6, weight=0.0)]
    return Logistic(inputs, math.log(score / (1 - score)), NAMES)


def blend(scores: Mapping[str, float]) -> Blend:
    """A blend of such models, each of the same weight."""
    members = {name: scoring(score) for name, score in scores.items()}
    return Blend(members, {name: 1.0 / len(members) for name in members}, Beta(), NAMES)


def registry_in(folder: Path) -> Registry:
    place = Folder(folder)
    place.check()
    return Registry(place)


def put(registry: Registry, name: str, model: Scorer | float, **more: Any) -> Ref:
    """Puts a model, or one that gives this score, under its next number."""
    scorer = scoring(model) if isinstance(model, float) else model
    manifest = registry.put(scorer, name=name, **(ABOUT | more))
    return Ref(manifest.name, manifest.version, manifest.model_hash)


def cut_off(registry: Registry, ref: Ref) -> bytes:
    """Leaves half of a model's file, as a disk that was full did; what it was."""
    path = f"{ref.label}/model.json"
    with registry.place.open(path) as raw:
        whole: bytes = raw.read()
    registry.place.commit(path, whole[: len(whole) // 2])
    return whole
