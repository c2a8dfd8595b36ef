"""What every framework's file has in common.

An engine turns a task and its arguments into a `Prepared`. All tasks:

    training     model, size, optimizer          one training step; gives the loss
    inference    model, size                     logits of one batch
    adds         size, count                     eager: a chain of additions
    rows         function, rows, columns, part   gelu + softmax or layer norm of each row
    matmul       m, n, k, left, right            `left`, `right`: "plain" or "transposed" in memory
    convolution  batch, pixels, inputs, outputs, kernel, stride, part
    transform    program, …                      a program of `transforms.py` with its sizes
    epoch        size, samples                   a pass over the pictures, with the data pipeline

`part` is "forward", "backward", "input" (gradient) or "weight" (gradient).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

# name → (class name in every framework, learning rate, momentum)
OPTIMIZERS = {
    "sgd": {"lr": 0.01},
    "momentum": {"lr": 0.01, "momentum": 0.9},
    "adam": {"lr": 1e-3},
    "adamw": {"lr": 3e-4, "weight_decay": 0.01},
}
BATCHES = 8
"""Different batches that training steps go through in turn."""


@dataclass(slots=True)
class Prepared:
    """Work that is ready to be timed.

    Attributes:
        run: does the work once and leaves nothing pending.
        fetch: what `run` returned, as an array in PyTorch's layout.
        parameters: the number of the model's parameters, where there is a model.
    """

    run: Callable[[], Any]
    fetch: Callable[[Any], np.ndarray] = field(default=np.asarray)
    parameters: int | None = None


def normal(seed: int, *shape: int) -> np.ndarray:
    """Standard normal numbers in float32."""
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def convolution_arrays(
    batch: int, pixels: int, inputs: int, outputs: int, kernel: int, stride: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Input (NCHW), kernel (OIHW) and the result's cotangent of a padded convolution."""
    out = -(-pixels // stride)
    return (
        normal(1, batch, inputs, pixels, pixels),
        normal(2, outputs, inputs, kernel, kernel),
        normal(3, batch, outputs, out, out),
    )


class Engine:
    """A framework that is ready to work.

    Attributes:
        version: the framework's version.
    """

    version = ""

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def prepare(self, task: str, arguments: dict[str, Any]) -> Prepared:
        """Make the work of a case; `AttributeError` names a task that the engine cannot do."""
        return getattr(self, task)(**arguments)
