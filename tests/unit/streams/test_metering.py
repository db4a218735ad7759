"""The lag gauge: set at every look, whatever became of the look before."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest
from faust.types import TP
from prometheus_client import CollectorRegistry

from streams.metering import watch_lag
from streams.metrics import Metrics
from streams.transport.consumer import Standing

ORDERS = TP("orders", 0)


def looks(*found: Standing | Exception) -> Callable[[], Awaitable[dict[TP, Standing]]]:
    """One answer or failure after the other; then no more."""
    left = list(found)

    async def ask() -> dict[TP, Standing]:
        if not left:
            await asyncio.Event().wait()
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return {ORDERS: answer}

    return ask


async def lag_after(*found: Standing | Exception) -> float | None:
    metrics = Metrics(CollectorRegistry())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await watch_lag(looks(*found), metrics, every_s=0.001)
    return metrics.registry.get_sample_value("headrace_lag_records", {"topic": "orders", "partition": "0"})


async def test_lag_is_what_is_to_be_read_and_what_waits_to_be_worked_on() -> None:
    assert await lag_after(Standing(10, 17, 3)) == 10


async def test_a_look_that_fails_is_not_the_last_one_and_each_change_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "headrace")
    away = RuntimeError("the consumer is being made anew")
    assert await lag_after(away, away, away, Standing(10, 15, 0), Standing(10, 16, 0), away, Standing(10, 14, 0)) == 4
    unknown, known = "the lag is not known", "the lag is known again"
    assert [record.message for record in caplog.records] == [unknown, known, unknown, known]
    assert caplog.records[0].__dict__["why"] == "RuntimeError: the consumer is being made anew"
