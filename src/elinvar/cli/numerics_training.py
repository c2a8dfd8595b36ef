"""The families of whole training steps: small models, twenty steps each, and all optimizers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from elinvar import nn, optim
from elinvar.cli.numerics_inputs import integers, numbers
from elinvar.cli.numerics_items import Function, Item, Operands
from elinvar.core.dtypes import DType, bfloat16, float32
from elinvar.nn import functional
from elinvar.tensor import random
from elinvar.tensor.creation import arange
from elinvar.tensor.jit import jit
from elinvar.tensor.tensor import Tensor

STEPS = 20


class Block(nn.Module):
    """Causal attention and a perceptron, each added to what came in.

    Shape:
        (B, T, width) → the same.
    """

    def __init__(self, width: int, heads: int, dtype: DType) -> None:
        self.heads = heads
        self.norm1, self.norm2 = (nn.LayerNorm(width, dtype=dtype) for _ in range(2))
        self.to_qkv = nn.Linear(width, 3 * width, dtype=dtype)
        self.from_heads = nn.Linear(width, width, dtype=dtype)
        self.up = nn.Linear(width, 4 * width, dtype=dtype)
        self.down = nn.Linear(4 * width, width, dtype=dtype)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        parts = self.to_qkv(self.norm1(x)).reshape(batch, length, 3, self.heads, -1)
        q, k, v = parts.permute(2, 0, 3, 1, 4)  # (B, heads, T, head_dim)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        mixed = mixed.transpose(1, 2).reshape(batch, length, width)
        x = x + self.dropout(self.from_heads(mixed))
        return x + self.dropout(self.down(functional.gelu(self.up(self.norm2(x)))))


class GPT(nn.Module):
    """Tokens (B, T) → logits (B, T, 29)."""

    def __init__(self, dtype: DType) -> None:
        self.token = nn.Embedding(29, 32, dtype=dtype)
        self.place = nn.Embedding(24, 32, dtype=dtype)
        self.blocks = nn.Sequential(*(Block(32, 4, dtype) for _ in range(2)))
        self.norm = nn.LayerNorm(32, dtype=dtype)
        self.head = nn.Linear(32, 29, bias=False, dtype=dtype)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.token(tokens) + self.place(arange(tokens.shape[1]))
        logits: Tensor = self.head(self.norm(self.blocks(x)))
        return logits


class Recurrent(nn.Module):
    """Sequences (B, T, 11) → logits (B, 7)."""

    def __init__(self, dtype: DType) -> None:
        self.lstm = nn.LSTM(11, 24, num_layers=2, batch_first=True, dropout=0.1, dtype=dtype)
        self.head = nn.Linear(24, 7, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.lstm(x)[0][:, -1])
        return logits


def _mlp(dtype: DType) -> nn.Module:
    return nn.Sequential(
        nn.Linear(37, 64, dtype=dtype), nn.Tanh(), nn.Dropout(0.2),
        nn.Linear(64, 50, dtype=dtype), nn.GELU(), nn.Linear(50, 7, dtype=dtype),
    )  # fmt: skip


def _cnn(dtype: DType) -> nn.Module:
    """Its second convolution goes by Winograd's algorithm in f32."""
    return nn.Sequential(
        nn.Conv2d(2, 16, 3, padding=1, dtype=dtype), nn.BatchNorm2d(16, dtype=dtype), nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1, dtype=dtype), nn.BatchNorm2d(16, dtype=dtype), nn.ReLU(),
        nn.MaxPool2d(2), nn.Conv2d(16, 9, 3, stride=2, dtype=dtype), nn.ReLU(), nn.Flatten(),
        nn.Dropout(0.2), nn.Linear(9 * 2 * 2, 7, dtype=dtype),
    )  # fmt: skip


_MODELS: dict[str, tuple[Callable[[DType], nn.Module], tuple[int, ...]]] = {
    "MLP": (_mlp, (12, 37)),
    "CNN": (_cnn, (6, 2, 12, 12)),
    "LSTM": (Recurrent, (5, 8, 11)),
    "GPT": (GPT, (4, 24)),
}


class Training(Item):
    """An item that makes a model and trains it; only its steps are compiled, unless told not to."""

    def runner(self, compiled: bool | None) -> Function:
        """The function to call with inputs and targets."""
        return partial(self.function, compiled=compiled is not False)


def training() -> Iterator[Item]:
    """Losses, parameters and buffers of twenty steps with AdamW, dropout and a falling rate."""
    for name, (make, shape) in _MODELS.items():
        for dtype in (float32, bfloat16):
            data = partial(_data, name=name, shape=shape, dtype=dtype)
            run = partial(_trained, partial(make, dtype), partial(optim.AdamW, lr=0.01), _fall)
            yield Training(f"{name} {dtype.short}", run, data)


_OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "SGD": partial(optim.SGD, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    "Adam": partial(optim.Adam, lr=0.01, weight_decay=0.01, amsgrad=True),
    "NAdam": partial(optim.NAdam, lr=0.01),
    "RMSprop": partial(optim.RMSprop, lr=0.01, momentum=0.5, centered=True),
    "Adagrad": partial(optim.Adagrad, lr=0.05, lr_decay=0.01),
    "Adafactor": partial(optim.Adafactor, lr=0.05),
    "Lion": partial(optim.Lion, lr=0.003),
    "Muon": partial(optim.Muon, lr=0.02),
}
_SCHEDULES: dict[str, Callable[[Any], Any]] = {
    "exponential": partial(optim.lr_scheduler.ExponentialLR, gamma=0.87),
    "polynomial": partial(optim.lr_scheduler.PolynomialLR, total_iters=STEPS, power=1.7),
    "one cycle": partial(optim.lr_scheduler.OneCycleLR, max_lr=0.1, total_steps=STEPS + 1),
    "warm restarts": partial(optim.lr_scheduler.CosineAnnealingWarmRestarts, T_0=7),
}


def optimizers() -> Iterator[Item]:
    """Twenty steps of a perceptron with each optimizer, and with schedules of the rate."""
    shape = _MODELS["MLP"][1]
    data = partial(_data, name="MLP", shape=shape, dtype=float32)
    make = partial(_mlp, float32)
    for name, optimizer in _OPTIMIZERS.items():
        yield Training(f"{name} f32", partial(_trained, make, optimizer, None), data)
    for name, schedule in _SCHEDULES.items():
        run = partial(_trained, make, partial(optim.SGD, lr=0.05), schedule)
        yield Training(f"{name} rate f32", run, data)


def _fall(optimizer: Any) -> Any:
    return optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)


def _data(
    source: random.Generator, count: int, name: str, shape: tuple[int, ...], dtype: DType
) -> Iterable[Operands]:
    if name == "GPT":
        return [(integers(source, 29, *shape), integers(source, 29, *shape))]
    return [(numbers(source, *shape, dtype=dtype), integers(source, 7, shape[0]))]


def _trained(
    make: Callable[[], nn.Module],
    make_optimizer: Callable[[Any], Any],
    make_schedule: Callable[[Any], Any] | None,
    x: Tensor,
    y: Tensor,
    compiled: bool,
) -> list[Tensor]:
    """Losses, parameters and buffers."""
    model = make()
    optimizer = make_optimizer(model.parameters())
    schedule = make_schedule(optimizer) if make_schedule else None

    def step(x: Tensor, y: Tensor) -> Tensor:
        optimizer.zero_grad()
        logits = model(x)
        loss = functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), y.reshape(-1))
        loss.backward()
        optimizer.step()
        if schedule is not None:
            schedule.step()
        found: Tensor = loss.detach()
        return found

    run = jit(step) if compiled else step
    losses = [run(x, y) for _ in range(STEPS)]
    return [*losses, *model.state_dict().values()]
