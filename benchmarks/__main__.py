"""Run the benchmarks: `python -m benchmarks [CASE …] [--rounds N] [--json FILE]`.

Each framework runs in a process of its own. The processes take turns, round by round, so that a
slow minute of the machine hits all of them; the medians are compared.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.cases import CASES, Case
from benchmarks.footprint import import_times, install_megabytes
from benchmarks.frameworks import FRAMEWORKS

ROOT = Path(__file__).resolve().parent.parent
IMPORT_LIMIT_SECONDS = 0.25
INSTALL_LIMIT_MEGABYTES = 260


class Worker:
    """The other end of `benchmarks.worker`."""

    def __init__(self, case: str, framework: str, threads: int) -> None:
        command = [sys.executable, "-m", "benchmarks.worker", case, framework, str(threads)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        self.info = self._read()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"a worker ended early: {' '.join(map(str, self.process.args))}")
        return json.loads(line)

    def round(self) -> float:
        """Seconds of one call, the mean over one round."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return self._read()["seconds"]

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=30)


def compare(
    case: Case, frameworks: tuple[str, ...], rounds: int, threads: int
) -> dict[str, dict[str, Any]]:
    """Median, best and all rounds of each framework, in seconds of one call."""
    workers: dict[str, Worker] = {}
    try:
        for name in frameworks:
            workers[name] = Worker(case.name, name, threads)
        times: dict[str, list[float]] = {name: [] for name in frameworks}
        for _ in range(rounds):
            for name, worker in workers.items():
                times[name].append(worker.round())
    finally:
        for worker in workers.values():
            worker.close()
    return {
        name: {
            "median": statistics.median(found),
            "best": min(found),
            "rounds": found,
            "first_call": workers[name].info["first_call"],
            "version": workers[name].info["ready"],
        }
        for name, found in times.items()
    }


def readable(seconds: float) -> str:
    """A time with a fitting unit."""
    for unit, factor in (("s", 1.0), ("ms", 1e3)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.2f} {unit}"
    return f"{seconds * 1e6:.1f} µs"


def table(rows: list[list[str]]) -> str:
    """Rows as aligned text; the first is the heading."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in
                  enumerate(zip(row, widths, strict=True)))
        for row in rows
    ]  # fmt: skip
    return "\n".join([lines[0], "─" * len(lines[0]), *lines[1:]])


def verdict(value: float, limit: float | None) -> str:
    """Whether a promised limit holds."""
    if limit is None:
        return ""
    return f"≤ {limit:g} {'ok' if value <= limit else 'MISSED'}"


def main() -> None:
    """Time the chosen cases and print them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    choices = [*CASES, "import", "install"]
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(choices)}")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "benchmarks.json")
    arguments = parser.parse_args()
    chosen = arguments.cases or choices
    if unknown := set(chosen) - set(choices):
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    present = tuple(name for name in FRAMEWORKS if importlib.util.find_spec(name))
    report: dict[str, Any] = {
        "machine": platform.machine(), "python": platform.python_version(),
        "threads": arguments.threads, "cases": {},
    }  # fmt: skip
    rows = [["case", *present, "ratio to torch", "promise"]]
    for name in chosen:
        limit: float | None
        if name == "import":
            values = import_times(present, arguments.rounds)
            report["cases"][name] = values
            cells = [readable(values[framework]) for framework in present]
            checked, limit = values["elinvar"], IMPORT_LIMIT_SECONDS
            ratio = values["elinvar"] / values["torch"] if "torch" in values else None
        elif name == "install":
            sizes = install_megabytes(("numpy", "llvmlite", "elinvar"))
            total = sum(sizes.values())
            report["cases"][name] = sizes
            peers = [name for name in present if name != "elinvar"]
            cells = [f"{total:.0f} MB", *(f"{install_megabytes((p,))[p]:.0f} MB" for p in peers)]
            checked, limit, ratio = total, INSTALL_LIMIT_MEGABYTES, None
        else:
            result = compare(CASES[name], present, arguments.rounds, arguments.threads)
            report["cases"][name] = result
            cells = [readable(result[framework]["median"]) for framework in present]
            ratio = None
            if "torch" in result:
                ratio = result["elinvar"]["median"] / result["torch"]["median"]
            checked, limit = ratio or 0.0, CASES[name].limit if ratio else None
        text = "" if ratio is None else f"{ratio:.2f}"
        rows.append([name, *cells, text, verdict(checked, limit)])
        print(f"{name}: done", file=sys.stderr)
    print(table(rows))
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
