"""The event loop of a worker's threads: uvloop's where there is one, else asyncio's own.

At a few thousand events a second a worker turns its loop some sixty times a range, and uvloop takes a tenth off the
whole. Nothing depends on it: it does not exist for Windows, nor for every Python on its first day.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

new_event_loop: Callable[[], asyncio.AbstractEventLoop]
try:
    from uvloop import new_event_loop
except ImportError:
    new_event_loop = asyncio.new_event_loop
