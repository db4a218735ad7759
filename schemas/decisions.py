"""What leaves: decisions, our own log of them, anomalies, and the rows of `applied`.

Encoded by msgspec in the order of the fields below, floats in their shortest form, no clock anywhere: the same decision
is the same bytes whoever makes it again. Order and names are therefore part of the promise; a new field goes to the
end. The price: a field cannot be moved, not even for looks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from schemas.ids import decision_id

Action = Literal["allow", "review", "block"]
Score = Annotated[float, Meta(ge=0, le=1)]
SCORE_DECIMALS = 6  # a score is rounded to these before thresholds and encoding
APPLIED_VERSION = 1
NO_MODEL = "NO_MODEL"  # the reason of a decision that rules alone made


class ReasonCode(Struct, gc=False, frozen=True):
    """Why: a rule that hit or a feature that weighed, in a code for machines and a text for people."""

    code: str
    text: str
    value: float | None = None


class Model(Struct, gc=False, frozen=True):
    """Which model scored; both null where rules alone decided."""

    name: str | None
    version: str | None


class Decision(Struct, gc=False, frozen=True):
    """A record of `fraud`: one for every accepted order."""

    decision_id: str
    order_id: str
    event_id: str
    user_id: str | None
    event_time: str  # as the order had it
    score: Score
    action: Action
    reasons: Sequence[ReasonCode]
    rules: Sequence[str]  # names of the rules that hit
    model: Model
    config: str  # the configuration that was pinned for the range: model, rules, thresholds, definitions
    feature_hash: str
    recovered: bool  # made again after a store had lost its tail: an earlier copy may differ
    visitor_id: str | None = None
    rules_version: str | None = None  # the rules file with its thresholds


class Thresholds(Struct, gc=False, frozen=True):
    """From which score on an order is reviewed or blocked; null: never by score."""

    review_at: float | None
    block_at: float | None


class DecisionLog(Struct, gc=False, frozen=True):
    """A record of `decisions`: what it takes to explain the decision of the same id, and to make it again."""

    decision_id: str
    order_id: str
    event_id: str
    topic: str
    partition: int
    offset: int
    at_ms: int  # event time
    amount_minor: int  # in minor units of the base currency
    vector: Sequence[float]  # in the order that feature_hash stands for
    members: dict[str, float]  # each member's score
    score: Score
    action: Action
    rules: Sequence[str]
    thresholds: Thresholds
    model: Model
    config: str
    feature_hash: str
    recovered: bool


class Anomaly(Struct, gc=False, frozen=True):
    """A record of `anomalies`: a session that a rule objects to, with the event that it was noticed at.

    The id is that of session and rule: which event it was depends on how topics interleave.
    """

    anomaly_id: str
    kind: str  # the rule's name
    event_id: str
    event_type: str
    event_time: str
    user_id: str | None
    visitor_id: str | None
    session_id: str | None
    reasons: Sequence[ReasonCode]
    config: str
    recovered: bool


class AppliedRow(Struct, gc=False, frozen=True):
    """A record of `applied`: one range of an input partition, and the number under which each shard took it.

    `exceptions` names, by verdict, the offsets that were not fresh. A reader refuses a `version` above its own.
    """

    version: int
    topic: str
    partition: int
    topic_id: str
    first: int
    last: int
    config: str
    exceptions: dict[str, list[int]]
    numbers: Sequence[int]
    recovered: bool
    horizon: int  # the largest `last` of any row that its writer knew of: rows go back after a rollback


class _Versioned(Struct):
    version: int


class NewerVersionError(ValueError):
    """A record was written by a newer Headrace than this one."""


_ENCODER = msgspec.json.Encoder()
_APPLIED = msgspec.json.Decoder(AppliedRow)
_VERSION = msgspec.json.Decoder(_Versioned)


def encode(record: Struct) -> bytes:
    """The canonical bytes of one record."""
    return _ENCODER.encode(record)


def encode_each(records: Sequence[Struct]) -> list[bytes]:
    """The canonical bytes of each record. A call for each: to find the ends in the text of all costs as much again."""
    return list(map(_ENCODER.encode, records))


def anomaly_id(subject: str, kind: str) -> str:
    """32 hex digits of a session (an event, where it belongs to none) and a rule."""
    return decision_id(f"{kind}\n{subject}")


def decode_applied(value: bytes) -> AppliedRow:
    """A row of `applied`. Raises NewerVersionError where a newer Headrace wrote it, msgspec.DecodeError on nonsense."""
    version = _VERSION.decode(value).version
    if version > APPLIED_VERSION:
        raise NewerVersionError(
            f"row of `applied` has version {version}, this Headrace reads up to {APPLIED_VERSION}: "
            "upgrade this worker, or stop it until all are upgraded"
        )
    return _APPLIED.decode(value)
