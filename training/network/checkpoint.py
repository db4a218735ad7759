"""Checkpoints: a training as it stands, so that one that was killed goes on as if it had never been.

One safetensors file (models/tensors.py): the weights as trained, their running average, the best so far, the
optimiser's two moments, and as JSON how far the training is and which one it is: config, rows, features, data cut, code
revision, seed. Chance needs no state of its own: each step draws by the seed and its number (loop.py). A file is there
whole or not at all. One of another training is refused by what differs, never mixed in.

The price: five times the weights on disk, and a write of some milliseconds now and then.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from models import tensors
from models.documents import ArtefactError, object_of, with_format
from training.network.framework import torch

FORMAT: Final = "network checkpoint 1"
_STATE: Final = "state.json"  # the array that is no tensor but JSON


class CheckpointError(ValueError):
    """A checkpoint that this training cannot go on from; the message says why and what to do."""


def save(path: Path, about: Mapping[str, Any], standing: Mapping[str, Any], states: Mapping[str, Any]) -> None:
    """`states`: what they are -> tensors by name."""
    arrays = {
        f"{state}/{name}": tensor.detach().cpu().numpy()
        for state, held in states.items()
        for name, tensor in held.items()
    }
    state = json.dumps({"format": FORMAT, "standing": standing, "about": about}).encode()
    arrays[_STATE] = np.frombuffer(state, np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        file.write(tensors.written(arrays))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def load(path: Path, about: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Standing and states; raises CheckpointError for one of another training, or what is no checkpoint."""
    try:
        arrays = tensors.read(path.read_bytes(), str(path))
        state = object_of(arrays.pop(_STATE, np.zeros(0, np.uint8)).tobytes(), str(path))
        with_format(state, FORMAT, str(path))
    except ArtefactError as error:
        raise CheckpointError(f"{error}; remove {path} to train from the start") from error
    theirs, ours = state["about"], json.loads(json.dumps(about))
    for key in sorted(theirs.keys() | ours.keys()):
        if theirs.get(key) != ours.get(key):
            raise CheckpointError(
                f"{path} is of a training with {key} = {theirs.get(key)!r}, this one has {ours.get(key)!r}: "
                "go on with the same, or remove the file to train from the start"
            )
    states: dict[str, dict[str, Any]] = {}
    for name, array in arrays.items():
        kept, _, of = name.partition("/")
        states.setdefault(kept, {})[of] = torch.from_numpy(array.copy())
    return state["standing"], states
