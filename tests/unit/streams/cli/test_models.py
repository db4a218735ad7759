"""`headrace models`: into traffic and back from a terminal, on a registry in a folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from models import artefact
from models.deployments import online, promoted
from models.registry import Registry
from schemas.deployments import Deployment
from schemas.topics import DAY_MS
from streams.cli import models as door
from streams.cli import run
from tests.support.models import ABOUT, DEFINITIONS, WHO, blend, cut_off, put, registry_in, scoring

Ran = Callable[..., tuple[int, str, str]]


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setenv("HEADRACE_REGISTRY__URL", str(tmp_path / "registry"))
    return registry_in(tmp_path / "registry")


@pytest.fixture
def announced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The deployments that workers are told of."""
    told = list[int]()
    monkeypatch.setattr(door, "announced", lambda _, deployment: told.append(deployment.number))
    return told


@pytest.fixture
def ran(capsys: pytest.CaptureFixture[str], announced: list[int], registry: Registry) -> Ran:
    """A command line of `headrace models`: exit code, output, errors."""
    assert (announced, registry.names()) == ([], [])

    def one(*words: str) -> tuple[int, str, str]:
        code = run(["models", *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return one


def champion(registry: Registry) -> str | None:
    now = registry.deployed()
    return now.champion.label if now.champion else None


def test_a_fitted_model_is_put_promoted_replaced_and_rolled_back_to(
    ran: Ran, registry: Registry, announced: list[int], tmp_path: Path
) -> None:
    folder = artefact.save(tmp_path, scoring(0.25), name="shop", version="first", **ABOUT)
    assert ran("put", str(folder)) == (0, "shop/1\n", "")
    assert ran("promote", "shop")[:2] == (0, "deployment 1; champion shop/1 (was none, the shop's own model)\n")
    put(registry, "shop", 0.5)
    assert ran("promote", "shop", "--why", "better")[1] == "deployment 2; champion shop/2 (was shop/1)\n"
    assert ran("rollback")[1] == "deployment 3; champion shop/1 (was shop/2)\n"
    assert champion(registry) == "shop/1"
    assert announced == [1, 2, 3]
    _, out, _ = ran("history", "--json")
    assert [json.loads(line)["why"] for line in out.splitlines()] == ["rollback", "better", "promote shop/1"]


def test_promoting_what_is_champion_changes_nothing_and_rings_no_bell(
    ran: Ran, registry: Registry, announced: list[int]
) -> None:
    registry.deploy(promoted(put(registry, "shop", 0.25)), **WHO)
    assert ran("promote", "shop/1")[:2] == (0, "deployment 1: nothing has changed\n")
    assert announced == []


def test_a_model_for_other_features_is_promoted_by_force_alone(ran: Ran, registry: Registry) -> None:
    put(registry, "other", 0.25, feature_hash="0" * 16)
    for word in ("promote", "activate"):
        code, _, errors = ran(word, "other")
        assert (code, champion(registry)) == (2, None)
        assert f"was fitted for features {'0' * 16}, workers of these definitions compute" in errors
        assert "HEADRACE_FEATURES" in errors
    assert ran("promote", "other", "--force")[0] == 0
    assert champion(registry) == "other/1"


def test_a_model_that_was_cut_off_is_refused_also_by_force(ran: Ran, registry: Registry) -> None:
    cut_off(registry, put(registry, "shop", 0.25))
    code, _, errors = ran("promote", "shop", "--force")
    assert (code, champion(registry)) == (2, None)
    assert "shop/1/model.json: its SHA-256 is" in errors
    assert "Traceback" not in errors


def test_challengers_come_and_go(ran: Ran, registry: Registry) -> None:
    put(registry, "shop", 0.25), put(registry, "new", 0.5)
    ran("promote", "shop")
    assert ran("activate", "new")[1] == "deployment 2; champion shop/1; challengers new/1\n"
    assert ran("promote", "challenger")[1] == "deployment 3; champion new/1 (was shop/1)\n"
    assert "new/1 is the champion" in ran("activate", "new")[2]
    assert ran("deactivate", "new")[1] == "deployment 4; champion none, rules alone (was new/1)\n"
    assert "model 'new' is not in force" in ran("deactivate", "new")[2]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("promote", "nothing"), "model 'nothing' is not in the registry at"),
        (("promote", "shop/9"), "shop/9/manifest.json: not in the registry"),
        (("promote", "challenger"), "challenger: want the one that is in force, and there is none: say name/version"),
        (("promote", "../x"), "want small letters"),
        (("rollback",), "there is no earlier champion to roll back to"),
        (("show", "champion"), "champion: want the one that is in force, and there is none"),
    ],
)
def test_what_cannot_be_done_is_told_with_the_remedy(ran: Ran, registry: Registry, words: list[str], said: str) -> None:
    put(registry, "shop", 0.25)
    code, _, errors = ran(*words)
    assert (code, "Traceback" in errors) == (2, False)
    assert said in errors


def test_without_a_registry_it_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HEADRACE_REGISTRY__URL", raising=False)
    assert run(["models", "ls"]) == 2
    assert "set HEADRACE_REGISTRY__URL to a folder" in capsys.readouterr().err


def test_a_list_has_the_newest_first_and_what_is_in_force(ran: Ran, registry: Registry) -> None:
    refs = [put(registry, "shop", 0.25) for _ in range(12)]
    put(registry, "other", 0.25, feature_hash="0" * 16)
    registry.deploy(promoted(refs[0]), **WHO)
    rows = [json.loads(line) for line in ran("ls", "--json")[1].splitlines()]
    assert [row["model"] for row in rows] == ["other/1", *(f"shop/{n}" for n in range(12, 2, -1)), "shop/1"]
    assert [row["model"] for row in rows if row["in_force"] == "champion"] == ["shop/1"]
    assert [row["model"] for row in rows if not row["fits"]] == ["other/1"]
    assert len(ran("ls", "shop", "--all", "--json")[1].splitlines()) == 12
    table = ran("ls")[1]
    assert "champion" in table
    assert "ap=0.7" in table
    assert "other features" in table


def test_an_empty_list_says_so(ran: Ran) -> None:
    code, out, errors = ran("ls")
    assert (code, out) == (0, "")
    assert "nothing is in the registry at" in errors


def test_a_model_is_shown_with_its_card_and_its_days_in_force(ran: Ran, registry: Registry) -> None:
    registry.put(scoring(0.25), name="shop", card={"card.md": b"# The shop's", "roc.svg": b"<svg/>"}, **ABOUT)
    ran("promote", "shop")
    shown = json.loads(ran("show", "champion", "--json")[1])
    assert (shown["deployments"], shown["card"], shown["kind"]) == ([1], ["card.md", "roc.svg"], "logistic")
    assert "metrics.ap" in ran("show", "shop")[1]
    assert ran("show", "shop", "--card")[1] == "# The shop's\n"
    put(registry, "bare", 0.5)
    assert "bare/1 has no card" in ran("show", "bare", "--card")[2]


def test_a_difference_is_told_down_to_single_numbers(ran: Ran, registry: Registry) -> None:
    put(registry, "shop", 0.25), put(registry, "shop", 0.5, metrics={"ap": 0.75})
    ran("promote", "shop/1")
    code, out, _ = ran("diff", "shop/2", "--json")
    rows = {row["what"]: (row["shop/1"], row["shop/2"]) for row in map(json.loads, out.splitlines())}
    assert code == 1
    assert rows["metrics.ap"] == ("0.7", "0.75")
    assert rows.keys() == {"metrics.ap", "files.model.json", "model_hash"}
    assert ran("diff", "shop/1", "champion")[:2] == (0, "")


def test_what_a_kept_decision_may_name_is_never_collected(
    ran: Ran, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old: never in force; parent: what the first champion replaced; two champions; an online snapshot; young."""
    now = [registry.now_ms() - 1000 * DAY_MS]
    monkeypatch.setattr(registry, "now_ms", lambda: now[0])
    put(registry, "old", 0.1)
    put(registry, "parent", 0.1)
    first = put(registry, "first", 0.2, parent="parent/1")
    mixed, fast = put(registry, "mixed", blend({"fast": 0.2})), put(registry, "fast", 0.3)
    registry.deploy(promoted(first), **WHO)
    now[0] += 990 * DAY_MS
    registry.deploy(promoted(mixed), **WHO)
    registry.deploy(online({"fast": fast}), **WHO)
    put(registry, "young", 0.4)
    assert ran("gc", "--dry-run")[1] == "old/1\n"
    assert "1 would be removed" in ran("gc", "--dry-run")[2]
    assert registry.names() == ["fast", "first", "mixed", "old", "parent", "young"]
    assert ran("gc", "--json")[1] == '{"removed":["old/1"],"dry_run":false}\n'
    assert registry.names() == ["fast", "first", "mixed", "parent", "young"]
    assert ran("gc", "--days", "0")[1] == "young/1\n"


def test_what_was_last_in_force_before_decisions_expired_goes_unless_the_archive_keeps_them(
    ran: Ran, registry: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    now = [registry.now_ms() - 1000 * DAY_MS]
    monkeypatch.setattr(registry, "now_ms", lambda: now[0])
    for name in ("first", "second"):
        registry.deploy(promoted(put(registry, name, 0.25)), **WHO)
        now[0] += DAY_MS
    monkeypatch.setenv("HEADRACE_ARCHIVE__URL", str(tmp_path / "archive"))
    assert ran("gc")[1] == ""
    monkeypatch.setenv("HEADRACE_ARCHIVE__KEEP_DAYS", "500")
    assert ran("gc")[1] == "first/1\n"


def test_a_pinned_model_is_a_reason_to_warn(
    ran: Ran, registry: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    put(registry, "shop", 0.25)
    monkeypatch.setenv("HEADRACE_MODEL", str(artefact.save(tmp_path, scoring(0.5), name="m", version="1", **ABOUT)))
    assert "HEADRACE_MODEL is set here" in ran("promote", "shop")[2]


def test_workers_that_cannot_be_told_are_a_warning_for_the_change_is_made(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEADRACE_KAFKA__BROKERS", "127.0.0.1:9")
    put(registry, "shop", 0.25)
    assert run(["models", "promote", "shop", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["champion"]["name"] == "shop"
    assert "Warning: workers will find it within half a minute" in said.err
    assert registry.deployed() != Deployment.none()
    assert DEFINITIONS.vector.hash == ABOUT["feature_hash"]
