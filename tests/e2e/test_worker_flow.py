"""One running worker, and all that is to be seen of it: the five agents, anomalies, metrics, and clients of others."""

from __future__ import annotations

import asyncio
import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import pytest

from features.orders import MEETING
from features.shop import shop_definitions
from schemas.decode import Reason
from schemas.ids import decision_id
from schemas.topics import INPUTS, TOPICS, applied_partition
from streams.audit import Report
from streams.data.record import Record
from tests.support.events import event, order, orders
from tests.support.need import need
from tests.support.worker import Sample, Stream, Worker, until

pytestmark = [
    pytest.mark.xdist_group("flow"),
    # kafka-python reads its schemas by a function that Python 3.11 deprecates (and 3.13 no longer does).
    pytest.mark.filterwarnings("ignore:(read|open)_text is deprecated:DeprecationWarning"),
]

PRODUCTS = [[{"item_id": f"p-{n}", "price": 200.0, "quantity": 1}] for n in range(25)]
BOT = [event("clickstream", "view_item", f"bot{n}", "bot", 100 * n) for n in range(70)]  # ten a second
STUFFED = [
    event("cart", "add_to_cart", f"stuffed{n}", "stuffer", 20_000 * n, items=items, value=200.0)
    for n, items in enumerate(PRODUCTS)
]
INSTANT = [
    event("cart", "add_to_cart", "instant0", "hasty", 0, items=PRODUCTS[0], value=250.0),
    event("cart", "begin_checkout", "instant1", "hasty", 300),
]
QUIET = [event("clickstream", "page_view", f"quiet{n}", "quiet", 10_000 * n) for n in range(40)] + [
    event("cart", "add_to_cart", "quiet-cart", "quiet", 5_000, items=PRODUCTS[0], value=20.0),
    event("cart", "begin_checkout", "quiet-checkout", "quiet", 60_000),
]
LABELS = [event("labels", "chargeback", "label", "u1", 90_000, order_id="o-n1", reason_code="10.4")]
OUTCOMES = LABELS  # each finds its order, and says what nobody knew
LATE = order("late", "late", -7_200_000)._replace(timestamp_ms=order("late").timestamp_ms)
KEYLESS = order("keyless", "nobody-knows")._replace(key=None)  # a producer of others: any partition will do
BAD = Record("orders", b"u1", b"{", (), order("x").timestamp_ms)
ORDERS = orders(300)
SENT = [*ORDERS, ORDERS[0], LATE, KEYLESS, BAD, *BOT, *STUFFED, *INSTANT, *QUIET, *LABELS]


@dataclass(frozen=True, slots=True)
class Seen:
    """What there was to be seen once all was taken."""

    worker: Worker
    report: Report
    anomalies: list[dict[str, Any]]
    rows: list[dict[str, Any]]
    scrape: str
    samples: list[Sample]

    def named(self, name: str) -> list[Sample]:
        return [sample for sample in self.samples if sample.name == name]


@pytest.fixture(scope="module")
def seen(shared_stream: Stream) -> Seen:
    return asyncio.run(_seen(shared_stream))


async def _seen(stream: Stream) -> Seen:
    worker = stream.worker(0)
    await stream.send(*SENT)
    report = await stream.settled(len(SENT) + len(OUTCOMES))
    anomalies = [orjson.loads(record.value or b"") for record in await stream.read("anomalies")]
    rows = await stream.rows()
    await until(lambda: worker.lags() == {0.0}, 20.0, lambda: f"the lag stays at {worker.lags()}")
    return Seen(worker, report, anomalies, rows, worker.scrape(), worker.samples())


# ---------------------------------------------------------------- agents


def test_all_five_topics_are_consumed_and_have_rows_of_their_own_partitions(seen: Seen, shared_stream: Stream) -> None:
    assert {row["topic"] for row in seen.rows} == set(INPUTS)
    assert (seen.report.decided, seen.report.duplicate, seen.report.dead) == (302, 1, 1)
    assert seen.report.other == len([*BOT, *STUFFED, *INSTANT, *QUIET, *LABELS, *OUTCOMES])
    assert shared_stream.partitions == 2


async def test_each_row_lies_in_the_partition_of_applied_that_is_its_input_partitions(
    seen: Seen, shared_stream: Stream
) -> None:
    assert seen.rows
    for record in await shared_stream.read("applied"):
        row = orjson.loads(record.value or b"")
        assert record.partition == applied_partition(row["topic"], row["partition"])
        assert len(row["numbers"]) == 16
        assert row["first"] <= row["last"] <= row["horizon"]


async def test_a_decision_lies_beside_its_order_and_its_log_has_the_same_id(seen: Seen, shared_stream: Stream) -> None:
    assert seen.report.holds
    at = {orjson.loads(r.value or b"")["order_id"]: r for r in await shared_stream.read("orders") if r.value != b"{"}
    logs = {
        orjson.loads(r.value or b"")["decision_id"]: orjson.loads(r.value or b"")
        for r in await shared_stream.read("decisions")
    }
    for record in await shared_stream.read("fraud"):
        decision = orjson.loads(record.value or b"")
        came = at[decision["order_id"]]
        log = logs[decision["decision_id"]]
        assert record.key == came.key
        assert record.partition == came.partition or came.key is None
        assert decision["decision_id"] == decision_id(decision["event_id"])
        assert (log["topic"], log["partition"]) == ("orders", came.partition)
        assert (log["score"], log["action"], log["config"]) == (
            decision["score"],
            decision["action"],
            decision["config"],
        )


# ---------------------------------------------------------------- sessions


def test_bots_cart_stuffing_and_instant_checkouts_are_anomalies_once_a_session_and_quiet_visits_are_none(
    seen: Seen,
) -> None:
    found = sorted((anomaly["session_id"], anomaly["kind"]) for anomaly in seen.anomalies)
    assert found == [("s-bot", "bot"), ("s-hasty", "instant_checkout"), ("s-stuffer", "cart_stuffing")]


def test_an_anomaly_names_the_event_and_explains_itself(seen: Seen) -> None:
    by_kind = {anomaly["kind"]: anomaly for anomaly in seen.anomalies}
    assert by_kind["bot"]["event_id"] == "e-bot59"  # the sixtieth: one a second, had they come over a minute
    assert by_kind["cart_stuffing"]["event_id"] == "e-stuffed19"
    assert by_kind["cart_stuffing"]["event_type"] == "add_to_cart"
    (reason,) = by_kind["cart_stuffing"]["reasons"]
    assert (reason["code"], reason["value"]) == ("CART_STUFFING", 4000.0)
    assert reason["text"] == "20 products in the session, 4000.00 in its cart"


# ---------------------------------------------------------------- metrics

# The list of what a worker must tell, by the sample that shows it. `headrace_recovered_decisions` and store errors are
# there without any having happened: their families are, which promtool sees.
TOLD: Mapping[str, tuple[str, Mapping[str, str], float]] = {
    "events in": ("headrace_events_in_total", {"topic": "orders"}, 304),
    "events out": ("headrace_events_out_total", {"topic": "fraud"}, 302),
    "dead-lettered": ("headrace_dead_letters_total", {"topic": "orders", "reason": "not_json"}, 1),
    "duplicate": ("headrace_duplicates_total", {"topic": "orders"}, 1),
    "late": ("headrace_late_total", {"topic": "orders"}, 1),
    "batch size": ("headrace_range_events_sum", {"topic": "orders"}, 304),
    "end-to-end latency": ("headrace_latency_seconds_count", {"topic": "orders"}, 302),
    "freshness": ("headrace_freshness_seconds_count", {"topic": "orders"}, 302),
    "score histogram": ("headrace_score_count", {}, 302),
    "lag": ("headrace_lag_records", {"topic": "orders"}, 0),
    "position": ("headrace_position", {"topic": "orders"}, 304),
    "recovered decisions": ("headrace_recovered_decisions_total", {}, 0),
    "labels in": ("headrace_events_in_total", {"topic": "labels"}, 1),
    "label or order, whichever came second, and their outcome": ("headrace_joined_total", {"found": "others"}, 2),
    "anomalies out": ("headrace_events_out_total", {"topic": "anomalies"}, 3),
}
FAMILIES = ("headrace_ranges_repeated", "headrace_store_errors", "headrace_recovered_decisions", "headrace_backoffs")


@pytest.mark.parametrize("what", TOLD)
def test_the_metrics_tell(seen: Seen, what: str) -> None:
    name, labels, value = TOLD[what]
    found = [sample for sample in seen.named(name) if labels.items() <= sample.labels.items()]
    assert found, f"no sample {name}"
    assert sum(sample.value for sample in found) == value


@pytest.mark.parametrize("family", FAMILIES)
def test_what_has_not_happened_is_declared_all_the_same(seen: Seen, family: str) -> None:
    assert re.search(rf"^# TYPE {family}_total counter$", seen.scrape, re.MULTILINE)


def test_each_group_tells_its_newest_event(seen: Seen) -> None:
    told = {sample.labels["group"]: sample.value for sample in seen.named("headrace_group_newest_event_seconds")}
    assert told.keys() == {group.name for group in shop_definitions().groups}
    assert max(told.values()) - min(told.values()) < 86_400


def test_every_stage_has_its_time_and_the_store_its_round_trips(seen: Seen) -> None:
    stages = {sample.labels["stage"] for sample in seen.named("headrace_stage_seconds_count") if sample.value > 0}
    assert {"fetch", "judge", "apply", "decide", "compact", "publish"} <= stages
    called = {sample.labels["call"]: sample.value for sample in seen.named("headrace_store_calls_total")}
    assert called.keys() >= {"begin", "take"}
    (trips,) = seen.named("headrace_store_round_trips_total")
    assert 0 < trips.value <= sum(called.values())


def test_the_model_in_use_has_its_name_and_version(seen: Seen) -> None:
    (info,) = seen.named("headrace_model_info")
    assert info.labels["model"]
    assert info.labels["version"]
    assert len(info.labels["config"]) == 16
    (no_model,) = seen.named("headrace_no_model")
    assert no_model.value == 0


CLOSED: Mapping[str, set[str]] = {
    "topic": set(TOPICS),
    "group": {group.name for group in shop_definitions().groups} | {MEETING.name},
    "found": {"others", "nothing"},
    "reason": {reason.value for reason in Reason},
    "action": {"allow", "review", "block"},
    "partition": {"0", "1"},
    "kind": {"down", "full", "moved", "other"},
}


def test_label_values_come_from_closed_sets(seen: Seen) -> None:
    ours = [sample for sample in seen.samples if sample.name.startswith("headrace_")]
    for sample in ours:
        assert set(sample.labels) <= {
            *CLOSED,
            "le",
            "stage",
            "call",
            "dependency",
            "model",
            "version",
            "config",
            "server",
        }
        for label, closed in CLOSED.items():
            assert sample.labels.get(label, next(iter(closed))) in closed, sample
    events = {record.value for record in SENT}
    ids = {"u1", "s-bot", "o-n1", "e-bot59"}
    assert not ids & {value for sample in ours for value in sample.labels.values()}
    assert events


def test_promtool_finds_nothing_to_object_to(seen: Seen) -> None:
    need("promtool")
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=seen.scrape, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


async def test_the_gauges_of_partitions_that_left_disappear(seen: Seen, shared_stream: Stream) -> None:
    """A second worker takes some; then it leaves, so that the tests after this one find one worker."""
    per_partition = ("headrace_position", "headrace_lag_records", "headrace_dedup_ids", "headrace_catching_up")
    second = shared_stream.worker(1)
    await shared_stream.working(seen.worker, second)
    held = seen.worker.partitions()
    of_gauges = {
        (sample.labels["topic"], int(sample.labels["partition"]))
        for sample in seen.worker.samples()
        if sample.name in per_partition
    }
    assert of_gauges <= held
    assert len(held) < len(INPUTS) * shared_stream.partitions
    second.terminate()
    await shared_stream.working(seen.worker)


# ---------------------------------------------------------------- clients of others


def confluent_produces(brokers: str, records: Sequence[Record]) -> None:
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": brokers, "partitioner": "murmur2_random"})
    for record in records:
        producer.produce(record.topic, value=record.value, key=record.key)
    assert producer.flush(30) == 0


def confluent_decisions(brokers: str, partitions: int, wanted: set[str]) -> dict[str, bytes]:
    from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "foreign"})  # it insists on a group to assign
    consumer.assign([TopicPartition("fraud", number, OFFSET_BEGINNING) for number in range(partitions)])
    found: dict[str, bytes] = {}
    until_s = time.monotonic() + 40
    while not wanted <= found.keys() and time.monotonic() < until_s:
        for message in consumer.consume(500, timeout=0.2):
            assert message.error() is None
            value = message.value() or b""
            found[orjson.loads(value)["order_id"]] = message.key() or b""
    consumer.close()
    return found


def kafka_python_produces(brokers: str, records: Sequence[Record]) -> None:
    from kafka import KafkaProducer  # type: ignore[import-untyped]  # it ships no types

    producer = KafkaProducer(bootstrap_servers=brokers, enable_idempotence=False, acks="all")
    for record in records:
        producer.send(record.topic, record.value, key=record.key)
    producer.flush(30)
    producer.close()


def kafka_python_decisions(brokers: str, partitions: int, wanted: set[str]) -> dict[str, bytes]:
    from kafka import KafkaConsumer, TopicPartition

    consumer = KafkaConsumer(bootstrap_servers=brokers, auto_offset_reset="earliest", enable_auto_commit=False)
    consumer.assign([TopicPartition("fraud", number) for number in range(partitions)])
    found: dict[str, bytes] = {}
    until_s = time.monotonic() + 40
    while not wanted <= found.keys() and time.monotonic() < until_s:
        for messages in consumer.poll(timeout_ms=200).values():
            found |= {orjson.loads(m.value)["order_id"]: m.key for m in messages}
    consumer.close()
    return found


Produce = Callable[[str, Sequence[Record]], None]
Decisions = Callable[[str, int, set[str]], dict[str, bytes]]
CLIENTS: list[Any] = [
    pytest.param(confluent_produces, confluent_decisions, id="confluent-kafka"),
    pytest.param(kafka_python_produces, kafka_python_decisions, id="kafka-python"),
]


@pytest.mark.parametrize(("produce", "decisions"), CLIENTS)
def test_orders_of_a_foreign_client_are_decided_and_it_reads_the_decisions(
    seen: Seen, shared_stream: Stream, produce: Produce, decisions: Decisions
) -> None:
    """Its records carry the moment of sending, so their events must be of the last days."""
    sent = orders(50, name=f"{produce.__name__}-")
    produce(shared_stream.brokers, sent)
    wanted = {orjson.loads(record.value or b"")["order_id"]: record.key for record in sent}
    found = decisions(shared_stream.brokers, shared_stream.partitions, set(wanted))
    assert wanted.items() <= found.items()
    assert seen.worker.child.running
