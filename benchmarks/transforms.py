"""Functions of functions, loops, Fourier transforms and sums of products, in three frameworks.

Each framework is one small class with the same methods; the programs stand above them in one text.
All get the same numbers.
"""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

Run = Callable[[], Any]
WIDTHS = (64, 256, 256, 10)


def draw(seed: int, *shape: int, scale: float = 1.0) -> np.ndarray:
    """Normal numbers in float32."""
    return np.random.default_rng(seed).standard_normal(shape, np.float32) * np.float32(scale)


class ElinvarTools:
    """Everything compiled."""

    def __init__(self) -> None:
        el = importlib.import_module("elinvar")
        self.xp, self.asarray, self.jit = el, el.asarray, el.jit
        self.grad, self.jvp, self.vmap, self.jacrev = el.grad, el.jvp, el.vmap, el.jacrev
        self.hessian, self.relu, self.einsum = el.hessian, el.nn.functional.relu, el.einsum

    @property
    def fft(self) -> Any:
        return self.xp.fft

    def conv(self, x: Any, w: Any, stride: int) -> Any:
        return self.xp.nn.functional.conv2d(x, w, stride=stride, padding=1)

    def mean(self, x: Any, axes: Any) -> Any:
        return self.xp.mean(x, axis=axes)

    def scan(self, step: Any, start: Any, xs: Any) -> Any:
        return self.xp.scan(step, start, xs)[0]

    def wait(self, value: Any) -> Any:
        return value


class JaxTools(ElinvarTools):
    """Everything compiled."""

    def __init__(self) -> None:
        jax, lax = importlib.import_module("jax"), importlib.import_module("jax.lax")
        jnp = importlib.import_module("jax.numpy")
        self.jax, self.lax, self.xp = jax, lax, jnp
        self.asarray, self.jit = jnp.asarray, jax.jit
        self.grad, self.jvp, self.vmap, self.jacrev = jax.grad, jax.jvp, jax.vmap, jax.jacrev
        self.hessian, self.relu, self.einsum = jax.hessian, jax.nn.relu, jnp.einsum

    def conv(self, x: Any, w: Any, stride: int) -> Any:
        return self.lax.conv_general_dilated(x, w, (stride, stride), ((1, 1), (1, 1)))

    def scan(self, step: Any, start: Any, xs: Any) -> Any:
        return self.lax.scan(step, start, xs)[0]

    def wait(self, value: Any) -> Any:
        return self.jax.block_until_ready(value)


class TorchTools(ElinvarTools):
    """torch.func, eager."""

    def __init__(self) -> None:
        torch = importlib.import_module("torch")
        func = importlib.import_module("torch.func")
        self.xp, self.asarray, self.jit = torch, torch.tensor, lambda function: function
        self.grad, self.jvp, self.vmap, self.jacrev = func.grad, func.jvp, func.vmap, func.jacrev
        self.hessian, self.relu, self.einsum = func.hessian, torch.relu, torch.einsum

    def conv(self, x: Any, w: Any, stride: int) -> Any:
        return self.xp.nn.functional.conv2d(x, w, stride=stride, padding=1)

    def mean(self, x: Any, axes: Any) -> Any:
        return self.xp.mean(x, dim=axes)

    def scan(self, step: Any, start: Any, xs: Any) -> Any:
        for x in xs:
            start, _ = step(start, x)
        return start


TOOLS: dict[str, type[ElinvarTools]] = {
    "elinvar": ElinvarTools, "jax": JaxTools, "torch": TorchTools,
}  # fmt: skip


def make(framework: str, program: str, **sizes: Any) -> Run:
    """What runs a program of the table once and waits for it."""
    tools = TOOLS[framework]()
    found = PROGRAMS[program](tools, **sizes)
    return lambda: tools.wait(found())


def fetch(value: Any) -> np.ndarray:
    """All numbers of a result in one array, complex ones by their size."""
    if isinstance(value, list | tuple):
        return np.concatenate([fetch(part) for part in value])
    array = np.asarray(value.detach() if hasattr(value, "detach") else value)
    return np.abs(array).ravel() if array.dtype.kind == "c" else array.ravel()


# ---- the programs -------------------------------------------------------------------------------


def _mlp(tools: Any) -> tuple[list[Any], Callable[[Any, Any], Any]]:
    pairs = itertools.pairwise(WIDTHS)
    weights = [tools.asarray(draw(n, a, b, scale=a**-0.5)) for n, (a, b) in enumerate(pairs)]

    def apply(weights: Any, x: Any) -> Any:
        *inner, last = weights
        for weight in inner:
            x = tools.xp.tanh(x @ weight)
        return x @ last

    return weights, apply


def _hvp(tools: Any, batch: int) -> Run:
    """The Hessian of an MLP's loss times a vector."""
    weights, apply = _mlp(tools)
    x, y = tools.asarray(draw(8, batch, WIDTHS[0])), tools.asarray(draw(9, batch, WIDTHS[-1]))
    directions = [tools.asarray(draw(20 + n, *w.shape)) for n, w in enumerate(weights)]

    def loss(weights: Any) -> Any:
        return ((apply(weights, x) - y) ** 2).mean()

    run = tools.jit(lambda w, v: tools.jvp(tools.grad(loss), (w,), (v,))[1])
    return lambda: run(weights, directions)


def _jacobian(tools: Any, batch: int) -> Run:
    """The Jacobian of each row's outputs by its inputs."""
    weights, apply = _mlp(tools)
    x = tools.asarray(draw(8, batch, WIDTHS[0]))
    run = tools.jit(lambda w, x: tools.vmap(tools.jacrev(lambda row: apply(w, row)))(x))
    return lambda: run(weights, x)


def _hessian(tools: Any, width: int) -> Run:
    """The whole Hessian of a function of `width` numbers."""
    weights, apply = _mlp(tools)
    x = tools.asarray(draw(8, width))
    run = tools.jit(lambda w, x: tools.hessian(lambda x: (apply(w, x) ** 2).sum())(x))
    return lambda: run(weights, x)


def _per_sample(tools: Any, batch: int, pixels: int) -> Run:
    """The gradient of a small CNN's loss for each picture by itself."""
    shapes = ((16, 1, 3, 3), (32, 16, 3, 3), (32, 10))
    weights = [tools.asarray(draw(n, *shape, scale=0.2)) for n, shape in enumerate(shapes)]
    x, y = tools.asarray(draw(8, batch, 1, pixels, pixels)), tools.asarray(draw(9, batch, 10))

    def loss(weights: Any, x: Any, y: Any) -> Any:
        first, second, last = weights
        x = tools.relu(tools.conv(x[None], first, 1))
        x = tools.relu(tools.conv(x, second, 2))
        return ((tools.mean(x, (2, 3))[0] @ last - y) ** 2).mean()

    run = tools.jit(lambda w, x, y: tools.vmap(tools.grad(loss), (None, 0, 0))(w, x, y))
    return lambda: run(weights, x, y)


def _scan(tools: Any, steps: int, batch: int, width: int, gradient: bool) -> Run:
    """A recurrent loop, h ← tanh(h W + x)."""
    weight = tools.asarray(draw(1, width, width, scale=width**-0.5))
    xs, start = tools.asarray(draw(2, steps, batch, width)), tools.asarray(draw(3, batch, width))

    def loss(weight: Any, xs: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            h = tools.xp.tanh(h @ weight + x)
            return h, h

        return tools.scan(step, start, xs).sum()

    run = tools.jit(tools.grad(loss) if gradient else loss)
    return lambda: run(weight, xs)


def _fft(tools: Any, shape: list[int], kind: str) -> Run:
    """Fourier transforms of the last axis (`fft2`: of the last two)."""
    x = draw(1, *shape)
    given = tools.asarray(x if kind == "rfft" else (x + 1j * draw(2, *shape)).astype(np.complex64))
    run = tools.jit(getattr(tools.fft, kind))
    return lambda: run(given)


def _einsum(tools: Any, equation: str, shapes: list[list[int]]) -> Run:
    """A sum of products."""
    arrays = [tools.asarray(draw(n, *shape)) for n, shape in enumerate(shapes)]
    run = tools.jit(lambda *arrays: tools.einsum(equation, *arrays))
    return lambda: run(*arrays)


PROGRAMS: dict[str, Callable[..., Run]] = {
    "hvp": _hvp, "jacobian": _jacobian, "hessian": _hessian, "per_sample": _per_sample,
    "scan": _scan, "fft": _fft, "einsum": _einsum,
}  # fmt: skip

# name → (program, sizes, sizes for tests, what)
TIMED: dict[str, tuple[str, dict[str, Any], dict[str, Any], str]] = {
    "hvp": ("hvp", {"batch": 128}, {"batch": 3}, "Hessian times vector: MLP 64–256–256–10"),
    "jacobian": (
        "jacobian", {"batch": 128}, {"batch": 3}, "Jacobians of 128 rows: MLP 64–256–256–10",
    ),
    "hessian": ("hessian", {"width": 64}, {"width": 64}, "Hessian by 64 inputs of an MLP"),
    "per-sample": (
        "per_sample", {"batch": 64, "pixels": 28}, {"batch": 2, "pixels": 8},
        "gradients by sample: CNN on 28 × 28, batch 64",
    ),
    "scan": (
        "scan", {"steps": 1000, "batch": 8, "width": 64, "gradient": False},
        {"steps": 3, "batch": 2, "width": 4, "gradient": False}, "loop of 1000 steps, 8 × 64",
    ),
    "scan-gradient": (
        "scan", {"steps": 1000, "batch": 8, "width": 64, "gradient": True},
        {"steps": 3, "batch": 2, "width": 4, "gradient": True},
        "gradient of a loop of 1000 steps, 8 × 64",
    ),
    "fft-64x1024": (
        "fft", {"shape": [64, 1024], "kind": "fft"}, {"shape": [2, 8], "kind": "fft"},
        "64 transforms of 1024",
    ),
    "rfft-64x1000": (
        "fft", {"shape": [64, 1000], "kind": "rfft"}, {"shape": [2, 10], "kind": "rfft"},
        "64 real transforms of 1000",
    ),
    "fft-1M": (
        "fft", {"shape": [1 << 20], "kind": "fft"}, {"shape": [64], "kind": "fft"},
        "a transform of 2²⁰",
    ),
    "fft2-256": (
        "fft", {"shape": [8, 256, 256], "kind": "fft2"}, {"shape": [2, 4, 6], "kind": "fft2"},
        "8 transforms of 256 × 256",
    ),
    "einsum-attention": (
        "einsum", {"equation": "bqhd,bkhd->bhqk", "shapes": [[8, 128, 8, 32]] * 2},
        {"equation": "bqhd,bkhd->bhqk", "shapes": [[1, 2, 3, 4]] * 2}, "einsum bqhd,bkhd->bhqk",
    ),
    "einsum-chain": (
        "einsum", {"equation": "ab,bcd,de,cef->af",
                   "shapes": [[128, 64], [64, 32, 48], [48, 40], [32, 40, 96]]},
        {"equation": "ab,bcd,de,cef->af", "shapes": [[2, 3], [3, 4, 5], [5, 6], [4, 6, 2]]},
        "einsum of four operands",
    ),
    "einsum-bilinear": (
        "einsum", {"equation": "bi,oij,bj->bo", "shapes": [[64, 96], [96, 96, 96], [64, 96]]},
        {"equation": "bi,oij,bj->bo", "shapes": [[2, 3], [4, 3, 3], [2, 3]]},
        "einsum bi,oij,bj->bo",
    ),
}  # fmt: skip
