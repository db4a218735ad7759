"""The soak judges what it says it judges: slopes, keys without a life, a worker that does not keep up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import redis

from bench import soak, soak_features
from bench.soak import (
    EVERY_S,
    FLAT,
    POINTS,
    Run,
    Sample,
    VoidRunError,
    Watch,
    bags,
    judged,
    slope_percent,
    strangers,
    thinned,
    verdict,
    warm_up,
)
from bench.soak_feed import ROTATE_MS, USERS, Shop
from features.shop import shop_definitions
from models import artefact
from schemas.decode import decode_batch
from streams.chaos.site import Worker
from streams.embedded.processes import Children
from streams.embedded.store import Store
from streams.stores import keys

NOW_MS = 1_790_000_000_000


def sample(at_s: float, *, worker_mb: float = 100.0, keys: int = 5000, lag: float = 10.0) -> Sample:
    return Sample(at_s, worker_mb, 20.0, keys, 325, lag, at_s * 1000, 12.0, 1.0)


def run(samples: list[Sample], without_ttl: list[str] | None = None, alive: int = 5000, left: int = 0) -> Run:
    return Run(samples, 1_000, without_ttl or [], alive, left)


def steady(**changes: float) -> list[Sample]:
    return [sample(float(at), **changes) for at in range(100)]  # type: ignore[arg-type]  # a builder by name


# ---- slopes


def test_a_slope_is_what_a_line_rises_over_the_run_in_per_cent_of_the_mean() -> None:
    at_s = [float(second) for second in range(101)]
    assert slope_percent(at_s, [100 + second / 50 for second in at_s]) == pytest.approx(2 / 101 * 100)
    assert slope_percent(at_s, [7.0] * 101) == pytest.approx(0)
    assert slope_percent(at_s, [100 - second / 50 for second in at_s]) == pytest.approx(-2 / 99 * 100)


def test_one_peak_is_no_slope() -> None:
    values = [100.0] * 101
    values[50] = 200.0
    assert abs(slope_percent([float(at) for at in range(101)], values)) < 0.01


def test_of_nothing_and_of_one_sample_there_is_no_slope() -> None:
    assert slope_percent([1.0], [5.0]) == 0.0
    assert slope_percent([1.0, 2.0], [0.0, 0.0]) == 0.0


def test_every_series_has_slope_mean_and_range() -> None:
    found = judged([sample(float(at), keys=at) for at in range(11)])
    assert set(found) == set(FLAT)
    assert found["keys"] == {"slope_percent": pytest.approx(200.0), "mean": 5.0, "least": 0.0, "most": 10.0}


def test_a_figure_keeps_some_points_of_a_long_run() -> None:
    points = thinned([sample(float(at)) for at in range(1200)])
    assert {len(column) for column in points.values()} == {POINTS}


def test_the_warm_up_is_five_minutes_or_a_third_of_a_shorter_run() -> None:
    assert warm_up(20 * 60) == 300
    assert warm_up(9 * 60) == 180


# ---- verdicts


def test_flat_holds() -> None:
    assert verdict(run(steady()), 1000)["value"]["holds"] is True


@pytest.mark.parametrize("direction", [1, -1])
def test_what_rises_or_falls_does_not_hold(direction: int) -> None:
    rising = [sample(float(at), worker_mb=100 + direction * at / 20) for at in range(100)]
    assert verdict(run(rising), 1000)["value"]["holds"] is False


def test_the_warm_up_may_rise() -> None:
    rising = [sample(float(at), worker_mb=min(100.0, 40.0 + 2 * at)) for at in range(100)]
    assert verdict(run(rising), 1000)["value"]["holds"] is True


@pytest.mark.parametrize(
    "broken",
    [run(steady(), without_ttl=["{0}user:a"]), run(steady(), alive=0), run(steady(), left=1)],
    ids=["key without a life", "no bags at all", "bags that stay"],
)
def test_keys_that_stay_do_not_hold(broken: Run) -> None:
    assert verdict(broken, 1000)["value"]["holds"] is False


def test_a_worker_that_does_not_keep_up_proves_nothing() -> None:
    with pytest.raises(VoidRunError, match="10,000 records behind; lower --events-s 1000"):
        verdict(run(steady(lag=10_000.0)), 1000)


async def test_a_worker_that_does_not_serve_its_metrics_proves_nothing(children: Children, valkey: Store) -> None:
    worker = Worker(0, children, {}, child=children.start("worker-0", ["sleep", "60"]))
    with redis.Redis.from_url(valkey.url) as server, pytest.raises(VoidRunError, match="does not serve its metrics"):
        await Watch(worker, server, valkey.child.pid).samples(EVERY_S)


async def test_of_a_worker_that_ended_between_two_looks_it_is_told_why(children: Children, valkey: Store) -> None:
    worker = Worker(0, children, {}, child=children.start("worker-0", ["sh", "-c", "sleep 1.5; echo a bug; exit 1"]))
    with redis.Redis.from_url(valkey.url) as server, pytest.raises(VoidRunError, match=r"worker 0 ended .*a bug"):
        await Watch(worker, server, valkey.child.pid).samples(EVERY_S)


# ---- keys


def test_keys_without_a_life_are_found_unless_the_closed_list_names_them(valkey: Store) -> None:
    with redis.Redis.from_url(valkey.url) as server:
        server.flushall()
        for key in (keys.at_key(3), keys.space_key(0), b"{1}user:forever", b"stranger"):
            server.set(key, b"x")
        server.set("{1}user:mortal", b"x", px=60_000)
        assert strangers(server) == ["stranger", "{1}user:forever"]
        assert bags(server) == 2
        server.flushall()


# ---- what runs


def test_the_shop_in_fast_motion_is_the_shop_with_shorter_windows() -> None:
    fast, shop = soak_features.definitions, shop_definitions()
    assert fast.vector.names == shop.vector.names
    assert [flow.topic for flow in fast.flows] == [flow.topic for flow in shop.flows]
    assert [group.name for group in fast.groups] == [group.name for group in shop.groups]
    assert fast.longest_ms == 12_000
    assert fast.vector.hash != shop.vector.hash
    assert soak.life_s() == 24.0


def test_the_shipped_model_is_accepted_for_it(tmp_path: Path) -> None:
    vector = soak_features.definitions.vector
    assert artefact.load(soak.fast_model(tmp_path), vector.names, vector.hash).model.reads


def test_every_event_is_a_good_one_and_none_comes_twice() -> None:
    records = Shop(1).events(2_000, 0, NOW_MS)
    by_topic: dict[str, list[bytes | None]] = {}
    for record in records:
        by_topic.setdefault(record.topic, []).append(record.value)
    assert set(by_topic) == {"orders", "clickstream", "cart", "labels"}
    for topic, values in by_topic.items():
        assert decode_batch(topic, values).faults == {}
    assert len({json.loads(record.value or b"")["event_id"] for record in records}) == 2_000


def test_labels_are_of_orders_that_were_placed() -> None:
    values = [(record.topic, json.loads(record.value or b"")) for record in Shop(1).events(2_000, 0, NOW_MS)]
    placed = {value["order_id"] for topic, value in values if topic == "orders"}
    labels = [value["order_id"] for topic, value in values if topic == "labels"]
    assert labels
    assert set(labels) <= placed


def test_users_come_and_go_and_their_number_depends_on_the_clock_alone() -> None:
    shop = Shop(1)

    def users(now_ms: int) -> set[bytes | None]:
        return {record.key for record in shop.events(1_000, 0, now_ms)}

    assert len(users(NOW_MS)) == USERS
    assert not users(NOW_MS) & users(NOW_MS + ROTATE_MS)
