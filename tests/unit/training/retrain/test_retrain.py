"""A better challenger is put in force, a bad one is not, and each run says what became of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.artefact import Artefact
from models.deployments import promoted
from models.logistic import Input, Logistic
from models.registry import Registry
from models.scorer import Scorer
from storage.places import Folder
from tests.support.labelled import DAY_MS, HASH, NAMES, changed, shop
from training.batch import card
from training.batch.table import Table
from training.batch.train import Job, Trained
from training.retrain import runs
from training.retrain.lock import HeldError, Lock, LostError
from training.retrain.observe import champion
from training.retrain.retrain import Asked, Done, Source, retrain
from training.retrain.triggers import Policy

JOB = Job(("logistic",), resamples=60)
POLICY = Policy(least_orders=500, least_frauds=50)
SHOP = shop()
NOW_MS = int(SHOP.at_ms[-1]) + 5 * DAY_MS


@dataclass
class Site:
    """A registry with everything that retraining asks for."""

    folder: Path
    table: Table = SHOP
    now_ms: int = NOW_MS
    job: Job = JOB
    policy: Policy = POLICY
    told: list[str] = field(default_factory=list)

    @property
    def registry(self) -> Registry:
        return Registry(Folder(self.folder), lambda: self.now_ms)

    def lock(self, name: str = "test") -> Lock:
        return Lock(Folder(self.folder), by=name, token=name, now_ms=lambda: self.now_ms)

    def load(self, ref: Any) -> Artefact:
        return self.registry.of(ref, NAMES, HASH)

    def put(self, model: Scorer, **data: Any) -> None:
        """A model that somebody made and promoted."""
        about: dict[str, Any] = {"feature_hash": HASH, "metrics": {}, "data": data, "seed": 1, "revision": "r"}
        manifest = self.registry.put(model, name="planted", **about)
        self.registry.deploy(promoted(self.registry.ref("planted", manifest.version)), why="planted", by="test")

    def keep(self, trained: Trained, table: Table, parent: str | None) -> str:
        files = {card.REFERENCE_FILE: card.card(trained, table, title="t")[card.REFERENCE_FILE]}
        about = card.about(trained, table)
        return self.registry.put(
            trained.model, name="shop", card=files, seed=1, revision="r", parent=parent, **about
        ).version

    def run(self, *, force: bool = False, keep: Callable[..., str] | None = None) -> Done:
        week = self.table.between(int(self.table.at_ms[-1]) - 7 * DAY_MS, 2**62)
        return retrain(
            Source(lambda: self.table, lambda: week),
            self.registry,
            lambda: champion(self.registry, self.load),
            self.lock(),
            Asked("shop", self.job, self.policy, "test"),
            keep or self.keep,
            force=force,
            tell=lambda _: None,
            clock=lambda: 0.0,
            now_ms=lambda: self.now_ms,
        )

    @property
    def in_force(self) -> str | None:
        now = self.registry.deployed().champion
        return now.label if now else None


@pytest.fixture
def site(tmp_path: Path) -> Site:
    Folder(tmp_path).check()
    return Site(tmp_path)


WEAK = Logistic([Input("order_amount", 20.0, 0.0, 1e4, 0.3)], -3.0, NAMES)
STRONG = Logistic(  # what training finds, fitted on the held-out days, too
    [Input("ratio", 1.0, 0.0, 60.0, 3.2), Input("hurry", 0.0, -5.0, 5.0, 1.6)], -4.5, NAMES
)


def test_the_first_model_is_put_in_force_where_it_beats_its_gate(site: Site) -> None:
    done = site.run()
    assert done.run is not None
    assert (done.run.reason, done.run.outcome, done.run.model) == ("never_trained", "promoted", "shop/1")
    assert site.in_force == "shop/1"
    assert done.deployment is not None
    assert done.deployment.why.startswith("retrained (never_trained): average precision +")


def test_a_first_model_that_knows_nothing_is_not(site: Site) -> None:
    site.table = shop(signal=0.0)
    done = site.run()
    assert done.run is not None
    assert done.run.outcome == "kept"
    assert site.in_force is None
    assert site.registry.versions("shop") == ["1"], "it can be looked at"


def test_a_better_challenger_is_promoted(site: Site) -> None:
    site.put(WEAK)
    done = site.run(force=True)
    assert done.run is not None
    assert (done.run.outcome, done.run.champion, site.in_force) == ("promoted", "planted/1", "shop/1")
    assert done.run.gain is not None
    assert done.run.gain["ap"]["low"] > 0
    assert site.registry.manifest("shop", "1").parent == "planted/1"


def test_a_planted_bad_challenger_is_not(site: Site) -> None:
    """It learned from labels that somebody had turned over: good orders look like frauds to it."""
    site.put(STRONG)
    past = SHOP.at_ms < int(SHOP.at_ms[-1]) - 10 * DAY_MS
    rare = np.argsort(SHOP.x[:, 1])[:300]
    site.table = changed(SHOP, fraud=np.where(past, np.isin(np.arange(len(SHOP)), rare), SHOP.fraud))
    site.job = replace(JOB, accepted=frozenset({"rate", "drift"}))
    done = site.run(force=True)
    assert done.run is not None
    assert (done.run.outcome, done.run.model, site.in_force) == ("kept", "shop/1", "planted/1")
    assert done.run.gain is not None
    assert done.run.gain["ap"]["high"] < 0
    assert done.run.why.startswith("no gain beyond noise: average precision -")


def test_one_that_is_as_good_within_noise_is_not(site: Site) -> None:
    assert site.run().run is not None
    site.now_ms += 8 * DAY_MS
    done = site.run()
    assert done.run is not None
    assert (done.run.reason, done.run.outcome) == ("schedule", "kept")
    assert site.in_force == "shop/1"
    assert "no gain beyond noise: average precision +0.000" in done.run.why


def test_where_nothing_is_due_nothing_is_trained(site: Site) -> None:
    site.run()
    site.now_ms += 2 * DAY_MS
    done = site.run()
    assert (done.run, done.due.triggers) == (None, ())
    assert site.registry.versions("shop") == ["1"]
    forced = site.run(force=True)
    assert forced.run is not None
    assert forced.run.reason == "forced"


def test_new_orders_with_another_face_are_drift(site: Site) -> None:
    site.run()
    later = shop(days=60, first_day=0)
    moved = later.at_ms > int(SHOP.at_ms[-1])
    x = np.where(moved[:, None], later.x * [3.0, 2.0, 1.0, 1.0], later.x)
    site.table, site.now_ms = changed(later, x=x), NOW_MS + 3 * DAY_MS
    done = site.run()
    assert done.run is not None
    assert done.run.reason == "drift"
    assert [one["trigger"] for one in done.run.triggers] == ["drift", "new_data"][: len(done.run.triggers)]


def test_a_champion_that_got_worse_is_seen(site: Site) -> None:
    """Fraud of another kind came: what told it apart does no more."""
    site.policy = replace(POLICY, drift_share=1.0, new_frauds=10_000)
    site.run()
    later = shop(days=60)
    new = later.at_ms > int(SHOP.at_ms[-1])
    x = later.x.copy()
    x[new, 1:3] = shop(days=60, signal=0.0).x[new, 1:3]
    site.table, site.now_ms = changed(later, x=x), NOW_MS + 3 * DAY_MS
    done = site.run()
    assert done.run is not None
    assert done.run.reason == "performance"


def test_a_set_that_is_refused_is_a_run_that_says_why(site: Site) -> None:
    site.table = SHOP.between(0, int(SHOP.at_ms[0]) + 12 * DAY_MS)
    done = site.run()
    assert done.run is not None
    assert done.run.outcome == "refused"
    assert "days to judge on and a gap of 5 days" in done.run.why


def test_an_error_is_recorded_and_raised_and_the_lock_is_free(site: Site) -> None:
    def broken(*_: Any) -> str:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        site.run(keep=broken)
    last = runs.last(site.registry.place)
    assert last is not None
    assert (last.outcome, last.why) == ("failed", "OSError('disk full')")
    site.now_ms += 25 * 3_600_000
    assert site.run().run is not None


def test_one_job_at_a_time(site: Site) -> None:
    with site.lock("somebody else").held(), pytest.raises(HeldError, match="somebody else retrains since"):
        site.run()
    assert runs.last(site.registry.place) is None


def test_who_lost_the_lock_while_training_puts_nothing_in_force(site: Site) -> None:
    def slept(trained: Trained, table: Table, parent: str | None) -> str:
        version = site.keep(trained, table, parent)
        site.now_ms += 3_600_000
        site.lock("somebody else").take()
        return version

    with pytest.raises(LostError):
        site.run(keep=slept)
    assert site.in_force is None


def test_runs_are_kept_with_reason_cost_and_outcome(site: Site) -> None:
    site.run()
    site.now_ms += 8 * DAY_MS
    site.run()
    second, first = runs.history(site.registry.place)
    assert (first.number, first.reason, first.outcome) == (1, "never_trained", "promoted")
    assert (second.number, second.reason, second.outcome) == (2, "schedule", "kept")
    assert (first.orders, first.by, first.to_ms) == (len(SHOP), "test", first.to_ms)
