"""What a schema registry's serialisers put before a value: a zero byte and the schema's id, four bytes, high end first.

No JSON begins so, hence a value says by itself how it is to be read. What reads it is streams/formats; without a
registry it is a dead letter that names the setting.
"""

from __future__ import annotations

MAGIC = 0
FRAME_BYTES = 5


def schema_id(value: bytes | None) -> int | None:
    """The id of the schema that a value was written by; None where it is not framed."""
    if not value or value[0] != MAGIC or len(value) < FRAME_BYTES:
        return None
    return int.from_bytes(value[1:FRAME_BYTES], "big")
