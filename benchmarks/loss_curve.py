"""Two hundred GPT training steps in Elinvar and in PyTorch, from the same weights and data.

    python -m benchmarks.loss_curve [--steps N]

Prints the largest relative difference of the two loss curves, and fails above the limit.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from benchmarks.cases import gpt_training
from benchmarks.frameworks import FRAMEWORKS, Framework
from benchmarks.sizes import GPTSize

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 1e-4


def curve(framework: str, size: GPTSize, steps: int) -> np.ndarray:
    """The losses of all steps in one framework, in this process."""
    made = Framework(framework)
    if framework == "torch":
        made.set_threads(1)  # its threads lose more than they win where other processes run
    run = gpt_training(made, size, steps)
    return np.array([run() for _ in range(steps)])


def curve_apart(framework: str, size: GPTSize, steps: int) -> np.ndarray:
    """The same in a process of its own."""
    text = json.dumps([framework, size._asdict(), steps])
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks.loss_curve", "--worker", text],
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    if result.returncode:
        raise RuntimeError(f"{framework} failed:\n{result.stderr}")
    return np.array(json.loads(result.stdout))


def difference(size: GPTSize, steps: int) -> tuple[float, np.ndarray, np.ndarray]:
    """The largest relative difference, and both curves."""
    ours, theirs = (curve_apart(name, size, steps) for name in FRAMEWORKS)
    return float(np.max(np.abs(ours - theirs) / np.abs(theirs))), ours, theirs


def main() -> int:
    """Compare the curves."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loss_curve", description=__doc__)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        framework, sizes, steps = json.loads(arguments.worker)
        print(json.dumps(curve(framework, GPTSize(**sizes), steps).tolist()))
        return 0
    largest, ours, theirs = difference(GPTSize(), arguments.steps)
    for step in range(0, arguments.steps, max(1, arguments.steps // 10)):
        print(f"step {step:4d}   elinvar {ours[step]:.6f}   torch {theirs[step]:.6f}")
    print(f"step {arguments.steps - 1:4d}   elinvar {ours[-1]:.6f}   torch {theirs[-1]:.6f}")
    print(f"largest relative difference {largest:.2e}, limit {LIMIT:.0e}")
    return int(largest > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
