"""Reports of fingerprints: made here, kept in files, published with the package, compared.

A fingerprint stands for an item (a computation), for a family of items and for everything. Those of
families are made of their items', that of everything of the families'. The environment is told
beside them and has no part in them.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from elinvar.cli import (
    numerics_layers,
    numerics_linalg,
    numerics_ops,
    numerics_training,
    numerics_transforms,
)
from elinvar.cli.numerics_inputs import combined
from elinvar.cli.numerics_items import Item
from elinvar.core.errors import DataError, fail
from elinvar.runtime import llvm
from elinvar.runtime.pool import get_num_threads

FORMAT = 1
SCALARS = 1 << 14  # inputs of each function of scalars in the published fingerprints
PUBLISHED = Path(__file__).with_name("numerics_published.json")
_MOST_BYTES = 4 << 20  # of a file with a report
_MOST_NAMES = 10_000

FAMILIES: dict[str, tuple[str, Callable[[], Iterator[Item]]]] = {
    "scalars": ("functions of scalars", numerics_ops.scalar_functions),
    "conversions": ("conversions between dtypes", numerics_ops.conversions),
    "activations": ("activations and their gradients", numerics_ops.activations),
    "sums": ("sums and other reductions", numerics_ops.sums),
    "orders": ("running sums, sorting, indexing", numerics_ops.orders),
    "transforms": ("Fourier transforms, with gradients", numerics_transforms.transforms),
    "products": ("matrix products", numerics_layers.products),
    "linalg": ("linear algebra, with gradients", numerics_linalg.linear_algebra),
    "convolutions": ("convolutions, with gradients", numerics_layers.convolutions),
    "attention": ("attention, with gradients", numerics_layers.attention),
    "norms": ("normalisation, with gradients", numerics_layers.norms),
    "pooling": ("pooling and resizing", numerics_layers.pooling),
    "losses": ("losses, with gradients", numerics_layers.losses),
    "random": ("random numbers and first weights", numerics_layers.draws),
    "optimizers": ("optimizers and schedules", numerics_training.optimizers),
    "training": ("20 training steps: MLP, CNN, LSTM, GPT", numerics_training.training),
}
_OF_SCALARS = ("scalars", "conversions")  # the families whose inputs `scalars` counts


@dataclass(frozen=True)
class Family:
    """The fingerprints of a family: item → fingerprint, and how many values were hashed."""

    items: Mapping[str, str]
    values: int = 0
    seconds: float = 0.0

    @property
    def fingerprint(self) -> str:
        """One for the family."""
        return combined(self.items.items())


@dataclass(frozen=True)
class Report:
    """The fingerprints of families, what they were made with, and where."""

    families: Mapping[str, Family]
    version: str
    scalars: int = SCALARS
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """One for everything; empty if families are missing."""
        if set(self.families) != set(FAMILIES):
            return ""
        return combined((name, self.families[name].fingerprint) for name in FAMILIES)

    def comparable(self, other: Report, family: str) -> bool:
        """Whether the family had the same inputs in both reports."""
        return self.scalars == other.scalars or family not in _OF_SCALARS


def report(
    families: Iterable[str] = tuple(FAMILIES),
    scalars: int = SCALARS,
    compiled: bool | None = None,
    done: Callable[[str, Family], None] = lambda name, family: None,
) -> Report:
    """Compute fingerprints on this machine.

    Args:
        families: which.
        scalars: random inputs of each function of scalars, beside the special values.
        compiled: run each item as one program, or operation by operation; None: as is usual.
        done: called with each family when it is ready.

    Example:
        >>> found = report(["pooling"])
        >>> found.families["pooling"].fingerprint == published().families["pooling"].fingerprint
        True
    """
    found = {}
    for name in families:
        start, items, values = time.perf_counter(), {}, 0
        for one in FAMILIES[name][1]():
            digest = one.digest(scalars, compiled)
            items[one.name] = digest.text()
            values += digest.values
        found[name] = Family(items, values, time.perf_counter() - start)
        done(name, found[name])
    return Report(found, version(), scalars, environment())


# ---- where it ran -------------------------------------------------------------------------------

_SETS = (
    "avx512f", "avx2", "avx", "sse4.2", "sse2", "fma", "f16c", "bf16", "amx-bf16", "sve2", "sve",
    "neon", "v", "zvfh",
)  # fmt: skip


def version() -> str:
    """Elinvar's."""
    return str(sys.modules["elinvar"].__version__)


def environment() -> dict[str, str]:
    """The machine and the versions, for people."""
    target = llvm.host()
    on = {name[1:] for name in target.features.split(",") if name.startswith("+")}
    return {
        "machine": platform.machine(),
        "cpu": _cpu_name(),
        "llvm cpu": target.cpu,
        "instruction sets": " ".join(name for name in _SETS if name in on),
        "system": platform.system(),
        "llvm": llvm.llvm_version(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "threads": str(get_num_threads()),
        "cpus": str(os.cpu_count()),
    }


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() == "model name" and value.strip():
            return value.strip()
    return platform.processor() or platform.machine()


# ---- files --------------------------------------------------------------------------------------


def write(path: Path, made: Report) -> None:
    """Write a report as JSON."""
    families = {
        name: {
            "fingerprint": family.fingerprint,
            "values": family.values,
            "seconds": round(family.seconds, 3),
            "items": dict(family.items),
        }
        for name, family in made.families.items()
    }
    text = {
        "format": FORMAT,
        "elinvar": made.version,
        "scalars": made.scalars,
        "all": made.fingerprint,
        "environment": dict(made.environment),
        "families": families,
    }
    path.write_text(json.dumps(text, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read(path: Path) -> Report:
    """Read a report that `write` wrote, or what somebody says is one.

    Raises:
        DataError: it is none.
    """
    with path.open("rb") as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        fail(DataError, "numerics", f"{path} is larger than {_MOST_BYTES} bytes")
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        fail(DataError, "numerics", f"{path} is not JSON", "write one with `--json FILE`")
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        text = f"{path} is not a report of format {FORMAT}"
        fail(DataError, "numerics", text, "write one with `--json FILE`")
    scalars = content.get("scalars")
    families = {
        name: Family(_texts(path, family.get("items") if isinstance(family, dict) else None))
        for name, family in _named(path, content.get("families")).items()
    }
    if type(scalars) is not int:
        fail(DataError, "numerics", f"{path} does not tell the number of scalars")
    place = _texts(path, content.get("environment"))
    return Report(families, _printable(str(content.get("elinvar"))), scalars, place)


def _named(path: Path, found: Any) -> dict[str, Any]:
    if not isinstance(found, dict) or len(found) > _MOST_NAMES:
        fail(DataError, "numerics", f"{path} is damaged: expected names and fingerprints")
    return {_printable(name): value for name, value in found.items()}


def _texts(path: Path, found: Any) -> dict[str, str]:
    return {name: _printable(str(value)) for name, value in _named(path, found).items()}


def _printable(text: str) -> str:
    """Text of others as it may be printed: on one line, without control characters."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:200])


def published() -> Report:
    """The fingerprints that this version has everywhere."""
    return read(PUBLISHED)


# ---- comparing ----------------------------------------------------------------------------------


def differences(ours: Family, other: Family) -> list[str]:
    """The items that differ, or that only one of the two has."""
    names = [*ours.items, *(name for name in other.items if name not in ours.items)]
    return [name for name in names if ours.items.get(name) != other.items.get(name)]
