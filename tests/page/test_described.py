"""The running API holds what it says of itself."""

from __future__ import annotations

import pytest

from bench.page.browser import Demo
from bench.page.described import EXAMPLES, asked
from tests.page.conftest import Opens

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_no_request_breaks_it_nor_its_own_description(opens: Opens, running: Demo) -> None:
    opens()  # it is served
    done = asked(running.url)
    assert done.failures == {}
    assert done.operations >= 11
    assert done.requests > done.operations * EXAMPLES / 4
