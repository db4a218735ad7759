"""What the API answers, as types: documentation and checks come from them. Names are those of events and records."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

Action = Literal["allow", "review", "block"]
REASON = {"code": "HIGH_USER_MAX_7D", "text": "largest order of the account within a week: 784.07", "value": 784.07}


class Reason(BaseModel):
    """Why: for machines, and in words."""

    code: str
    text: str
    value: float | None


class Model(BaseModel):
    """Null where rules alone decided."""

    name: str | None
    version: str | None


class Decision(BaseModel):
    """As topic `fraud` has it."""

    decision_id: str
    order_id: str = Field(examples=["o-1"])
    event_id: str
    user_id: str | None
    visitor_id: str | None
    event_time: str = Field(examples=["2026-11-22T09:00:00Z"])
    score: float = Field(ge=0, le=1)
    action: Action
    reasons: list[Reason] = Field(examples=[[REASON]])
    rules: list[str] = Field(examples=[["card_testing_device"]])
    rules_version: str | None
    model: Model
    config: str
    feature_hash: str
    recovered: bool


class Seen(Decision):
    """A decision of the stream, and when it was published (epoch ms)."""

    published_ms: int


class Log(BaseModel):
    """What topic `decisions` keeps of a decision."""

    topic: str
    partition: int
    offset: int
    amount_minor: int = Field(description="of the order, in minor units of the base currency")
    members: dict[str, float]
    vector: dict[str, float] | None = Field(description="by column; null where it was made by other definitions")


class Explained(BaseModel):
    """A decision, and what it was made of; `log` is null until topic `decisions` has been read so far."""

    decision: Seen
    log: Log | None


class Page(BaseModel):
    """Some decisions, newest first."""

    items: list[Seen]
    next: str | None = Field(description="`cursor` of the page after this one; null at the end of what is in memory")


class Anomaly(BaseModel):
    """As topic `anomalies` has it."""

    anomaly_id: str
    kind: str = Field(examples=["bot"])
    event_id: str
    event_type: str
    event_time: str
    user_id: str | None
    visitor_id: str | None
    session_id: str | None
    reasons: list[Reason]
    config: str
    recovered: bool


class Anomalies(BaseModel):
    """Some anomalies, newest first."""

    items: list[Anomaly]
    next: str | None = None


class Feature(BaseModel):
    """A feature of an entity now. `value` is null where it compares an event with its past: there is none."""

    name: str
    value: float | None
    unit: str = Field(description="`s`, `days`, `doublings`, a currency, or nothing for a number", examples=["EUR"])
    what: str = Field(examples=["orders of the account within a day"])


class Entity(BaseModel):
    """What is known of an entity, as an event of it would find it now."""

    group: str
    id: str
    at_ms: int
    newest_ms: int | None = Field(description="of its events; null where none is left")
    features: list[Feature]


class InForce(BaseModel):
    """Which models decide."""

    deployment: int = Field(description="number of the last change; 0: there was none")
    since_ms: int
    champion: str | None = Field(examples=["shop/3"])
    rules_only: bool
    challengers: list[str]
    online: dict[str, str]
    refused: dict[str, str] = Field(description="models that cannot be used, and why")
    model: Model
    metrics: dict[str, float] = Field(description="of the model that decides, on orders it was not fitted on")
    config: str


class Rule(BaseModel):
    """A rule of the file in force."""

    name: str
    code: str
    text: str
    when: str
    action: str | None = Field(description="null for a rule of sessions")


class Rules(BaseModel):
    """The rules in force."""

    version: str
    review_at: float | None
    block_at: float | None
    rules: list[Rule]
    session_rules: list[Rule]


class Topic(BaseModel):
    """One input topic."""

    topic: str
    partitions: int
    end: int = Field(description="records that were ever written to it")
    per_s: float = Field(description="records a second, of late")
    lag: int = Field(description="records that no worker has said to have taken")


class Status(BaseModel):
    """How the stream stands."""

    topics: list[Topic]
    decisions: dict[Action, int] = Field(description="in memory, by action")
    anomalies: dict[str, int] = Field(description="in memory, by kind")
    newest_ms: int | None = Field(description="when the newest decision was published")
    looked_ms: int = Field(description="when the topics were last looked at")


class Assessed(BaseModel):
    """What would be decided if the order came now. Nothing was written and nothing published."""

    decision: Decision
    vector: dict[str, float]
    members: dict[str, float]


class Ready(BaseModel):
    """Whether the broker and the store answer."""

    ready: bool
    broker: str
    store: str
