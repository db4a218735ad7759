"""Features in words: what a column is called where a person reads it, in the reasons of a decision.

`user_max_7d` is "largest order of the account within a week". The words follow from the group as the name does, so a
new group has them at once; they decide no value and are no part of a vector's hash. The price: they are frozen into the
decisions that quote them, so another wording is another configuration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from features.feature import Feature, Measured, Ratio, SinceKnown
from features.group import Group
from features.sequence import Recent
from features.window import DAY_MS, HOUR_MS, MINUTE_MS, Window

SPANS = {HOUR_MS: "an hour", DAY_MS: "a day", 7 * DAY_MS: "a week"}
UNITS = ((DAY_MS, "days"), (HOUR_MS, "hours"), (MINUTE_MS, "minutes"), (1000, "seconds"))


def in_words(
    groups: Sequence[Group], nouns: Mapping[str, str], what: str = "order", kinds: Mapping[int, str] | None = None
) -> dict[str, str]:
    """Column -> words, for every column of the groups.

    `nouns` names entities and counterparties otherwise than the columns do, `kinds` what a feature's `of` counts.
    """
    return {name: words for group in groups for name, words in _named(group, nouns, what, kinds or {})}


def _named(group: Group, nouns: Mapping[str, str], what: str, kinds: Mapping[int, str]) -> Iterator[tuple[str, str]]:
    for feature, name in zip(group.features, group.columns, strict=True):
        yield name, _words(group, feature, nouns, kinds.get(feature.of, what))


def _words(group: Group, feature: Feature, nouns: Mapping[str, str], what: str) -> str:
    read = feature.read
    other = nouns.get(read.other or "", read.other or "")
    words = read.words.format(
        what=what,
        who=nouns.get(group.name, group.name),
        other=other,
        others=_several(other),
        measure=read.measure.name.replace("_", " ") if isinstance(read, Measured) else "",
        to=_within(read.to) if isinstance(read, Ratio) else "",
        which=read.which if isinstance(read, SinceKnown) else "",
        nth=_nth(read.nth) if isinstance(read, Recent) else "",
    )
    late = f", as of {_span(feature.delay_ms)} before" if feature.delay_ms else ""
    return words + _within(feature.over) + late


def _nth(place: int) -> str:
    """`2nd ` with a space behind it; the first needs no word."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th") if place % 100 // 10 != 1 else "th"
    return f"{place}{ending} " if place > 1 else ""


def _several(noun: str) -> str:
    return noun + ("es" if noun.endswith("s") else "s")


def _within(window: Window) -> str:
    """` within a day`; nothing for a window that is all there ever was."""
    return f" within {_span(window.reach_ms)}" if window.tiles else ""


def _span(reach_ms: int) -> str:
    unit_ms, unit = next((u for u in UNITS if reach_ms % u[0] == 0), (1, "ms"))
    return SPANS.get(reach_ms) or f"{reach_ms // unit_ms} {unit}"
