"""The core install knows nothing of Parquet: what needs it says what to install, and nothing else imports it."""

from __future__ import annotations

import subprocess
import sys

WITHOUT = "import sys; sys.modules['pyarrow'] = None; sys.modules['obstore'] = None; sys.modules['duckdb'] = None; "


def ran(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", WITHOUT + code], capture_output=True, text=True, check=False)


def test_the_command_names_the_extra_where_it_is_not_installed() -> None:
    for words in ("'archive'", "'archive', 'ls'"):
        done = ran(f"from streams.cli import run; sys.exit(run([{words}]))")
        assert done.returncode == 2
        assert "pip install 'headrace[history]'" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_bucket_names_it_too() -> None:
    done = ran("from storage.places import place_of; place_of('s3://bucket/x')")
    assert "a place on S3 needs obstore: pip install 'headrace[history]'" in done.stderr


def test_a_worker_needs_none_of_it() -> None:
    done = ran("import streams.wiring, streams.cli.up, streams.cli.topics, archive.cover, storage.places")
    assert done.returncode == 0, done.stderr
