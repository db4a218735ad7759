"""What an order to be assessed must be like, for the description: the schema of `orders`, less what is filled in."""

from __future__ import annotations

from typing import Any, Final

from schemas import jsonschema

FILLED: Final = frozenset({"event_id", "event_time"})
ORDER: Final = {
    "type": "purchase", "order_id": "o-1", "user_id": "u-1", "session_id": "s-1", "value": 61.0, "currency": "EUR",
    "items": [{"item_id": "p-1", "item_name": "Lamp", "item_category": "Home", "price": 30.5, "quantity": 2}],
    "card_id": "c-1", "device_id": "d-1", "ip": "10.0.0.1", "merchant_id": "m-1",
}  # fmt: skip


def order_body(own: bool) -> dict[str, Any]:
    """The request's body, for OpenAPI; of definitions of one's own (`own`) nobody knows the shape."""
    schema: dict[str, Any] = {"type": "object"} if own else _order()
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema, "example": ORDER}}}}


def _order() -> dict[str, Any]:
    """Without references: they would be looked for in the whole description."""
    drawn = jsonschema.schemas()["orders"]
    order: dict[str, Any] = _inlined(drawn["$defs"]["Order"], drawn["$defs"])
    return order | {"required": [name for name in order["required"] if name not in FILLED]}


def _inlined(node: Any, defined: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_inlined(inner, defined) for inner in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _inlined(defined[node["$ref"].rpartition("/")[2]], defined)
    return {name: _inlined(inner, defined) for name, inner in node.items()}
