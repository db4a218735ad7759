"""`headrace features budget`: a door to streams/budget.py."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click

from streams.cli import CouldNotRun
from streams.cli.table import print_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from features.definitions import Definitions
    from schemas.settings import Plan, Settings
    from streams.budget import Budget, Demand, Server


USERS = 1e5


class Named(click.ParamType):
    name = "NAME=N"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, float]:
        name, equals, count = str(value).partition("=")
        try:
            found = float(count)
        except ValueError:
            found = -1.0
        if not name or not equals or found < 0:
            self.fail(f"{value!r}: want a name and a number, as in device=2e6", param, ctx)
        return name, found


@click.command("budget")
@click.option("--users", type=click.FloatRange(min=1), help="Accounts; default: HEADRACE_PLAN__USERS, else 100,000.")
@click.option("--orders-per-day", type=click.FloatRange(min=0), help="Default: as planned, else a tenth of the users.")
@click.option("--cards", type=click.FloatRange(min=1), help="Default: one a user.")
@click.option("--devices", type=click.FloatRange(min=1), help="Default: three for two users.")
@click.option("--ips", type=click.FloatRange(min=1), help="Default: one a user.")
@click.option("--merchants", type=click.FloatRange(min=1), help="Default: 1.")
@click.option("--products", type=click.FloatRange(min=1), help="Default: 10,000.")
@click.option("--visitors", type=click.FloatRange(min=1), help="Default: two for each user.")
@click.option("--sessions-per-day", type=click.FloatRange(min=0), help="Default: four for each order.")
@click.option("--entities", multiple=True, type=Named(), help="How many of another column of ids; may be given again.")
@click.option("--events", multiple=True, type=Named(), help="Events a day of a topic; may be given again.")
@click.option("--deals", multiple=True, type=Named(), help="Different counterparties, as in user.card=2.")
@click.option("--skew", type=click.FloatRange(0, 3), default=0.8, show_default=True, help="Zipf's; 0: all alike.")
@click.option("--days", type=click.FloatRange(min=0.1), default=365.0, show_default=True, help="Since the first event.")
@click.option("--id-bytes", type=click.IntRange(1, 256), default=12, show_default=True, help="Length of ids.")
@click.option("--allocator", type=click.Choice(["jemalloc", "libc"]), default="jemalloc", help="The server's.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def budget(as_json: bool, **asked: Any) -> int:
    """Predict what the state takes in the store, group by group. Exit code 1: a bag may become too large.

    Bags are made by the code of workers and weighed as Valkey does. What is not told is assumed as for a shop; of
    definitions of one's own every column of ids and every topic must be told.
    """
    import orjson

    from schemas.settings import load
    from streams.budget import LARGEST_BAG, predict, specimens
    from streams.space import definitions_of

    settings = load()
    definitions = definitions_of(settings)
    demand = _demand(definitions, _planned(settings.plan, asked), assume=settings.features is None)
    found = predict(definitions, demand, _server(settings, asked["allocator"]), specimens(asked["id_bytes"]))
    if as_json:
        total = {"total_bytes": found.total_bytes, "tables_bytes": found.tables_bytes, "keys": found.keys}
        told = {"demand": asdict(demand) | {"fleeting": sorted(demand.fleeting)}, "unknown": found.unknown}
        click.echo(orjson.dumps({"rows": [asdict(row) for row in found.rows], **total, **told}).decode())
    else:
        _print_budget(found, demand)
    return int(any(row.bag_most > LARGEST_BAG for row in found.rows))


def _planned(plan: Plan, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked, and of the shop what was planned where nothing was asked."""
    users = asked["users"] or plan.users or USERS
    orders = plan.orders_per_day if asked["orders_per_day"] is None else asked["orders_per_day"]
    return {**asked, "users": users, "orders_per_day": orders}


def _demand(definitions: Definitions, asked: Mapping[str, Any], *, assume: bool) -> Demand:
    """What was told, over what is assumed of a shop."""
    from streams.budget import Demand, assumed

    users = asked["users"]
    orders = users / 10 if asked["orders_per_day"] is None else asked["orders_per_day"]
    base = assumed(users, orders) if assume else Demand({}, {"orders": orders} if asked["orders_per_day"] else {})
    named = {
        "card": asked["cards"], "device": asked["devices"], "ip": asked["ips"], "merchant": asked["merchants"],
        "products": asked["products"], "visitor": asked["visitors"], "session": asked["sessions_per_day"],
    }  # fmt: skip
    told = {name: count for name, count in named.items() if count is not None} | dict(asked["entities"])
    demand = replace(
        base,
        count={**base.count, **told},
        events={**base.events, **dict(asked["events"])},
        deals={**base.deals, **dict(asked["deals"])},
        skew=asked["skew"],
        since_days=asked["days"],
        id_bytes=asked["id_bytes"],
    )
    if missing := sorted({group.entity for group in definitions.groups} - demand.count.keys()):
        raise CouldNotRun(f"how many are there of {', '.join(missing)}? Tell it: --entities {missing[0]}=1000")
    if missing := [flow.topic for flow in definitions.flows if flow.topic not in demand.events]:
        raise CouldNotRun(f"how many events a day has {', '.join(missing)}? Tell it: --events {missing[0]}=1000")
    return demand


def _server(settings: Settings, allocator: Any) -> Server:
    from streams.budget import Server
    from streams.space import limits_of

    return Server(settings.shards, settings.partitions, limits_of(settings), allocator)


def _print_budget(found: Budget, demand: Demand) -> None:
    print_table(
        [
            {
                "group": row.name, "keys": f"{row.keys:,.0f}", "bag": f"{row.bag_bytes:,.0f}",
                "95 %": _if(row.bag_p95), "at most": _if(row.bag_most),
                "with key": f"{row.key_bytes:,.0f}", "in all": _size(row.total_bytes),
            }
            for row in found.rows
        ],
        right=("keys", "bag", "95 %", "at most", "with key", "in all"),
    )  # fmt: skip
    click.echo(f"\ntables of {found.keys:,.0f} keys: {_size(found.tables_bytes)}")
    click.echo(f"in all: {_size(found.total_bytes)} of used_memory")
    for name in found.unknown:
        click.echo(f"not in it: {name}, in which flows meet: what their records leave is known of the shop's alone")
    click.echo("assumed or told: " + ", ".join(f"{n:,.0f} {name}" for name, n in demand.count.items()), err=True)
    click.echo("a day: " + ", ".join(f"{n:,.0f} {topic}" for topic, n in demand.events.items()), err=True)


def _if(size: int) -> str:
    return f"{size:,}" if size else ""


def _size(size: float) -> str:
    unit, name = next(u for u in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "B")) if size >= u[0] or u[0] == 1)
    return f"{size / unit:,.1f} {name}"
