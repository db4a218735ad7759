"""Topic `models`: what is in force, and what each configuration is made of that a decision ever named.

Two kinds of documents, by the record's key. `deployment`: which model of the registry decides, which score beside it in
shadow; immutable in the registry, one file for each change, and here for workers to hear of it. `configuration:<id>`:
the rules and models of a configuration; the topic is compacted, so each stays for ever, and who explains an old
decision finds it under the id that the decision has.

A configuration names models of the registry by name, version and hash. Where there is no registry it holds the files
themselves. The price: those travel with every new configuration, and must fit into one record.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct

from schemas.decisions import NewerVersionError

DEPLOYMENT_VERSION: Final = 1
CONTENT_VERSION: Final = 3  # 2: without a model of sessions; 1: without any of the registry, or files that are no text
TOPIC: Final = "models"
DEPLOYMENT_KEY: Final = b"deployment"


class Ref(Struct, gc=False, frozen=True):
    """A model of the registry. The hash says that its files are those of then."""

    name: str
    version: str
    model_hash: str

    @property
    def label(self) -> str:
        return f"{self.name}/{self.version}"


class Deployment(Struct, frozen=True, tag="deployment", tag_field="type"):
    """What is in force from this change on.

    Without a champion the model that ships with Headrace decides, or with `rules_only` the rules alone.
    """

    number: int
    champion: Ref | None
    challengers: tuple[Ref, ...]  # score, and never act
    online: Mapping[str, Ref]  # by the champion's member of which it is a newer snapshot; `sessions` is of no champion
    at_ms: int
    why: str
    by: str
    rules_only: bool = False
    version: int = DEPLOYMENT_VERSION

    @classmethod
    def none(cls) -> Deployment:
        """What is in force before the first change."""
        return cls(0, None, (), {}, 0, "", "")

    @property
    def refs(self) -> tuple[Ref, ...]:
        """Every model that it names."""
        return (*([self.champion] if self.champion else []), *self.challengers, *self.online.values())


class Content(Struct, frozen=True):
    """What a configuration is made of. `model` and `binary` hold a model's files where it is in no registry."""

    rules: str
    model: Mapping[str, str]
    features: str  # the vector's hash
    words: Mapping[str, str] = {}  # what reasons call the model's features
    version: int = 1
    binary: Mapping[str, bytes] = {}  # in base64
    champion: Ref | None = None
    online: Mapping[str, Ref] = {}
    challengers: tuple[Ref, ...] = ()
    sessions: Ref | None = None  # says which sessions are unusual


class Configured(Struct, frozen=True, tag="configuration", tag_field="type"):
    """A configuration under the id that decisions name it by."""

    config: str
    content: Content


Announced = Deployment | Configured


class _Versioned(Struct):
    version: int = 1


_DEPLOYMENT = msgspec.json.Decoder(Deployment)


def configuration_key(config: str) -> bytes:
    """The key of a configuration's record."""
    return f"configuration:{config}".encode()


def decode_deployment(value: bytes) -> Deployment:
    """Raises NewerVersionError where a newer Headrace wrote it, msgspec.DecodeError on nonsense."""
    version = msgspec.json.decode(value, type=_Versioned).version
    if version > DEPLOYMENT_VERSION:
        raise NewerVersionError(
            f"a deployment has version {version}, this Headrace reads up to {DEPLOYMENT_VERSION}: upgrade it"
        )
    return _DEPLOYMENT.decode(value)
