"""What a user gets wrong at the edges: other constants, a store that evicts, a slot taken twice, half a stack.

Each is refused at the start in one line that names the setting; what can work works.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import redis

from streams.embedded.processes import Children
from streams.embedded.store import Store
from tests.e2e.test_up import Up, soon, up
from tests.support.events import orders
from tests.support.tansu import start_tansu
from tests.support.worker import Stream

pytestmark = pytest.mark.xdist_group("usual ports")
__all__ = ["up"]  # a fixture


async def test_a_state_of_other_constants_or_a_store_that_evicts_is_refused(embedded_stream: Stream) -> None:
    """Whoever sets the old values again goes on as if nothing had been."""
    stream = embedded_stream
    worker = stream.worker()
    await stream.send(*orders(20))
    await stream.settled(20)
    assert worker.terminate() == 0
    refused = {
        r"shards 16 \(here 8\).*HEADRACE_SHARDS": {"SHARDS": "8"},
        r"shards 16 \(here 32\).*HEADRACE_SHARDS": {"SHARDS": "32"},
        r"money .* \(here .*HEADRACE_BASE_CURRENCY, HEADRACE_RATES": {
            "RATES": '{"2026-01-01": {"EUR": 1.0, "USD": 0.5}}'
        },
        r"future_ms 300000 \(here 1000\).*HEADRACE_LIMITS__FUTURE_S": {"LIMITS__FUTURE_S": "1"},
    }
    for named, settings in refused.items():
        one = stream.worker(None, **settings)
        assert await one.ended() == 2, one.said
        assert re.search(named, one.said), one.said
    with redis.Redis(port=stream.store.port) as admin:
        admin.config_set("maxmemory-policy", "allkeys-lru")
        evicting = stream.worker()
        assert await evicting.ended() == 2, evicting.said
        assert "maxmemory-policy allkeys-lru, which throws state away" in evicting.said
        admin.config_set("maxmemory-policy", "noeviction")
    stream.worker()
    await stream.send(*orders(5, name="after"))
    assert (await stream.settled(25)).decided == 25


@pytest.mark.parametrize("named", ["broker", "store"])
def test_half_a_stack_of_ones_own_and_half_embedded_works(
    up: Callable[..., Up],
    named: str,
    children: Children,
    valkey: Store,
) -> None:
    broker = start_tansu(children)  # of its own: another test's topics may be too few partitions, and it cannot add any
    env = {
        "broker": {"HEADRACE_KAFKA__BROKERS": broker.address},
        "store": {"HEADRACE_REDIS__URL": valkey.url},
    }[named]
    with redis.Redis(port=valkey.port) as admin:
        admin.flushall()
    running = up("--workers", "1", env=env).ready()
    assert (running.address("broker") == broker.address) == (named == "broker")
    assert (running.address("store") == valkey.url) == (named == "store")

    def positions() -> bool:
        """The worker is in the store that the table names."""
        with redis.Redis(port=running.port("store")) as client:
            return len(client.keys("{*}:space")) == 16

    soon(positions)
    running.process.terminate()
    assert running.ended() == 0


@pytest.mark.parametrize(
    ("name", "value", "address"),
    [
        ("HEADRACE_KAFKA__SECURITY_PROTOCOL", "SSL", "HEADRACE_KAFKA__BROKERS"),
        ("HEADRACE_REDIS__PASSWORD", "5ecret", "HEADRACE_REDIS__URL"),
    ],
)
def test_a_login_without_the_address_it_is_for_is_refused(
    up: Callable[..., Up],
    name: str,
    value: str,
    address: str,
) -> None:
    running = up("--workers", "0", env={name: value})
    assert running.ended() == 2
    (line,) = running.errors.read_text().splitlines()
    assert name in line
    assert address in line
    assert "5ecret" not in line


def test_a_slip_in_a_setting_is_warned_of_and_one_below_a_part_refused(up: Callable[..., Up]) -> None:
    running = up("--workers", "0", env={"HEADRACE_DELIVRY": "exactly-once", "HEADRACE_KAFKA__BROKER": "a:1"})
    assert running.ended() == 2
    warned, refused = running.errors.read_text().splitlines()
    assert warned == "Warning: no such setting: HEADRACE_DELIVRY: did you mean HEADRACE_DELIVERY?"
    assert "HEADRACE_KAFKA__BROKER: no such setting: did you mean HEADRACE_KAFKA__BROKERS?" in refused
