"""A schema of a registry, and what is asked for one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from streams.protocol.ports import StoreDown


class SchemasDown(StoreDown):
    """The schema registry does not answer: back off, nothing is lost."""


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema as it is written down, and what it refers to."""

    kind: str  # AVRO, JSON or PROTOBUF
    text: str
    references: tuple[Schema, ...] = ()


class Schemas(Protocol):
    """Who knows them. Both calls block; they raise SchemasDown, or Stop where waiting cannot help."""

    def __call__(self, number: int) -> Schema | None:
        """The schema of an id; None where there is none."""
        ...

    def check(self) -> None:
        """Returns where schemas could be asked for."""
        ...
