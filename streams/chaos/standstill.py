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
AFTER_MS = 500  # how long after a fault is over, or after the hit ones move again, one goes on looking

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
    """The longest silence of a hit partition from the fault on; None where none is fed, or none moved again.

    A row is dated when it is made: one that waits in a producer while the broker is away is older than its arrival, so
    silences that begin until a little after the fault's end count, not only the first.
    """
    end = one.over_ms + AFTER_MS
    gaps = [gap for key in one.hit if key in moves for gap in _gaps(moves[key], one.at_ms, end)]
    return max(gaps, default=None)


def silence_of_others_ms(one: Happened, moves: Moves) -> int | None:
    """The longest time without a row of any one partition of the other workers, while the hit ones stood still."""
    stood = stood_still_ms(one, moves)
    if stood is None:
        return None
    start, end = one.at_ms, one.at_ms + stood + AFTER_MS
    seen = [[*(at for at in moves[key] if at < end), end] for key in one.others if key in moves]
    return max((gap for times in seen for gap in _gaps(times, start, end)), default=None)


def _gaps(times: Sequence[int], start: int, end: int) -> list[int]:
    """Between neighbours, of those that begin before `end` and end after `start`; counted from `start` on."""
    first = max(0, bisect_right(times, start) - 1)
    pairs = zip(times[first:], times[first + 1 :], strict=False)
    return [later - max(start, earlier) for earlier, later in pairs if earlier < end and later > start]
