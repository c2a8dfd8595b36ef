"""`elinvar cache`: what the disk cache holds, and how it is cleared."""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path
from typing import TextIO

from elinvar.core.settings import settings
from elinvar.runtime import native, roofline
from elinvar.runtime.cache import DiskCache, Entry

EPILOG = (
    "The folder is ELINVAR_CACHE, or elinvar/ in XDG_CACHE_HOME or ~/.cache; ELINVAR_CACHE=off "
    "switches the cache off. ELINVAR_CACHE_LIMIT (such as 500M, 2G by default) bounds its size: "
    "beyond it, the entries used longest ago go."
)
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def age(text: str) -> float | None:
    """A time span in seconds; None where the text is none.

    Example:
        >>> age("30d"), age("1.5h"), age("30"), age("-1d")
        (2592000.0, 5400.0, None, None)
    """
    unit = _UNITS.get(text[-1:])
    try:
        number = float(text[:-1])
    except ValueError:
        return None
    return number * unit if unit and 0 <= number < math.inf else None


def show(json_out: TextIO | None = None) -> int:
    """Print what the cache holds; as JSON, to a stream, if there is one."""
    folder = settings.cache_dir
    if json_out is not None:
        return _show_json(folder, json_out)
    if folder is None:
        print("the disk cache is switched off (ELINVAR_CACHE=off)")
        return 0
    entries = DiskCache(folder).entries()
    ours = [entry for entry in entries if entry.label == native.machine_label()]
    rows = [
        ("folder", _short(folder)),
        ("entries", f"{_counted(entries)}, of at most {byte_text(settings.cache_limit)}"),
        ("for this CPU and LLVM", _counted(ours)),
    ]
    if entries:
        rows.append(("used longest ago", _ago(entries[0].used)))
        rows.append(("used last", _ago(entries[-1].used)))
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        print(f"{name:<{width}}  {text}")
    return 0


def _show_json(folder: Path | None, out: TextIO) -> int:
    found: dict[str, object] = {"folder": None if folder is None else str(folder)}
    if folder is not None:
        entries = DiskCache(folder).entries()
        ours = [entry for entry in entries if entry.label == native.machine_label()]
        found["entries"], found["bytes"] = len(entries), sum(entry.nbytes for entry in entries)
        found["limit"] = settings.cache_limit
        found["entries_here"] = len(ours)
        found["bytes_here"] = sum(entry.nbytes for entry in ours)
    print(json.dumps(found), file=out)
    return 0


def clear(older_than: float | None) -> int:
    """Delete entries, and with all of them the measured limits of the machine.

    Args:
        older_than: seconds for which an entry must not have been used; None: all of them.
    """
    folder = settings.cache_dir
    if folder is None:
        print("elinvar: the disk cache is switched off (ELINVAR_CACHE=off)", file=sys.stderr)
        return 1
    if older_than is None:
        roofline.clear()
    count, nbytes = DiskCache(folder).clear(None if older_than is None else _before(older_than))
    print(f"deleted {count} {'entry' if count == 1 else 'entries'}, {byte_text(nbytes)}")
    return 0


def _before(seconds: float) -> float:
    return time.time() - seconds


def _counted(entries: list[Entry]) -> str:
    return f"{len(entries)}, {byte_text(sum(entry.nbytes for entry in entries))}"


def byte_text(count: int) -> str:
    """A number of bytes for people."""
    for unit, size in (("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1 << 10)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"


def _ago(moment: float) -> str:
    """A moment as a date, and how long ago that is."""
    date = time.strftime("%Y-%m-%d %H:%M", time.localtime(moment))
    seconds = max(0.0, time.time() - moment)
    for name, unit in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * unit:
            return f"{date} ({seconds / unit:.0f} {name} ago)"
    return f"{date} (just now)" if seconds < 60 else f"{date} (a minute ago)"


def _short(folder: Path) -> str:
    try:
        return f"~/{folder.relative_to(Path.home())}"
    except (ValueError, RuntimeError):
        return str(folder)
