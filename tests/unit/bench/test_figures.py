"""What lies in docs/figures is complete, known, and says whether it holds."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest

from bench import figure, figures
from bench.figures import BENCHES, REQUIRED, Bench, Options, holds, measure, missing, module

FILES = sorted(figure.FIGURES.glob("*.json"))
KNOWN = {name: bench for bench in BENCHES for name in bench.figures}
NOWHERE = Path("/nowhere")


def options(tmp_path: Path, data: Path | None = None) -> Options:
    return Options(None, data, 1, tmp_path)


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_a_figure_says_what_one_needs_to_measure_it_again(path: Path) -> None:
    found = json.loads(path.read_text())
    assert set(REQUIRED) <= found.keys()
    assert found["name"] == path.stem
    assert found["value"] not in (None, "", {}, [])
    assert found["target"]
    assert found["data_hash"]
    assert re.fullmatch(r"[0-9a-f]{7,40}\+?", found["revision"])
    assert "cores" in found["machine"]


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_a_figure_is_measured_again_by_make_figures_and_says_whether_it_holds(path: Path) -> None:
    bench = KNOWN[path.stem]
    found = json.loads(path.read_text())
    assert holds(found) is not None
    assert any(figures.at(found, place) is not None for place in bench.shown)
    assert path.stem in figures.line(bench, path.stem)


def test_the_readme_of_the_figures_has_a_row_for_each() -> None:
    rows = re.findall(r"^\| `([a-z0-9-]+)\.json` .* `([a-z_-]+)` \|$", (figure.FIGURES / "README.md").read_text(), re.M)
    assert dict(rows) == {name: bench.name for name, bench in KNOWN.items()}


@pytest.mark.parametrize("bench", BENCHES, ids=[bench.name for bench in BENCHES])
def test_the_command_of_a_bench_is_there(bench: Bench, tmp_path: Path) -> None:
    program, *words = bench.argv(options(tmp_path))
    assert Path(program).name.startswith(("python", "headrace"))
    if words[0] == "-m":
        assert importlib.util.find_spec(words[1]) is not None


def test_a_bench_whose_needs_are_absent_is_skipped_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for need in ("java", "data", "peerbench"):
        bench = Bench("b", ("b",), module("never"), (need,), ())
        assert measure(bench, options(tmp_path, NOWHERE)) is None
        why = missing(need, options(tmp_path, NOWHERE))
        assert f"b: skipped: {why}" in capsys.readouterr().out
        assert why


def test_the_data_that_is_there_is_no_reason_to_skip(tmp_path: Path) -> None:
    assert missing("data", options(tmp_path, tmp_path)) is None


def test_a_bench_that_fails_is_told(tmp_path: Path) -> None:
    assert measure(Bench("b", ("b",), lambda _: ("true",), (), ()), options(tmp_path)) is True
    assert measure(Bench("b", ("b",), lambda _: ("false",), (), ()), options(tmp_path)) is False


def test_an_unknown_name_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(SystemExit, match=r"no such figure: sok; there are .*soak"):
        figures.chosen(["sok"])
    assert [bench.name for bench in figures.chosen(["crash-cluster"])] == ["crash"]


RATIOS = {"events_s_vs_quix": 2.3, "events_s_vs_floor_aiokafka": 1.2, "p50_ms_vs_floor": 1.5, "p99_ms_vs_floor": 1.1}
REFERENCE = {
    "name": "reference-job",
    "value": RATIOS,
    "target": {"cpu_us": 14, "events_s_vs_quix": 2.2, "events_s_vs_floor_aiokafka": 1.2, "p99_ms_vs_floor": 1.5},
    "rows": {"headrace": {"cpu_us": 13.9, "outputs_ok": True}},
}
INSTALL = {"name": "install", "value": {"help_ms": 50, "mb": 9}, "target": {"help_ms": 300, "mb": 10}}
ROW = {"share_under_1kb": 0.96, "largest_bytes": 9_000, "orders_s": 20_000}
VECTOR = {
    "name": "full-vector",
    "value": {"at-least-once": {**ROW, "orders_s": 8_000}, "five-entities": ROW},
    "target": {"share_under_1kb": 0.95, "largest_bytes": 16_384, "orders_s": 20_000},
}


@pytest.mark.parametrize(
    ("found", "broken"),
    [
        (REFERENCE, {"value": {**RATIOS, "events_s_vs_quix": 2.1}}),
        (REFERENCE, {"rows": {"headrace": {"cpu_us": 14.1, "outputs_ok": True}}}),
        (REFERENCE, {"rows": {"headrace": {"cpu_us": 13.9, "outputs_ok": False}}}),
        (REFERENCE, {"value": {**RATIOS, "p99_ms_vs_floor": 1.6}}),
        (REFERENCE, {"target": {"events_s_vs_flink_java": 1}}),
        (REFERENCE, {"value": {"events_s_vs_quix": 9}}),
        (INSTALL, {"value": {"help_ms": 50, "mb": 11}}),
        (VECTOR, {"value": {"five-entities": ROW, "at-least-once": {**ROW, "largest_bytes": 17_000}}}),
        (VECTOR, {"value": {"five-entities": {**ROW, "orders_s": 19_000}, "at-least-once": ROW}}),
        ({"name": "soak", "value": {"holds": True}}, {"value": {"holds": False}}),
        ({"name": "recorded", "holds": True}, {"holds": False}),
    ],
)
def test_a_figure_holds_only_where_it_meets_its_target(found: dict[str, Any], broken: dict[str, Any]) -> None:
    assert holds(found) is True
    assert holds({**found, **broken}) is False


def test_of_an_unknown_figure_nothing_is_claimed() -> None:
    assert holds({"name": "else", "value": 1}) is None
