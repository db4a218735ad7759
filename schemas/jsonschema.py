"""JSON Schema of everything that travels, for those who write events in other languages or read our decisions.

The idea: the structures are the source; msgspec draws the schema, and what it cannot know is added here: that an event
has a key. `headrace schemas export` writes one file a topic, with sorted keys, and a test
holds the committed files to it. The price: a few rules cannot be said in JSON Schema (which currencies the rate table
has, that 30 February is no day); the descriptions say so, and the decoder has the last word.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from schemas import decisions, deployments, events, matured, outcomes, sessions
from schemas.events import Label

DRAFT = "https://json-schema.org/draft/2020-12/schema"
SHAPES: dict[str, Any] = {
    "orders": events.Order,
    "clickstream": events.Clickstream,
    "cart": events.Carts,
    "labels": events.Labels,
    "outcomes": outcomes.Outcome,
    "fraud": decisions.Decision,
    "decisions": decisions.DecisionLog,
    "anomalies": decisions.Anomaly,
    "applied": decisions.AppliedRow,
    "models": deployments.Announced,
    "matured": matured.Matured,
    "sessions": sessions.SessionVector,
}
"""What the values of each topic are: a structure, or a union of some."""
_KEYED = {
    "anyOf": [{"required": [name], "properties": {name: {"type": "string"}}} for name in ("user_id", "visitor_id")]
}
"""At least one of the two names that make the record's key."""


def schemas() -> dict[str, dict[str, Any]]:
    """The schema of each topic's values, by topic."""
    return {topic: _schema(topic, shape) for topic, shape in SHAPES.items()}


def export(folder: Path) -> list[Path]:
    """Writes one file a topic; returns their paths."""
    return write_each(folder, ".json", schemas())


def write_each(folder: Path, suffix: str, by_topic: Mapping[str, Any]) -> list[Path]:
    """One file a topic, whatever kind of schema it is; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for topic, schema in by_topic.items():
        path = folder / f"{topic}{suffix}"
        path.write_text(written(schema))
        paths.append(path)
    return paths


def written(schema: dict[str, Any]) -> str:
    """As it is committed."""
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=True) + "\n"


def members_of(shape: Any) -> tuple[Any, ...]:
    """The structures of a union; a structure alone is one."""
    return getattr(shape, "__args__", (shape,))


def keyed(drawn: dict[str, Any], members: Iterable[Any]) -> dict[str, Any]:
    """Definitions, with what msgspec cannot know: that an event has a key."""
    for member in members:
        if issubclass(member, events.Event) and not issubclass(member, Label):
            drawn[member.__name__] |= _KEYED
    return drawn


def _schema(topic: str, shape: Any) -> dict[str, Any]:
    drawn = msgspec.json.schema(shape)
    keyed(drawn["$defs"], members_of(shape))
    return {"$schema": DRAFT, "$id": f"headrace:{topic}", "title": f"A record of topic `{topic}`", **clean(drawn)}


def clean(node: Any) -> Any:
    """Without our own marks and msgspec's discriminator (which is OpenAPI's), and with `null` defaults left out."""
    if isinstance(node, list):
        return [clean(inner) for inner in node]
    if not isinstance(node, dict):
        return node
    return {
        name: clean(inner)
        for name, inner in node.items()
        if name not in ("x-id", "discriminator") and not (name == "default" and inner is None)
    }
