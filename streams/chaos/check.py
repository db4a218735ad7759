"""What must be true after a chaos run: every order decided, the sums add up, the state equal to one clean pass.

A problem names an order wherever there is one to name. The clean pass is one worker over the same log, into an empty
store, with the output topics made anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import msgspec
import orjson

from features.definitions import Definitions
from streams.audit import Report as Audit
from streams.chaos.watch import Partition, Watch
from streams.state import canonical_lines
from streams.stores.valkey import ValkeyStore
from streams.transport.log import LogReader

DIFFERENCES = 5  # that are named
USER = "user_"  # columns that depend on one partition of one topic alone,
OF_LABELS = ("_risk_", "_fraud")  # but for these: labels and outcomes come out of any partition


@dataclass(frozen=True, slots=True)
class Dump:
    """A state, told in canonical lines, in a file."""

    path: Path
    bags: int
    sha256: str


async def write_dump(store: ValkeyStore, definitions: Definitions, path: Path) -> Dump:
    """`headrace state dump` into a file."""
    digest, bags = hashlib.sha256(), 0
    with path.open("wb") as file:
        async for text in canonical_lines(store, definitions):
            file.write(text)
            digest.update(text)
            bags += text.count(b"\n")
    return Dump(path, bags, digest.hexdigest()[:16])


def of_audit(audit: Audit, *, exactly_once: bool, loses_state: bool) -> list[str]:
    """What the sums say, and what they must not say in this kind of run."""
    problems = list(audit.problems)
    parts = (audit.decided, audit.duplicate, audit.conflict, audit.dead, audit.too_late, audit.future, audit.other)
    if audit.consumed != sum(parts):
        problems.append(f"the audit does not add up: {audit.consumed} consumed, {sum(parts)} accounted for")
    if audit.recovered and not loses_state:
        problems.append(f"{audit.recovered} decisions differ from their first copy, though no store lost anything")
    if exactly_once and audit.repeated + audit.recovered:
        problems.append(f"{audit.repeated + audit.recovered} decisions are seen twice by a reader of committed records")
    return problems


async def not_taken(watch: Watch) -> list[str]:
    """Orders that no range has taken although they are in the log: the first of each partition."""
    homes, problems = await watch.homes(), []
    for (topic, number), end in (await watch.ends()).items():
        at = homes[topic, number].position if (topic, number) in homes else 0
        if topic == "orders" and at < end:
            for record in (await watch.reader.read(topic, number, at, min(end - 1, at + 100)))[:1]:
                name = order_id(record.value)
                problems.append(f"order {name} ({topic}/{number} offset {record.offset}): not taken, {end - at} wait")
    return problems


async def differences(reader: LogReader, orders: Sequence[Partition], dirty: Dump, clean: Dump) -> list[str]:
    """The first lines in which two dumps differ, each with an order that touches the entity, if one does."""
    if dirty.sha256 == clean.sha256:
        return []
    entities: dict[str, str] = {}
    with dirty.path.open("rb") as one, clean.path.open("rb") as other:
        for left, right in zip_longest(one, other, fillvalue=b""):
            if left != right:
                entity, text = _difference(left, right)
                entities[entity] = text
                if len(entities) == DIFFERENCES or not (left and right):
                    break
    named = await _orders_of(reader, orders, list(entities))
    return [
        f"state: {text}" + (f" (order {named[entity]} is about it)" if entity in named else "")
        for entity, text in entities.items()
    ]


def _difference(left: bytes, right: bytes) -> tuple[str, str]:
    one, other = (orjson.loads(line) if line else None for line in (left, right))
    if one is None or other is None or (one["group"], one["entity"]) != (other["group"], other["entity"]):
        least = min((each for each in (one, other) if each), key=lambda each: (each["group"], each["entity"]))
        where = "the clean pass" if least is other else "this run"
        return least["entity"], f"{least['group']} {least['entity']!r} is known to {where} alone"
    return one["entity"], f"{one['group']} {one['entity']!r} differs from the clean pass"


async def _orders_of(reader: LogReader, orders: Sequence[Partition], entities: Sequence[str]) -> Mapping[str, str]:
    """An order that mentions each entity."""
    wanted = {entity: orjson.dumps(entity) for entity in entities}
    found: dict[str, str] = {}
    for topic, number in orders if wanted else ():
        async for record in reader.whole(topic, number):
            for entity, quoted in wanted.items():
                if entity not in found and quoted in (record.value or b""):
                    found[entity] = order_id(record.value)
    return found


class _Vector(msgspec.Struct):
    """What is read of a record of `decisions`."""

    decision_id: str
    order_id: str
    vector: list[float]
    recovered: bool


@dataclass(frozen=True, slots=True)
class Vectors:
    """What the orders' vectors say of their users, by decision id: it depends on the user's own partition alone, so it
    is the same in every pass, however partitions and topics interleave. `odd` are orders told in two ways.
    """

    by_decision: Mapping[str, int]  # hash of the user's columns
    odd: Sequence[str]


async def user_vectors(reader: LogReader, definitions: Definitions, partitions: int) -> Vectors:
    """Reads `decisions` whole; what was made again after a loss does not count."""
    columns = [place for place, name in enumerate(definitions.vector.names) if _of_one_partition(name)]
    decode = msgspec.json.Decoder(_Vector).decode
    found: dict[str, int] = {}
    odd: list[str] = []
    for number in range(partitions if columns else 0):
        async for record in reader.whole("decisions", number):
            one = decode(record.value or b"")
            said = hash(tuple(one.vector[place] for place in columns))
            if not one.recovered and found.setdefault(one.decision_id, said) != said:
                odd.append(one.order_id)
    return Vectors(found, odd)


def _of_one_partition(column: str) -> bool:
    return column.startswith(USER) and not any(word in column for word in OF_LABELS)


async def unlike(reader: LogReader, definitions: Definitions, partitions: int, dirty: Vectors) -> list[str]:
    """Orders whose users look otherwise in the clean pass, which `decisions` holds now."""
    clean = await user_vectors(reader, definitions, partitions)
    wrong = {name for name, said in dirty.by_decision.items() if clean.by_decision.get(name, said) != said}
    orders = [*dirty.odd, *await _order_ids(reader, partitions, wrong)]
    return [f"order {order}: its user's columns differ from the clean pass's" for order in orders]


async def _order_ids(reader: LogReader, partitions: int, decisions: Collection[str]) -> list[str]:
    decode = msgspec.json.Decoder(_Vector).decode
    found: list[str] = []
    for number in range(partitions if decisions else 0):
        async for record in reader.whole("decisions", number):
            one = decode(record.value or b"")
            found += [one.order_id] if one.decision_id in decisions else []
    return found


class _Order(msgspec.Struct):
    order_id: str = "?"


_ORDER = msgspec.json.Decoder(_Order)


def order_id(value: bytes | None) -> str:
    """Of a record that may be garbage."""
    try:
        return _ORDER.decode(value or b"{}").order_id
    except msgspec.DecodeError:
        return "?"
