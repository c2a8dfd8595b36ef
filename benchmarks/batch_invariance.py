"""Does a row have the same bits alone and in a batch? Elinvar and PyTorch, counted.

    python -m benchmarks.batch_invariance              Elinvar and PyTorch, eager
    python -m benchmarks.batch_invariance --compile    compiled, too (torch.compile takes a while)

For a GPT and an MLP from the same weights it compares logits bit by bit: a prompt alone and in
batches of several sizes, on one and on two threads, eager and compiled; and the first tokens of a
text with the whole text. It prints how many numbers differ, and by how much at most.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.models import make_gpt, make_mlp, weights
from benchmarks.sizes import GPTSize, MLPSize

GPT = GPTSize(vocabulary=128, width=256, layers=4, heads=8, length=128, batch=8)
MLP = MLPSize()
BATCHES = (2, 3, 8, 17, 64)
PROMPTS = (1, 7, 33, 100)


class Elinvar:
    """What the comparison needs of a framework."""

    name = "Elinvar"

    def __init__(self) -> None:
        self.module = importlib.import_module("elinvar")

    def tensor(self, array: Any) -> Any:
        return self.module.asarray(array)

    def compiled(self, model: Any) -> Any:
        return self.module.jit(model)

    def run(self, model: Any, array: Any) -> Any:
        with self.module.inference_mode():
            return model(self.tensor(array)).numpy()

    def threads(self, count: int) -> None:
        self.module.set_num_threads(count)


class Torch(Elinvar):
    """PyTorch, with the same names."""

    name = "PyTorch"

    def __init__(self) -> None:
        self.module = importlib.import_module("torch")

    def tensor(self, array: Any) -> Any:
        return self.module.from_numpy(np.ascontiguousarray(array))

    def compiled(self, model: Any) -> Any:
        return self.module.compile(model)


def model_of(framework: Elinvar, make: Callable[..., Any], size: Any) -> Any:
    """The model with weights that both frameworks have."""
    model = make(framework.module, size).eval()
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    values = weights(shapes)
    model.load_state_dict({name: framework.tensor(value) for name, value in values.items()})
    return model


def differing(first: Any, second: Any) -> tuple[int, int, float]:
    """How many numbers differ in bits, of how many, and by how much at most."""
    bits = [np.ascontiguousarray(x).view(np.uint32) for x in (first, second)]
    return int((bits[0] != bits[1]).sum()), first.size, float(np.abs(first - second).max())


def comparisons(framework: Elinvar, compile_too: bool) -> Iterator[tuple[str, Any, Any]]:
    """(what is compared, one result, the other)"""
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, GPT.vocabulary, (max(BATCHES), GPT.length))
    pictures = rng.normal(size=(max(BATCHES), MLP.inputs)).astype(np.float32)
    gpt, mlp = model_of(framework, make_gpt, GPT), model_of(framework, make_mlp, MLP)
    run = framework.run
    for name, model, rows in (("GPT", gpt, tokens), ("MLP", mlp, pictures)):
        framework.threads(1)
        alone = np.concatenate([run(model, rows[i : i + 1]) for i in range(len(rows))])
        for batch in BATCHES:
            yield f"{name}: alone, in a batch of {batch}", alone[:batch], run(model, rows[:batch])
        one = run(model, rows)
        framework.threads(2)
        yield f"{name}: one thread, two", one, run(model, rows)
        if compile_too:
            compiled = framework.compiled(model)
            yield f"{name}: eager, compiled", one[:8], run(compiled, rows[:8])
    for length in PROMPTS:
        for batch in (1, 8):
            part, whole = run(gpt, tokens[:batch, :length]), run(gpt, tokens[:batch])
            title = f"GPT: the first {length} tokens, all {GPT.length} (batch {batch})"
            yield title, part, np.ascontiguousarray(whole[:, :length])


def main() -> None:
    """Print a line for each comparison."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--compile", action="store_true", help="compare compiled models, too")
    options = parser.parse_args()
    for framework in (Elinvar(), Torch()):
        print(f"{framework.name} {framework.module.__version__}")
        for title, first, second in comparisons(framework, options.compile):
            count, total, most = differing(first, second)
            found = "the same bits" if not count else f"{count} of {total} differ, by {most:.1e}"
            print(f"  {title:<48} {found}")


if __name__ == "__main__":
    main()
