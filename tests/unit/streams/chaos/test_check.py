"""What counts as a broken promise after a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from features.shop import shop_definitions
from streams.audit import Report as Audit
from streams.chaos.check import Dump, differences, of_audit, order_id, unlike, user_vectors
from streams.transport.link import Link
from streams.transport.log import Chunk, LogReader

NOBODY = LogReader(Link("127.0.0.1:1"))


def audited(repeated: int = 0, recovered: int = 0) -> Audit:
    return Audit(consumed=10, decided=10, repeated=repeated, recovered=recovered)


def problems(audit: Audit, *, exactly_once: bool = False, loses_state: bool = False) -> list[str]:
    return of_audit(audit, exactly_once=exactly_once, loses_state=loses_state)


def test_repeats_with_the_same_bytes_are_no_problem_in_at_least_once() -> None:
    assert problems(audited(repeated=3)) == []


def test_a_reader_of_committed_records_must_see_each_decision_once() -> None:
    assert "3 decisions are seen twice" in problems(audited(repeated=3), exactly_once=True)[0]


def test_recovered_decisions_belong_to_runs_that_lose_state_alone() -> None:
    assert "2 decisions differ" in problems(audited(recovered=2))[0]
    assert problems(audited(recovered=2), loses_state=True) == []


def test_sums_that_do_not_add_up_are_told_with_both_numbers() -> None:
    assert problems(Audit(consumed=11, decided=10)) == ["the audit does not add up: 11 consumed, 10 accounted for"]


def dumped(folder: Path, name: str, *bags: tuple[str, int]) -> Dump:
    path = folder / name
    lines = [orjson.dumps({"group": "user", "entity": entity, "newest": newest}) for entity, newest in bags]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return Dump(path, len(bags), name)


async def test_equal_dumps_have_no_differences(tmp_path: Path) -> None:
    one = dumped(tmp_path, "same", ("u1", 5))
    assert await differences(NOBODY, [], one, one) == []


async def test_a_record_that_differs_is_named(tmp_path: Path) -> None:
    dirty, clean = dumped(tmp_path, "a", ("u1", 5), ("u2", 6)), dumped(tmp_path, "b", ("u1", 5), ("u2", 7))
    assert await differences(NOBODY, [], dirty, clean) == ["state: user 'u2' differs from the clean pass"]


async def test_a_record_that_one_side_lacks_is_named(tmp_path: Path) -> None:
    dirty, clean = dumped(tmp_path, "a", ("u1", 5)), dumped(tmp_path, "b", ("u1", 5), ("u2", 7))
    assert await differences(NOBODY, [], dirty, clean) == ["state: user 'u2' is known to the clean pass alone"]
    assert await differences(NOBODY, [], clean, dirty) == ["state: user 'u2' is known to this run alone"]


def test_garbage_has_no_order_id() -> None:
    assert order_id(b'{"order_id":"o-1"}') == "o-1"
    assert order_id(b"{") == order_id(None) == order_id(b'{"order_id":7}') == "?"


class Canned(LogReader):
    """A log of one partition, all in memory."""

    def __init__(self, *values: bytes) -> None:
        super().__init__(Link("127.0.0.1:1"))
        self.records = [Kept(offset, value) for offset, value in enumerate(values)]

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:  # noqa: ARG002
        return 0, len(self.records)

    async def fetch(self, topic: str, partition: int, offset: int, *, max_bytes: int = 0) -> Chunk:  # noqa: ARG002
        return Chunk([*self.records[offset : offset + 2]], min(offset + 2, len(self.records)), len(self.records))


@dataclass(frozen=True)
class Kept:
    offset: int
    value: bytes | None
    timestamp: int = 0
    key: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()


SHOP = shop_definitions()
FIRST_OF_USER = next(place for place, name in enumerate(SHOP.vector.names) if name.startswith("user_"))
FIRST_OF_CARD = next(place for place, name in enumerate(SHOP.vector.names) if name.startswith("card_"))


def told(order: str, place: int = FIRST_OF_USER, value: float = 1.0, *, recovered: bool = False) -> bytes:
    """A record of `decisions` with one column that is not zero."""
    vector = [0.0] * len(SHOP.vector.names)
    vector[place] = value
    return orjson.dumps({"decision_id": f"d-{order}", "order_id": order, "vector": vector, "recovered": recovered})


async def wrong(dirty: Sequence[bytes], clean: Sequence[bytes]) -> list[str]:
    return await unlike(Canned(*clean), SHOP, 1, await user_vectors(Canned(*dirty), SHOP, 1))


async def test_an_order_whose_user_looks_otherwise_in_the_clean_pass_is_named() -> None:
    clean = [told("o1"), told("o2"), told("o3")]
    assert await wrong(clean, clean) == []
    assert await wrong([told("o1"), told("o2", value=2.0), told("o3")], clean) == [
        "order o2: its user's columns differ from the clean pass's"
    ]


async def test_a_repeat_that_sees_itself_is_named_even_if_the_clean_pass_agrees_with_one_copy() -> None:
    clean = [told("o1")]
    assert len(await wrong([told("o1"), told("o1", value=2.0)], clean)) == 1


async def test_columns_that_hang_on_the_interleaving_and_recovered_decisions_do_not_count() -> None:
    clean = [told("o1", FIRST_OF_CARD, 1.0)]
    assert await wrong([told("o1", FIRST_OF_CARD, 2.0)], clean) == []
    assert await wrong([told("o1", recovered=True)], clean) == []
