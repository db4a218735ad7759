"""What a network does to a tidy stream: copies, late events, shuffled events, garbage.

Input is in event-time order, output in arrival order; `send_ms` says when a record arrives (a caller that fakes time
uses it as the record's timestamp). An event never arrives before it happened, and a copy never before its original.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from random import Random

from simulation.event import Event, Truth

MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Disturbance:
    """Shares are of the events; an event may be both late and copied."""

    copies: float = 0.02
    copy_mean_ms: float = 2 * MINUTE_MS
    late: float = 0.03
    late_mean_ms: float = 20 * MINUTE_MS
    shuffled: float = 0.10
    shuffled_ms: float = 5_000.0  # arrives up to this much later than it happened
    garbage: float = 0.0  # additional records that no decoder accepts, of every kind below


def disturb(events: Iterator[Event], how: Disturbance, seed: int) -> Iterator[Event]:
    """The same events and their copies by arrival time; nothing is lost: the end drains what is held back."""
    random = Random(f"disturb/{seed}")
    held: list[tuple[int, int, Event]] = []
    number = 0
    for event in events:
        while held and held[0][0] <= event.at_ms:
            yield heappop(held)[2]
        for arriving in _arrivals(event, how, random):
            number += 1
            heappush(held, (arriving.send_ms, number, arriving))
    while held:
        yield heappop(held)[2]


def _arrivals(event: Event, how: Disturbance, random: Random) -> Iterator[Event]:
    send_ms = event.at_ms
    if random.random() < how.late:
        send_ms += int(random.expovariate(1 / how.late_mean_ms))
    elif random.random() < how.shuffled:
        send_ms += int(random.random() * how.shuffled_ms)
    yield event._replace(send_ms=send_ms)
    if random.random() < how.copies:
        yield event._replace(send_ms=send_ms + 1 + int(random.expovariate(1 / how.copy_mean_ms)), copy=True)
    if random.random() < how.garbage:
        kind = GARBAGE[int(random.random() * len(GARBAGE))]
        yield event._replace(
            send_ms=send_ms, value=kind(event), truth=Truth.GARBAGE, event_id=f"{event.event_id}-bad", order_id=None
        )


def _cut_short(event: Event) -> bytes:
    return event.value[: len(event.value) // 2]


def _not_utf8(event: Event) -> bytes:
    return event.value.replace(b'"event_id":"', b'"event_id":"\xff\xfe', 1)


def _unknown_type(event: Event) -> bytes:
    return event.value.replace(b'{"type":"', b'{"type":"un', 1)


def _far_future(event: Event) -> bytes:
    return _renamed(event).replace(b'"event_time":"20', b'"event_time":"29', 1)


def _bad_time(event: Event) -> bytes:
    return _renamed(event).replace(b'"event_time":"', b'"event_time":"on ', 1)


def _wrong_type(event: Event) -> bytes:
    return event.value.replace(b'"event_id":"', b'"event_id":17,"was":"', 1)


def _empty(event: Event) -> bytes:
    return event.value[:0]


def _renamed(event: Event) -> bytes:
    """Another id, so that the record is judged for what is wrong with it and not as a copy of the good one."""
    return event.value.replace(event.event_id.encode(), event.event_id.encode() + b"-bad", 1)


GARBAGE: tuple[Callable[[Event], bytes], ...] = (
    _cut_short,
    _not_utf8,
    _unknown_type,
    _far_future,
    _bad_time,
    _wrong_type,
    _empty,
)
