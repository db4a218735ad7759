"""One check over what the topics hold now, or an archive of them."""

from __future__ import annotations

from archive.errors import ArchiveError
from schemas.settings import Settings
from streams.parity.check import Asked, Check, Report
from streams.parity.oracle import Oracle
from streams.past.kafka import KafkaPast
from streams.past.reading import Past
from streams.space import definitions_of, limits_of, ttls_of
from streams.transport.link import Link
from streams.transport.log import LogReader
from streams.transport.profile import profile_of

PATIENCE_S = 10.0  # for ranges that were taken and have no row yet


def check_of(settings: Settings, past: Past, asked: Asked, oracle: Oracle | None) -> Check:
    """A check by the definitions of these settings."""
    definitions = definitions_of(settings)
    return Check(
        past,
        definitions,
        asked,
        lifetimes_ms=ttls_of(definitions),
        future_ms=limits_of(settings).future_ms,
        oracle=oracle,
    )


async def past_of(settings: Settings, reader: LogReader) -> KafkaPast:
    """The topics that these settings name; raises SinkDown where the broker does not answer."""
    profile = await profile_of(settings.kafka.profile, reader)
    return KafkaPast(reader, _inputs(settings), by_time=profile.name == "kafka")


async def once(settings: Settings, asked: Asked, oracle: Oracle | None = None) -> Report:
    """Reads everything up to now; raises SinkDown where the broker does not answer."""
    reader = LogReader(Link.of(settings.kafka))
    try:
        return await _checked(check_of(settings, await past_of(settings, reader), asked, oracle))
    finally:
        await reader.stop()


async def once_archived(settings: Settings, asked: Asked, oracle: Oracle | None, settled_s: float) -> Report:
    """Reads the archive; raises ArchiveError where none is named, or it lacks something."""
    from storage.places import place_of  # pyarrow: a second that who asks Kafka need not wait
    from streams.past.archived import ArchivePast

    if settings.archive.url is None:
        raise ArchiveError("no archive is named: set HEADRACE_ARCHIVE__URL to where `headrace archive` writes")
    past = ArchivePast(place_of(settings.archive.url), _inputs(settings), settled_s=settled_s)
    return await _checked(check_of(settings, past, asked, oracle))


async def _checked(check: Check) -> Report:
    await check.open()
    await check.look(PATIENCE_S)
    return check.end()


def _inputs(settings: Settings) -> list[str]:
    return [flow.topic for flow in definitions_of(settings).flows]
