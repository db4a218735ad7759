"""One archive process, from its settings to its exit code: the parts are made, joined, started and stopped."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack

from archive.errors import ArchiveError
from schemas.settings import Settings
from schemas.topics import registry_of
from storage.errors import StorageDown, StorageError
from storage.places import Place, place_of
from streams.archive.archiver import Archiver, Bounds
from streams.archive.buffer import Limits
from streams.archive.files import Files
from streams.archive.metrics import ArchiveMetrics
from streams.archive.part import Means
from streams.archive.watch import MB, Upkeep, watch_topics
from streams.collectors import process_registry
from streams.foreground import exit_code, member, told_to_end, until_first
from streams.logs import configure
from streams.scrape import serve_metrics
from streams.space import definitions_of
from streams.topology import outputs_of
from streams.transport.aio import AIOKafkaConsumer
from streams.transport.checks import all_there, check_group, check_permitted
from streams.transport.link import Link
from streams.transport.log import LogReader, Operation
from streams.transport.profile import Profile, profile_of

log = logging.getLogger("headrace")

THREADS = 4
FETCH_WAIT_MS = 100  # nobody waits for the archive


def run_archive(settings: Settings, *, skip_lost: bool = False) -> int:
    """Runs one archive process until it is told to stop; returns the exit code."""
    configure("archive", settings.log_format)
    return exit_code(
        "archive",
        lambda: asyncio.run(_run(settings, skip_lost)),
        stops=(ArchiveError, StorageError),
        downs=(StorageDown,),
    )


def archive_of(settings: Settings) -> Place:
    """The place that the settings name; raises ArchiveError where they name none, StorageError for no place at all."""
    if settings.archive.url is None:
        raise ArchiveError(
            "no place is named for the archive: set HEADRACE_ARCHIVE__URL to a folder, or to s3://bucket/prefix"
        )
    return place_of(settings.archive.url)


def topics_of(settings: Settings) -> list[str]:
    """What is archived, by the registry of the shop or of the definitions file that the settings name."""
    definitions = definitions_of(settings)
    inputs = [flow.topic for flow in definitions.flows]
    return [topic.name for topic in registry_of(inputs, outputs_of(definitions)).values() if topic.archived]


async def _run(settings: Settings, skip_lost: bool) -> None:
    stopping, place = told_to_end(), archive_of(settings)
    async with AsyncExitStack() as stack:
        await asyncio.to_thread(place.check)
        metrics = ArchiveMetrics(process_registry())
        reader = LogReader(Link.of(settings.kafka), client_id="headrace-archive-reader")
        stack.push_async_callback(reader.stop)
        profile = (await profile_of(settings.kafka.profile, reader)).with_(
            session_timeout_ms=settings.kafka.session_timeout_ms
        )
        topics = topics_of(settings)
        await _check(reader, profile, settings, topics)
        facts = await reader.topics(topics)
        pool = ThreadPoolExecutor(THREADS, thread_name_prefix="archive")
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        files = Files(place, pool, metrics, _vector(settings))
        serve_metrics(settings.metrics, metrics.registry, stack)
        consumer = _consumer(settings, profile)
        limits = Limits(settings.archive.file_mb * MB, settings.archive.file_s)
        archiver: Archiver
        means = Means(files, reader, limits, skip_lost, lambda tp, offset: archiver.committed(tp, offset))
        bounds = Bounds(settings.archive.held_mb * MB, profile.session_timeout_ms / 1000)
        archiver = Archiver(consumer, facts, means, bounds, metrics)
        await consumer.start()
        stack.push_async_callback(consumer.stop)
        keep = Upkeep(
            files,
            lambda: {(tp.topic, tp.partition) for tp in list(archiver.parts)},
            settings.archive.compact_mb * MB,
            settings.archive.keep_days,
        )
        log.info("the archive starts", extra={"at": place.shown, "profile": profile.name, "topics": ",".join(topics)})
        await until_first(
            archiver.run(stopping),
            watch_topics(reader, facts, place.shown),
            archiver.watch_lag(),
            keep.watch(settings.archive.upkeep_s),
        )


async def _check(reader: LogReader, profile: Profile, settings: Settings, topics: Sequence[str]) -> None:
    """Raises Stop for what would leave the process alive and idle."""
    check_permitted(await all_there(reader, set(topics)), topics, Operation.READ)
    await check_group(reader, profile, settings.archive.group, "HEADRACE_ARCHIVE__GROUP")


def _vector(settings: Settings) -> dict[str, tuple[str, ...]]:
    vector = definitions_of(settings).vector
    return {vector.hash: vector.names}


def _consumer(settings: Settings, profile: Profile) -> AIOKafkaConsumer:
    return member(
        settings,
        profile,
        settings.archive.group,
        "headrace-archive",
        isolation_level="read_committed" if profile.transactions else "read_uncommitted",
        fetch_max_wait_ms=min(FETCH_WAIT_MS, 20) if profile.name == "embedded" else FETCH_WAIT_MS,
        max_partition_fetch_bytes=settings.kafka.fetch_partition_bytes,
    )
