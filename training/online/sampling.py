"""Sampling: learn each fraud, and of the goods one in so many; correct the odds by as much.

Frauds are one order in a hundred, and a good one teaches little after the ten-thousandth. With `rate` .05 a learner
does a tenth of the work and sees classes of about equal size. The odds that it then learns are 1/rate times too high,
for every order alike, so a score's odds times `rate` are right again (Elkan, "The foundations of cost-sensitive
learning", 2001).

Whether the n-th case is learned is a hash of seed and n: no generator need be kept, and a learner that is loaded goes
on as if it had never stopped. A weight makes a case count as so many cases. The price: a fraction of one is rounded up
or down by chance.
"""

from __future__ import annotations

from typing import Final

_MASK: Final = (1 << 64) - 1


class Sampler:
    """How often each case is to be learned."""

    def __init__(self, rate: float, seed: int, seen: int = 0) -> None:
        if not 0 < rate <= 1:
            raise ValueError(f"sampling rate {rate}: want more than 0 and at most 1")
        self.rate, self.seed, self.seen = rate, seed, seen

    def times(self, fraud: bool, weight: float) -> int:
        """How often to learn the next case: on average `weight`, of a good one times `rate`."""
        if not 0 <= weight < 1_000:
            raise ValueError(f"weight {weight} of a case: want 0 to 1,000")
        wanted = weight if fraud else weight * self.rate
        self.seen += 1
        return int(wanted) + (_uniform(self.seed, self.seen) < wanted - int(wanted))


def _uniform(seed: int, n: int) -> float:
    """[0, 1), by the finaliser of splitmix64."""
    z = (seed * 0x9E3779B97F4A7C15 + n * 0xD1342543DE82EF95) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return ((z ^ (z >> 31)) >> 11) / (1 << 53)
