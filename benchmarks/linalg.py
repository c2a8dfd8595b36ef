"""Linear algebra beside numpy and PyTorch: eager calls on the same matrices, in turns.

    python -m benchmarks.linalg                     # all functions and sizes, f32 and f64
    python -m benchmarks.linalg eigh svd --rounds 9
    python -m benchmarks.linalg --clock cpu --threads 1     # on a machine that is busy

All live in one process and take turns. A ratio is the median over rounds of our time over the
peer's in the same round: below 1 we are faster. `first` is the first call with a size, which
compiles what is not in the disk cache.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import elinvar as el
from benchmarks.measure import ratio
from benchmarks.report import readable, table

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
SHAPES = ((8, 8), (64, 64), (256, 256), (512, 512), (1000, 8, 8))
TINY = ((4, 4), (2, 3, 3))
FUNCTIONS = ("cholesky", "solve", "inv", "qr", "eigh", "svd")


def operands(function: str, shape: tuple[int, ...], dtype: str) -> list[np.ndarray]:
    """The arguments of a function: positive definite matrices for `cholesky`."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape)
    if function == "cholesky":
        x = x @ x.swapaxes(-1, -2) + shape[-1] * np.eye(shape[-1])
    if function == "eigh":
        x = x + x.swapaxes(-1, -2)
    found = [x.astype(dtype)]
    if function == "solve":
        found.append(rng.normal(size=(*shape[:-1], 4)).astype(dtype))
    return found


def runs_of(function: str, arrays: list[np.ndarray], threads: int) -> dict[str, Callable[[], Any]]:
    """What is timed, by name; ours first."""
    tensors = [el.asarray(array) for array in arrays]
    ours = getattr(el.linalg, function)
    options = {"full_matrices": False} if function == "svd" else {}
    runs: dict[str, Callable[[], Any]] = {
        "elinvar": lambda: ours(*tensors, **options),
        "numpy": lambda: getattr(np.linalg, function)(*arrays, **options),
    }
    if importlib.util.find_spec("torch") is not None:
        torch = importlib.import_module("torch")
        torch.set_num_threads(threads)
        others = [torch.from_numpy(array) for array in arrays]
        runs["torch"] = lambda: getattr(torch.linalg, function)(*others, **options)
    return runs


def compare(
    function: str, shape: tuple[int, ...], dtype: str, chosen: argparse.Namespace
) -> list[str]:
    """A row of the table."""
    clock = CLOCKS[chosen.clock]
    runs = runs_of(function, operands(function, shape, dtype), chosen.threads)
    start = time.perf_counter()
    runs["elinvar"]()
    first = time.perf_counter() - start
    for run in runs.values():
        run()
    start = time.perf_counter()
    runs["elinvar"]()
    calls = max(1, int(chosen.seconds / max(time.perf_counter() - start, 1e-7)))
    times: dict[str, list[float]] = {word: [] for word in runs}
    for number in range(chosen.rounds):
        for word in sorted(runs, reverse=bool(number % 2)):
            start = clock()
            for _ in range(calls):
                runs[word]()
            times[word].append((clock() - start) / calls)
    middle = sorted(times["elinvar"])[chosen.rounds // 2]
    ratios = [
        f"{ratio(times['elinvar'], times[word]):.2f}" if word in times else ""
        for word in ("numpy", "torch")
    ]
    name = f"{dtype.replace('float', 'f')}[{','.join(map(str, shape))}]"
    return [function, name, readable(middle), *ratios, readable(first)]


def main() -> None:
    """Compare, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.linalg", description=__doc__)
    parser.add_argument("functions", nargs="*", metavar="FUNCTION", help=", ".join(FUNCTIONS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.1, help="length of one round")
    parser.add_argument("--threads", type=int, default=el.get_num_threads())
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--dtypes", default="float32,float64")
    parser.add_argument("--tiny", action="store_true", help="the tests' sizes: no figures")
    chosen = parser.parse_args()
    if unknown := set(chosen.functions) - set(FUNCTIONS):
        parser.error(f"no such function: {', '.join(sorted(unknown))}")
    el.set_num_threads(chosen.threads)
    rows = [
        compare(function, shape, dtype, chosen)
        for function in chosen.functions or FUNCTIONS
        for dtype in chosen.dtypes.split(",")
        for shape in (TINY if chosen.tiny else SHAPES)
    ]
    heading = ["function", "matrices", "time", "/ numpy", "/ torch", "first"]
    print(table([heading, *rows]))


if __name__ == "__main__":
    main()
