"""Artefacts: a fitted model on disk, `name/version/{manifest.json, files of its kind}`, checked on loading.

`manifest.json` says what the model is: its kind, the hash of each file, the hash of the features it was fitted for,
what it was fitted on, how well it did, seed, code revision, and the model that it was made to replace. No clock goes
in: the same fit gives the same bytes. A model that is corrupt or made for other features is refused, never guessed at.

The price: a change of any feature's definition makes every artefact stale at once. That is the point.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from models.documents import ArtefactError, object_of
from models.kinds import class_of
from models.scorer import Scorer

MANIFEST_FILE: Final = "manifest.json"

NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_FILE: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,95}")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a model is and where it comes from."""

    name: str
    version: str
    kind: str
    files: Mapping[str, str]  # SHA-256 of each, hex
    feature_hash: str
    metrics: Mapping[str, Any]
    data: Mapping[str, Any]  # name, hash and windows of what it was fitted on, and what that data lacks
    seed: int
    revision: str  # of the code that fitted it
    parent: str | None = None  # name/version of the one that was champion when it was fitted

    @property
    def label(self) -> str:
        return f"{self.name}/{self.version}"

    @property
    def model_hash(self) -> str:
        """What the model is, whatever is said about it: of its kind and its files; hex."""
        return _sha256("\n".join((self.kind, *(f"{name} {self.files[name]}" for name in sorted(self.files)))).encode())

    def encoded(self) -> bytes:
        """manifest.json."""
        return (json.dumps({key: getattr(self, key) for key in self.__dataclass_fields__}, indent=2) + "\n").encode()


@dataclass(frozen=True, slots=True)
class Artefact:
    """A loaded model with its manifest."""

    model: Scorer
    manifest: Manifest

    @property
    def label(self) -> str:
        return self.manifest.label


def pack(model: Scorer, *, name: str, version: str, **about: Any) -> dict[str, bytes]:
    """The files of an artefact, manifest last; `about` is the rest of the manifest but for kind and hashes."""
    checked_name(name)
    checked_name(version, "version")
    files = model.files()
    hashes = {file: _sha256(content) for file, content in sorted(files.items())}
    manifest = Manifest(name=name, version=version, kind=model.kind, files=hashes, **about)
    return files | {MANIFEST_FILE: manifest.encoded()}


def checked_name(written: str, what: str = "name") -> str:
    """The name or version of a model, which leads nowhere else as part of a path; raises ArtefactError."""
    if not NAME.fullmatch(written):
        raise ArtefactError(f"model {what} {written!r}: want small letters, digits, '.', '-' and '_', at most 64")
    return written


def save(root: Path, model: Scorer, *, name: str, version: str, **about: Any) -> Path:
    """Writes `root/name/version/`, as `pack` has it. Returns the folder."""
    packed = pack(model, name=name, version=version, **about)
    folder = root / name / version
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in packed.items():
        (folder / file).write_bytes(content)
    return folder


def load(folder: Path, names: Sequence[str], feature_hash: str) -> Artefact:
    """The artefact of a folder, for the vector with these columns and this hash; raises ArtefactError."""
    return parse(read(folder), names, feature_hash, source=str(folder))


def read(folder: Path) -> dict[str, bytes]:
    """The files of an artefact: the manifest and those that it names."""
    written = _bytes(folder / MANIFEST_FILE)
    named = manifest_of(written, f"{folder}/{MANIFEST_FILE}").files
    return {file: _bytes(folder / file) for file in named} | {MANIFEST_FILE: written}


def parse(files: Mapping[str, bytes], names: Sequence[str], feature_hash: str, source: str = "model") -> Artefact:
    """As `load`, from the files' bytes; `source` is what errors call it."""
    about = manifest_of(files[MANIFEST_FILE], f"{source}/{MANIFEST_FILE}")
    for file, wanted in about.files.items():
        if file not in files:
            raise ArtefactError(f"{source}/{file}: missing, though the manifest names it: fit it again or restore it")
        if (found := _sha256(files[file])) != wanted:
            raise ArtefactError(
                f"{source}/{file}: its SHA-256 is {found}, the manifest says {wanted}: "
                "the file was changed or cut; fit it again or restore it"
            )
    if about.feature_hash != feature_hash:
        raise ArtefactError(
            f"model {source} was fitted for features {about.feature_hash}, this worker computes {feature_hash}: "
            "fit it again or use the features it was made for"
        )
    try:
        model = class_of(about.kind).of({file: files[file] for file in about.files}, names)
    except ArtefactError as error:
        raise ArtefactError(f"{source}: {error}") from error
    return Artefact(model, about)


def manifest_of(written: bytes, where: str = MANIFEST_FILE) -> Manifest:
    """A manifest; raises ArtefactError for one that this release cannot read."""
    document, keys = object_of(written, where), set(Manifest.__dataclass_fields__)
    if set(document) != keys:
        raise ArtefactError(f"{where}: want exactly the keys {', '.join(sorted(keys))}")
    files = document["files"]
    if not isinstance(files, dict) or not files or not all(_is_file(*one) for one in files.items()):
        raise ArtefactError(f"{where}: files = {files!r}: want the SHA-256 of each file by its name")
    return Manifest(**document)


def _is_file(name: str, digest: Any) -> bool:
    """No name leads out of the artefact's folder."""
    return bool(_FILE.fullmatch(name)) and name != MANIFEST_FILE and isinstance(digest, str)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtefactError(
            f"{path}: cannot be read: {error}: a model is a folder name/version with manifest.json and what it names"
        ) from error


def _sha256(written: bytes) -> str:
    return hashlib.sha256(written).hexdigest()
