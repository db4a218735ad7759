"""Does a topic keep old records long enough to be read?

A broker deletes by the records' own timestamps, and a replay dates its records by their events: a year replayed from
2018 into a topic that keeps 400 days would be gone within minutes of its arrival. So a replay looks first. The
embedded broker deletes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any

from aiokafka.admin.config_resource import (  # type: ignore[import-untyped]  # it ships no types
    ConfigResource,
    ConfigResourceType,
)
from aiokafka.errors import for_code  # type: ignore[import-untyped]

from schemas.timestamps import rfc3339
from streams.data.cluster import Cluster
from streams.data.dataset import DataError

RETENTION = "retention.ms"
OF_THE_TOPIC = 1  # DescribeConfigs' config source of what was set on the topic itself
DAY_MS = 86_400_000


async def check_retention(cluster: Cluster, topics: Collection[str], oldest_ms: int, *, lift: bool) -> None:
    """Makes sure that the topics keep a record of `oldest_ms`: raises DataError, or with `lift` has them keep all."""
    if await cluster.embedded():
        return
    async with cluster.admin() as admin:
        settings = {topic: await _settings(admin, topic) for topic in topics}
        age_ms = time.time() * 1000 - oldest_ms
        short = {topic: kept for topic, of in settings.items() if 0 <= (kept := _kept_ms(of)) < age_ms}
        if short and not lift:
            days = ", ".join(f"{topic} {kept / DAY_MS:g} days" for topic, kept in short.items())
            raise DataError(
                f"the data begins {rfc3339(oldest_ms)[:10]} and the broker would delete it again (kept: {days}): "
                f"pass --keep-forever, which sets {RETENTION}=-1 on these topics"
            )
        for topic in short:
            await _keep_forever(admin, topic, settings[topic])


def _kept_ms(settings: dict[str, tuple[str, int]]) -> int:
    return int(settings.get(RETENTION, ("-1", 0))[0])


async def _settings(admin: Any, topic: str) -> dict[str, tuple[str, int]]:
    """Name -> value and where it was set; empty where we may not ask."""
    (response,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    ((error, _, _, _, entries),) = response.resources
    return {} if error else {name: (value, source) for name, value, _, source, *_ in entries if value is not None}


async def _keep_forever(admin: Any, topic: str, settings: dict[str, tuple[str, int]]) -> None:
    """This request replaces all of a topic's own settings, so the others are sent along as they are."""
    own = {name: value for name, (value, source) in settings.items() if source == OF_THE_TOPIC}
    wanted = ConfigResource(ConfigResourceType.TOPIC, topic, configs={**own, RETENTION: "-1"})
    (response,) = await admin.alter_configs([wanted])
    ((error, message, *_),) = response.resources
    if error:
        raise DataError(
            f"{topic}: the broker does not let us set {RETENTION}: {for_code(error).__name__} {message or ''}"
        )
