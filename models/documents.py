"""Documents: JSON files of a model, checked before anything is made of them.

A file of a model may come from anywhere. Whatever it holds, the answer is the value or an error that names the file,
what it has, what is wanted and the remedy.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


class ArtefactError(ValueError):
    """A model that cannot be used; the message names the file, what it has, what is wanted and the remedy."""


def file_of(files: Mapping[str, bytes], name: str) -> bytes:
    """One file of a model."""
    if name not in files:
        raise ArtefactError(f"{name} is missing: the model has {', '.join(sorted(files)) or 'no files'}")
    return files[name]


def object_of(written: bytes, where: str) -> dict[str, Any]:
    """The JSON object of a file."""
    try:
        document = json.loads(written)
    except (ValueError, RecursionError) as error:
        raise ArtefactError(f"{where}: not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ArtefactError(f"{where}: a {type(document).__name__}: want a JSON object")
    return document


def with_format(document: Mapping[str, Any], want: str, where: str) -> None:
    """Raises where a document is not of the format that this release reads."""
    if document.get("format") != want:
        raise ArtefactError(
            f"{where}: format {document.get('format')!r}: this release reads {want!r}; fit the model again"
        )


def number(value: Any, where: str) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ArtefactError(f"{where} = {value!r}: want a finite number")
    return float(value)


def column(name: Any, names: Mapping[str, int], where: str) -> int:
    """Where a column that the model reads stands in the vector."""
    if not isinstance(name, str) or name not in names:
        raise ArtefactError(f"{where}: input {name!r} is no column of the vector: fit the model again")
    return names[name]
