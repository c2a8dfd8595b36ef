"""What the tests of layers share: numbers, and layers run on numpy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

import elinvar as el
from elinvar import nn

CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def run(layer: nn.Module, *arrays: Any) -> np.ndarray:
    return layer(*(el.asarray(array) for array in arrays)).numpy()


def values_of(layer: nn.Module) -> dict[str, np.ndarray]:
    return {name: value.numpy().astype(np.float64) for name, value in layer.named_parameters()}
