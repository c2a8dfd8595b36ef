"""What first calls cost: each public function's own example, from nothing.

    python -m benchmarks.cold                 # the 20 slowest
    python -m benchmarks.cold fft linalg.eig  # those whose names contain one of these
    ELINVAR_QUICK=0 python -m benchmarks.cold # good code from the start

Every example runs in a process of its own, which has imported Elinvar, loaded LLVM and run one
program, and finds the caches empty. Processor time is what counts: it depends less than time on
the clock on what else the machine does, and kernels that are compiled side by side count in full.
"""

from __future__ import annotations

import argparse
import contextlib
import doctest
import io
import os
import sys
from collections.abc import Iterator

import numpy as np

# What no example does: other dtypes, where they cost more.
MORE = {
    "fft.fft complex128": "el.fft.fft(z)",
    "fft.irfft complex128": "el.fft.irfft(z)",
    "linalg.eig complex128": "el.linalg.eig(z)",
    "linalg.eigh complex128": "el.linalg.eigh(z + el.conj(z).mT)",
    "linalg.svd complex128": "el.linalg.svd(z)",
    "linalg.svd float64": "el.linalg.svd(x)",
    "linalg.det float64": "el.linalg.det(x)",
    "pow uint64": "n ** n",
    "pow complex128": "z ** z",
    "tan complex128": "el.tan(z)",
    "unique_all uint64": "el.unique_all(n)",
    "special.betainc float64": "el.special.betainc(x * x, x * x, 0.3)",
    "special.gammaln float64": "el.special.gammaln(x)",
    "sort float64": "el.sort(x)",
}
SPACES = ("", "linalg.", "fft.", "special.", "random.", "nn.functional.")


def examples() -> Iterator[tuple[str, str]]:
    """(name, code) of each public function that has an example, and of `MORE`."""
    import elinvar as el

    parser = doctest.DocTestParser()
    for space in SPACES:
        place: object = el
        for part in space.split(".")[:-1]:
            place = getattr(place, part)
        for name in sorted(getattr(place, "__all__", ())):
            found = parser.get_examples(getattr(getattr(place, name), "__doc__", None) or "")
            if found:
                yield space + name, "".join(example.source for example in found)
    yield from MORE.items()


def cost(code: str) -> float:
    """Seconds of processor time that the code takes in a child of this process."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        status = 1
        with contextlib.suppress(BaseException), contextlib.redirect_stdout(io.StringIO()):
            exec(code, names())
            status = 0
        os._exit(status)
    _, status, used = os.wait4(child, 0)
    return used.ru_utime + used.ru_stime if status == 0 else float("nan")


def names() -> dict[str, object]:
    """What an example finds: the package, and some numbers."""
    import elinvar as el

    numbers = np.random.default_rng(0).standard_normal((3, 3))
    z, n = el.asarray(numbers + 1j), el.asarray(np.arange(5, dtype=np.uint64))
    return {"el": el, "np": np, "nn": el.nn, "x": el.asarray(numbers), "z": z, "n": n}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cold", description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of names of functions")
    parser.add_argument("--top", type=int, default=20, help="how many to show")
    options = parser.parse_args(arguments)
    os.environ["ELINVAR_CACHE"] = "off"
    import elinvar as el

    (el.asarray([1.0]) + 1.0).item()
    names()
    empty = cost("pass")
    found = []
    for name, code in examples():
        if not options.names or any(part in name for part in options.names):
            found.append((cost(code) - empty, name))
    failed = [name for seconds, name in found if seconds != seconds]
    found = sorted((pair for pair in found if pair[0] == pair[0]), reverse=True)
    for seconds, name in found[: options.top]:
        print(f"{1e3 * seconds:8.0f} ms  {name}")
    every = np.array([seconds for seconds, _ in found])
    if len(every):
        middle, most = np.quantile(every, [0.5, 0.95]) * 1e3
        print(f"{len(every)} examples: {middle:.0f} ms by the median, 95 % below {most:.0f} ms")
    if failed:
        print("not timed:", ", ".join(failed))


if __name__ == "__main__":
    main()
