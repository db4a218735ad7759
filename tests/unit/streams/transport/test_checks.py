"""Checks at start: what is wrong is said before a worker joins and stands idle."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from streams.protocol.ports import Stop
from streams.transport import checks
from streams.transport.checks import check
from streams.transport.log import UNKNOWN, Operation, TopicFacts
from streams.transport.profile import EMBEDDED, KAFKA, Profile

INPUTS = ["orders", "cart"]
THERE = {"orders": 4, "cart": 4, "applied": 8, "fraud": 4}


class Log:
    def __init__(
        self, topics: dict[str, int], settings: dict[str, str] | None = None, permitted: dict[str, int] | None = None
    ) -> None:
        self._topics = topics
        self._settings = settings or {}
        self._permitted = permitted or {}

    async def topics(self, names: Iterable[str]) -> dict[str, TopicFacts]:
        return {
            name: TopicFacts("id", self._topics[name], self._permitted.get(name, UNKNOWN))
            for name in names
            if name in self._topics
        }

    async def joinable(self, group: str) -> bool:
        return group == "ours"

    async def broker_settings(self, names: Iterable[str]) -> dict[str, str]:
        return {name: self._settings[name] for name in names if name in self._settings}


async def checked(log: Log, profile: Profile = KAFKA) -> None:
    untyped: Any = log
    await check(untyped, profile, INPUTS, ["applied", "fraud"])


async def test_all_there_is_no_complaint() -> None:
    await checked(Log(THERE, {"group.min.session.timeout.ms": "6000"}))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "APPEAR_S", 0.0)


async def test_a_topic_that_appears_a_moment_later_is_there() -> None:
    log = Log({})

    async def appear() -> None:
        log._topics |= THERE

    appearing = asyncio.create_task(appear())
    await checked(log, EMBEDDED)
    await appearing


async def test_missing_topics_are_named_with_the_remedy() -> None:
    with pytest.raises(Stop, match=r"cart, fraud.*headrace topics create"):
        await checked(Log({"orders": 4, "applied": 8}))


async def test_applied_needs_a_partition_for_each_of_the_inputs() -> None:
    with pytest.raises(Stop, match=r"applied has 4 partitions.*need 8"):
        await checked(Log(THERE | {"applied": 4}))


async def test_a_session_that_the_broker_does_not_allow_is_named_with_its_setting() -> None:
    with pytest.raises(Stop, match=r"2000 ms: the broker allows 6000.*HEADRACE_KAFKA__SESSION_TIMEOUT_MS"):
        await checked(Log(THERE, {"group.min.session.timeout.ms": "6000"}), KAFKA.with_(session_timeout_ms=2_000))


async def test_a_broker_that_may_not_be_asked_for_its_settings_is_believed() -> None:
    await checked(Log(THERE), EMBEDDED)
    await checked(Log(THERE), KAFKA)


READ, WRITE = 1 << Operation.READ, 1 << Operation.WRITE


@pytest.mark.parametrize(
    ("permitted", "named"),
    [
        ({"orders": WRITE}, "read topic orders"),
        ({"fraud": READ}, "write topic fraud"),
        ({"applied": WRITE}, "read topic applied"),
        ({"orders": 0, "cart": 0}, "read topic cart, orders"),
    ],
)
async def test_a_topic_that_may_not_be_used_is_named_with_what_is_missing(
    permitted: dict[str, int], named: str
) -> None:
    with pytest.raises(Stop, match=rf"\({named}\).*HEADRACE_KAFKA__USERNAME"):
        await checked(Log(THERE, permitted=permitted))


async def test_what_is_permitted_is_enough() -> None:
    await checked(Log(THERE, permitted={"orders": READ, "cart": READ, "applied": READ | WRITE, "fraud": WRITE}))


async def test_a_group_that_may_not_be_joined_is_named() -> None:
    untyped: Any = Log(THERE)
    await check(untyped, KAFKA, INPUTS, ["fraud"], "ours")
    with pytest.raises(Stop, match="read group theirs, HEADRACE_KAFKA__GROUP"):
        await check(untyped, KAFKA, INPUTS, ["fraud"], "theirs")
