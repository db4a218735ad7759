"""Snapshots in the registry: `<model>/<offset, 20 digits>` is the model as it was behind that offset of `matured`.

A snapshot is what scores, and on its card the state that learning goes on from; the manifest says how far it had read
and what the state's hash is. All of it is a function of the records up to the offset, so putting it twice is once,
whoever does it. The newest that fits goes on: one for other features, of other settings or with a damaged state does
not, and where none fits the model begins anew, at the first record; its snapshots are kept once it is past all others.

Every method waits for the registry's place, and raises StorageDown where that does not answer.
"""

from __future__ import annotations

import hashlib
import logging
from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import msgspec

from models import deployments
from models.artefact import Manifest
from models.documents import ArtefactError
from models.registry import Registry, RegistryError
from models.scorer import Scorer
from schemas.deployments import Deployment, Ref
from streams.learner import stops
from streams.learner.online import DIGITS, STATE_FILE, Kind, Online, Place, Snapshot, Vectors

log = logging.getLogger("headrace")

BY: Final = "headrace learn"
REMEMBERED: Final = 8  # scorers of old snapshots


class Snapshots:
    """`topic_id`: the broker's id of `matured`."""

    def __init__(self, registry: Registry, vectors: Vectors, topic_id: str, revision: str) -> None:
        self._registry, self._vectors = registry, vectors
        self._topic_id, self._revision = topic_id, revision
        self._known: dict[str, list[str]] = {}  # by model: versions, in order
        self._due_ms: dict[tuple[str, str], int] = {}  # of those that were asked: the last due time
        self._scorers: OrderedDict[tuple[str, str], Scorer] = OrderedDict()

    # ---- going on

    def model(self, kind: Kind, end: int) -> Online:
        """The model as its newest snapshot has it. Raises Stop where `matured`, which ends at `end`, is another."""
        where = self._registry.place.shown
        for version in reversed(self._versions(kind.name)):
            manifest = self._registry.manifest(kind.name, version)
            place = _place(manifest)
            if place is None or manifest.feature_hash != self._vectors.hash:
                log.warning("a snapshot is for other features", extra={"model": manifest.label})
                continue
            if place.topic_id != self._topic_id:
                raise stops.made_anew(kind.name, place.topic_id, self._topic_id, where)
            if place.offset > end:
                raise stops.log_short(kind.name, place.offset, end, where)
            try:
                learner = kind.of_state(self._state(manifest), self._vectors.names)
            except (ArtefactError, ValueError) as error:
                log.warning("a snapshot cannot go on", extra={"model": manifest.label, "why": str(error)})
                continue
            return Online(kind, self._vectors, learner, place)
        return Online.new(kind, self._vectors, self._topic_id)

    def newest(self, name: str) -> Place | None:
        """Where the newest snapshot of a model is, whatever it is for."""
        versions = self._versions(name)
        return Place(self._topic_id, int(versions[-1])) if versions else None

    def _state(self, manifest: Manifest) -> bytes:
        state = self._registry.card(manifest.name, manifest.version).get(STATE_FILE)
        if state is None or hashlib.sha256(state).hexdigest() != manifest.data["state"]:
            raise ArtefactError(f"{manifest.label}: its {STATE_FILE} is not the one that the manifest names")
        return state

    def _versions(self, name: str) -> list[str]:
        """Listed once: nobody else writes them while we own the partition."""
        if name not in self._known:
            every = self._registry.versions(name)
            self._known[name] = sorted(one for one in every if len(one) == DIGITS and one.isdigit())
        return self._known[name]

    # ---- keeping

    def put(self, snapshot: Snapshot) -> Ref | None:
        """Keeps it; None where another is kept under its offset: the model began anew since."""
        try:
            manifest = self._registry.put(
                snapshot.scorer,
                name=snapshot.name,
                version=snapshot.place.version,
                card={STATE_FILE: snapshot.state},
                feature_hash=self._vectors.hash,
                metrics={},
                data=snapshot.about(),
                seed=snapshot.seed,
                revision=self._revision,
            )
        except RegistryError as error:
            log.warning("a snapshot is not kept", extra={"model": snapshot.name, "why": str(error)})
            return None
        if manifest.version not in (known := self._versions(snapshot.name)):
            insort(known, manifest.version)
        return Ref(manifest.name, manifest.version, manifest.model_hash)

    def deploy(self, refs: Mapping[str, Ref]) -> Deployment | None:
        """Puts snapshots in force that are newer than those that are; None where none is."""

        def change(now: Deployment) -> Deployment:
            newer = {name: ref for name, ref in refs.items() if _is_newer(ref, now.online.get(name))}
            return deployments.online(newer)(now)

        before = self._registry.deployed()
        after = self._registry.deploy(change, why="snapshots of online models", by=BY)
        return after if after.number != before.number else None

    def in_force(self, name: str) -> Scorer | None:
        """What scores now; None where nothing does, or what does is for other features."""
        ref = self._registry.deployed().online.get(name)
        try:
            return self._registry.of(ref, self._vectors.names, self._vectors.hash).model if ref is not None else None
        except ArtefactError as error:
            log.warning("the snapshot in force cannot be read", extra={"why": str(error)})
            return None

    # ---- looking back

    def of_then(self, name: str, at_ms: int) -> tuple[str, Scorer] | None:
        """The newest snapshot that had learned only what was due before then; None where there was none yet.

        Later snapshots have learned what was due later, so few manifests are looked at.
        """
        versions = self._versions(name)
        while True:
            try:
                place = bisect_left(versions, at_ms, key=lambda version: self._due(name, version))
                if not place:
                    return None
                version = versions[place - 1]
                return version, self._scorer(name, version)
            except _GoneError as gone:
                versions.remove(gone.version)

    def _due(self, name: str, version: str) -> int:
        key = name, version
        if key not in self._due_ms:
            with _unless_gone(version):
                place = _place(self._registry.manifest(name, version))
            if place is None:
                raise _GoneError(version)
            self._due_ms[key] = place.due_ms
        return self._due_ms[key]

    def _scorer(self, name: str, version: str) -> Scorer:
        key = name, version
        if key not in self._scorers:
            with _unless_gone(version):
                self._scorers[key] = self._registry.load(*key, self._vectors.names, self._vectors.hash).model
            if len(self._scorers) > REMEMBERED:
                self._scorers.popitem(last=False)
        self._scorers.move_to_end(key)
        return self._scorers[key]


class _GoneError(Exception):
    """A version that cannot be used: it was collected, or is for other features."""

    def __init__(self, version: str) -> None:
        super().__init__(version)
        self.version = version


@contextmanager
def _unless_gone(version: str) -> Iterator[None]:
    try:
        yield
    except ArtefactError as error:
        raise _GoneError(version) from error


def _place(manifest: Manifest) -> Place | None:
    """How far a snapshot had read; None where the manifest does not say it."""
    try:
        return msgspec.convert(manifest.data, Place)
    except msgspec.ValidationError:
        return None


def _is_newer(ref: Ref, than: Ref | None) -> bool:
    """Versions are offsets of one length."""
    return than is None or than.version < ref.version
