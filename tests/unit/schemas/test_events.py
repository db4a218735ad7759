"""Events: their types, their keys, and fields that may be missing."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from schemas import events
from schemas.decode import _ids, decode_one
from tests.unit.schemas.builders import minimal, order, packed, without

SHAPES = [
    events.Order,
    *(shape for topic in (events.Clickstream, events.Carts, events.Labels) for shape in get_args(topic)),
]
REQUIRED = {
    "Order": {"event_id", "event_time", "order_id", "value", "currency", "items"},
    "ReviewOutcome": {"event_id", "event_time", "order_id", "fraud"},
    "Chargeback": {"event_id", "event_time", "order_id"},
    "Refund": {"event_id", "event_time", "order_id"},
    "OrderCancelled": {"event_id", "event_time", "order_id"},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_only_what_a_shop_always_has_is_required(shape: type[events.Event]) -> None:
    required = {field.name for field in msgspec.structs.fields(shape) if field.required}
    assert required == REQUIRED.get(shape.__name__, {"event_id", "event_time"})


@pytest.mark.parametrize("shape", SHAPES)
def test_every_field_that_names_an_identity_has_the_limits_of_an_id(shape: type[events.Event]) -> None:
    names = {field.name for field in msgspec.structs.fields(shape)}
    identities = {name for name in names if name.endswith(("_id", "_hash"))} | ({"ip"} & names)
    ids, _ = _ids(shape)
    assert set(ids) == identities


@pytest.mark.parametrize("shape", SHAPES)
def test_no_event_is_tracked_by_the_garbage_collector(shape: type[events.Event]) -> None:
    assert not shape.__struct_config__.gc
    assert shape.__struct_config__.frozen


def test_the_key_is_the_user_else_the_visitor() -> None:
    both = decode_one("orders", packed(order(visitor_id="v")))
    visitor = decode_one("orders", packed({**without("user_id"), "visitor_id": "bücher"}))
    assert isinstance(both, events.Order)
    assert isinstance(visitor, events.Order)
    assert (events.key_of(both), events.key_of(visitor)) == (b"u-12345", "bücher".encode())


def test_an_event_without_a_key_names_the_remedy() -> None:
    with pytest.raises(ValueError, match="'e' has neither user_id nor visitor_id"):
        events.key_of(events.PageView("e", "2026-01-15T12:34:56Z"))


def test_what_is_written_is_what_is_read() -> None:
    for topic, kind in (("orders", "purchase"), ("cart", "update_cart"), ("labels", "review_outcome")):
        event = decode_one(topic, packed(minimal(topic, kind)))
        assert decode_one(topic, msgspec.json.encode(event)) == event
