"""Choosing: a deployment and this worker's files in, the configuration of new ranges out. Runs in a thread.

Whose model decides, in this order:
    HEADRACE_MODEL     a folder that somebody named: it is pinned, whatever is promoted
    the champion       of the registry; one that is cut off or for other features: rules alone, and an alarm
    the shop's own     where no champion was ever promoted; not where it was taken out of force
Newer snapshots go into a champion of the registry that has the member. A challenger or a snapshot that cannot be used
is left out and told. Each model is loaded once, and scores two orders before any order depends on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from features.definitions import Definitions
from models.artefact import Artefact
from models.documents import ArtefactError
from models.registry import Registry
from models.shadow import proved
from schemas.deployments import Deployment, Ref
from storage.errors import StorageDown
from streams.configuration import Chosen, Configuration, configured


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

    def choose(self, deployment: Deployment, failing: Mapping[str, str] | None = None) -> Choice:
        """Raises StorageDown where the registry does not answer. `failing`: challengers that failed in scoring."""
        refused = dict(failing or {})
        challengers = (self._or_refused(ref, refused) for ref in deployment.challengers if ref.label not in refused)
        kept = tuple(one for one in challengers if one is not None)
        chosen = self._champion(deployment, refused)
        chosen = Chosen(chosen.champion, chosen.files, self._online(chosen, deployment, refused), kept, chosen.why)
        configuration = configured(self._definitions, self._rules, chosen)
        self._loaded = {ref: one for ref, one in self._loaded.items() if ref in deployment.refs}
        return Choice(deployment, configuration, refused)

    def load(self, ref: Ref) -> Artefact:
        """A model of the registry, checked and tried; raises ArtefactError, or StorageDown."""
        if self.registry is None:
            raise ArtefactError(f"{ref.label} is a model of a registry: set HEADRACE_REGISTRY__URL")
        vector = self._definitions.vector
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
            snapshot = self._or_refused(ref, refused)
            if snapshot is not None and member in getattr(model, "scorers", {}):
                found[member] = snapshot
        return found

    def _or_refused(self, ref: Ref, refused: dict[str, str]) -> Artefact | None:
        try:
            return self.load(ref)
        except ArtefactError as error:
            refused[ref.label] = str(error)
            return None
