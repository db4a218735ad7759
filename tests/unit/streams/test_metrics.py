"""Metrics: arrays in, what Prometheus expects out; a partition that left leaves nothing behind."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from streams.collectors import ArrayHistogram, process_registry
from streams.metrics import LATENCY_S, Metrics


@given(batches=st.lists(st.lists(st.floats(0, 100)), max_size=5))
def test_an_array_histogram_counts_like_prometheus_own(batches: list[list[float]]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    array = ArrayHistogram("latency_seconds", "text", LATENCY_S, registry=ours)
    single = Histogram("latency_seconds", "text", buckets=LATENCY_S, registry=theirs)
    for batch in batches:
        array.observe(np.array(batch))
        for value in batch:
            single.observe(value)
    if not any(batches):
        return
    for bound in (*map(str, LATENCY_S), "+Inf"):
        labels = {"le": bound}
        name = "latency_seconds_bucket"
        mine = {s.labels["le"]: s.value for m in ours.collect() for s in m.samples if s.name == name}
        assert float(mine[bound if bound == "+Inf" else f"{float(bound):g}"]) == theirs.get_sample_value(name, labels)
    assert ours.get_sample_value("latency_seconds_count") == theirs.get_sample_value("latency_seconds_count")


def test_the_gauges_of_a_partition_that_left_disappear() -> None:
    metrics = Metrics(CollectorRegistry())
    for gauge in (metrics.lag, metrics.position, metrics.window_ids, metrics.catching_up):
        gauge.labels("orders", "3").set(7)
        gauge.labels("orders", "1").set(7)
    metrics.left("orders", 3)
    scraped = generate_latest(metrics.registry).decode()
    assert 'partition="3"' not in scraped
    assert 'headrace_lag_records{partition="1",topic="orders"} 7.0' in scraped


def test_a_partition_may_leave_before_it_ever_had_a_gauge() -> None:
    Metrics(CollectorRegistry()).left("orders", 0)


def test_one_configuration_is_named_at_a_time_and_having_no_model_shows() -> None:
    metrics = Metrics(CollectorRegistry())
    metrics.configured("shop-logistic", "1", "aaaa", lacks_model=False)
    metrics.configured("", "", "bbbb", lacks_model=True)
    scraped = generate_latest(metrics.registry).decode()
    assert scraped.count("headrace_model_info{") == 1
    assert "headrace_no_model 1.0" in scraped


def test_the_process_tells_its_own_memory() -> None:
    assert b"process_resident_memory_bytes" in generate_latest(process_registry())
