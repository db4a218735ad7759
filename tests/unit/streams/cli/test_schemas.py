"""`headrace schemas export`: a thin door to schemas.jsonschema and its like."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from schemas.jsonschema import schemas
from streams.cli.schemas import command


def test_export_writes_one_file_per_topic_and_says_where(tmp_path: Path) -> None:
    told = CliRunner().invoke(command, ["export", str(tmp_path / "new")], standalone_mode=False)
    assert told.output.split() == [str(tmp_path / "new" / f"{topic}.json") for topic in schemas()]
    assert all(Path(path).is_file() for path in told.output.split())


def test_asyncapi_is_one_file_with_as_many_partitions_as_topics_would_get(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADRACE_PARTITIONS", "7")
    told = CliRunner().invoke(command, ["export", "--asyncapi", "new/asyncapi.json"], standalone_mode=False)
    assert told.output == "new/asyncapi.json\n"
    assert [path.name for path in tmp_path.rglob("*.json")] == ["asyncapi.json"]
    channels = json.loads(Path("new/asyncapi.json").read_text())["channels"]
    assert channels["orders"]["bindings"]["kafka"]["partitions"] == 7


def test_avro_is_one_file_for_each_topic_that_a_shop_writes(tmp_path: Path) -> None:
    told = CliRunner().invoke(command, ["export", "--avro", str(tmp_path)], standalone_mode=False)
    assert {Path(path).name for path in told.output.split()} == {path.name for path in tmp_path.iterdir()}
    assert (tmp_path / "orders.avsc").is_file()
