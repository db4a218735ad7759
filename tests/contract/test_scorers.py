"""What every kind of scorer promises, whatever it was fitted by. A kind without an example here fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest

from models import artefact
from models.documents import ArtefactError
from models.exact import Floats
from models.kinds import KINDS
from models.scorer import Scorer
from tests.support.scorers import EXAMPLES

NAMES = ("amount", "idle", "count", "risk")
HASH = "f" * 16


@cache
def example(kind: str) -> Scorer:
    """A fitted model of this kind over NAMES, `idle` unread."""
    return EXAMPLES[kind](NAMES)


def orders(n: int, seed: int = 1) -> Floats:
    """(n, 4) vectors with heavy tails, zeros and negatives."""
    rng = np.random.default_rng(seed)
    x: Floats = rng.lognormal(2, 3, (n, len(NAMES))) * rng.choice([-1.0, 0.0, 1.0], (n, len(NAMES)), p=[0.1, 0.2, 0.7])
    x[:, 3] = rng.random(n)
    return x


def packed(kind: str) -> dict[str, bytes]:
    about: dict[str, Any] = {"feature_hash": HASH, "metrics": {}, "data": {}, "seed": 1, "revision": "r"}
    return artefact.pack(example(kind), name="one", version="1", **about)


def loaded(kind: str, names: Sequence[str] = NAMES, change: Mapping[str, bytes] | None = None) -> Scorer:
    return artefact.parse(packed(kind) | dict(change or {}), names, HASH).model


def test_every_kind_has_an_example() -> None:
    assert EXAMPLES.keys() == KINDS.keys()


@pytest.fixture(params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_kind_is_what_its_class_says(kind: str) -> None:
    assert isinstance(example(kind), Scorer)
    assert example(kind).kind == kind


def test_a_score_is_a_rounded_probability(kind: str) -> None:
    score = example(kind).score(orders(3000))
    assert score.shape == (3000,)
    assert ((score >= 0) & (score <= 1)).all()
    assert score.tolist() == [round(one, 6) for one in score.tolist()]


def test_scores_differ(kind: str) -> None:
    assert len(np.unique(example(kind).score(orders(3000)))) > 10


@pytest.mark.parametrize("extreme", [0.0, -1e15, 1e15, 1e300, -1e300, 5e-324])
def test_no_finite_vector_scores_nan(kind: str, extreme: float) -> None:
    x = orders(len(NAMES) + 1)
    x[-1] = extreme
    np.fill_diagonal(x[:-1], extreme)
    score = example(kind).score(x)
    assert ((score >= 0) & (score <= 1)).all()
    assert np.isfinite(example(kind).contributions(x)).all()


@pytest.mark.parametrize("batch", [1, 2, 3, 7, 64, 1000])
def test_a_score_does_not_depend_on_its_batch(kind: str, batch: int) -> None:
    x = orders(1000)
    whole = example(kind).score(x)
    parts = [example(kind).score(x[at : at + batch]) for at in range(0, len(x), batch)]
    assert np.concatenate(parts).tobytes() == whole.tobytes()


@pytest.mark.parametrize("batch", [1, 2, 7, 64])
def test_contributions_do_not_depend_on_their_batch(kind: str, batch: int) -> None:
    x = orders(200)
    whole = example(kind).contributions(x)
    parts = [example(kind).contributions(x[at : at + batch]) for at in range(0, len(x), batch)]
    assert np.concatenate(parts).tobytes() == whole.tobytes()


def test_no_orders_have_no_scores(kind: str) -> None:
    model = example(kind)
    assert model.score(orders(0)).shape == (0,)
    assert model.contributions(orders(0)).shape == (0, len(model.reads))


def test_scoring_changes_nothing(kind: str) -> None:
    x, before = orders(100), example(kind).files()
    kept = x.copy()
    first = example(kind).score(x)
    assert x.tobytes() == kept.tobytes()
    assert example(kind).score(x).tobytes() == first.tobytes()
    assert example(kind).files() == before


def test_rows_may_lie_anyhow_in_memory(kind: str) -> None:
    x = orders(200)
    strided = np.asfortranarray(np.repeat(x, 2, axis=0))[::2]
    assert example(kind).score(strided).tobytes() == example(kind).score(x).tobytes()
    assert example(kind).contributions(strided).tobytes() == example(kind).contributions(x).tobytes()


def test_what_is_saved_scores_the_same_when_loaded(kind: str) -> None:
    x = orders(1000)
    again = loaded(kind)
    assert again.score(x).tobytes() == example(kind).score(x).tobytes()
    assert again.contributions(x).tobytes() == example(kind).contributions(x).tobytes()
    assert (again.reads, again.base, again.usual.tolist()) == (
        example(kind).reads,
        example(kind).base,
        example(kind).usual.tolist(),
    )


def test_the_same_model_gives_the_same_files(kind: str) -> None:
    assert loaded(kind).files() == example(kind).files()


def test_a_model_finds_its_columns_by_name(kind: str) -> None:
    x = orders(300)
    moved = loaded(kind, ("new", *reversed(NAMES)))
    shuffled = np.column_stack([np.full(len(x), 7.0), x[:, ::-1]])
    assert moved.score(shuffled).tobytes() == example(kind).score(x).tobytes()


def test_a_model_reads_what_it_says_and_nothing_else(kind: str) -> None:
    model, x = example(kind), orders(300)
    assert set(model.reads) <= set(NAMES)
    assert len(set(model.reads)) == len(model.reads) == len(model.usual)
    others = x.copy()
    others[:, [at for at, name in enumerate(NAMES) if name not in model.reads]] = 1e6
    assert model.score(others).tobytes() == model.score(x).tobytes()


def test_a_vector_of_another_width_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="a vector of 3 columns: this model reads vectors of 4"):
        example(kind).score(np.zeros((1, 3)))
    with pytest.raises(ValueError, match="a vector of 3 columns: this model reads vectors of 4"):
        example(kind).contributions(np.zeros((1, 3)))


def test_contributions_make_the_score_or_are_none(kind: str) -> None:
    model, x = example(kind), orders(500)
    parts = model.contributions(x)
    assert parts.shape == (500, len(model.reads))
    if not model.additive:
        assert not parts.any()
        return
    score = 1 / (1 + np.exp(-(model.base + parts.sum(axis=1))))
    assert score == pytest.approx(model.score(x), abs=2e-6)


def test_a_column_that_is_gone_is_named(kind: str) -> None:
    gone = example(kind).reads[0]
    with pytest.raises(ArtefactError, match=rf"input '{gone}' is no column of the vector: fit the model again"):
        loaded(kind, tuple(f"other_{name}" if name == gone else name for name in NAMES))


def damaged(files: Mapping[str, bytes]) -> list[tuple[str, bytes]]:
    cut: Callable[[bytes], bytes] = lambda content: content[: len(content) // 2]  # noqa: E731
    return [(name, make(content)) for name, content in files.items() for make in (cut, lambda _: b"", lambda _: b"{}")]


def test_files_that_are_cut_or_of_something_else_are_refused(kind: str) -> None:
    """Also where the manifest agrees with them: whoever wrote the files may have written it, too."""
    for name, content in damaged(example(kind).files()):
        with pytest.raises(ArtefactError):
            type(example(kind)).of(example(kind).files() | {name: content}, NAMES)
    with pytest.raises(ArtefactError, match="missing"):
        type(example(kind)).of({}, NAMES)


def test_a_file_that_was_changed_is_refused(kind: str) -> None:
    name, content = next(iter(example(kind).files().items()))
    with pytest.raises(ArtefactError, match="its SHA-256 is"):
        loaded(kind, change={name: content + b" "})
