"""More features for groups that are there: what a shop adds to ours without writing all of them down again.

The new columns come last in the vector, so that those before stay where they were. The hash is another, as for any
other vector: a model that was fitted without them does not fit, and is fitted anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from features.columns import Columns, Floats, Floats2d
from features.definitions import Definitions, DefinitionsError
from features.feature import Feature, Max, Mean, Sum
from features.group import Group
from features.sequence import RecentAmount
from features.vector import Fill, Vector
from features.words import in_words

MONEY_READS = Sum | Mean | Max | RecentAmount
"""Reads whose values are money: a fold gives them in minor units."""


def with_features(
    definitions: Definitions,
    more: Mapping[str, Sequence[Feature]],
    scale: float,
    nouns: Mapping[str, str],
    kinds: Mapping[int, str],
) -> Definitions:
    """`more`: by group. `scale`: minor units in one of the base currency, in which the vector speaks; `nouns` and
    `kinds` as for `in_words`. Raises DefinitionsError for a group that the vector of scored events does not read.
    """
    read = {group.name: group for group in definitions.vector.groups}
    for name in more:
        if name not in read:
            raise DefinitionsError(f"more features for group {name!r}: the vector reads {', '.join(sorted(read))}")
    wider = {name: replace(read[name], features=(*read[name].features, *added)) for name, added in more.items()}

    def of(groups: tuple[Group, ...]) -> tuple[Group, ...]:
        return tuple(wider.get(group.name, group) for group in groups)

    vector, session = definitions.vector, definitions.session
    before = {name: len(read[name].columns) for name in more}
    return replace(
        definitions,
        flows=tuple(replace(flow, groups=of(flow.groups)) for flow in definitions.flows),
        vector=Vector(
            (*vector.names, *(name for group, at in before.items() for name in wider[group].columns[at:])),
            of(vector.groups),
            partial(
                _wider,
                vector.fill,
                before,
                {name: np.array([scales_of(added, scale)]).T for name, added in more.items()},
            ),
            vector.revision,
            {**in_words(tuple(wider.values()), nouns, kinds=kinds), **vector.words},
        ),
        session=session and replace(session, groups=of(session.groups), fill=partial(_narrow, session.fill, before)),
    )


def scales_of(features: Iterable[Feature], scale: float) -> list[float]:
    """What each column is divided by, so that money is in units of the base currency."""
    return [scale if isinstance(feature.read, MONEY_READS) else 1.0 for feature in features]


def _narrow(
    fill: Fill, before: Mapping[str, int], columns: Columns, folded: Mapping[str, Floats2d]
) -> list[Floats] | Floats2d:
    """What `fill` gives of the columns that it knows."""
    return fill(columns, {name: found[:, : before.get(name, found.shape[1])] for name, found in folded.items()})


def _wider(
    fill: Fill,
    before: Mapping[str, int],
    scales: Mapping[str, Floats2d],
    columns: Columns,
    folded: Mapping[str, Floats2d],
) -> Floats2d:
    known = np.asarray(_narrow(fill, before, columns, folded), np.float64)
    return np.concatenate([known, *(folded[name][:, at:].T / scales[name] for name, at in before.items())])
