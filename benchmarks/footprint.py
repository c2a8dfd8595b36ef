"""What importing costs, and what an install weighs."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

SIZE_OF_DISTRIBUTION = """
import json, sys
from importlib import metadata
files = metadata.distribution(sys.argv[1]).files or []
paths = [file.locate() for file in files]
print(json.dumps(sum(path.stat().st_size for path in paths if path.is_file())))
"""
OUR_SUFFIXES = (".py", ".pyi", ".typed")


def import_times(modules: dict[str, str], rounds: int) -> dict[str, float]:
    """Median seconds that `import module` adds to starting Python; rounds are interleaved.

    Args:
        modules: module → the interpreter that has it.
        rounds: how often.
    """
    times: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        for name, python in modules.items():
            for code in (f"import {name}", "pass"):
                start = time.perf_counter()
                subprocess.run([python, "-c", code], check=True, capture_output=True)
                times.setdefault((name, code), []).append(time.perf_counter() - start)
    return {
        name: statistics.median(times[name, f"import {name}"])
        - statistics.median(times[name, "pass"])
        for name in modules
    }


def install_bytes(distribution: str, python: str = sys.executable) -> int:
    """Bytes on disk of a distribution's files; our own are counted from the sources."""
    if distribution == "elinvar":
        folder = Path(__file__).parent.parent / "src" / "elinvar"
        paths = [path for path in folder.rglob("*") if path.suffix in OUR_SUFFIXES]
        return sum(path.stat().st_size for path in paths)
    result = subprocess.run(
        [python, "-c", SIZE_OF_DISTRIBUTION, distribution],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return int(json.loads(result.stdout))
