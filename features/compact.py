"""Compaction: old entries of a bag become tiles, tiles coarsen with age, and what no window can reach is dropped.

When it happens never changes an answer. The end of a future window is at least `newest - grace`, since the newest time
only grows, so the start of a window of tile width w will only ever be a multiple of w at or after its start of today.
A tile may therefore have the coarsest width whose tiles no such start can cut, and an entry before every start is gone
for good (with `forever`, it goes into one tile of totals). The newest time is taken from the folded entries alone:
whoever reads the bag later, even under an older number, sees all of those. Of the counterparties the skyband stays.

What is later than the floor (features/recent.py) stays as it is.

The price: about .3 us per event and group over time, and a tile is a little longer than an entry, so a bag of a few
entries is left alone until it has more than `cap`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from features.bag import (
    ENTRY_WORDS,
    ETERNAL,
    PART_EVENT,
    Items,
    Lifted,
    Numbers,
    Raw,
    Rows,
    counts_for,
    join_items,
    lift,
    merge_runs,
    parse,
)
from features.columns import HASH_BITS
from features.entry import mark_of
from features.fields import CIRCLES
from features.group import Group
from features.packed import kernel, measured, packed, refused
from features.recent import floors
from features.segments import heads, keyed
from features.skyband import NOBODY, Others, latest

Ints = npt.NDArray[np.int64]

ALL = np.iinfo(np.uint64).max


@dataclass(frozen=True)
class Compaction:
    """A bag's first bytes, what stands for them from now on, and the newest stamp in them."""

    prefix: bytes
    replacement: bytes
    newest: int


@dataclass(frozen=True)
class Tiles:
    """Ordered by owner and time."""

    owner: Ints
    first: Ints
    level: Ints
    sums: Ints
    peaks: Ints


def over_cap(group: Group, bags: Sequence[bytes | None]) -> Ints:
    """The places of the bags that hold more than `group.cap` entries."""
    longer = group.cap * ENTRY_WORDS * 8
    places = [place for place, bag in enumerate(bags) if bag is not None and len(bag) > longer]
    raws = parse(group, [bags[place] for place in places]).raws
    return np.array(places, np.int64)[raws > group.cap]


def compact(group: Group, bags: Sequence[bytes], limit: Numbers) -> list[Compaction | None]:
    """Folds each bag's entries stamped below `limit` (u,) into tiles; None where there are none to fold."""
    plan, words = group.plan, packed(group, bags, limit)
    status, made, sizes, stand_for, folded = kernel().compact_bags(
        (*words, group.exact, mark_of(group)),
        measured(group, words),
        (plan.fields, plan.summed, plan.counted, plan.ladder),
        group.numbers,
        group.forever,
        CIRCLES,
    )
    if status == kernel().TOO_MANY:
        raise OverflowError(f"group {group.name!r}: too many tiles or counterparties in a bag: want coarser tiles")
    if status >= 0:
        raise refused(group, bags, limit)
    blob, ends = made.tobytes(), (sizes.cumsum() * 8).tolist()
    return [
        Compaction(bag[:length], blob[end - size : end], int.from_bytes(bag[length - 40 : length - 32], "big"))
        if some
        else None
        for bag, length, size, end, some in zip(
            bags, (stand_for * 8).tolist(), (sizes * 8).tolist(), ends, folded.tolist(), strict=True
        )
    ]


@dataclass(frozen=True)
class Older:
    """A bag in two: what may be folded, and the entries that stay."""

    rows: Rows
    items: Items
    newest: Ints
    floor: Ints
    raw: Raw  # those that stay


def older(group: Group, past: Lifted) -> Older:
    """Parts what a group keeps one by one from the rest; of that, what no window can reach any more is not kept."""
    if not group.keep:
        return Older(
            past.rows, past.items, past.newest, past.floor, past.raw.only(np.zeros(len(past.raw.at), np.bool_))
        )
    events = past.rows.sums[group.sums.index(group.event)] > 0
    floor = floors(group.keep, past.rows.owner[events], past.rows.at[events], len(past.newest), past.floor)
    gone = _starts(group, past.newest)
    raw = past.raw
    stays = (raw.part == PART_EVENT) & (raw.at > floor[raw.owner]) & (raw.at >= gone[raw.owner])
    stays &= counts_for(past.rows)[len(past.rows.at) - len(raw.at) :]
    tiles, named = len(past.rows.at) - len(raw.at), past.items
    folds = np.concatenate((np.ones(tiles, np.bool_), ~stays))
    rows = Rows(*(values[..., folds] for values in (past.rows.owner, past.rows.at, past.rows.sums, past.rows.peaks)))
    if stays.any():
        named = join_items(past.tiled, raw.items(group, ~stays))
    return Older(rows, named, past.newest, floor, raw.only(stays))


def canonical(group: Group, bag: bytes) -> dict[str, Any]:
    """What a bag means, whatever was compacted when and in whichever order its entries came."""
    return canonical_each(group, [bag])[0]


def canonical_each(group: Group, bags: Sequence[bytes]) -> list[dict[str, Any]]:
    """The same of many bags at once, at a fortieth of the price."""
    past = lift(group, bags, np.full(len(bags), ALL, np.uint64))
    old = older(group, past)
    tiles, others = merge_tiles(group, old.rows, past.newest), merge_others(group, past.items, past.newest)
    found = [_meaning(group, newest) for newest in past.newest.tolist()]
    names = ("level", "first", *(field.name for field in group.fields))
    fields = np.concatenate((tiles.level[None], tiles.first[None], tiles.sums, tiles.peaks)).T.tolist()
    told = counts_for(Rows(tiles.owner, tiles.first, tiles.sums, tiles.peaks))
    for owner, row, some in zip(tiles.owner.tolist(), fields, told.tolist(), strict=True):
        if some:
            found[owner]["tiles"].append(dict(zip(names, row, strict=True)))
    _tell_kept(group, old.raw, found)
    for bins, hashed, tick in zip(others.bins.tolist(), others.hash.tolist(), others.tick.tolist(), strict=True):
        owner, slot = divmod(bins, len(group.others))
        found[owner]["others"][group.others[slot]][f"{hashed:08x}"] = tick * group.ladder[0]
    return found


def _meaning(group: Group, newest: int) -> dict[str, Any]:
    others: dict[str, dict[str, int]] = {name: {} for name in group.others}
    return {"group": group.name, "newest": newest, "tiles": [], "events": [], "others": others}


def _tell_kept(group: Group, raw: Raw, found: list[dict[str, Any]]) -> None:
    """Adds what stays one by one, by time: what each moment counts for, left out where that is nothing."""
    rows = raw.rows(group)
    key = keyed(rows.owner, rows.at)
    order = np.argsort(key, kind="stable")
    first = np.flatnonzero(heads(key[order]))
    sums, peaks = merge_runs(rows, order, first)
    names = ("at", *(field.name for field in group.fields))
    fields = np.concatenate((rows.at[order][first][None], sums, peaks)).T.tolist()
    told = counts_for(Rows(rows.owner, rows.at, sums, peaks))
    for owner, row, some in zip(rows.owner[order][first].tolist(), fields, told.tolist(), strict=True):
        if some:
            found[owner]["events"].append(dict(zip(names, row, strict=True)))


def merge_tiles(group: Group, rows: Rows, newest: Ints) -> Tiles:
    """Rows -> tiles as coarse as they may be; `newest` is that of each owner."""
    order = np.argsort(keyed(rows.owner, rows.at), kind="stable")
    owner, at = rows.owner[order], rows.at[order]
    level = _levels(group, owner, at, newest)
    kept = level >= 0
    if not kept.all():
        order, owner, at, level = order[kept], owner[kept], at[kept], level[kept]
    width = np.append(np.array(group.ladder), np.zeros(ETERNAL + 1 - len(group.ladder), np.int64))[level]
    index = np.floor_divide(at, width, out=np.zeros_like(at), where=width > 0)
    first = np.flatnonzero(heads(owner) | heads(level) | heads(index))
    return Tiles(owner[first], at[first], level[first], *merge_runs(rows, order, first))


def _levels(group: Group, owner: Ints, at: Ints, newest: Ints) -> Ints:
    """(m,) the coarsest level that no start to come can cut; ETERNAL or -1 for what is before every start."""
    end = np.maximum(newest - group.grace_ms, 0)
    starts = {window: window.cut(end) for window in group.summed if window.tiles}
    level = np.zeros_like(at)
    for width in group.ladder[1:]:
        finer = [start for window, start in starts.items() if window.tile_ms < width]
        closed = (at // width + 1) * width
        level += closed <= np.min(finer, axis=0)[owner] if finer else 1
    edge = np.min(list(starts.values()), axis=0)  # also where events are kept one by one: these rows are not
    return np.where(at < edge[owner], ETERNAL if group.forever else -1, level)


def _starts(group: Group, newest: Ints) -> Ints:
    """(u,) before which no window to come can reach exactly."""
    end = np.maximum(newest - group.grace_ms, 0)
    found: Ints = np.min([window.sharp_cut(end) for window in group.summed if window.tiles], axis=0)
    return found


def merge_others(group: Group, items: Items, newest: Ints) -> Others:
    """Counterparties -> those that may still matter, with the time each was last seen."""
    if not group.counted:
        return NOBODY
    end = np.maximum(newest - group.grace_ms, 0)
    start = np.min([window.cut(end) for window in group.counted], axis=0)
    recent = items.at >= start[items.owner]
    key = (items.owner[recent] * len(group.others) + items.slot[recent]) << HASH_BITS | items.hash[recent]
    return latest(group.exact + 1, key, items.at[recent] // group.ladder[0])
