"""Configurations: rules, models and thresholds that a range is decided by, under one id that travels with the range.

A range that was begun under a configuration is decided under it for ever, also by a worker that was started with
another one: so the content is kept in the store under its id. The id is a hash of what the content means: the same
rules with other comments are the same configuration.

Models of the registry are named in it by name, version and hash, and read there by whoever needs them; one that is in
no registry (the shipped one, HEADRACE_MODEL) is inside. The price of names: a range that a dead worker left open waits
for a registry that is away; where a model is gone for good, rules decide alone and the decision says `recovered`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from features.definitions import Definitions
from models import artefact, rules
from models.artefact import Artefact
from models.decide import Decider
from models.documents import ArtefactError
from models.rules import Rules
from models.sessions import Sessions
from models.shadow import Shadow
from schemas.decisions import encode
from schemas.deployments import CONTENT_VERSION, Configured, Content, Ref

DEFAULT = Path(rules.__file__).parent / "default"
DEFAULT_RULES = DEFAULT / "rules.toml"
VERSION: Final = CONTENT_VERSION  # of the content that the store keeps; a reader refuses what is newer
EMBEDDED_BYTES: Final = 8_000_000  # of a model that is in no registry: it must fit into a record

Load = Callable[[Ref], Artefact]


class BadConfigurationError(ValueError):
    """A configuration that cannot be used; the message names the part, its value and the remedy."""


class _Versioned(msgspec.Struct):
    version: int = 1


class Bound(NamedTuple):
    """The vectors that the rules and models of a configuration read; of today's definitions, or of those of then."""

    names: tuple[str, ...]
    hash: str
    words: Mapping[str, str]
    session: tuple[str, ...]  # names of the session's vector
    wants_model: bool
    session_words: Mapping[str, str] = {}


def bound_to(definitions: Definitions) -> Bound:
    """Those of these definitions."""
    vector, session = definitions.vector, definitions.session
    names = tuple(session.names) if session else ()
    words = session.words if session else {}
    return Bound(tuple(vector.names), vector.hash, vector.words, names, _is_shop(definitions), words)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The models of a configuration, loaded and checked."""

    champion: Artefact | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)  # the champion's, where it is in no registry
    online: Mapping[str, Artefact] = field(default_factory=dict)  # newer snapshots, by the champion's member
    challengers: tuple[Artefact, ...] = ()
    why: str = ""  # there is no champion
    sessions: Artefact | None = None  # says which sessions are unusual


@dataclass(frozen=True)
class Configuration:
    """A configuration made ready to decide."""

    id: str
    made_of: Content
    rules: Rules
    decider: Decider
    shadow: Shadow
    artefact: Artefact | None
    no_model: str  # why there is no model though one is wanted; empty where there is one
    sessions: Sessions | None  # says which sessions are unusual

    @cached_property
    def content(self) -> bytes:
        """As the store keeps it."""
        return encode(self.made_of)

    @property
    def announcement(self) -> bytes:
        """The record of topic `models`."""
        return encode(Configured(self.id, self.made_of))

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
    return configured(definitions, rules_text(definitions, rules_file), of_folder(definitions, model_folder))


def rules_text(definitions: Definitions, rules_file: Path | None) -> str:
    """The rules file, or the shop's own; raises BadConfigurationError."""
    return _read(rules_file or DEFAULT_RULES) if rules_file or _is_shop(definitions) else ""


def of_folder(definitions: Definitions, folder: Path | None) -> Chosen:
    """The model of a folder, or the one that ships with this release; `why` says what is wrong with it."""
    folder = folder or (_shipped() if _is_shop(definitions) else None)
    if folder is None:
        return Chosen(why="no model is named (HEADRACE_MODEL, or a champion in HEADRACE_REGISTRY__URL)")
    try:
        files = artefact.read(folder)
        if sum(map(len, files.values())) > EMBEDDED_BYTES:
            raise ArtefactError(
                f"{folder}: {sum(map(len, files.values())):,} bytes: a model of over {EMBEDDED_BYTES:,} must be in a "
                "registry: `headrace models put`"
            )
        loaded = artefact.parse(files, definitions.vector.names, definitions.vector.hash, str(folder))
    except ArtefactError as error:
        return Chosen(why=str(error))
    return Chosen(loaded, files)


def configured(definitions: Definitions, rules_text: str, chosen: Chosen) -> Configuration:
    """The configuration of rules and models; raises RulesError."""
    return _configured(bound_to(definitions), rules_text, chosen)


def _configured(bound: Bound, rules_text: str, chosen: Chosen) -> Configuration:
    parsed = _parsed(rules_text, bound)
    return _ready(_content(bound, rules_text, parsed, chosen), parsed, bound, chosen)


def from_content(
    content: bytes, definitions: Definitions, load: Load | None = None, load_sessions: Load | None = None
) -> tuple[Configuration, list[str]]:
    """A configuration as the store keeps it, and what is lacking of it: models that are gone, or not what they were.

    `load` reads a model of the registry, `load_sessions` that of sessions (None: it is not wanted); they raise
    ArtefactError for such. Raises BadConfigurationError where a newer
    worker wrote it, or where this one computes other features or has no registry.
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
    return of_content(kept, bound_to(definitions), load, load_sessions)


def of_content(
    kept: Content, bound: Bound, load: Load | None = None, load_sessions: Load | None = None
) -> tuple[Configuration, list[str]]:
    """As `from_content`, for the vectors that it was made for, whatever the definitions have become since."""
    lacking = list[str]()
    chosen = _loaded(kept, bound, load, lacking)
    if kept.sessions is not None and load_sessions is not None:
        try:
            chosen = replace(chosen, sessions=load_sessions(kept.sessions))
        except ArtefactError as error:
            lacking.append(str(error))
    if not lacking:
        return _ready(kept, _parsed(kept.rules, bound), bound, chosen), lacking
    return _configured(bound, kept.rules, chosen), lacking


def _loaded(kept: Content, bound: Bound, load: Load | None, lacking: list[str]) -> Chosen:
    """The models that a content names; what cannot be had is told in `lacking`."""

    def one(ref: Ref) -> Artefact | None:
        if load is None:
            raise BadConfigurationError(
                f"it names model {ref.label} of a registry, and this worker has none: set HEADRACE_REGISTRY__URL"
            )
        try:
            return load(ref)
        except ArtefactError as error:
            lacking.append(str(error))
            return None

    files = {name: content.encode() for name, content in kept.model.items()} | dict(kept.binary)
    if files:
        champion: Artefact | None = artefact.parse(files, bound.names, bound.hash, "the pinned model")
    else:
        champion = one(kept.champion) if kept.champion else None
    online = {member: found for member, ref in kept.online.items() if (found := one(ref))}
    challengers = tuple(found for ref in kept.challengers if (found := one(ref)))
    return Chosen(
        champion, files, online, challengers, lacking[0] if lacking else "the range was begun without a model"
    )


def _parsed(text: str, bound: Bound) -> Rules:
    return rules.parse(text, bound.names, bound.session, source="rules")


def _content(bound: Bound, rules_text: str, parsed: Rules, chosen: Chosen) -> Content:
    model, sessions = _whole(chosen), _of_sessions(chosen)
    called = {name: bound.words[name] for name in (model.reads if model is not None else ()) if name in bound.words}
    if sessions is not None:
        called |= {name: bound.session_words[name] for name in sessions.reads if name in bound.session_words}
    texts, binary = _split(chosen.files)
    champion = ref_of(chosen.champion) if chosen.champion and not chosen.files else None
    online = {member: ref_of(one) for member, one in sorted(chosen.online.items())} if chosen.champion else {}
    challengers = tuple(sorted(map(ref_of, chosen.challengers), key=lambda ref: ref.label))
    version = 2 if binary or champion or online or challengers else 1
    if chosen.sessions is not None or parsed.unusual_at != rules.UNUSUAL_AT:
        version = VERSION
    return Content(
        rules_text,
        texts,
        bound.hash,
        called,
        version=version,
        binary=binary,
        champion=champion,
        online=online,
        challengers=challengers,
        sessions=ref_of(chosen.sessions) if chosen.sessions else None,
    )


def _ready(content: Content, parsed: Rules, bound: Bound, chosen: Chosen) -> Configuration:
    champion = chosen.champion
    called = champion.manifest.name if champion else ""
    by_label = {one.label: one.model for one in chosen.challengers}
    return Configuration(
        id=_id(content, parsed, champion),
        made_of=content,
        rules=parsed,
        decider=Decider(parsed, _whole(chosen), bound.names, content.words, called),
        shadow=Shadow({ref.label: by_label[ref.label] for ref in content.challengers}),
        artefact=champion,
        no_model="" if champion or not bound.wants_model else chosen.why,
        sessions=_of_sessions(chosen),
    )


def _id(content: Content, parsed: Rules, champion: Artefact | None) -> str:
    """16 hex digits of what it means. Models of a registry count with their names: decisions tell them."""
    words = msgspec.json.encode(content.words, order="sorted").decode()
    parts = [parsed.fingerprint, champion.manifest.model_hash if champion else "", content.features, words]
    parts += [f"champion {content.champion.label}"] if content.champion else []
    parts += [f"online {member} {ref.label} {ref.model_hash}" for member, ref in sorted(content.online.items())]
    parts += [f"challenger {ref.label} {ref.model_hash}" for ref in content.challengers]
    parts += [f"sessions {content.sessions.label} {content.sessions.model_hash}"] if content.sessions else []
    return sha256("\n".join(parts).encode()).hexdigest()[:16]


def _whole(chosen: Chosen) -> Any:
    """The champion with its newer members in their places: only a model of members is ever chosen with any."""
    model: Any = chosen.champion.model if chosen.champion else None
    if model is not None:
        for member, snapshot in sorted(chosen.online.items()):
            model = model.with_member(member, snapshot.model)
    return model


def _of_sessions(chosen: Chosen) -> Sessions | None:
    model = chosen.sessions.model if chosen.sessions else None
    return model if isinstance(model, Sessions) else None


def ref_of(loaded: Artefact) -> Ref:
    """What a content calls a model of the registry."""
    return Ref(loaded.manifest.name, loaded.manifest.version, loaded.manifest.model_hash)


def _split(files: Mapping[str, bytes]) -> tuple[dict[str, str], dict[str, bytes]]:
    """The files that are text, and the others."""
    texts, binary = dict[str, str](), dict[str, bytes]()
    for name, content in files.items():
        try:
            texts[name] = content.decode()
        except UnicodeDecodeError:
            binary[name] = content
    return texts, binary


def _is_shop(definitions: Definitions) -> bool:
    """Whether these are definitions that the shipped rules can read: they bring no score of their own."""
    return definitions.score is None


def _shipped() -> Path | None:
    """The newest model that ships with this release."""
    folders = sorted(path.parent for path in DEFAULT.rglob(artefact.MANIFEST_FILE))
    return folders[-1] if folders else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfigurationError(f"rules file {path}: cannot be read: {error}") from error
