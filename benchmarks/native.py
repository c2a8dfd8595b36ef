"""Weights and pictures for frameworks that keep channels last and matrices as (inputs, outputs).

The names stay PyTorch's, so that `plan.py` and one set of weights serve all frameworks.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.models import weights
from benchmarks.plan import plan_of

_TABLES = ("token.weight", "position.weight", "class_token", "position")


def native_weights(
    model: str, size: Any, seed: int = 0
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The model's parameters and buffers: matrices (inputs, outputs), kernels HWIO.

    Kernels of transposed convolutions `up…` become (height, width, inputs, outputs), too.
    """
    plan = plan_of(model, size)
    tracked = {
        name.replace("running_mean", "num_batches_tracked"): ()
        for name in plan.buffers
        if name.endswith("running_mean")
    }
    # PyTorch's count of batches takes part in the numbering of the weights, not in the model.
    made = weights({**plan.parameters, **plan.buffers, **tracked}, seed)
    parameters = {name: _turned(name, made[name]) for name in plan.parameters}
    return parameters, {name: made[name] for name in plan.buffers}


def _turned(name: str, array: np.ndarray) -> np.ndarray:
    if name in _TABLES or array.ndim == 1:
        return array
    if array.ndim == 2:
        return np.ascontiguousarray(array.T)
    order = (2, 3, 0, 1) if name.startswith("up") else (2, 3, 1, 0)
    return np.ascontiguousarray(array.transpose(order))


def channels_last(array: np.ndarray) -> np.ndarray:
    """NCHW → NHWC; anything else as it is."""
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1)) if array.ndim == 4 else array


def channels_first(array: np.ndarray) -> np.ndarray:
    """NHWC → NCHW; anything else as it is."""
    return array.transpose(0, 3, 1, 2) if array.ndim == 4 else array
