"""Framed values as JSON, each by the schema of its id; what was asked of the registry once is kept.

`learn` asks the registry and may wait or raise; a worker does it aside before a batch is decoded, so that decoding
does not block. A schema that the registry does not know makes its values dead letters, and is asked for again after a
minute.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from features.definitions import Definitions, Flow
from schemas.decode import Decoded, Fault, Reason, decode_batch
from schemas.frames import schema_id
from schemas.topics import MAX_RECORD_BYTES
from streams.formats.avro import BadSchemaError, Read, UnfitError, reader_of
from streams.formats.schema import Schemas

AGAIN_S = 60.0
MOST_UNKNOWN = 10_000

Values = Sequence[bytes | None]
Decode = Callable[[Values], Decoded]


class Plain:
    """One event loop's; `learn` and `check` may run in threads beside it."""

    def __init__(self, schemas: Schemas, clock: Callable[[], float] = time.monotonic) -> None:
        self._schemas, self._clock = schemas, clock
        self.check = schemas.check
        self._readers: dict[int, Read | Fault] = {}
        self._unknown: dict[int, float] = {}  # until when nobody asks again

    def wanted(self, values: Iterable[bytes | None]) -> list[int]:
        """The schemas that these values ask for and nobody has looked up yet."""
        now = self._clock()
        ids = {number for value in values if (number := schema_id(value)) is not None}
        return sorted(number for number in ids - self._readers.keys() if self._unknown.get(number, now) <= now)

    def learn(self, ids: Iterable[int]) -> None:
        """Looks them up; raises SchemasDown or Stop where that cannot be."""
        for number in ids:
            schema = self._schemas(number)
            if schema is None:
                if len(self._unknown) >= MOST_UNKNOWN:
                    self._unknown.clear()
                self._unknown[number] = self._clock() + AGAIN_S
                continue
            try:
                self._readers[number] = reader_of(schema)
            except BadSchemaError as error:
                self._readers[number] = Fault(Reason.UNKNOWN_SCHEMA, "$", f"schema {number}: {error}")

    def read(self, value: bytes, number: int) -> bytes | Fault:
        """One framed value as JSON, or why not."""
        if len(value) > MAX_RECORD_BYTES:
            return Fault(Reason.TOO_LARGE, "$", f"{len(value)} bytes: want at most {MAX_RECORD_BYTES}")
        reader = self._readers.get(number)
        if reader is None:
            return Fault(Reason.UNKNOWN_SCHEMA, "$", f"the registry has no schema {number}")
        if isinstance(reader, Fault):
            return reader
        try:
            return reader(value)
        except UnfitError as error:
            return Fault(Reason.NOT_AVRO, "$", f"not what schema {number} says: {error}")

    def decode(self, decode: Decode, values: Values) -> Decoded:
        """What a topic's decoder makes of the values, framed ones among them."""
        framed = [(place, number) for place, value in enumerate(values) if (number := schema_id(value)) is not None]
        if not framed:
            return decode(values)
        self.learn(self.wanted(values[place] for place, _ in framed))
        told, faults = list(values), dict[int, Fault]()
        for place, number in framed:
            read = self.read(values[place] or b"", number)
            told[place] = None if isinstance(read, Fault) else read
            if isinstance(read, Fault):
                faults[place] = read
        decoded = decode(told)
        decoded.faults.update(faults)
        return decoded

    def decode_topic(self, topic: str, values: Values) -> Decoded:
        """The same of a topic of the shop."""
        return self.decode(partial(decode_batch, topic), values)


def understood(definitions: Definitions, plain: Plain) -> Definitions:
    """The same definitions, of flows that read framed values too; what workers write themselves never is."""
    return replace(definitions, flows=tuple(_reading(flow, plain) for flow in definitions.flows))


def _reading(flow: Flow, plain: Plain) -> Flow:
    return flow if flow.ours else replace(flow, decode=partial(plain.decode, flow.decode))
