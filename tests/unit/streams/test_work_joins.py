"""Labels and orders meet: whichever is taken second publishes what follows, and what it publishes is read back."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from features.join import records_of
from features.orders import MEETING, known_of
from schemas.ids import decision_id
from schemas.timestamps import rfc3339
from streams.outputs import ALWAYS, RangeOutputs
from streams.protocol.ports import Batch, ShardBags, ShardCall, Verdict
from tests.unit.streams.test_work import NOW_MS, SHARDS, Rec, order, range_of, values, work

O1 = decision_id("e1")
DAY_MS = 86_400_000


def label(offset: int, kind: str = "chargeback", order_id: str = "o1", days: float = 40, **fields: Any) -> Rec:
    at = rfc3339(NOW_MS + int(days * DAY_MS))
    body = {"type": kind, "event_id": f"l{offset}", "event_time": at, "order_id": order_id, **fields}
    return Rec(offset, msgspec.json.encode(body), key=order_id.encode())


def reviewed(offset: int, fraud: bool, days: float = 40) -> Rec:
    return label(offset, "review_outcome", days=days, fraud=fraud)


class Shop:
    """All partitions on one store, each range taken at once."""

    def __init__(self) -> None:
        self.bags: dict[bytes, bytes] = {}
        self.number = 0
        self.works = {topic: work(topic) for topic in ("orders", "labels", "outcomes")}
        self.unread: list[bytes] = []  # of topic outcomes
        self.calls: Sequence[ShardCall] = ()

    def take(self, topic: str, *records: Rec) -> RangeOutputs:
        """One range."""
        self.number += 1
        w = self.works[topic]
        batch: Batch[Any] = Batch(records[0].offset, records)
        prepared = w.prepare(batch)
        calls = w.calls(prepared, {}, records[0].offset)
        before = [ShardBags(self.number, [self.bags.get(key) for key in call.keys]) for call in calls]
        for call in calls:
            for key, payload, size in zip(call.keys, call.payloads, call.sizes, strict=True):
                parts = (payload[at : at + size] for at in range(0, len(payload), size))
                stamped = b"".join(self.number.to_bytes(8, "big") + part for part in parts)
                self.bags[key] = self.bags.get(key, b"") + stamped
        outputs = w.decide(prepared, range_of(records), before, False)
        self.unread += [r.value for r in outputs.records if r.topic == "outcomes" and r.value is not None]
        return outputs

    def read_back(self) -> RangeOutputs | None:
        """One range of all outcomes that were not read yet."""
        if not self.unread:
            return None
        records = [Rec(at, value) for at, value in enumerate(self.unread)]
        self.unread = []
        return self.take("outcomes", *records)

    def order_bag(self, order_id: str = "o1") -> bytes:
        return next(bag for key, bag in self.bags.items() if key.endswith(f"}}order:{order_id}".encode()))


def told(outputs: RangeOutputs | None) -> list[tuple[str, bool]]:
    found = values(outputs, "outcomes") if outputs is not None else []
    return [(one["event_id"], one["fraud"]) for one in found]


def test_a_label_that_names_only_an_order_finds_the_orders_card_device_user_and_products() -> None:
    shop = Shop()
    shop.take("orders", order(1, device_id="d1", ip="10.0.0.1", merchant_id="m1"))
    (outcome,) = values(shop.take("labels", label(1)), "outcomes")
    assert outcome == {
        "type": "outcome", "event_id": f"{O1}-1", "event_time": rfc3339(NOW_MS), "user_id": "u1", "visitor_id": None,
        "session_id": None, "order_id": "o1", "decision_id": O1, "turn": 1, "fraud": True, "delta": 1,
        "label": {"event_id": "l1", "type": "chargeback", "event_time": rfc3339(NOW_MS + 40 * DAY_MS)},
        "card_id": "c1", "device_id": "d1", "ip": "10.0.0.1", "merchant_id": "m1", "products": ["p1"],
    }  # fmt: skip


def test_a_label_that_comes_before_its_order_waits_and_the_order_publishes_the_same() -> None:
    first, second = Shop(), Shop()
    first.take("orders", order(1))
    assert told(second.take("labels", label(1))) == []
    said, late = first.take("labels", label(1)), second.take("orders", order(1))
    assert values(said, "outcomes") == values(late, "outcomes")
    assert (said.joined["others"], late.joined["others"]) == (1, 1)


def test_the_key_is_the_users_so_all_outcomes_of_an_order_are_in_one_partition() -> None:
    shop = Shop()
    shop.take("orders", order(1))
    (record,) = shop.take("labels", label(1)).records
    assert (record.key, record.partition) == (b"u1", None)


def test_exactly_once_leaves_no_outcome_out_however_far_back_its_range_lies() -> None:
    shop = Shop()
    shop.take("orders", order(1))
    assert [record.offset for record in shop.take("labels", label(1)).records] == [ALWAYS]


@pytest.mark.parametrize("kind", ["refund", "order_cancelled"])
def test_a_label_that_says_nothing_of_fraud_touches_no_bag(kind: str) -> None:
    w = work("labels")
    prepared = w.prepare(Batch(1, [label(1, kind)]))
    assert not any(call.keys for call in w.calls(prepared, {}, 1))


def test_a_label_that_agrees_with_what_is_known_publishes_nothing() -> None:
    shop = Shop()
    shop.take("orders", order(1))
    shop.take("labels", label(1))
    shop.read_back()
    assert told(shop.take("labels", label(2, days=50))) == []
    assert told(shop.take("labels", reviewed(3, fraud=False, days=30))) == []  # older than the chargeback


def test_a_reversed_label_takes_the_fraud_back_and_may_be_reversed_again() -> None:
    shop = Shop()
    shop.take("orders", order(1))
    assert told(shop.take("labels", reviewed(1, fraud=True, days=1))) == [(f"{O1}-1", True)]
    assert told(shop.read_back()) == []
    assert told(shop.take("labels", reviewed(2, fraud=False, days=2))) == [(f"{O1}-2", False)]
    assert told(shop.read_back()) == []
    assert told(shop.take("labels", label(3, days=3))) == [(f"{O1}-3", True)]


def test_a_reversal_that_overtakes_the_outcome_follows_once_that_is_read_back() -> None:
    shop = Shop()
    shop.take("orders", order(1))
    assert told(shop.take("labels", reviewed(1, fraud=True, days=1))) == [(f"{O1}-1", True)]
    assert told(shop.take("labels", reviewed(2, fraud=False, days=2))) == []
    assert told(shop.read_back()) == [(f"{O1}-2", False)]
    assert told(shop.read_back()) == []


def test_a_label_and_its_reversal_in_one_range_say_nothing() -> None:
    shop = Shop()
    shop.take("orders", order(1))
    assert told(shop.take("labels", reviewed(1, fraud=True, days=1), reviewed(2, fraud=False, days=2))) == []


def test_two_events_of_one_order_id_each_have_their_outcome() -> None:
    shop = Shop()
    shop.take("orders", order(1), order(2, order_id="o1"))
    assert {name for name, _ in told(shop.take("labels", label(1)))} == {f"{O1}-1", f"{decision_id('e2')}-1"}


def test_a_range_of_labels_that_is_done_again_has_the_same_bytes() -> None:
    shop = Shop()
    shop.take("orders", order(1))
    records = [label(1), label(2, order_id="o2")]
    first = shop.take("labels", *records)
    shop.take("labels", reviewed(5, fraud=False, days=60))  # comes later: the repeat must not see it
    w, prepared = shop.works["labels"], shop.works["labels"].prepare(Batch(1, records))
    calls = w.calls(prepared, {}, 1)
    bags = [ShardBags(2, [shop.bags.get(key) for key in call.keys]) for call in calls]
    assert w.decide(prepared, range_of(records), bags, False).records == first.records


def test_a_second_look_finds_what_is_due_and_asks_only_one_shard() -> None:
    shop = Shop()
    shop.take("labels", label(1))
    records, w = [order(1)], shop.works["orders"]
    shop.take("orders", *records)  # in silence: nobody hears of it
    prepared = w.prepare(Batch(1, records))
    calls = w.calls(prepared, {}, 1)
    found = [
        told(w.again(prepared, {}, 1, [_of(shop.bags, call, asked=call.shard == shard) for call in calls]))
        for shard in range(SHARDS)
    ]
    assert sorted(found) == [[], [], [], [(f"{O1}-1", True)]]


def _of(bags: Mapping[bytes, bytes], call: ShardCall, *, asked: bool) -> ShardBags:
    return ShardBags(0, [bags.get(key) if asked else None for key in call.keys], whole=True)


def test_a_topic_of_ours_is_judged_by_ids_alone() -> None:
    """An outcome is as old as its order; its copies may name another label."""
    w = work("outcomes")
    outcome = {"type": "outcome", "event_id": f"{O1}-1", "event_time": rfc3339(NOW_MS - 100 * DAY_MS), "user_id": "u1",
               "order_id": "o1", "decision_id": O1, "turn": 1, "fraud": True, "delta": 1}  # fmt: skip
    named = {"event_id": "l", "type": "chargeback", "event_time": rfc3339(NOW_MS)}
    records = [Rec(1, msgspec.json.encode(outcome)), Rec(2, msgspec.json.encode({**outcome, "label": named}))]
    facts = w.facts(w.prepare(Batch(1, records)))
    assert facts.event_ms.tolist() == facts.record_ms.tolist() == [NOW_MS, NOW_MS]
    assert facts.payload.tolist() == [0, 0]
    assert len(set(facts.event_id.tolist())) == 1
    assert w.decide(w.prepare(Batch(1, records[:1])), range_of(records[:1]), _nothing(w, records[:1]), False).late == 0


def _nothing(w: Any, records: Sequence[Rec]) -> list[ShardBags]:
    return [ShardBags(1, [None] * len(call.keys)) for call in w.calls(w.prepare(Batch(1, records)), {}, 1)]


def test_an_order_that_is_not_fresh_leaves_nothing() -> None:
    w = work("orders")
    records = [order(1), order(2)]
    prepared = w.prepare(Batch(1, records))
    keys = [key for call in w.calls(prepared, {1: Verdict.DUPLICATE}, 1) for key in call.keys]
    assert [key for key in keys if b"}order:" in key] == [key for key in keys if key.endswith(b"order:o2")]


def test_what_a_bag_of_orders_holds_is_bounded_however_often_an_id_is_used() -> None:
    shop = Shop()
    for start in range(0, 3_000, 300):
        shop.take("orders", *[order(start + at, order_id="n/a") for at in range(300)])
    known = known_of(MEETING.reduce(records_of(shop.order_bag("n/a"))))
    assert len(known.orders) == 8
    assert len(shop.order_bag("n/a")) < 10 * 8 * 120, "a range adds eight at most"
