"""What must be true before a worker joins its group, for else it would stay alive and idle.

A session that the broker does not allow is logged once by aiokafka and never mentioned again; a send to a topic that is
not there hangs; `applied` with too few partitions would mix the rows of two inputs; a topic that we may not read or
write would break a worker that has begun a range.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence, Set

from schemas.deployments import TOPIC as MODELS
from schemas.topics import applied_partitions
from streams.protocol.ports import Stop
from streams.transport.admission import forbidden
from streams.transport.applied import APPLIED
from streams.transport.log import LogReader, Operation, TopicFacts
from streams.transport.profile import Profile

APPEAR_S, APPEAR_TRIES = 3.0, 10
MIN_SESSION, MAX_SESSION = "group.min.session.timeout.ms", "group.max.session.timeout.ms"


async def check(
    log: LogReader,
    profile: Profile,
    inputs: Sequence[str],
    outputs: Iterable[str],
    group: str | None = None,
    read_back: Iterable[str] = (),
) -> None:
    """Raises Stop with what is wrong and the remedy, SinkDown where no broker answers.

    `read_back`: the inputs that workers write as well.
    """
    facts = await all_there(log, {*inputs, *outputs})
    check_permitted(facts, {*inputs, APPLIED, MODELS} & facts.keys(), Operation.READ)
    check_permitted(facts, ({*outputs} - {*inputs}) | {*read_back}, Operation.WRITE)
    if APPLIED in outputs:
        check_applied(facts, inputs)
    if profile.checks_session:
        await _check_session(log, profile)
    if group is not None:
        await check_group(log, profile, group, "HEADRACE_KAFKA__GROUP")


async def check_group(log: LogReader, profile: Profile, group: str, setting: str) -> None:
    """Raises Stop where we may not be a member of it; `setting` names it."""
    if profile.checks_session and not await log.joinable(group):
        raise Stop(forbidden(f"read group {group}, {setting}"))


def missing(topics: Iterable[str]) -> Stop:
    """The line for topics that the registry or the definitions name and the broker does not have."""
    return Stop(f"topics {', '.join(topics)} are not there: run `headrace topics create`")


async def topics_there(log: LogReader, wanted: Set[str]) -> dict[str, TopicFacts]:
    """What is there; topics created a moment ago take a moment to be known to every broker."""
    facts = await log.topics(wanted)
    for _ in range(APPEAR_TRIES):
        if facts.keys() == wanted:
            break
        await asyncio.sleep(APPEAR_S / APPEAR_TRIES)
        facts = await log.topics(wanted)
    return facts


async def all_there(log: LogReader, wanted: Set[str]) -> dict[str, TopicFacts]:
    """The same; raises Stop with those that are not."""
    facts = await topics_there(log, wanted)
    if lacking := sorted(wanted - facts.keys()):
        raise missing(lacking)
    return facts


def check_permitted(facts: Mapping[str, TopicFacts], names: Iterable[str], operation: Operation) -> None:
    """Raises Stop with those of the topics that we may not do this with."""
    refused = sorted(name for name in names if not facts[name].permits(operation))
    if refused:
        raise Stop(forbidden(f"{operation.name.lower()} topic {', '.join(refused)}"))


def check_applied(facts: Mapping[str, TopicFacts], inputs: Sequence[str]) -> None:
    """Raises Stop where `applied` lacks the place of some input partition."""
    if APPLIED not in facts:
        raise missing([APPLIED])
    most = max((facts[name].partitions for name in inputs if name in facts), default=0)
    want, have = applied_partitions(most, inputs), facts[APPLIED].partitions
    if have < want:
        raise Stop(
            f"topic {APPLIED} has {have} partitions, {len(inputs)} inputs with up to {most} need {want}: "
            "run `headrace topics create`, which adds them"
        )


async def _check_session(log: LogReader, profile: Profile) -> None:
    allowed = await log.broker_settings([MIN_SESSION, MAX_SESSION])
    least, most = int(allowed.get(MIN_SESSION, 0)), int(allowed.get(MAX_SESSION, 2**31))
    if not least <= profile.session_timeout_ms <= most:
        raise Stop(
            f"session timeout {profile.session_timeout_ms} ms: the broker allows {least} to {most} "
            "(HEADRACE_KAFKA__SESSION_TIMEOUT_MS)"
        )
