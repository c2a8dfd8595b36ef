"""Training runs beside PyTorch: same weights, same data, the same loss curve."""

import numpy as np
import pytest

from benchmarks.cases import gpt_training
from benchmarks.frameworks import Framework
from benchmarks.loss_curve import LIMIT, difference
from benchmarks.models import make_cnn, make_mlp
from benchmarks.sizes import GPTSize


def curve(framework: Framework, make, shape, optimizer, steps: int = 30) -> np.ndarray:
    """The losses of a classifier in f64, where rounding cannot hide or make a difference."""
    model = framework.load(make(framework.module)).double()
    step = framework.training_step(
        model,
        optimizer(framework.optim, model.parameters()),
        lambda net, x, y: framework.functional.cross_entropy(net(x), y),
    )
    random = np.random.default_rng(0)
    losses = []
    for _ in range(steps):
        labels = random.integers(0, 10, 64)
        images = random.standard_normal((64, *shape))
        images += labels.reshape(-1, *[1] * len(shape)) * 0.1  # something to learn
        losses.append(step(framework.tensor(images), framework.tensor(labels)).item())
    return np.array(losses)


OPTIMIZERS = {
    "sgd": lambda optim, p: optim.SGD(p, lr=0.02),
    "nesterov": lambda optim, p: optim.SGD(p, lr=0.01, momentum=0.9, nesterov=True, weight_decay=1e-3),
    "adam": lambda optim, p: optim.Adam(p, lr=1e-3),
    "adamw": lambda optim, p: optim.AdamW(p, lr=1e-3),
    "rmsprop": lambda optim, p: optim.RMSprop(p, lr=1e-4),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize(("make", "shape"), [(make_mlp, (784,)), (make_cnn, (1, 28, 28))])
def test_classifier(name: str, make, shape) -> None:
    ours, theirs = (
        curve(Framework(framework), make, shape, OPTIMIZERS[name])
        for framework in ("elinvar", "torch")
    )
    assert theirs[-1] < theirs[0]
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_small_gpt() -> None:
    size = GPTSize(vocabulary=31, width=32, layers=2, heads=4, length=24, batch=3)
    ours, theirs = (
        [run() for run in [gpt_training(Framework(name), size, 40)] for _ in range(40)]
        for name in ("elinvar", "torch")
    )
    assert theirs[-1] < theirs[0]
    np.testing.assert_allclose(ours, theirs, rtol=LIMIT)


@pytest.mark.slow
def test_gpt_loss_curve() -> None:
    """The promise of the README: 200 steps of the small GPT stay within 1e-4."""
    largest, ours, theirs = difference(GPTSize(), 200)
    assert theirs[-1] < theirs[0] - 1 and len(ours) == 200
    assert largest <= LIMIT, f"{largest:.2e}"
