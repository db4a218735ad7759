"""Rows of topic `applied`: as bytes, and found again from the newest back.

Rows go back after a rollback, so the newest is not the one with the largest offsets; its `horizon` says how far any row
known to its writer went. A row whose horizon lies below a range was therefore written before any row of that range,
and a search may end there; two owners at once may write a few rows late, so it reads `OVERLAP` further.

The partition says which input partition it is; a topic made anew shares it with its predecessor, so a row names the
topic id as well.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from schemas.decisions import APPLIED_VERSION, AppliedRow, NewerVersionError, decode_applied, encode
from schemas.topics import applied_partition
from streams.protocol.ports import LATE_ROWS, Row, Stop, Tp, Verdict
from streams.transport.log import LogReader
from streams.transport.output import Output

APPLIED = "applied"
OVERLAP = 64
_BY_NAME = {verdict.name.lower(): verdict for verdict in Verdict}


class AppliedLog:
    """The rows of `applied`; `inputs` fixes which partition is whose (schemas/topics.py)."""

    def __init__(self, log: LogReader, inputs: Sequence[str], topic: str = APPLIED) -> None:
        self._log = log
        self._inputs = inputs
        self._topic = topic

    def output(self, row: Row) -> Output:
        """The record of a row."""
        partition = applied_partition(row.topic, row.partition, self._inputs)
        key = f"{row.topic}/{row.partition}".encode()
        return Output(self._topic, key, encode_row(row), offset=row.last, partition=partition)

    async def newest(self, tp: Tp) -> Row | None:
        """The newest row of the partition under its topic id, its horizon the largest of the LATE_ROWS newest."""
        newest: list[Row] = []
        async for row in self._backwards(tp):
            if row.topic_id == tp.topic_id:
                newest.append(row)
            if len(newest) == LATE_ROWS:
                break
        return replace(newest[0], horizon=max(row.horizon for row in newest)) if newest else None

    async def rows(self, tp: Tp, first: int, last: int) -> list[Row]:
        """The rows that overlap this range, the newest first."""
        found: list[Row] = []
        beyond = 0
        async for row in self._backwards(tp):
            if row.topic_id != tp.topic_id:
                continue
            if row.first <= last and first <= row.last:
                found.append(row)
            beyond += row.horizon < first
            if beyond > OVERLAP:
                break
        return found

    async def _backwards(self, tp: Tp) -> AsyncIterator[Row]:
        partition = applied_partition(tp.topic, tp.partition, self._inputs)
        async for stretch in self._log.backwards(self._topic, partition):
            for record in reversed(stretch):
                if record.value is not None:
                    yield decode_row(record.value)


def encode_row(row: Row) -> bytes:
    exceptions: dict[str, list[int]] = {}
    for offset, verdict in sorted(row.exceptions.items()):
        exceptions.setdefault(verdict.name.lower(), []).append(offset)
    return encode(
        AppliedRow(
            version=APPLIED_VERSION,
            topic=row.topic,
            partition=row.partition,
            topic_id=row.topic_id,
            first=row.first,
            last=row.last,
            config=row.config,
            exceptions=exceptions,
            numbers=list(row.numbers),
            recovered=row.recovered,
            horizon=row.horizon,
        )
    )


def decode_row(value: bytes) -> Row:
    """Raises Stop where a newer Headrace wrote it."""
    try:
        row = decode_applied(value)
    except NewerVersionError as error:
        raise Stop(str(error)) from error
    exceptions = {offset: _BY_NAME[name] for name, offsets in row.exceptions.items() for offset in offsets}
    return Row(
        row.topic,
        row.partition,
        row.topic_id,
        row.first,
        row.last,
        row.config,
        exceptions,
        tuple(row.numbers),
        row.recovered,
        row.horizon,
    )
