"""What importing costs, and what an install weighs."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path


def _seconds(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


def import_times(modules: tuple[str, ...], rounds: int) -> dict[str, float]:
    """Median seconds that `import module` adds to starting Python; rounds are interleaved."""
    times: dict[str, list[float]] = {name: [] for name in ("", *modules)}
    for _ in range(rounds):
        for name, found in times.items():
            found.append(_seconds(f"import {name}" if name else "pass"))
    bare = statistics.median(times.pop(""))
    return {name: statistics.median(found) - bare for name, found in times.items()}


def install_megabytes(distributions: tuple[str, ...]) -> dict[str, float]:
    """Bytes on disk of each distribution's files, in MB; our own is counted from its sources."""
    sizes = {}
    for name in distributions:
        if name == "elinvar":
            folder = Path(__file__).parent.parent / "src" / "elinvar"
            paths = [path for path in folder.rglob("*") if path.suffix in (".py", ".pyi", ".typed")]
        else:
            files = metadata.distribution(name).files or []
            paths = [Path(str(file.locate())) for file in files]
        sizes[name] = sum(path.stat().st_size for path in paths if path.is_file()) / 1e6
    return sizes
