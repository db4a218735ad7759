"""What the simulated network does: copies, late and shuffled events, garbage; never a loss, never time travel."""

from itertools import islice

import pytest

from schemas.decode import decode_batch
from simulation.disturb import GARBAGE, Disturbance, disturb
from simulation.event import Event, Truth
from simulation.shop import Plan, Shop

START_MS = 1_700_000_000_000


@pytest.fixture(scope="module")
def tidy() -> list[Event]:
    return list(islice(Shop(Plan.stress(20_000), START_MS).events(), 10_000))


def disturbed(tidy: list[Event], how: Disturbance, seed: int = 1) -> list[Event]:
    return list(disturb(iter(tidy), how, seed))


def test_nothing_is_lost_and_arrivals_are_in_order(tidy: list[Event]) -> None:
    arrived = disturbed(tidy, Disturbance(garbage=0.01))
    assert {event.event_id for event in arrived if event.truth is not Truth.GARBAGE} == {e.event_id for e in tidy}
    times = [event.send_ms for event in arrived]
    assert times == sorted(times)


def test_nothing_arrives_before_it_happened_nor_a_copy_before_its_original(tidy: list[Event]) -> None:
    seen: set[str] = set()
    for event in disturbed(tidy, Disturbance()):
        assert event.send_ms >= event.at_ms
        assert event.copy == (event.event_id in seen)
        seen.add(event.event_id)


def test_a_copy_is_the_same_bytes_under_the_same_key(tidy: list[Event]) -> None:
    originals = {event.event_id: event for event in tidy}
    copies = [event for event in disturbed(tidy, Disturbance()) if event.copy]
    assert all((c.key, c.value) == (originals[c.event_id].key, originals[c.event_id].value) for c in copies)


def test_shares_are_as_asked(tidy: list[Event]) -> None:
    arrived = disturbed(tidy, Disturbance(copies=0.02, late=0.03, shuffled=0.10, garbage=0.01))
    fresh = [event for event in arrived if not event.copy and event.truth is not Truth.GARBAGE]
    assert sum(event.copy for event in arrived) / len(tidy) == pytest.approx(0.02, rel=0.3)
    assert sum(event.send_ms > event.at_ms for event in fresh) / len(tidy) == pytest.approx(0.127, rel=0.15)
    assert sum(event.truth is Truth.GARBAGE for event in arrived) / len(tidy) == pytest.approx(0.01, rel=0.4)


def test_the_same_seed_disturbs_the_same_way_and_another_does_not(tidy: list[Event]) -> None:
    how = Disturbance(garbage=0.01)
    assert disturbed(tidy, how) == disturbed(tidy, how)
    assert disturbed(tidy, how) != disturbed(tidy, how, seed=2)


@pytest.mark.parametrize("spoil", GARBAGE)
def test_every_kind_of_garbage_is_refused_or_from_the_far_future(tidy: list[Event], spoil: object) -> None:
    assert callable(spoil)
    order = next(event for event in tidy if event.topic == "orders")
    decoded = decode_batch("orders", [spoil(order)])
    assert decoded.faults or decoded.at_ms[0] > order.at_ms + 100 * 365 * 86_400_000
