"""What the tests of optimizers share: a loss's gradient, parameters, options of every optimizer."""

from __future__ import annotations

from typing import Any

import numpy as np

import elinvar as el

START = np.array([1.0, -2.0, 0.5])


def gradient_of(w: np.ndarray) -> np.ndarray:
    """Of Σ w⁴/4 + w."""
    return w**3 + 1


def parameter(value: Any = START, dtype: Any = el.float64) -> el.nn.Parameter:
    return el.nn.Parameter(el.asarray(value, dtype=dtype))


def set_gradient(w: Any) -> None:
    w.grad = el.asarray(gradient_of(w.numpy()))


OPTIMIZERS = {
    "SGD": {"momentum": 0.9},
    "Adam": {"amsgrad": True},
    "AdamW": {},
    "NAdam": {},
    "RMSprop": {"centered": True, "momentum": 0.5},
    "Adagrad": {},
    "Adafactor": {},
    "Lion": {},
    "Muon": {},
}
