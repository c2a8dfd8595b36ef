"""A user's program that type checkers accept strictly: models, data, optimizers, transforms, tools.

Where `assert_type` stands, a checker must know the very type; it does nothing when the program runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, assert_type

import numpy as np

import elinvar as el
from elinvar import Tensor, nn
from elinvar.nn import functional as F


class Block(nn.Module):
    """Attention and a network, each around a residual."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm = nn.LayerNorm(width)
        self.network = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.scale = nn.Parameter(el.ones(width))
        self.count: Tensor
        self.register_buffer("count", el.zeros((), dtype=el.int64))

    def forward(self, x: Tensor) -> Tensor:
        mixed, weights = self.attention(self.norm(x), x, x)
        assert_type(mixed, Tensor)
        del weights
        return self.network(x + mixed) * self.scale


class Model(nn.Module):
    """Tokens to logits."""

    def __init__(self, tokens: int, width: int = 16, layers: int = 2) -> None:
        super().__init__()
        self.embedding = nn.Embedding(tokens, width)
        self.blocks = nn.ModuleList([Block(width, 2) for _ in range(layers)])
        self.memory = nn.LSTM(width, width, batch_first=True)
        self.head = nn.Linear(width, tokens)

    def forward(self, tokens: Tensor, scale: float = 1.0) -> tuple[Tensor, Tensor]:
        x = assert_type(self.embedding(tokens), Tensor)
        for block in self.blocks:
            x = assert_type(block(x), Tensor)
        states, (hidden, _) = self.memory(x)
        return self.head(states) * scale, hidden


def images() -> None:
    """Convolutions, pooling, batch norm."""
    layers: list[nn.Module] = [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()]
    network = nn.Sequential(*layers, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 4 * 4, 5))
    x = el.randn(2, 3, 8, 8)
    assert network(x).shape == (2, 5)
    assert_type(nn.Conv2d(3, 8, 3)(x), Tensor)
    assert_type(nn.functional.max_pool2d(x, 2), Tensor)
    assert_type(nn.Conv2d(3, 8, 3).weight, nn.Parameter)
    assert_type(nn.Linear(3, 4).in_features, int)
    assert_type(nn.ModuleList([nn.Linear(3, 4)])[0], nn.Linear)
    assert_type(nn.ModuleList([nn.Linear(3, 4)])[:1], nn.ModuleList[nn.Linear])
    assert_type(nn.ModuleDict({"a": nn.Linear(3, 4)})["a"](el.ones(3)), Tensor)
    assert_type(nn.ParameterList([el.ones(3)])[0], nn.Parameter)
    several = nn.ModuleList()
    several.append(nn.ReLU()).append(nn.Linear(3, 4))
    bare: nn.ModuleList = several
    assert len(bare) == 2


def noted(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
    """A hook."""


def modules() -> None:
    """What modules give."""
    model = Model(7)
    tokens = el.randint(0, 7, (2, 5))
    logits, hidden = model(tokens)
    assert_type(logits, Tensor)
    assert_type(hidden, Tensor)
    assert_type(list(model.parameters()), list[nn.Parameter])
    assert_type(dict(model.named_parameters()), dict[str, nn.Parameter])
    assert_type(model.state_dict(), dict[str, Tensor])
    assert_type(model.train(), Model)
    assert_type(model.eval().double(), Model)
    assert_type(model.training, bool)
    assert_type(model.get_parameter("head.weight"), nn.Parameter)
    assert_type(sum(p.numel() for p in model.parameters()), int)
    handle = model.register_forward_hook(noted)
    handle.remove()
    nn.init.xavier_uniform_(model.head.weight)
    assert_type(nn.utils.clip_grad_norm_(model.parameters(), 1.0), Tensor)


def saved(folder: Path) -> None:
    """Weights on the disk."""
    model = Model(7)
    path = folder / "model.safetensors"
    el.save(model.state_dict(), path)
    model.load_state_dict(el.load(path))


class Points:
    """A data set."""

    def __len__(self) -> int:
        return 32

    def __getitem__(self, index: int) -> tuple[np.ndarray[Any, Any], int]:
        return np.full(7, index, np.float32), index % 3


def batches() -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of a data set."""
    yield from el.data.DataLoader(Points(), batch_size=8, shuffle=True, seed=1)


def optimizers(model: nn.Module) -> list[el.optim.Optimizer]:
    """Some of every kind."""
    weights = list(model.parameters())
    return [
        el.optim.SGD(weights, lr=0.1, momentum=0.9, nesterov=True),
        el.optim.Adam(weights, lr=1e-3, betas=(0.9, 0.99)),
        el.optim.AdamW([{"params": weights, "weight_decay": 0.1}], lr=1e-3),
        el.optim.RMSprop(weights),
        el.optim.Lion(weights),
    ]


def trained() -> list[float]:
    """A training loop with everything jitted."""
    el.manual_seed(0)
    model = nn.Sequential(nn.Linear(7, 16), nn.Tanh(), nn.Linear(16, 3))
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    losses: list[float] = []
    for optimizer in optimizers(model):
        schedule = el.optim.lr_scheduler.StepLR(optimizer, step_size=2)

        def step(x: Tensor, y: Tensor, optimizer: el.optim.Optimizer = optimizer) -> Tensor:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        compiled = el.jit(step, static_argnames="optimizer")
        for x, y in batches():
            losses.append(assert_type(compiled(x, y), Tensor).item())
        schedule.step()
        assert_type(schedule.get_last_lr(), list[float])
        assert_type(compiled.compilations, int)
    return losses


def loss_of(weights: dict[str, Tensor], x: Tensor) -> Tensor:
    """A number."""
    return ((x @ weights["w"] + weights["b"]) ** 2).mean()


def transforms() -> None:
    """Functions of functions keep the types of theirs."""
    weights, x = {"w": el.ones((3, 2)), "b": el.zeros(2)}, el.ones((4, 3))
    assert_type(el.grad(loss_of)(weights, x), dict[str, Tensor])
    value, gradient = el.value_and_grad(loss_of)(weights, x)
    assert_type(value, Tensor)
    assert_type(gradient, dict[str, Tensor])
    assert_type(el.jit(el.grad(loss_of))(weights, x), dict[str, Tensor])
    square: Callable[[Tensor], Tensor] = el.square
    assert_type(el.vmap(square)(x), Tensor)
    result, slope = el.jvp(square, (x,), (x,))
    assert_type(result, Tensor)
    assert_type(slope, Tensor)
    assert_type(el.checkpoint(square, x), Tensor)
    lowered = el.jit(square).lower(x)
    assert_type(lowered.explain(), str)

    @el.composite
    def swish(x: Tensor) -> Tensor:
        return x * F.sigmoid(x)

    @el.debug_nans
    def watched(x: Tensor) -> Tensor:
        return swish(x)

    assert_type(swish(x), Tensor)
    assert_type(watched(x), Tensor)


def arrays() -> None:
    """The functions of the standard."""
    x = el.linspace(0.0, 1.0, 12).reshape(3, 4)
    assert_type(el.concat([x, x], axis=1), Tensor)
    assert_type(el.where(x > 0.5, x, 0.0), Tensor)
    assert_type(el.einsum("ij,kj->ik", x, x), Tensor)
    assert_type(el.random.normal(size=(2, 3)), Tensor)
    assert_type(el.random.Generator(3).manual_seed(4), el.random.Generator)
    assert_type(el.astype(x, el.float64).dtype, el.DType)
    assert_type(el.asarray(np.ones(3)), Tensor)
    assert_type(x.numpy(), np.ndarray[Any, Any])
    assert_type(el.result_type(x, el.float64), el.DType)
    assert_type(el.isdtype(el.float32, "real floating"), bool)
    assert_type(el.unique_values(x), Tensor)
    assert_type(el.topk(x, 2).indices, Tensor)
    assert_type(el.broadcast_shapes((2, 1), (3,)), tuple[int, ...])
    assert_type(el.float32.itemsize, int)
    assert_type(el.float32.name, str)
    assert_type(x.device, str)
    assert_type([row.sum() for row in x], list[Tensor])
    assert_type(x.T @ x, Tensor)
    assert_type(~(x > 0), Tensor)
    assert_type(-x + 2.0, Tensor)
    assert_type(bool(x.any()), bool)
    assert_type(len(x), int)


def tools() -> None:
    """Checks, profiles, threads."""
    x = el.ones((2, 3), dtype=el.float64)
    el.testing.check_grads(lambda v: v.sin(), (x,), order=1)
    el.testing.assert_bitwise_equal({"x": x}, {"x": x})
    el.testing.assert_allclose(x, 1.0, rtol=1e-6)
    assert_type(el.testing.ulp_distance(x, x), Tensor)
    el.testing.assert_same_on_threads(lambda v: v @ v.mT, x, threads=(1, 2))
    with el.profile() as profile:
        y = x @ x.mT
    assert y.shape == (2, 2)
    assert_type(profile.table(), str)
    with el.debug_nans(inf=True), el.no_grad():
        x.exp()
    assert_type(el.get_num_threads(), int)


if __name__ == "__main__":
    import tempfile

    images()
    modules()
    with tempfile.TemporaryDirectory() as name:
        saved(Path(name))
    assert trained()
    transforms()
    arrays()
    tools()
