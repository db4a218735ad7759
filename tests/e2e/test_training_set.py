"""`headrace features build` from the archive of a stream that a worker decided: its vectors are the logged ones."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from archive.arrow import parquet
from schemas.timestamps import rfc3339
from tests.support.archive import all_archived, decided, start_archive
from tests.support.events import START_MS, event, order
from tests.support.worker import Stream

HOLDS, COULD_NOT_RUN = 0, 2


async def test_a_set_of_a_real_stream_logged_and_replayed(embedded_stream: Stream, tmp_path: Path) -> None:
    stream, archive_url = embedded_stream, tmp_path / "archive"
    worker = stream.worker()
    await stream.working(worker)
    await stream.send(*[order(f"n{n}", f"u{n % 5}", n * 250, value=5.0 + n) for n in range(60)])
    await decided(stream, 60)
    await stream.send(event("labels", "chargeback", "cb", "u0", 30_000, order_id="o-n5"))
    await stream.settled(sent=61)
    archive = start_archive(stream, archive_url)
    await all_archived(stream, archive_url, archive)
    assert archive.terminate() == 0

    since, until, as_of = (rfc3339(START_MS + minutes * 60_000) for minutes in (0, 10, 40))
    words = ("features", "build", "--from", since, "--to", until, "--labels-as-of", as_of, "--mature-days", "0.01")
    told = {}
    for source in ("logged", "replayed"):
        out = tmp_path / f"{source}.parquet"
        code, output, errors = await stream.command(
            *words, "--vectors", source, "--settled", "0", "--out", str(out), "--json", ARCHIVE__URL=str(archive_url)
        )
        assert code == HOLDS, errors
        assert json.loads(output)["counts"]["rows"] == 60
        told[source] = parquet.read_table(out)
    logged = {one["decision_id"]: one["vector"] for one in await _decisions(stream)}
    names = told["logged"].schema.names[told["logged"].schema.names.index("matured") + 1 :]
    for table in told.values():
        rows = table.to_pylist()
        assert {row["decision_id"]: [row[name] for name in names] for row in rows} == logged
        assert {row["order_id"]: row["label"] for row in rows} == {f"o-n{n}": int(n == 5) for n in range(60)}

    later = [rfc3339(START_MS + 10 * 86_400_000) if word == as_of else word for word in words]
    code, _, errors = await stream.command(*later, "--out", str(tmp_path / "x.parquet"))
    assert (code, "is in the future" in errors) == (COULD_NOT_RUN, True)
    code, _, errors = await stream.command(*words, "--out", str(tmp_path / "x.parquet"))
    assert code == COULD_NOT_RUN
    assert "HEADRACE_ARCHIVE__URL" in errors


async def _decisions(stream: Stream) -> list[dict[str, object]]:
    return [msgspec.json.decode(record.value or b"") for record in await stream.read("decisions")]
