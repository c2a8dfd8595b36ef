"""A user's program that `mypy --strict` accepts: training, functional gradients, jit.

`assert_type` is checked by mypy and does nothing when the program runs; tests/test_type_stubs.py
does both.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, assert_type

import numpy as np

import elinvar as el
from elinvar import Tensor, nn
from elinvar.nn import functional as F


class Classifier(nn.Module):
    """Two layers with dropout between them."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(features, 16)
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Linear(16, classes)

    def forward(self, x: Tensor) -> Tensor:
        inner = assert_type(self.hidden(x), Tensor)
        return self.head(self.dropout(F.relu(inner)))


def batches(count: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Points, and the side of a line on which they lie."""
    random = np.random.default_rng(0)
    for _ in range(count):
        points = random.standard_normal((32, 4)).astype(np.float32)
        yield el.asarray(points), el.asarray(points[:, 0] > points[:, 1]).long()


def train(steps: int) -> tuple[float, float]:
    """Losses before and after."""
    el.manual_seed(0)
    model = Classifier(4, 2)
    optimizer = el.optim.AdamW(model.parameters(), lr=0.01)
    schedule = el.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    criterion = nn.CrossEntropyLoss()

    @el.jit
    def step(x: Tensor, y: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = assert_type(criterion(model(x), y), Tensor)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss

    losses: list[float] = []
    for x, y in batches(steps):
        loss = assert_type(step(x, y), Tensor)
        losses.append(loss.item())
        schedule.step()
    model.eval()
    with el.no_grad():
        x, y = next(batches(1))
        correct = (model(x).argmax(dim=-1) == y).float().mean()
        assert_type(correct, Tensor)
        assert float(correct) > 0.5
    return losses[0], losses[-1]


def weighted(w: Tensor, x: Tensor) -> Tensor:
    """A number."""
    return (x @ w).square().sum()


def of_dict(p: dict[str, Tensor]) -> Tensor:
    """A number made of named parameters."""
    return (p["w"].sum() * 2 + p["b"]).tanh()


def functional() -> None:
    """Derivatives as functions of functions."""
    w, x = el.ones((3,)), el.eye(3)
    slope = assert_type(el.grad(weighted)(w, x), Tensor)
    value, slope = el.value_and_grad(weighted)(w, x)
    assert_type(value, Tensor)
    assert slope.shape == (3,)
    both = el.grad(weighted, argnums=(0, 1))(w, x)
    assert_type(both, tuple[Any, ...])
    result, pull_back = el.vjp(weighted, w, x)
    assert_type(result, Tensor)
    assert len(pull_back(el.ones(()))) == 2
    parameters = {"w": w, "b": el.zeros(())}
    gradients = assert_type(el.grad(of_dict)(parameters), dict[str, Tensor])
    assert set(gradients) == {"w", "b"}


def counted(carry: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """A running sum."""
    return carry + x, carry


def control() -> None:
    """Loops and branches over tensors."""
    total, sums = el.scan(counted, el.asarray(0), el.arange(4))
    assert_type(total, Tensor)
    assert_type(sums, Tensor)
    assert_type(el.cond(total > 3, lambda v: v * 2, lambda v: -v, total), Tensor)
    assert_type(el.while_loop(lambda n: n < 100, lambda n: n * 2, el.asarray(3)), Tensor)


@el.jit(static_argnames=("times",))
def repeated(x: Tensor, times: int) -> Tensor:
    """x, doubled a number of times."""
    for _ in range(times):
        x = x * 2
    return x


@el.no_grad()
def evaluated(x: Tensor) -> Tensor:
    """Without recording."""
    return x.exp()


def tensors() -> None:
    """What functions, methods and operators give."""
    x = el.randn(4, 3)
    assert_type(el.exp(x), Tensor)
    assert_type(el.sum(x, axis=0), Tensor)
    assert_type(2 - x / 3.0, Tensor)
    assert_type(x > 0, Tensor)
    assert_type(x == x, Tensor)
    assert_type(x.max(), Tensor)
    values, places = x.max(1)
    assert_type(values * places, Tensor)
    assert_type(x.sort(0).indices, Tensor)
    assert_type(x.topk(2).values, Tensor)
    assert_type(x.shape, tuple[int, ...])
    assert_type(x.size(0), int)
    assert_type(x.size(), tuple[int, ...])
    assert_type(x.dtype, el.DType)
    assert_type(x.split(2), tuple[Tensor, ...])
    assert_type(x.nonzero(), Tensor)
    assert_type(x.nonzero(as_tuple=True), tuple[Tensor, ...])
    assert_type(x.numel(), int)
    assert_type(x.requires_grad_().grad, Tensor | None)
    assert_type(x.float().long().to(el.float16), Tensor)
    assert_type(x[0, 1:, None], Tensor)
    assert_type(list(x), list[Tensor])
    assert_type(el.allclose(x, x), bool)
    assert_type(el.unique_counts(x).counts, Tensor)
    assert_type(el.finfo(el.float32).eps, float)
    assert_type(el.linalg.trace(x[:3]), Tensor)
    assert_type(el.random.normal(size=(2, 2)), Tensor)
    assert_type(F.softmax(x, dim=-1), Tensor)
    assert_type(nn.Linear(3, 4)(x), Tensor)
    assert_type(nn.LSTM(3, 4)(x), tuple[Tensor, tuple[Tensor, Tensor]])
    assert_type(repeated(x, times=2), Tensor)
    assert_type(evaluated(x), Tensor)
    assert_type(x.mul_(0.5) if not x.requires_grad else x, Tensor)
    with el.no_grad():
        x += 1
        x[0] = 0.0
    assert_type(x, Tensor)


if __name__ == "__main__":
    first, last = train(40)
    assert last < first
    functional()
    control()
    tensors()
