"""`end.json`: what a run's files are when a process has ended by itself, in one sealed table.

It is written before the last row of the log of processes, which it knows, too. So a log that lost
its end is told from one whose process was killed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from elinvar.core.errors import RunError
from elinvar.runs.checkpoints import other_name
from elinvar.runs.files import content_of, read_sealed, refuse, write_sealed

END, PROCESSES = "end.json", "processes.jsonl"
WHOLE, UNTOLD, OLDER, OTHER = "whole", "untold", "older", "other"
_PARTS = {
    "run": str, "manifest": str, "data": str, "outcome": str, "logs": dict, "checkpoints": dict,
    "last": str,
}  # fmt: skip


def write(folder: Path, table: Mapping[str, Any], marks: Mapping[str, Any], last: bytes) -> None:
    """Write the table.

    Args:
        folder: the run's.
        table: all but the following.
        marks: of the logs, the last row of that of processes included.
        last: this row.
    """
    text = last.decode("utf-8", "surrogatepass")
    write_sealed(folder / END, {**table, "logs": dict(marks), "last": text})


def read(folder: Path) -> tuple[dict[str, Any], str]:
    """The table, and how the log of processes stands to it.

    Returns:
        `WHOLE`: it is as it was then. `UNTOLD`: only its last row is missing, for the process was
        killed just then. `OLDER`: a process began after that. `OTHER`: it is damaged.

    Raises:
        RunError: the table is missing or damaged.
    """
    path = folder / END
    table = read_sealed(path)
    for name, kind in _PARTS.items():
        if type(table.get(name)) is not kind:
            refuse(path, f"does not tell how a run ended: it lacks {name!r}")
    mark = table["logs"].get(PROCESSES)
    if not isinstance(mark, dict) or type(mark.get("bytes")) is not int:
        refuse(path, f"lacks how far {PROCESSES} was")
    try:
        data = content_of(folder / PROCESSES)
    except RunError:
        return table, OTHER
    last = table["last"].encode("utf-8", "surrogatepass")
    wanted, count = mark.get("sha256"), mark["bytes"]
    if len(data) + len(last) == count and hashlib.sha256(data + last).hexdigest() == wanted:
        return table, UNTOLD
    if len(data) < count or hashlib.sha256(data[:count]).hexdigest() != wanted:
        return table, OTHER
    return table, OLDER if len(data) > count else WHOLE


def remove(folder: Path) -> None:
    """Make way for the end to come."""
    path = folder / END
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
    else:
        other_name(path)


def outcome(folder: Path) -> str | None:
    """How a run ended whose log of processes does not tell it; None where it did not end so."""
    if not os.path.lexists(folder / END):
        return None
    try:
        table, standing = read(folder)
    except RunError:
        return None
    return None if standing == OLDER else str(table["outcome"])
