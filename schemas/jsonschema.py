"""JSON Schema of everything that travels, for those who write events in other languages or read our decisions.

The idea: the structures are the source; msgspec draws the schema, and what it cannot know is added here: that an event
has a key. `headrace schemas export` writes one file a topic, with sorted keys, and a test
holds the committed files to it. The price: a few rules cannot be said in JSON Schema (which currencies the rate table
has, that 30 February is no day); the descriptions say so, and the decoder has the last word.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from schemas import decisions, deployments, events, matured, outcomes
from schemas.events import Label

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_TITLES: dict[str, tuple[Any, str]] = {
    "orders": (events.Order, "A record of topic `orders`"),
    "clickstream": (events.Clickstream, "A record of topic `clickstream`"),
    "cart": (events.Carts, "A record of topic `cart`"),
    "labels": (events.Labels, "A record of topic `labels`"),
    "outcomes": (outcomes.Outcome, "A record of topic `outcomes`"),
    "fraud": (decisions.Decision, "A record of topic `fraud`"),
    "decisions": (decisions.DecisionLog, "A record of topic `decisions`"),
    "anomalies": (decisions.Anomaly, "A record of topic `anomalies`"),
    "applied": (decisions.AppliedRow, "A record of topic `applied`"),
    "models": (deployments.Announced, "A record of topic `models`"),
    "matured": (matured.Matured, "A record of topic `matured`"),
}
_KEYED = {
    "anyOf": [{"required": [name], "properties": {name: {"type": "string"}}} for name in ("user_id", "visitor_id")]
}
"""At least one of the two names that make the record's key."""


def schemas() -> dict[str, dict[str, Any]]:
    """The schema of each topic's values, by topic."""
    return {topic: _schema(topic, shape, title) for topic, (shape, title) in _TITLES.items()}


def export(folder: Path) -> list[Path]:
    """Writes one file a topic; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for topic, schema in schemas().items():
        path = folder / f"{topic}.json"
        path.write_text(json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=True) + "\n")
        written.append(path)
    return written


def _schema(topic: str, shape: Any, title: str) -> dict[str, Any]:
    members = getattr(shape, "__args__", (shape,))
    drawn = msgspec.json.schema(shape)
    for member in members:
        if issubclass(member, events.Event) and not issubclass(member, Label):
            drawn["$defs"][member.__name__] |= _KEYED
    return {"$schema": DRAFT, "$id": f"headrace:{topic}", "title": title, **_clean(drawn)}


def _clean(node: Any) -> Any:
    """Without our own marks and msgspec's discriminator (which is OpenAPI's), and with `null` defaults left out."""
    if isinstance(node, list):
        return [_clean(inner) for inner in node]
    if not isinstance(node, dict):
        return node
    return {
        name: _clean(inner)
        for name, inner in node.items()
        if name not in ("x-id", "discriminator") and not (name == "default" and inner is None)
    }
