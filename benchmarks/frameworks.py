"""Elinvar and PyTorch by the names that they share; the one difference is how a step is made."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.models import weights

FRAMEWORKS = ("elinvar", "torch")


class Framework:
    """A framework's modules under common names.

    Args:
        name: `elinvar` or `torch`.
        numerics: for Elinvar's training steps, as `el.jit` takes it.
    """

    def __init__(self, name: str, numerics: str = "exact") -> None:
        self.name, self.numerics = name, numerics
        self.module = importlib.import_module(name)
        self.nn = importlib.import_module(f"{name}.nn")
        self.functional = importlib.import_module(f"{name}.nn.functional")
        self.optim = importlib.import_module(f"{name}.optim")
        self.version = self.module.__version__

    def tensor(self, array: np.ndarray) -> Any:
        """A tensor with an array's elements."""
        if self.name == "torch":
            return self.module.from_numpy(np.array(array))
        return self.module.asarray(np.array(array))

    def load(self, model: Any, seed: int = 0) -> Any:
        """Give a model the weights that depend on the seed alone."""
        shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
        state = {name: self.tensor(value) for name, value in weights(shapes, seed).items()}
        model.load_state_dict(state)
        return model

    def training_step(self, model: Any, optimizer: Any, loss_of: Callable[..., Any]) -> Any:
        """A function that takes one training step and returns the loss: `el.jit`, PyTorch eager."""

        def step(*batch: Any) -> Any:
            optimizer.zero_grad()
            loss = loss_of(model, *batch)
            loss.backward()
            optimizer.step()
            return loss

        if self.name == "torch":
            return step
        return self.module.jit(step, numerics=self.numerics)

    def loss(self, model: Any, inputs: Any, targets: Any) -> Any:
        """Cross-entropy; models of text give (B, T, classes), all others have classes second."""
        logits = model(inputs)
        if logits.ndim == 3:
            logits, targets = logits.reshape(-1, logits.shape[-1]), targets.reshape(-1)
        return self.functional.cross_entropy(logits, targets)

    def set_threads(self, count: int) -> None:
        """Use so many threads."""
        self.module.set_num_threads(count)
