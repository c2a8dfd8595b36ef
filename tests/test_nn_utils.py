"""Functions over modules and parameters: functional calls, vectors, clipping."""

from __future__ import annotations

import numpy as np
import pytest

import elinvar as el
from elinvar import nn
from elinvar.core.errors import (
    DTypeError,
    ShapeError,
    StateError,
    ValueRangeError,
)

pytestmark = pytest.mark.any_level


def test_functional_call() -> None:
    layer = nn.Linear(2, 2)
    before = layer.weight.numpy().copy()
    values = {"weight": el.eye(2) * 3, "bias": el.ones(2)}
    assert nn.functional_call(layer, values, el.asarray([1.0, 2.0])).tolist() == [4.0, 7.0]
    np.testing.assert_array_equal(layer.weight.numpy(), before)
    gradient = el.grad(
        lambda values: nn.functional_call(layer, values, (el.asarray([1.0, 2.0]),)).sum()
    )(values)
    assert gradient["weight"].tolist() == [[1.0, 2.0], [1.0, 2.0]]
    with pytest.raises(StateError, match="Linear has no parameter or buffer wight"):
        nn.functional_call(layer, {"wight": el.ones(1)}, el.ones(2))
    tied = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    tied[1].weight = tied[0].weight
    found = nn.functional_call(tied, {"0.weight": el.eye(2) * 2}, el.ones(2))
    assert found.tolist() == [4.0, 4.0]


def test_functional_call_with_ties_and_parts() -> None:
    tied = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    tied[1].weight = tied[0].weight
    one, two, x = el.eye(2) * 2, el.eye(2) * 3, el.ones(2)
    assert el.functional_call(tied, {"1.weight": one}, x, strict=True).tolist() == [4.0, 4.0]
    both = {"0.weight": one, "1.weight": two}
    with pytest.raises(StateError, match=r"1\.weight is tied to another path"):
        el.functional_call(tied, both, x)
    assert el.functional_call(tied, both, x, tie_weights=False).tolist() == [6.0, 6.0]
    layer = nn.Linear(2, 2)
    parts = ({"weight": one}, {"bias": el.ones(2)})
    assert el.functional_call(layer, parts, x).tolist() == [3.0, 3.0]
    assert el.functional_call(layer, parts, None, {"input": x}).tolist() == [3.0, 3.0]
    with pytest.raises(StateError, match="weight stands in two of the dicts"):
        el.functional_call(layer, (parts[0], parts[0]), x)
    with pytest.raises(StateError, match="missing for Linear: bias"):
        el.functional_call(layer, parts[0], x, strict=True)
    with pytest.raises(DTypeError, match="expected a dict of tensors or a tuple of dicts"):
        el.functional_call(layer, [1], x)
    assert layer.weight.requires_grad  # what was there is there again


def test_stacked_state() -> None:
    layers = [nn.BatchNorm1d(3) for _ in range(2)]
    parameters, buffers = el.stack_module_state(layers)
    assert parameters["weight"].shape == (2, 3) and parameters["weight"].requires_grad
    assert buffers["running_mean"].shape == (2, 3) and not buffers["running_mean"].requires_grad
    with pytest.raises(ValueRangeError, match="expected at least one module"):
        el.stack_module_state([])
    with pytest.raises(ValueRangeError, match="of different classes: BatchNorm1d and Linear"):
        el.stack_module_state([layers[0], nn.Linear(3, 3)])
    with pytest.raises(ValueRangeError, match=r"differ in weight: f32\[3\] and f32\[4\]"):
        el.stack_module_state([layers[0], nn.BatchNorm1d(4)])
    with pytest.raises(ValueRangeError, match="some modules are in training"):
        el.stack_module_state([layers[0], nn.BatchNorm1d(3).eval()])


def test_vectors_of_parameters() -> None:
    layer = nn.Linear(2, 3)
    vector = nn.utils.parameters_to_vector(layer.parameters())
    assert tuple(vector.shape) == (9,)
    nn.utils.vector_to_parameters(el.arange(9).astype(el.float32), layer.parameters())
    assert layer.weight.tolist() == [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
    assert layer.bias.tolist() == [6.0, 7.0, 8.0] and layer.bias.requires_grad
    with pytest.raises(ShapeError, match=r"the parameters have 9 elements, received f32\[8\]"):
        nn.utils.vector_to_parameters(el.zeros(8), layer.parameters())


def test_clipping() -> None:
    p = nn.Parameter(el.zeros(2))
    p.grad = el.asarray([3.0, -4.0])
    assert nn.utils.clip_grad_norm_(p, 10.0).item() == 5.0
    assert p.grad.tolist() == [3.0, -4.0]
    nn.utils.clip_grad_norm_([p, nn.Parameter(el.zeros(1))], 1.0)
    np.testing.assert_allclose(p.grad.numpy(), [0.6, -0.8], rtol=1e-5)
    nn.utils.clip_grad_value_([p], 0.7)
    np.testing.assert_allclose(p.grad.numpy(), [0.6, -0.7], rtol=1e-5)
    p.grad = el.asarray([float("nan"), 1.0])
    with pytest.raises(ValueRangeError, match="the gradients' norm is nan"):
        nn.utils.clip_grad_norm_([p], 1.0, error_if_nonfinite=True)
    with pytest.raises(ValueRangeError, match="norm_type must be greater than 0, received 0"):
        nn.utils.clip_grad_norm_([p], 1.0, 0)
