"""A port that passes on to another, with TLS or without, as a process: what stands before a store that has no TLS.

python -m bench.door LISTEN PORT [CERTIFICATE KEY]
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from streams.loops import new_event_loop
from tests.support.tls import behind_tls, passed_on


async def main(listen: int, port: int, *certificate: str) -> None:
    """Until it is killed."""
    if certificate:
        cert, key = map(Path, certificate)
        door = behind_tls(port, cert, key, listen=listen)
    else:
        door = passed_on(port, None, listen)
    async with door:
        await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]))
