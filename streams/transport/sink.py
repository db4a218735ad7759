"""Where ranges go: ports.Sink on Kafka, in both deliveries.

At-least-once: the row of `applied`, awaited, then the outputs, awaited. Exactly-once: outputs, row and input offset in
one transaction. Embedded brokers know no transactions, and are refused here.
"""

from __future__ import annotations

from collections.abc import Sequence

from streams.protocol.ports import Row, Stop, Tp
from streams.transport.applied import APPLIED, AppliedLog
from streams.transport.link import Link
from streams.transport.log import LogReader
from streams.transport.output import Output
from streams.transport.profile import Profile
from streams.transport.publisher import Publisher
from streams.transport.transactions import Transactions


class KafkaSink:
    """`inputs`: the input topics in the order that fixes the partitions of `applied`."""

    def __init__(
        self,
        link: Link,
        profile: Profile,
        log: LogReader,
        *,
        group: str,
        inputs: Sequence[str],
        exactly_once: bool = False,
        applied: str = APPLIED,
    ) -> None:
        if exactly_once and not profile.transactions:
            raise Stop(
                f"delivery exactly-once on the {profile.name} broker, which knows no transactions: "
                "want HEADRACE_DELIVERY=at-least-once, or Apache Kafka at HEADRACE_KAFKA__BROKERS"
            )
        self._log = log
        self._group = group
        self._publisher = Publisher(link, profile)
        self._rows = Publisher(link, profile)  # a producer sends one request at a time: no row waits for outputs
        self._transactions = Transactions(link, profile, log, group)
        self._applied = AppliedLog(log, inputs, applied)
        self._exactly_once = exactly_once

    @property
    def exactly_once(self) -> bool:
        return self._exactly_once

    async def open(self, tp: Tp) -> int | None:
        return await self._transactions.open(tp) if self._exactly_once else None

    async def newest(self, tp: Tp) -> Row | None:
        return await self._applied.newest(tp)

    async def committed(self, tp: Tp) -> int | None:
        return await self._log.committed(self._group, tp.topic, tp.partition)

    async def rows(self, tp: Tp, first: int, last: int) -> Sequence[Row]:
        return await self._applied.rows(tp, first, last)

    async def row(self, row: Row) -> None:
        await self._rows.send([self._applied.output(row)])

    async def publish(self, tp: Tp, outputs: Sequence[Output]) -> None:  # noqa: ARG002 - one producer for all
        await self._publisher.send(outputs)

    async def transact(self, row: Row, outputs: Sequence[Output], since: int) -> None:
        tp = Tp(row.topic, row.partition, row.topic_id)
        new = [output for output in outputs if output.offset >= since]
        await self._transactions.commit(tp, [*new, self._applied.output(row)], max(since, row.last + 1))

    async def again(self, tp: Tp, outputs: Sequence[Output], since: int) -> None:
        if self._exactly_once:
            await self._transactions.commit(tp, outputs, since)
        else:
            await self._publisher.send(outputs)

    async def tell(self, outputs: Sequence[Output]) -> None:
        """What belongs to no range; acknowledged when it returns. Never part of a transaction."""
        await self._publisher.send(outputs)

    async def close(self, tp: Tp) -> None:
        """After the partition's driver has ended: gives its transactional producer up."""
        await self._transactions.close(tp)

    async def stop(self) -> None:
        await self._transactions.stop()
        await self._rows.stop()
        await self._publisher.stop()
