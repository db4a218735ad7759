"""Definitions: all that a worker needs to know of a shop to run. The shop's own are in features/shop.py.

A user's file is Python and exports `definitions = Definitions(flows=(...), vector=...)`; docs/features.md has one. It
is code and is trusted like code. The price of that freedom: the worker cannot see a change inside a function, so the
layout numbers of groups and the revision of the vector are the user's to raise.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from features.columns import Columns, Floats, Floats2d, Ints
from features.group import Group
from features.join import Join, Meeting
from features.vector import Vector
from features.window import Window
from schemas.decode import Decoded


@dataclass(frozen=True)
class Scored:
    """The fresh events of one range with all that is known of them: what an output adapter turns into records."""

    columns: Columns
    folded: Mapping[str, Floats2d]  # by group name, (n, len(group.columns))
    rows: Floats2d  # (n, d) the vector
    scores: Floats  # (n,)
    keys: Sequence[bytes | None]  # of the input records
    offset: Ints  # (n,) of the input records


@dataclass(frozen=True)
class Outputs:
    """Records for one topic, in columns: no object per record. `event` (k,): the place in the range of each one."""

    topic: str
    event: Ints
    keys: Sequence[bytes | None]
    values: Sequence[bytes]


@dataclass(frozen=True)
class Flow:
    """One input topic: how its records become columns, which groups they are added to, and whether they are scored.

    A group named in several flows is the same group: it must be the same object or an equal one.
    """

    topic: str
    decode: Callable[[Sequence[bytes | None]], Decoded]
    identify: Callable[[Sequence[Any]], list[str]]  # decoded events -> event ids
    columns: Callable[[Sequence[Any], Ints], Columns]  # fresh events and their event ms -> columns
    groups: tuple[Group, ...]
    scored: bool
    outputs: Callable[[Scored], Sequence[Outputs]] | None = None  # None: the shop's decisions
    writes: tuple[str, ...] = ()  # the topics of `outputs`: created with ours and looked for at the start
    join: Join | None = None  # with other flows, in bags of their own (features/join.py)
    ours: bool = False  # workers write the topic: an event is judged by its id alone, neither by time nor by content


@dataclass(frozen=True)
class Definitions:
    """What a worker runs.

    `vector` is read for scored flows. `session` is the vector of session rules, for flows that are not scored (None: no
    such rules). `milestones` is its column that counts a session's events: whenever that has doubled, the vector goes
    to topic `sessions`, from which is learned what is usual (None: it never does). `score` replaces the champion model
    where a user brings a function of the (n, d) rows.
    `constants` are further texts that the state depends on, such as the fingerprint of the currency table.
    """

    flows: tuple[Flow, ...]
    vector: Vector
    session: Vector | None = None
    score: Callable[[Floats2d], Floats] | None = None
    constants: Mapping[str, str] | None = None
    milestones: str | None = None

    def __post_init__(self) -> None:
        _check(self)

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """Every group once, in order of first appearance."""
        return tuple({group.name: group for flow in self.flows for group in flow.groups}.values())

    @cached_property
    def meetings(self) -> tuple[Meeting, ...]:
        """Every kind of bag in which flows meet, once."""
        joins = [flow.join for flow in self.flows if flow.join is not None]
        return tuple({join.meeting.name: join.meeting for join in joins}.values())

    @cached_property
    def longest_ms(self) -> int:
        """The longest window of all: events older than that beside their record's timestamp are too late."""
        return max(group.longest_ms for group in self.groups)

    @cached_property
    def layout(self) -> str:
        """16 hex digits of what decides the meaning of stored bytes: a constant of the state space."""
        parts = [repr((g.name, g.layout, g.entity, g.many, g.others, g.ladder, g.fields, g.keep)) for g in self.groups]
        return sha256("\n".join(parts).encode()).hexdigest()[:16]

    @cached_property
    def contents(self) -> Mapping[str, str]:
        """By group, 16 hex digits of what decides what its bags hold: constants of the state space.

        A longer window of the same tiles, say, reads the same bytes and asks for what was dropped long ago.
        """
        return {group.name: sha256(repr(_contents(group)).encode()).hexdigest()[:16] for group in self.groups}


def _contents(group: Group) -> tuple[object, ...]:
    """The meaning of the bytes, and how far back, how finely and how exactly windows may ask."""
    bytes_ = (group.name, group.layout, group.entity, group.many, group.others, group.other_kinds, group.fields)
    kept = (group.keep, group.exact, group.grace_ms, group.forever)
    return (*bytes_, *kept, _farthest(group.summed), _farthest(group.counted))


def _farthest(windows: Sequence[Window]) -> Sequence[tuple[int, int]]:
    """Of each width of tiles the longest window."""
    return sorted({w.tile_ms: w.tiles for w in sorted(windows, key=lambda w: w.tiles)}.items())


class DefinitionsError(ValueError):
    """A definitions file that cannot be used; the message names the file or the part, and the remedy."""


def load(path: str | Path) -> Definitions:
    """Runs a definitions file and returns its `definitions`."""
    file = Path(path)
    if not file.is_file():
        raise DefinitionsError(f"definitions {file}: no such file: give the path of a Python file (HEADRACE_FEATURES)")
    spec = importlib.util.spec_from_file_location("headrace_definitions", file)
    if spec is None or spec.loader is None:
        raise DefinitionsError(f"definitions {file}: not a Python file: the name must end in .py")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise DefinitionsError(f"definitions {file}: {type(error).__name__}: {error}") from error
    found = getattr(module, "definitions", None)
    if not isinstance(found, Definitions):
        what = "nothing" if found is None else type(found).__name__
        raise DefinitionsError(
            f"definitions {file}: exports {what} as `definitions`: want features.definitions.Definitions"
        )
    return found


def _check(definitions: Definitions) -> None:
    topics = [flow.topic for flow in definitions.flows]
    if not topics:
        raise DefinitionsError("definitions: no flows: want one Flow per input topic")
    if len(set(topics)) < len(topics):
        raise DefinitionsError(f"definitions: two flows of one topic among {', '.join(topics)}: join them")
    for flow in definitions.flows:
        if isinstance(flow.writes, str):
            raise DefinitionsError(
                f'definitions: flow {flow.topic!r}: writes={flow.writes!r}: want a tuple, writes=("{flow.writes}",)'
            )
    known: dict[str, Group] = {}
    _check_joins(definitions)
    for flow in definitions.flows:
        for group in flow.groups:
            if known.setdefault(group.name, group) != group:
                raise DefinitionsError(
                    f"definitions: two groups are named {group.name!r}: rename one or make them equal"
                )
    layouts: dict[int, str] = {}
    for name, group in known.items():
        if (other := layouts.setdefault(group.layout, name)) != name:
            raise DefinitionsError(
                f"definitions: groups {other!r} and {name!r} have layout {group.layout}: give each its own, so that "
                "their bags cannot be taken for each other's"
            )
    counted = definitions.milestones
    if counted is not None and counted not in (definitions.session.names if definitions.session else ()):
        raise DefinitionsError(
            f"definitions: milestones={counted!r}: `session` has no such column: name the one that counts its events"
        )
    for flow in [flow for flow in definitions.flows if flow.scored]:
        _check_reads(flow, definitions.vector, "vector")


def _check_joins(definitions: Definitions) -> None:
    met: dict[str, Meeting] = {}
    names = {group.name for group in definitions.groups}
    for flow in definitions.flows:
        if flow.join is None:
            continue
        meeting = flow.join.meeting
        if met.setdefault(meeting.name, meeting) != meeting or meeting.name in names:
            raise DefinitionsError(
                f"definitions: flow {flow.topic!r} joins in {meeting.name!r}, which is the name of "
                "another meeting or of a group: rename one"
            )


def _check_reads(flow: Flow, vector: Vector, what: str) -> None:
    names = {group.name for group in flow.groups}
    missing = [group.name for group in vector.groups if group.name not in names]
    if missing:
        raise DefinitionsError(
            f"definitions: flow {flow.topic!r}: its {what} reads group {missing[0]!r}: add it to the flow"
        )
