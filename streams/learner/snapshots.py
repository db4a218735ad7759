"""Snapshots in the registry: `<model>/<offset, 20 digits>` is the model as it was behind that offset of its topic.

A snapshot is what scores, and on its card the state that learning goes on from; the manifest says how far it had read
and what the state's hash is. All of it is a function of the records up to the offset, so putting it twice is once,
whoever does it. The newest that fits goes on: one for other features, of other settings or with a damaged state does
not, and where none fits the model begins anew, at the first record; its snapshots are kept once it is past all others.

Of a model that learns from labels one is put in force where a champion or a challenger has a member of its name, and
nowhere else: a deployment that changes nothing is one that decisions name all the same. Learning goes on from the
newest few, so older ones lose their state; of those that were never in force and are a week old the first of each day
stays.

Every method waits for the registry's place, and raises StorageDown where that does not answer.
"""

from __future__ import annotations

import hashlib
import logging
from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final, Generic, TypeVar

import msgspec

from models import deployments, learned
from models.artefact import Manifest
from models.blend import Blend, members_in
from models.collecting import thin
from models.documents import ArtefactError
from models.registry import Registry, RegistryError
from models.scorer import Scorer
from schemas.deployments import Deployment, Ref
from streams.learner import stops
from streams.learner.online import DIGITS, STATE_FILE, Course, Kind, Learner, Place, Snapshot, Vectors

log = logging.getLogger("headrace")

BY: Final = "headrace learn"
REMEMBERED: Final = 8  # scorers of old snapshots
STATES: Final = 144  # of the newest snapshots, a day of them at the least: learning may go on from these
THIN_MS: Final = 7 * 86_400_000  # as old are snapshots that nobody needs when most of them go

P = TypeVar("P", bound=Course)


class Snapshots(Generic[P]):
    """Of models that read one topic, and say by a `P` how far they have. `topic_id`: the broker's."""

    def __init__(self, registry: Registry, vectors: Vectors, topic_id: str, revision: str, course: type[P]) -> None:
        self._registry, self._vectors = registry, vectors
        self._topic_id, self._revision, self._course = topic_id, revision, course
        self._known: dict[str, list[str]] = {}  # by model: versions, in order

    # ---- going on

    def going_on(self, kind: Kind, end: int) -> tuple[Learner, P] | None:
        """What the newest snapshot goes on from. Raises Stop where the topic, which ends at `end`, is another."""
        where = self._registry.place.shown
        for manifest in self._newest(kind.name, STATES):
            place = _place(manifest, self._course)
            if place is None or manifest.feature_hash != self._vectors.hash:
                log.warning("a snapshot is for other features", extra={"model": manifest.label})
                continue
            if place.topic_id != self._topic_id:
                raise stops.made_anew(place.topic, kind.name, place.topic_id, self._topic_id, where)
            if place.offset > end:
                raise stops.log_short(place.topic, kind.name, place.offset, end, where)
            try:
                learner = kind.of_state(self._state(manifest), self._vectors.names)
            except (ArtefactError, ValueError) as error:
                log.warning("a snapshot cannot go on", extra={"model": manifest.label, "why": str(error)})
                continue
            return learner, place
        return None

    def newest(self, name: str) -> int:
        """The offset of the newest snapshot of a model, whatever it is for; -1: there is none."""
        return next((int(one.version) for one in self._newest(name, 1)), -1)

    def _newest(self, name: str, most: int) -> Iterator[Manifest]:
        """Of so many snapshots, newest first; what a writer that died left of one is passed over."""
        for version in reversed(self._versions(name)):
            if most <= 0:
                return
            with suppress(ArtefactError):
                yield self._registry.manifest(name, version)
                most -= 1

    def _state(self, manifest: Manifest) -> bytes:
        state = self._registry.card(manifest.name, manifest.version).get(STATE_FILE)
        if state is None or hashlib.sha256(state).hexdigest() != manifest.data["state"]:
            raise ArtefactError(f"{manifest.label}: its {STATE_FILE} is not the one that the manifest names")
        return state

    def _versions(self, name: str) -> list[str]:
        """Listed once: nobody else writes them while we own the partition. Some may not be whole."""
        if name not in self._known:
            every = self._registry.begun(name)
            self._known[name] = sorted(one for one in every if len(one) == DIGITS and one.isdigit())
        return self._known[name]

    # ---- keeping

    def put(self, snapshot: Snapshot) -> Ref | None:
        """Keeps it; None where another is kept under its offset: the model began anew since."""
        try:
            manifest = self._registry.put(
                snapshot.scorer,
                name=snapshot.name,
                version=snapshot.version,
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
        if (place := known.index(manifest.version) - STATES) >= 0:
            self._registry.drop(snapshot.name, known[place], STATE_FILE)
        return Ref(manifest.name, manifest.version, manifest.model_hash)

    def keep_sane(self, ref: Ref) -> None:
        """Says that it may score."""
        learned.keep_sane(self._registry, ref)

    def sane(self, name: str) -> Ref | None:
        """The newest that may score."""
        return learned.sane(self._registry, name) or self._registry.deployed().online.get(name)

    def deploy(self, refs: Mapping[str, Ref]) -> Deployment | None:
        """Puts snapshots in force that somebody asks for and that are newer than those that are; None where none is."""

        def change(now: Deployment) -> Deployment:
            asked = self._asked_for(now, refs)
            newer = {name: ref for name, ref in refs.items() if name in asked and _is_newer(ref, now.online.get(name))}
            return deployments.online(newer)(now)

        before = self._registry.deployed()
        after = self._registry.deploy(change, why="snapshots of online models", by=BY)
        return after if after.number != before.number else None

    def _asked_for(self, now: Deployment, names: Collection[str]) -> Collection[str]:
        """Of these models those that score something where they are in force."""
        del now
        return names

    def thin(self, name: str, needed: Collection[str]) -> list[str]:
        """Removes old snapshots of which nobody needs any, but for one a day; which."""
        gone = thin(self._registry, name, needed, older_than_ms=THIN_MS)
        lost = {label.partition("/")[2] for label in gone}
        self._known[name] = [version for version in self._versions(name) if version not in lost]
        return gone

    def scorer(self, name: str, ref: Ref | None) -> Scorer | None:
        """Of a snapshot; None where there is none, or it is for other features."""
        try:
            return self._registry.of(ref, self._vectors.names, self._vectors.hash).model if ref is not None else None
        except ArtefactError as error:
            log.warning("the last good snapshot cannot be read", extra={"model": name, "why": str(error)})
            return None


class LabelSnapshots(Snapshots[Place]):
    """Those of models that learn from labels: members of a champion, whose scores of then are known."""

    def __init__(self, registry: Registry, vectors: Vectors, topic_id: str, revision: str) -> None:
        super().__init__(registry, vectors, topic_id, revision, Place)
        self._due_ms: dict[tuple[str, str], int] = {}  # of those that were asked: the last due time
        self._scorers: OrderedDict[tuple[str, str], Scorer] = OrderedDict()
        self._members: dict[Ref, set[str]] = {}  # of the models that were in force last

    def _asked_for(self, now: Deployment, names: Collection[str]) -> Collection[str]:
        """The members of the champion, and of challengers: so that one has them at once when it is promoted."""
        del names
        acting = [ref for ref in (now.champion, *now.challengers) if ref is not None]
        self._members = {ref: self._members.get(ref) or self._members_of(ref) for ref in acting}
        return set[str]().union(*self._members.values())

    def _members_of(self, ref: Ref) -> set[str]:
        try:
            manifest = self._registry.manifest(ref.name, ref.version)
        except ArtefactError:  # workers tell
            return set()
        return members_in(manifest.files) if manifest.kind == Blend.kind else set()

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
                place = _place(self._registry.manifest(name, version), Place)
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


def _place(manifest: Manifest, course: type[P]) -> P | None:
    """How far a snapshot had read; None where the manifest does not say it."""
    try:
        return msgspec.convert(manifest.data, course)
    except msgspec.ValidationError:
        return None


def _is_newer(ref: Ref, than: Ref | None) -> bool:
    """Versions are offsets of one length."""
    return than is None or than.version < ref.version
