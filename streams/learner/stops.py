"""Why the learner must not go on, in words: the thing, its value and the remedy."""

from __future__ import annotations

from streams.protocol.ports import Stop


def made_anew(topic: str, model: str, known: str, now: str, where: str) -> Stop:
    return Stop(
        f"topic {topic}: the broker's id is {now}, snapshots of {model} have it as {known}: the topic was made anew or "
        f"this is another cluster. Move {where}/{model} away, or name another registry (HEADRACE_REGISTRY__URL)"
    )


def log_short(topic: str, model: str, offset: int, end: int, where: str) -> Stop:
    return Stop(
        f"topic {topic} ends at offset {end}, the newest snapshot of {model} has read up to {offset}: the broker lost "
        f"records. Move {where}/{model} away, or name another registry (HEADRACE_REGISTRY__URL)"
    )


def changed(topic: str, known: str, now: str) -> Stop:
    return Stop(f"topic {topic}: the broker's id is {now}, it was {known}: the topic was made anew; start again")


def unknown_model(name: str, known: str) -> Stop:
    return Stop(f"online model {name!r}: there are {known} (--models, HEADRACE_LEARNER__MODELS)")
