"""What a person asks of the registry: which model is meant, what differs, what may go. The doors are in streams/cli.

A model is asked for as `name/version`, as `name` (its newest version), or by its part: `champion`, `challenger`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

from features.definitions import Definitions
from features.vector import Vector
from models import learned
from models.artefact import Manifest
from models.deployments import CHALLENGER, CHAMPION, in_force_since
from models.documents import ArtefactError
from models.registry import Registry, RegistryError
from models.sessions import SESSIONS
from models.shadow import proved
from schemas.deployments import Deployment, Ref
from schemas.settings import Settings
from schemas.topics import DAY_MS, TOPICS

NEWEST = 10  # versions of a model that are listed


def meant(registry: Registry, asked: str) -> Ref:
    """The model that was asked for; raises RegistryError or ArtefactError."""
    if asked in (CHAMPION, CHALLENGER):
        return _of_part(registry.deployed(), asked)
    name, slash, version = asked.partition("/")
    if not slash:
        version = _newest(registry, name)
    return registry.ref(name, version)


def _of_part(now: Deployment, part: str) -> Ref:
    refs = now.challengers if part == CHALLENGER else ((now.champion,) if now.champion else ())
    if len(refs) != 1:
        there = ", ".join(ref.label for ref in refs) or "none"
        raise RegistryError(f"{part}: want the one that is in force, and there is {there}: say name/version")
    return refs[0]


def _newest(registry: Registry, name: str) -> str:
    newest = registry.newest(name)
    if (first := next(newest, None)) is None:
        there = ", ".join(registry.names()) or "nothing"
        raise RegistryError(f"model {name!r} is not in the registry at {registry.place.shown}: it has {there}")
    return next((version for version in chain([first], newest) if version.isdigit()), first)


def fits(registry: Registry, ref: Ref, definitions: Definitions, *, force: bool = False) -> None:
    """Raises where workers of these definitions could not use the model; `force`: not for other features alone."""
    vector, fitted = definitions.vector, registry.manifest(ref.name, ref.version).feature_hash
    if fitted == vector.hash:
        proved(registry.of(ref, vector.names, vector.hash).model, len(vector.names))
    elif not force:
        raise RegistryError(
            f"{ref.label} was fitted for features {fitted}, workers of these definitions compute {vector.hash}, and "
            "would decide by rules alone: fit it again, name the definitions that it is for (HEADRACE_FEATURES), or "
            "--force"
        )


def parts(now: Deployment) -> dict[str, str]:
    """What each model that is in force does, by name/version."""
    told = {ref.label: CHALLENGER for ref in now.challengers}
    told |= {ref.label: f"online: {member}" for member, ref in now.online.items()}
    return told | ({now.champion.label: CHAMPION} if now.champion else {})


def listed(registry: Registry, name: str | None, definitions: Definitions, *, every: bool) -> list[dict[str, Any]]:
    """A row for each version, newest first; of each model the newest, and whatever is in force."""
    now, rows = parts(registry.deployed()), list[dict[str, Any]]()
    for one in [name] if name else registry.names():
        newest = registry.newest(one)
        shown = list(newest if every else islice(newest, NEWEST))
        older = (label.partition("/")[2] for label in now if label.startswith(f"{one}/"))
        shown += [version for version in older if version not in shown and registry.has(one, version)]
        rows += [_row(registry.manifest(one, version), now, definitions) for version in shown]
    return rows


def _row(manifest: Manifest, now: Mapping[str, str], definitions: Definitions) -> dict[str, Any]:
    return {
        "model": manifest.label,
        "kind": manifest.kind,
        "in_force": now.get(manifest.label, ""),
        "fits": manifest.feature_hash == _vector_of(manifest.kind, definitions).hash,
        "metrics": manifest.metrics,
        "parent": manifest.parent,
        "model_hash": manifest.model_hash,
    }


def _vector_of(kind: str, definitions: Definitions) -> Vector:
    """What a model of this kind reads."""
    return definitions.session if kind == SESSIONS and definitions.session is not None else definitions.vector


def differences(one: Manifest, other: Manifest) -> list[dict[str, str]]:
    """What two models differ in, a row each, down to single numbers."""
    said = [dict(leaves({**vars_of(each), "model_hash": each.model_hash})) for each in (one, other)]
    names = [name for name in dict.fromkeys((*said[0], *said[1])) if name.split(".")[0] not in ("name", "version")]
    return [
        {"what": name, one.label: said[0].get(name, ""), other.label: said[1].get(name, "")}
        for name in names
        if said[0].get(name) != said[1].get(name)
    ]


def vars_of(manifest: Manifest) -> dict[str, Any]:
    """What a manifest says, as JSON has it."""
    return {name: getattr(manifest, name) for name in manifest.__dataclass_fields__}


def leaves(said: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """(path, text) of each single value of a document."""
    if isinstance(said, Mapping) and said:
        for name, inner in said.items():
            yield from leaves(inner, f"{path}.{name}" if path else str(name))
    else:
        yield path, f"{said:.6g}" if isinstance(said, float) else str(said)


def numbers(metrics: Mapping[str, Any], most: int = 3) -> str:
    """The first numbers of a manifest's metrics, in short; one with an interval is told by its value."""
    told = {name: one.get("value") if isinstance(one, Mapping) else one for name, one in metrics.items()}
    flat = [(name, one) for name, one in told.items() if isinstance(one, int | float) and not isinstance(one, bool)]
    return " ".join(f"{name}={one:.4g}" for name, one in flat[:most])


def in_force(deployment: Deployment) -> dict[str, str]:
    """What each part is, in words."""
    online = ", ".join(f"{member} {ref.label}" for member, ref in deployment.online.items())
    return {"champion": _champion(deployment), "challengers": _labels(deployment.challengers), "online": online}


def about(manifest: Manifest) -> dict[str, Any]:
    """What a manifest says that is not of its files, for `Registry.put`."""
    of_files = ("name", "version", "kind", "files")
    return {name: value for name, value in vars_of(manifest).items() if name not in of_files}


def kept_days(settings: Settings) -> int | None:
    """For how long a decision may be asked about: as `decisions` is kept, or the archive; None: for ever."""
    days = TOPICS["decisions"].retention_ms // DAY_MS
    if settings.archive.url is None:
        return days
    return None if settings.archive.keep_days is None else max(days, settings.archive.keep_days)


def needed(registry: Registry, since_ms: int | None) -> set[str]:
    """name/version of all that must stay: what was in force since then, and what that was made to replace.

    And of each learner what it goes on from. Snapshots replace nothing: their manifests, thousands, are not asked.
    """
    found, waiting = set[str](), set[str]()
    for deployment in in_force_since(registry.history(), since_ms):
        found |= {ref.label for ref in deployment.online.values()}
        waiting |= {ref.label for ref in (deployment.champion, *deployment.challengers) if ref is not None}
    while waiting:
        found.add(label := waiting.pop())
        parent = _parent(registry, label)
        if parent is not None and parent not in found:
            waiting.add(parent)
    return found | learned.going_on(registry)


def _parent(registry: Registry, label: str) -> str | None:
    name, _, version = label.partition("/")
    try:
        return registry.manifest(name, version).parent
    except ArtefactError:  # it is gone, or was named by hand
        return None


def told(now: Deployment, before: Deployment) -> str:
    """A change in a line."""
    if now.number == before.number:
        return f"deployment {now.number}: nothing has changed"
    said = [f"deployment {now.number}"]
    said.append(f"champion {_champion(now)}" + (f" (was {_champion(before)})" if _acts(now) != _acts(before) else ""))
    said += [f"challengers {_labels(now.challengers)}"] if now.challengers else []
    said += [f"online {in_force(now)['online']}"] if now.online else []
    return "; ".join(said)


def _champion(deployment: Deployment) -> str:
    if deployment.champion:
        return deployment.champion.label
    return "none, rules alone" if deployment.rules_only else "none, the shop's own model"


def _acts(deployment: Deployment) -> tuple[Ref | None, bool]:
    return deployment.champion, deployment.rules_only


def _labels(refs: Sequence[Ref]) -> str:
    return ", ".join(ref.label for ref in refs)
