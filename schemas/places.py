"""Where in a JSON text something is: the path of a byte, and whether the nesting stays within a limit.

Both read bytes that may not be JSON at all, without recursion and without building values, so that hostile input can
exhaust neither the stack nor the memory. The price: about 0.2 us a token for the path, so it is asked of dead letters
only.
"""

from __future__ import annotations

import re

import numpy as np

KEY_CHARACTERS = 64
_STRING = rb'"[^"\\]*(?:\\.[^"\\]*)*"?'
_TOKENS = re.compile(_STRING + rb"|[{}\[\],:]", re.DOTALL)
_STRINGS = re.compile(_STRING, re.DOTALL)
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"{}[]")
_STEPS = np.zeros(256, np.int32)
_STEPS[list(b"{[")] = 1
_STEPS[list(b"}]")] = -1


def at_byte(text: bytes, position: int) -> str:
    """The path, as in `$.items[0].price`, of the value that a byte belongs to; `$` is the whole text."""
    keys: list[bytes | int | None] = []  # per open container: an array's index, an object's key or None before it
    awaits_key = False
    for token in _TOKENS.finditer(text):
        if token.start() >= position:
            break
        sign = token[0]
        if sign in b"{[":
            keys.append(0 if sign == b"[" else None)
            awaits_key = sign == b"{"
        elif sign in b"}]":
            keys = keys[:-1]
            awaits_key = False
        elif sign == b"," and keys:
            last = keys[-1]
            keys[-1] = last + 1 if isinstance(last, int) else None
            awaits_key = not isinstance(last, int)
        elif awaits_key and sign.startswith(b'"'):
            keys[-1] = sign
            awaits_key = False
    return "$" + "".join(_step(key) for key in keys if key is not None)


def _step(key: bytes | int) -> str:
    if isinstance(key, int):
        return f"[{key}]"
    name = key.strip(b'"').decode("utf-8", "replace")[:KEY_CHARACTERS]
    return "." + (name if name.isprintable() else ascii(name)[1:-1])


def depth_within(text: bytes, limit: int) -> bool:
    """Whether arrays and objects are nested at most `limit` deep."""
    half = limit // 2  # splitting a little is five times faster than counting
    if len(text.split(b"[", half)) <= half and len(text.split(b"{", half)) <= half:
        return True
    brackets = _STRINGS.sub(b"", text).translate(None, _NO_BRACKETS)
    depth = np.cumsum(_STEPS[np.frombuffer(brackets, np.uint8)])
    return len(depth) == 0 or int(depth.max()) <= limit
