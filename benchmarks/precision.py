"""Do bf16 and f16 learn as well as f32? Held-out figures over seeds, on real data.

    python -m benchmarks.precision                     # both
    python -m benchmarks.precision images --seeds 5
    python -m benchmarks.precision book --steps 300

images   Fashion-MNIST with the network of `make demo`, 3 epochs of one cycle: accuracy on the
         10,000 test images
book     the GPT of examples/book_gpt.py, two layers of 64, on Moby-Dick: bits for a letter of
         chapters that it did not read

All precisions have the same first weights and batches for a seed. The line below the table tells
how far each is from f32, as the mean over seeds with its standard error.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
from pathlib import Path
from typing import Any

import numpy as np

import elinvar as el
from benchmarks.training import network
from elinvar.nn.summary import table

PRECISIONS = ("f32", "bf16", "f16")
EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "book_gpt.py"


def images(chosen: argparse.Namespace, seed: int, precision: str) -> float:
    """The accuracy on test images, in percent."""
    count = 2000 if chosen.tiny else 60_000

    def ready(split: str) -> tuple[Any, Any]:
        pictures, labels = el.data.fashion_mnist(split)
        return pictures[:count].astype(np.float32) / 255 - 0.5, labels[:count]

    el.manual_seed(seed)
    model = network(el)
    trainer = el.Trainer(
        model, el.optim.AdamW(model.parameters(), lr=5e-3), "cross_entropy", ["accuracy"],
        precision=precision, schedule="one_cycle", progress=False,
    )  # fmt: skip
    trainer.fit(ready("train"), epochs=1 if chosen.tiny else 3, batch_size=128, seed=seed)
    return 100 * float(trainer.evaluate(ready("test"))["accuracy"])


def book(chosen: argparse.Namespace, seed: int, precision: str) -> float:
    """Bits for a letter of held-out chapters."""
    spec = importlib.util.spec_from_file_location("book_gpt", EXAMPLE)
    assert spec is not None and spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    example.WIDTH, example.LAYERS = 64, 2
    el.manual_seed(seed)
    model, steps = example.GPT(), 3 if chosen.tiny else chosen.steps
    trainer = el.Trainer(
        model, el.optim.AdamW(model.parameters(), lr=3e-3), "cross_entropy", ["perplexity"],
        precision=precision, schedule="one_cycle", clip_norm=1.0, progress=False,
    )  # fmt: skip
    trainer.fit(example.training, epochs=None, steps=steps)
    return math.log2(trainer.evaluate(example.validation)["perplexity"])


PARTS = {"images": images, "book": book}


def main(arguments: list[str] | None = None) -> None:
    """Train over seeds and print the table."""
    reader = argparse.ArgumentParser(prog="python -m benchmarks.precision", description=__doc__)
    reader.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    reader.add_argument("--seeds", type=int, default=3)
    reader.add_argument("--steps", type=int, default=600, help="of the book part")
    reader.add_argument("--tiny", action="store_true", help="to see that it runs")
    chosen = reader.parse_args(arguments)
    for name in chosen.parts or PARTS:
        found = np.array([
            [PARTS[name](chosen, seed, precision) for seed in range(chosen.seeds)]
            for precision in PRECISIONS
        ])  # fmt: skip
        print(f"\n{name}")
        rows = [[p, *(f"{x:.3f}" for x in line), f"{line.mean():.3f}"]
                for p, line in zip(PRECISIONS, found, strict=True)]  # fmt: skip
        seeds = [f"seed {seed}" for seed in range(chosen.seeds)]
        print(table(["precision", *seeds, "mean"], rows, len(seeds) + 1))
        for precision, line in zip(PRECISIONS[1:], found[1:], strict=True):
            apart = line - found[0]
            error = apart.std(ddof=1) / math.sqrt(len(apart)) if len(apart) > 1 else math.nan
            print(f"{precision} − f32: {apart.mean():+.3f} ± {error:.3f}", flush=True)


if __name__ == "__main__":
    main()
