"""Why the archive must not go on, in words: the thing, its value and the remedy."""

from __future__ import annotations

from streams.protocol.ports import Stop


def made_anew(topic: str, known: str, now: str, where: str) -> Stop:
    return Stop(
        f"topic {topic}: the broker's id is {now}, the archive has it as {known}: the topic was made anew or this is "
        f"another cluster. Move {where}/{topic} away, or name another place (HEADRACE_ARCHIVE__URL)"
    )


def log_cut(topic: str, partition: int, place: int, start: int) -> Stop:
    return Stop(
        f"{topic}/{partition}: the archive ends at offset {place} and the log begins at {start}: retention deleted "
        f"what was not archived. Start once with `headrace archive --skip-lost`: the archive then has a hole there"
    )


def log_short(topic: str, partition: int, place: int, end: int, where: str) -> Stop:
    return Stop(
        f"{topic}/{partition}: the archive ends at offset {place} and the log at {end}: the broker lost records or "
        f"this is another cluster. Move {where}/{topic} away, or name another place (HEADRACE_ARCHIVE__URL)"
    )
