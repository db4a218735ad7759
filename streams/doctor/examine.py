"""Everything that a worker, the archive or a learner will need, looked at before they do.

Areas are looked at side by side, the checks of one in turn. Nothing is changed but for one empty file in the archive,
which is taken away again. The price: a look is a moment's; what breaks later is for the watchdog and the metrics.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import chain

from schemas.settings import Settings
from streams.doctor import host, places
from streams.doctor.broker import Broker
from streams.doctor.finding import Check, Finding, looked, skipped
from streams.doctor.shop import Shop
from streams.doctor.store import Store
from streams.space import open_store
from streams.transport.link import Link
from streams.transport.log import LogReader

PATIENCE_S = 1.0  # with brokers: less than what a check has


async def examine(settings: Settings) -> list[Finding]:
    """One finding for each check, area by area."""
    shop = Shop(settings)
    first = await looked("shop", shop.checks())
    if first[0].state == "fails":  # the rest asks for what the definitions name
        rest = [skipped(name, first[0]) for name in ("rules", "model")]
        return [*await looked("host", host.checks(settings)), *first, *rest]
    found: Sequence[list[Finding]] = await asyncio.gather(
        looked("host", host.checks(settings)),
        _broker(settings, shop),
        _store(settings, shop),
        looked("archive", places.archive_checks(settings)),
        looked("registry", places.registry_checks(settings)),
        looked("schemas", places.schema_checks(settings)),
        _deciding(settings, shop),
    )
    *areas, deciding = found
    return [*chain.from_iterable(areas), *first, *deciding]


async def _deciding(settings: Settings, shop: Shop) -> list[Finding]:
    def checks() -> list[tuple[str, Check]]:
        from streams.doctor.deciding import Deciding  # half a second, while others wait for an answer

        return Deciding(settings, shop).checks()

    return await looked("shop", await asyncio.to_thread(checks))


async def _broker(settings: Settings, shop: Shop) -> list[Finding]:
    reader = LogReader(Link.of(settings.kafka), patience_s=PATIENCE_S, client_id="headrace-doctor")
    try:
        return await looked("broker", Broker(settings, shop, reader).checks())
    finally:
        await reader.stop()


async def _store(settings: Settings, shop: Shop) -> list[Finding]:
    store = open_store(settings, shop.definitions)
    checks = Store(settings, shop, store)
    predicting = asyncio.create_task(asyncio.to_thread(checks.predicted_bytes))
    try:
        found = await looked("store", checks.checks())
        predicted = await predicting
        if found[0].state == "fails":
            return [*found, skipped("budget", found[0])]
        return [*found, *await looked("store", [("budget", lambda: checks.budget(predicted))])]
    finally:
        await store.close()
