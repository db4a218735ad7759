"""How long the stream stood still after a fault: from the timestamps of the rows in `applied`.

Every range of every input partition leaves one row there, dated by the worker that published it, just before its
outputs. Partitions that are fed steadily should therefore have a row every few dozen milliseconds; the time from a
fault to the first row after it is the standstill. The price: a standstill is told only as finely as the flow is dense,
so the longest silence of partitions that were not hit is told beside it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from schemas.topics import applied_partition
from streams.chaos.faults import Happened
from streams.chaos.watch import Partition
from streams.transport.log import LogReader

FED = ("orders", "clickstream", "cart")  # labels are too few to tell a standstill by
AFTER_MS = 2_000  # how long after the hit ones move again the others are looked at

Moves = Mapping[Partition, Sequence[int]]  # when each partition had a range published, epoch ms


async def moves(reader: LogReader, partitions: Sequence[Partition], inputs: Sequence[str]) -> Moves:
    """Reads `applied` whole."""
    found: dict[Partition, list[int]] = {}
    for topic, number in partitions:
        if topic in FED:
            row_partition = applied_partition(topic, number, inputs)
            start, end = await reader.bounds("applied", row_partition)
            rows = await reader.read("applied", row_partition, start, end - 1)
            found[topic, number] = sorted(row.timestamp for row in rows)
    return found


def summary(happened: Sequence[Happened], moves: Moves) -> dict[str, dict[str, Any]]:
    """Per kind of fault, in seconds: the slowest hit partition of each fault, and the longest silence of the others."""
    table: dict[str, dict[str, Any]] = {}
    for kind in dict.fromkeys(one.kind for one in happened):
        some = [one for one in happened if one.kind is kind]
        hit = [stood for one in some if (stood := stood_still_ms(one, moves)) is not None]
        others = [silence for one in some if (silence := silence_of_others_ms(one, moves)) is not None]
        table[kind.value] = {
            "faults": len(some),
            "lasted_s": _seconds([one.over_ms - one.at_ms for one in some]),
            "standstill_s": _seconds(hit),
            "others_silent_s": _seconds(others),
        }
    return table


def _seconds(ms: Sequence[float]) -> dict[str, float] | None:
    return {"median": round(median(ms) / 1000, 2), "max": round(max(ms) / 1000, 2)} if ms else None


def stood_still_ms(one: Happened, moves: Moves) -> int | None:
    """Until the last of the hit partitions moved; None where none of them moved again, or none is fed."""
    waits = [wait for key in one.hit if (wait := _wait_ms(moves.get(key, ()), one.at_ms)) is not None]
    return max(waits, default=None)


def silence_of_others_ms(one: Happened, moves: Moves) -> int | None:
    """The longest time without a row of any one partition of the other workers, around the fault."""
    stood = stood_still_ms(one, moves)
    if stood is None:
        return None
    start, end = one.at_ms, one.at_ms + stood + AFTER_MS
    gaps = [gap for key in one.others if key in moves for gap in _gaps(moves[key], start, end)]
    return max(gaps, default=None)


def _wait_ms(times: Sequence[int], at_ms: int) -> int | None:
    place = bisect_right(times, at_ms)
    return times[place] - at_ms if place < len(times) else None


def _gaps(times: Sequence[int], start: int, end: int) -> list[int]:
    """Between neighbours, of those that begin within start..end."""
    first = max(0, bisect_right(times, start) - 1)
    return [later - earlier for earlier, later in zip(times[first:], times[first + 1 :], strict=False) if earlier < end]
