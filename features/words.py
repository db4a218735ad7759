"""Features in words: what a column is called where a person reads it, in the reasons of a decision.

`user_max_7d` is "largest order of the account within a week". The words follow from the group as the name does, so a
new group has them at once; they decide no value and are no part of a vector's hash. The price: they are frozen into the
decisions that quote them, so another wording is another configuration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from features.group import DAY_MS, HOUR_MS, MINUTE_MS, Group, Window

AGGREGATES = {
    "count": "{what}s of the {who}",
    "sum": "sum of the {who}'s {what}s",
    "mean": "average {what} of the {who}",
    "max": "largest {what} of the {who}",
    "spread": "spread of the {who}'s {what}s in doublings",
    "extra": "{extra} of the {who}",
}
SPANS = {HOUR_MS: "an hour", DAY_MS: "a day", 7 * DAY_MS: "a week"}
UNITS = ((DAY_MS, "days"), (HOUR_MS, "hours"), (MINUTE_MS, "minutes"), (1000, "seconds"))


def in_words(groups: Sequence[Group], nouns: Mapping[str, str], what: str = "order") -> dict[str, str]:
    """Column -> words, for every column of the groups. `nouns` names entities otherwise than their groups do."""
    return {
        name: words for group in groups for name, words in zip(group.columns, _words(group, nouns, what), strict=True)
    }


def _words(group: Group, nouns: Mapping[str, str], what: str) -> Iterator[str]:
    """In the order of the group's columns."""
    who = nouns.get(group.name, group.name)
    extra = group.extra.name if group.extra else ""
    for window in group.windows:
        for aggregate in group.of(window):
            yield AGGREGATES[aggregate].format(what=what, who=who, extra=extra) + _within(window)
    for other in group.others:
        for window in group.distinct:
            yield f"different {_several(nouns.get(other, other))} of the {who}{_within(window)}"
    if group.recency:
        yield f"seconds since the {what} before, of the {who}"
        yield f"seconds since the first {what} of the {who}"
    if group.span:
        yield f"seconds from the first {what} to the last, of the {who}"


def _several(noun: str) -> str:
    return noun + ("es" if noun.endswith("s") else "s")


def _within(window: Window) -> str:
    """` within a day`; nothing for a window that is all there ever was."""
    if not window.tiles:
        return ""
    reach_ms = window.tile_ms * window.tiles
    unit_ms, unit = next((u for u in UNITS if reach_ms % u[0] == 0), (1, "ms"))
    return f" within {SPANS.get(reach_ms) or f'{reach_ms // unit_ms} {unit}'}"
