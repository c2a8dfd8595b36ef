"""scaled_dot_product_attention against PyTorch: values and gradients over lengths, masks and heads."""

from typing import Any

import numpy as np
import pytest

import elinvar as el

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.any_level
ours, theirs = el.nn.functional, torch.nn.functional


def normal(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng((seed, *shape)).standard_normal(shape).astype(np.float32)


def seen(*shape: int) -> Any:
    mask = np.random.default_rng(shape).random(shape) < 0.7
    mask[..., 0] = True
    return mask


ROWS: list[tuple[Any, Any, Any, dict[str, Any]]] = [
    ((2, 3, 70, 32), (2, 3, 70, 32), (2, 3, 70, 32), {"is_causal": True}),
    ((2, 3, 70, 32), (2, 3, 130, 32), (2, 3, 130, 24), {}),
    ((1, 2, 130, 16), (1, 2, 65, 16), (1, 2, 65, 16), {"is_causal": True, "scale": 0.3}),
    ((2, 4, 33, 64), (2, 2, 90, 64), (2, 2, 90, 64), {"enable_gqa": True}),
    ((2, 2, 40, 8), (2, 2, 100, 8), (2, 2, 100, 8), {"attn_mask": seen(2, 1, 40, 100)}),
    ((2, 2, 40, 8), (2, 2, 100, 8), (2, 2, 100, 8), {"attn_mask": seen(1, 100)}),
    ((2, 2, 40, 8), (2, 2, 100, 8), (2, 2, 100, 8), {"attn_mask": normal(40, 100)}),
    ((3, 40, 8), (3, 100, 8), (3, 100, 8), {"attn_mask": normal(3, 1, 100)}),
    ((40, 8), (100, 8), (100, 5), {}),
    ((1, 1, 1, 128), (1, 1, 300, 128), (1, 1, 300, 128), {}),
]


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_values_and_gradients(row: Any) -> None:
    *shapes, options = row
    arrays = [normal(*shape, seed=n) for n, shape in enumerate(shapes)]
    results, gradients = [], []
    for function, make in (
        (ours.scaled_dot_product_attention, el.asarray),
        (theirs.scaled_dot_product_attention, torch.tensor),
    ):
        given = {k: make(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
        tensors = [make(x) for x in arrays]
        for x in tensors:
            x.requires_grad_()
        y = function(*tensors, **given)
        (y * make(normal(*y.shape, seed=9))).sum().backward()
        results.append(np.asarray(y.detach()))
        gradients.append([np.asarray(x.grad) for x in tensors])
    np.testing.assert_allclose(*results, rtol=1e-4, atol=1e-5)
    for a, b in zip(*gradients, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-5)


def test_gradient_of_an_added_mask() -> None:
    arrays = [normal(2, 2, 20, 8), normal(2, 2, 70, 8), normal(2, 2, 70, 8), normal(2, 1, 1, 70)]
    gradients = []
    for function, make in (
        (ours.scaled_dot_product_attention, el.asarray),
        (theirs.scaled_dot_product_attention, torch.tensor),
    ):
        tensors = [make(x) for x in arrays]
        for x in tensors:
            x.requires_grad_()
        (function(*tensors) ** 2).sum().backward()
        gradients.append([np.asarray(x.grad) for x in tensors])
    for a, b in zip(*gradients, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-5)
