"""Inputs: what a model of trees reads, by name, with what is usual there, as JSON.

    {"format": "forest 1", "inputs": [{"name": "order_amount", "usual": 40.0}, ...], ...}

Trees know features by number; this file says which column of the vector each is, and for reasons in words what an
ordinary order has there ("usually 40").
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from models.documents import ArtefactError, column, number, object_of, with_format
from models.exact import Floats
from models.trees import Ints

_KEYS: Final = {"name", "usual"}


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """(r,) columns of the vector."""

    names: tuple[str, ...]
    usual: Floats

    def columns(self, vector: Sequence[str], where: str) -> Ints:
        """(r,) where each stands in the vector; raises ArtefactError where one is gone."""
        places = {name: at for at, name in enumerate(vector)}
        return np.array([column(name, places, where) for name in self.names], dtype=np.int64)

    def encoded(self, form: str, **more: Any) -> bytes:
        """One line an input, for people."""
        head = "".join(
            f"  {json.dumps(key)}: {json.dumps(value)},\n" for key, value in {"format": form, **more}.items()
        )
        pairs = zip(self.names, self.usual.tolist(), strict=True)
        lines = ",\n".join("    " + json.dumps({"name": name, "usual": usual}) for name, usual in pairs)
        return f'{{\n{head}  "inputs": [\n{lines}\n  ]\n}}\n'.encode()


def inputs_of(written: bytes, form: str, where: str) -> tuple[Inputs, Mapping[str, Any]]:
    """The inputs and the rest of the document; raises ArtefactError."""
    document = object_of(written, where)
    with_format(document, form, where)
    listed = document.pop("inputs", None)
    if not isinstance(listed, list) or not all(isinstance(one, dict) and set(one) == _KEYS for one in listed):
        raise ArtefactError(f"{where}: inputs is missing, or is no list of names with what is usual: fit it again")
    names = tuple(one["name"] for one in listed)
    if not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        raise ArtefactError(f"{where}: inputs {names!r:.80}: want different names")
    usual = [number(one["usual"], f"{where}: input {one['name']!r}: usual") for one in listed]
    return Inputs(names, np.array(usual, dtype=np.float64)), document
