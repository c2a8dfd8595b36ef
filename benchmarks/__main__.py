"""Run the benchmarks: Elinvar and its peers on the same work.

    python -m benchmarks [PATTERN …] [--peers torch,jax] [--rounds N] [--seconds S] [--threads N]

Each framework runs in a process of its own. The processes take turns, round by round, so that a
slow minute of the machine hits all of them. Missing and broken peers are told, never fatal.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.cases import CASES
from benchmarks.engines import ENGINES
from benchmarks.footprint import import_times, install_bytes
from benchmarks.harness import ROOT, SOURCES, Bench, Options, matching
from benchmarks.report import add_ratios, full, megabytes, readable

ALSO = {"footprint/import": "seconds that `import` takes", "footprint/install": "bytes on disk"}
NEEDS = {
    "elinvar": ("numpy", "llvmlite", "elinvar"), "torch": ("torch",), "jax": ("jax", "jaxlib"),
    "tensorflow": ("tensorflow-cpu",),
}  # fmt: skip


def arguments_of(given: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("patterns", nargs="*", metavar="PATTERN", help="part of a name, or a glob")
    parser.add_argument("--list", action="store_true", help="show all cases and stop")
    parser.add_argument("--peers", default=",".join(ENGINES), help="comma-separated, or `none`")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.5, help="length of one round")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds for one answer")
    parser.add_argument("--python", action="append", default=[], metavar="PEER=PATH")
    parser.add_argument("--no-cold", action="store_true", help="no first calls with empty caches")
    parser.add_argument("--tiny", action="store_true", help="the tests' sizes: no figures")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "benchmarks.json")
    parser.add_argument("--chart", type=Path, help="write bars of the ratios to this picture")
    found = parser.parse_args(given)
    peers = () if found.peers == "none" else tuple(found.peers.split(","))
    if unknown := set(peers) - set(ENGINES):
        parser.error(f"no such peer: {', '.join(sorted(unknown))}; known: {', '.join(ENGINES)}")
    found.engines = tuple(name for name in ENGINES if name == "elinvar" or name in peers)
    if not matching(found.patterns, [*CASES, *ALSO]):
        parser.error(f"no case matches {' '.join(found.patterns)}; --list shows all")
    if min(found.rounds, found.threads) < 1 or found.seconds <= 0:
        parser.error("rounds and threads must be at least 1, seconds above 0")
    try:
        found.pythons = pythons_of(found.python)
    except ValueError as error:
        parser.error(str(error))
    return found


def pythons_of(given: list[str]) -> dict[str, str]:
    """Interpreters by peer: as given, or `.venv-PEER` beside the sources, or this one."""
    found = {}
    for name in ENGINES:
        path = ROOT / f".venv-{name}" / "bin" / "python"
        if path.exists():
            found[name] = str(path)
    for item in given:
        name, equals, path_text = item.partition("=")
        if not equals or name not in ENGINES:
            raise ValueError(f"--python takes PEER=PATH with a peer of {', '.join(ENGINES)}")
        found[name] = path_text
    return found


def peaks_of(threads: int) -> dict[str, Any] | None:
    """The machine's peaks, from a process of their own; None where the probe failed."""
    environment = os.environ | {"OPENBLAS_NUM_THREADS": str(threads), "PYTHONPATH": SOURCES}
    command = [sys.executable, "-m", "benchmarks.roofline", "--json", "--threads", str(threads)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    if result.returncode:
        lines = result.stderr.strip().splitlines() or ["no reason given"]
        print(f"the machine's peak could not be measured: {lines[-1]}", file=sys.stderr)
        return None
    return json.loads(result.stdout)


def footprint(name: str, chosen: argparse.Namespace) -> dict[str, float]:
    """Import times in seconds, or bytes of an install, by framework; absent ones are left out."""
    pythons = {engine: chosen.pythons.get(engine, sys.executable) for engine in chosen.engines}
    found: dict[str, float] = {}
    for engine, python in pythons.items():
        if engine not in NEEDS:
            continue
        try:
            if name.endswith("import"):
                module = ENGINES[engine].module
                found[engine] = import_times({module: python}, chosen.rounds)[module]
            else:
                found[engine] = sum(install_bytes(part, python) for part in NEEDS[engine])
        except (subprocess.CalledProcessError, OSError):
            print(f"{name}: {engine} is not installed", file=sys.stderr)
    return found


def run(chosen: argparse.Namespace) -> dict[str, Any]:
    """Measure the chosen cases."""

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    options = Options(
        engines=chosen.engines, rounds=chosen.rounds, seconds=chosen.seconds,
        threads=chosen.threads, timeout=chosen.timeout, pythons=chosen.pythons, tiny=chosen.tiny,
        cold=not chosen.no_cold, say=say,
    )  # fmt: skip
    report: dict[str, Any] = {
        "machine": machine(), "threads": chosen.threads, "rounds": chosen.rounds,
        "seconds": chosen.seconds, "tiny": chosen.tiny, "engines": list(chosen.engines),
        "when": time.strftime("%Y-%m-%d"), "peaks": None, "versions": {}, "cases": {},
        "footprint": {},
    }  # fmt: skip
    before = None if chosen.tiny else peaks_of(chosen.threads)
    bench = Bench(options)
    try:
        for name in matching(chosen.patterns):
            entry = report["cases"][name] = bench.run(CASES[name])
            say(f"{name}: {progress(entry)}")
    except KeyboardInterrupt:
        say("stopped: what was measured so far follows")
    finally:
        bench.close()
    for name in matching(chosen.patterns, list(ALSO)):
        report["footprint"][name] = footprint(name, chosen)
    after = None if chosen.tiny else peaks_of(chosen.threads)
    # A busy moment can only lower what a probe finds.
    found = [peaks for peaks in (before, after) if peaks]
    report["peaks"] = max(found, key=lambda peaks: peaks["peak_flops"]) if found else None
    report["versions"] = bench.versions
    for entry in report["cases"].values():
        add_ratios(entry, report["peaks"])
    return report


def progress(entry: dict[str, Any]) -> str:
    """One line for a case that is done."""
    return ", ".join(
        f"{name} {readable(found['median'])}" if "median" in found else f"{name} failed"
        for name, found in entry["results"].items()
    )


def machine() -> str:
    """The processor's name and how many CPUs there are."""
    name = platform.machine()
    try:
        with open("/proc/cpuinfo") as file:
            models = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
        name = models[0] if models else name
    except OSError:
        pass
    return f"{name}, {os.cpu_count()} CPUs, {platform.system()}, Python {platform.python_version()}"


def show(report: dict[str, Any]) -> None:
    """Print everything."""
    print(f"{report['machine']}; {report['threads']} threads, {report['rounds']} rounds")
    print(", ".join(f"{ENGINES[name].label} {v}" for name, v in report["versions"].items()))
    peaks = report["peaks"]
    if peaks:
        print(
            f"peak {peaks['peak_flops'] / 1e9:.0f} GFLOP/s ({peaks['peak_name']}), "
            f"{peaks['peak_bandwidth'] / 1e9:.0f} GB/s"
        )
    print()
    print(full(report))
    for name, found in report["footprint"].items():
        write = readable if name.endswith("import") else megabytes
        cells = ", ".join(f"{ENGINES[engine].label} {write(v)}" for engine, v in found.items())
        print(f"\n{ALSO[name]}: {cells}")
    spoiled = [name for name, case in report["cases"].items() if case["busy_rounds"]]
    if spoiled:
        print(
            f"\nwarning: the machine was busy with other work in {len(spoiled)} of "
            f"{len(report['cases'])} cases; their figures are marked and not to be trusted"
        )


def main() -> None:
    """Time the chosen cases, print them, and write JSON and a chart."""
    chosen = arguments_of()
    if chosen.list:
        for name in matching(chosen.patterns, [*CASES, *ALSO]):
            print(f"{name:36} {CASES[name].what if name in CASES else ALSO[name]}")
        return
    # Whoever ends a long run gets what was measured so far, and no worker stays behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    report = run(chosen)
    show(report)
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    chosen.json.write_text(json.dumps(report, indent=1))
    print(f"\nwritten: {chosen.json}")
    if chosen.chart:
        if importlib.util.find_spec("matplotlib") is None:
            print("no chart: matplotlib is not installed", file=sys.stderr)
            return
        chart = importlib.import_module("benchmarks.chart")
        chart.draw(report, chosen.chart)
        print(f"written: {chosen.chart}")


if __name__ == "__main__":
    main()
