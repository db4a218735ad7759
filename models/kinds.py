"""Kinds: the name of each kind of scorer, as manifests have it, and where its class is.

A class is imported when a model of its kind is loaded: a worker without networks needs no ONNX Runtime.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Final

from models.documents import ArtefactError
from models.scorer import Scorer

KINDS: Final[Mapping[str, str]] = {
    "blend": "models.blend:Blend",
    "boosted": "models.boosted:Boosted",
    "forest": "models.forest:Forest",
    "isolation": "models.isolation:Isolation",
    "logistic": "models.logistic:Logistic",
    "online_logistic": "models.online_logistic:OnlineLogistic",
    "adaptive_forest": "models.adaptive_forest:AdaptiveForest",
    "half_space": "models.half_space:HalfSpace",
    "sessions": "models.sessions:Sessions",
    "network": "models.network:Network",
}


def class_of(kind: str) -> type[Scorer]:
    """The class of a kind; raises ArtefactError where this release, or this installation, has none."""
    if kind not in KINDS:
        raise ArtefactError(f"a model of kind {kind!r}: this release knows {', '.join(sorted(KINDS))}; upgrade it")
    module, _, name = KINDS[kind].partition(":")
    try:
        found: type[Scorer] = getattr(import_module(module), name)
    except ImportError as error:
        raise ArtefactError(
            f"a model of kind {kind!r} needs {error.name}, which is not installed: pip install 'headrace[network]'"
        ) from error
    return found
