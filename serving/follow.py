"""Feeds what is in memory: the newest records of the outputs first, then each as it comes.

A reader in no group: nobody's offsets move. When brokers go away it begins anew where it stood, and a record that it
sees twice is kept once. The price: the newest records of each partition are read at every start.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from serving.recent import Recent
from streams.protocol.ports import SinkDown
from streams.transport.aio import KafkaError
from streams.transport.log import LogReader

log = logging.getLogger("headrace")

TOPICS: Final = ("fraud", "decisions", "anomalies")
POLL_S: Final = 0.2  # a page shows it once a second, and each look asks for a dozen partitions
AGAIN_S: Final = 1.0


async def follow(reader: LogReader, recent: Recent, backlog: int) -> None:
    """Never returns. `backlog`: records of each topic that are read from before the end."""
    places = dict[tuple[str, int], int]()
    while True:
        try:
            facts = await reader.topics(TOPICS)
            for topic, fact in facts.items():
                for partition in range(fact.partitions):
                    if (topic, partition) not in places:
                        start, end = await reader.bounds(topic, partition)
                        places[topic, partition] = max(start, end - backlog // fact.partitions)
            while True:
                if not await _round(reader, recent, places):
                    await asyncio.sleep(POLL_S)
        except (SinkDown, KafkaError) as error:
            log.warning("the outputs cannot be read", extra={"reason": str(error)})
            if isinstance(error, KafkaError):  # made anew, or cut: from near its end again
                places.clear()
            await asyncio.sleep(AGAIN_S)


async def _round(reader: LogReader, recent: Recent, places: dict[tuple[str, int], int]) -> bool:
    """One fetch of every partition; whether any had records."""
    asked = list(places)
    chunks = await asyncio.gather(
        *(reader.fetch(topic, partition, places[topic, partition]) for topic, partition in asked)
    )
    for (topic, partition), chunk in zip(asked, chunks, strict=True):
        places[topic, partition] = max(chunk.position, places[topic, partition])
        for record in chunk.records:
            recent.take(topic, record)
    return any(chunk.records for chunk in chunks)
