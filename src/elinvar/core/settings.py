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
    cache_limit: int  # bytes that the disk cache may take
    log_level: str
    verify: bool  # run the graph verifier after every pass
    cpu: str = "host"  # the instruction set that is compiled for: `host`, or a level of x86-64
    default_float: str = "float32"  # the dtype of Python's floats: this one, or `float64`
    quick: bool = True  # compile in two steps: quick code first, better code where work is done
    llvm_level: int = 3  # how hard LLVM may try, 0 … 3
    runs_dir: Path | None = Path("runs")  # where training runs are recorded; None: nowhere
    replay: Path | None = None  # what this process is to replay; set by `elinvar replay`
    store_dir: Path | None = None  # where versions of data are kept; None: the user has no home
    started_in: str = ""  # the working folder, before the program may change it
    grid: str = ""  # the electricity's carbon: grams of CO₂e a kilowatt-hour, or a country's code


def _positive_int(text: str | None, default: int) -> int:
    try:
        return max(1, int(text)) if text else default
    except ValueError:
        return default


def _level(text: str) -> int:
    return int(text) if text in ("0", "1", "2") else 3


def _expanded(text: str) -> Path:
    """A folder that the user names; `~` is the home, where there is one."""
    return Path(text).expanduser() if text.startswith("~") else Path(text)


def _below_home(base: str) -> Path | None:
    """A folder of ours; None where the user has no home, as in many containers."""
    try:
        found = Path(base).expanduser() / "elinvar"
    except RuntimeError:
        return None
    return found if found.is_absolute() else None


_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_CACHE_LIMIT = 2 << 30


def byte_count(text: str) -> int | None:
    """A number of bytes, with a unit of 1024, 1024², … if wanted; None where it is none.

    Example:
        >>> byte_count("500M"), byte_count("2GB"), byte_count("1.5k"), byte_count("much")
        (524288000, 2147483648, 1536, None)
    """
    digits = text.strip().upper().removesuffix("B")
    unit = _UNITS.get(digits[-1:], 1)
    try:
        number = float(digits[:-1] if unit > 1 else digits) * unit
    except ValueError:
        return None
    return int(number) if 0 <= number < 1 << 60 else None


def _working_folder() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was deleted
        return os.environ.get("PWD", "")


def read_environment() -> Settings:
    """Read `ELINVAR_NUM_THREADS`, `ELINVAR_CACHE` (a folder, or `off`), `ELINVAR_CACHE_LIMIT` (such
    as `500M`; 2G by default), `ELINVAR_LOG`, `ELINVAR_VERIFY`, `ELINVAR_CPU` (`host`, or a level of
    x86-64 such as `x86-64-v3`), `ELINVAR_DEFAULT_FLOAT` (`float32` or `float64`),
    `ELINVAR_RUNS` (the folder of training runs, or `off`; `runs` in the working folder by default),
    `ELINVAR_STORE` (the folder of data versions), `ELINVAR_GRID` (the electricity's carbon: grams
    of CO₂e a kilowatt-hour, or a country's code), `ELINVAR_QUICK` (0: no quick code, see
    `runtime/compile.py`) and `ELINVAR_LLVM_LEVEL` (0 … 3: how hard LLVM may try at most)."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    cache = os.environ.get("ELINVAR_CACHE")
    if cache == "off":
        folder = None
    elif cache:
        folder = Path(cache).expanduser()
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        folder = _below_home(base)
    runs = os.environ.get("ELINVAR_RUNS") or "runs"
    store = os.environ.get("ELINVAR_STORE")
    data = _below_home(os.environ.get("XDG_DATA_HOME") or "~/.local/share")
    limit = byte_count(os.environ.get("ELINVAR_CACHE_LIMIT", ""))
    return Settings(
        num_threads=_positive_int(os.environ.get("ELINVAR_NUM_THREADS"), cpus),
        cache_dir=folder,
        cache_limit=_CACHE_LIMIT if limit is None else limit,
        log_level=os.environ.get("ELINVAR_LOG", "warning"),
        verify=os.environ.get("ELINVAR_VERIFY", "") not in ("", "0"),
        cpu=os.environ.get("ELINVAR_CPU") or "host",
        default_float=os.environ.get("ELINVAR_DEFAULT_FLOAT") or "float32",
        quick=os.environ.get("ELINVAR_QUICK", "") != "0",
        runs_dir=None if runs == "off" else _expanded(runs),
        replay=Path(replay) if (replay := os.environ.get("ELINVAR_REPLAY")) else None,
        store_dir=_expanded(store) if store else data and data / "store",
        started_in=_working_folder(),
        grid=os.environ.get("ELINVAR_GRID", "").strip(),
        llvm_level=_level(os.environ.get("ELINVAR_LLVM_LEVEL", "")),
    )


settings: Settings = read_environment()
