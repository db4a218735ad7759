"""Hot: the events of an entity that has many in a range, as parts of tiles. features/payload.py says what for."""

from __future__ import annotations

from typing import NamedTuple

from features.bag import PART_FIELDS, PART_OTHERS, PLACE_BITS, TICK_BITS
from features.columns import HASH_BITS, HASH_MASK
from features.feature import ANY_KIND
from features.kernel.compiled import Ints, Ints2d, compiled
from features.kernel.folded import first_start, latest_named, tile_of
from features.kernel.rows import ENDLESS, FLAGS_AT, MARK_AT, NEVER, OTHER_BITS, Others, Rows, measure, mention

WORDS = 4  # of an entry, before the store stamps it


class Tables(NamedTuple):
    """What the kernel knows of a group: see features/plan.py, `Group.numbers` and `_compact_bags`."""

    fields: Ints2d
    summed: Ints2d
    counted: Ints2d
    ladder: Ints
    circle: Ints2d


class Room(NamedTuple):
    """Where it is worked out, enough for the busiest entity."""

    rows: Rows  # two: what the events of a tile add up to, and one event
    others: Others
    names: Ints  # the counterparties that stay, as in a bag
    ticks: Ints  # of each finest tile that was folded, the newest time
    latest: Ints
    bounds: Ints


@compiled
def write(out: Ints, nth: int, at: int, amount: int, pair: int, tail: int) -> None:
    """An entry's words."""
    word = nth * WORDS
    out[word], out[word + 1], out[word + 2], out[word + 3] = at, amount, pair, tail


@compiled
def write_event(out: Ints, nth: int, events: Ints2d, others: Ints2d, event: int, mark: int) -> None:
    """An event as an entry."""
    pair = tail = 0
    for slot in range(len(others)):
        if slot < 2:
            pair |= others[slot, event] << OTHER_BITS * slot
        else:
            tail = others[slot, event]
    tail |= events[4, event] << OTHER_BITS | events[3, event] << FLAGS_AT | mark << MARK_AT
    write(out, nth, events[1, event], events[2, event], pair, tail)


@compiled
def sort_by_time(order: Ints, at: Ints) -> None:
    """Orders events by time; those of the same time stay in their order."""
    for nth in range(1, len(order)):
        event, place = order[nth], nth
        while place > 0 and at[order[place - 1]] > at[event]:
            order[place] = order[place - 1]
            place -= 1
        order[place] = event


@compiled
def _foldable(order: Ints, events: Ints2d, kinds: int, keep: int) -> int:
    """Where those end that may become part of tiles: not what is kept one by one, and not the newest, which tells
    what the newest time is.
    """
    last = len(order)
    if not keep:
        return last - 1
    counted = 0
    for nth in range(last - 1, -1, -1):
        counted += kinds == ANY_KIND or events[3, order[nth]] & kinds != 0
        if counted > keep:
            floor = events[1, order[nth]]
            end = nth + 1
            while end < last and events[1, order[end]] <= floor:
                end += 1
            return end
    return 0


@compiled
def _add_up(
    room: Room, order: Ints, first: int, last: int, events: Ints2d, others: Ints2d, given: Ints2d, of: Tables
) -> None:
    """What the events of a tile count for, into row 0, and whom they name."""
    rows = room.rows
    for nth in range(first, last):
        event = order[nth]
        at, amount, flags, place = events[1, event], events[2, event], events[3, event], events[4, event]
        measure(rows, int(nth > first), of.fields, of.circle, at, amount, flags, place, given, event)
        if nth > first:
            for field in range(len(of.fields)):
                here, more = rows.values[0, field], rows.values[1, field]
                rows.values[0, field] = here + more if field < rows.split else max(here, more)
        for slot in range(len(room.others.known)):
            if others[slot, event] != 0:
                mention(room.others, slot, others[slot, event], at)


@compiled
def _write_tile(values: Ints2d, first_ms: int, last_ms: int, pieces: int, out: Ints, n: int, mark: int) -> None:
    """Writes what the first row of values adds up to, two fields an entry."""
    fields = values.shape[1]
    for piece in range(pieces):
        one = values[0, 2 * piece] if 2 * piece < fields else 0
        two = values[0, 2 * piece + 1] if 2 * piece + 1 < fields else 0
        tail = (PART_FIELDS << PLACE_BITS | piece) << OTHER_BITS | mark << MARK_AT
        write(out, n + piece, last_ms if piece else first_ms, one, two, tail)


@compiled
def _note_ticks(ticks: Ints, known: int, order: Ints, first: int, last: int, at: Ints, finest_ms: int) -> int:
    """Notes the newest time of each finest tile that events of a tile are in. How many are known then."""
    for nth in range(first, last):
        mine = at[order[nth]]
        known += known == 0 or ticks[known - 1] // finest_ms != mine // finest_ms
        ticks[known - 1] = mine
    return known


@compiled
def _write_named(room: Room, ticks: int, exact: int, since: int, finest_ms: int, out: Ints, n: int, mark: int) -> int:
    """The counterparties of what was folded, those of one finest tile together. How many entries there are then."""
    names = 0
    for slot in range(len(room.others.known)):
        names = latest_named(room.others, slot, exact + 1, since, finest_ms, room.latest, room.names, names)
    empty = PART_OTHERS << PLACE_BITS + OTHER_BITS | mark << MARK_AT
    for tick in range(ticks):
        at, most, slot_before, held = room.ticks[tick], 0, NEVER, 0
        for name in range(names):
            word = room.names[name]
            if word & (1 << TICK_BITS) - 1 == at // finest_ms:
                slot, hashed = word >> TICK_BITS + HASH_BITS & 3, word >> TICK_BITS & HASH_MASK
                held = 0 if slot != slot_before else held
                slot_before = slot
                if held == most:
                    if n + most >= len(out) // WORDS:
                        return n + most + 1
                    write(out, n + most, at, 0, 0, empty)
                    most += 1
                out[(n + held) * WORDS + 2 + slot // 2] |= hashed << OTHER_BITS * (slot % 2)
                held += 1
        n += most
    return n


@compiled
def fold_events(
    order: Ints, events: Ints2d, others: Ints2d, given: Ints2d, of: Tables,
    numbers: tuple[int, int, int, int, int, int], exact: int, forever: int, mark: int, room: Room, out: Ints,
) -> int:  # fmt: skip
    """Writes the events of one entity. How many entries they make; if more than `out` holds, not all are there.

    `order`: the events, by time. A tile travels as entries of two fields each, unless that is no less than its
    events are. Its first part tells its first time, the others its newest.
    """
    _, keep, grace_ms, event, _, finest_ms = numbers
    newest = events[1, order[len(order) - 1]]
    end = max(newest - grace_ms, 0)
    gone = first_start(of.summed, end, keep, ENDLESS)
    for width in range(len(of.ladder)):
        room.bounds[width] = first_start(of.summed, end, 0, of.ladder[width])
    room.others.known[:] = 0
    fields, holds = len(of.fields), len(out) // WORDS
    pieces = max((fields + 1) // 2, 2 if keep else 1)
    until = _foldable(order, events, of.fields[event, 1] if keep else ANY_KIND, keep)
    n, ticks, start = 0, 0, 0
    while start < len(order):
        stop = start + 1
        if start < until:
            tile = tile_of(events[1, order[start]], of.ladder, room.bounds, gone, forever)
            while stop < until and tile_of(events[1, order[stop]], of.ladder, room.bounds, gone, forever) == tile:
                stop += 1
        if n + min(stop - start, pieces) > holds:
            return holds + 1
        if stop - start > pieces:
            _add_up(room, order, start, stop, events, others, given, of)
            _write_tile(room.rows.values, events[1, order[start]], events[1, order[stop - 1]], pieces, out, n, mark)
            ticks = _note_ticks(room.ticks, ticks, order, start, stop, events[1], finest_ms)
            n += pieces
        else:
            for nth in range(start, stop):
                write_event(out, n, events, others, order[nth], mark)
                n += 1
        start = stop
    since = first_start(of.counted, end, 0, ENDLESS)
    return _write_named(room, ticks, exact, since, finest_ms, out, n, mark)
