"""Training: what is learned is found, nothing later is looked at, and the same question has the same answer."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.blend import Blend
from models.logistic import Input, Logistic
from tests.support.labelled import NAMES, changed, shop, with_column
from training.batch import card
from training.batch.checks import RefusedError
from training.batch.step import Limit, Step
from training.batch.train import Job, Trained, train

SHOP = shop()
JOB = Job(("logistic", "online_logistic"), resamples=60)


def trained(table: Any = SHOP, job: Job = JOB, limit: Limit | None = None, **more: Any) -> Trained:
    return train(table, job, limit=limit or Limit(lambda: 0.0), tell=lambda _: None, **more)


@pytest.fixture(scope="module")
def one() -> Trained:
    return trained()


def test_a_signal_is_found_and_holds_on_days_that_were_never_seen(one: Trained) -> None:
    assert one.judged.metrics["model"]["auc"].value > 0.9
    assert one.judged.beats("amount alone")
    assert one.judged.metrics["model"]["calibration"].value < 0.04


def test_where_there_is_no_signal_none_is_found() -> None:
    blind = trained(shop(signal=0.0), replace(JOB, kinds=("logistic",)))
    assert not blind.beats_gate
    assert blind.judged.metrics["model"]["auc"].low < 0.5 < blind.judged.metrics["model"]["auc"].high


def test_each_member_and_each_gate_stands_beside_the_blend(one: Trained) -> None:
    assert list(one.judged.metrics) == ["model", "logistic", "online_logistic", "amount alone"]
    assert (list(one.judged.gains), one.judged.gate) == (["logistic", "amount alone"], "logistic")
    alone = trained(job=replace(JOB, kinds=("online_logistic",)))
    assert list(alone.judged.metrics) == ["model", "online_logistic", "amount alone", "logistic regression"]
    assert alone.judged.gate == "logistic regression"


def test_nothing_that_judges_was_near_what_was_learned_from(one: Trained) -> None:
    assert one.train.at_ms.max() < one.spans.to_ms
    assert one.held.at_ms.min() >= one.spans.to_ms + 5 * 86_400_000
    assert len(one.train) + len(one.held) < len(SHOP)


def test_what_happens_after_training_changes_nothing_in_the_model(one: Trained) -> None:
    """All labels and vectors of the gap and of the held-out days are turned over."""
    later = SHOP.at_ms >= one.spans.to_ms
    x = np.where(later[:, None], -3.0 * SHOP.x, SHOP.x)
    other = trained(changed(SHOP, x=x, fraud=SHOP.fraud ^ later), replace(JOB, accepted=frozenset({"rate", "drift"})))
    assert other.model.files() == one.model.files()


def test_the_same_seed_gives_the_same_artefact_and_card(one: Trained) -> None:
    again = trained()
    assert again.model.files() == one.model.files()
    assert card.about(again, SHOP) == card.about(one, SHOP)
    first, second = (card.card(each, SHOP, title="shop/1") for each in (one, again))
    assert first == second


def test_all_kinds_of_trees_go_into_one_blend_and_it_does_not_matter_on_how_many_threads() -> None:
    for library in ("lightgbm", "sklearn"):
        pytest.importorskip(library, reason=f"{library} is of the extra `train`")
    job = replace(JOB, kinds=("logistic", "boosted", "isolation", "forest"), resamples=20)
    one, other = trained(job=job), trained(job=replace(job, threads=2))
    assert one.model.files() == other.model.files()
    assert "isolation" in one.weightless, "it never saw a label, and the others know more"
    assert {"boosted", "isolation"} <= one.judged.metrics.keys()
    assert one.params["boosted"] is not None
    assert 0 < one.params["boosted"].params["trees"] < 300, "as many as the newer quarter asked for"


def test_a_column_that_knows_the_future_is_warned_of_in_the_card() -> None:
    leaky = with_column(SHOP, "charged_back", SHOP.fraud.astype(np.float64))
    told = trained(leaky, replace(JOB, kinds=("logistic",)))
    text = card.card(told, leaky, title="leaky/1")[card.CARD_FILE].decode()
    assert "too_good: alone nearly tells who is a fraud: charged_back" in text


def test_data_that_is_refused_is_not_trained_on() -> None:
    with pytest.raises(RefusedError, match="0 of 4,800 orders are frauds"):
        trained(changed(SHOP, fraud=np.zeros(len(SHOP), np.bool_)))


def test_when_time_is_up_the_best_so_far_is_the_answer() -> None:
    """There was time for one member, once."""
    told = until("fit logistic", 1)
    assert told.left_out == ("online_logistic",)
    assert told.not_refitted == ("logistic",)
    assert isinstance(told.model, Blend)
    assert told.judged.metrics["model"]["auc"].value > 0.9


def test_when_time_is_up_within_a_fit_it_is_as_good_as_it_is_by_then() -> None:
    """Of the logistic regression, which is fitted in ten steps or so, two were done."""
    told = until("logistic", 2)
    assert told.left_out == ("online_logistic",)
    assert told.model.scorers["logistic"].files() != until("fit logistic", 1).model.scorers["logistic"].files()
    assert told.judged.metrics["model"]["auc"].value > 0.85


def until(stage: str, done: int) -> Trained:
    """What is trained where time is up as soon as a stage is so far."""
    now_s = 0.0

    def tell(step: Step) -> None:
        nonlocal now_s
        if step.stage == stage and step.done >= done:
            now_s = 1_000.0

    return train(SHOP, JOB, limit=Limit.of(lambda: now_s, 100.0), tell=tell)


def test_a_champion_is_judged_on_the_same_orders() -> None:
    weak = Logistic([Input("order_amount", 20.0, 0.0, 1e4, 0.3)], -3.0, NAMES)
    told = trained(champion=weak)
    assert told.judged.beats("champion")
    assert told.judged.metrics["champion"]["ap"].value < told.judged.metrics["model"]["ap"].value


def test_progress_tells_of_each_stage_to_its_end() -> None:
    steps = list[Step]()
    train(SHOP, JOB, limit=Limit(lambda: 0.0), tell=steps.append)
    last = {step.stage: step for step in steps}
    assert {"fit logistic", "fit online_logistic", "refit logistic", "judging"} <= last.keys()
    assert all(step.done <= step.total for step in steps)
    assert last["judging"].metric == pytest.approx(trained().judged.metrics["model"]["ap"].value)


def test_a_search_never_does_worse_than_the_defaults_where_it_looked() -> None:
    pytest.importorskip("optuna", reason="optuna is of the extra `train`")
    told = trained(job=replace(JOB, kinds=("logistic",), trials=4))
    found = told.params["logistic"]
    assert found is not None
    assert found.trials == 5
    assert trained(job=replace(JOB, kinds=("logistic",), trials=4)).model.files() == told.model.files()


def test_importing_training_loads_no_heavy_library() -> None:
    code = (
        "import importlib, pathlib, sys\n"
        "for path in sorted(pathlib.Path('training').rglob('*.py')):\n"
        "    name = '.'.join(path.with_suffix('').parts).removesuffix('.__init__')\n"
        "    if not any(part in name for part in ('.fits.', '.network.', '.online.', '.plots')):\n"
        "        importlib.import_module(name)\n"
        "print(sorted({'torch', 'lightgbm', 'sklearn', 'optuna', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
