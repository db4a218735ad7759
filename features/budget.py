"""Budget: how many bytes the bags of a group come to, made from representative ones and not from formulas.

A sample of entities is drawn, each with the times of its events: entities differ in how busy they are (Zipf, `skew`),
an entity's events come independently of each other (Poisson), and its bag dies where nobody touched it for its time
to live. Their entries are packed, appended and compacted by the code that workers run, so a change of an entry, a tile
or the rule of compaction changes the prediction at once. What memory it takes is for streams/stores/memory.py to say.

The price: a second of CPU for each group; and what nobody told is a guess, such as how many cards a user has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from features.bag import ENTRY_WORDS
from features.columns import HASH_MASK
from features.compact import compact
from features.entry import pack
from features.feature import ANY_KIND
from features.group import Group
from features.logscale import place
from features.window import DAY_MS

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

ENTRY = ENTRY_WORDS * 8
NOW_MS = 1_800_000_000_000
SAMPLES = 1_200  # of each group: the mean then stands within 2 %
MOST_DRAWS = 4  # of one entity
MOST_EVENTS = 4_000  # of one sampled bag: of the busiest, what is older than these is thinned out
NOTABLE = 3_000  # bytes of entries, above which a bag is looked at by every range (streams/growth.py)
MOST_RAW = NOTABLE // ENTRY + 1
FEW = 8  # counterparties of an entity where nobody told how many


@dataclass(frozen=True)
class Population:
    """Entities that stay: `count` of them have `events_a_day` together, the busiest k-th of them its share / k^skew.

    `deals`: how many different counterparties of each kind an entity deals with; FEW where it is not told.
    """

    count: float
    events_a_day: float
    skew: float = 0.8
    deals: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Visits:
    """Entities that come once: `a_day` of them, each with `events` on average within `span_ms`."""

    a_day: float
    events: float
    span_ms: int = 20 * 60_000
    deals: Mapping[str, float] = field(default_factory=dict)


class Sample(NamedTuple):
    """Bags of sampled entities, (m,) each; those of entities that have none are left out."""

    weight: Floats  # how many entities one stands for
    length: Ints  # bytes of the bag
    written: Ints  # bytes that compaction wrote, or the first entry: what came after was appended, entry by entry

    @property
    def keys(self) -> float:
        return float(self.weight.sum())

    @property
    def mean(self) -> float:
        """Bytes of a bag."""
        return float((self.weight * self.length).sum() / max(self.keys, 1e-9))

    def quantile(self, share: float) -> int:
        """Bytes that this share of the bags does not pass."""
        order = np.argsort(self.length)
        reached = np.cumsum(self.weight[order]) >= share * self.keys
        return int(self.length[order][reached][0]) if len(order) else 0


class Times(NamedTuple):
    """The events of sampled entities: `owner` ascends, then `age_ms` falls."""

    weight: Floats  # (m,)
    owner: Ints
    age_ms: Ints


def sampled(
    group: Group,
    of: Population | Visits,
    ttl_ms: int,
    since_ms: int,
    wait: float = 1.0,
    seed: int = 7,
    samples: int = SAMPLES,
) -> Sample:
    """Bags as they are after the system ran for `since_ms`; one that nobody touched for `ttl_ms` is gone.

    A bag over its cap is looked at by one of `wait` ranges that touch it.
    """
    rng = np.random.default_rng(seed)
    if isinstance(of, Population):
        times = _staying(rng, group, of, ttl_ms, since_ms, samples)
    else:
        times = _coming(rng, of, ttl_ms, since_ms, samples)
    if not len(times.weight):
        return Sample(times.weight, np.zeros(0, np.int64), np.zeros(0, np.int64))
    return Sample(times.weight, *_grown(group, _entries(rng, group, times, of.deals), wait, rng))


# ---- when events come


def _staying(rng: np.random.Generator, group: Group, of: Population, ttl_ms: int, since_ms: int, samples: int) -> Times:
    ranks, stands_for = _ranks(max(int(of.count), 1), samples)
    shares = ranks.astype(np.float64) ** -of.skew
    rate = of.events_a_day / DAY_MS * shares / (stands_for * shares).sum()  # events a ms
    alive = -np.expm1(-rate * min(ttl_ms, since_ms))
    here = alive > 0
    ages = [_ages(rng, r, group.longest_ms, ttl_ms, since_ms) for r in rate[here].tolist()]
    return _times((stands_for * alive)[here], ages)


def _ranks(count: int, samples: int) -> tuple[Ints, Floats]:
    """Sampled ranks of 1 to `count`, and how many each stands for: every one of the busiest, then wider apart.

    Where there are few, each is drawn several times: one draw of 300 bags scatters by 4 %.
    """
    few = np.geomspace(1, count, samples // 4), np.linspace(1, count, 3 * samples // 4)
    ranks = np.unique(np.rint(np.concatenate(few)).astype(np.int64))
    middles = (ranks[1:] + ranks[:-1]) / 2
    edges = np.concatenate(([0.5], middles, [count + 0.5]))
    draws = min(max(samples // count, 1), MOST_DRAWS)
    return np.repeat(ranks, draws), np.repeat(np.diff(edges) / draws, draws)


def _ages(rng: np.random.Generator, rate: float, longest_ms: int, ttl_ms: int, since_ms: int) -> Floats:
    """Ages of the events of an entity that is alive, newest first: back to where it was dead, or to the beginning."""
    first = -np.log1p(rng.random() * np.expm1(-rate * min(ttl_ms, since_ms))) / rate
    expected = rate * min(since_ms, 8 * (longest_ms + ttl_ms))
    if expected <= MOST_EVENTS:
        gaps = rng.exponential(1 / rate, int(expected + 6 * expected**0.5 + 12))
    else:  # the newest as they are, then so thin that the rest reaches behind the longest window
        rest = max(2 * (longest_ms - MOST_EVENTS / 2 / rate) / MOST_EVENTS, 1 / rate)
        gaps = np.concatenate([rng.exponential(mean, MOST_EVENTS // 2) for mean in (1 / rate, rest * 1.2)])
    dead = np.flatnonzero(gaps > ttl_ms)
    ages = first + np.concatenate(([0.0], np.cumsum(gaps[: dead[0]] if len(dead) else gaps)))
    found: Floats = ages[ages < since_ms]
    return found


def _coming(rng: np.random.Generator, of: Visits, ttl_ms: int, since_ms: int, samples: int) -> Times:
    stay = min(ttl_ms, since_ms)
    ended = rng.random(samples) * stay
    counts = 1 + rng.poisson(max(of.events - 1, 0.0), samples)
    ages = [np.sort(age + np.append(0.0, rng.random(n - 1) * of.span_ms)) for age, n in zip(ended, counts, strict=True)]
    return _times(np.full(samples, of.a_day * stay / DAY_MS / samples), ages)


def _times(weight: Floats, ages: list[Floats]) -> Times:
    counts = [len(one) for one in ages]
    age = np.concatenate([one[::-1] for one in ages]) if ages else np.zeros(0)
    return Times(weight, np.repeat(np.arange(len(ages)), counts), age.astype(np.int64))


# ---- what they leave


def _entries(rng: np.random.Generator, group: Group, times: Times, deals: Mapping[str, float]) -> list[bytes]:
    """The entries of each entity, stamped one after the other."""
    n = len(times.owner)
    amount = np.rint(rng.lognormal(8.0, 0.8, n)).astype(np.int64)
    others = [_others(rng, times.owner, deals.get(other, FEW)) for other in group.others]
    stamped = np.empty((n, ENTRY_WORDS), "<i8")
    stamped[:, 0] = np.arange(1, n + 1).astype(">i8").view("<i8")
    stamped[:, 1:] = pack(group, NOW_MS - times.age_ms, amount, np.full(n, ANY_KIND), place(amount), others)
    blob = stamped.tobytes()
    ends = np.bincount(times.owner, minlength=len(times.weight)).cumsum() * ENTRY
    return [blob[a:b] for a, b in zip([0, *ends.tolist()], ends.tolist(), strict=False)]


def _others(rng: np.random.Generator, owner: Ints, different: float) -> Ints:
    """Hashes of counterparties, each of an entity's own `different` ones."""
    drawn = owner * 1_000_003 + np.floor(rng.random(len(owner)) * max(different, 1.0)).astype(np.int64)
    mixed = (drawn.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(34)
    hashed: Ints = np.maximum(mixed.astype(np.int64) & HASH_MASK, 1)
    return hashed


def _grown(group: Group, entries: list[bytes], wait: float, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """(m,) lengths of the bags once all entries were appended, and what of it was written in one piece."""
    bags: list[bytes] = [b""] * len(entries)
    at, raw = np.zeros(len(entries), np.int64), np.zeros(len(entries), np.int64)
    left = np.array([len(one) // ENTRY for one in entries])
    written = np.full(len(entries), ENTRY)
    while (open_ := np.flatnonzero(left)).size:
        full_at = np.minimum(group.cap + rng.geometric(1 / wait, len(open_)), MOST_RAW)
        take = np.minimum(left[open_], np.maximum(full_at - raw[open_], 1))
        for one, count in zip(open_.tolist(), take.tolist(), strict=True):
            bags[one] += entries[one][at[one] * ENTRY : (at[one] + count) * ENTRY]
        at[open_] += take
        raw[open_] += take
        left[open_] -= take
        full = open_[left[open_] > 0]  # those that the next event finds over their cap
        made = compact(group, [bags[place] for place in full.tolist()], np.full(len(full), 1 << 62, np.uint64))
        for one, done in zip(full.tolist(), made, strict=True):
            if done is not None:
                kept = bags[one][len(done.prefix) :]
                bags[one] = done.replacement + kept
                raw[one] = (len(bags[one]) - _folded(group, bags[one])) // ENTRY
                written[one] = len(bags[one]) + ENTRY  # the swap follows the event that found it
    return np.array([len(bag) for bag in bags]), written


def _folded(group: Group, bag: bytes) -> int:
    """Bytes of a compacted bag before its entries."""
    tiles, others = int.from_bytes(bag[2:4], "little"), int.from_bytes(bag[4:6], "little")
    return 8 * (3 + tiles * group.tile_words + others)


# ---- the largest there can be


def largest_bag(group: Group) -> int:
    """Bytes of the bag of an entity that has an event in every tile of every window, each with strangers.

    With the entries that may lie on top of it before they are folded, but for those that cannot be yet.
    """
    ages = np.unique(np.concatenate([_every(width, group) for width in group.ladder] + [_evenly(group)]))[::-1]
    n = len(ages)
    rng = np.random.default_rng(7)
    times = Times(np.ones(1), np.zeros(n, np.int64), ages)
    (entries,) = _entries(rng, group, times, dict.fromkeys(group.others, 1e9))
    (done,) = compact(group, [entries], np.full(1, 1 << 62, np.uint64))
    folded = 0 if done is None else len(done.replacement) + len(entries) - len(done.prefix)
    return folded + max(group.cap + 1, MOST_RAW) * ENTRY


def _every(width_ms: int, group: Group) -> Ints:
    """Ages of one event in each tile of a width, as far back as windows of this width or a coarser one need it."""
    windows = (*group.summed, *group.counted)
    reach = max((w.reach_ms for w in windows if w.tiles and w.tile_ms <= width_ms), default=0) + group.grace_ms
    return np.arange(0, min(reach, group.longest_ms) + width_ms, width_ms, dtype=np.int64)


def _evenly(group: Group) -> Ints:
    """Ages spread over the longest window, so that many strangers were seen in each."""
    return np.linspace(0, group.longest_ms, MOST_EVENTS).astype(np.int64)
