"""Events in: GA4's e-commerce names, what payments need, and the labels that come later.

One frozen shape per `type`, a tagged union per topic. Only what a shop always has is required; every other field may be
missing or null. Unknown fields are no error: the original bytes travel on, and these structs are only our view of them.
`gc=False` keeps a batch of them off the garbage collector's lists. Limits: ids of 1-256 characters without control
characters (checked in `schemas.decode`: a pattern a field would cost more than the whole record), 1-500 items,
quantity 1-100,000, price and value finite and 0-1e9. Money is in major units here, as shops write it; `schemas.money`
makes integers of it. The price: `event_time` stays text until `schemas.timestamps` reads the whole batch at once.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from schemas.money import MAX_VALUE

MAX_ID_CHARACTERS = 256
MAX_ITEMS = 500
MAX_QUANTITY = 100_000
ID_PATTERN = r"^[^\u0000-\u001f\u007f-\u009f]*$"  # no control characters, C0, DEL or C1
TIME_PATTERN = (
    r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"(\.[0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)

Id = Annotated[
    str, Meta(min_length=1, max_length=MAX_ID_CHARACTERS, extra_json_schema={"pattern": ID_PATTERN, "x-id": True})
]
Time = Annotated[
    str, Meta(description="RFC 3339 with an offset", extra_json_schema={"format": "date-time", "pattern": TIME_PATTERN})
]
Currency = Annotated[
    str, Meta(description="ISO 4217; must be in the rate table", extra_json_schema={"pattern": "^[A-Z]{3}$"})
]
Amount = Annotated[float, Meta(ge=0, le=MAX_VALUE, description="major units: 12.5 is twelve and a half euros")]
Quantity = Annotated[int, Meta(ge=1, le=MAX_QUANTITY)]


class Item(Struct, gc=False, frozen=True):
    """One line of a purchase."""

    item_id: Id
    price: Amount
    quantity: Quantity
    item_name: str | None = None
    item_category: str | None = None
    item_brand: str | None = None
    item_variant: str | None = None


class Product(Struct, gc=False, frozen=True):
    """A product that was looked at or put into a cart. No price: unknown, counts as 0; no quantity: 1."""

    item_id: Id
    price: Amount | None = None
    quantity: Quantity | None = None
    item_name: str | None = None
    item_category: str | None = None
    item_brand: str | None = None
    item_variant: str | None = None


Items = Annotated[list[Item], Meta(min_length=1, max_length=MAX_ITEMS)]
Products = Annotated[list[Product], Meta(min_length=1, max_length=MAX_ITEMS)]


class Event(Struct, gc=False, frozen=True, tag_field="type"):
    """What every event has. The record's key is `user_id`, else `visitor_id`; at least one must be there."""

    event_id: Id
    event_time: Time

    user_id: Id | None = None
    visitor_id: Id | None = None
    session_id: Id | None = None


class Order(Event, gc=False, frozen=True, tag="purchase", kw_only=True):
    """A purchase, before it is accepted: the event that is scored."""

    order_id: Id
    value: Amount
    currency: Currency
    items: Items
    card_id: Id | None = None  # a token, never a card number
    device_id: Id | None = None
    ip: Id | None = None
    merchant_id: Id | None = None
    email_hash: Id | None = None
    address_hash: Id | None = None
    billing_country: str | None = None
    shipping_country: str | None = None
    payment_method: str | None = None


class Visit(Event, gc=False, frozen=True, kw_only=True):
    """What events of `clickstream` may have besides. No currency: the base currency."""

    device_id: Id | None = None
    ip: Id | None = None
    value: Amount | None = None
    currency: Currency | None = None
    items: Products | None = None
    page_location: str | None = None
    page_referrer: str | None = None
    page_title: str | None = None
    user_agent: str | None = None
    country: str | None = None


class PageView(Visit, gc=False, frozen=True, tag="page_view", kw_only=True):
    """A page was shown."""


class ViewItem(Visit, gc=False, frozen=True, tag="view_item", kw_only=True):
    """A product's page was shown."""


class ViewItemList(Visit, gc=False, frozen=True, tag="view_item_list", kw_only=True):
    """A list of products was shown."""

    item_list_id: Id | None = None
    item_list_name: str | None = None


class SelectItem(Visit, gc=False, frozen=True, tag="select_item", kw_only=True):
    """A product was clicked in a list."""

    item_list_id: Id | None = None
    item_list_name: str | None = None


class ViewPromotion(Visit, gc=False, frozen=True, tag="view_promotion", kw_only=True):
    """A promotion was shown."""

    promotion_id: Id | None = None


class SelectPromotion(Visit, gc=False, frozen=True, tag="select_promotion", kw_only=True):
    """A promotion was clicked."""

    promotion_id: Id | None = None


class Search(Visit, gc=False, frozen=True, tag="search", kw_only=True):
    """The shop was searched."""

    search_term: str | None = None


class Login(Visit, gc=False, frozen=True, tag="login", kw_only=True):
    """A login that worked."""

    method: str | None = None


class LoginFailed(Visit, gc=False, frozen=True, tag="login_failed", kw_only=True):
    """A login that did not."""

    method: str | None = None
    failure: str | None = None


class SignUp(Visit, gc=False, frozen=True, tag="sign_up", kw_only=True):
    """A new account."""

    method: str | None = None
    email_hash: Id | None = None


class AccountChanged(Visit, gc=False, frozen=True, tag="account_changed", kw_only=True):
    """Password, e-mail, address or payment data of an account were changed."""

    changed: list[str] | None = None
    email_hash: Id | None = None
    address_hash: Id | None = None


class Cart(Event, gc=False, frozen=True, kw_only=True):
    """What events of `cart` may have besides. No currency: the base currency."""

    device_id: Id | None = None
    ip: Id | None = None
    value: Amount | None = None
    currency: Currency | None = None
    items: Products | None = None
    coupon: str | None = None


class AddToCart(Cart, gc=False, frozen=True, tag="add_to_cart", kw_only=True):
    """Products were put into the cart."""


class RemoveFromCart(Cart, gc=False, frozen=True, tag="remove_from_cart", kw_only=True):
    """Products were taken out of the cart."""


class UpdateCart(Cart, gc=False, frozen=True, tag="update_cart", kw_only=True):
    """Quantities were changed: `items` and `value` are the whole cart afterwards."""


class ViewCart(Cart, gc=False, frozen=True, tag="view_cart", kw_only=True):
    """The cart was shown."""


class AddToWishlist(Cart, gc=False, frozen=True, tag="add_to_wishlist", kw_only=True):
    """Products were put on the wish list."""


class BeginCheckout(Cart, gc=False, frozen=True, tag="begin_checkout", kw_only=True):
    """The checkout was begun."""


class AddShippingInfo(Cart, gc=False, frozen=True, tag="add_shipping_info", kw_only=True):
    """A shipping address was given."""

    shipping_country: str | None = None
    address_hash: Id | None = None


class AddPaymentInfo(Cart, gc=False, frozen=True, tag="add_payment_info", kw_only=True):
    """A means of payment was given."""

    card_id: Id | None = None
    billing_country: str | None = None
    payment_method: str | None = None


class PaymentDeclined(Cart, gc=False, frozen=True, tag="payment_declined", kw_only=True):
    """The bank or the payment service said no."""

    order_id: Id | None = None
    card_id: Id | None = None
    merchant_id: Id | None = None
    payment_method: str | None = None
    decline_code: str | None = None


class Label(Event, gc=False, frozen=True, kw_only=True):
    """What became of an order. The user may be missing: a bank knows the order only, and its id is then the key."""

    order_id: Id
    value: Amount | None = None
    currency: Currency | None = None
    card_id: Id | None = None
    merchant_id: Id | None = None


class Chargeback(Label, gc=False, frozen=True, tag="chargeback", kw_only=True):
    """The payment was taken back; `reason_code` as the card scheme says."""

    reason_code: str | None = None


class ReviewOutcome(Label, gc=False, frozen=True, tag="review_outcome", kw_only=True):
    """A reviewer's answer."""

    fraud: bool
    reviewer_id: Id | None = None


class Refund(Label, gc=False, frozen=True, tag="refund", kw_only=True):
    """Money was given back, in whole or in part."""

    items: Products | None = None


class OrderCancelled(Label, gc=False, frozen=True, tag="order_cancelled", kw_only=True):
    """The order was cancelled before it was shipped."""

    cancelled_by: str | None = None


Clickstream = (
    PageView
    | ViewItem
    | ViewItemList
    | SelectItem
    | ViewPromotion
    | SelectPromotion
    | Search
    | Login
    | LoginFailed
    | SignUp
    | AccountChanged
)
Carts = (
    AddToCart
    | RemoveFromCart
    | UpdateCart
    | ViewCart
    | AddToWishlist
    | BeginCheckout
    | AddShippingInfo
    | AddPaymentInfo
    | PaymentDeclined
)
Labels = Chargeback | ReviewOutcome | Refund | OrderCancelled


def type_of(event: Event) -> str:
    """The event's `type` on the wire."""
    return str(event.__struct_config__.tag)


def key_of(event: Event) -> bytes:
    """The record's key: `user_id`, else `visitor_id`, else (a label from a bank) `order_id`; UTF-8."""
    key = event.user_id or event.visitor_id or (event.order_id if isinstance(event, Label) else None)
    if key is None:
        raise ValueError(f"event {event.event_id!r} has neither user_id nor visitor_id: give one of them")
    return key.encode()
