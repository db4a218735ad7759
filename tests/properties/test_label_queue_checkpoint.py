"""Killed at any request, with its checkpoint as it was, older, cut off or gone: `matured` is that of one clean pass.

The queue, its feed, its release and its checkpoints are those of `headrace learn`; the broker is a few lists that grow.
"""

from __future__ import annotations

import asyncio
import io
from collections import defaultdict
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from archive.columns import Row
from schemas.decisions import DecisionLog, Model, Thresholds, encode
from schemas.ids import decision_id
from schemas.matured import Matured, decode_matured, key_of
from schemas.timestamps import rfc3339
from streams.learner import checkpoint, queueing
from streams.learner.checkpoint import PATH, About, BadCheckpointError, Checkpoints, read
from streams.learner.feed import DECISIONS, LABELS, Accepted, Feed, sources_of
from streams.learner.metrics import LearnerMetrics
from streams.learner.queue import Ages
from streams.learner.queueing import Queueing
from streams.transport.log import Chunk
from streams.transport.output import Output

BEGAN_MS = 1_800_000_000_000
AGES = Ages(mature_ms=10_000, follow_ms=30_000)
ACCEPTED = Accepted(late_ms=10**9, future_ms=10**9)
PARTITIONS = {DECISIONS: 3, LABELS: 2}
ABOUT = About({"matured": ("id", 1)}, "f" * 16, AGES.mature_ms, AGES.follow_ms, 10**9, 10**9, ["USD"])
FOR_EVER_S = 1e9


class Killed(BaseException):
    """The process ends where it stands."""


class Broker:
    """`there`: how much of each partition has been written yet."""

    def __init__(self, logs: dict[tuple[str, int], list[Row]], dice: Random) -> None:
        self._logs, self._dice = logs, dice
        self.there = dict.fromkeys(logs, 0)
        self.matured: list[Row] = []
        self.left = 10**9  # requests until the process is killed
        self.fetched = 0  # records

    def _records(self, topic: str, partition: int) -> Sequence[Row]:
        if topic == "matured":
            return self.matured
        return self._logs[topic, partition][: self.there[topic, partition]]

    def _asked(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        self._asked()
        return 0, len(self._records(topic, partition))

    async def fetch(self, topic: str, partition: int, position: int, *, max_bytes: int) -> Chunk:
        self._asked()
        every = self._records(topic, partition)
        some: Any = every[position : position + self._dice.randint(1, 4)] if max_bytes else []
        self.fetched += len(some)
        return Chunk(some, position + len(some), len(every))

    async def send(self, outputs: Sequence[Output]) -> None:
        """What it was killed in may be written, or some of it."""
        written = len(outputs) if self.left > 0 else self._dice.randint(0, len(outputs))
        self.matured += [Row(len(self.matured) + n, 0, b"", one.value, ()) for n, one in enumerate(outputs[:written])]
        self._asked()

    def told(self) -> list[Matured]:
        """`matured` as readers see it."""
        found: list[Matured] = []
        for row in self.matured:
            one = decode_matured(row.value or b"")
            if not found or key_of(one) > key_of(found[-1]):
                found.append(one)
        return found


class Files:
    """A place of one file, and all that it ever was."""

    def __init__(self) -> None:
        self.now: bytes | None = None
        self.every: list[bytes] = []

    def open(self, path: str) -> io.BytesIO:
        if self.now is None or path != PATH:
            raise FileNotFoundError(path)
        return io.BytesIO(self.now)

    def commit(self, path: str, content: bytes) -> None:
        assert path == PATH
        self.now = content
        self.every.append(content)


def logs(dice: Random) -> dict[tuple[str, int], list[Row]]:
    """Orders that share ids at times and are told twice at times; labels before and after them, of any time."""
    found: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for n in range(dice.randint(5, 40)):
        partition, at_ms = dice.randrange(3), BEGAN_MS + n * 1_000 + dice.randint(-3_000, 3_000)
        value = decided(f"e{n}", f"o{dice.randrange(12)}", at_ms)
        for _ in range(1 + (dice.random() < 0.1)):
            log = found[DECISIONS, partition]
            log.append(Row(len(log), at_ms + 5, b"k", value, ()))
    for n in range(dice.randint(0, 30)):
        log = found[LABELS, dice.randrange(2)]
        at_ms = BEGAN_MS + n * 1_500 + dice.randint(-3_000, 3_000)
        told = {"event_id": f"l{n}", "event_time": rfc3339(at_ms + dice.choice([0, 0, -4_000, 4_000]))}
        told |= {"type": dice.choice(["chargeback", "review_outcome", "refund"]), "order_id": f"o{dice.randrange(12)}"}
        told |= {"fraud": dice.random() < 0.5} if told["type"] == "review_outcome" else {}  # type: ignore[dict-item]  # a body
        log.append(Row(len(log), at_ms, b"k", orjson.dumps(told), ()))
    return {(topic, p): found[topic, p] for topic, count in PARTITIONS.items() for p in range(count)}


def decided(event: str, order: str, at_ms: int) -> bytes:
    log = DecisionLog(
        decision_id(event), order, event, "orders", 0, 0, at_ms, 100, (1.0,), {}, 0.5, "allow", (),
        Thresholds(0.5, 0.9), Model("m", "1"), "c", "f" * 16, False,
    )  # fmt: skip
    return encode(log)


async def process(broker: Any, files: Any, *, once: bool, about: About = ABOUT) -> None:
    """One process until it has settled all, or is killed."""
    metrics = LearnerMetrics(CollectorRegistry())
    feed = Feed(broker, sources_of(PARTITIONS), ACCEPTED, idle_s=FOR_EVER_S, once=once)
    checkpoints = Checkpoints(files, about, 0.0, metrics)
    await Queueing(broker, broker, feed, AGES, metrics, checkpoints, once=once).run()


@pytest.fixture(autouse=True, scope="module")
def nothing_is_waited_for() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "SHARE", 0)
        patch.setattr(checkpoint, "LATER_S", 0.0)
        patch.setattr(queueing, "POLL_S", 0.0)
        yield


async def clean(every: dict[tuple[str, int], list[Row]]) -> list[Matured]:
    broker = Broker(every, Random(0))
    broker.there = {source: len(log) for source, log in every.items()}
    await process(broker, Files(), once=True)
    return broker.told()


def spoilt(files: Files, dice: Random) -> About:
    """What is found of the checkpoint by the next start, and what that is for."""
    fate = dice.choice(["there", "there", "there", "older", "missing", "cut off", "other features"])
    if fate == "missing":
        files.now = None
    elif fate == "older" and files.every:
        files.now = dice.choice(files.every)
    elif fate == "cut off" and files.now:
        files.now = files.now[: dice.randrange(len(files.now))]
    features = f"{dice.getrandbits(64):016x}" if fate == "other features" else ABOUT.features
    return About(ABOUT.topics, features, *(getattr(ABOUT, name) for name in About.__struct_fields__[2:]))


@given(st.integers(0, 2**32))
@settings(max_examples=25)
def test_killed_anywhere_it_says_what_one_clean_pass_does(seed: int) -> None:
    dice = Random(seed)
    every = logs(dice)

    async def killed_again_and_again() -> list[Matured]:
        broker, files, about = Broker(every, dice), Files(), ABOUT
        for _ in range(dice.randint(1, 5)):
            for source, log in every.items():
                broker.there[source] = dice.randint(broker.there[source], len(log))
            broker.left = dice.randint(0, 150)
            with pytest.raises(Killed):
                await process(broker, files, once=False, about=about)
            about = spoilt(files, dice)
        broker.there, broker.left = {source: len(log) for source, log in every.items()}, 10**9
        await process(broker, files, once=True, about=about)
        return broker.told()

    assert asyncio.run(killed_again_and_again()) == asyncio.run(clean(every))


async def test_a_start_reads_only_what_is_new() -> None:
    every = logs(Random(5))
    broker, files = Broker(every, Random(0)), Files()
    broker.there = {source: len(log) for source, log in every.items()}
    await process(broker, files, once=True)
    said, broker.fetched = broker.told(), 0
    assert len(said) > 10
    await process(broker, files, once=True)
    assert (broker.fetched, broker.told()) == (0, said)
    files.now = None
    await process(broker, files, once=True)
    assert (broker.fetched > len(said), broker.told()) == (True, said)


async def test_a_log_that_lost_records_is_read_from_its_beginning() -> None:
    every = logs(Random(5))
    broker, files = Broker(every, Random(0)), Files()
    broker.there = {source: len(log) for source, log in every.items()}
    await process(broker, files, once=True)
    said, broker.fetched = broker.told(), 0
    broker.there[LABELS, 0] -= 1
    await process(broker, files, once=True)
    assert (broker.fetched > len(said), broker.told()[: len(said)]) == (True, said)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda raw: raw[:0], "it is no checkpoint, or cut off"),
        (lambda raw: raw[:50], "it is no checkpoint, or cut off"),
        (lambda raw: raw[:-1], "it is cut off, or was changed"),
        (lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]), "it is cut off, or was changed"),
        (lambda raw: raw.replace(b"ffff", b"0000"), "it was made for other features"),
        (lambda raw: raw.replace(b'"mature_ms":10000', b'"mature_ms":9999'), "it was made for other mature_ms"),
    ],
)
async def test_one_that_is_not_whole_or_is_for_something_else_is_left_alone(spoil: Any, why: str) -> None:
    every = logs(Random(5))
    broker, files = Broker(every, Random(0)), Files()
    broker.there = {source: len(log) for source, log in every.items()}
    await process(broker, files, once=True)
    assert files.now is not None
    with pytest.raises(BadCheckpointError, match=why):
        read(spoil(files.now), ABOUT)
