"""What the numerics contract costs: the same work with its order of sums, and in any order.

    python -m benchmarks.contract                       # training, inference, rows, a few products
    python -m benchmarks.contract train/ --kernels 12   # some of it, with more kernels of each
    python -m benchmarks.contract train/mlp --clock cpu --threads 1    # on a machine that is busy

Both programs, `el.jit(f)` and `el.jit(f, numerics="fast")`, live in one process and take turns. The
cost of a case is the median over rounds of the exact program's time over the fast one's in the same
round, less 1. Where tensors lie in memory can make more of a difference than the order of sums, so
everything is built twice, the second time in the other order. Kernels are those of `el.profile`, by
what they compute; fusion does not depend on the order of sums, so both programs have the same ones,
up to launches that add partial sums.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import elinvar as el
from benchmarks.cases import CASES
from benchmarks.engines.base import normal
from benchmarks.engines.elinvar import Elinvar
from benchmarks.harness import ROOT, matching
from benchmarks.measure import ratio
from benchmarks.report import readable, table

WORDS = ("exact", "fast")
GROUPS = ("train/", "infer/", "rows/")
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
TOLERANCE = 1e-3  # of two results, relative to the largest element
PROFILES = 5, 25  # of one call each: at least and at most


class Kernel(NamedTuple):
    """A kind of kernel of both programs: launches and seconds in one call of each."""

    name: str
    launches: int
    exact: float
    fast: float


class Found(NamedTuple):
    """What one case took: seconds of a call by round, and its kernels, the slowest first."""

    name: str
    exact: list[float]
    fast: list[float]
    kernels: list[Kernel]

    @property
    def cost(self) -> float:
        """What the contract adds, as a part of the time without it."""
        return ratio(self.exact, self.fast) - 1.0

    @property
    def spread(self) -> float:
        """The distance of the quartiles of that over the rounds."""
        if len(self.exact) < 2:
            return 0.0
        pairs = [a / b for a, b in zip(self.exact, self.fast, strict=True)]
        low, _, high = statistics.quantiles(pairs, n=4, method="inclusive")
        return high - low


def _products(rows: int, depth: int) -> dict[str, tuple[Callable[..., Any], list[np.ndarray]]]:
    """Products that are not in a training step, where the order of a sum weighs most."""
    return {
        f"product/dot-{rows * depth}": (
            lambda x, y: x @ y,
            [normal(1, rows * depth), normal(2, rows * depth)],
        ),
        f"product/matrix-vector-{rows}x{depth}": (
            lambda x, y: x @ y,
            [normal(1, rows, depth), normal(2, depth)],
        ),
        f"product/vector-matrix-{rows}x{depth}": (
            lambda x, y: y @ x,
            [normal(1, rows, depth), normal(2, rows)],
        ),
    }


def cases(tiny: bool) -> dict[str, Callable[[Elinvar, str], Callable[[], Any]]]:
    """name → (engine, numerics) → a function that does the work once and returns its result."""

    def of_case(name: str) -> Callable[[Elinvar, str], Callable[[], Any]]:
        case = CASES[name]

        def make(engine: Elinvar, numerics: str) -> Callable[[], Any]:
            prepared = engine.prepare(case.task, case.tiny if tiny else case.arguments)
            return lambda: prepared.fetch(prepared.run())

        return make

    def of_product(function: Any, arrays: Any) -> Callable[[Elinvar, str], Callable[[], Any]]:
        def make(engine: Elinvar, numerics: str) -> Callable[[], Any]:
            run, operands = el.jit(function, numerics=numerics), [el.asarray(x) for x in arrays]
            return lambda: run(*operands).numpy()

        return make

    jitted = [name for name, case in CASES.items() if case.mode == "plain"]
    found = {name: of_case(name) for name in jitted if CASES[name].task not in ("adds", "matmul")}
    shape = (8, 24) if tiny else (1024, 1024)
    found |= {name: of_product(*given) for name, given in _products(*shape).items()}
    return found


def compare(
    name: str, make: Callable[[Elinvar, str], Callable[[], Any]], chosen: argparse.Namespace
) -> Found:
    """Time one case in both orders."""
    engines = {word: Elinvar(chosen.threads, word) for word in WORDS}
    times: dict[str, list[float]] = {word: [] for word in WORDS}
    kernels: list[Kernel] = []
    for build in range(chosen.builds):
        made = {word: make(engines[word], word) for word in (WORDS if build % 2 else WORDS[::-1])}
        runs = {word: made[word] for word in WORDS}
        _agree(name, {word: np.asarray(run(), np.float64) for word, run in runs.items()})
        for run in runs.values():
            run()
        calls = _calls(runs["exact"], chosen.seconds)
        _take_turns(runs, calls, chosen, times)
        if not build:
            kernels = _kernels(runs, calls)
    return Found(name, times["exact"], times["fast"], kernels)


def _agree(name: str, results: dict[str, np.ndarray]) -> None:
    """Refuse to compare programs that compute different things."""
    largest = max(1e-30, float(np.abs(results["exact"]).max()))
    apart = float(np.abs(results["exact"] - results["fast"]).max()) / largest
    if not apart <= TOLERANCE:
        raise RuntimeError(f"{name}: the two programs differ by {apart:.1e} of the largest result")


def _take_turns(
    runs: dict[str, Callable[[], Any]],
    calls: int,
    chosen: argparse.Namespace,
    times: dict[str, list[float]],
) -> None:
    clock = CLOCKS[chosen.clock]
    for number in range(chosen.rounds):
        for word in WORDS if number % 2 else WORDS[::-1]:
            start = clock()
            for _ in range(calls):
                runs[word]()
            times[word].append((clock() - start) / calls)


def _calls(run: Callable[[], Any], seconds: float) -> int:
    start = time.perf_counter()
    run()
    return max(1, int(seconds / max(1e-7, time.perf_counter() - start)))


def _kernels(runs: dict[str, Callable[[], Any]], calls: int) -> list[Kernel]:
    """The kinds of kernels by the median over profiles of one call, which take turns."""
    rounds = min(max(calls, PROFILES[0]), PROFILES[1])
    seconds: dict[str, dict[str, list[float]]] = {}
    launches: dict[str, int] = {}
    for number in range(rounds):
        for word in WORDS:
            with el.profile() as profile:
                runs[word]()
            for row in profile.rows:
                known = seconds.setdefault(row.kernel, {w: [0.0] * rounds for w in WORDS})
                known[word][number] += row.seconds
                if word == "exact" and not number:
                    launches[row.kernel] = launches.get(row.kernel, 0) + row.calls
    found = [
        Kernel(name, launches.get(name, 0), *(statistics.median(known[word]) for word in WORDS))
        for name, known in seconds.items()
    ]
    return sorted(found, key=lambda kernel: -kernel.exact)


def show(found: Found, most: int) -> None:
    """A line for the case, and one for each of its slowest kernels."""
    exact, fast = (statistics.median(times) for times in (found.exact, found.fast))
    print(
        f"{found.name}: exact {readable(exact)}, fast {readable(fast)}, "
        f"cost {100 * found.cost:+.1f} % (quartiles {100 * found.spread:.1f} % apart)"
    )
    total = sum(kernel.exact for kernel in found.kernels) or 1.0
    for kernel in found.kernels[:most]:
        share = f"{100 * kernel.exact / total:.1f} %"
        cost = 100 * (kernel.exact / kernel.fast - 1.0) if kernel.fast else 0.0
        print(
            f"  {share:>7}  {kernel.launches:4d} ×  {1e3 * kernel.exact:9.3f} ms  "
            f"{1e3 * kernel.fast:9.3f} ms  {cost:+6.1f} %  {kernel.name[:60]}"
        )
    print(flush=True)


def summary(every: list[Found]) -> str:
    """All cases as a table."""
    rows = [["case", "exact", "fast", "cost", "quartiles apart"]]
    for found in every:
        exact, fast = (statistics.median(times) for times in (found.exact, found.fast))
        costs = [f"{100 * found.cost:+.1f} %", f"{100 * found.spread:.1f} %"]
        rows.append([found.name, readable(exact), readable(fast), *costs])
    return table(rows)


def arguments_of(given: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.contract", description=__doc__)
    parser.add_argument("patterns", nargs="*", metavar="PATTERN", help="part of a name, or a glob")
    parser.add_argument("--list", action="store_true", help="show all cases and stop")
    parser.add_argument("--rounds", type=int, default=5, help="of each build")
    parser.add_argument("--builds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=0.25, help="of each program in a round")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--kernels", type=int, default=5, help="how many kernels are shown")
    parser.add_argument("--clock", choices=tuple(CLOCKS), default="wall")
    parser.add_argument("--tiny", action="store_true", help="the tests' sizes: no figures")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "contract.json")
    found = parser.parse_args(given)
    if min(found.rounds, found.builds, found.threads) < 1 or found.seconds <= 0:
        parser.error("rounds, builds and threads must be at least 1, seconds above 0")
    known = list(cases(found.tiny))
    defaults = [*GROUPS, "product/"]
    found.names = matching(found.patterns or defaults, known)
    if not found.names:
        parser.error(f"no case matches {' '.join(found.patterns)}; --list shows all")
    return found


def main(given: list[str] | None = None) -> None:
    """Compare the chosen cases and print what was found."""
    chosen = arguments_of(given)
    if chosen.list:
        print("\n".join(chosen.names))
        return
    known, every = cases(chosen.tiny), []
    print(f"{chosen.threads} threads, {chosen.clock} time, load {os.getloadavg()[0]:.1f}\n")
    for name in chosen.names:
        every.append(compare(name, known[name], chosen))
        show(every[-1], chosen.kernels)
    print(summary(every))
    if os.getloadavg()[0] > chosen.threads + 1:
        print("\nwarning: the machine was busy with other work; do not trust these figures")
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    chosen.json.write_text(json.dumps([found._asdict() for found in every], indent=1))


if __name__ == "__main__":
    main()
