"""Tests of one xdist group run on one worker: two that need the same port never run at once."""

import os

import pytest


@pytest.mark.xdist_group("of its own")
@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="groups are for several workers (make test)")
def test_a_group_is_part_of_how_tests_are_shared_out(request: pytest.FixtureRequest) -> None:
    assert request.node.nodeid.endswith("@of its own")
