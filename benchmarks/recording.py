"""What it costs that runs are recorded: time of a step, and how long a checkpoint holds it up.

    python -m benchmarks.recording                 # GPT and MLP
    python -m benchmarks.recording --models gpt --rounds 9

step        `fit` that records beside `fit` that does not, in rounds that take turns: microseconds
            a step, medians. Nothing else is switched off: digests of all tensors, the log of steps,
            figures every ten steps.
checkpoint  a checkpoint every so many steps, written in the background: what the call takes, and by
            how much the steps during which it is written are longer than the others (the first of
            them, and all of them together).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time

import elinvar as el
from benchmarks.models import batches
from benchmarks.sizes import SIZES, TINY
from benchmarks.training import trainer_of
from elinvar.nn.summary import readable, table


class Watch(el.train.Callback):
    """Times each step, and saves a checkpoint after every so many.

    Args:
        every: steps between checkpoints.
    """

    def __init__(self, every: int) -> None:
        self.every, self.number = every, 0
        self.calls: list[float] = []
        self.steps: list[list[float]] = []  # since each checkpoint

    def on_step_start(self, trainer: el.Trainer) -> None:
        """Take the time."""
        now = time.perf_counter()
        if self.steps:
            self.steps[-1].append(now - self._before)
        self._before = now
        self.number += 1
        if self.number % self.every == 0:
            trainer.recorder.save()
            self._before = time.perf_counter()
            self.calls.append(self._before - now)
            self.steps.append([])


def measured(name: str, chosen: argparse.Namespace, folder: str) -> tuple[list[str], list[str]]:
    """The two rows of a model."""
    size = TINY[name] if chosen.tiny else SIZES[name]()
    data = [tuple(map(el.asarray, pair)) for pair in batches(name, size, chosen.steps)]
    keeps = el.train.Recording(folder, checkpoint_every=1e9)
    trainers = [trainer_of(name, size, record=record) for record in (False, keeps)]
    times: list[list[float]] = [[], []]
    for number in range(chosen.rounds):
        for place in (0, 1) if number % 2 else (1, 0):
            # the second epoch: what begins and ends a run is once, not by step
            times[place].append(trainers[place].fit(data, epochs=2)[-1]["seconds"])
    plain, recorded = (statistics.median(row) / len(data) * 1e6 for row in times)
    extra = recorded - plain
    first = [name, f"{plain:,.0f}", f"{recorded:,.0f}", f"{extra:.0f}", f"{extra / plain:.2%}"]
    watch = Watch(chosen.every)
    trainer = trainer_of(name, size, record=keeps, callbacks=[watch])
    trainer.fit(data, epochs=max(2, chosen.checkpoints * chosen.every // len(data)))
    rows = [steps for steps in watch.steps[1:-1] if len(steps) == chosen.every]
    usual = statistics.median(t for steps in rows for t in steps[chosen.every // 2 :])
    held = [statistics.median(steps[place] for steps in rows) for place in range(chosen.every)]
    call = statistics.median(watch.calls[1:])
    nbytes = max(path.stat().st_size for path in trainer.run_folder.rglob("*.safetensors"))
    longer = [call * 1e3, (held[0] - usual) * 1e3, sum(t - usual for t in held) * 1e3]
    second = [name, readable(nbytes), f"{usual * 1e3:.2f}", *(f"{x:.2f}" for x in longer)]
    return first, second


def main(arguments: list[str] | None = None) -> None:
    """Print both tables."""
    reader = argparse.ArgumentParser(prog="python -m benchmarks.recording", description=__doc__)
    reader.add_argument("--models", nargs="+", choices=list(SIZES), default=["mlp", "gpt"])
    reader.add_argument("--rounds", type=int, default=7)
    reader.add_argument("--steps", type=int, default=40, help="of a round")
    reader.add_argument("--every", type=int, default=10, help="steps between checkpoints")
    reader.add_argument("--checkpoints", type=int, default=12)
    reader.add_argument("--tiny", action="store_true", help="to see that it runs")
    chosen = reader.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        rows = [measured(name, chosen, folder) for name in chosen.models]
    print(table(["model", "not recorded, µs", "recorded, µs", "more, µs", "more"],
                [row[0] for row in rows], 4))  # fmt: skip
    heads = ["model", "state", "step, ms", "call, ms", "next step, ms", "all steps, ms"]
    print(table(heads, [row[1] for row in rows], 5))


if __name__ == "__main__":
    main()
