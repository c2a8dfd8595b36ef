"""Fourier transforms beside NumPy, PyTorch and JAX: microseconds, and ratios of the best times.

    python -m benchmarks.fft                           every case, on two threads
    python -m benchmarks.fft --threads 1 --only 1024   cases whose name holds the word

The frameworks take turns in one process, a few calls each, and the best time of each counts: on a
busy machine that is the figure which says most. complex64 and float32; frameworks that are not
installed are left out. NumPy has one thread.
"""

from __future__ import annotations

import argparse
import importlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np

CASES: dict[str, tuple[str, tuple[int, ...]]] = {
    "64 x 256": ("fft", (64, 256)),
    "64 x 1024": ("fft", (64, 1024)),
    "64 x 4096": ("fft", (64, 4096)),
    "64 x 1000": ("fft", (64, 1000)),
    "64 x 1009, a prime": ("fft", (64, 1009)),
    "64 x 1536": ("fft", (64, 1536)),
    "1024": ("fft", (1024,)),
    "2^16": ("fft", (1 << 16,)),
    "2^20": ("fft", (1 << 20,)),
    "256 x 256, both axes": ("fft2", (256, 256)),
    "64 x 1024, real": ("rfft", (64, 1024)),
    "64 x 1024, to real": ("irfft", (64, 513)),
    "2^20, real": ("rfft", (1 << 20,)),
}
CALLS = 4  # of one framework before the next has its turn


def _elinvar(threads: int) -> Callable[..., Any]:
    el = importlib.import_module("elinvar")
    el.set_num_threads(threads)

    def run(kind: str, x: Any) -> Callable[[], Any]:
        given, function = el.asarray(x), getattr(el.fft, kind)
        return lambda: function(given)

    return run


def _numpy(threads: int) -> Callable[..., Any]:
    def run(kind: str, x: Any) -> Callable[[], Any]:
        function = getattr(np.fft, kind)
        return lambda: function(x)

    return run


def _torch(threads: int) -> Callable[..., Any]:
    torch = importlib.import_module("torch")
    torch.set_num_threads(threads)

    def run(kind: str, x: Any) -> Callable[[], Any]:
        given, function = torch.from_numpy(x), getattr(torch.fft, kind)
        return lambda: function(given)

    return run


def _jax(threads: int) -> Callable[..., Any]:
    jax = importlib.import_module("jax")

    def run(kind: str, x: Any) -> Callable[[], Any]:
        given, function = jax.numpy.asarray(x), jax.jit(getattr(jax.numpy.fft, kind))
        return lambda: function(given).block_until_ready()

    return run


FRAMEWORKS = {"Elinvar": _elinvar, "NumPy": _numpy, "PyTorch": _torch, "JAX": _jax}


def numbers(kind: str, shape: tuple[int, ...]) -> Any:
    """Normal data of the dtype that a transform takes."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape).astype(np.float32)
    if kind == "rfft":
        return x
    return (x + 1j * rng.normal(size=shape)).astype(np.complex64)


def best_times(functions: list[Callable[[], Any]], seconds: float) -> list[float]:
    """The best time of each, by turns."""
    best = [float("inf")] * len(functions)
    for function in functions:
        function()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for number, function in enumerate(functions):
            for _ in range(CALLS):
                start = time.perf_counter()
                function()
                best[number] = min(best[number], time.perf_counter() - start)
    return best


def main() -> None:
    """Print a line for each case."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each case")
    parser.add_argument("--only", default="", help="a word that names of cases must hold")
    options = parser.parse_args()
    runs = {}
    for name, make in FRAMEWORKS.items():
        try:
            runs[name] = make(options.threads)
        except ImportError:
            print(f"{name} is not installed")
    print(f"{'':<24}" + "".join(f"{name:>12}" for name in runs) + "     over the others")
    for title, (kind, shape) in CASES.items():
        if options.only not in title:
            continue
        x = numbers(kind, shape)
        found = best_times([make(kind, x) for make in runs.values()], options.seconds)
        ratios = "  ".join(f"{found[0] / other:.2f}" for other in found[1:])
        figures = "".join(f"{1e6 * seconds:>9.1f} µs" for seconds in found)
        print(f"{title:<24}{figures}     {ratios}", flush=True)


if __name__ == "__main__":
    main()
