"""Models into traffic and back, while workers run and die: every decision's model is the old one or the new one.

Each model gives every order one score of its own, so a decision's score says which model made it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest

from features.shop import shop_definitions
from models import artefact
from models.deployments import Change, activated, promoted, rolled_back
from models.logistic import Input, Logistic
from models.registry import Registry
from schemas.decisions import NO_MODEL
from schemas.deployments import Announced, Configured, Deployment, Ref
from storage.places import place_of
from streams.configuration import from_content, of_folder, rules_text
from streams.models.announce import announce
from streams.models.choose import Chooser
from streams.space import open_store
from tests.e2e.test_worker_killed import ENDS_WITHIN_S, confluent_committed, killed_over_work
from tests.support.events import order, orders
from tests.support.models import ABOUT, DEFINITIONS, WHO, cut_off, put, registry_in, scoring
from tests.support.s3 import S3
from tests.support.worker import Stream, Worker, until

SCORES = {"a": 0.25, "b": 0.75}
SOON_S = 20.0  # far less than workers wait without being told, and enough on a busy machine
TURNS = 6


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return registry_in(tmp_path / "registry")


def at(stream: Stream, registry: Registry) -> Stream:
    stream.environment["REGISTRY__URL"] = registry.place.shown
    return stream


async def deploy(stream: Stream, registry: Registry, change: Change) -> Deployment:
    """As `headrace models` does it."""
    done = registry.deploy(change, **WHO)
    await announce(stream.cluster, done)
    return done


async def in_force(deployment: Deployment, *workers: Worker) -> None:
    """Returns when the workers say that new ranges are decided by it."""
    await until(
        lambda: all(worker.metric("headrace_deployment") == deployment.number for worker in workers),
        SOON_S,
        lambda: "\n".join(worker.said[-2000:] for worker in workers),
    )


async def decided(stream: Stream) -> dict[str, list[dict[str, Any]]]:
    """Every different decision of each order, by its id, in the order they were made."""
    found = await stream.decisions()
    return {name: [orjson.loads(copy) for copy in dict.fromkeys(copies)] for name, copies in found.items()}


async def models(stream: Stream) -> dict[str, str | None]:
    """The model of each order's one decision."""
    found = await decided(stream)
    assert all(len(each) == 1 for each in found.values()), "an order has two different decisions"
    for (one,) in found.values():
        name = one["model"]["name"]
        assert name not in SCORES or one["score"] == SCORES[name], "its score is not its model's"
    return {order_id: one["model"]["name"] for order_id, (one,) in found.items()}


async def assert_every_configuration_is_found(stream: Stream) -> None:
    """Under the id that decisions have, from before the first of them on, and whoever reads it gets that id."""
    told: dict[str, tuple[int, Configured]] = {}
    for record in await stream.read("models"):
        document = msgspec.json.decode(record.value or b"", type=Announced)
        if isinstance(document, Configured):
            assert record.key == b"configuration:" + document.config.encode()
            told.setdefault(document.config, (record.timestamp, document))
    first: dict[str, int] = {}
    for record in await stream.read("decisions"):
        config = orjson.loads(record.value or b"")["config"]
        first[config] = min(first.get(config, record.timestamp), record.timestamp)
    assert first
    for config, at_ms in first.items():
        told_ms, document = told[config]
        assert told_ms <= at_ms
        registry = Registry.at(stream.environment["REGISTRY__URL"])
        load = Chooser(DEFINITIONS, "", of_folder(DEFINITIONS, None), registry, pinned=False).load
        content = msgspec.json.encode(document.content)
        assert from_content(content, shop_definitions(), load)[0].id == config


@contextlib.asynccontextmanager
async def traffic(stream: Stream) -> AsyncIterator[list[int]]:
    """Orders all the while; how many were sent."""
    sent, stopping = [0], asyncio.Event()

    async def feed() -> None:
        while not stopping.is_set():
            n = sent[0]
            await stream.send(*(order(f"n{k}", f"u{k % 20}", k * 250) for k in range(n, n + 40)))
            sent[0] += 40
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), 0.05)

    feeding = asyncio.create_task(feed())
    try:
        yield sent
    finally:
        stopping.set()
        await feeding


async def promotions_with_kills(stream: Stream, registry: Registry) -> tuple[int, list[Worker]]:
    """Two workers under traffic; the champion changes again and again, and a worker is killed each time."""
    refs = [put(registry, name, score) for name, score in SCORES.items()]
    await deploy(stream, registry, promoted(refs[0]))
    workers = [stream.worker(slot, RANGE_RECORDS="30") for slot in range(2)]
    await stream.working(*workers)
    async with traffic(stream) as sent:
        for turn in range(1, TURNS + 1):
            await until(lambda least=sent[0] + 200: sent[0] > least, 30.0)
            done = await deploy(stream, registry, promoted(refs[turn % 2]))
            if turn % 3:
                await in_force(done, *workers)
            slot = turn % 2
            workers[slot].kill()
            workers[slot] = stream.worker(slot, RANGE_RECORDS="30")
            await in_force(done, *workers)
    return sent[0], workers


async def test_promoted_under_traffic_with_kills_every_decision_is_the_old_models_or_the_new_ones(
    stream: Stream, registry: Registry
) -> None:
    count, _ = await promotions_with_kills(at(stream, registry), registry)
    report = await stream.settled(count)
    assert (report.decided, report.recovered) == (count, 0)
    assert set((await models(stream)).values()) == {"a", "b"}
    configs = {row["config"] for row in await stream.rows()}
    assert configs >= {one["config"] for (one,) in (await decided(stream)).values()}
    await assert_every_configuration_is_found(stream)


@pytest.mark.kafka
async def test_exactly_once_each_order_has_one_decision_through_promotions_and_kills(
    kafka_stream: Stream, registry: Registry
) -> None:
    stream = at(kafka_stream, registry)
    stream.environment["DELIVERY"] = "exactly-once"
    count, _ = await promotions_with_kills(stream, registry)
    report = await stream.settled(count)
    assert (report.decided, report.published, report.repeated, report.recovered) == (count, count, 0, 0)
    assert set((await models(stream)).values()) == {"a", "b"}
    assert len(confluent_committed(stream.brokers, "fraud", stream.partitions, count)) == count
    await assert_every_configuration_is_found(stream)


async def test_what_is_announced_is_used_at_once_and_what_is_not_announced_is_not(
    embedded_stream: Stream, registry: Registry
) -> None:
    """Workers look by themselves every half minute: that is longer than this test waits for either."""
    stream = at(embedded_stream, registry)
    worker = stream.worker()
    await stream.send(order("first"))
    await stream.settled(1)
    done = registry.deploy(promoted(put(registry, "a", 0.25)), **WHO)
    await stream.send(order("second", after_ms=1_000))
    await stream.settled(2)
    await announce(stream.cluster, done)
    await in_force(done, worker)
    await stream.send(order("third", after_ms=2_000))
    await stream.settled(3)
    assert await models(stream) == {"o-first": "shop-logistic", "o-second": "shop-logistic", "o-third": "a"}
    assert worker.metric("headrace_model_info", model="a", version="1") == 1


async def test_a_rollback_is_used_by_all_and_by_who_starts_after_it(stream: Stream, registry: Registry) -> None:
    at(stream, registry)
    refs = [put(registry, name, score) for name, score in SCORES.items()]
    for ref in refs:
        registry.deploy(promoted(ref), **WHO)
    workers = [stream.worker(slot) for slot in range(2)]
    await stream.working(*workers)
    await stream.send(*orders(50, name="before"))
    await stream.settled(50)
    await in_force(await deploy(stream, registry, rolled_back(registry.history())), *workers)
    await stream.send(*orders(50, name="after"))
    await stream.settled(100)
    for worker in workers:
        assert worker.terminate() == 0
    stream.worker(0)
    await stream.send(*orders(50, name="later"))
    await stream.settled(150)
    by = await models(stream)
    assert {model for name, model in by.items() if "before" in name} == {"b"}
    assert {model for name, model in by.items() if "before" not in name} == {"a"}
    await assert_every_configuration_is_found(stream)


async def test_a_champion_that_is_cut_off_leaves_the_rules_and_comes_back_when_it_is_restored(
    embedded_stream: Stream, registry: Registry
) -> None:
    stream = at(embedded_stream, registry)
    cut, other = put(registry, "a", 0.25), put(registry, "other", 0.75, feature_hash="0" * 16)
    whole = cut_off(registry, cut)
    registry.deploy(promoted(cut), **WHO)
    worker = stream.worker()
    await stream.send(*orders(20, name="cut"))
    await stream.settled(20)
    await in_force(await deploy(stream, registry, promoted(other)), worker)
    await stream.send(*orders(20, name="other"))
    report = await stream.settled(40)
    assert report.decided == 40
    assert set((await models(stream)).values()) == {None}
    assert {reason["code"] for (one,) in (await decided(stream)).values() for reason in one["reasons"]} == {NO_MODEL}
    assert (worker.metric("headrace_no_model"), worker.metric("headrace_models_refused")) == (1, 1)
    assert "was fitted for features" in worker.said
    registry.place.commit("a/1/model.json", whole)
    await in_force(await deploy(stream, registry, rolled_back(registry.history())), worker)
    await until(lambda: worker.metric("headrace_no_model") == 0, SOON_S)
    await stream.send(*orders(20, name="whole"))
    await stream.settled(60)
    assert {model for name, model in (await models(stream)).items() if "whole" in name} == {"a"}


async def test_a_range_whose_model_is_gone_for_good_is_decided_by_rules_and_says_recovered(
    stream: Stream, registry: Registry
) -> None:
    at(stream, registry)
    champion = put(registry, "a", 0.25)
    registry.deploy(promoted(champion), **WHO)
    await stream.send(*orders(2_000))
    left = await killed_over_work(stream, RANGE_RECORDS="50")
    assert left, "the kill met no open range"
    cut_off(registry, champion)
    worker = stream.worker(0)
    report = await stream.settled(2_000)
    assert report.decided == 2_000, "nothing is lost"
    assert worker.child.running
    made = [[(one["model"]["name"], one["recovered"]) for one in each] for each in (await decided(stream)).values()]
    by_rules, recovered, by_champion = (None, False), (None, True), ("a", False)
    assert {tuple(each) for each in made} <= {(by_champion,), (by_rules,), (recovered,), (by_champion, recovered)}
    again = [row for row in await stream.rows() if row["recovered"]]
    assert {(row["partition"], row["first"], row["last"]) for row in again} == {
        (partition, *bounds) for partition, bounds in left.items()
    }
    assert "a range is decided without what it was begun with" in worker.said


async def test_a_registry_that_is_away_leaves_in_force_what_is_and_who_starts_waits_for_it(
    embedded_stream: Stream, registry: Registry, tmp_path: Path
) -> None:
    stream = at(embedded_stream, registry)
    registry.deploy(promoted(put(registry, "a", 0.25)), **WHO)
    first = stream.worker(0)
    await stream.send(*orders(20, name="first"))
    await stream.settled(20)
    (tmp_path / "registry").rename(tmp_path / "elsewhere")
    await announce(stream.cluster, Deployment(2, None, (), {}, 0, "", ""))
    await until(lambda: first.metric("headrace_registry_errors_total") > 0, SOON_S, lambda: first.said)
    await stream.send(*orders(20, name="away"))
    await stream.settled(40)
    first.kill()
    second = stream.worker(0)
    await until(lambda: "waiting, before it can start" in second.said, SOON_S, lambda: second.said)
    (tmp_path / "elsewhere").rename(tmp_path / "registry")
    await stream.send(*orders(20, name="back"))
    report = await stream.settled(60)
    assert report.decided == 60
    assert set((await models(stream)).values()) == {"a"}


async def test_a_worker_that_died_between_keeping_a_configuration_and_telling_it_is_made_good(
    embedded_stream: Stream, registry: Registry
) -> None:
    """The store has it, topic `models` has not: whoever uses it tells it first."""
    stream = at(embedded_stream, registry)
    registry.deploy(promoted(put(registry, "a", 0.25)), **WHO)
    rules = rules_text(DEFINITIONS, None)
    chooser = Chooser(DEFINITIONS, rules, of_folder(DEFINITIONS, None), registry, pinned=False)
    own = chooser.choose(registry.deployed()).configuration
    async with open_store(stream.settings(), DEFINITIONS) as store:
        await store.prepare()
        await store.put_config(own.id, own.content)
    stream.worker()
    await stream.send(*orders(20))
    await stream.settled(20)
    assert {one["config"] for (one,) in (await decided(stream)).values()} == {own.id}
    await assert_every_configuration_is_found(stream)


async def test_challengers_are_heard_in_the_log_and_never_act(stream: Stream, registry: Registry) -> None:
    at(stream, registry)
    champion, blocking, cut = put(registry, "a", 0.25), put(registry, "b", 0.99), put(registry, "c", 0.5)
    cut_off(registry, cut)
    for change in (promoted(champion), activated(blocking), activated(cut)):
        registry.deploy(change, **WHO)
    worker = stream.worker()
    await stream.send(*orders(50))
    await stream.settled(50)
    logs = [orjson.loads(record.value or b"") for record in await stream.read("decisions")]
    assert {tuple(sorted(log["members"].items())) for log in logs} == {(("a", 0.25), ("challenger:b/1", 0.99))}
    assert {(log["score"], log["action"]) for log in logs} == {(0.25, "allow")}
    assert (worker.metric("headrace_challengers"), worker.metric("headrace_models_refused")) == (1, 1)
    assert worker.metric("headrace_no_model") == 0
    await assert_every_configuration_is_found(stream)


async def test_a_model_that_is_pinned_decides_whatever_is_promoted(
    embedded_stream: Stream, registry: Registry, tmp_path: Path
) -> None:
    stream = at(embedded_stream, registry)
    registry.deploy(promoted(put(registry, "a", 0.25)), **WHO)
    folder = artefact.save(tmp_path / "mine", scoring(0.125), name="mine", version="7", **ABOUT)
    worker = stream.worker(MODEL=str(folder))
    await stream.send(*orders(20, name="before"))
    await stream.settled(20)
    await in_force(await deploy(stream, registry, promoted(put(registry, "b", 0.75))), worker)
    await stream.send(*orders(20, name="after"))
    await stream.settled(40)
    assert set((await models(stream)).values()) == {"mine"}


async def test_a_pinned_model_of_megabytes_is_told_as_any_other(
    stream: Stream, registry: Registry, tmp_path: Path
) -> None:
    """Larger than what producers send together, and than most brokers take without being told."""
    at(stream, registry)
    large = Logistic(
        [Input("order_amount", 40.0, 0.0, 1e6 + n, 0.0) for n in range(40_000)], 0.0, DEFINITIONS.vector.names
    )
    folder = artefact.save(tmp_path, large, name="large", version="1", **ABOUT)
    assert 3_000_000 < (folder / "model.json").stat().st_size < 8_000_000
    stream.worker(MODEL=str(folder))
    await stream.send(*orders(20))
    await stream.settled(20)
    assert set((await models(stream)).values()) == {"large"}
    await assert_every_configuration_is_found(stream)


async def test_a_registry_that_hangs_holds_nobody_up(
    embedded_stream: Stream, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.credentials.items():
        monkeypatch.setenv(name, value)
    stream = embedded_stream
    stream.environment["REGISTRY__URL"] = url = s3.url.replace("/history", "/that-hangs")
    registry = Registry(place_of(url, "registry"))
    done = registry.deploy(promoted(put(registry, "a", 0.25)), **WHO)
    worker = stream.worker()
    await stream.send(*orders(20, name="first"))
    await stream.settled(20)
    s3.child.stop()
    try:
        await announce(stream.cluster, done)
        await stream.send(*orders(20, name="second"))
        await stream.settled(40)
        began = time.monotonic()
        assert worker.terminate() == 0
        assert time.monotonic() - began < ENDS_WITHIN_S
    finally:
        s3.child.cont()
    assert set((await models(stream)).values()) == {"a"}


async def test_the_command_promotes_and_rolls_back_on_a_bucket(
    embedded_stream: Stream, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.credentials.items():
        monkeypatch.setenv(name, value)
    stream = embedded_stream
    url = s3.url.replace("/history", "/of-a-worker")
    stream.environment["REGISTRY__URL"] = url
    registry = Registry(place_of(url, "registry"))
    for name, score in SCORES.items():
        put(registry, name, score)
    worker = stream.worker()
    await stream.send(*orders(20, name="first"))
    await stream.settled(20)
    for n, (words, said) in enumerate(
        [
            (("promote", "a"), "deployment 1; champion a/1 (was none, the shop's own model)"),
            (("promote", "b", "--why", "better"), "deployment 2; champion b/1 (was a/1)"),
            (("rollback",), "deployment 3; champion a/1 (was b/1)"),
        ],
        start=1,
    ):
        assert await stream.command("models", *words) == (0, f"{said}\n", "")
        await in_force(registry.deployed(), worker)
        await stream.send(*orders(20, name=f"turn-{n}-"))
        await stream.settled(20 + 20 * n)
    by = await models(stream)
    found = {name.split("-")[2]: model for name, model in by.items() if "turn" in name}
    assert found == {"1": "a", "2": "b", "3": "a"}
    assert isinstance(registry.deployed().champion, Ref)
