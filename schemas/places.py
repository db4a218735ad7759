"""Where in a JSON text something is: the path of a byte, and how deep it is nested.

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


def cannot_be_deep(text: bytes, limit: int) -> bool:
    """True where JSON of this length with so few brackets is nested at most `limit` deep; says nothing of other bytes.

    An array costs two bytes at least and an object in an object five. Splitting a little is faster than counting.
    """
    arrays = limit // 5
    if len(text.split(b"[", arrays)) > arrays:
        return False
    return len(text) <= 4 * limit or len(text.split(b"{", limit - arrays)) <= limit - arrays


def deeper_than(text: bytes, limit: int) -> bool:
    """Whether arrays and objects are nested more than `limit` deep, in any bytes."""
    return text.count(b"[") + text.count(b"{") > limit and depth_of(text) > limit


def depth_of(text: bytes) -> int:
    """How deep arrays and objects are nested."""
    brackets = _STRINGS.sub(b"", text).translate(None, _NO_BRACKETS)
    depth = np.cumsum(_STEPS[np.frombuffer(brackets, np.uint8)])
    return max(0, int(depth.max())) if len(depth) else 0
