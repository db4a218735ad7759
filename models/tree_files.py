"""Tree files: the two files of an ensemble whose library has no format that is safe to read.

`model.json` has the inputs (models/inputs.py) and what else a kind needs; `trees.safetensors` (models/tensors.py) the
arrays of models/trees.py: `roots`, and for each node `feature`, `threshold`, `left`, `right`, `value`, `missing` and
`default_left`. Numbers of nodes are I32 there, sides U8: 30 bytes a node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from models import tensors
from models.documents import ArtefactError, file_of
from models.inputs import Inputs, inputs_of
from models.trees import Trees, checked

DOCUMENT_FILE: Final = "model.json"
TREES_FILE: Final = "trees.safetensors"

_DTYPES: Final[Mapping[str, Any]] = {
    "roots": np.int32, "feature": np.int32, "threshold": np.float64, "left": np.int32, "right": np.int32,
    "value": np.float64, "missing": np.uint8, "default_left": np.uint8,
}  # fmt: skip


def files_of(trees: Trees, inputs: Inputs, form: str, **more: Any) -> dict[str, bytes]:
    """What an ensemble is on disk."""
    arrays = {name: getattr(trees, name).astype(dtype) for name, dtype in _DTYPES.items()}
    return {DOCUMENT_FILE: inputs.encoded(form, **more), TREES_FILE: tensors.written(arrays)}


def read(files: Mapping[str, bytes], form: str, more: Sequence[str] = ()) -> tuple[Trees, Inputs, Mapping[str, Any]]:
    """The trees, checked, their inputs and the rest of the document; raises ArtefactError."""
    inputs, document = inputs_of(file_of(files, DOCUMENT_FILE), form, DOCUMENT_FILE)
    if set(document) != {"format", *more}:
        raise ArtefactError(f"{DOCUMENT_FILE}: want exactly the keys {', '.join(sorted({'format', 'inputs', *more}))}")
    arrays = tensors.read(file_of(files, TREES_FILE), TREES_FILE)
    if set(arrays) != set(_DTYPES):
        raise ArtefactError(f"{TREES_FILE}: want exactly the arrays {', '.join(sorted(_DTYPES))}")
    for name, dtype in _DTYPES.items():
        if arrays[name].dtype != dtype or arrays[name].ndim != 1:
            raise ArtefactError(
                f"{TREES_FILE}: {name}: {arrays[name].dtype} {arrays[name].shape}: want a list of {np.dtype(dtype)}"
            )
    wide: dict[str, Any] = {
        name: array.astype(np.float64 if array.dtype == np.float64 else np.int64) for name, array in arrays.items()
    }
    return checked(Trees(**wide), len(inputs.names), TREES_FILE), inputs, document
