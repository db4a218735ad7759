"""`headrace features show` on real stores: what is read is what is there, and nothing is written by reading."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from features.join import added
from features.orders import MEETING, OF_ORDERS
from features.payload import payloads
from features.shop import shop_definitions
from schemas.settings import Settings
from schemas.timestamps import rfc3339
from streams.cli import COULD_NOT_RUN, HOLDS, run
from streams.protocol.ports import Tp
from streams.space import open_store
from streams.stores import wire
from streams.stores.keys import Part, bag_key, spread
from tests.unit.features.build import own

NOW = 1_790_000_000_000
TP = Tp("orders", 0, "test")
ORDER = {
    "type": "purchase", "event_id": "e1", "event_time": rfc3339(NOW), "user_id": "42", "order_id": "o1", "value": 5.0,
    "currency": "EUR", "items": [{"item_id": "p1", "item_name": "thing", "price": 5.0, "quantity": 1}], "card_id": "c1",
}  # fmt: skip


@pytest.fixture
def filled(url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A store that knows three events of user 42 and one order."""
    monkeypatch.setenv("HEADRACE_REDIS__URL", url)
    settings = Settings.model_validate({"redis": {"url": url}})
    shop = shop_definitions()
    user = next(group for group in shop.groups if group.name == "user")
    events = own([NOW - 3_600_000, NOW - 600_000, NOW - 60_000], [100, 200, 400], [[1, 2, 2], [0] * 3, [0] * 3])
    events.flags[:] = 8
    decoded = shop.flows[0].decode([orjson.dumps(ORDER)])
    columns = shop.flows[0].columns(decoded.events, decoded.at_ms)
    entities, _, chunks = added(OF_ORDERS, columns, 0)
    parts = [Part("user", 32, ["42"], payloads(user, events, 1)), Part(MEETING.name, None, entities, chunks)]

    async def fill() -> None:
        async with open_store(settings, shop) as store:
            await store.apply(TP, 0, 0, 0, b"t" * 16, spread(parts, store.shards).calls)

    asyncio.run(fill())
    return settings


def kept(settings: Settings) -> tuple[bytes, bool]:
    """The bag of user 42, and whether it has a time to live."""
    shard, key = bag_key("user", "42", settings.shards)

    async def ask() -> tuple[bytes, bool]:
        async with open_store(settings, shop_definitions()) as store:
            bag, ttl = await store.trip(
                "test", [(shard, wire.command("GET", key)), (shard, wire.command("PEXPIRETIME", key))]
            )
            return bag, ttl

    return asyncio.run(ask())


@pytest.mark.usefixtures("filled")
def test_an_entity_is_shown_as_an_event_of_it_would_find_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["features", "show", "user:42", "--at", rfc3339(NOW), "--json"]) == HOLDS
    told = orjson.loads(capsys.readouterr().out)
    assert (told["group"], told["entity"], told["at_ms"]) == ("user", "42", NOW)
    assert (told["newest_ms"], told["oldest_ms"], told["entries"]) == (NOW - 60_000, NOW - 3_600_000, 3)
    assert told["bag_bytes"] == 120
    assert told["values"]["user_count_24h"] == 3
    assert told["values"]["user_sum_24h"] == 700
    assert told["values"]["user_distinct_cards_24h"] == 2
    assert told["values"]["user_vs_usual_30d"] is None


@pytest.mark.usefixtures("filled")
def test_people_are_told_amounts_in_the_base_currency_and_how_old_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["features", "show", "user:42", "--at", rfc3339(NOW)]) == HOLDS
    told = capsys.readouterr().out
    assert "newest    1 min ago" in told
    assert "oldest 1 h ago" in told
    assert "120 bytes: 3 entries, 0 tiles" in told
    assert "7.00 EUR" in told
    assert "orders of the account within a day" in told


@pytest.mark.usefixtures("filled")
def test_the_last_orders_are_told_a_line_each_as_many_as_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["features", "show", "user:42", "--at", rfc3339(NOW)]) == HOLDS
    told = capsys.readouterr().out
    sequence = [line.split() for line in told[told.index("\nnewest  user_") :].splitlines()[1:]]
    assert sequence == [
        ["newest", "user_recent_amount", "user_recent_gap_s"],
        ["1", "4.00", "EUR", "60", "s"],
        ["2", "2.00", "EUR", "600", "s"],
        ["3", "1.00", "EUR", "3,600", "s"],
    ]
    assert "user_recent" not in told[: told.index("\nnewest  user_")], "no line of the table above says it again"


def test_reading_writes_nothing(filled: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    before = kept(filled)
    assert run(["features", "show", "user:42"]) == HOLDS
    capsys.readouterr()
    assert kept(filled) == before


@pytest.mark.usefixtures("filled")
def test_an_order_that_waits_for_its_label_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["features", "show", "order:o1", "--json"]) == HOLDS
    told = orjson.loads(capsys.readouterr().out)
    assert told["orders"][0]["user_id"] == "42"
    assert told["label"] is None


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(
    ("entity", "said"),
    [("user:43", "nothing of user '43'"), ("usr:42", "the groups are user, card"), ("42", "want GROUP:ID")],
)
def test_whatever_is_not_there_is_named_with_what_to_do(
    capsys: pytest.CaptureFixture[str], entity: str, said: str
) -> None:
    assert run(["features", "show", entity]) == COULD_NOT_RUN
    assert said in capsys.readouterr().err
