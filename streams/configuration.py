"""Configurations: rules, model and thresholds that a range is decided by, under one id that travels with the range.

A range that was begun under a configuration is decided under it for ever, also by a worker that was started with
another one: so the content itself (a few kB of TOML and JSON) is kept in the store under its id. The id is a hash of
what the content means: the same rules with other comments are the same configuration.
The price: a model that is large does not fit here; it will be a reference into the registry.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import msgspec

from features.definitions import Definitions
from models import artefact, rules
from models.artefact import Artefact
from models.decide import Decider
from models.documents import ArtefactError
from models.rules import Rules
from streams.protocol.ports import Stop

DEFAULT = Path(rules.__file__).parent / "default"
DEFAULT_RULES = DEFAULT / "rules.toml"
VERSION = 1  # of the content that the store keeps; a reader refuses what is newer


class BadConfigurationError(ValueError):
    """A configuration that cannot be used; the message names the part, its value and the remedy."""


class Content(msgspec.Struct, frozen=True):
    """What a configuration is made of, as the store keeps it. `model` holds the artefact's files; empty: no model."""

    rules: str
    model: dict[str, str]
    features: str  # the vector's hash
    words: dict[str, str] = {}  # what reasons call the model's features
    version: int = VERSION


class _Versioned(msgspec.Struct):
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Configuration:
    """A configuration made ready to decide."""

    id: str
    content: bytes
    rules: Rules
    decider: Decider
    artefact: Artefact | None
    no_model: str  # why there is no model; empty where there is one

    @property
    def model_name(self) -> str | None:
        return self.artefact.manifest.name if self.artefact else None

    @property
    def model_version(self) -> str | None:
        return self.artefact.manifest.version if self.artefact else None


def from_files(definitions: Definitions, rules_file: Path | None, model_folder: Path | None) -> Configuration:
    """The configuration of this worker's files; the shop's own where none are named.

    A model that is corrupt or made for other features does not stop the stream: rules decide alone, `no_model` says
    why.
    """
    rules_text = _read(rules_file or DEFAULT_RULES) if rules_file or _is_shop(definitions) else ""
    folder = model_folder or (_shipped() if _is_shop(definitions) else None)
    model: dict[str, str] = {}
    words: dict[str, str] = {}
    called = definitions.vector.words
    why = "no model is named (HEADRACE_MODEL)"
    if folder is not None:
        try:
            files = artefact.read(folder)
            loaded = artefact.parse(files, definitions.vector.names, definitions.vector.hash, str(folder))
            words = {name: called[name] for name in loaded.model.reads if name in called}
            model, why = {name: content.decode() for name, content in files.items()}, ""
        except ArtefactError as error:
            why = str(error)
    return _ready(Content(rules_text, model, definitions.vector.hash, words), definitions, why)


def from_content(content: bytes, definitions: Definitions) -> Configuration:
    """A configuration as the store keeps it; raises BadConfigurationError where a newer worker wrote it, or where this
    one computes other features.
    """
    version = msgspec.json.decode(content, type=_Versioned).version
    if version > VERSION:
        raise BadConfigurationError(
            f"its content has version {version} and this worker reads up to {VERSION}: upgrade this worker, "
            "or let one that is newer finish the range"
        )
    kept = msgspec.json.decode(content, type=Content)
    if kept.features != definitions.vector.hash:
        raise BadConfigurationError(
            f"an open range was begun with features {kept.features}, this worker computes {definitions.vector.hash}: "
            "let a worker of the old definitions finish it before you start one of the new"
        )
    return _ready(kept, definitions, "the range was begun without a model")


class Configurations:
    """The configurations that this worker can decide by: its own, and those of ranges that others began."""

    def __init__(
        self, definitions: Definitions, own: Configuration, load: Callable[[str], Awaitable[bytes | None]]
    ) -> None:
        """`load` gives the content that the store keeps under an id, None where it has none."""
        self._definitions, self._load = definitions, load
        self.own = own
        self._known = {own.id: own}

    def __getitem__(self, config: str) -> Configuration:
        return self._known[config]

    async def ready(self, config: str) -> None:
        """Makes a configuration known; raises Stop where it is nowhere to be had, or is not for these features."""
        if config in self._known:
            return
        content = await self._load(config)
        if content is None:
            raise Stop(
                f"a range was begun under configuration {config}, which the store no longer keeps: "
                "start this worker once with the rules and the model of that time (HEADRACE_RULES, HEADRACE_MODEL)"
            )
        try:
            self._known[config] = from_content(content, self._definitions)
        except (BadConfigurationError, ArtefactError, rules.RulesError) as error:
            raise Stop(f"configuration {config} of an open range: {error}") from error


def _ready(content: Content, definitions: Definitions, why: str) -> Configuration:
    names = definitions.vector.names
    session = definitions.session.names if definitions.session else ()
    parsed = rules.parse(content.rules, names, session, source="rules")
    loaded = _artefact(content.model, definitions) if content.model else None
    words = msgspec.json.encode(content.words, order="sorted").decode()
    parts = (parsed.fingerprint, loaded.manifest.model_hash if loaded else "", content.features, words)
    decider = Decider(parsed, loaded.model if loaded else None, names, content.words)
    return Configuration(
        id=sha256("\n".join(parts).encode()).hexdigest()[:16],
        content=msgspec.json.encode(content),
        rules=parsed,
        decider=decider,
        artefact=loaded,
        no_model="" if loaded else why,
    )


def _artefact(files: Mapping[str, str], definitions: Definitions) -> Artefact:
    encoded = {name: content.encode() for name, content in files.items()}
    return artefact.parse(encoded, definitions.vector.names, definitions.vector.hash, "the pinned model")


def _is_shop(definitions: Definitions) -> bool:
    """Whether these are definitions that the shipped rules can read: they bring no score of their own."""
    return definitions.score is None


def _shipped() -> Path | None:
    """The newest model that ships with this release."""
    folders = sorted(path.parent for path in DEFAULT.rglob("model.json"))
    return folders[-1] if folders else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfigurationError(f"rules file {path}: cannot be read: {error}") from error
