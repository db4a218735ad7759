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
from collections import OrderedDict
from collections.abc import Mapping
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
        self._past: dict[str, list[tuple[int, str]]] = {}  # by model: last due time and version, in order
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
            self._know(kind.name, place)
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
        return [one for one in self._registry.versions(name) if len(one) == DIGITS and one.isdigit()]

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
        self._know(snapshot.name, snapshot.place)
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
        """The newest snapshot that had learned only what was due before then; None where there was none yet."""
        versions = [version for due_ms, version in self._known(name) if due_ms < at_ms]
        if not versions:
            return None
        key = name, versions[-1]
        if key not in self._scorers:
            try:
                self._scorers[key] = self._registry.load(*key, self._vectors.names, self._vectors.hash).model
            except ArtefactError:  # collected, or for other features
                self._past[name] = [one for one in self._past[name] if one[1] != versions[-1]]
                return self.of_then(name, at_ms)
            if len(self._scorers) > REMEMBERED:
                self._scorers.popitem(last=False)
        self._scorers.move_to_end(key)
        return versions[-1], self._scorers[key]

    def _known(self, name: str) -> list[tuple[int, str]]:
        if name not in self._past:
            places = [_place(self._registry.manifest(name, version)) for version in self._versions(name)]
            self._past[name] = [(place.due_ms, place.version) for place in places if place is not None]
        return self._past[name]

    def _know(self, name: str, place: Place) -> None:
        if (place.due_ms, place.version) not in (known := self._known(name)):
            known.append((place.due_ms, place.version))


def _place(manifest: Manifest) -> Place | None:
    """How far a snapshot had read; None where the manifest does not say it."""
    try:
        return msgspec.convert(manifest.data, Place)
    except msgspec.ValidationError:
        return None


def _is_newer(ref: Ref, than: Ref | None) -> bool:
    """Versions are offsets of one length."""
    return than is None or than.version < ref.version
