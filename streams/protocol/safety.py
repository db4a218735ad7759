"""Switches for the protocol's safeties, all on. Chaos and tests turn one off to prove that they would notice.

Never set from configuration: only `headrace chaos --mutate NAME` and the simulation make another value than SAFE.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Safety:
    plan: bool = True  # an open range is obeyed; off: what a dead owner left open is taken for finished
    acked: bool = True  # 'published' is said after the acknowledgements; off: before the outputs are sent
    dedup: bool = True  # an id seen before is a duplicate; off: it is fresh
    stamps: bool = True  # entries stamped at or above the range's number are ignored; off: a repeat sees itself
    row_first: bool = True  # the row is acknowledged before the outputs are sent; off: after
    again: bool = True  # where flows meet, what was caught up in silence is looked at again; off: never


SAFE = Safety()

MUTATIONS = {
    "no-plan": Safety(plan=False),
    "early-publish": Safety(acked=False),
    "no-dedup": Safety(dedup=False),
    "no-stamp": Safety(stamps=False),
}
"""What `headrace chaos --mutate` offers."""
