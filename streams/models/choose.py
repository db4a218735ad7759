"""Choosing: a deployment and this worker's files in, the configuration of new ranges out. Runs in a thread.

Whose model decides, in this order:
    HEADRACE_MODEL     a folder that somebody named: it is pinned, whatever is promoted
    the champion       of the registry; one that is cut off or for other features: rules alone, and an alarm
    the shop's own     where no champion was ever promoted; not where it was taken out of force
Newer snapshots go into a champion of the registry that has the member; that of `sessions` stands by itself. A
challenger or a snapshot that cannot be used is left out and told. Each model is loaded once, and scores two orders
before any order depends on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from features.definitions import Definitions
from features.vector import Vector
from models.artefact import Artefact
from models.deployments import champion_since_ms
from models.documents import ArtefactError
from models.registry import Registry
from models.sessions import SESSIONS, Sessions
from models.shadow import proved
from schemas.deployments import Deployment, Ref
from schemas.settings import Settings
from storage.errors import StorageDown
from streams.configuration import Chosen, Configuration, Load, configured, of_folder, rules_text


@dataclass(frozen=True, slots=True)
class Choice:
    """What new ranges are decided by, and which models of the deployment are left out, and why."""

    deployment: Deployment
    configuration: Configuration
    refused: Mapping[str, str] = field(default_factory=dict)  # by name/version

    @property
    def whole(self) -> bool:
        return not self.refused


class Chooser:
    """`default`: the model that decides where no champion was promoted; `pinned`: it decides always."""

    def __init__(
        self, definitions: Definitions, rules: str, default: Chosen, registry: Registry | None, *, pinned: bool
    ) -> None:
        self._definitions, self._rules, self._default = definitions, rules, default
        self.registry, self._pinned = registry, pinned
        self._loaded = dict[Ref, Artefact]()
        self._since: tuple[Ref, int] | None = None

    @classmethod
    def of(cls, settings: Settings, definitions: Definitions) -> Chooser:
        """That of the settings; raises BadConfigurationError or StorageError where a file or the URL cannot be used."""
        rules = rules_text(definitions, settings.rules)
        registry = Registry.at(settings.registry.url) if settings.registry.url else None
        default = of_folder(definitions, settings.model)
        return cls(definitions, rules, default, registry, pinned=settings.model is not None)

    def now(self) -> Choice:
        """What is in force; raises StorageDown where there is a registry that does not answer."""
        return self.choose(self.registry.deployed() if self.registry else Deployment.none())

    def choose(self, deployment: Deployment, failing: Mapping[str, str] | None = None) -> Choice:
        """Raises StorageDown where the registry does not answer. `failing`: challengers that failed in scoring."""
        refused = dict(failing or {})
        challengers = (self._or_refused(ref, refused) for ref in deployment.challengers if ref.label not in refused)
        kept = tuple(one for one in challengers if one is not None)
        chosen = self._champion(deployment, refused)
        online, sessions = self._online(chosen, deployment, refused), self._sessions(deployment, refused)
        chosen = Chosen(chosen.champion, chosen.files, online, kept, chosen.why, sessions)
        configuration = configured(self._definitions, self._rules, chosen)
        self._loaded = {ref: one for ref, one in self._loaded.items() if ref in deployment.refs}
        return Choice(deployment, configuration, refused)

    def since_ms(self, deployment: Deployment) -> int:
        """When its champion was put in force; 0 where none was. Raises StorageDown where the registry does not answer.

        The history is read once for each champion, for newer snapshots of its members are deployments, too: seconds
        where that was long ago, so it is no part of choosing.
        """
        if self.registry is None or deployment.champion is None:
            return 0
        if self._since is None or self._since[0] != deployment.champion:
            self._since = deployment.champion, champion_since_ms(self.registry.history(), deployment)
        return self._since[1]

    def load(self, ref: Ref) -> Artefact:
        """A model of the registry, checked and tried; raises ArtefactError, or StorageDown."""
        return self._read(ref, self._definitions.vector)

    def load_sessions(self, ref: Ref) -> Artefact:
        """As `load`, one that says which sessions are unusual."""
        if self._definitions.session is None:
            raise ArtefactError(f"{ref.label} is a model of sessions, and the definitions have none")
        found = self._read(ref, self._definitions.session)
        if not isinstance(found.model, Sessions):
            raise ArtefactError(f"{ref.label}: a model of kind {found.manifest.kind}: want {SESSIONS}")
        return found

    def _read(self, ref: Ref, vector: Vector) -> Artefact:
        if self.registry is None:
            raise ArtefactError(f"{ref.label} is a model of a registry: set HEADRACE_REGISTRY__URL")
        if ref not in self._loaded:
            try:
                found = self.registry.of(ref, vector.names, vector.hash)
                proved(found.model, len(vector.names))
            except (ArtefactError, StorageDown):
                raise
            except Exception as error:  # a library's own: what it cannot load, or score with, is no model
                raise ArtefactError(f"{ref.label}: it cannot be used: {type(error).__name__}: {error}") from error
            self._loaded[ref] = found
        return self._loaded[ref]

    def _champion(self, deployment: Deployment, refused: dict[str, str]) -> Chosen:
        if self._pinned:
            return self._default
        if deployment.champion is not None:
            champion = self._or_refused(deployment.champion, refused)
            return Chosen(champion, why=refused.get(deployment.champion.label, ""))
        if deployment.rules_only:
            return Chosen(why=f"the champion was taken out of force: {deployment.why}")
        return self._default

    def _online(self, chosen: Chosen, deployment: Deployment, refused: dict[str, str]) -> dict[str, Artefact]:
        """The snapshots that the champion has members for."""
        if chosen.champion is None or chosen.files:
            return {}
        found, model = dict[str, Artefact](), chosen.champion.model
        for member, ref in deployment.online.items():
            if member == SESSIONS:
                continue
            snapshot = self._or_refused(ref, refused)
            if snapshot is not None and member in getattr(model, "scorers", {}):
                found[member] = snapshot
        return found

    def _sessions(self, deployment: Deployment, refused: dict[str, str]) -> Artefact | None:
        """What says which sessions are unusual, whoever decides about orders; where none can be used nobody does."""
        ref = deployment.online.get(SESSIONS)
        if ref is None or self._definitions.milestones is None:
            return None
        return self._or_refused(ref, refused, self.load_sessions)

    def _or_refused(self, ref: Ref, refused: dict[str, str], load: Load | None = None) -> Artefact | None:
        try:
            return (load or self.load)(ref)
        except ArtefactError as error:
            refused[ref.label] = str(error)
            return None
