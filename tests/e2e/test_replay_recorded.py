"""Real recorded events through the whole of it: `headrace replay --lockstep`, a worker, the audit. Short slices.

Needs the data (HEADRACE_DATA); bench/recorded.py does the same with all of it.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import orjson
import pytest

from tests.support.worker import Stream

DATA = Path(os.environ.get("HEADRACE_DATA", "/nowhere")).resolve()
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="HEADRACE_DATA names no folder of recorded data")


async def replayed(stream: Stream, name: str, *part: str) -> None:
    """By the command, an hour of event time ahead of the worker at most; the worker takes all of it."""
    stream.environment["DATA"] = str(DATA)
    stream.worker()
    code, _, errors = await stream.command("replay", name, "--lockstep", "1h", *part, within_s=150.0)
    assert code == 0, errors


async def test_a_night_of_the_fraud_handbook_is_decided_order_by_order(embedded_stream: Stream) -> None:
    """Customers become users and cards, terminals merchants; frauds become labels when a week has passed."""
    stream = embedded_stream
    await replayed(stream, "fraud-handbook", "--from", "2018-08-08", "--to", "2018-08-08T04:00:00Z")
    report = await stream.settled()
    assert report.consumed == report.decided > 300
    decisions = {name: orjson.loads(copies[0]) for name, copies in (await stream.decisions()).items()}
    assert all(name.startswith("fh-") and one["event_id"] == name for name, one in decisions.items())
    assert len({one["score"] for one in decisions.values()}) > 50
    logs = [orjson.loads(record.value or b"") for record in await stream.read("decisions")]
    assert all(log["at_ms"] // 86_400_000 == 17_751 for log in logs)  # 2018-08-08
    code, output, errors = await stream.command("audit", "--json")
    assert code == 0, errors
    assert json.loads(output)["decided"] == report.decided


async def test_labels_of_the_handbook_arrive_a_week_after_their_frauds(embedded_stream: Stream) -> None:
    stream = embedded_stream
    await replayed(stream, "fraud-handbook", "--topic", "labels", "--from", "2018-08-08", "--to", "2018-08-16")
    report = await stream.settled()
    assert report.other == report.consumed > 0
    frauds = {orjson.loads(record.value or b"")["order_id"] for record in await stream.read("labels")}
    assert len(frauds) == report.other


async def test_half_a_day_of_a_real_shop_fills_sessions_and_its_orders_are_decided(embedded_stream: Stream) -> None:
    stream = embedded_stream
    await replayed(stream, "ga360", "--from", "2016-08-08T12:00:00Z", "--to", "2016-08-09")
    report = await stream.settled()
    topics = Counter(record.topic for record in await stream.read("orders", "clickstream", "cart"))
    assert report.consumed == sum(topics.values())
    assert report.decided == topics["orders"] > 5
    assert min(topics["clickstream"], topics["cart"]) > 100
    vectors = [orjson.loads(record.value or b"") for record in await stream.read("decisions")]
    events = [log["vector"][SESSION_EVENTS] for log in vectors]
    assert sum(n > 1 for n in events) > len(events) / 2, "most orders come after clicks of their session"


def _place_of(name: str) -> int:
    from features.shop import shop_definitions

    return shop_definitions().vector.names.index(name)


SESSION_EVENTS = _place_of("session_events")
