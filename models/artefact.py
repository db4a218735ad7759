"""Artefacts: a fitted model on disk, `name/version/{model.json, manifest.json}`, readable and checked on loading.

`model.json` is the model, one line an input. `manifest.json` says what it is: the hash of model.json, the hash of the
features it was fitted for, what it was fitted on, how well it did, seed and code revision. No clock goes in: the same
fit gives the same bytes. A model that is corrupt or made for other features is refused, never guessed at.

The price: a change of any feature's definition makes every artefact stale at once. That is the point.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from models.logistic import Input, Logistic

FORMAT: Final = "logistic 1"  # of model.json: raise it when the same file comes to mean another score

MODEL_FILE: Final = "model.json"
MANIFEST_FILE: Final = "manifest.json"

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_INPUT_KEYS = ("name", "usual", "low", "high", "weight")


class ArtefactError(ValueError):
    """A model that cannot be used; the message names the file, what it has, what is wanted and the remedy."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a model is and where it comes from."""

    name: str
    version: str
    model_hash: str  # SHA-256 of model.json, hex
    feature_hash: str
    metrics: Mapping[str, Any]
    data: Mapping[str, Any]  # name, hash and windows of what it was fitted on, and what that data lacks
    seed: int
    revision: str  # of the code that fitted it


@dataclass(frozen=True, slots=True)
class Artefact:
    """A loaded model with its manifest."""

    model: Logistic
    manifest: Manifest

    @property
    def label(self) -> str:
        return f"{self.manifest.name}/{self.manifest.version}"


def save(root: Path, model: Logistic, *, version: str, name: str, **about: Any) -> Path:
    """Writes `root/name/version/`; `about` is the rest of the manifest but for the hash. Returns the folder."""
    for what, value in (("name", name), ("version", version)):
        if not _NAME.fullmatch(value):
            raise ArtefactError(f"model {what} {value!r}: want small letters, digits, '.', '-' and '_', at most 64")
    folder = root / name / version
    folder.mkdir(parents=True, exist_ok=True)
    written = _model_json(model)
    manifest = Manifest(name=name, version=version, model_hash=_sha256(written), **about)
    fields = {key: getattr(manifest, key) for key in Manifest.__dataclass_fields__}
    (folder / MODEL_FILE).write_bytes(written)
    (folder / MANIFEST_FILE).write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")
    return folder


def load(folder: Path, names: Sequence[str], feature_hash: str) -> Artefact:
    """The artefact of a folder, for the vector with these columns and this hash; raises ArtefactError."""
    manifest, model = (_bytes(folder / file) for file in (MANIFEST_FILE, MODEL_FILE))
    return parse(model, manifest, names, feature_hash, source=str(folder))


def parse(model: bytes, manifest: bytes, names: Sequence[str], feature_hash: str, source: str = "model") -> Artefact:
    """As `load`, from the bytes of the two files; `source` is what errors call it."""
    about = _manifest(manifest, f"{source}/{MANIFEST_FILE}")
    if about.model_hash != _sha256(model):
        raise ArtefactError(
            f"{source}/{MODEL_FILE}: its SHA-256 is {_sha256(model)}, the manifest says {about.model_hash}: "
            "the file was changed or cut; fit it again or restore it"
        )
    if about.feature_hash != feature_hash:
        raise ArtefactError(
            f"model {source} was fitted for features {about.feature_hash}, this worker computes {feature_hash}: "
            "fit it again with `headrace fit` or use the features it was made for"
        )
    where = f"{source}/{MODEL_FILE}"
    return Artefact(_model(_json(model, where), names, where), about)


def _model_json(model: Logistic) -> bytes:
    inputs = ",\n".join("    " + json.dumps({key: getattr(i, key) for key in _INPUT_KEYS}) for i in model.inputs)
    head = f'  "format": "{FORMAT}",\n  "squash": "{model.squash}",\n  "bias": {json.dumps(model.bias)},\n'
    return f'{{\n{head}  "inputs": [\n{inputs}\n  ]\n}}\n'.encode()


def _model(document: Any, names: Sequence[str], path: str) -> Logistic:
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        found = document.get("format") if isinstance(document, dict) else type(document).__name__
        raise ArtefactError(
            f"{path}: format {found!r}: this release reads {FORMAT!r}; fit it again with `headrace fit`"
        )
    squash = document.get("squash")
    if squash not in ("log2", "none"):
        raise ArtefactError(f"{path}: squash = {squash!r}: want 'log2' or 'none'")
    if not isinstance(document.get("inputs"), list):
        raise ArtefactError(f"{path}: inputs is missing: want a list of inputs")
    inputs = [_input(table, names, path) for table in document["inputs"]]
    return Logistic(inputs, _number(document.get("bias"), f"{path}: bias"), names, squash)


def _input(table: Any, names: Sequence[str], path: str) -> Input:
    if not isinstance(table, dict) or set(table) != set(_INPUT_KEYS):
        raise ArtefactError(f"{path}: input {table!r}: want exactly {', '.join(_INPUT_KEYS)}")
    name = table["name"]
    if name not in names:
        raise ArtefactError(f"{path}: input {name!r} is no column of the vector: fit it again with `headrace fit`")
    numbers = {key: _number(table[key], f"{path}: input {name!r}: {key}") for key in _INPUT_KEYS[1:]}
    if numbers["low"] > numbers["high"]:
        raise ArtefactError(f"{path}: input {name!r}: low = {numbers['low']} is above high = {numbers['high']}")
    return Input(name, **numbers)


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ArtefactError(f"{where} = {value!r}: want a finite number")
    return float(value)


def _manifest(written: bytes, path: str) -> Manifest:
    document, keys = _json(written, path), set(Manifest.__dataclass_fields__)
    if not isinstance(document, dict) or set(document) != keys:
        raise ArtefactError(f"{path}: want exactly the keys {', '.join(sorted(keys))}")
    return Manifest(**document)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtefactError(
            f"{path}: cannot be read: {error}: a model is a folder name/version with model.json and manifest.json"
        ) from error


def _json(written: bytes, path: str) -> Any:
    try:
        return json.loads(written)
    except ValueError as error:
        raise ArtefactError(f"{path}: not JSON: {error}") from error


def _sha256(written: bytes) -> str:
    return hashlib.sha256(written).hexdigest()
