"""Sessions, from clicks to an anomaly: what is usual is learned from what workers wrote, and a bot is not usual.

Half a minute, for a thousand and a half sessions must be seen before one in 500 can be told.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from features.shop import session_vector
from models.registry import Registry
from models.sessions import SESSIONS
from schemas.sessions import SessionVector, decode_session
from schemas.timestamps import rfc3339
from simulation.shop import Plan, Shop
from streams.data.record import Record
from tests.support.events import START_MS
from tests.support.learner import learned
from tests.support.worker import Stream, until

EVENTS = 10_000
VECTOR = session_vector()


def visits() -> Iterator[Record]:
    """Clicks and carts of people, for ever."""
    shop = Shop(Plan(visits_per_s=5.0, attack_every_s=0.0), START_MS)
    for one in shop.events():
        if one.topic in ("clickstream", "cart"):
            yield Record(one.topic, one.key, one.value, (), one.send_ms)


def clicks(session: str, count: int, every_ms: int, at_ms: int) -> list[Record]:
    """A session that looks at another product so often."""
    records = []
    for n in range(count):
        when = at_ms + n * every_ms
        body = {"type": "view_item", "event_id": f"{session}-{n}", "event_time": rfc3339(when), "visitor_id": session,
                "session_id": session, "items": [{"item_id": f"p-{n}", "price": 9.0, "quantity": 1}]}  # fmt: skip
        records.append(Record("clickstream", session.encode(), orjson.dumps(body), (), when))
    return records


async def written(stream: Stream) -> list[SessionVector]:
    return [decode_session(one.value or b"") for one in await stream.read("sessions")]


async def test_a_bot_is_an_anomaly_with_its_features_once_it_is_learned_what_is_usual(
    embedded_stream: Stream, tmp_path: Path
) -> None:
    stream = embedded_stream
    stream.environment["REGISTRY__URL"] = str(tmp_path)
    worker = stream.worker()
    shop = visits()
    history = list(islice(shop, EVENTS))
    await stream.send(*history)
    await stream.settled(EVENTS)
    assert {one.score for one in await written(stream)} == {None}, "nobody has said yet what is usual"
    await learned(stream, tmp_path, LEARNER__MODELS=SESSIONS, LEARNER__SNAPSHOT_ROWS="100000")

    at_ms, tries = history[-1].timestamp_ms or START_MS, 0

    async def is_scored() -> bool:
        """Sends a slow session of four clicks, and looks."""
        nonlocal tries
        tries += 1
        await stream.send(*clicks(f"slow-{tries}", 4, 7_000, at_ms))
        await stream.settled(EVENTS + 4 * tries)
        return any(one.score is not None for one in await written(stream))

    await until(is_scored, 30.0, lambda: worker.said)
    people = list(islice(shop, 1_000))
    await stream.send(*people, *clicks("bot", 300, 150, at_ms))
    await stream.settled(EVENTS + 4 * tries + 1_300)

    scored = [one for one in await written(stream) if one.score is not None]
    registry = Registry.at(str(tmp_path))
    model = registry.load(SESSIONS, registry.versions(SESSIONS)[-1], VECTOR.names, VECTOR.hash).model
    assert [one.score for one in scored] == model.score(np.array([one.vector for one in scored])).tolist()
    found: list[dict[str, Any]] = [orjson.loads(one.value or b"") for one in await stream.read("anomalies")]
    unusual = {one["session_id"]: one for one in found if one["kind"] == "unusual_session"}
    assert len(unusual) <= 0.02 * len({one.session_id for one in scored}) + 1
    whole, *named = unusual["bot"]["reasons"]
    assert whole["value"] >= 0.998
    assert named
    assert {one["code"].split("_", 1)[1].lower() for one in named} <= {*VECTOR.names}
    assert unusual["bot"]["config"] == scored[-1].config
    assert worker.metric("headrace_models_refused") == 0
