"""What is timed. A case makes a function that does its work once and leaves nothing pending."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.frameworks import Framework
from benchmarks.models import GPTSize, make_cnn, make_gpt, make_mlp, tokens


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that is timed in every framework.

    Attributes:
        name: its name on the command line.
        what: a line for people.
        make: framework → function to time.
        calls: calls in one timed round.
        limit: the largest ratio to PyTorch's time that we promise, if any.
    """

    name: str
    what: str
    make: Callable[[Framework], Callable[[], Any]]
    calls: int
    limit: float | None = None


def eager_overhead(framework: Framework) -> Callable[[], Any]:
    """100 chained adds of 16 floats: what one op costs before it does anything."""
    x = framework.tensor(np.arange(16, dtype=np.float32))
    y = framework.tensor(np.ones(16, np.float32))

    def run() -> Any:
        value = x
        for _ in range(100):
            value = value + y
        return value

    return run


def _classifier(
    framework: Framework, model: Any, shape: tuple[int, ...], optimizer: Any
) -> Callable[[], Any]:
    random = np.random.default_rng(0)
    images = framework.tensor(random.standard_normal((128, *shape), np.float32))
    labels = framework.tensor(random.integers(0, 10, 128))
    functional = framework.functional
    step = framework.training_step(
        model, optimizer, lambda net, x, y: functional.cross_entropy(net(x), y)
    )
    return lambda: step(images, labels).item()


def mlp_step(framework: Framework) -> Callable[[], Any]:
    """A training step of an MLP 784–512–512–10 on a batch of 128 with SGD."""
    model = framework.load(make_mlp(framework.nn))
    optimizer = framework.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    return _classifier(framework, model, (784,), optimizer)


def cnn_step(framework: Framework) -> Callable[[], Any]:
    """A training step of the demo's network on a batch of 128 with AdamW."""
    model = framework.load(make_cnn(framework.nn))
    optimizer = framework.optim.AdamW(model.parameters(), lr=1e-3)
    return _classifier(framework, model, (1, 28, 28), optimizer)


def gpt_training(framework: Framework, size: GPTSize, steps: int) -> Callable[[], float]:
    """A function that takes the next step of a GPT's training and returns the loss."""
    model = framework.load(make_gpt(framework.nn, framework.functional, size))
    optimizer = framework.optim.AdamW(model.parameters(), lr=3e-4)
    functional = framework.functional

    def loss_of(net: Any, inputs: Any, targets: Any) -> Any:
        logits = net(inputs)  # (B, T, vocabulary)
        return functional.cross_entropy(logits.reshape(-1, size.vocabulary), targets.reshape(-1))

    step = framework.training_step(model, optimizer, loss_of)
    text = tokens(size, steps)
    batches = [(framework.tensor(row[:, :-1]), framework.tensor(row[:, 1:])) for row in text]
    number = 0

    def run() -> float:
        nonlocal number
        inputs, targets = batches[number % steps]
        number += 1
        return float(step(inputs, targets).item())

    return run


def gpt_step(framework: Framework) -> Callable[[], Any]:
    """A training step of a GPT: 4 layers, 256 wide, 8 heads, 128 tokens, batch 8, AdamW."""
    return gpt_training(framework, GPTSize(), 8)


CASES = {
    case.name: case
    for case in (
        Case("eager_overhead", "100 chained adds of 16 floats", eager_overhead, 200, 1.5),
        Case("mlp_step", "MLP 784–512–512–10, batch 128, SGD", mlp_step, 20),
        Case("cnn_step", "the demo's CNN, batch 128, AdamW", cnn_step, 5),
        Case("gpt_step", "GPT 4 × 256, 8 heads, T 128, batch 8, AdamW", gpt_step, 2, 2.0),
    )
}
