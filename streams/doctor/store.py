"""The store: is it there, new enough, safe from itself, made by definitions like ours, and how full?"""

from __future__ import annotations

import time
from typing import Final

from redis.exceptions import RedisError

from schemas.settings import Settings
from streams.doctor.finding import Broken, Check, Doubt
from streams.doctor.permitted import refused
from streams.doctor.shop import Shop
from streams.protocol.ports import Stop, StoreDown
from streams.space import constants_of, limits_of
from streams.stores import admin, exits, prepare
from streams.stores.valkey import ValkeyStore

FULL, NEARLY_FULL = 0.95, 0.8  # of the memory that a server may take
OFF = 1.15  # so far the prediction may be wrong
SAMPLES: Final = 75  # of each group: half a second's work, and within 4 %
MB: Final = 2**20
SKEW_S: Final = 5.0
DAY_S: Final = 86_400.0


class Store:
    """`store` is open and is never prepared: nothing is written."""

    def __init__(self, settings: Settings, shop: Shop, store: ValkeyStore) -> None:
        self._settings, self._shop, self._store = settings, shop, store
        self._servers: list[admin.Fullness] = []  # by the first check, which the others wait for

    def checks(self) -> list[tuple[str, Check]]:
        """What is looked at, in order."""
        return [("reached", self.reached), ("permissions", self.permitted), ("functions", self.functions),
                ("state space", self.space), ("persistence", self.persistence), ("memory", self.memory),
                ("clock", self.clock), ("watchdog", self.watchdog)]  # fmt: skip

    async def reached(self) -> str:
        """Whether it answers, is new enough, and throws nothing away when it is full."""
        try:
            await prepare.check_servers(self._store.nodes)
        except StoreDown as error:
            raise Broken(
                f"no server answers at {self._settings.redis.shown}: start one with `headrace up`, or check "
                "HEADRACE_REDIS__URL"
            ) from error
        self._servers = await admin.fullness(self._store)
        return ", ".join(f"{one.server}: version {one.version}, {one.keys:,} keys" for one in self._servers)

    async def permitted(self) -> str:
        """Whether our user may do what a worker does."""
        if lacking := await refused(self._store.nodes):
            raise Broken(
                f"its user may not use {', '.join(lacking)}: grant the user the keys ~{{* and the commands that "
                "docs/store.md lists"
            )
        return "its user may do what a worker does"

    async def functions(self) -> str:
        """Whether our functions are there; workers load them."""
        ours, _ = prepare.library()
        nodes = self._store.nodes
        found = [await prepare.revision_at(nodes, node) for node in await nodes.primaries()]
        if any(revision > ours for revision in found):
            raise Doubt(
                f"its functions are of revision {max(found)}, this version brings {ours}: a newer worker has run here, "
                "upgrade this one"
            )
        return "not there yet: the first worker loads them" if not all(found) else f"revision {min(found)}"

    async def space(self) -> str:
        """Whether the state was made by definitions like ours."""
        settings, definitions = self._settings, self._shop.definitions
        known = await prepare.known_of(self._store.nodes, 0)
        if not known:
            return "empty: the first worker makes it"
        wanted = prepare.constants(settings.shards, limits_of(settings), constants_of(settings, definitions))
        other = {name: value for name, value in known.items() if name in wanted and wanted[name] != value}
        prepare.refuse_different(other, wanted, known)
        return f"{settings.shards} shards, as these settings and definitions have it"

    async def persistence(self) -> str:
        """Whether a restart of the server keeps the state."""
        without = [one.server for one in self._servers if not one.append_only]
        if without:
            raise Doubt(
                f"{', '.join(without)} keeps no append-only file, a restart would be an empty store: set appendonly "
                "yes (docs/store.md)"
            )
        return "append-only file"

    async def watchdog(self) -> str:
        """Whether workers were ended because they stood still."""
        found = await exits.newest(self._store.nodes.trip)
        if not found:
            return "it has ended no worker yet"
        last, since_s = found[-1], time.time() - found[-1].at_ms / 1000
        said = f"it has ended {last.number:,} ever, {last.worker} {since_s / 3600:,.1f} hours ago"
        if since_s < DAY_S:
            raise Doubt(f"{said} ({last.what}): see HeadraceWatchdogExits in docs/runbook.md")
        return said

    async def memory(self) -> str:
        """Whether there is room."""
        shares = [(one.used_bytes / one.most_bytes, one) for one in self._servers if one.most_bytes]
        said = f"{sum(one.used_bytes for one in self._servers) / MB:,.0f} MB used"
        if not shares:
            raise Doubt(
                f"{said}, without a limit: set maxmemory below what the machine has, or the system kills the server "
                "when it is full; `headrace features budget` says how much it will want"
            )
        share, fullest = max(shares, key=lambda one: one[0])
        said = f"{said}, {share:.0%} of what {fullest.server} may take"
        if share >= FULL:
            raise Broken(f"{said}: raise maxmemory, for a full server takes no writes and workers wait")
        if share >= NEARLY_FULL:
            raise Doubt(f"{said}: raise maxmemory, or lower what `headrace features budget` lists")
        return said

    async def budget(self, predicted: float | None) -> str:
        """Whether what is planned has room, and whether no more is there than was planned."""
        if self._settings.plan.users is None:
            return "no shop is planned (HEADRACE_PLAN__USERS): `headrace features budget` says what one would take"
        if predicted is None:
            return "not to be said of these definitions or rates: `headrace features budget` says what it must be told"
        users, orders = self._planned
        said = f"{predicted / MB:,.0f} MB will be wanted of {users:,.0f} users with {orders:,.0f} orders a day"
        used, most = (sum(getattr(one, name) for one in self._servers) for name in ("used_bytes", "most_bytes"))
        if used > predicted * OFF:
            raise Doubt(
                f"{said}, and {used / MB:,.0f} MB are used: mend HEADRACE_PLAN__USERS and "
                "HEADRACE_PLAN__ORDERS_PER_DAY, or look at what `headrace features budget` lists"
            )
        if most and predicted > most * NEARLY_FULL:
            raise Doubt(
                f"{said}, and {most / MB:,.0f} MB are all it may take: raise maxmemory to "
                f"{predicted / NEARLY_FULL / MB:,.0f} MB before it is full"
            )
        return said

    @property
    def _planned(self) -> tuple[float, float]:
        """Users, and their orders a day."""
        plan = self._settings.plan
        users = plan.users or 0.0
        return users, users / 10 if plan.orders_per_day is None else plan.orders_per_day

    def predicted_bytes(self) -> float | None:
        """What is planned will want, a year after the first event; None where nothing is, or nobody can say.

        Half a second's work or more, which no server has to do with: it is begun before the others are asked.
        """
        settings = self._settings
        if settings.plan.users is None or settings.features is not None:
            return None
        from streams.budget import Server, assumed, predict, specimens  # it brings compiled loops along: deciding.py

        server = Server(settings.shards, settings.partitions, limits_of(settings))
        try:
            return predict(self._shop.definitions, assumed(*self._planned), server, specimens(), SAMPLES).total_bytes
        except ValueError:  # the specimens have a currency that the rates lack
            return None

    async def clock(self) -> str:
        """Whether the server's clock is ours, as far as we may ask."""
        nodes = self._store.nodes
        try:
            seconds, micros = await nodes.ask((await nodes.primaries())[0], "TIME")
        except (RedisError, Stop):
            return "the server does not say"
        skew = int(seconds) + int(micros) / 1e6 - time.time()
        if abs(skew) > SKEW_S:
            raise Doubt(f"its clock is {abs(skew):,.0f} s {'ahead of' if skew > 0 else 'behind'} ours: set both by NTP")
        return "as ours"
