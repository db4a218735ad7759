"""Explaining decisions out of the archive: find them, make them again by what decided them then, say what differs.

The story: where the log has the decisions; what is kept of each; the configurations that they name, with the models of
the registry that these name; each decision once more; and, if asked, each vector out of a replay of the log.
The price: a replay reads the log from the longest window before the oldest of the decisions on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
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
from schemas.deployments import Content
from streams.configuration import BadConfigurationError, Configuration, bound_to, of_content
from streams.explain.again import Again, again
from streams.explain.kept import Archived, Kept, Spot
from streams.past.vectors import Exact

NO_CONTENT: Final = "configuration {} is not in the archive: is topic `models` archived, and from the start?"

Order = tuple[str, int, int]  # topic, partition, offset


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


async def vectors_of(
    orders: Sequence[Order], found: AsyncIterator[tuple[Rebuilt, Exact]]
) -> dict[Order, npt.NDArray[np.float64] | None]:
    """(d,) each order's vector out of a replay; None where it cannot be what a worker had."""
    wanted, vectors = set(orders), dict[Order, npt.NDArray[np.float64] | None]()
    async for one, exact in found:
        applied, offsets = one.range.tag.applied, one.range.tag.offset.tolist()
        for row, offset in enumerate(offsets):
            order = (one.range.topic, applied.partition, offset)
            if order in wanted:
                vectors[order] = one.rows[row] if exact[row] else None
    return vectors
