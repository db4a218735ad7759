"""Avro schemas: committed, current, and what is written by them is the same event as the JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from schemas.avro import export, schemas
from schemas.decode import decode_batch
from streams.formats.plain import Plain
from tests.support.schemas import Kept, as_written, avro
from tests.unit.schemas.builders import ORDER, minimal, packed
from tests.unit.schemas.test_decode import TYPES

COMMITTED = Path(__file__).resolve().parents[3] / "schemas" / "avro"
SENT = [(topic, kind) for topic, kind in TYPES if topic != "outcomes"]


def test_the_committed_files_are_current(tmp_path: Path) -> None:
    fresh = {path.name: path.read_text() for path in export(tmp_path)}
    committed = {path.name: path.read_text() for path in COMMITTED.iterdir()}
    assert committed == fresh, "run: headrace schemas export --avro schemas/avro"


def test_every_topic_that_a_shop_writes_has_one() -> None:
    assert set(schemas()) == {"orders", "clickstream", "cart", "labels"}


@pytest.mark.parametrize(
    ("topic", "event"), [("orders", ORDER), *((topic, minimal(topic, kind)) for topic, kind in SENT)]
)
def test_an_event_written_by_its_schema_is_the_event_that_json_is(topic: str, event: dict[str, Any]) -> None:
    kept = Kept()
    number = kept.keep(schemas()[topic])
    value = avro(number, schemas()[topic], as_written(topic, event))
    read, json = Plain(kept).decode_topic(topic, [value]), decode_batch(topic, [packed(event)])
    assert (read.faults, json.faults) == ({}, {})
    assert read.at_ms.tolist() == json.at_ms.tolist()
    (one,), (other,) = read.events, json.events
    assert type(one) is type(other)
    fields = set(one.__struct_fields__) - {"event_time"}  # of which JSON may have less than milliseconds
    assert {name: getattr(one, name) for name in fields} == {name: getattr(other, name) for name in fields}
