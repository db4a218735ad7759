"""`headrace schemas export`: a thin door to schemas.jsonschema."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from schemas.jsonschema import schemas
from streams.cli.schemas import command


def test_export_writes_one_file_per_topic_and_says_where(tmp_path: Path) -> None:
    told = CliRunner().invoke(command, ["export", str(tmp_path / "new")], standalone_mode=False)
    assert told.output.split() == [str(tmp_path / "new" / f"{topic}.json") for topic in schemas()]
    assert all(Path(path).is_file() for path in told.output.split())
