"""`headrace retrain` and `headrace status`: what is due, what became of it, and how things stand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from archive.listing import files_of
from models.registry import Registry
from storage.places import Place
from streams.cli import retrain as door
from streams.cli import run
from tests.support.history import START_MS as ARCHIVED_MS
from tests.support.history import History
from tests.support.labelled import DAY_MS, HASH, NAMES, changed, shop, written
from training.retrain import runs

SHOP = shop(days=24)
NOW_MS = int(SHOP.at_ms[-1]) + 5 * DAY_MS


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry, the synthetic shop's columns, a clock, and no broker."""
    from streams import space

    class Known:
        class vector:  # noqa: N801 - as Definitions has it
            names, hash, words = NAMES, HASH, dict[str, str]()

    monkeypatch.setattr(space, "definitions_of", lambda _: Known)
    monkeypatch.setattr(door, "_now_ms", lambda: NOW_MS)
    for name, value in {
        "REGISTRY__URL": str(tmp_path / "registry"),
        "RETRAIN__MODEL": "logistic",
        "RETRAIN__LEAST_ORDERS": "500",
        "RETRAIN__LEAST_FRAUDS": "50",
        "KAFKA__BROKERS": "127.0.0.1:1",
    }.items():
        monkeypatch.setenv(f"HEADRACE_{name}", value)
    written(SHOP, tmp_path / "set.parquet")
    return tmp_path


def retrain(site: Path, *words: str) -> int:
    return run(["retrain", *words, "--data", str(site / "set.parquet")])


def registry(site: Path) -> Registry:
    return Registry.at(str(site / "registry"))


def test_a_check_says_what_is_due_and_trains_nothing(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert retrain(site, "--check") == 1
    assert capsys.readouterr().out == "100 never_trained: no model that was trained here is in force\n"
    assert registry(site).names() == []


def test_once_trains_promotes_and_then_has_nothing_to_do(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert retrain(site, "--once", "--json") == 0
    told = capsys.readouterr()
    said = json.loads(told.out)
    assert (said["run"]["outcome"], said["run"]["model"]) == ("promoted", "shop/1")
    assert "Warning: workers will find it within half a minute" in told.err
    champion = registry(site).deployed().champion
    assert champion is not None
    assert champion.label == "shop/1"
    assert {"card.md", "reference.json", "roc.svg"} <= registry(site).card("shop", "1").keys()
    assert retrain(site, "--once") == 0
    told = capsys.readouterr()
    assert "nothing is due" in told.out
    assert retrain(site, "--check") == 0


def test_force_trains_and_keeps_what_is_no_better_out_of_force(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    retrain(site, "--once")
    assert retrain(site, "--force") == 1
    assert "shop/2 kept (forced): no gain beyond noise" in capsys.readouterr().out
    champion = registry(site).deployed().champion
    assert champion is not None
    assert champion.label == "shop/1"


def test_history_tells_of_each_run(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    retrain(site, "--once")
    retrain(site, "--force")
    capsys.readouterr()
    assert run(["retrain", "--history", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["number"], one["outcome"]) for one in lines] == [(2, "kept"), (1, "promoted")]
    assert run(["retrain", "--history"]) == 0
    assert "never_trained" in capsys.readouterr().out


def test_a_set_without_labels_is_refused_with_code_3(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(SHOP, site / "set.parquet", label=[None] * len(SHOP), matured=False)
    assert retrain(site, "--force") == 3
    assert "no model refused (never_trained): none of" in capsys.readouterr().out
    last = runs.last(registry(site).place)
    assert last is not None
    assert last.outcome == "refused"


def test_a_champion_that_cannot_be_used_is_trained_anew(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its file was cut: rules decide alone until there is another."""
    retrain(site, "--once")
    (site / "registry" / "shop" / "1" / "blend.json").write_bytes(b"{")
    assert retrain(site, "--force") == 0
    told = capsys.readouterr()
    assert "the champion cannot be used: shop/1/blend.json: its SHA-256 is" in told.err
    assert "shop/2 promoted (never_trained)" in told.out


def test_a_set_of_other_features_is_refused_before_anything_is_recorded(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(changed(SHOP, feature_hash="e" * 16), site / "set.parquet")
    assert retrain(site, "--once") == retrain(site, "--check") == 3
    assert "Refused:" in capsys.readouterr().err
    assert runs.last(registry(site).place) is None


def test_one_at_a_time(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from training.retrain.lock import Lock

    place = registry(site).place
    place.check()
    with Lock(place, by="another", token="t", now_ms=lambda: NOW_MS).held():
        assert retrain(site, "--once") == 2
    assert "another retrains since" in capsys.readouterr().err


def test_a_watch_looks_again_and_again_and_survives_what_can_be_mended(
    site: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.retrain.lock import Lock

    looks = list[float]()
    other = Lock(registry(site).place, by="another", token="t", now_ms=lambda: NOW_MS)
    other._place.check()
    other.take()

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        other.give_back()
        if len(looks) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("streams.cli.retrain.time.sleep", sleep)
    assert retrain(site, "--watch") == 130
    told = capsys.readouterr()
    assert looks == [600.0] * 3
    assert "not now: another retrains since" in told.err
    assert "shop/1 promoted (never_trained)" in told.out
    assert "nothing is due" in told.out


@pytest.mark.parametrize(
    ("words", "why"),
    [((), "want one of --check, --once"), (("--once",), "no registry is set")],
)
def test_what_cannot_run_says_why(words: tuple[str, ...], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["retrain", *words]) == 2
    assert why in capsys.readouterr().err


def status(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert run(["status", "--json"]) == 0
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    return said


@pytest.mark.usefixtures("site")
def test_status_of_nothing_is_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    said = status(capsys)
    assert (said["champion"], said["retrain"], said["look"], said["deployment"]) == (None, None, None, 0)
    assert run(["status"]) == 0
    assert capsys.readouterr().out == "champion    none was promoted: the shop's own decides\nretrain     never\n"


def test_status_says_what_is_in_force_and_how_good_it_was(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    retrain(site, "--once")
    retrain(site, "--check")
    said = status(capsys)
    assert said["champion"]["model"] == "shop/1"
    assert said["champion"]["metrics"]["auc"]["value"] > 0.9
    assert said["retrain"]["outcome"] == "promoted"
    assert said["look"]["champion"] == "shop/1"
    assert said["look"]["drift"] == {"columns": 4, "moved": 0, "most": {}}
    assert run(["status"]) == 0
    shown = capsys.readouterr().out
    assert "champion    shop/1, in force since" in shown
    assert "retrain     run 1 of" in shown
    assert "drift       0 of 4 columns moved much" in shown


@pytest.fixture
def archived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Six orders of ten days and one chargeback, ten days ago."""
    history = History()
    for n in range(6):
        history.order(f"{n}", ARCHIVED_MS + n * DAY_MS)
    history.chargeback("1", ARCHIVED_MS + 9 * DAY_MS)
    monkeypatch.setattr(door, "_now_ms", lambda: ARCHIVED_MS + 20 * DAY_MS)
    for name, value in {
        "REGISTRY__URL": str(tmp_path / "registry"),
        "ARCHIVE__URL": str(tmp_path / "archive"),
        "RETRAIN__MODEL": "logistic",
        "RETRAIN__DAYS": "20",
        "RETRAIN__MATURE_DAYS": "10",
        "RETRAIN__BEHIND_S": "0",
    }.items():
        monkeypatch.setenv(f"HEADRACE_{name}", value)
    return history.decided().archived(tmp_path / "archive", a_file=1)


@pytest.mark.usefixtures("archived")
def test_without_a_set_one_is_made_from_the_archive(capsys: pytest.CaptureFixture[str]) -> None:
    """Reason enough, and far too few."""
    assert run(["retrain", "--check", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [one["trigger"] for one in said["due"]] == ["never_trained"]
    assert said["blocked"] == ["6 labelled orders: want 2,000", "1 frauds: want 100"]


@pytest.mark.parametrize("mode", ["--check", "--once"])
def test_an_archive_that_is_a_little_behind_is_asked_for_what_it_holds(
    archived: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], mode: str
) -> None:
    """The newest order is not there yet, so nothing is known for sure from the day before on."""
    newest = max(files_of(archived, "orders"), key=lambda file: file.first)
    archived.remove(newest.span.path)
    said = "the archive is whole as of 2024-10-07T23:59:59.999Z, 16 days, 0:00:00 ago (orders/0 is archived up to"
    assert run(["retrain", mode, "--json"]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "want 0:00:00 at most. Are the workers and `headrace archive` running?" in told
    monkeypatch.setenv("HEADRACE_RETRAIN__BEHIND_S", str(17 * DAY_MS // 1000))
    assert run(["retrain", mode, "--json"]) == 0
    found = capsys.readouterr()
    assert said in found.err
    assert json.loads(found.out)["blocked"] == ["0 labelled orders: want 2,000", "0 frauds: want 100"]
