"""The work of a range: a pure function of the log, whatever was asked of it before."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
import pytest

from features.entry import stamped
from features.shop import shop_definitions
from schemas.cloudevents import TYPES
from schemas.decisions import anomaly_id
from schemas.ids import decision_id
from schemas.timestamps import rfc3339
from streams.configuration import Configuration, from_files
from streams.configurations import Configurations
from streams.outputs import RangeOutputs, Writer
from streams.protocol.ports import Batch, Exceptions, Open, ShardBags, ShardCall, Stop, Tp, Verdict
from streams.work import Prepared, RangeWork

NOW_MS = 1_800_000_000_000
SHARDS = 4
DEFINITIONS = shop_definitions()
OWN = from_files(DEFINITIONS, None, None)


@dataclass(frozen=True)
class Rec:
    """A record as the transport hands it over."""

    offset: int
    value: bytes | None
    key: bytes | None = b"u1"
    timestamp: int = NOW_MS
    headers: Sequence[tuple[str, bytes | None]] = ()


def order(offset: int, event_id: str = "", minutes_ago: int = 0, **fields: Any) -> Rec:
    body = {
        "type": "purchase", "event_id": event_id or f"e{offset}", "order_id": f"o{offset}", "user_id": "u1",
        "event_time": rfc3339(NOW_MS - 60_000 * minutes_ago), "value": 12.5, "currency": "EUR",
        "items": [{"item_id": "p1", "price": 12.5, "quantity": 1}], "card_id": "c1", **fields,
    }  # fmt: skip
    return Rec(offset, msgspec.json.encode(body))


def click(offset: int, kind: str = "page_view", session: str | None = "s1", **fields: Any) -> Rec:
    at = rfc3339(NOW_MS - 60_000 + 100 * offset)
    return Rec(offset, msgspec.json.encode({"type": kind, "event_id": f"k{offset}", "event_time": at, "user_id": "u1",
                                            "session_id": session, **fields}))  # fmt: skip


async def nothing(_: str) -> bytes | None:
    return None


def work(topic: str = "orders", own: Configuration = OWN) -> RangeWork:
    tp = Tp(topic, 0, "t")
    flow = next(flow for flow in DEFINITIONS.flows if flow.topic == topic)
    writer = Writer(tp, same_partitions=True, feature_hash=DEFINITIONS.vector.hash)
    return RangeWork(tp, flow, DEFINITIONS, SHARDS, Configurations(DEFINITIONS, own, nothing), writer)


def range_of(records: Sequence[Rec], exceptions: Exceptions | None = None, config: str = OWN.id) -> Open:
    return Open(records[0].offset, records[-1].offset, config, exceptions or {}, b"t", False, True)


def empty(calls: Sequence[ShardCall]) -> list[ShardBags]:
    return [ShardBags(1, [None] * len(call.keys)) for call in calls]


def decided(w: RangeWork, records: Sequence[Rec], exceptions: Exceptions | None = None) -> RangeOutputs:
    prepared = w.prepare(Batch(records[0].offset, records))
    calls = w.calls(prepared, exceptions or {}, records[0].offset)
    return w.decide(prepared, range_of(records, exceptions), empty(calls), False)


def values(outputs: RangeOutputs, topic: str) -> list[Any]:
    return [msgspec.json.decode(record.value or b"") for record in outputs.records if record.topic == topic]


def test_every_fresh_order_gets_one_decision_and_one_line_in_the_log() -> None:
    outputs = decided(work(), [order(3), order(5)])
    assert [one["order_id"] for one in values(outputs, "fraud")] == ["o3", "o5"]
    assert [one["offset"] for one in values(outputs, "decisions")] == [3, 5]
    assert [record.offset for record in outputs.records] == [3, 5, 3, 5]


def test_a_decision_and_its_line_in_the_log_say_each_thing_under_its_name() -> None:
    outputs = decided(work(), [order(3, "e7", visitor_id="v1", minutes_ago=1)])
    (decision,), (log,) = values(outputs, "fraud"), values(outputs, "decisions")
    both = {
        "decision_id": decision_id("e7"), "order_id": "o3", "event_id": "e7", "score": outputs.scores[0],
        "action": "allow", "rules": [], "model": {"name": OWN.model_name, "version": OWN.model_version},
        "config": OWN.id, "feature_hash": DEFINITIONS.vector.hash, "recovered": False,
    }  # fmt: skip
    assert decision == both | {
        "user_id": "u1", "event_time": rfc3339(NOW_MS - 60_000), "reasons": [], "visitor_id": "v1",
        "rules_version": OWN.rules.fingerprint,
    }  # fmt: skip
    assert len(log.pop("vector")) == len(DEFINITIONS.vector.names)
    assert log == both | {
        "topic": "orders", "partition": 0, "offset": 3, "at_ms": NOW_MS - 60_000, "amount_minor": 1250,
        "members": {OWN.model_name: outputs.scores[0]},
        "thresholds": {"review_at": OWN.rules.review_at, "block_at": OWN.rules.block_at},
    }  # fmt: skip


def test_the_second_order_of_a_card_in_one_range_sees_the_first() -> None:
    logs = values(decided(work(), [order(1), order(2)]), "decisions")
    place = DEFINITIONS.vector.names.index("card_count_1h")
    assert [log["vector"][place] for log in logs] == [1.0, 2.0]


def test_a_range_that_is_done_again_by_another_worker_has_the_same_bytes() -> None:
    records = [order(offset, card_id=f"c{offset % 3}") for offset in range(20)]
    assert decided(work(), records).records == decided(work(), records).records


def test_a_repeat_that_finds_its_own_entries_in_the_bags_ignores_them() -> None:
    records, w = [order(1), order(2)], work()
    first = decided(w, records)
    prepared = w.prepare(Batch(1, records))
    calls = w.calls(prepared, {}, 1)
    number = 7
    bags = [ShardBags(number, stamped_of(call, number)) for call in calls]
    assert w.decide(prepared, range_of(records), bags, False).records == first.records


def test_a_shard_found_beyond_the_range_gives_bags_that_hold_it_and_nothing_counts_twice() -> None:
    records, w = [order(1), order(2)], work()
    first = decided(w, records)
    prepared = w.prepare(Batch(1, records))
    calls = w.calls(prepared, {}, 1)
    whole = [ShardBags(2**63, stamped_of(call, 7), whole=True) for call in calls]
    again = w.decide(prepared, range_of(records), whole, False)
    assert values(again, "fraud") == values(first, "fraud")


def stamped_of(call: ShardCall, number: int) -> list[bytes]:
    """The bags of a shard that were empty before this call."""
    stamp = number.to_bytes(8, "big")
    return [stamped(payload, stamp, size) for payload, size in zip(call.payloads, call.sizes, strict=True)]


def test_entries_are_sent_from_the_offset_asked_for_and_keys_stay_the_same() -> None:
    w, records = work(), [order(1), order(2, card_id="c2")]
    prepared = w.prepare(Batch(1, records))
    whole, rest = w.calls(prepared, {}, 1), w.calls(prepared, {}, 2)
    assert [call.keys for call in whole] == [call.keys for call in rest]
    sent = [sum(map(len, call.payloads)) for call in rest]
    assert sum(sent) == sum(sum(map(len, call.payloads)) for call in whole) // 2
    assert w.calls(prepared, {}, 1) == whole


def test_what_is_not_fresh_has_neither_entries_nor_a_decision() -> None:
    w, records = work(), [order(1), order(2), Rec(3, b"{")]
    exceptions = {1: Verdict.DUPLICATE, 2: Verdict.CONFLICT, 3: Verdict.DEAD}
    prepared = w.prepare(Batch(1, records))
    assert not any(call.keys for call in w.calls(prepared, exceptions, 1))
    outputs = decided(w, records, exceptions)
    assert {record.topic for record in outputs.records} == {"orders.dlq"}
    assert outputs.dead == {"conflicting_id": 1, "not_json": 1}


def test_dead_letters_keep_key_value_and_headers_and_say_why() -> None:
    bad = Rec(9, b"\xff", key=b"k", headers=(("trace", b"1"),))
    (letter,) = decided(work(), [bad], {9: Verdict.DEAD}).records
    assert (letter.key, letter.value, letter.headers[0]) == (b"k", b"\xff", ("trace", b"1"))
    assert dict(letter.headers)["dlq-reason"] == b"not_utf8"
    assert letter.offset == 9


def test_what_others_read_has_cloudevents_headers_that_say_what_the_value_says_and_our_own_log_has_none() -> None:
    clicks = [click(offset) for offset in range(60)]  # a bot's
    published = [*decided(work(), [order(0)]).records, *decided(work("clickstream"), clicks).records]
    assert {record.topic for record in published} == {"fraud", "decisions", "anomalies", "sessions"}
    for record in published:
        headers, value = dict(record.headers), msgspec.json.decode(record.value or b"")
        if record.topic in TYPES:
            id_ = value["anomaly_id" if record.topic == "anomalies" else "decision_id"]
            assert (headers["ce_id"], headers["ce_type"]) == (id_.encode(), TYPES[record.topic].encode())
            assert headers["ce_time"] == value["event_time"].encode()
        else:
            assert headers == {}


def test_without_the_setting_there_are_no_headers() -> None:
    quiet = work()
    quiet.writer.cloudevents = False
    assert {record.headers for record in decided(quiet, [order(0)]).records} == {()}


@pytest.mark.parametrize("cloudevents", [True, False])
def test_a_decision_belongs_to_the_trace_of_its_order_and_an_anomaly_to_that_of_its_event(cloudevents: bool) -> None:
    trace = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    traced = [replace(order(1), headers=(("x", b""), ("traceparent", trace)))]
    long = [replace(order(2), headers=(("traceparent", trace * 10),))]
    clicks = [replace(click(offset), headers=(("traceparent", b"%d" % offset),)) for offset in range(60)]
    orders, visits = work(), work("clickstream")
    orders.writer.cloudevents = visits.writer.cloudevents = cloudevents
    fraud = [record for record in decided(orders, [order(0), *traced, *long]).records if record.topic == "fraud"]
    assert [dict(record.headers).get("traceparent") for record in fraud] == [None, trace, None]
    (anomaly,) = [record for record in decided(visits, clicks).records if record.topic == "anomalies"]
    assert dict(anomaly.headers)["traceparent"] == b"%d" % anomaly.offset
    assert ("ce_id" in dict(anomaly.headers)) is cloudevents


def test_a_record_that_its_range_took_for_fresh_and_nobody_can_read_now_stops_the_worker() -> None:
    w = work()
    with pytest.raises(Stop, match=r"offset 1 was taken .*HEADRACE_SCHEMA_REGISTRY__URL"):
        w.calls(w.prepare(Batch(0, [order(0), Rec(1, b"\x00\x00\x00\x00\x07")])), {}, 0)


def test_a_record_that_its_range_took_for_dead_is_a_dead_letter_though_it_can_be_read_now() -> None:
    outputs = decided(work(), [order(0), order(1)], {1: Verdict.DEAD})
    (letter,) = [record for record in outputs.records if record.topic == "orders.dlq"]
    assert dict(letter.headers)["dlq-reason"] == b"unknown_schema"
    assert len(values(outputs, "fraud")) == 1


def test_facts_of_a_dead_record_are_dead_and_of_the_others_true() -> None:
    w = work()
    facts = w.facts(w.prepare(Batch(1, [order(1, minutes_ago=5), Rec(2, b"{"), order(4, event_id="e1")])))
    assert facts.dead.tolist() == [False, True, False]
    assert facts.event_ms[0] == NOW_MS - 300_000
    assert facts.event_id[0] == facts.event_id[2]
    assert facts.payload[0] != facts.payload[2]
    assert facts.offset.tolist() == [1, 2, 4]


def test_a_session_that_is_unusual_is_told_once_and_again_only_for_the_same_event() -> None:
    w = work("clickstream")
    records = [click(offset) for offset in range(60)]
    first = values(decided(w, records), "anomalies")
    assert len(first) == 1
    more = [click(offset) for offset in range(60, 120)]
    assert decided(w, records + more).records == decided(w, records + more).records
    prepared = w.prepare(Batch(60, more))
    calls = w.calls(prepared, {}, 60)
    before = work("clickstream")
    older = before.prepare(Batch(0, records))
    entries = {call.shard: call for call in before.calls(older, {}, 0)}
    bags = [ShardBags(9, stamped_of(entries[call.shard], 1)[: len(call.keys)]) for call in calls]
    assert values(w.decide(prepared, range_of(more), bags, False), "anomalies") == []


class Store:
    """Bags that ranges of several topics are applied to, one after the other."""

    def __init__(self) -> None:
        self.bags: dict[bytes, bytes] = {}
        self.number = 0

    def applies(self, w: RangeWork, records: Sequence[Rec]) -> list[Any]:
        """What the range says of sessions."""
        return values(self.decides(w, records), "anomalies")

    def decides(self, w: RangeWork, records: Sequence[Rec], config: str = OWN.id) -> RangeOutputs:
        """What the range publishes."""
        prepared = w.prepare(Batch(records[0].offset, records))
        calls = w.calls(prepared, {}, records[0].offset)
        self.number += 1
        bags = [ShardBags(self.number, [self.bags.get(key) for key in call.keys]) for call in calls]
        for call in calls:
            for key, added in zip(call.keys, stamped_of(call, self.number), strict=True):
                self.bags[key] = self.bags.get(key, b"") + added
        return w.decide(prepared, range_of(records, config=config), bags, False)


VIEWS = [click(offset, "view_item", items=[{"item_id": f"p{offset}"}]) for offset in range(25)]
CARTS = [click(offset, "add_to_cart", items=[{"item_id": "p1"}], value=1000, currency="EUR") for offset in range(4)]


def test_however_two_topics_interleave_a_session_is_told_under_the_same_id() -> None:
    """Twenty products are in one topic and the full cart in the other: either may be seen last."""
    interleavings = [
        [("clickstream", VIEWS), ("cart", CARTS)],
        [("cart", CARTS), ("clickstream", VIEWS)],
        [("clickstream", VIEWS[:10]), ("cart", CARTS), ("clickstream", VIEWS[10:])],
        [("cart", CARTS[:2]), ("clickstream", VIEWS), ("cart", CARTS[2:])],
    ]
    told = []
    for ranges in interleavings:
        store, works = Store(), {topic: work(topic) for topic in ("clickstream", "cart")}
        told.append([one for topic, records in ranges for one in store.applies(works[topic], records)])
    assert len({one["event_type"] for found in told for one in found}) == 2, "the events that cross the line differ"
    assert [{one["anomaly_id"] for one in found} for found in told] == [{anomaly_id("s1", "cart_stuffing")}] * 4


def test_an_owner_that_remembers_nothing_tells_a_session_again_under_the_same_id() -> None:
    store, clicks = Store(), [click(offset) for offset in range(90)]
    (first,) = store.applies(work("clickstream"), clicks[:60])
    (again,) = store.applies(work("clickstream"), clicks[60:])
    assert first["event_id"] != again["event_id"]
    assert first["anomaly_id"] == again["anomaly_id"] == anomaly_id("s1", "bot")


def test_a_range_without_a_fresh_event_is_decided_all_the_same() -> None:
    assert decided(work(), [order(1)], {1: Verdict.DUPLICATE}).records == []


def test_late_events_are_counted_and_scored() -> None:
    outputs = decided(work(), [order(1, minutes_ago=3), order(2)])
    assert (outputs.late, outputs.decided) == (1, 2)


async def test_a_configuration_nobody_knows_stops_the_worker_with_the_remedy() -> None:
    from streams.protocol.ports import Stop

    with pytest.raises(Stop, match="HEADRACE_RULES"):
        await work().ready("0000000000000000")


def test_prepared_batches_may_be_asked_in_any_order() -> None:
    w, records = work(), [order(1), order(2), order(3)]
    prepared: Prepared = w.prepare(Batch(1, records))
    w.calls(prepared, {}, 1)
    w.calls(prepared, {2: Verdict.DUPLICATE}, 1)
    calls = w.calls(prepared, {}, 1)
    outputs = w.decide(prepared, range_of(records), empty(calls), False)
    assert np.array_equal([o.offset for o in outputs.records], [1, 2, 3, 1, 2, 3])
