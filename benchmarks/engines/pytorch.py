"""PyTorch, eager or compiled: channels-last pictures, fused optimizers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

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


def _array(tensor: Any) -> np.ndarray:
    return tensor.detach().numpy()


def _last(tensor: torch.Tensor) -> torch.Tensor:
    """Pictures and kernels with their channels last in memory; anything else as it is."""
    return tensor.to(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor


class PyTorch(Engine):
    """PyTorch eager."""

    version = torch.__version__
    compiled = False

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        self.framework = Framework("torch")
        torch.set_num_threads(threads)

    def _compile(self, function: Any) -> Any:
        return torch.compile(function, dynamic=False) if self.compiled else function

    def _model(self, model: str, size: Any) -> Any:
        return self.framework.load(MODELS[model](torch, size)).to(memory_format=torch.channels_last)

    def _step(self, net: Any, optimizer: str, prepare: Any = lambda x: x) -> Any:
        kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}.get(
            optimizer, torch.optim.SGD
        )
        made = kind(net.parameters(), **OPTIMIZERS[optimizer], fused=True)
        loss_of = self._compile(lambda net, x, y: self.framework.loss(net, prepare(x), y))
        return self.framework.training_step(net, made, loss_of)

    def training(self, model: str, size: list[int], optimizer: str) -> Prepared:
        """Forward and loss are compiled together, and so is their backward pass."""
        net = self._model(model, SIZES[model](*size))
        step = self._step(net, optimizer)
        data = [
            (_last(self.framework.tensor(x)), self.framework.tensor(y))
            for x, y in batches(model, SIZES[model](*size), BATCHES)
        ]
        number = 0

        def run() -> float:
            nonlocal number
            number += 1
            return step(*data[number % BATCHES]).item()

        return Prepared(run, np.asarray, sum(p.numel() for p in net.parameters()))

    def inference(self, model: str, size: list[int]) -> Prepared:
        """In inference mode."""
        net = self._model(model, SIZES[model](*size)).eval()
        x = _last(self.framework.tensor(batches(model, SIZES[model](*size), 1)[0][0]))
        predict = self._compile(net)

        def run() -> torch.Tensor:
            with torch.inference_mode():
                return predict(x)

        return Prepared(run, _array, sum(p.numel() for p in net.parameters()))

    def adds(self, size: int, count: int) -> Prepared:
        """Eager."""
        x, y = torch.arange(size, dtype=torch.float32), torch.ones(size)

        def run() -> torch.Tensor:
            value = x
            for _ in range(count):
                value = value + y
            return value

        return Prepared(run, _array)

    def rows(self, function: str, rows: int, columns: int, part: str) -> Prepared:
        """The backward pass comes from `torch.autograd.grad`."""
        x, cotangent = (torch.from_numpy(normal(seed, rows, columns)) for seed in (1, 2))
        scale, shift = (torch.from_numpy(normal(seed, columns)) for seed in (3, 4))

        def gelu_softmax(x: torch.Tensor) -> torch.Tensor:
            return functional.softmax(functional.gelu(x), dim=-1)

        def layer_norm(x: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
            return functional.layer_norm(x, (columns,), scale, shift)

        inputs = (x,) if function == "gelu_softmax" else (x, scale, shift)
        forward = self._compile({"gelu_softmax": gelu_softmax, "layer_norm": layer_norm}[function])
        if part == "forward":

            def run() -> Any:
                with torch.inference_mode():
                    return forward(*inputs)

            return Prepared(run, _array)
        leaves = [tensor.requires_grad_() for tensor in inputs]
        return Prepared(
            lambda: torch.autograd.grad(forward(*leaves), leaves, cotangent),
            lambda result: _array(result[0]),
        )

    def matmul(self, m: int, n: int, k: int, left: str, right: str) -> Prepared:
        """One operation; transposed operands are views."""
        a = torch.from_numpy(normal(1, m, k) if left == "plain" else normal(1, k, m).T)
        b = torch.from_numpy(normal(2, k, n) if right == "plain" else normal(2, n, k).T)
        product = self._compile(torch.matmul)
        return Prepared(lambda: product(a, b), _array)

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
        """One operation; a gradient is computed alone."""
        x, weight, cotangent = (
            _last(torch.from_numpy(array))
            for array in convolution_arrays(batch, pixels, inputs, outputs, kernel, stride)
        )
        padding = kernel // 2
        if part == "forward":
            forward = self._compile(
                lambda x, weight: functional.conv2d(x, weight, stride=stride, padding=padding)
            )
            return Prepared(lambda: forward(x, weight), _array)
        mask = [part == "input", part == "weight", False]

        def gradient(x: torch.Tensor, weight: torch.Tensor, cotangent: torch.Tensor) -> Any:
            found = torch.ops.aten.convolution_backward(
                cotangent, x, weight, None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], 1,
                mask,
            )  # fmt: skip
            return found[0] if part == "input" else found[1]

        run = self._compile(gradient)
        return Prepared(lambda: run(x, weight, cotangent), _array)

    def transform(self, program: str, **sizes: Any) -> Prepared:
        """With torch.func."""
        return Prepared(transforms.make("torch", program, **sizes), transforms.fetch)

    def epoch(self, size: list[int], samples: int) -> Prepared:
        """Whole batches are cut by index, without touching samples one by one."""
        made = SIZES["cnn"](*size)
        images, labels, _ = training_pictures(samples)
        data = TensorDataset(torch.from_numpy(images), torch.from_numpy(labels))
        order = BatchSampler(RandomSampler(data), made.batch, drop_last=True)
        loader: Any = DataLoader(data, sampler=order, batch_size=None)
        net = self._model("cnn", made)
        step = self._step(net, "adamw", lambda images: _last(images.float() / 255 - 0.5))

        def run() -> float:
            losses = [step(images, labels).detach() for images, labels in loader]
            return losses[-1].item()

        return Prepared(run, np.asarray, sum(p.numel() for p in net.parameters()))


ENGINE = PyTorch
