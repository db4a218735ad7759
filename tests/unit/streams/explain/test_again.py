"""A decision made again: what counts as the same, and that a difference is named."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from archive.columns import Row
from features.shop import shop_definitions
from schemas.decisions import DecisionLog
from streams.configuration import Configuration, from_files
from streams.explain.again import again
from streams.explain.kept import Kept
from streams.outputs import RangeOutputs, Writer
from streams.protocol.ports import Tp
from tests.support.events import order

DEFINITIONS = shop_definitions()
FLOW = next(flow for flow in DEFINITIONS.flows if flow.scored)
OWN = from_files(DEFINITIONS, None, None)


def kept(configuration: Configuration = OWN, amount: float = 30.5) -> Kept:
    """A decision as a worker publishes and logs it."""
    record = sent("a", amount)
    decoded = FLOW.decode([record.value])
    vector = np.zeros((1, len(DEFINITIONS.vector.names)))
    vector[0, 0] = amount
    out, writer = RangeOutputs(decoded.at_ms), Writer(Tp("orders", 0, "id"), same_partitions=True, feature_hash="f")
    columns = FLOW.columns(decoded.events, decoded.at_ms)
    writer.decisions(out, columns, vector, [record.key], np.array([7]), configuration, False)
    made = {one.topic: one.value or b"" for one in out.records}
    return Kept(made["decisions"], (made["fraud"],), record, tuple(DEFINITIONS.vector.names))


def sent(name: str, amount: float = 30.5) -> Row:
    """An order as the archive gives it."""
    record = order(name, value=amount)
    return Row(7, record.timestamp_ms or 0, record.key, record.value, ())


def logged(one: Kept, **change: object) -> Kept:
    """The same with another log."""
    log = msgspec.json.decode(one.log) | change
    return Kept(msgspec.json.encode(log), one.published, one.order, one.names)


def test_the_same_vector_and_configuration_give_the_same_bytes() -> None:
    found = again(kept(), OWN, FLOW)
    assert (found.equal, found.fraud, found.log) == (True, *kept().published, kept().log)


def test_a_copy_that_was_made_again_after_a_loss_differs_in_recovered_alone() -> None:
    recovered = kept().published[0].replace(b'"recovered":false', b'"recovered":true')
    one = kept()
    assert recovered != one.published[0]
    assert again(Kept(one.log, (*one.published, recovered), one.order, one.names), OWN, FLOW).equal


@pytest.mark.parametrize(("change", "topic"), [({"score": 0.99}, "decisions"), ({"action": "block"}, "decisions")])
def test_a_log_that_says_otherwise_is_named_by_its_fields(change: dict[str, object], topic: str) -> None:
    assert again(logged(kept(), **change), OWN, FLOW).differs == {topic: tuple(change)}


def test_another_vector_gives_another_decision() -> None:
    one = kept()
    vector = [*msgspec.json.decode(one.log, type=DecisionLog).vector]
    vector[0] = 2_000.0
    assert "score" in again(logged(one, vector=vector), OWN, FLOW).differs["fraud"]


def test_a_record_that_is_another_order_is_refused() -> None:
    one = kept()
    strange = Kept(one.log, one.published, sent("b"), one.names)
    assert again(strange, OWN, FLOW).differs == {
        "orders": ("the record that the log names is not the order of the decision",)
    }


def test_what_was_never_published_is_said() -> None:
    one = kept()
    assert "not published" in again(Kept(one.log, (), one.order, one.names), OWN, FLOW).differs["fraud"][0]
