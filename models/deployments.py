"""Deployments: what each change makes of what is in force, and which models old ones still need. Pure.

A change is a function from the deployment in force to the one that is wanted; the registry numbers it, dates it, and
asks it again where somebody else was faster. A change that changes nothing makes no deployment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from msgspec.structs import replace

from schemas.deployments import Deployment, Ref

Change = Callable[[Deployment], Deployment]

CHAMPION, CHALLENGER = "champion", "challenger"  # the names that stand for what has the part


class DeploymentError(ValueError):
    """A change that cannot be made; the message names the model, what is in force and the remedy."""


def promoted(ref: Ref) -> Change:
    """The model decides. A challenger of its name has done its work."""

    def change(now: Deployment) -> Deployment:
        return replace(now, champion=ref, challengers=_without(now.challengers, ref.name), rules_only=False)

    return change


def activated(ref: Ref) -> Change:
    """The model scores in shadow, instead of another version of it where there is one."""

    def change(now: Deployment) -> Deployment:
        if now.champion == ref:
            raise DeploymentError(f"{ref.label} is the champion: it scores already; activate another version")
        return replace(now, challengers=(*_without(now.challengers, ref.name), ref))

    return change


def deactivated(name: str) -> Change:
    """A challenger, an online snapshot or the champion of this name goes; without a champion rules decide alone."""

    def change(now: Deployment) -> Deployment:
        if any(ref.name == name for ref in now.challengers):
            return replace(now, challengers=_without(now.challengers, name))
        if name in now.online:
            return replace(now, online={member: ref for member, ref in now.online.items() if member != name})
        if now.champion is not None and name in (CHAMPION, now.champion.name):
            return replace(now, champion=None, rules_only=True)
        there = ", ".join(ref.label for ref in now.refs) or "nothing"
        raise DeploymentError(f"model {name!r} is not in force: {there} is (`headrace models ls`)")

    return change


def online(snapshots: Mapping[str, Ref]) -> Change:
    """Members of the champion are these newer snapshots; others stay as they are."""
    return lambda now: replace(now, online={**now.online, **snapshots})


def rolled_back(history: Iterable[Deployment]) -> Change:
    """The champion from before its last change is champion again. `history`: newest first, up to the one in force."""

    def change(now: Deployment) -> Deployment:
        for before in _and_none(history):
            if before.number < now.number and _acts(before) != _acts(now):
                name = before.champion.name if before.champion else ""
                challengers = _without(now.challengers, name)
                return replace(now, champion=before.champion, challengers=challengers, rules_only=before.rules_only)
        raise DeploymentError("there is no earlier champion to roll back to (`headrace models history`)")

    return change


def same(one: Deployment, other: Deployment) -> bool:
    """Whether the same models have the same parts."""
    return _acts(one) == _acts(other) and (one.challengers, one.online) == (other.challengers, other.online)


def champion_since_ms(history: Iterable[Deployment], now: Deployment) -> int:
    """When the champion of `now` was put in force. `history`: newest first, and read no further than that."""
    found = now.at_ms
    for before in history:
        if before.champion != now.champion and before.number < now.number:
            break
        found = min(found, before.at_ms)
    return found


def in_force_since(history: Iterable[Deployment], since_ms: int | None) -> Iterator[Deployment]:
    """Those that were in force at some moment from `since_ms` on; None: all. `history`: newest first.

    The oldest that counts is the one that was in force at that moment.
    """
    for deployment in history:
        yield deployment
        if since_ms is not None and deployment.at_ms <= since_ms:
            return


def named_since(history: Iterable[Deployment], since_ms: int | None) -> set[str]:
    """name/version of every model that was in force at some moment from `since_ms` on."""
    return {ref.label for deployment in in_force_since(history, since_ms) for ref in deployment.refs}


def _acts(deployment: Deployment) -> tuple[Ref | None, bool]:
    return deployment.champion, deployment.rules_only


def _without(refs: Iterable[Ref], name: str) -> tuple[Ref, ...]:
    return tuple(ref for ref in refs if ref.name != name)


def _and_none(history: Iterable[Deployment]) -> Iterator[Deployment]:
    yield from history
    yield Deployment.none()
