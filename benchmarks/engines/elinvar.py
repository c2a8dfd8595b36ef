"""Elinvar: training steps and functions under `el.jit`, single operations eager."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

import elinvar as el
from benchmarks import transforms
from benchmarks.engines.base import (
    BATCHES,
    OPTIMIZERS,
    Engine,
    Prepared,
    convolution_arrays,
    normal,
)
from benchmarks.frameworks import Framework
from benchmarks.models import MODELS, batches
from benchmarks.pictures import training_pictures
from benchmarks.sizes import SIZES
from elinvar.nn import functional


def _array(tensor: Any) -> np.ndarray:
    return np.asarray(tensor.numpy())


class Elinvar(Engine):
    """This framework. `numerics`: of everything that is compiled, as `el.jit` takes it."""

    version = el.__version__

    def __init__(self, threads: int, numerics: str = "exact") -> None:
        super().__init__(threads)
        self.framework = Framework("elinvar", numerics)
        self.jit = functools.partial(el.jit, numerics=numerics)
        el.set_num_threads(threads)

    def training(self, model: str, size: list[int], optimizer: str) -> Prepared:
        """A whole step is one program."""
        net = self.framework.load(MODELS[model](el, SIZES[model](*size)))
        step = self._step(net, optimizer)
        data = [
            (el.asarray(x), el.asarray(y)) for x, y in batches(model, SIZES[model](*size), BATCHES)
        ]
        number = 0

        def run() -> float:
            nonlocal number
            number += 1
            return step(*data[number % BATCHES]).item()

        return Prepared(run, np.asarray, sum(p.numel() for p in net.parameters()))

    def _step(self, net: Any, optimizer: str, prepare: Any = lambda x: x) -> Any:
        kind = {"adam": el.optim.Adam, "adamw": el.optim.AdamW}.get(optimizer, el.optim.SGD)
        made = kind(net.parameters(), **OPTIMIZERS[optimizer])
        return self.framework.training_step(
            net, made, lambda net, x, y: self.framework.loss(net, prepare(x), y)
        )

    def inference(self, model: str, size: list[int]) -> Prepared:
        """The model in evaluation mode without a tape."""
        net = self.framework.load(MODELS[model](el, SIZES[model](*size))).eval()
        x = el.asarray(batches(model, SIZES[model](*size), 1)[0][0])

        @self.jit
        def predict(x: el.Tensor) -> el.Tensor:
            with el.no_grad():
                return net(x)

        return Prepared(lambda: predict(x), _array, sum(p.numel() for p in net.parameters()))

    def adds(self, size: int, count: int) -> Prepared:
        """Eager: what one operation costs before it does anything."""
        x, y = el.asarray(np.arange(size, dtype=np.float32)), el.ones(size)

        def run() -> el.Tensor:
            value = x
            for _ in range(count):
                value = value + y
            return value

        return Prepared(run, _array)

    def rows(self, function: str, rows: int, columns: int, part: str) -> Prepared:
        """Compiled."""
        x, cotangent = el.asarray(normal(1, rows, columns)), el.asarray(normal(2, rows, columns))
        scale, shift = el.asarray(normal(3, columns)), el.asarray(normal(4, columns))

        def gelu_softmax(x: el.Tensor) -> el.Tensor:
            return functional.softmax(functional.gelu(x), dim=-1)

        def layer_norm(x: el.Tensor, scale: el.Tensor, shift: el.Tensor) -> el.Tensor:
            return functional.layer_norm(x, (columns,), scale, shift)

        inputs = (x,) if function == "gelu_softmax" else (x, scale, shift)
        forward = {"gelu_softmax": gelu_softmax, "layer_norm": layer_norm}[function]
        if part == "forward":
            run = self.jit(forward)
            return Prepared(lambda: run(*inputs), _array)
        both = self.jit(lambda cotangent, *inputs: el.vjp(forward, *inputs)[1](cotangent))
        return Prepared(lambda: both(cotangent, *inputs), lambda result: _array(result[0]))

    def matmul(self, m: int, n: int, k: int, left: str, right: str) -> Prepared:
        """Eager, on views where an operand is transposed."""
        a = el.asarray(normal(1, m, k)) if left == "plain" else el.asarray(normal(1, k, m)).mT
        b = el.asarray(normal(2, k, n)) if right == "plain" else el.asarray(normal(2, n, k)).mT
        return Prepared(lambda: a @ b, _array)

    def convolution(
        self,
        batch: int,
        pixels: int,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int,
        part: str,
    ) -> Prepared:
        """Compiled, as in a model; what a gradient does not need is never computed."""
        x, weight, cotangent = (
            el.asarray(array)
            for array in convolution_arrays(batch, pixels, inputs, outputs, kernel, stride)
        )

        def forward(x: el.Tensor, weight: el.Tensor) -> el.Tensor:
            return functional.conv2d(x, weight, stride=stride, padding=kernel // 2)

        if part == "forward":
            run = self.jit(forward)
            return Prepared(lambda: run(x, weight), _array)
        if part == "input":
            run = self.jit(lambda x, w, g: el.vjp(lambda x: forward(x, w), x)[1](g)[0])
        else:
            run = self.jit(lambda x, w, g: el.vjp(lambda w: forward(x, w), w)[1](g)[0])
        return Prepared(lambda: run(x, weight, cotangent), _array)

    def transform(self, program: str, **sizes: Any) -> Prepared:
        """Compiled."""
        return Prepared(transforms.make("elinvar", program, **sizes), transforms.fetch)

    def epoch(self, size: list[int], samples: int) -> Prepared:
        """The loader cuts batches of bytes; the step turns them into floats."""
        made = SIZES["cnn"](*size)
        images, labels, _ = training_pictures(samples)
        loader = el.data.DataLoader((images, labels), made.batch, shuffle=True, drop_last=True)
        net = self.framework.load(MODELS["cnn"](el, made))
        step = self._step(net, "adamw", lambda images: images.float() / 255 - 0.5)

        def run() -> float:
            losses = [step(images, labels) for images, labels in loader]
            return losses[-1].item()

        return Prepared(run, np.asarray, sum(p.numel() for p in net.parameters()))


ENGINE = Elinvar
