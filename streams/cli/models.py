"""`headrace models`: which models there are, which are in force, and into traffic and back."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streams.cli import DOES_NOT, HOLDS, CouldNotRun
from streams.cli.announced import announced
from streams.cli.table import print_table

if TYPE_CHECKING:
    from features.definitions import Definitions
    from models.deployments import Change
    from models.registry import Registry
    from schemas.deployments import Deployment
    from schemas.settings import Settings

MODEL = click.argument("model", metavar="MODEL")
WHY = click.option("--why", default="", help="A word for whoever reads the history.")
BY = click.option("--by", help="Who says so; default: the user of this machine.")
AS_JSON = click.option("--json", "as_json", is_flag=True, help="The deployment as JSON.")
FORCE = click.option("--force", is_flag=True, help="Also where it was fitted for other features: rules decide alone.")


@click.group("models")
def command() -> None:
    """Models: list and compare them, move one into traffic and back.

    The registry is HEADRACE_REGISTRY__URL, a folder or s3://bucket/prefix. MODEL is name/version, a name (its newest
    version), `champion` or `challenger`. Workers use a change for new ranges within two seconds.
    """


@command.command("ls")
@click.argument("name", required=False)
@click.option("--all", "every", is_flag=True, help="Every version; else the newest ten of each, and what is in force.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def ls(name: str | None, every: bool, as_json: bool) -> int:
    """List models, newest version first, with their parts: champion, challenger, online."""
    from streams.models import desk

    registry, definitions, _ = _opened()
    rows = desk.listed(registry, name, definitions, every=every)
    if as_json:
        _print_json(rows)
    elif rows:
        print_table([row | _in_short(row) for row in rows], right=())
    else:
        click.echo(f"nothing is in the registry at {registry.place.shown}", err=True)
    return HOLDS


@command.command("show")
@MODEL
@click.option("--card", is_flag=True, help="The model's card instead of its manifest.")
@click.option("--json", "as_json", is_flag=True, help="The manifest as JSON.")
def show(model: str, card: bool, as_json: bool) -> int:
    """What a model is: its manifest, and since when it has been in force."""
    from streams.models import desk

    registry, _, _ = _opened()
    ref = desk.meant(registry, model)
    manifest = registry.manifest(ref.name, ref.version)
    if card:
        _print_card(registry.card(ref.name, ref.version), ref.label)
        return HOLDS
    told = desk.vars_of(manifest) | {"model_hash": manifest.model_hash}
    told |= {"deployments": [one.number for one in registry.history() if ref.label in desk.parts(one)]}
    told |= {"card": sorted(registry.card(ref.name, ref.version))}
    if as_json:
        _print_json([told])
    else:
        print_table([{"what": name, "value": value} for name, value in desk.leaves(told)], right=())
    return HOLDS


@command.command("diff")
@MODEL
@click.argument("other", metavar="[MODEL]", default="champion")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def diff(model: str, other: str, as_json: bool) -> int:
    """What two models differ in; default: from the champion. Exit code 1: they differ."""
    from streams.models import desk

    registry, _, _ = _opened()
    one, two = (desk.meant(registry, asked) for asked in (model, other))
    rows = desk.differences(registry.manifest(one.name, one.version), registry.manifest(two.name, two.version))
    if as_json:
        _print_json(rows)
    elif rows:
        print_table(rows, right=())
    return DOES_NOT if rows else HOLDS


@command.command("history")
@click.option("-n", "most", type=click.IntRange(min=1), default=20, show_default=True, help="So many, newest first.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def history(most: int, as_json: bool) -> int:
    """What was put in force, when, by whom and why."""
    from itertools import islice

    from schemas.decisions import encode
    from schemas.timestamps import rfc3339
    from streams.models import desk

    registry, _, _ = _opened()
    found = list(islice(registry.history(), most))
    if as_json:
        for one in found:
            click.echo(encode(one).decode())
    elif found:
        rows = [{"number": one.number, "at": rfc3339(one.at_ms), **desk.in_force(one)} for one in found]
        print_table([row | {"by": one.by, "why": one.why} for row, one in zip(rows, found, strict=True)], right=())
    return HOLDS


@command.command("put")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--name", help="Default: as its manifest has it.")
@click.option("--version", help="Default: the next whole number.")
def put(folder: Path, name: str | None, version: str | None) -> int:
    """Put a fitted model, a folder with manifest.json and what it names, into the registry. It is not in force yet."""
    from models import artefact
    from streams.models import desk

    registry, definitions, _ = _opened()
    loaded = artefact.load(folder, definitions.vector.names, definitions.vector.hash)
    about = desk.about(loaded.manifest)
    done = registry.put(loaded.model, name=name or loaded.manifest.name, version=version, **about)
    click.echo(done.label)
    return HOLDS


@command.command("promote")
@MODEL
@WHY
@BY
@FORCE
@AS_JSON
def promote(model: str, why: str, by: str | None, force: bool, as_json: bool) -> int:
    """The model decides from now on; it is the champion. One for other features is refused."""
    from models.deployments import promoted
    from streams.models import desk

    registry, definitions, settings = _opened()
    ref = desk.meant(registry, model)
    desk.fits(registry, ref, definitions, force=force)
    if settings.model is not None:
        click.echo("Warning: HEADRACE_MODEL is set here: workers that have it are decided by that folder", err=True)
    return _deploy(registry, settings, promoted(ref), why or f"promote {ref.label}", by, as_json=as_json)


@command.command("rollback")
@WHY
@BY
@AS_JSON
def rollback(why: str, by: str | None, as_json: bool) -> int:
    """The champion from before its last change decides again. Twice is back and forth."""
    from models.deployments import rolled_back

    registry, _, settings = _opened()

    def change(now: Deployment) -> Deployment:
        return rolled_back(registry.history())(now)

    return _deploy(registry, settings, change, why or "rollback", by, as_json=as_json)


@command.command("activate")
@MODEL
@WHY
@BY
@FORCE
@AS_JSON
def activate(model: str, why: str, by: str | None, force: bool, as_json: bool) -> int:
    """The model scores in shadow: a challenger, whose scores are logged in `decisions` and never act."""
    from models.deployments import activated
    from streams.models import desk

    registry, definitions, settings = _opened()
    ref = desk.meant(registry, model)
    desk.fits(registry, ref, definitions, force=force)
    return _deploy(registry, settings, activated(ref), why or f"activate {ref.label}", by, as_json=as_json)


@command.command("deactivate")
@click.argument("name")
@WHY
@BY
@AS_JSON
def deactivate(name: str, why: str, by: str | None, as_json: bool) -> int:
    """Take a challenger out of force, or the champion (`champion` or its name): rules decide alone then."""
    from models.deployments import deactivated

    registry, _, settings = _opened()
    change = deactivated(name.partition("/")[0])
    return _deploy(registry, settings, change, why or f"deactivate {name}", by, as_json=as_json)


@command.command("gc")
@click.option("--days", type=click.IntRange(min=0), default=30, show_default=True, help="Younger ones stay.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def gc(days: int, dry_run: bool, as_json: bool) -> int:
    """Remove models that no kept decision names.

    What is in force stays, what was in force for as long as `decisions` or the archive are kept, and what such a model
    was made to replace.
    """
    from models.collecting import collect
    from schemas.topics import DAY_MS
    from streams.models import desk

    registry, _, settings = _opened()
    kept = desk.kept_days(settings)
    since_ms = None if kept is None else time.time_ns() // 1_000_000 - kept * DAY_MS
    keep = desk.needed(registry, since_ms)
    if not dry_run:
        registry.tidy()
    gone = collect(registry, keep, older_than_ms=days * DAY_MS, dry_run=dry_run)
    if as_json:
        _print_json([{"removed": gone, "dry_run": dry_run}])
        return HOLDS
    for label in gone:
        click.echo(label)
    click.echo(f"{len(gone):,} {'would be removed' if dry_run else 'removed'}", err=True)
    return HOLDS


def _opened() -> tuple[Registry, Definitions, Settings]:
    from models.registry import Registry
    from schemas.settings import load
    from streams.space import definitions_of

    settings = load()
    return Registry.at(settings.registry.url), definitions_of(settings), settings


def _deploy(registry: Registry, settings: Settings, change: Change, why: str, by: str | None, *, as_json: bool) -> int:
    """Makes the change, and tells workers; one that they were not told of they find within half a minute."""
    from schemas.decisions import encode
    from streams.models import desk

    before = registry.deployed()
    done = registry.deploy(change, why=why, by=by or _user())
    click.echo(encode(done).decode() if as_json else desk.told(done, before))
    if done.number != before.number:
        announced(settings, done)
    return HOLDS


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return "unknown"


def _in_short(row: dict[str, Any]) -> dict[str, Any]:
    from streams.models import desk

    return {
        "fits": "yes" if row["fits"] else "other features",
        "metrics": desk.numbers(row["metrics"]),
        "parent": row["parent"] or "",
        "model_hash": row["model_hash"][:12],
    }


def _print_json(rows: list[Any]) -> None:
    import orjson

    for row in rows:
        click.echo(orjson.dumps(row).decode())


def _print_card(card: dict[str, bytes], label: str) -> None:
    texts = [name for name in sorted(card) if name.endswith((".md", ".txt"))]
    if not texts:
        raise CouldNotRun(f"{label} has no card: `headrace train` writes one")
    for name in texts:
        click.echo(card[name].decode(errors="replace"))
