"""Rows of `applied`: bytes and back, and found from the newest on."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

from streams.protocol.ports import Row, Tp, Verdict
from streams.transport.applied import OVERLAP, AppliedLog, decode_row, encode_row

TP = Tp("orders", 1, "new")


def row(
    first: int, last: int, *, horizon: int | None = None, topic_id: str = "new", numbers: tuple[int, ...] = (1, 2)
) -> Row:
    return Row("orders", 1, topic_id, first, last, "cfg", {}, numbers, False, last if horizon is None else horizon)


@dataclass
class Rec:
    value: bytes | None


@dataclass
class Log:
    """A partition of `applied`, oldest first, given out in stretches from the end."""

    rows: list[Row]
    read: int = 0

    async def backwards(self, topic: str, partition: int) -> AsyncIterator[list[Rec]]:
        assert (topic, partition) == ("applied", 3)  # partition 1 of the second of two inputs
        for at in range(len(self.rows), 0, -10):
            stretch = [Rec(encode_row(r)) for r in self.rows[max(0, at - 10) : at]]
            self.read += len(stretch)
            yield stretch


def applied(log: Log) -> AppliedLog:
    untyped: Any = log
    return AppliedLog(untyped, ["cart", "orders"])


def test_a_row_comes_back_as_it_was() -> None:
    full = replace(
        row(3, 9, horizon=40), exceptions={4: Verdict.DUPLICATE, 7: Verdict.DEAD, 5: Verdict.DUPLICATE}, recovered=True
    )
    assert decode_row(encode_row(full)) == full


def test_the_order_in_which_exceptions_were_found_leaves_no_trace() -> None:
    one = replace(row(0, 9), exceptions={4: Verdict.DUPLICATE, 7: Verdict.DEAD})
    other = replace(row(0, 9), exceptions={7: Verdict.DEAD, 4: Verdict.DUPLICATE})
    assert encode_row(one) == encode_row(other)


def test_a_row_goes_to_the_partition_of_its_input() -> None:
    output = applied(Log([])).output(row(0, 9))
    assert (output.topic, output.partition, output.key, output.offset) == ("applied", 3, b"orders/1", 9)


async def test_the_newest_row_is_the_last_written_not_the_largest() -> None:
    assert await applied(Log([row(0, 9), row(10, 19), row(0, 9, horizon=19)])).newest(TP) == row(0, 9, horizon=19)


async def test_rows_of_the_topic_before_are_not_ours() -> None:
    log = Log([row(0, 9), row(10, 19, topic_id="old")])
    assert await applied(log).newest(TP) == row(0, 9)
    assert await applied(Log([row(0, 9, topic_id="old")])).newest(TP) is None


async def test_all_rows_of_a_range_are_found_also_those_from_before_a_rollback() -> None:
    again = row(10, 19, horizon=29, numbers=(7, 8))
    log = Log([row(0, 9), row(10, 19), row(20, 29), again, row(20, 29, horizon=29)])
    assert await applied(log).rows(TP, 10, 19) == [again, row(10, 19)]


async def test_the_search_ends_soon_after_rows_from_before_the_range() -> None:
    log = Log([row(i * 10, i * 10 + 9) for i in range(1_000)])
    assert await applied(log).rows(TP, 9_980, 9_989) == [row(9_980, 9_989)]
    assert log.read < OVERLAP + 30
