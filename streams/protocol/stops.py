"""Why a worker must not go on, in words: the thing, its value and the remedy. In one place, for the docs to quote."""

from __future__ import annotations

from streams.protocol.ports import Stop, Tp


def rebind(tp: Tp, known: str) -> Stop:
    return Stop(
        f"topic {tp.topic}: the broker's id is {tp.topic_id}, the store knows it as {known}: the topic was made "
        f"anew or this is another cluster. Run `headrace state rebase {tp.topic}`"
    )


def empty_store(tp: Tp, evidence: str) -> Stop:
    return Stop(
        f"{tp}: the store knows nothing of this partition although {evidence}: it is empty or lost its tail. "
        f"Run `headrace state rebuild`, or start it from its own files"
    )


def log_cut(tp: Tp, place: int, start: int) -> Stop:
    return Stop(
        f"{tp}: offset {place} is needed and the log begins at {start}: retention deleted what was not taken yet. "
        f"Run `headrace state rebuild --from-scratch`: the state becomes what the log still holds"
    )


def log_short(tp: Tp, place: int, end: int) -> Stop:
    return Stop(
        f"{tp}: the store stands at offset {place} and the log ends at {end}: the broker lost records or this is "
        f"another cluster. Run `headrace state rebase {tp.topic}`"
    )


def log_holes(tp: Tp, first: int, last: int) -> Stop:
    return Stop(
        f"{tp}: the open range {first}..{last} cannot be read whole from the log any more: records were deleted. "
        f"Run `headrace state rebuild --from-scratch`"
    )


def too_deep(tp: Tp, shard: int, place: int, floor: int) -> Stop:
    return Stop(
        f"{tp}: shard {shard} stands at offset {place} and the log of verdicts reaches back to {floor} only: it lost "
        f"more than the store can make good. Run `headrace state rebuild`"
    )


def not_applied(tp: Tp, shard: int, at: str, end: int) -> Stop:
    return Stop(
        f"{tp}: shard {shard} stands at {at} of the old topic and its home at {end}: what it lacks is in the old "
        f"topic alone. Run a worker on the old topic until it is idle, or `headrace state rebuild --from-scratch`"
    )


def still_open(tp: Tp) -> Stop:
    return Stop(
        f"{tp}: a range of the old topic is open: its decisions may not be out. Run a worker on the old topic until it "
        f"is idle, or give the range up with `headrace state rebase {tp.topic} --abandon`"
    )


def at_work(tp: Tp) -> Stop:
    return Stop(f"{tp}: the store moved during the rebuild: stop the workers, then run `headrace state rebuild` again")
