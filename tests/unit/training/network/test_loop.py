"""Training: what a network finds, how it ends, and that one that was killed goes on as if it had not been."""

# ruff: noqa: E402  # what is imported below needs torch

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from tests.support.need import need_package

need_package("torch")

from models.network import GRAPH_FILE, Network
from tests.support.training import NAMES, orders
from training.fits.network import fit
from training.network.checkpoint import CheckpointError
from training.network.config import Config
from training.network.framework import torch
from training.network.loop import pace
from training.network.watch import Told

CONFIG = Config(width=8, hidden=16, attention_heads=2, batch=100, epochs=3, rate=5e-3, average=0.9, dropout=0.1)
X, FRAUD, KINDS = orders(900)
LATER = orders(600, seed=8)[:2]
CUT = {"feature_hash": "f" * 16, "cut": "2026-01-01"}


class Killed(Exception):  # noqa: N818  # it is no error of ours
    """What a kill is in one process."""


class Heard(list[Told]):
    """All that was told; answers whether to go on."""

    def __init__(self, on: bool = True) -> None:
        super().__init__()
        self._on = on

    def __call__(self, told: Told) -> bool:
        self.append(told)
        return self._on


def killer(batches: int) -> Callable[[Told], bool]:
    """Kills at the first look after so many batches."""

    def look(told: Told) -> bool:
        if told.batches >= batches:
            raise Killed
        return True

    return look


def trained(**given: object) -> Network:
    have: dict[str, object] = {"seed": 1, "types": KINDS, "validation": LATER, "options": CONFIG, "device": "cpu"}
    return fit(X, FRAUD, NAMES, **(have | given))  # type: ignore[arg-type]  # as many kinds as parameters


@pytest.fixture(scope="module")
def whole() -> Network:
    return trained()


def test_it_finds_what_takes_several_columns_and_the_last_orders() -> None:
    x, fraud, kinds = orders(6000)
    config = Config(width=16, hidden=32, attention_heads=2, batch=128, epochs=12, rate=5e-3, average=0.98, dropout=0.0)
    model = fit(x, fraud, NAMES, seed=1, types=kinds, options=config, device="cpu")
    later, is_fraud, kind = orders(3000, seed=8)
    heads = model.heads(later)
    assert heads["fraud"][is_fraud].mean() > 0.6
    assert heads["fraud"][~is_fraud].mean() < 0.1
    card = np.array([one == "card" for one in kind])
    assert heads["fraud"][card].mean() > 0.5  # which only the last orders tell from others
    assert (heads["type"][is_fraud].argmax(axis=1) == np.where(card, 0, 1)[is_fraud]).mean() > 0.9
    assert np.corrcoef(heads["risk"][is_fraud], np.log(later[is_fraud, 0]))[0, 1] > 0.3


def test_the_same_seed_gives_the_same_model_and_another_one_another(whole: Network) -> None:
    assert trained().files() == whole.files()
    assert trained(seed=2).files()[GRAPH_FILE] != whole.files()[GRAPH_FILE]


@pytest.mark.parametrize("batches", [1, 5, 9, 10, 18, 26])
def test_killed_and_resumed_is_never_stopped_bit_by_bit(batches: int, whole: Network, tmp_path: Path) -> None:
    kept = tmp_path / "network.safetensors"
    with pytest.raises(Killed):
        trained(checkpoint=kept, progress=killer(batches))
    assert trained(checkpoint=kept).files() == whole.files()


def test_ended_by_the_clock_within_an_epoch_and_resumed_is_never_stopped_bit_by_bit(tmp_path: Path) -> None:
    """Epochs of 36 batches, so that the clock is looked at, and the training kept, within them."""
    kept, config = tmp_path / "network.safetensors", Config(width=8, hidden=16, attention_heads=2, batch=25, epochs=2)
    told = Heard()
    for limit_s in (3, 3, 1e9):
        ticks: Iterator[float] = map(float, count())
        last = trained(
            options=config,
            checkpoint=kept,
            limit_s=limit_s,
            clock=lambda ticks=ticks: next(ticks),
            progress=told,
        )
    assert any(one.batches % 36 for one in told[:-1])
    assert [one.batches for one in told] == sorted({one.batches for one in told})  # nothing is done twice
    assert last.files() == trained(options=config).files()


def test_a_training_that_is_done_is_not_done_again(whole: Network, tmp_path: Path) -> None:
    kept, told = tmp_path / "network.safetensors", Heard()
    trained(checkpoint=kept)
    assert trained(checkpoint=kept, progress=told).files() == whole.files()
    assert told == []


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"seed": 2}, "seed = 1, this one has 2"),
        ({"options": Config(width=8)}, "config = .*'width': 8"),
        ({"about": {**CUT, "cut": "2026-02-02"}}, "cut = '2026-01-01', this one has '2026-02-02'"),
        ({"about": {**CUT, "feature_hash": "e"}}, "feature_hash = 'ffffffffffffffff', this one has 'e'"),
        ({"types": None}, "rows = "),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(change: dict[str, object], why: str, tmp_path: Path) -> None:
    kept = tmp_path / "network.safetensors"
    with pytest.raises(Killed):
        trained(checkpoint=kept, about=CUT, progress=killer(12))
    with pytest.raises(CheckpointError, match=f"is of a training with {why}"):
        trained(**{"checkpoint": kept, "about": CUT, **change})


def test_a_checkpoint_that_was_cut_is_refused(tmp_path: Path) -> None:
    kept = tmp_path / "network.safetensors"
    trained(checkpoint=kept)
    kept.write_bytes(kept.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"remove .* to train from the start"):
        trained(checkpoint=kept)


def test_the_clock_ends_it_with_the_best_so_far() -> None:
    told, ticks = Heard(), map(float, count())
    model = trained(
        options=Config(width=8, hidden=16, attention_heads=2, batch=100, epochs=1000, patience=1000),
        limit_s=20.0,
        clock=lambda: next(ticks),
        progress=told,
    )
    assert 1 < told[-1].done < 100
    assert told[-1].left_s == 0
    assert model.score(LATER[0]).std() > 0


def test_who_is_told_may_end_it_before_anything_was_judged() -> None:
    told = Heard(on=False)
    model = trained(options=Config(batch=10, epochs=5), progress=told)
    assert [one.batches for one in told] == [20]
    assert told[0].metric is None
    assert np.isfinite(model.base)


def test_it_ends_early_where_later_rows_say_no_better() -> None:
    told = Heard()
    noise = np.random.default_rng(1).permutation(LATER[1])
    config = Config(width=8, hidden=16, attention_heads=2, batch=100, epochs=200, patience=2)
    trained(validation=(LATER[0], noise), options=config, progress=told)
    assert told[-1].done < 100
    assert told[-1].best == max(one.metric for one in told if one.metric is not None)


def test_progress_says_where_it_is() -> None:
    told = Heard()
    trained(progress=told)
    assert [(one.done, one.total, one.batches) for one in told] == [
        (1, 3, 9),
        (2, 3, 18),
        (2, 3, 20),  # so many batches are between two looks at the clock
        (3, 3, 27),
    ]
    assert all(one.loss is not None and one.metric is not None and one.left_s >= 0 for one in told)
    assert told[-1].left_s == 0


def test_labels_of_one_class_are_refused() -> None:
    with pytest.raises(ValueError, match="0 frauds among 900 orders"):
        fit(X, np.zeros(900, dtype=np.bool_), NAMES, seed=1)
    with pytest.raises(ValueError, match="0 frauds among 600 orders"):
        trained(validation=(LATER[0], np.zeros(600, dtype=np.bool_)))


def test_torch_is_left_as_it_was() -> None:
    torch.manual_seed(77)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    trained()
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_the_rate_rises_and_falls() -> None:
    assert [pace(done, 0.1) for done in (0.0, 0.05, 0.1, 0.55, 1.0)] == pytest.approx([0.0, 0.5, 1.0, 0.5, 0.0])


def test_two_ranks_train_what_one_does(tmp_path: Path) -> None:
    """Under torchrun, by gloo: the same network but for the rounding of sums, and the same one on both."""
    run = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    subprocess.run([*run, "-m", "tests.support.ranks", str(tmp_path)], check=True, timeout=120, capture_output=True)
    from tests.support.ranks import train_here

    x, alone = orders(500, seed=12)[0], train_here()
    both = [Network.of({one.name: one.read_bytes() for one in (tmp_path / rank).iterdir()}, NAMES) for rank in "01"]
    assert both[0].files() == both[1].files()
    assert both[0].score(x) == pytest.approx(alone.score(x), abs=1e-4)
    assert alone.score(x).std() > 0.02  # it has learned something
