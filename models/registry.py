"""The registry: fitted models by name and version, and which of them are in force, in a folder or a bucket.

    <url>/<name>/<version>/claim.json      first: this version is somebody's
                           ...             the files of the model's kind, and card/... for people
                           manifest.json   last: from here on the version is there
    <url>/deployments/<number>.json        one for each change of what is in force

Nothing is ever changed once it is there, so there is nothing to lock: who wants a number takes it by making its file,
and of two who try one is told that it is taken (storage/places.py). A reader sees a version whole or not at all, since
whoever has no manifest is not there. What is removed loses its manifest first.

The price: a number may be skipped where a writer died, and what lies around of it is removed a day later by `collect`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from secrets import token_hex
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from models import artefact
from models.artefact import MANIFEST_FILE, Artefact, Manifest, checked_name, manifest_of
from models.deployments import Change, same
from models.documents import ArtefactError
from models.scorer import Scorer
from schemas.decisions import encode
from schemas.deployments import Deployment, Ref, decode_deployment
from storage.places import Place, place_of

DEPLOYMENTS: Final = "deployments"  # no model has this name
CLAIM_FILE: Final = "claim.json"
CARD: Final = "card/"
HALF_PUT_MS: Final = 86_400_000  # a version without a manifest of this age has no writer any more
TRIES: Final = 1000  # others who were faster, each of them done
AT_ONCE: Final = 16  # deployments read together

_CARD_FILE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_DEPLOYMENT: Final = re.compile(rf"{DEPLOYMENTS}/(\d{{8,}})\.json")


class RegistryError(ValueError):
    """What was asked of the registry cannot be; the message names the model, what is there and the remedy."""


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
        self.place, self._now_ms = place, now_ms

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
        return sorted({name for name, _ in self._versions("")})

    def versions(self, name: str) -> list[str]:
        """Of one model, oldest first where they are numbers; empty where there is none."""
        return sorted((version for _, version in self._versions(checked_name(name))), key=_order)

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
            taken = [version for _, version in self._versions(checked_name(name), CLAIM_FILE) if version.isdigit()]
            taken += [version for version in self.versions(name) if version.isdigit()]
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
            if version in self.versions(name):
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
        claim = encode(_Claim(manifest.model_hash, self._now_ms(), token_hex(8)))
        return self._taken(f"{manifest.label}/{CLAIM_FILE}", claim) and manifest.version not in self.versions(
            manifest.name
        )

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
        found = self._deployment(since) if since else None
        if found is None:
            newest = max(self._numbers(), default=0)
            found = self._deployment(newest) if newest else None
        if found is None:
            return Deployment.none()
        while (later := self._deployment(found.number + 1)) is not None:
            found = later
        return found

    def history(self) -> Iterator[Deployment]:
        """Every deployment, newest first, read as they are asked for."""
        numbers = sorted(self._numbers(), reverse=True)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for at in range(0, len(numbers), AT_ONCE):
                found = pool.map(self._deployment, numbers[at : at + AT_ONCE])
                yield from (deployment for deployment in found if deployment is not None)

    def deploy(self, change: Change, *, why: str, by: str) -> Deployment:
        """Puts in force what the change makes of what is; the deployment in force where it changes nothing."""
        for _ in range(TRIES):
            now = self.deployed()
            wanted = change(now)
            if same(now, wanted):
                return now
            at_ms = max(self._now_ms(), now.at_ms)
            new = replace(wanted, number=now.number + 1, at_ms=at_ms, why=why, by=by)
            if self._taken(_deployment_path(new.number), encode(new)):
                return new
        raise RegistryError(f"{TRIES} other deployments were faster, one after the other; try again")

    def _numbers(self) -> list[int]:
        found = (_DEPLOYMENT.fullmatch(path) for path, _ in self.place.list(DEPLOYMENTS))
        return [int(match[1]) for match in found if match]

    def _deployment(self, number: int) -> Deployment | None:
        path = _deployment_path(number)
        try:
            with self.place.open(path) as raw:
                return decode_deployment(raw.read())
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            raise RegistryError(
                f"{self.place.shown}: {path} is no deployment ({error}): was it changed by hand? Restore or remove it"
            ) from error

    # ---- removing

    def collect(self, keep: Collection[str], *, older_than_ms: int = 0, dry_run: bool = False) -> list[str]:
        """Removes the versions that are not in `keep` (name/version) and were put at least so long ago; which.

        Never one that is in force now. One that was put there by hand, without a claim, has no age and stays.
        """
        now_ms, there = self._now_ms(), {f"{name}/{version}" for name, version in self._versions("")}
        removed = []
        for name, version in sorted(self._versions("", CLAIM_FILE)):
            label = f"{name}/{version}"
            if label in keep or now_ms - self._claim_ms(name, version) < (
                older_than_ms if label in there else HALF_PUT_MS
            ):
                continue
            if label in {ref.label for ref in self.deployed().refs}:
                continue
            if not dry_run:
                self._remove(label)
            removed.append(label)
        return removed

    def _claim_ms(self, name: str, version: str) -> int:
        return msgspec.json.decode(self._read(name, version, CLAIM_FILE), type=_Claim).at_ms

    def _remove(self, label: str) -> None:
        """The manifest first: what is left is no version. The claim last: until then the number stays taken."""
        paths = [path for path, _ in self.place.list(label)]
        last = {f"{label}/{MANIFEST_FILE}": 0, f"{label}/{CLAIM_FILE}": 2}
        for path in sorted(paths, key=lambda path: last.get(path, 1)):
            self.place.remove(path)

    # ---- files

    def _versions(self, name: str, file: str = MANIFEST_FILE) -> list[tuple[str, str]]:
        """(name, version) of each folder that holds this file."""
        parts = [path.split("/") for path, _ in self.place.list(name)]
        return [(one[0], one[1]) for one in parts if len(one) == 3 and one[2] == file]

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


def _deployment_path(number: int) -> str:
    return f"{DEPLOYMENTS}/{number:08d}.json"
