"""Explaining decisions out of the archive: find them, make them again by what decided them then, say what differs.

The story: where the log has the decisions; what is kept of each; the configurations that they name, with the models of
the registry that these name; each decision once more; and, if asked, each vector out of a replay of the log.
The price: a replay reads the log from the longest window before the oldest of the decisions on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt

from features.definitions import Definitions
from features.replay import Rebuilt
from models.documents import ArtefactError
from models.registry import Registry
from models.rules import RulesError
from schemas.decisions import DecisionLog
from schemas.deployments import Content
from streams.configuration import BadConfigurationError, Configuration, bound_to, of_content
from streams.explain.again import Again, again
from streams.explain.kept import Archived, Kept, Spot
from streams.past.reading import Past
from streams.past.vectors import Exact, rebuilt

NO_CONTENT: Final = "configuration {} is not in the archive: is topic `models` archived, and from the start?"

Order = tuple[str, int, int]  # topic, partition, offset
Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Explained:
    """One decision. `why_not`: it could not be made again."""

    kept: Kept
    configuration: Configuration | None
    again: Again | None
    why_not: str = ""


def explained(
    archived: Archived, spots: Sequence[Spot], definitions: Definitions, registry: Registry | None
) -> Iterator[Explained]:
    """The decisions at these places of topic `decisions`."""
    every = list(archived.read(spots))
    contents = archived.configurations({one.logged.config for one in every})
    flows = {flow.topic: flow for flow in definitions.flows}
    ready: dict[str, Configuration | str] = {}
    for one in every:
        config = one.logged.config
        if config not in ready:
            ready[config] = _ready(config, contents.get(config), one.names, definitions, registry)
        found = ready[config]
        if isinstance(found, str):
            yield Explained(one, None, None, found)
        else:
            yield Explained(one, found, again(one, found, flows[one.logged.topic]))


def _ready(
    config: str,
    content: Content | None,
    names: tuple[str, ...],
    definitions: Definitions,
    registry: Registry | None,
) -> Configuration | str:
    """The configuration, made ready to decide; or why it cannot be."""
    if content is None:
        return NO_CONTENT.format(config)
    bound = bound_to(definitions)._replace(names=names, hash=content.features, words=content.words)
    load = None if registry is None else partial(registry.of, names=names, feature_hash=content.features)
    try:
        configuration, lacking = of_content(content, bound, load)
    except (BadConfigurationError, ArtefactError, RulesError) as error:
        return f"configuration {config}: {error}"
    return f"configuration {config}: {'; '.join(lacking)}" if lacking else configuration


async def replayed(
    past: Past,
    logs: Sequence[DecisionLog],
    definitions: Definitions,
    *,
    lifetimes_ms: Mapping[str, int],
    future_ms: int,
) -> dict[Order, Vector | None]:
    """Each order's vector out of a replay, (d,), of those that were decided with these features.

    None where it cannot be what a worker had.
    """
    vectors = dict[Order, Vector | None]()
    ours = [log for log in logs if log.feature_hash == definitions.vector.hash]
    for topic in sorted({log.topic for log in ours}):
        wanted = [log for log in ours if log.topic == topic]
        upto = {log.partition: log.offset for log in sorted(wanted, key=lambda log: log.offset)}
        from_ms = min(log.at_ms for log in wanted)
        found = rebuilt(past, definitions, topic, upto, from_ms=from_ms, lifetimes_ms=lifetimes_ms, future_ms=future_ms)
        vectors |= await _vectors_of({order_of(log) for log in wanted}, found)
    return vectors


def order_of(log: DecisionLog) -> Order:
    """The record of the order."""
    return log.topic, log.partition, log.offset


async def _vectors_of(
    wanted: Collection[Order], found: AsyncIterator[tuple[Rebuilt, Exact]]
) -> dict[Order, Vector | None]:
    vectors = dict[Order, Vector | None]()
    async for one, exact in found:
        partition = one.range.tag.applied.partition
        for row, offset in enumerate(one.range.tag.offset.tolist()):
            order = (one.range.topic, partition, offset)
            if order in wanted:
                vectors[order] = one.rows[row] if exact[row] else None
    return vectors
