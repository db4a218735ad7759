"""An explanation in words: what was decided, why, by what, and whether it comes out the same today.

`document` is for programs, `lines` for people. Contributions are log-odds: +.69 doubles the odds of fraud. Where a
model cannot tell its own (a network), those of its other members are shown, and it is said so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
import numpy as np

from models.reasons import plain
from schemas.decisions import Decision
from streams.configuration import Configuration
from streams.explain.kept import Kept
from streams.explain.run import Explained

MOST: Final = 12  # contributions that are told
REPLAYED: Final = {
    True: "the same vector, bit by bit",
    False: "ANOTHER VECTOR",
    None: "the vector cannot be rebuilt exactly from what is kept",
}

_DECISION = msgspec.json.Decoder(Decision)


def document(one: Explained) -> dict[str, Any]:
    """Everything that is known of a decision; without its configuration only what was logged."""
    kept, configuration, again, logged = one.kept, one.configuration, one.again, one.kept.logged
    published = _DECISION.decode(kept.published[0]) if kept.published else None
    told: dict[str, Any] = {
        "decision_id": logged.decision_id,
        "order_id": logged.order_id,
        "event_id": logged.event_id,
        "event_time": published.event_time if published else None,
        "record": {"topic": logged.topic, "partition": logged.partition, "offset": logged.offset},
        "action": logged.action,
        "score": logged.score,
        "thresholds": msgspec.to_builtins(logged.thresholds),
        "rules": list(logged.rules),
        "reasons": [msgspec.to_builtins(reason) for reason in published.reasons] if published else [],
        "members": dict(logged.members),
        "model": msgspec.to_builtins(logged.model),
        "config": logged.config,
        "rules_version": published.rules_version if published else None,
        "feature_hash": logged.feature_hash,
        "recovered": logged.recovered,
        "copies": len(kept.published),
    }
    if configuration is not None:
        told["contributions"] = contributions(kept, configuration)
        told["explains_all"] = configuration.decider.model is None or configuration.decider.model.additive
    if again is not None:
        told["equal"] = again.equal
        told["differs"] = {topic: list(fields) for topic, fields in again.differs.items()}
    else:
        told |= {"equal": False, "why_not": one.why_not}
    return told


def contributions(kept: Kept, configuration: Configuration) -> list[dict[str, Any]]:
    """What weighed most, either way."""
    model = configuration.decider.model
    if model is None:
        return []
    vector = np.array([kept.logged.vector], np.float64)
    parts, place = model.contributions(vector)[0], {name: at for at, name in enumerate(kept.names)}
    words = configuration.made_of.words
    heaviest = np.argsort(-np.absolute(parts), kind="stable")[:MOST].tolist()
    return [
        {
            "feature": model.reads[at],
            "words": words.get(model.reads[at], model.reads[at]),
            "value": float(vector[0, place[model.reads[at]]]),
            "usual": float(model.usual[at]),
            "log_odds": round(float(parts[at]), 4),
        }
        for at in heaviest
        if parts[at]
    ]


def lines(told: Mapping[str, Any]) -> Iterator[str]:
    """For a terminal."""
    model, record = told["model"], told["record"]
    yield f"order {told['order_id']} of {told['event_time'] or 'unknown time'}"
    yield f"  decision   {told['decision_id']}  ({record['topic']}/{record['partition']} offset {record['offset']})"
    yield f"  action     {told['action']}, score {told['score']:.6f}  ({_levels(told['thresholds'])})"
    yield f"  by         {_by(model)}, rules {told['rules_version']}, configuration {told['config']}"
    for title, reason in zip(_titles("why"), told["reasons"], strict=False):
        yield f"  {title:10} {reason['text']}  [{reason['code']}]"
    for title, (name, score) in zip(_titles("members"), told["members"].items(), strict=False):
        yield f"  {title:10} {score:.6f}  {name}"
    for title, one in zip(_titles("weighed"), told.get("contributions", ()), strict=False):
        against = f"{plain(one['value'])}, usually {plain(one['usual'])}"
        yield f"  {title:10} {one['log_odds']:+8.3f}  {one['words']}: {against}"
    if told.get("contributions") and not told["explains_all"]:
        yield "             (of the members that can tell; the others weigh in the score alone)"
    yield f"  today      {_today(told)}"
    if "vector_equal" in told:
        yield f"  replayed   {REPLAYED[told['vector_equal']]}"


def _titles(first: str) -> Iterator[str]:
    yield first
    while True:
        yield ""


def _levels(thresholds: Mapping[str, float | None]) -> str:
    said = [f"{name} from {thresholds[key]}" for name, key in (("review", "review_at"), ("block", "block_at"))
            if thresholds[key] is not None]  # fmt: skip
    return ", ".join(said) or "no score stops an order"


def _by(model: Mapping[str, str | None]) -> str:
    return f"model {model['name']}/{model['version']}" if model["name"] else "no model"


def _today(told: Mapping[str, Any]) -> str:
    if "why_not" in told:
        return f"it cannot be made again: {told['why_not']}"
    if told["equal"]:
        return "the same bytes"
    return "; ".join(f"{topic} differs: {', '.join(fields)}" for topic, fields in told["differs"].items())
