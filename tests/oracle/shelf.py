"""A store of bags in plain Python: it stamps, appends and swaps like the real one, blind to what they mean."""

from __future__ import annotations

from dataclasses import dataclass, field

ENTRY = 32


@dataclass
class Shelf:
    number: int = 1_000_000
    bags: dict[str, bytes] = field(default_factory=dict)

    def apply(self, payloads: dict[str, bytes]) -> tuple[int, dict[str, bytes | None]]:
        """One range: the bags as they were, and the number that its entries are stamped with."""
        self.number += 7
        stamp = self.number.to_bytes(8, "big")
        before = {key: self.bags.get(key) for key in payloads}
        for key, payload in payloads.items():
            entries = [stamp + payload[i : i + ENTRY] for i in range(0, len(payload), ENTRY)]
            if entries:
                self.bags[key] = self.bags.get(key, b"") + b"".join(entries)
        return self.number, before

    def swap(self, key: str, prefix: bytes, replacement: bytes) -> None:
        bag = self.bags[key]
        assert bag.startswith(prefix)
        self.bags[key] = replacement + bag[len(prefix) :]
