"""Places in a JSON text: found without building it, however broken or deep it is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.places import at_byte, cannot_be_deep, depth_of

NAMES = st.text("abc", min_size=1, max_size=3)
TREES = st.recursive(
    st.text('ab"\\[{]},:é', max_size=4),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=12,
)


def leaves(tree: Any, path: str = "$") -> list[str]:
    """The paths of all texts in a tree, in the order in which they are written."""
    if isinstance(tree, dict):
        return [found for name, inner in tree.items() for found in leaves(inner, f"{path}.{name}")]
    if isinstance(tree, list):
        return [found for at, inner in enumerate(tree) for found in leaves(inner, f"{path}[{at}]")]
    return [path]


def depth(tree: Any) -> int:
    inner = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


def marked(tree: Any) -> Any:
    """Every text replaced by one that can be found."""
    if isinstance(tree, dict):
        return {name: marked(inner) for name, inner in tree.items()}
    return [marked(inner) for inner in tree] if isinstance(tree, list) else tree + "#"


@given(TREES)
def test_every_value_is_found_at_its_path(tree: Any) -> None:
    text = json.dumps(marked(tree)).encode()
    marks = [at for at, byte in enumerate(text) if byte == ord("#")]
    assert [at_byte(text, at) for at in marks] == leaves(tree)


@given(TREES, st.integers(5, 12))
def test_depth_is_that_of_the_tree(tree: Any, limit: int) -> None:
    text = json.dumps(tree, ensure_ascii=False, separators=(",", ":")).encode()
    assert depth_of(text) == depth(tree)
    assert not cannot_be_deep(text, limit) or depth(tree) <= limit


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"":', b"}"), (b'[{"":', b"}]"), (b'{"":[', b"]}")])
@pytest.mark.parametrize("limit", [5, 20, 500])
def test_the_cheap_answer_never_misses_what_is_deep(opening: bytes, closing: bytes, limit: int) -> None:
    for levels in range(1, 2 * limit):
        text = opening * levels + b"1" + closing * levels
        deep = depth_of(text) > limit
        assert not (deep and cannot_be_deep(text, limit)), levels


def test_an_order_of_ten_lines_needs_no_closer_look() -> None:
    assert cannot_be_deep(b'{"items":[' + b",".join([b'{"item_id":"i","price":1,"quantity":1}'] * 10) + b"]}", 500)


@given(st.binary(max_size=60), st.integers(0, 70))
def test_no_bytes_are_an_error(text: bytes, position: int) -> None:
    assert at_byte(text, position).startswith("$")
    assert depth_of(text) >= 0
    cannot_be_deep(text, 1)


@pytest.mark.parametrize("text", [b"[" * 1_000_000, b'{"a":' * 200_000, b'"' * 1_000_000, b'"\\' * 500_000])
def test_a_hostile_megabyte_is_answered(text: bytes) -> None:
    at_byte(text[:100_000], 100_000)
    assert (depth_of(text) > 500) == (text[:1] != b'"')


def test_a_key_that_cannot_be_printed_is_escaped() -> None:
    assert at_byte(b'{"a\x01\xff":1}', 8) == "$.a\\x01\\ufffd"


def test_brackets_in_strings_do_not_count() -> None:
    assert depth_of(b'["' + b"[" * 600 + b'"]') == 1
