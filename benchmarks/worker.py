"""One framework in one process: makes a case, then times a round whenever it is told to.

    python -m benchmarks.worker CASE FRAMEWORK THREADS

Speaks lines of JSON: {"ready": …} once, then for each line read {"seconds": …} of one call.
"""

from __future__ import annotations

import json
import sys
import time

from benchmarks.cases import CASES
from benchmarks.frameworks import Framework

WARM_UP = 3


def main(case_name: str, framework_name: str, threads: str) -> None:
    """Make the case, warm it up, and answer until the input ends."""
    case = CASES[case_name]
    framework = Framework(framework_name)
    framework.set_threads(int(threads))
    start = time.perf_counter()
    run = case.make(framework)
    run()
    first = time.perf_counter() - start
    for _ in range(WARM_UP):
        run()
    print(json.dumps({"ready": framework.version, "first_call": first}), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        for _ in range(case.calls):
            run()
        seconds = (time.perf_counter() - start) / case.calls
        print(json.dumps({"seconds": seconds}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
