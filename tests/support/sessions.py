"""A model of the shop's sessions for tests: taught made-up visits of people, so that a bot is like none of them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from features.shop import session_vector
from models import artefact
from models.artefact import Artefact
from models.exact import Floats
from models.registry import Registry
from models.sessions import SESSIONS, Sessions
from schemas.deployments import Ref
from training.online.sessions import SessionLearner, SessionSettings

VECTOR = session_vector()
ABOUT: dict[str, Any] = {"feature_hash": VECTOR.hash, "metrics": {}, "data": {}, "seed": 1, "revision": "r"}


def visits(n: int, seed: int = 1) -> Floats:
    """(n, d) vectors of sessions at their 4th, 8th or 16th event, some seconds from one event to the next."""
    rng = np.random.default_rng(seed)
    events = rng.choice([4.0, 8.0, 16.0], n, p=[0.65, 0.3, 0.05])
    pace = rng.lognormal(np.log(6.0), 0.4, n)
    products = np.maximum(1.0, rng.binomial(events.astype(int), 0.6))
    told = dict.fromkeys(VECTOR.names, np.zeros(n))
    told |= {
        "session_events": events,
        "session_distinct_products": products,
        "session_cart_value": rng.choice([0.0, 1.0], n) * rng.lognormal(4.0, 0.7, n),
        "session_seconds_to_checkout": np.full(n, -1.0),
        "session_span_s": pace * (events - 1),
        "session_pace_s": pace,
        "session_events_per_minute": events / np.maximum(pace * (events - 1) / 60, 1.0),
        "session_products_per_event": products / events,
        "session_since_last_s": rng.exponential(6.0, n),
        "visitor_count_1h": events,
    }
    return np.column_stack([told[name] for name in VECTOR.names])


@cache
def model(vectors: int = 3000) -> Sessions:
    """What was learned of so many visits."""
    learner = SessionLearner(VECTOR.names, settings=SessionSettings(window=500))
    learner.learn_many(visits(vectors), np.zeros(vectors, dtype=np.bool_))
    return learner.scorer(VECTOR.names)


def artefact_of(scorer: Sessions) -> Artefact:
    """As a registry would have it."""
    packed = artefact.pack(scorer, name=SESSIONS, version="1", **ABOUT)
    return artefact.parse(packed, VECTOR.names, VECTOR.hash)


def put_sessions(registry: Registry, scorer: Any = None, **more: Any) -> Ref:
    """Puts the model, or another one, under its next number."""
    manifest = registry.put(scorer or model(), name=SESSIONS, **(ABOUT | more))
    return Ref(manifest.name, manifest.version, manifest.model_hash)
