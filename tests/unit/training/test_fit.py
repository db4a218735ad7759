"""Fitting: from a file of transactions to an artefact, a table and a figure."""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from features.shop import shop_definitions
from models import artefact
from models.logistic import Logistic
from schemas.events import Order
from streams.cli.fit import command
from streams.data.dataset import Window
from streams.data.handbook import Handbook
from training import fit, handbook, report
from training.fit import Fitted, fit_handbook

pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is of the extra `history`")
DEFINITIONS = shop_definitions()
DATA = Path(os.environ.get("HEADRACE_DATA", "data"))
DAY_S = handbook.DAY_S


def recorded(folder: Path, n: int = 4000, seed: int = 11) -> Path:
    """A data folder with transactions in the Handbook's form: 40 customers, frauds are five times as large as usual."""
    from pyarrow import parquet  # type: ignore[import-untyped]  # pyarrow ships no types

    rng = np.random.default_rng(seed)
    start, end = handbook.day_of("2018-07-01"), handbook.day_of("2018-08-15")
    seconds = np.sort(rng.integers(start * DAY_S, end * DAY_S, n))
    customer = rng.integers(0, 400, n)
    fraud = rng.random(n) < 0.05
    usual = 5.0 + customer % 40  # so that the amount alone does not tell
    table = {
        "TRANSACTION_ID": np.arange(n),
        "TX_DATETIME": np.datetime64(handbook.EPOCH_DAY, "ns") + seconds.astype("timedelta64[s]"),
        "TX_TIME_SECONDS": seconds,
        "CUSTOMER_ID": customer,
        "TERMINAL_ID": rng.integers(0, 50, n),
        "TX_AMOUNT": np.round(usual * rng.uniform(0.8, 1.2, n) * np.where(fraud, 5, 1), 2),
        "TX_FRAUD": fraud.astype(np.int64),
    }
    path = folder / handbook.FILE
    path.parent.mkdir(parents=True)
    parquet.write_table(pyarrow.table(table), path)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def fitted(data: Path) -> Fitted:
    return fit_handbook(data, DEFINITIONS)


def test_training_sees_the_orders_that_a_replay_sends(data: Path) -> None:
    transactions = handbook.read(handbook.path_in(data))
    replayed = [record.value for record in Handbook.under(data).records(Window()) if record.topic == "orders"]
    assert [msgspec.json.decode(value or b"", type=Order) for value in replayed] == list(fit.orders(transactions))


def test_a_fit_knows_what_is_unusual_for_a_customer_better_than_the_amount_does(fitted: Fitted) -> None:
    assert fitted.metrics["ap"].value > fitted.gate["ap"].value
    assert fitted.metrics["auc"].value > 0.85


def test_the_columns_of_what_the_data_does_not_know_are_left_out(fitted: Fitted) -> None:
    assert {one.name.split("_")[0] for one in fitted.model.inputs} == {"order", "user"}


def test_a_fit_is_the_same_twice(data: Path, fitted: Fitted) -> None:
    again = fit_handbook(data, DEFINITIONS)
    assert (again.model.inputs, again.model.bias) == (fitted.model.inputs, fitted.model.bias)
    assert again.metrics == fitted.metrics


def test_the_artefact_loads_for_the_features_it_was_fitted_on(fitted: Fitted, tmp_path: Path) -> None:
    folder = report.save(fitted, tmp_path, name="shop", version="1")
    loaded = artefact.load(folder, DEFINITIONS.vector.names, DEFINITIONS.vector.hash)
    x = np.random.default_rng(1).lognormal(4, 3, (50, len(DEFINITIONS.vector.names)))
    assert loaded.model.score(x).tobytes() == fitted.model.score(x).tobytes()
    assert loaded.manifest.data["train"]["from"] == "2018-07-25"
    assert loaded.manifest.data["test"]["to"] == "2018-08-14"
    assert "devices" in loaded.manifest.data["lacks"]


def test_the_command_writes_model_and_figure_and_says_what_it_measured(data: Path, tmp_path: Path) -> None:
    figure = tmp_path / "figures" / "mine.json"
    arguments = ["--data", str(data), "--out", str(tmp_path / "out"), "--figure", str(figure)]
    done = CliRunner().invoke(command, arguments, standalone_mode=False)
    assert done.exception is None
    assert "the amount alone" in done.output
    assert (tmp_path / "out" / "shop-logistic" / "1" / "model.json").is_file()
    body = json.loads(figure.read_text())
    assert {"name", "value", "target", "command", "data_hash", "revision", "machine"} <= set(body)
    assert body["name"] == "mine"
    assert done.return_value == (0 if body["holds"] else 1)


def test_the_command_says_where_it_looked_for_data(tmp_path: Path) -> None:
    done = CliRunner().invoke(command, ["--data", str(tmp_path)])
    assert done.exit_code == 2
    assert handbook.FILE in done.output


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / handbook.FILE).is_file(), reason=f"HEADRACE_DATA names no folder with {handbook.FILE}")
def test_the_model_that_ships_is_what_the_command_fits() -> None:
    """Half a minute: the fit on the recorded data gives the inputs that are committed."""
    shipped = Path(artefact.__file__).parent / "default" / "shop-logistic" / "1"
    loaded = artefact.load(shipped, DEFINITIONS.vector.names, DEFINITIONS.vector.hash).model
    assert isinstance(loaded, Logistic)
    again = fit_handbook(DATA, DEFINITIONS)
    assert [one.name for one in again.model.inputs] == [one.name for one in loaded.inputs]
    for ours, theirs in zip(again.model.inputs, loaded.inputs, strict=True):
        assert ours.weight == pytest.approx(theirs.weight, rel=1e-4)
