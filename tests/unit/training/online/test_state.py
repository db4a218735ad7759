"""A state is canonical JSON of known classes: equal for equals, and harmless whatever a file says."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from typing import Any

import pytest
from river.tree.padded import PaddedBranch, PaddedLeaf

from tests.unit.training.online.test_learners import taught
from training.online.learner import kinds, of_state
from training.online.state import StateError, encoded, graph, object_of


class Box:
    """No class of a state."""


leaf_of: Any = PaddedLeaf  # River's have no types
branch_of: Any = PaddedBranch


def changed(written: bytes, change: Any) -> bytes:
    document = json.loads(written)
    change(document)
    return json.dumps(document).encode()


@pytest.fixture(scope="module", params=kinds())
def written(request: pytest.FixtureRequest) -> bytes:
    return taught(str(request.param), 300).state()


def test_a_state_is_canonical_json(written: bytes) -> None:
    document = json.loads(written)
    assert written == encoded(document)
    assert of_state(written).state() == written


def test_another_class_is_refused_by_name(written: bytes) -> None:
    def plant(document: Any) -> None:
        document["models"][-1]["classes"][0][0] = "subprocess.Popen"

    with pytest.raises(StateError, match=r"class 'subprocess\.Popen': a state may hold only"):
        of_state(changed(written, plant))


def test_an_allowed_class_in_the_place_of_another_is_refused(written: bytes) -> None:
    def plant(document: Any) -> None:
        document["models"] = [graph(random.Random(1)) for _ in document["models"]]

    with pytest.raises(StateError, match="a state of other models than"):
        of_state(changed(written, plant))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda d: d.pop("names"), "names"),
        (lambda d: d.update(format="online learner 0"), "format 'online learner 0'"),
        (lambda d: d.update(seen="many"), "'many': want a whole number"),
        (lambda d: d["settings"].update(rate="all"), "setting rate = 'all': want a float"),
        (lambda d: d["settings"].update(rate=7.0), "sampling rate 7.0"),
        (lambda d: d["settings"].update(more=1), "settings"),
        (lambda d: d.update(models=[]), "other models"),
        (lambda d: d.update(reads=["gone"]), "column 'gone'"),
        (lambda d: d["models"][0].update(objects=[]), "damaged"),
        (lambda d: d["models"][0].update(objects=[[99]]), "number 99"),
        (lambda d: d["models"][0]["objects"][0].append(1), "attributes"),
        (lambda d: d["models"][0]["classes"][0].__setitem__(1, ["__class__"]), "an attribute '__class__'"),
        (lambda d: d["models"][0]["objects"][0].__setitem__(1, {"eval": "1"}), "want one of"),
        (lambda d: d["models"][0]["objects"][0].__setitem__(1, {"ref": 10**9}), "number 1000000000"),
        (lambda d: d["models"][0]["objects"][0].__setitem__(1, {"defaultdict": ["exec", []]}), "makes 'exec'"),
        (lambda d: d["models"][0]["objects"][0].__setitem__(1, {"dict": [[[1], 2]]}), "a key"),
    ],
)
def test_a_hostile_state_is_refused_with_the_reason(written: bytes, change: Any, why: str) -> None:
    with pytest.raises(StateError, match=why):
        of_state(changed(written, change))


@pytest.mark.parametrize("written", [b"", b"[]", b"{", b"\x80\x04}.", b"[" * 100_000])
def test_what_is_no_json_object_is_refused(written: bytes) -> None:
    with pytest.raises(StateError):
        of_state(written)


def test_a_random_generator_goes_on_where_it_was() -> None:
    rng = random.Random(5)
    rng.gauss(0, 1)
    again = object_of(graph(rng))
    assert [again.random() for _ in range(9)] == [rng.random() for _ in range(9)]
    assert again.gauss(0, 1) == rng.gauss(0, 1)


@pytest.mark.parametrize("words", [[1] * 624, [2**32, *[1] * 624], [1] * 624 + [625], [0.5] * 625])
def test_a_random_generator_of_other_words_is_refused(words: list[Any]) -> None:
    with pytest.raises(StateError, match="random generator"):
        object_of({"classes": [["random.Random", ["gauss", "words"]]], "objects": [[0, None, words]]})


def test_what_is_shared_stays_shared_and_floats_stay_exact() -> None:
    leaf = leaf_of(l_mass=0.1 + 0.2, r_mass=float("inf"))
    branch = branch_of(leaf, leaf, "a", -0.0, 5e-324, (1, True, None))
    again = object_of(graph(branch))
    assert again.children[0] is again.children[1]
    assert vars(again.children[0]) == vars(leaf)
    assert str(again.threshold) == "-0.0"
    assert again.l_mass == 5e-324
    assert again.r_mass == (1, True, None)


def test_what_cannot_be_carried_is_refused_on_saving() -> None:
    leaf = leaf_of(l_mass=Box(), r_mass=0)
    with pytest.raises(StateError, match=r"class '.*\.Box' cannot be saved"):
        graph(leaf)
    both: list[int] = []
    with pytest.raises(StateError, match="a list that two objects share"):
        graph(leaf_of(l_mass=both, r_mass=both))
    with pytest.raises(StateError, match="a dictionary that makes"):
        graph(leaf_of(l_mass=defaultdict(Box), r_mass=0))
