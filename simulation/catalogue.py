"""What the shop sells: products with names a reader can picture, priced per category, bought by popularity.

Popularity follows Zipf's law, as in shops: a few products take most of the views.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from itertools import accumulate
from random import Random

# category -> nouns, lowest and highest price in cents
SHELVES: dict[str, tuple[tuple[str, ...], int, int]] = {
    "Kitchen": (("kettle", "pan", "teapot", "knife", "bread bin"), 900, 9_000),
    "Lighting": (("desk lamp", "lantern", "floor lamp", "string lights"), 1_500, 18_000),
    "Garden": (("watering can", "spade", "planter", "bird house"), 700, 12_000),
    "Electronics": (("headphones", "tablet", "camera", "speaker", "phone"), 4_900, 120_000),
    "Clothing": (("jumper", "rain coat", "scarf", "cap", "boots"), 1_200, 16_000),
    "Toys": (("kite", "puzzle", "train set", "plush bear"), 600, 8_000),
    "Books": (("atlas", "novel", "cookbook", "sketchbook"), 500, 5_000),
    "Gift cards": (("gift card",), 1_000, 20_000),
}
ADJECTIVES = ("walnut", "copper", "folding", "linen", "slate", "bright", "quiet", "alpine", "velvet", "little", "oak")


@dataclass(frozen=True, slots=True)
class Product:
    item_id: str
    name: str
    category: str
    price_cents: int

    def line(self, quantity: int) -> dict[str, object]:
        """The product as an entry of `items[]`."""
        return {
            "item_id": self.item_id,
            "item_name": self.name,
            "item_category": self.category,
            "price": self.price_cents / 100,
            "quantity": quantity,
        }


class Catalogue:
    """`products` by popularity, the best seller first."""

    def __init__(self, random: Random, size: int) -> None:
        self.products = tuple(_product(random, number) for number in range(size))
        self._reach = list(accumulate(1 / rank for rank in range(1, size + 1)))
        dear = sorted(self.products, key=lambda product: product.price_cents)
        self._dear, self._cheap = dear[-max(1, size // 20) :], dear[: max(1, size // 20)]

    def pick(self, random: Random) -> Product:
        """A product as customers pick it."""
        return self.products[bisect_left(self._reach, random.random() * self._reach[-1])]

    def pick_dear(self, random: Random) -> Product:
        """One of the most expensive products: what a thief resells."""
        return self._dear[int(random.random() * len(self._dear))]

    def pick_cheap(self, random: Random) -> Product:
        """One of the cheapest products: what a card is tested with."""
        return self._cheap[int(random.random() * len(self._cheap))]


def _product(random: Random, number: int) -> Product:
    category = list(SHELVES)[number % len(SHELVES)]
    nouns, low, high = SHELVES[category]
    noun = nouns[int(random.random() * len(nouns))]
    adjective = ADJECTIVES[int(random.random() * len(ADJECTIVES))]
    price = int(low * (high / low) ** random.random())
    return Product(f"sku-{number:05d}", f"{adjective.capitalize()} {noun}", category, price)
