"""Pace and lockstep: what may be sent when."""

from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.data.dataset import DataError
from streams.data.lockstep import Lockstep, Place
from streams.data.meter import Lines
from streams.data.record import Record
from streams.data.replay import Pace, Replay
from streams.data.sender import Ack

HOUR_MS = 3_600_000


class Broker:
    """A sender's stand-in, and workers who do what they are given when they are asked where they are."""

    def __init__(self, lockstep: Lockstep | None, *, diligent: bool = True) -> None:
        self.lockstep, self.diligent = lockstep, diligent
        self.log: list[Record] = []
        self.waiting: list[Record] = []
        self.ahead_ms: list[int] = []
        self.done: dict[Place, int] = {}

    async def send(self, records: list[Record]) -> None:
        self.waiting += records
        for record in records:
            undone = [r.timestamp_ms for at, r in enumerate(self.log) if at >= self.done.get(("orders", 0), 0)]
            oldest = min((at_ms for at_ms in undone if at_ms is not None), default=record.timestamp_ms)
            self.ahead_ms.append((record.timestamp_ms or 0) - (oldest or 0))

    async def flush(self) -> None:
        for record in self.waiting:
            self.log.append(record)
            if self.lockstep is not None:
                self.lockstep.acked(Ack("orders", 0, len(self.log) - 1, len(self.log) - 1, record.timestamp_ms))
        self.waiting.clear()

    async def positions(self) -> dict[Place, int]:
        place: Place = ("orders", 0)
        if self.diligent:
            self.done[place] = min(len(self.log), self.done.get(place, 0) + 1)
        return self.done


class Silent:
    def moved(self, at_ms: int, sent: int) -> None:
        """Nobody looks."""


def records(*times_ms: int) -> Iterator[Record]:
    return iter([Record("orders", b"k", b"{}", (), at_ms) for at_ms in times_ms])


def replay(broker: Any, pace: Pace | None = None, stall_s: float = 5.0) -> Replay:
    return Replay(broker, pace or Pace(), Silent(), broker.lockstep, broker, stall_s)


@given(st.lists(st.integers(0, 10 * HOUR_MS), max_size=40).map(sorted))
async def test_lockstep_is_never_more_than_its_width_ahead_and_loses_nothing(times_ms: list[int]) -> None:
    broker = Broker(Lockstep(HOUR_MS))
    done = await replay(broker).run(records(*times_ms))
    assert [record.timestamp_ms for record in broker.log] == times_ms
    assert done.records == len(times_ms)
    assert all(ahead <= HOUR_MS for ahead in broker.ahead_ms)


async def test_workers_that_stand_still_are_named_with_their_partition() -> None:
    broker = Broker(Lockstep(HOUR_MS), diligent=False)
    with pytest.raises(DataError, match=r"orders/0 stands at 0 and 0 is yet to be done.*headrace worker"):
        await replay(broker, stall_s=0.02).run(records(0, 2 * HOUR_MS))
    assert len(broker.log) == 1


def test_the_slowest_partition_sets_the_ceiling() -> None:
    lockstep = Lockstep(100)
    assert lockstep.ceiling_ms(7) == 107
    lockstep.acked(Ack("orders", 0, 0, 4, 50))
    lockstep.acked(Ack("labels", 3, 0, 9, 40))
    assert lockstep.ceiling_ms(200) == 140
    assert lockstep.slowest() == (("labels", 3), 0)
    assert not lockstep.reached({("labels", 3): 9})  # offset 9 is yet to be done
    assert lockstep.reached({("labels", 3): 10, ("cart", 0): 5})
    assert lockstep.ceiling_ms(200) == 150
    assert lockstep.reached({("orders", 0): 5})
    assert (lockstep.ceiling_ms(200), lockstep.slowest()) == (300, None)


def test_pace_is_event_time_over_clock_time() -> None:
    now = [10.0]
    pace = Pace(60.0, lambda: now[0])
    assert pace.wait_s(1_000_000) == 0.0
    assert pace.wait_s(1_000_000 + 120_000) == pytest.approx(2.0)
    now[0] += 1.5
    assert pace.wait_s(1_000_000 + 120_000) == pytest.approx(0.5)
    now[0] += 0.5
    assert pace.wait_s(1_000_000 + 120_000) == 0.0
    assert Pace().wait_s(2**60) == 0.0


async def test_a_paced_replay_takes_its_time() -> None:
    broker = Broker(None)
    pace = Pace(100.0)
    await replay(broker, pace).run(records(0, 1_000, 3_000))
    assert pace.ceiling_ms(0) >= 3_000  # 30 ms have passed
    assert len(broker.log) == 3


def test_in_a_pipe_progress_is_plain_lines() -> None:
    stream = StringIO()
    lines = Lines("ga360", (0, 1000), stream, every_s=0.0)
    lines.moved(250, 12_345)
    assert stream.getvalue().startswith("ga360: 25.0% 1970-01-01T00:00:00.250Z 12,345 records ")
