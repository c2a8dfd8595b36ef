"""Kills a training at many moments, goes on each time, and compares with the one that was let be.

    python tests/runs_kills.py gpt --every 5          at every fifth file operation of the recording
    python tests/runs_kills.py cnn --random 20        at 20 moments that a seed decides

Each training is a process forked from this one, so that a kill costs a fraction of a second.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runs_child import KINDS, Batches, Faults, killing, outcome, recording, training

from elinvar.runs.verifying import verify
from elinvar.runtime import pool

EPOCHS = 2


def forked(job: Callable[[], Any], kill_after: float | None = None) -> Any:
    """What a job gives in a process of its own; None where that was killed."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(read)
            with os.fdopen(write, "w") as file:
                json.dump(job(), file)
            os._exit(0)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(1)
    os.close(write)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    with os.fdopen(read) as file:
        text = file.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return None
    assert os.WEXITSTATUS(status) == 0
    return json.loads(text)


class Synchronous(Batches):
    """Lets each step wait for the checkpoint, so that operations come in one order."""

    def __init__(self, path: Path | None, wait: bool, pause: float) -> None:
        super().__init__(path)
        self.wait, self.pause = wait, pause

    def on_step_start(self, trainer: Any) -> None:
        """Wait."""
        super().on_step_start(trainer)
        if self.wait:
            trainer.recorder.run._writer.wait()
            trainer.recorder.run._scribe.wait()
        time.sleep(self.pause)


def train(
    kind: str, place: Path, *, kill: int = 0, resume: Any = None, threads: int = 2,
    workers: int = 0, wait: bool = True, pause: float = 0.0,
) -> dict[str, Any]:  # fmt: skip
    """Train; hashes of what came out, the operations, and what stands in the log of steps."""
    pool.set_num_threads(threads)
    trainer, data, validation = training(kind, workers, None, recording(place / "runs"))
    trainer.callbacks[0] = Synchronous(place / "notes", wait, pause)
    with Faults(place / "runs", killing(kill)) as faults:
        trainer.fit(data, EPOCHS, validation, batch_size=8, resume=resume)
    found = outcome(trainer)
    folder = trainer.run_folder
    steps = (folder / "steps.bin").read_bytes().partition(b"\n")[2].hex()
    report = verify(folder)
    return {
        **found, "steps": steps, "count": faults.count, "faults": report.faults,
        "runs": len(os.listdir(place / "runs")),
    }  # fmt: skip


def batches(place: Path) -> dict[tuple[str, str], set[str]]:
    """Hashes by epoch and batch, of all processes."""
    found: dict[tuple[str, str], set[str]] = {}
    for line in (place / "notes").read_text().splitlines():
        epoch, batch, seen, digest = line.split()
        found.setdefault((epoch, batch), set()).add(f"{seen} {digest}")
    return found


def compare(kind: str, place: Path, wanted: Any, served: Any, number: int) -> None:
    """Go on after a kill, and compare."""
    threads, workers = (1, 2, 3)[number % 3], number % 2
    found = forked(
        lambda: train(kind, place, resume=True, threads=threads, workers=workers, wait=False)
    )
    assert found is not None and not found["faults"], found
    odd = [key for key in wanted if key not in ("count", "runs") and found[key] != wanted[key]]
    assert not odd, (number, odd)
    assert batches(place) == served, number


def kills(kind: str, every: int, random_count: int, seed: int) -> tuple[int, int]:
    """Kill at every n-th operation, and at random moments; how many, and at how many operations."""
    done = 0
    with tempfile.TemporaryDirectory() as temporary:
        base = Path(temporary)
        place = base / "whole"
        place.mkdir()
        start = time.monotonic()
        wanted = forked(lambda: train(kind, place))
        length = time.monotonic() - start
        assert wanted is not None and not wanted["faults"], wanted
        served = batches(place)
        assert all(len(one) == 1 for one in served.values())
        moments = list(range(1 + seed % every, wanted["count"] + 1, every)) if every else []
        for number in moments:
            place = base / "killed"
            place.mkdir()
            assert forked(lambda: train(kind, place, kill=number, workers=number % 3)) is None  # noqa: B023
            compare(kind, place, wanted, served, number)
            shutil.rmtree(place)
            done += 1
        draws = random.Random(seed)
        while random_count > 0:
            place = base / "killed"
            place.mkdir()
            job = lambda: train(kind, place, wait=False, workers=2, pause=0.03)  # noqa: B023, E731
            if forked(job, draws.uniform(0.02, 0.9 * length)) is None:
                compare(kind, place, wanted, served, random_count)
                random_count -= 1
                done += 1
            shutil.rmtree(place)
        return done, wanted["count"]


def main() -> None:
    """Kill."""
    one = argparse.ArgumentParser()
    one.add_argument("kind", choices=KINDS)
    one.add_argument("--every", type=int, default=0)
    one.add_argument("--random", type=int, default=0)
    one.add_argument("--seed", type=int, default=0)
    options = one.parse_args()
    done, count = kills(options.kind, options.every, options.random, options.seed)
    print(f"{options.kind}: {done} kills among {count} operations: all the same, bit for bit")


if __name__ == "__main__":
    main()
