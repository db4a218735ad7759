"""The catalogue: every feature of some definitions, told from the definitions themselves.

`headrace features ls` and the page of all features are made from it, the shop's and those of a file of one's own, so
neither can say what the code does not do. The price: a kind of event that the definitions give no name is a bit here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from features.definitions import Definitions
from features.feature import ANY_KIND, Feature, Habit, Known, New, Outlying, Share, SinceKnown, SinceLast, Streak, Usual
from features.group import Group
from features.sequence import Recent
from features.window import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from features.words import in_words

BESIDE_ITSELF = (Habit, New, Outlying, Recent, SinceLast, Usual)  # they compare the event with what was before it
UNITS = ((DAY_MS, "d"), (HOUR_MS, "h"), (MINUTE_MS, "min"), (SECOND_MS, "s"))


@dataclass(frozen=True)
class Told:
    """One feature."""

    column: str
    group: str
    entity: str
    what: str  # in words
    window: str  # such as `24 h`; "": the longest of the group
    delay: str  # how much earlier the window ends; "": it does not
    of: str  # the kinds of event that count; "": all
    current: bool  # whether the event that is scored counts
    order: str  # "any": the order of arrival does not matter; "applied": it does
    layout: int  # of the group's bags
    definition: str  # 8 hex digits of all that decides the group's values


def catalogue(definitions: Definitions, kinds: Mapping[int, str] | None = None) -> list[Told]:
    """Every feature, group by group; `kinds` names the bits of a feature's `of`."""
    words = dict(definitions.session.words if definitions.session else {}) | dict(definitions.vector.words)
    return [told for group in definitions.groups for told in _of_group(group, words, kinds or {})]


def _of_group(group: Group, words: Mapping[str, str], kinds: Mapping[int, str]) -> list[Told]:
    own = in_words((group,), {}, "event", kinds)
    definition = definition_hash(group)
    return [
        Told(
            column=column,
            group=group.name,
            entity=group.entity,
            what=words.get(column, own[column]),
            window=_window(feature),
            delay=time_of(feature.delay_ms) if feature.delay_ms else "",
            of=_counted(feature, kinds),
            current=feature.current and not isinstance(feature.read, BESIDE_ITSELF),
            order=feature.order,
            layout=group.layout,
            definition=definition,
        )
        for column, feature in zip(group.columns, group.features, strict=True)
    ]


def _counted(feature: Feature, kinds: Mapping[int, str]) -> str:
    """The kinds of event that count: those that are bad less those that take it back, of those there are."""
    of, read = kinds_of(feature.of, kinds), feature.read
    if not isinstance(read, Share | Known | SinceKnown | Streak):
        return of
    bad = kinds_of(read.bad, kinds) + (f" less {kinds_of(read.less, kinds)}" if read.less else "")
    return f"{bad}, of {of}" if of else bad


def definition_hash(group: Group) -> str:
    """8 hex digits of everything that decides a value of the group's columns."""
    return sha256(group.definition.encode()).hexdigest()[:8]


def _window(feature: Feature) -> str:
    if not feature.read.windowed:
        return ""
    return time_of(feature.over.reach_ms) if feature.over.tiles else "ever"


def time_of(ms: int) -> str:
    """`24 h`: in the largest unit that a day has been cut into, `7 d` from two days on."""
    size, unit = next(u for u in (*UNITS, (1, "ms")) if ms % u[0] == 0 and (ms > u[0] or u[0] != DAY_MS))
    return f"{ms // size} {unit}"


def kinds_of(of: int, kinds: Mapping[int, str]) -> str:
    """`order, failed login`; a kind without a name is `kind 0x1`."""
    if of == ANY_KIND:
        return ""
    bits = [1 << bit for bit in range(8) if of >> bit & 1]
    return ", ".join(kinds.get(bit, f"kind {bit:#x}") for bit in bits)


def page(definitions: Definitions, kinds: Mapping[int, str] | None = None) -> str:
    """All features as Markdown: a section for each group."""
    every = catalogue(definitions, kinds)
    sections = [_section(group, [one for one in every if one.group == group.name]) for group in definitions.groups]
    return "\n\n".join(sections)


def _section(group: Group, features: list[Told]) -> str:
    rows = [
        (f"`{one.column}`", one.what, one.window, one.delay, one.of, "yes" if one.current else "no", one.order)
        for one in features
    ]
    return f"## {group.name}\n\n{_about(group)}\n\n" + _table(
        ("column", "what it is", "window", "ends earlier by", "of", "itself counts", "order"), rows
    )


def _about(group: Group) -> str:
    several = "; an event may have several, and a value is the largest of theirs" if group.many else ""
    kept = f" The newest {group.keep} events are kept one by one." if group.keep else ""
    others = (
        f" Counterparties: {', '.join(group.others)}; up to {group.exact} are counted exactly." if group.others else ""
    )
    return (
        f"Of each {group.entity}{several}. Layout {group.layout}, definition `{definition_hash(group)}`, "
        f"back to {time_of(group.longest_ms)}.{others}{kept}"
    )


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
