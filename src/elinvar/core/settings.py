"""The environment, read once at start, as one frozen value."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment decides. Everything else is an argument."""

    num_threads: int
    cache_dir: Path | None  # None: the disk cache is switched off
    log_level: str
    verify: bool  # run the graph verifier after every pass


def _positive_int(text: str | None, default: int) -> int:
    try:
        return max(1, int(text)) if text else default
    except ValueError:
        return default


def read_environment() -> Settings:
    """Read `ELINVAR_NUM_THREADS`, `ELINVAR_CACHE` (a folder, or `off`), `ELINVAR_LOG` and
    `ELINVAR_VERIFY`."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    cache = os.environ.get("ELINVAR_CACHE")
    if cache == "off":
        folder = None
    elif cache:
        folder = Path(cache).expanduser()
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        folder = Path(base).expanduser() / "elinvar"
    return Settings(
        num_threads=_positive_int(os.environ.get("ELINVAR_NUM_THREADS"), cpus),
        cache_dir=folder,
        log_level=os.environ.get("ELINVAR_LOG", "warning"),
        verify=os.environ.get("ELINVAR_VERIFY", "") not in ("", "0"),
    )


settings = read_environment()
