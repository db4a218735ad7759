"""Assessing an order says what a worker then decides, bit by bit, and leaves no trace."""

from __future__ import annotations

import asyncio

import pytest
from msgspec import json

from schemas.decisions import DecisionLog
from streams.assess import Assessor, RefusedError
from streams.configuration import configured, of_folder, rules_text
from streams.space import definitions_of, open_store
from tests.support.archive import decided
from tests.support.events import order, orders
from tests.support.worker import Stream

PAST, USERS = 60, 3


async def test_what_is_assessed_is_what_is_then_decided_and_nothing_is_written(embedded_stream: Stream) -> None:
    stream = embedded_stream
    await stream.working(stream.worker())
    await stream.send(*orders(PAST, users=USERS))
    await decided(stream, PAST)

    settings = stream.settings()
    definitions = definitions_of(settings)
    configuration = configured(definitions, rules_text(definitions, None), of_folder(definitions, None))
    new = order("next", "u1", PAST * 250, value=777.0)
    before = await stream.dump()
    async with open_store(settings, definitions) as store:
        assessed = await Assessor(definitions, store).assess(new.value or b"", configuration)
    assert await stream.dump() == before

    await stream.send(new)
    await decided(stream, PAST + 1)
    (published,) = (await stream.decisions())["o-next"]
    assert json.encode(assessed.decision) == published
    logs = [json.decode(one.value or b"", type=DecisionLog) for one in await stream.read("decisions")]
    (logged,) = [one for one in logs if one.order_id == "o-next"]
    assert [*assessed.vector.values()] == [*logged.vector]
    assert assessed.members == logged.members
    assert assessed.vector["user_count_24h"] == PAST / USERS + 1


async def test_orders_asked_about_at_once_do_not_see_each_other(embedded_stream: Stream) -> None:
    stream = embedded_stream
    await stream.working(stream.worker())
    await stream.send(*orders(PAST, users=USERS))
    await decided(stream, PAST)

    definitions = definitions_of(stream.settings())
    configuration = configured(definitions, rules_text(definitions, None), of_folder(definitions, None))
    asked = [order(f"asked-{n}", f"u{n % USERS}", PAST * 250 + n, value=10.0 * n + 1).value or b"" for n in range(12)]
    async with open_store(stream.settings(), definitions) as store:
        assessor = Assessor(definitions, store)
        alone = [await assessor.assess(body, configuration) for body in asked]
        assert await asyncio.gather(*(assessor.assess(body, configuration) for body in asked)) == alone
        counts = {one.vector["user_count_24h"] for one in alone}
    assert counts == {PAST / USERS + 1}


async def test_what_would_be_a_dead_letter_is_refused_with_its_place(embedded_stream: Stream) -> None:
    definitions = definitions_of(embedded_stream.settings())
    configuration = configured(definitions, rules_text(definitions, None), of_folder(definitions, None))
    async with open_store(embedded_stream.settings(), definitions) as store:
        with pytest.raises(RefusedError) as refused:
            await Assessor(definitions, store).assess(b'{"type": "purchase", "event_id": "e"}', configuration)
    assert refused.value.fault.path.startswith("$")
