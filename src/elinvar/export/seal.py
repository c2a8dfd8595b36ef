"""What an object file says of itself, and whether it is still as it was exported.

The description is a text of JSON inside of the object file. Its last entry is the SHA-256 of the
whole file, taken with zeros where the digest stands: machine code of which a bit has changed would
otherwise run.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

_NOTHING = "0" * 64
_ABOUT = re.compile(rb'\{"elinvar": "[^\0]*?, "digest": "([0-9a-f]{64})"\}\0')


def description(content: Mapping[str, Any]) -> bytes:
    """The text that goes into the object file; `sealed` fills in the digest.

    Args:
        content: begins with the entry `elinvar`.
    """
    return json.dumps({**content, "digest": _NOTHING}).encode() + b"\0"


def sealed(code: bytes) -> bytes:
    """An object file with its digest."""
    found = _ABOUT.search(code)
    assert found is not None, "the object file has no description"
    return _with_digest(code, found.start(1), hashlib.sha256(code).hexdigest())


def described(code: bytes) -> tuple[Any, bool]:
    """What an object file says of itself, None where it says nothing; whether it is as it was
    exported."""
    found = _ABOUT.search(code)
    if found is None:
        return None, False
    empty = _with_digest(code, found.start(1), _NOTHING)
    if hashlib.sha256(empty).hexdigest().encode() != found[1]:
        return {}, False
    return json.loads(found[0][:-1]), True


def _with_digest(code: bytes, at: int, digest: str) -> bytes:
    return code[:at] + digest.encode() + code[at + len(digest) :]
