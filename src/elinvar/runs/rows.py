"""Logs of rows in JSON, a checksum in each."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from elinvar.core.errors import RunError, fail
from elinvar.runs.checkpoints import text_of
from elinvar.runs.files import content_of, hash_of

UNFINISHED = "ends within a line"  # as the log of a killed process may


def line(row: Mapping[str, Any]) -> bytes:
    """A row of a log in JSON, with a checksum."""
    text = json.dumps(row, default=plain, ensure_ascii=False, skipkeys=True)
    check = zlib.crc32(text.encode("utf-8", "surrogatepass"))
    return f'{text[:-1]}, "crc": "{check:08x}"}}\n'.encode("utf-8", "surrogatepass")


def rows_of(path: Path) -> tuple[list[dict[str, Any]], str | None]:
    """The rows of a log, and what is wrong with the first that is damaged or cut."""
    found: list[dict[str, Any]] = []
    try:
        data = content_of(path)
    except RunError as error:
        return found, text_of(error)
    for number, text in enumerate(data.split(b"\n")[:-1], 1):
        head, mark, tail = text.rpartition(b', "crc": "')
        if not mark or tail != b'%08x"}' % zlib.crc32(head + b"}"):
            return found, f"{path.name} is damaged in line {number}"
        try:
            found.append(dict(json.loads(head + b"}")))
        except (TypeError, ValueError, RecursionError):
            return found, f"{path.name} is damaged in line {number}"
    if data and not data.endswith(b"\n"):
        return found, f"{path.name} {UNFINISHED}"
    return found, None


def plain(value: Any) -> Any:
    """What JSON has no word for: arrays, numbers of numpy, tensors."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return repr(value)


def whole_lines(path: Path) -> dict[str, Any]:
    """The mark of a log up to its last whole line: a process may have been killed in the next.

    Raises:
        RunError: it is damaged.
    """
    rows, trouble = rows_of(path)
    if trouble is not None and not trouble.endswith(UNFINISHED):
        fail(RunError, "run", trouble)
    if not rows:
        fail(RunError, "run", f"{path.name} is empty")
    length = content_of(path).rfind(b"\n") + 1
    return dict(zip(("bytes", "sha256"), hash_of(path, length), strict=True))
