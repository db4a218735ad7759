"""Checkpoints: a training as it stands, so that one that was killed goes on as if it had never been.

One safetensors file: the weights as trained, their running average, the best so far, the optimiser's two moments, and
in its header, as JSON, how far the training is and which one it is: config, columns, features, data cut, code revision,
seed. Chance needs no state of its own: each step draws by the seed and its number (loop.py). A file is there whole or
not at all. One of another training is refused by what differs, never mixed in.

The price: five times the weights on disk, and a write of some milliseconds now and then.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from training.network import tensors
from training.network.framework import torch

FORMAT: Final = "network checkpoint 1"


class CheckpointError(ValueError):
    """A checkpoint that this training cannot go on from; the message says why and what to do."""


def save(path: Path, about: Mapping[str, Any], standing: Mapping[str, Any], states: Mapping[str, Any]) -> None:
    """`states`: what they are -> tensors by name."""
    arrays = {
        f"{state}/{name}": tensor.detach().cpu().numpy()
        for state, held in states.items()
        for name, tensor in held.items()
    }
    header = {"format": FORMAT, "standing": json.dumps(standing), "about": json.dumps(about, sort_keys=True)}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        file.write(tensors.encoded(arrays, header))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def load(path: Path, about: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Standing and states; raises CheckpointError for one of another training, or what is no checkpoint."""
    try:
        arrays, header = tensors.decoded(path.read_bytes(), str(path))
    except tensors.TensorsError as error:
        raise CheckpointError(f"{error}: remove it to train from the start") from error
    if header.get("format") != FORMAT:
        raise CheckpointError(f"{path}: format {header.get('format')!r}, want {FORMAT!r}: remove it to train anew")
    theirs, ours = json.loads(header["about"]), json.loads(json.dumps(about))
    for key in sorted(theirs.keys() | ours.keys()):
        if theirs.get(key) != ours.get(key):
            raise CheckpointError(
                f"{path} is of a training with {key} = {theirs.get(key)!r}, this one has {ours.get(key)!r}: "
                "go on with the same, or remove the file to train from the start"
            )
    states: dict[str, dict[str, Any]] = {}
    for name, array in arrays.items():
        state, _, of = name.partition("/")
        states.setdefault(state, {})[of] = torch.from_numpy(array.copy())
    return json.loads(header["standing"]), states
