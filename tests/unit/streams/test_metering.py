"""Facts become metrics: those of ranges together, and the lag gauge at every look, whatever became of the last."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import pytest
from faust.types import TP
from prometheus_client import CollectorRegistry

from streams.metering import MOST_KEPT, ExitCount, Kept, Meter, MeteredSink, watch_bags, watch_lag, watch_servers
from streams.metrics import Metrics
from streams.outputs import RangeOutputs
from streams.protocol.observer import RangeDone, Stages
from streams.protocol.ports import Stop, Tp
from streams.stores.admin import Fullness
from streams.stores.exits import Exit
from streams.stores.sampling import Drawn
from streams.transport.consumer import Standing
from streams.transport.output import Output

T = TypeVar("T")
ORDERS = TP("orders", 0)
PARTITION = Tp("orders", 0, "id")


async def watched(watch: Callable[[Callable[[], Awaitable[T]]], Awaitable[None]], *answers: T | Exception) -> None:
    """A watch that was given one answer or failure after the other, ended when it asks for more."""
    left, over = list(answers), asyncio.Event()

    async def ask() -> T:
        if not left:
            over.set()
            await asyncio.Event().wait()
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    watching = asyncio.ensure_future(watch(ask))
    await over.wait()
    watching.cancel()


async def lag_after(*found: Standing | Exception) -> float | None:
    metrics = Metrics(CollectorRegistry())
    answers = [one if isinstance(one, Exception) else {ORDERS: one} for one in found]
    await watched(lambda ask: watch_lag(ask, metrics, every_s=0.001), *answers)
    return metrics.registry.get_sample_value("headrace_lag_records", {"topic": "orders", "partition": "0"})


async def test_lag_is_what_is_to_be_read_and_what_waits_to_be_worked_on() -> None:
    assert await lag_after(Standing(10, 17, 3)) == 10


async def test_a_look_that_fails_is_not_the_last_one_and_each_change_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "headrace")
    away = RuntimeError("the consumer is being made anew")
    assert await lag_after(away, away, away, Standing(10, 15, 0), Standing(10, 16, 0), away, Standing(10, 14, 0)) == 4
    unknown, known = "the lag is not known", "the lag is known again"
    assert [record.message for record in caplog.records] == [unknown, known, unknown, known]
    assert caplog.records[0].__dict__["why"] == "RuntimeError: the consumer is being made anew"


class Acknowledging:
    """A sink that acknowledges at once."""

    exactly_once = False

    async def publish(self, tp: Tp, outputs: Sequence[Output]) -> None: ...

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


def range_done(records: int, last: int) -> RangeDone:
    return RangeDone(0, last, records, {}, "config", False, False, Stages(fetch_s=0.25), window_ids=7, window_bytes=1)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_ranges_are_counted_before_anybody_looks() -> None:
    metrics = Metrics(CollectorRegistry())
    meter = Meter(metrics, lambda _: None)
    for records, last in ((5, 4), (2, 6)):
        meter.done(PARTITION, range_done(records, last))
    assert value(metrics, "headrace_ranges_total", topic="orders") == 2
    assert value(metrics, "headrace_events_in_total", topic="orders") == 7
    assert value(metrics, "headrace_range_events_sum", topic="orders") == 7
    assert value(metrics, "headrace_stage_seconds_sum", stage="fetch") == 0.5
    assert value(metrics, "headrace_position", topic="orders", partition="0") == 7
    assert value(metrics, "headrace_dedup_ids", topic="orders", partition="0") == 7


def test_a_partition_that_left_is_not_brought_back_by_what_was_kept_of_it() -> None:
    metrics = Metrics(CollectorRegistry())
    meter = Meter(metrics, lambda _: None)
    meter.done(PARTITION, range_done(5, 4))
    meter.left(PARTITION)
    assert value(metrics, "headrace_position", topic="orders", partition="0") is None
    assert value(metrics, "headrace_ranges_total", topic="orders") == 1


def test_no_more_is_kept_than_a_few_ranges() -> None:
    metrics = Metrics(CollectorRegistry())
    counted: list[int] = []
    kept: Kept[int] = Kept(metrics, lambda facts: counted.append(len(facts)))
    for number in range(2 * MOST_KEPT + 1):
        kept.add(number)
    assert counted == [MOST_KEPT, MOST_KEPT]
    kept.count()
    kept.count()
    assert counted == [MOST_KEPT, MOST_KEPT, 1]


def test_outputs_are_counted_once_they_are_acknowledged() -> None:
    metrics = Metrics(CollectorRegistry())
    acknowledged = RangeOutputs(
        np.array([1_000, 2_000], np.int64),
        [Output("fraud", b"k", b"v"), Output("fraud", b"k", b"w"), Output("orders.dlq", b"k", b"x")],
        scores=np.array([0.5, 0.7]),
        actions=Counter(block=1, allow=1),
        dead=Counter(malformed=1),
        decided=2,
        late=1,
        recovered=True,
    )
    sink = MeteredSink(Acknowledging(), metrics, now=lambda: 3.0)
    asyncio.run(sink.publish(PARTITION, acknowledged))
    assert value(metrics, "headrace_events_out_total", topic="fraud") == 2
    assert value(metrics, "headrace_decisions_total", action="block") == 1
    assert value(metrics, "headrace_dead_letters_total", topic="orders", reason="malformed") == 1
    assert value(metrics, "headrace_recovered_decisions_total") == 2
    assert value(metrics, "headrace_late_total", topic="orders") == 1
    assert value(metrics, "headrace_latency_seconds_sum", topic="orders") == 3.0
    assert value(metrics, "headrace_score_count") == 2


def test_how_fresh_features_are_is_told_by_topic_and_their_newest_event_by_group() -> None:
    metrics = Metrics(CollectorRegistry())
    groups = {"orders": ["user", "card"], "cart": ["user"]}
    sink = MeteredSink(Acknowledging(), metrics, now=lambda: 100.0, groups=groups)
    for topic, times in (("orders", [40_000, 90_000]), ("cart", [80_000]), ("labels", [99_000]), ("orders", [])):
        out = RangeOutputs(np.zeros(len(times), np.int64), event_ms=np.array(times, np.int64))
        asyncio.run(sink.publish(Tp(topic, 0, "id"), out))
    assert value(metrics, "headrace_freshness_seconds_sum", topic="orders") == 60 + 10
    assert value(metrics, "headrace_freshness_seconds_count", topic="labels") == 1
    assert value(metrics, "headrace_group_newest_event_seconds", group="user") == 90
    assert value(metrics, "headrace_group_newest_event_seconds", group="card") == 90


async def sizes_after(*looks: Sequence[Drawn] | Exception) -> Metrics:
    metrics = Metrics(CollectorRegistry())
    await watched(lambda ask: watch_bags(ask, {"user", "order"}, metrics, every_s=0.001), *looks)
    return metrics


async def test_what_bags_take_is_told_for_the_groups_that_there_are_and_no_others() -> None:
    metrics = await sizes_after(
        [Drawn("a", 1_000, [("user", 400), ("user", 600), ("order", 100), ("of a stranger", 9)])]
    )
    assert value(metrics, "headrace_group_keys", group="user") == 500
    assert value(metrics, "headrace_group_bytes", group="user") == 250_000
    assert value(metrics, "headrace_group_keys", group="order") == 250
    assert value(metrics, "headrace_group_keys", group="of a stranger") is None


async def test_how_full_each_server_is_is_told_and_of_one_that_left_no_more() -> None:
    metrics = Metrics(CollectorRegistry())

    def server(name: str, used: int) -> Fullness:
        return Fullness(name, "9.1", 10, used, 1_000, append_only=True)

    looks = [server("a", 100), server("b", 200)], [server("a", 900)]
    await watched(lambda ask: watch_servers(ask, metrics, every_s=0.001), *looks)
    assert value(metrics, "headrace_store_memory_bytes", server="a") == 900
    assert value(metrics, "headrace_store_memory_limit_bytes", server="a") == 1_000
    assert value(metrics, "headrace_store_memory_bytes", server="b") is None


async def test_watchdog_exits_are_those_of_all_workers_and_ever() -> None:
    metrics, said = Metrics(CollectorRegistry()), [Exit(7, 0, "worker-0", "stood still"), Exit(8, 1, "worker-1", "too")]

    async def newest(after: int) -> list[Exit]:
        return [one for one in said if one.number > after]

    count = ExitCount(newest, metrics)
    for _ in range(2):
        await count.look()
    assert value(metrics, "headrace_watchdog_exits_total") == 8
    said.append(Exit(9, 2, "worker-0", "again"))
    await count.look()
    assert value(metrics, "headrace_watchdog_exits_total") == 9


async def test_a_look_that_is_not_permitted_stops_nothing_and_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "headrace")
    refused = Stop("the store does not permit it")
    metrics = await sizes_after(refused, refused, [Drawn("a", 10, [("user", 100)])])
    assert value(metrics, "headrace_group_bytes", group="user") == 1_000
    assert [record.message for record in caplog.records] == ["the size of the state is not known"]
