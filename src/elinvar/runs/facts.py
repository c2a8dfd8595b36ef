"""What went into a run: the program and how it was started, packages, the machine."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import os
import platform
import sys
from pathlib import Path
from typing import Any

from elinvar.core.settings import settings
from elinvar.core.version import VERSION
from elinvar.runs import code
from elinvar.runtime.plans import compiler_digest
from elinvar.runtime.pool import get_num_threads
from elinvar.runtime.targets import target_named

_PACKAGE = Path(__file__).resolve().parent.parent


def entry() -> dict[str, Any]:
    """How the program was started, so that it can be started again.

    `arguments` are the interpreter's; None where there is no such line: in a notebook, at a
    prompt, or of a program that came through a pipe.
    """
    arguments: list[str] | None = list(sys.orig_argv)
    main = sys.modules.get("__main__")
    interactive = bool(getattr(sys, "ps1", None)) or "ipykernel" in sys.modules
    has_code = _file(main) is not None or "-c" in sys.orig_argv
    if interactive or not has_code or not arguments:
        arguments = None
    return {"arguments": arguments, "folder": settings.started_in, "program": program()}


def _file(main: Any) -> str | None:
    """The program's file; None where it came through a pipe, which Python calls `<stdin>`."""
    found = getattr(main, "__file__", None)
    return None if not isinstance(found, str) or found.startswith("<") else found


def program() -> str:
    """A short name of what runs: of the program, or of the configuration of `elinvar train`."""
    main = sys.modules.get("__main__")
    spec, file = getattr(main, "__spec__", None), _file(main)
    configuration = code.configuration()
    if configuration is not None:
        name = Path(configuration).stem
    elif spec is not None and spec.name:
        module = spec.name.removesuffix(".__main__")
        name = module.rpartition(".")[2] or module
    elif file is not None:
        name = Path(file).stem
    else:
        name = "notebook" if "ipykernel" in sys.modules else "program"
    name = "".join(sign if sign.isprintable() and sign not in "/\\" else "_" for sign in name)
    return os.fsencode(name)[:60].decode("utf-8", "ignore").strip() or "program"


@functools.cache
def packages() -> dict[str, str]:
    """All installed packages with their versions."""
    found: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name:
            found.setdefault(name.lower().replace("_", "-"), distribution.version)
    return dict(sorted(found.items()))


def machine() -> dict[str, Any]:
    """The computer, as far as figures of time depend on it. Values do not."""
    target = target_named("host")
    return {
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "processor": _processor() or target.target.cpu,
        "instructions": target.target.cpu,
        "vector_bits": target.vector_bits,
        "cores": os.cpu_count(),
        "memory_bytes": _memory(),
        "threads": get_num_threads(),
    }


@functools.cache
def _processor() -> str | None:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or None


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def outside() -> dict[str, str]:
    """Where random numbers that are not Elinvar's stand, by hashes of their states."""
    found = {"hash seed of Python": os.environ.get("PYTHONHASHSEED") or "random"}
    for name, module, read in (
        ("Python's random numbers", "random", "getstate"),
        ("numpy's global random numbers", "numpy.random", "get_state"),
    ):
        if module in sys.modules:
            state = repr(getattr(sys.modules[module], read)())
            found[name] = hashlib.sha256(state.encode()).hexdigest()[:16]
    return found


def numerics() -> dict[str, Any]:
    """What values may depend on beside the program: versions, and rules that are switched on."""
    return {
        "elinvar": VERSION,
        "compiler": compiler_digest(),
        "default_float": settings.default_float,
        "python": platform.python_version(),
        "source": source(),
    }


@functools.cache
def source() -> dict[str, str]:
    """Elinvar's own files, by hashes of which 64 bits are kept."""
    found = {}
    for path in sorted(_PACKAGE.rglob("*.py")):
        name = path.relative_to(_PACKAGE).as_posix()
        if not name.startswith("cli/"):
            try:
                found[name] = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
            except OSError:
                continue
    return found
