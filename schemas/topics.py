"""The registry of topics: name, key, partitions, retention, size limit, who writes and who reads.

The idea: `headrace topics create`, the checks at start and the docs all read this one table. Inputs accept 12 MB at the
broker although a record over 1 MB is refused, so that an oversized record becomes a dead letter that can be looked at
instead of an error in somebody's producer; a dead letter carries the original bytes, so its topics take more than any
input. The price: a broker must allow 16 MB records (`max.message.bytes` of the topic, not of the cluster).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

DAY_MS = 86_400_000
FOREVER_MS = -1  # Kafka's retention.ms for "never"
MAX_RECORD_BYTES = 1_000_000  # of an event's value; over it: dead letter `too_large`
INPUT_MESSAGE_BYTES = 12_000_000
OUTPUT_MESSAGE_BYTES = 4_000_000
DEAD_LETTER_MESSAGE_BYTES = 16_000_000
DEAD_LETTERS = ".dlq"
ARCHIVE = "headrace archive"

Cleanup = Literal["delete", "compact"]


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic. `partitions` is None where the settings' count holds."""

    name: str
    key: str
    partitions: int | None
    retention_ms: int
    cleanup: Cleanup
    max_message_bytes: int
    writer: str
    readers: tuple[str, ...]
    doc: str
    archived: bool = True  # whether `headrace archive` keeps it; a dead letter's record is in its input's files

    def config(self) -> dict[str, str]:
        """The topic's settings as Kafka spells them."""
        return {
            "cleanup.policy": self.cleanup,
            "retention.ms": str(self.retention_ms),
            "max.message.bytes": str(self.max_message_bytes),
        }


def dead_letters_of(topic: str) -> str:
    """The dead-letter topic of an input."""
    return topic + DEAD_LETTERS


def _input(name: str, retention_days: int, doc: str) -> Topic:
    key = "user_id, else visitor_id, else order_id"
    readers = ("headrace worker", "headrace audit", "headrace state rebuild", ARCHIVE)
    return Topic(name, key, None, retention_days * DAY_MS, "delete", INPUT_MESSAGE_BYTES, "the shop", readers, doc)


def _output(name: str, key: str, retention_ms: int, readers: tuple[str, ...], doc: str) -> Topic:
    everyone = (*readers, ARCHIVE)
    return Topic(name, key, None, retention_ms, "delete", OUTPUT_MESSAGE_BYTES, "headrace worker", everyone, doc)


def dead_letter_topic(source: str) -> Topic:
    """The registry entry of an input's dead letters."""
    return Topic(
        dead_letters_of(source),
        "as the record had it",
        None,
        30 * DAY_MS,
        "delete",
        DEAD_LETTER_MESSAGE_BYTES,
        "headrace worker",
        ("headrace dlq",),
        f"Records of `{source}` that could not be used: key, value and headers as they came, the reason in `dlq-*`.",
        archived=False,
    )


_INPUT_TOPICS = (
    _input("orders", 400, "Purchases: one record per order, scored."),
    _input("clickstream", 90, "What visitors look at: pages, products, searches, logins."),
    _input("cart", 90, "Carts and checkouts: add, remove, update, begin checkout, payment declined."),
    _input("labels", 400, "What became of orders: chargebacks, outcomes of reviews, refunds, cancellations."),
    Topic(
        "outcomes",
        "user_id, else visitor_id",
        None,
        400 * DAY_MS,
        "delete",
        INPUT_MESSAGE_BYTES,
        "headrace worker",
        ("headrace worker", "headrace audit", "headrace state rebuild", ARCHIVE),
        "What became of orders, with the orders' own ids: a label and its order, once both are there. Workers read it "
        "back.",
    ),
)

INPUTS: tuple[str, ...] = tuple(topic.name for topic in _INPUT_TOPICS)
"""The topics that workers consume, in registry order. `applied` depends on this order: append, never insert."""

WRITTEN_INPUTS: tuple[str, ...] = tuple(topic.name for topic in _INPUT_TOPICS if topic.writer == "headrace worker")
"""Those of them that workers write themselves: nobody else does."""

_OUTPUT_TOPICS = (
    _output(
        "fraud",
        "user_id, else visitor_id",
        FOREVER_MS,
        ("the shop",),
        "One decision for every accepted order, for ever.",
    ),
    _output(
        "decisions",
        "user_id, else visitor_id",
        400 * DAY_MS,
        ("headrace explain", "headrace learn"),
        "Our log of the same orders: vector, each member's score, configuration.",
    ),
    Topic(
        "applied",
        "none: the partition says which input partition it is",
        None,
        400 * DAY_MS,
        "delete",
        OUTPUT_MESSAGE_BYTES,
        "headrace worker",
        ("headrace worker", "headrace audit", "headrace state rebuild", ARCHIVE),
        "One row per range of an input partition: bounds, configuration, exceptions, each shard's number. "
        "Exactly one partition per input partition.",
    ),
    _output(
        "anomalies",
        "user_id, else visitor_id",
        90 * DAY_MS,
        ("the shop",),
        "Sessions that look like bots or cart stuffing, or like few others, and why.",
    ),
    Topic(
        "models",
        "`deployment`, or `configuration:` and its id",
        1,
        FOREVER_MS,
        "compact",
        DEAD_LETTER_MESSAGE_BYTES,
        "headrace worker, headrace models",
        ("headrace worker", "headrace explain", ARCHIVE),
        "Which models are in force, told at each change, and what each configuration is made of that a decision names.",
    ),
    Topic(
        "sessions",
        "session_id",
        1,
        90 * DAY_MS,
        "delete",
        OUTPUT_MESSAGE_BYTES,
        "headrace worker",
        ("headrace learn", ARCHIVE),
        "What sessions looked like at their 4th, 8th, 16th, ... event: of these is learned which are usual.",
    ),
    Topic(
        "matured",
        "decision_id",
        1,
        400 * DAY_MS,
        "delete",
        OUTPUT_MESSAGE_BYTES,
        "headrace learn",
        ("headrace learn", ARCHIVE),
        "What became of each order, with the vector that it was decided by, in the order in which it was known.",
    ),
)

TOPICS: dict[str, Topic] = {
    topic.name: topic for topic in (*_INPUT_TOPICS, *_OUTPUT_TOPICS, *map(dead_letter_topic, INPUTS))
}


def registry_of(inputs: Sequence[str], outputs: Sequence[str] = ()) -> dict[str, Topic]:
    """The registry of somebody's own definitions: their inputs and outputs, `applied`, `models` and dead letters."""
    own = [
        _output(name, "as the adapter has it", 90 * DAY_MS, (), "An output of your own definitions.")
        for name in outputs
    ]
    own += [_input(name, 90, "An input of your own definitions.") for name in inputs]
    known = TOPICS | {topic.name: topic for topic in own}
    named = dict.fromkeys((*inputs, *outputs, "applied", "models"))
    dead = {topic.name: topic for topic in map(dead_letter_topic, inputs)}
    return {name: TOPICS.get(name, known[name]) for name in named if name not in dead} | dead


def partitions_of(topic: Topic, partitions: int, inputs: Sequence[str] = INPUTS) -> int:
    """How many partitions a topic gets where inputs have `partitions`."""
    return applied_partitions(partitions, inputs) if topic.name == "applied" else topic.partitions or partitions


def applied_partitions(partitions: int, inputs: Sequence[str] = INPUTS) -> int:
    """The partitions of `applied`: one for each of the inputs' (`partitions` of each)."""
    return partitions * len(inputs)


def applied_partition(topic: str, partition: int, inputs: Sequence[str] = INPUTS) -> int:
    """Where an input partition's rows go.

    Partition by partition, not topic by topic: when the inputs get more partitions, the old ones keep their places.
    """
    try:
        return partition * len(inputs) + inputs.index(topic)
    except ValueError:
        raise KeyError(f"topic {topic!r} is no input: want one of {', '.join(inputs)} (schemas/topics.py)") from None
