"""`headrace doctor`: on a stream that is well nothing fails, and each thing that is broken is told with its remedy."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from models.deployments import promoted
from schemas.settings import Settings, load
from streams.chaos import kafka
from streams.data.cluster import Cluster
from streams.data.topics import create_topics
from streams.doctor.examine import examine
from streams.doctor.finding import Finding
from streams.embedded.processes import Children
from streams.stores import exits, prepare
from streams.stores.nodes import Access, Nodes
from tests.e2e.conftest import stream_on
from tests.support.events import order
from tests.support.kafka import start_kafka
from tests.support.models import WHO, cut_off, put, registry_in
from tests.support.worker import Stream, until

NOTHING = "127.0.0.1:1"


@pytest.fixture(scope="module")
def standing(request: pytest.FixtureRequest) -> Iterator[Stream]:
    """A stream that no test of this module changes for good."""
    with Children() as own:
        yield stream_on("embedded", own, request)


def settings_of(stream: Stream, **more: str) -> Settings:
    """What a process with this environment is told."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in stream.env(**more).items():
            environment.setenv(name, value)
        return load()


async def found(stream: Stream, area: str, check: str, **more: str) -> Finding:
    """One finding of all."""
    every = await examine(settings_of(stream, **more))
    (one,) = [one for one in every if (one.area, one.check) == (area, check)]
    return one


async def test_a_stream_that_is_well_has_no_failure_and_a_command_says_so(standing: Stream) -> None:
    code, output, errors = await standing.command("doctor", "--json")
    told = json.loads(output)
    assert (code, told["holds"]) == (0, True), errors
    assert {one["area"] for one in told["findings"]} == {"host", "broker", "store", "archive", "registry", "shop"}
    assert all(one["remedy"] for one in told["findings"] if one["state"] != "ok")
    code, output, _ = await standing.command("doctor")
    assert (code, "0 of " in output, "FAILS" in output) == (0, True, False)


@pytest.mark.parametrize(
    ("area", "check", "setting", "value", "remedy"),
    [
        ("broker", "reached", "KAFKA__BROKERS", NOTHING, "HEADRACE_KAFKA__BROKERS"),
        ("broker", "reached", "DELIVERY", "exactly-once", "HEADRACE_DELIVERY=at-least-once"),
        ("store", "reached", "REDIS__URL", f"redis://{NOTHING}/0", "HEADRACE_REDIS__URL"),
    ],
)
async def test_what_is_not_there_is_told_by_its_setting(
    standing: Stream, area: str, check: str, setting: str, value: str, remedy: str
) -> None:
    one = await found(standing, area, check, **{setting: value})
    assert one.state == "fails"
    assert remedy in one.remedy


async def test_a_command_with_something_broken_ends_with_1(standing: Stream) -> None:
    code, output, _ = await standing.command("doctor", KAFKA__BROKERS=NOTHING)
    assert (code, "FAILS  broker reached" in output, "-> start one with `headrace up`" in output) == (1, True, True)


async def test_topics_that_are_missing_are_named(embedded_stream: Stream) -> None:
    async with Cluster(settings_of(embedded_stream).kafka).admin() as admin:
        await admin.delete_topics(["cart"])
    one = await found(embedded_stream, "broker", "topics")
    assert (one.state, one.said, one.remedy) == (
        "fails",
        "topics cart are not there",
        "run `headrace topics create`",
    )


async def test_records_from_the_future_are_doubtful(embedded_stream: Stream) -> None:
    ahead_ms = 3_600_000
    await embedded_stream.send(order("e1")._replace(timestamp_ms=_now_ms() + ahead_ms))
    one = await found(embedded_stream, "broker", "clocks")
    assert (one.state, "NTP" in one.remedy) == ("doubt", True)
    assert "newest record of orders is dated 3,600 s ahead" in one.said or "3,599 s" in one.said


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.mark.parametrize(
    ("setting", "value", "check", "state", "remedy"),
    [
        ("maxmemory-policy", "allkeys-lru", "reached", "fails", "set it to noeviction"),
        ("appendonly", "no", "persistence", "doubt", "set appendonly yes"),
        ("maxmemory", "tight", "memory", "fails", "raise maxmemory"),
        ("maxmemory", "0", "memory", "doubt", "set maxmemory below"),
    ],
)
async def test_a_store_that_would_lose_state_is_told_what_to_set(
    embedded_stream: Stream, setting: str, value: str, check: str, state: str, remedy: str
) -> None:
    with redis.Redis(port=embedded_stream.store.port) as server:
        used = int(server.info("memory")["used_memory"])
        server.config_set(setting, str(used + 1000) if value == "tight" else value)
    one = await found(embedded_stream, "store", check)
    assert one.state == state
    assert remedy in one.remedy


@pytest.mark.parametrize(("hours", "state"), [(1, "doubt"), (30, "ok")])
async def test_a_worker_that_its_watchdog_ended_today_is_told(embedded_stream: Stream, hours: int, state: str) -> None:
    at_ms = _now_ms() - hours * 3_600_000
    nodes = Nodes(Access(embedded_stream.store.url), 1)
    await exits.add(nodes.trip, at_ms, "worker-1", "orders/3 has not moved for 17 s")
    await nodes.close()
    one = await found(embedded_stream, "store", "watchdog")
    assert (one.state, one.said.partition(" (")[0]) == (state, f"it has ended 1 ever, worker-1 {hours}.0 hours ago")
    assert ("orders/3" in one.said, "HeadraceWatchdogExits" in one.remedy) == ((state == "doubt"),) * 2


@pytest.mark.parametrize(
    ("users", "maxmemory", "state", "said", "remedy"),
    [
        ("", "64mb", "ok", "no shop is planned (HEADRACE_PLAN__USERS)", ""),
        ("1000", "1gb", "ok", "of 1,000 users with 100 orders a day", ""),
        ("100000", "64mb", "doubt", "64 MB are all it may take", "raise maxmemory to 1,"),
        ("2", "1gb", "doubt", "and 40 MB are used", "HEADRACE_PLAN__USERS"),
    ],
)
async def test_the_stores_memory_is_held_against_the_shop_that_is_planned(
    embedded_stream: Stream, users: str, maxmemory: str, state: str, said: str, remedy: str
) -> None:
    with redis.Redis(port=embedded_stream.store.port) as server:
        server.config_set("maxmemory", maxmemory)
        if "used" in said:
            server.set("somebody's", b"x" * (40 * 2**20 - int(server.info("memory")["used_memory"])))
    one = await found(embedded_stream, "store", "budget", **({"PLAN__USERS": users} if users else {}))
    assert (one.state, said in one.said, remedy in one.remedy) == (state, True, True), one


async def test_functions_of_a_newer_worker_are_told(embedded_stream: Stream) -> None:
    revision, source = prepare.library()
    newer = source.replace(f"local REVISION = {revision}", f"local REVISION = {revision + 1}")
    with redis.Redis(port=embedded_stream.store.port) as server:
        server.function_load(newer, replace=True)
    one = await found(embedded_stream, "store", "functions")
    assert (one.state, one.remedy) == ("doubt", "a newer worker has run here, upgrade this one")


async def test_a_state_of_other_settings_is_told_by_name(embedded_stream: Stream) -> None:
    worker = embedded_stream.worker()
    await embedded_stream.working(worker)
    assert worker.terminate() == 0
    assert (await found(embedded_stream, "store", "state space")).state == "ok"
    one = await found(embedded_stream, "store", "state space", BASE_CURRENCY="USD")
    assert one.state == "fails"
    assert "HEADRACE_BASE_CURRENCY" in one.said + one.remedy


async def test_a_place_that_is_no_folder_is_told_by_its_setting(standing: Stream, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    for area, setting in (("archive", "ARCHIVE__URL"), ("registry", "REGISTRY__URL")):
        one = await found(standing, area, "files", **{setting: str(tmp_path / "file")})
        assert (one.state, f"HEADRACE_{setting}" in one.remedy) == ("fails", True), one


async def test_a_schema_registry_that_is_away_or_none_is_told_by_its_setting(standing: Stream) -> None:
    for url in ("http://127.0.0.1:1", f"http://{standing.brokers}"):
        one = await found(standing, "schemas", "answers", SCHEMA_REGISTRY__URL=url)
        assert (one.state, "HEADRACE_SCHEMA_REGISTRY__URL" in one.remedy) == ("fails", True), one


async def test_a_look_at_the_archive_leaves_nothing_there(standing: Stream, tmp_path: Path) -> None:
    assert (await found(standing, "archive", "files", ARCHIVE__URL=str(tmp_path / "new"))).state == "ok"
    assert not [path for path in (tmp_path / "new").rglob("*") if path.is_file()]


async def test_a_champion_that_is_cut_off_is_told_what_to_do(standing: Stream, tmp_path: Path) -> None:
    registry = registry_in(tmp_path / "registry")
    ref = put(registry, "shop", 0.4)
    registry.deploy(promoted(ref), **WHO)
    at = {"REGISTRY__URL": str(tmp_path / "registry")}
    well = await found(standing, "shop", "model", **at)
    assert (well.state, well.said) == ("ok", "shop/1, deployment 1")
    cut_off(registry, ref)
    one = await found(standing, "shop", "model", **at)
    assert (one.state, "headrace models rollback" in one.remedy) == ("fails", True)


async def test_rules_that_cannot_be_used_are_told(standing: Stream, tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text('[[rule]]\nname = "x"\ncode = "X"\ntext = "x"\nwhen = "no_such_feature > 1"\naction = "review"\n')
    one = await found(standing, "shop", "rules", RULES=str(rules))
    assert (one.state, "no_such_feature" in one.said + one.remedy) == ("fails", True)


async def test_definitions_that_cannot_be_used_leave_the_rest_unasked(standing: Stream, tmp_path: Path) -> None:
    broken = tmp_path / "features.py"
    broken.write_text("definitions = 3\n")
    every = await examine(settings_of(standing, FEATURES=str(broken)))
    assert {(one.area, one.state) for one in every if one.area != "host"} == {("shop", "fails"), ("shop", "skipped")}


async def test_a_doctor_is_quick_where_nothing_answers(standing: Stream) -> None:
    """Each check has its patience; areas are looked at side by side."""
    async with asyncio.timeout(20):
        every = await examine(settings_of(standing, KAFKA__BROKERS=NOTHING, REDIS__URL=f"redis://{NOTHING}/0"))
    assert sum(one.state == "fails" for one in every) == 2


@pytest.mark.kafka
async def test_the_brokers_release_is_told(kafka_stream: Stream) -> None:
    release = re.findall(r"<version>(\d+\.\d+)\.", kafka.POM.read_text())[0]  # the pom's own has no dots
    one = await found(kafka_stream, "broker", "reached")
    assert (one.state, f"Apache Kafka {release} (metadata.version {release}-IV" in one.said) == ("ok", True), one


@pytest.mark.kafka
async def test_topics_that_forget_too_soon_are_doubtful(kafka_stream: Stream) -> None:
    assert (await found(kafka_stream, "broker", "retention")).state == "ok"
    from aiokafka.admin.config_resource import (  # type: ignore[import-untyped]  # it has no types
        ConfigResource,
        ConfigResourceType,
    )

    async with Cluster(settings_of(kafka_stream).kafka).admin() as admin:
        short = ConfigResource(ConfigResourceType.TOPIC, "applied", {"retention.ms": "60000"})
        await admin.alter_configs([short])
    one = await found(kafka_stream, "broker", "retention")
    assert (one.state, "applied has retention.ms=60000" in one.said, "kafka-configs.sh" in one.remedy) == (
        "doubt",
        True,
        True,
    )


@pytest.mark.kafka
async def test_a_session_that_the_broker_does_not_allow_is_told(kafka_stream: Stream) -> None:
    one = await found(kafka_stream, "broker", "session and permissions", KAFKA__SESSION_TIMEOUT_MS="500")
    assert (one.state, "HEADRACE_KAFKA__SESSION_TIMEOUT_MS" in one.said + one.remedy) == ("fails", True)


@pytest.mark.kafka
async def test_a_cluster_that_never_had_a_group_is_not_said_to_be_away(standing: Stream, children: Children) -> None:
    new = start_kafka(children)
    where = {"KAFKA__BROKERS": new.address}
    await create_topics(settings_of(standing, **where))
    one = await found(standing, "broker", "session and permissions", **where)
    assert (one.state, "yet" in one.said, "ask again" in one.remedy) == ("doubt", True, True), one

    async def answered() -> bool:
        return (await found(standing, "broker", "session and permissions", **where)).state == "ok"

    await until(answered, 60.0)
