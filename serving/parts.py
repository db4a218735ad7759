"""What the API is made of: one value that every route is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from features.catalogue import catalogue
from features.definitions import Definitions
from features.kinds import NAMES
from schemas.decisions import DecisionLog
from schemas.settings import Settings
from serving.force import Force
from serving.problems import ProblemError
from serving.recent import Recent, Seen
from serving.traffic import Traffic
from streams.assess import Assessor
from streams.configuration import Configuration
from streams.stores.valkey import ValkeyStore
from streams.transport.log import LogReader


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything is open and fed by whoever made it (run.py)."""

    settings: Settings
    definitions: Definitions
    rules: str  # the file's text
    store: ValkeyStore
    reader: LogReader
    recent: Recent
    traffic: Traffic
    force: Force
    assessor: Assessor
    words: Mapping[str, str]  # what each feature is

    def decision(self, id_: str) -> tuple[Seen, DecisionLog | None]:
        """By the decision's id or its order's; raises ProblemError where it is not in memory."""
        found = self.recent.decision(id_)
        if found is None:
            raise ProblemError(
                HTTPStatus.NOT_FOUND, f"no decision or order {id_} is in memory", f"headrace explain {id_}"
            )
        return found


def words_of(settings: Settings, definitions: Definitions) -> Mapping[str, str]:
    """What each feature is, in words."""
    kinds = NAMES if settings.features is None else {}
    return {told.column: told.what for told in catalogue(definitions, kinds)} | dict(definitions.vector.words)


def measured(configuration: Configuration) -> Mapping[str, float]:
    """What the manifest of the model in force says that it was measured at: what has an interval, and its middle."""
    told = configuration.artefact.manifest.metrics if configuration.artefact else {}
    return {name: float(one["value"]) for name, one in told.items() if isinstance(one, Mapping) and "value" in one}
