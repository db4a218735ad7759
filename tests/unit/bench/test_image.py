"""The image's steps as a folder's: which are run, and where."""

from __future__ import annotations

from pathlib import Path

from bench.image import DOCKERFILE, PLACES, moved, steps

FILE = """\
# a comment
FROM base AS build
ENV A=1
RUN one \\
 && two
FROM base
RUN never
"""


def test_the_steps_of_the_stage_that_builds_are_taken_in_order() -> None:
    assert [(name, told.split()) for name, told in steps(FILE)] == [
        ("FROM", ["base", "AS", "build"]),
        ("ENV", ["A=1"]),
        ("RUN", ["one", "&&", "two"]),
    ]


def test_paths_of_the_image_become_ones_of_the_folder_and_others_stay() -> None:
    told = "/opt/headrace/bin/python x=/var/cache/headrace /usr/bin/env a/opt/b ../var/c"
    assert moved(told, Path("/r")) == "/r/opt/headrace/bin/python x=/r/var/cache/headrace /usr/bin/env a/opt/b ../var/c"


def test_what_is_weighed_is_what_the_last_stage_takes() -> None:
    taken = {line.split()[-1] for line in DOCKERFILE.read_text().splitlines() if line.startswith("COPY --from=build")}
    assert taken == set(PLACES)
