"""The log: is it there, new enough, are its topics as the registry has them, may we use them, do clocks agree?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Final

from schemas.settings import Settings
from schemas.topics import FOREVER_MS, Topic, registry_of
from streams.doctor.finding import Broken, Check, Doubt
from streams.doctor.shop import Shop
from streams.protocol.ports import SinkDown
from streams.topology import outputs_of, topics_of
from streams.transport.aio import IncompatibleBrokerVersion
from streams.transport.checks import check, check_group, missing
from streams.transport.log import LogReader
from streams.transport.profile import EMBEDDED, Profile, profile_of

RETENTION, CLEANUP, LARGEST = "retention.ms", "cleanup.policy", "max.message.bytes"
AHEAD_MS: Final = 2_000  # a producer's clock may be so far ahead of ours without a word


class Broker:
    """Asks once what several checks look at. `reader` gives up after a moment."""

    def __init__(self, settings: Settings, shop: Shop, reader: LogReader) -> None:
        self._settings, self._shop, self._reader = settings, shop, reader

    def checks(self) -> list[tuple[str, Check]]:
        """What is looked at, in order."""
        return [("reached", self.reached), ("topics", self.topics), ("retention", self.retention),
                ("session and permissions", self.permitted), ("clocks", self.clocks)]  # fmt: skip

    @property
    def _inputs(self) -> list[str]:
        return [flow.topic for flow in self._shop.definitions.flows]

    @property
    def _wanted(self) -> Mapping[str, Topic]:
        return registry_of(self._inputs, outputs_of(self._shop.definitions))

    async def _profile(self) -> Profile:
        kafka = self._settings.kafka
        return (await profile_of(kafka.profile, self._reader)).with_(session_timeout_ms=kafka.session_timeout_ms)

    async def reached(self) -> str:
        """Whether one answers, that is new enough."""
        try:
            profile, cluster = await self._profile(), await self._reader.cluster()
        except IncompatibleBrokerVersion as error:
            raise Broken(f"the brokers at {self._settings.kafka.brokers} are too old: want Apache Kafka 2.8") from error
        except SinkDown as error:
            raise Broken(
                f"no broker answers at {self._settings.kafka.brokers}: start one with `headrace up`, or check "
                "HEADRACE_KAFKA__BROKERS and HEADRACE_KAFKA__SECURITY_PROTOCOL"
            ) from error
        if self._settings.delivery == "exactly-once" and not profile.transactions:
            raise Broken(f"the {profile.name} broker knows no transactions: set HEADRACE_DELIVERY=at-least-once")
        kind = "embedded broker" if profile.name == EMBEDDED.name else (await self._reader.release()).said
        return f"{self._settings.kafka.brokers}: {kind}, cluster {cluster}"

    async def topics(self) -> str:
        """Whether all are there, with partitions that fit each other."""
        wanted = self._wanted
        facts = await self._reader.topics(wanted)
        if lacking := sorted(wanted.keys() - facts.keys()):
            raise missing(lacking)
        counts = {name: facts[name].partitions for name in self._inputs}
        if len(set(counts.values())) > 1:
            told = ", ".join(f"{name} {count}" for name, count in counts.items())
            raise Doubt(
                f"inputs have different numbers of partitions ({told}), so a key's decisions are on another number "
                "than its orders: make them equal, docs/running.md says how"
            )
        return f"{len(facts)} topics, inputs of {next(iter(counts.values()))} partitions"

    async def retention(self) -> str:
        """Whether what is kept is kept as long as the registry says: state is rebuilt from it, decisions explained."""
        if (await self._profile()).name == EMBEDDED.name:
            return "the embedded broker keeps all, in memory, until it ends"
        wanted = self._wanted
        settings = await self._reader.topic_settings(wanted, (RETENTION, CLEANUP, LARGEST))
        if not settings:
            return "the broker does not say"
        if short := [told for name, topic in wanted.items() if (told := _shorter(topic, settings.get(name, {})))]:
            raise Doubt(f"{'; '.join(short)}: change them with kafka-configs.sh, or be content with less history")
        return f"at least what the registry says, of {len(settings)} topics"

    async def permitted(self) -> str:
        """Whether a worker could join, read and write."""
        inputs, outputs = self._inputs, topics_of(self._shop.definitions)
        read_back, group = {*inputs} & {*outputs_of(self._shop.definitions)}, self._settings.kafka.group
        profile = await self._profile()
        await check(self._reader, profile, inputs, outputs, read_back=read_back)
        if not await self._reader.coordinated(group):
            raise Doubt(f"no broker looks after group {group} yet: ask again in some seconds, a new cluster takes long")
        await check_group(self._reader, profile, group, "HEADRACE_KAFKA__GROUP")
        return f"a worker may join group {group}"

    async def clocks(self) -> str:
        """Whether the newest records come from our future: their events are counted too early, or refused."""
        newest = await asyncio.gather(*(self._ahead_ms(topic) for topic in self._inputs))
        ahead, topic = max(zip(newest, self._inputs, strict=True))
        if ahead > AHEAD_MS:
            raise Doubt(
                f"the newest record of {topic} is dated {ahead / 1000:,.0f} s ahead of this machine's clock: set the "
                "clocks of producers, brokers and this machine by NTP"
            )
        return "no record is dated ahead of this machine's clock"

    async def _ahead_ms(self, topic: str) -> int:
        """Of the newest record of its partitions; below 0 where there is none."""
        facts = await self._reader.topics([topic])
        count = facts[topic].partitions if topic in facts else 0
        dated = await asyncio.gather(*(self._newest_ms(topic, partition) for partition in range(count)))
        return max(dated, default=0) - time.time_ns() // 1_000_000

    async def _newest_ms(self, topic: str, partition: int) -> int:
        async for stretch in self._reader.backwards(topic, partition, step=1):
            if stretch:
                return stretch[-1].timestamp
        return 0


def _shorter(topic: Topic, has: Mapping[str, str]) -> str:
    """In which setting a topic falls short of the registry; nothing where in none."""
    kept = int(has.get(RETENTION, FOREVER_MS))
    if has.get(CLEANUP, topic.cleanup) != topic.cleanup:
        return f"{topic.name} has {CLEANUP}={has[CLEANUP]} (want {topic.cleanup})"
    if (
        topic.cleanup == "delete"
        and kept != FOREVER_MS
        and (topic.retention_ms == FOREVER_MS or kept < topic.retention_ms)
    ):
        return f"{topic.name} has {RETENTION}={kept} (want {topic.retention_ms})"
    if int(has.get(LARGEST, topic.max_message_bytes)) < topic.max_message_bytes:
        return f"{topic.name} has {LARGEST}={has[LARGEST]} (want {topic.max_message_bytes})"
    return ""
