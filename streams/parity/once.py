"""One check over what the topics hold now."""

from __future__ import annotations

from schemas.settings import Settings
from streams.parity.check import Asked, Check, Report
from streams.parity.oracle import Oracle
from streams.past.kafka import KafkaPast
from streams.space import definitions_of, limits_of, ttls_of
from streams.transport.link import Link
from streams.transport.log import LogReader
from streams.transport.profile import profile_of

PATIENCE_S = 10.0  # for ranges that were taken and have no row yet


async def check_of(settings: Settings, reader: LogReader, asked: Asked, oracle: Oracle | None) -> Check:
    """A check of what these settings name."""
    definitions = definitions_of(settings)
    profile = await profile_of(settings.kafka.profile, reader)
    past = KafkaPast(reader, [flow.topic for flow in definitions.flows], by_time=profile.name == "kafka")
    return Check(
        past,
        definitions,
        asked,
        lifetimes_ms=ttls_of(definitions),
        future_ms=limits_of(settings).future_ms,
        oracle=oracle,
    )


async def once(settings: Settings, asked: Asked, oracle: Oracle | None = None) -> Report:
    """Reads everything up to now; raises SinkDown where the broker does not answer."""
    reader = LogReader(Link.of(settings.kafka))
    try:
        check = await check_of(settings, reader, asked, oracle)
        await check.open()
        await check.look(PATIENCE_S)
        return check.end()
    finally:
        await reader.stop()
