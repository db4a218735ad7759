"""The registry: fitted models by name and version, and which of them are in force, in a folder or a bucket.

    <url>/<name>/<version>/claim.json      first: this version is somebody's
                           ...             the files of the model's kind, and card/... for people
                           manifest.json   last: from here on the version is there
    <url>/deployments/<number>.json        one for each change of what is in force (deployment_log.py)

Nothing is ever changed once it is there, so there is nothing to lock: who wants a number takes it by making its file,
and of two who try one is told that it is taken (storage/places.py). A reader sees a version whole or not at all, since
whoever has no manifest is not there. What is removed loses its manifest first.

A learner puts a version every ten minutes, so nothing here lists all files but who asks for all of a model's versions:
`begun` lists folders, and one file tells whether a version is there.

The price: a number may be skipped where a writer died; what lies around of it is removed in time
(collecting.py).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from secrets import token_hex
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from models import artefact
from models.artefact import MANIFEST_FILE, NAME, Artefact, Manifest, checked_name, manifest_of
from models.deployment_log import AT_ONCE, PACK, PACKS, DeploymentLog
from models.deployment_log import FOLDER as DEPLOYMENTS
from models.deployment_log import RegistryError as RegistryError
from models.deployments import Change, same
from models.documents import ArtefactError
from models.scorer import Scorer
from schemas.decisions import encode
from schemas.deployments import Deployment, Ref
from storage.errors import StorageDown
from storage.places import Place, place_of

CLAIM_FILE: Final = "claim.json"
CARD: Final = "card/"
TRIES: Final = 1000  # others who were faster, each of them done

_CARD_FILE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")


class _Claim(msgspec.Struct, frozen=True):
    """Whose a version is, while it is being put. `token`: of two writers of the same model neither is the other."""

    model_hash: str
    at_ms: int
    token: str


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class Registry:
    """Every method raises StorageDown where the place does not answer. Loaded models are checked, and run nothing."""

    def __init__(self, place: Place, now_ms: Callable[[], int] = _now_ms) -> None:
        self.place, self.now_ms = place, now_ms
        self._log = DeploymentLog(place, self._taken)

    @classmethod
    def at(cls, url: str | None) -> Registry:
        """The registry of a URL; raises RegistryError where none is named, StorageError for no place at all."""
        if url is None:
            raise RegistryError(
                "no registry is named: set HEADRACE_REGISTRY__URL to a folder, or to s3://bucket/prefix"
            )
        return cls(place_of(url, "registry"))

    # ---- what is there

    def names(self) -> list[str]:
        """Of every model."""
        return sorted(name for name in self.folders() if next(self.newest(name), None) is not None)

    def folders(self) -> list[str]:
        """Of models, whether anything is whole there or not; other folders have names that no model has."""
        return sorted(name for name in self.place.folders() if name != DEPLOYMENTS and NAME.fullmatch(name))

    def versions(self, name: str) -> list[str]:
        """Of one model, oldest first where they are numbers; empty where there is none. Lists all its files."""
        paths = (path.split("/") for path, _ in self.place.list(checked_name(name)))
        return sorted((one[1] for one in paths if len(one) == 3 and one[2] == MANIFEST_FILE), key=_order)

    def begun(self, name: str) -> list[str]:
        """Of one model, in the same order; those too of which nobody knows yet whether they are whole."""
        found = self.place.folders(checked_name(name))
        return sorted((version for version in found if NAME.fullmatch(version)), key=_order)

    def newest(self, name: str) -> Iterator[str]:
        """The versions of one model, newest first: a request for each that is asked for."""
        return (version for version in reversed(self.begun(name)) if self.has(name, version))

    def has(self, name: str, version: str) -> bool:
        """Whether a version is there."""
        try:
            self.manifest(name, version)
        except ArtefactError:
            return False
        return True

    def manifest(self, name: str, version: str) -> Manifest:
        """Raises ArtefactError where there is no such version, or its manifest cannot be read."""
        return manifest_of(self._read(name, version, MANIFEST_FILE), f"{name}/{version}/{MANIFEST_FILE}")

    def files(self, name: str, version: str) -> dict[str, bytes]:
        """The manifest and the files that it names, as they lie there."""
        written = self._read(name, version, MANIFEST_FILE)
        named = manifest_of(written, f"{name}/{version}/{MANIFEST_FILE}").files
        return {file: self._read(name, version, file) for file in named} | {MANIFEST_FILE: written}

    def card(self, name: str, version: str) -> dict[str, bytes]:
        """What was written about the model for people, by file name; empty where nothing was."""
        folder = f"{checked_name(name)}/{checked_name(version)}/{CARD}"
        found = [path.removeprefix(folder) for path, _ in self.place.list(folder.rstrip("/"))]
        return {file: self._read(name, version, CARD + file) for file in found}

    def load(self, name: str, version: str, names: Sequence[str], feature_hash: str) -> Artefact:
        """The model, for the vector with these columns and this hash; raises ArtefactError."""
        return artefact.parse(self.files(name, version), names, feature_hash, f"{name}/{version}")

    def of(self, ref: Ref, names: Sequence[str], feature_hash: str) -> Artefact:
        """As `load`; raises ArtefactError also where the version holds another model than it did."""
        found = self.load(ref.name, ref.version, names, feature_hash)
        if found.manifest.model_hash != ref.model_hash:
            raise ArtefactError(
                f"{ref.label}: it holds model {found.manifest.model_hash[:12]}…, and {ref.model_hash[:12]}… was put in "
                "force: its files were replaced by hand; put the new ones under a version of their own"
            )
        return found

    def ref(self, name: str, version: str) -> Ref:
        """What a deployment calls this version; raises ArtefactError where it is not there."""
        return Ref(name, version, self.manifest(name, version).model_hash)

    # ---- putting

    def put(
        self,
        model: Scorer,
        *,
        name: str,
        version: str | None = None,
        card: Mapping[str, bytes] | None = None,
        **about: Any,
    ) -> Manifest:
        """Keeps a model under the next whole number, or under `version`: twice is once there.

        `about` is the rest of the manifest, as `artefact.pack` has it. Raises RegistryError where the version is
        another model's.
        """
        _check_names(name, card or {})
        self.place.check()
        if version is not None:
            return self._put(model, name, version, card or {}, about)
        for _ in range(TRIES):
            taken = [version for version in self.begun(name) if version.isdigit()]
            number = str(max(map(int, taken), default=0) + 1)
            packed = artefact.pack(model, name=name, version=number, **about)
            if self._claimed(manifest_of(packed[MANIFEST_FILE])):
                return self._written(packed, card or {})
        raise RegistryError(f"model {name}: {TRIES} others were faster, one after the other; try again")

    def _put(
        self, model: Scorer, name: str, version: str, card: Mapping[str, bytes], about: Mapping[str, Any]
    ) -> Manifest:
        packed = artefact.pack(model, name=name, version=version, **about)
        wanted = manifest_of(packed[MANIFEST_FILE])
        if not self._claimed(wanted):
            there = self._there(name, version)
            if there is not None and there != wanted.model_hash:
                raise RegistryError(f"{wanted.label} is there and is another model: versions are never changed")
            if self.has(name, version):
                return self.manifest(name, version)
        return self._written(packed, card)

    def _there(self, name: str, version: str) -> str | None:
        """The hash of the model that has this version, or is being put there; None where it was removed meanwhile."""
        try:
            return self.manifest(name, version).model_hash
        except ArtefactError:
            try:
                return msgspec.json.decode(self._read(name, version, CLAIM_FILE), type=_Claim).model_hash
            except ArtefactError:
                return None

    def _claimed(self, manifest: Manifest) -> bool:
        """Whether the version is ours now: nobody had it before."""
        claim = encode(_Claim(manifest.model_hash, self.now_ms(), token_hex(8)))
        taken = self._taken(f"{manifest.label}/{CLAIM_FILE}", claim)
        return taken and not self.has(manifest.name, manifest.version)

    def _written(self, packed: Mapping[str, bytes], card: Mapping[str, bytes]) -> Manifest:
        manifest = manifest_of(packed[MANIFEST_FILE])
        if CLAIM_FILE in manifest.files:
            raise RegistryError(f"{manifest.label}: a model's file cannot be called {CLAIM_FILE}: the registry's is")
        files = {file: content for file, content in packed.items() if file != MANIFEST_FILE}
        for file, content in (files | {CARD + name: content for name, content in card.items()}).items():
            self.place.commit(f"{manifest.label}/{file}", content)
        try:
            self.place.commit(f"{manifest.label}/{MANIFEST_FILE}", packed[MANIFEST_FILE], new=True)
        except FileExistsError:  # of the same model: somebody has put it at the same time
            return self.manifest(manifest.name, manifest.version)
        return manifest

    # ---- what is in force

    def deployed(self, since: int = 0) -> Deployment:
        """The newest deployment; `Deployment.none()` where there is none.

        `since`: the number that was the newest: then only what follows it is asked for, however many there have been.
        """
        return self._log.newest(since) or Deployment.none()

    def history(self) -> Iterator[Deployment]:
        """Every deployment, newest first, read as they are asked for."""
        return self._log.history()

    def deploy(self, change: Change, *, why: str, by: str) -> Deployment:
        """Puts in force what the change makes of what is; the deployment in force where it changes nothing."""
        for _ in range(TRIES):
            now = self.deployed()
            wanted = change(now)
            if same(now, wanted):
                return now
            at_ms = max(self.now_ms(), now.at_ms)
            new = replace(wanted, number=now.number + 1, at_ms=at_ms, why=why, by=by)
            if self._log.add(new.number, encode(new)):
                if new.number % PACK == 0:
                    with suppress(StorageDown):  # it is in force; what is not packed now is packed another time
                        self.tidy(PACKS)
                return new
        raise RegistryError(f"{TRIES} other deployments were faster, one after the other; try again")

    def tidy(self, most: int | None = None) -> None:
        """Packs old deployments, `most` packs at once."""
        self._log.pack(most)

    # ---- removing

    def claim_ms(self, name: str, version: str) -> int | None:
        """When a version was put, or begun; None where nobody claimed it: it was put there by hand."""
        try:
            return msgspec.json.decode(self._read(name, version, CLAIM_FILE), type=_Claim).at_ms
        except ArtefactError:
            return None

    def remove(self, labels: Collection[str]) -> None:
        """Versions, by name/version."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(self._remove, labels))

    def _remove(self, label: str) -> None:
        """The manifest first: what is left is no version. The claim last: until then the number stays taken."""
        paths = [path for path, _ in self.place.list(label)]
        last = {f"{label}/{MANIFEST_FILE}": 0, f"{label}/{CLAIM_FILE}": 2}
        for path in sorted(paths, key=lambda path: last.get(path, 1)):
            self.place.remove(path)
        self.place.prune(f"{label}/{CARD}".rstrip("/"))
        self.place.prune(label)

    def drop(self, name: str, version: str, file: str) -> None:
        """A file of a version's card, which nobody needs any more."""
        folder = f"{checked_name(name)}/{checked_name(version)}/{CARD}"
        self.place.remove(folder + file)
        self.place.prune(folder.rstrip("/"))

    # ---- files

    def _read(self, name: str, version: str, file: str) -> bytes:
        try:
            with self.place.open(f"{checked_name(name)}/{checked_name(version)}/{file}") as raw:
                content: bytes = raw.read()
        except FileNotFoundError as error:
            raise ArtefactError(
                f"{name}/{version}/{file}: not in the registry at {self.place.shown} (`headrace models ls`)"
            ) from error
        return content

    def _taken(self, path: str, content: bytes) -> bool:
        """Whether the file is there by our doing. A PUT that was tried again may have met itself."""
        try:
            self.place.commit(path, content, new=True)
        except FileExistsError:
            with self.place.open(path) as raw:
                return bool(raw.read() == content)
        return True


def _check_names(name: str, card: Mapping[str, bytes]) -> None:
    if name == DEPLOYMENTS:
        raise RegistryError(f"model name {name!r}: the registry keeps deployments there; take another")
    for file in card:
        if not _CARD_FILE.fullmatch(file):
            raise RegistryError(f"card file {file!r}: want letters, digits, '.', '-' and '_', at most 96")


def _order(version: str) -> tuple[bool, int, str]:
    return not version.isdigit(), int(version) if version.isdigit() else 0, version
