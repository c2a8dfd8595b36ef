"""One framework in one process: makes the work of a case, then times rounds when it is told to.

    python -m benchmarks.worker ENGINE THREADS

Reads and writes lines of JSON. First it says {"version": …}; then it answers

    {"do": "prepare", "case": …, "tiny": …}   {"first_call", "build", "parameters", "loss"}
    {"do": "round", "seconds": …}             {"seconds", "cpu", "calls", "load", "others"}
    {"do": "value"}                           {"value", "shape"}
    {"do": "memory"}                          {"before", "peak"}, in bytes
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import sys
import time
import traceback
from typing import Any

import numpy as np

from benchmarks.cases import CASES
from benchmarks.engines import ENGINES

WARM_UP_CALLS = 3
WARM_UP_SECONDS = 1.0


def peak_memory() -> int:
    """The most memory that this process has held so far, in bytes.

    Linux' `ru_maxrss` remembers the parent, too, from the moment before the program was loaded;
    `VmHWM` does not.
    """
    try:
        with open("/proc/self/status") as file:
            (line,) = (line for line in file if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def cpu_seconds() -> tuple[float, float] | None:
    """CPU seconds that the whole machine and that this process have used; None if not known."""
    try:
        with open("/proc/stat") as file:
            fields = [int(field) for field in file.readline().split()[1:9]]
    except (OSError, ValueError):
        return None
    busy = sum(fields) - fields[3] - fields[4]  # all but idle and waiting for a disk
    own = time.process_time()
    return busy / os.sysconf("SC_CLK_TCK"), own


class Work:
    """The work in hand."""

    def __init__(self, engine_name: str, threads: int) -> None:
        if engine_name == "jax" and hasattr(os, "sched_setaffinity"):
            # XLA makes a thread for each CPU that it may use; there is no other switch.
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
        file = importlib.import_module(f"benchmarks.engines.{ENGINES[engine_name].file}")
        self.engine = file.ENGINE(threads)
        self.prepared: Any = None
        self.call_seconds = 0.0
        self.memory_before = 0

    def prepare(self, case: str, tiny: bool = False) -> dict[str, Any]:
        """Build, call once, warm up."""
        chosen = CASES[case]
        self.prepared = None
        gc.collect()
        self.memory_before = peak_memory()
        start = time.perf_counter()
        self.prepared = self.engine.prepare(chosen.task, chosen.tiny if tiny else chosen.arguments)
        built = time.perf_counter()
        result = self.prepared.run()
        first = time.perf_counter()
        self.call_seconds = first - built
        for _ in range(WARM_UP_CALLS):
            if time.perf_counter() - first > WARM_UP_SECONDS:
                break
            start_call = time.perf_counter()
            self.prepared.run()
            self.call_seconds = min(self.call_seconds, time.perf_counter() - start_call)
        return {
            "first_call": first - built, "build": built - start,
            "parameters": self.prepared.parameters,
            "loss": result if isinstance(result, float) else None,
        }  # fmt: skip

    def round(self, seconds: float) -> dict[str, Any]:
        """Seconds of one call, the mean over one round; and how busy others kept the machine."""
        run = self.prepared.run
        calls = max(1, round(seconds / max(self.call_seconds, 1e-7)))
        load = os.getloadavg()[0]
        before, own = cpu_seconds(), time.process_time()
        start = time.perf_counter()
        for _ in range(calls):
            run()
        taken = time.perf_counter() - start
        own = time.process_time() - own
        after = cpu_seconds()
        others = 0.0
        if before is not None and after is not None:
            others = max(0.0, (after[0] - before[0]) - (after[1] - before[1])) / taken
        self.call_seconds = taken / calls
        return {
            "seconds": taken / calls, "cpu": own / calls, "calls": calls, "load": load,
            "others": others,
        }  # fmt: skip

    def value(self) -> dict[str, Any]:
        """What the work gives, as numbers."""
        array = np.asarray(self.prepared.fetch(self.prepared.run()), np.float64)
        return {"value": array.ravel().tolist(), "shape": list(array.shape)}

    def memory(self) -> dict[str, Any]:
        """The peak before the case was built and now."""
        return {"before": self.memory_before, "peak": peak_memory()}


def main(engine_name: str, threads: str) -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a framework prints must not stand between our lines

    def answer(found: dict[str, Any]) -> None:
        print(json.dumps(found), file=answers, flush=True)

    try:
        made = Work(engine_name, int(threads))
    except Exception as error:  # a missing or broken framework is a result, too
        traceback.print_exc()
        answer({"error": _text(error)})
        return
    answer({"version": made.engine.version})
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer(getattr(made, command.pop("do"))(**command))
        except Exception as error:
            traceback.print_exc()
            answer({"error": _text(error)})


def _text(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = f"{type(error).__name__}: {lines[0] if lines else ''}"
    return text if len(text) <= 300 else f"{text[:297]}..."


if __name__ == "__main__":
    main(*sys.argv[1:])
