"""Composites: one program, one node of the tape, symbolic sizes, static arguments."""

import numpy as np
import pytest

import elinvar as el
from elinvar.core.errors import DTypeError, LeakedTensorError, TraceError
from elinvar.core.types import parse_type
from elinvar.tensor.composite import symbolic_types


def make():
    calls = []

    @el.composite
    def scaled(x, y, *, by=1.0):
        """Docs."""
        calls.append(x.shape)
        return x * y * by

    return scaled, calls


def test_traced_once_for_all_sizes():
    scaled, calls = make()
    for n in (3, 5, 1000, 3):
        x = el.asarray(np.arange(n, dtype=np.float32))
        np.testing.assert_array_equal(scaled(x, x, by=2.0).numpy(), np.arange(n, dtype=np.float32) ** 2 * 2)
    assert len(calls) == 1
    scaled(el.ones(1), el.ones(1), by=2.0)  # sizes 0 and 1 are numbers
    scaled(el.ones((2, 3)), el.ones((2, 3)), by=2.0)
    scaled(el.ones((3, 3)), el.ones((3, 3)), by=2.0)  # equal sizes share a symbol
    scaled(el.ones(3), el.ones(3), by=3.0)
    assert len(calls) == 5


def test_symbols():
    types = symbolic_types([parse_type("f32[8,1,16]"), parse_type("i64[16,0]")])
    assert [str(kind) for kind in types] == ["f32[d0,1,d1]", "i64[d1,0]"]


def test_functions_that_need_sizes_as_numbers():
    calls = []

    @el.composite
    def unrolled(x):
        calls.append(x.shape)
        return sum((x[i] for i in range(1, x.shape[0])), x[0])

    assert unrolled(el.ones((3, 2))).tolist() == [3, 3]
    assert unrolled(el.ones((4, 2))).tolist() == [4, 4]
    assert unrolled(el.ones((3, 2))).tolist() == [3, 3]
    assert calls[1] == (3, 2) and calls[-1] == (4, 2)


def test_one_node_with_a_compiled_derivative():
    scaled, calls = make()
    x = el.Tensor([1.0, 2.0], requires_grad=True)
    y = el.asarray([3.0, 4.0])
    result = scaled(x, y, by=2.0)
    assert result._node.name == "scaled" and len(calls) == 1
    result.sum().backward()
    assert x.grad.tolist() == [6, 8] and y.grad is None
    assert len(calls) == 1


def test_derivatives_of_higher_order():
    @el.composite
    def cube(x):
        return x * x * x

    def power(x):
        return cube(x).sum()

    x = el.asarray([1.0, 2.0])
    assert el.grad(power)(x).tolist() == [3, 12]
    assert el.grad(lambda v: el.grad(power)(v).sum())(x).tolist() == [6, 12]
    assert el.grad(lambda v: el.grad(lambda u: el.grad(power)(u).sum())(v).sum())(x).tolist() == [6, 6]


def test_stopped_gradients_inside():
    @el.composite
    def straight(x):
        with el.no_grad():
            rest = x * 3.0 - x
        return x + rest + x.detach()

    x = el.Tensor([1.0, 2.0], requires_grad=True)
    y = straight(x)
    assert y.tolist() == [4, 8]
    y.sum().backward()
    assert x.grad.tolist() == [1, 1]


def test_several_results():
    @el.composite
    def split(x):
        return x * 2.0, x > 0.0, x

    x = el.Tensor([1.0, -1.0], requires_grad=True)
    double, positive, same = split(x)
    assert positive.tolist() == [True, False] and not positive.requires_grad
    assert same.tolist() == [1, -1]
    (double + same).sum().backward()
    assert x.grad.tolist() == [3, 3]


def test_none_and_numbers_as_arguments():
    @el.composite
    def affine(x, bias, scale):
        y = x * scale
        return y if bias is None else y + bias

    x = el.ones(2)
    assert affine(x, None, 2.0).tolist() == [2, 2]
    assert affine(x, x, 2.0).tolist() == [3, 3]
    assert affine(x, None, 3.0).tolist() == [3, 3]


def test_under_a_trace_it_is_inlined():
    scaled, calls = make()
    run = el.jit(lambda x: scaled(x, x, by=3.0))
    assert run(el.ones(2)).tolist() == [3, 3]
    assert len(calls) == 1 and "multiply" in run.lower(el.ones(2)).graph


def test_equal_bits_alone_and_inside_of_a_program():
    @el.composite
    def softmax(x):
        e = (x - x.max(axis=-1, keepdims=True)).exp()
        return e / e.sum(axis=-1, keepdims=True)

    x = el.asarray(np.random.default_rng(0).normal(size=(7, 33)).astype(np.float32))
    step_by_step = softmax.function(x)
    np.testing.assert_array_equal(softmax(x).numpy(), step_by_step.numpy())
    np.testing.assert_array_equal(el.jit(softmax)(x).numpy(), step_by_step.numpy())


def test_refusals():
    total = el.zeros(())

    @el.composite
    def writes(x):
        total.assign(x.sum())
        return x

    with pytest.raises(TraceError, match=r"\[writes\] a composite must not change tensors from outside"):
        writes(el.ones(2))
    assert total.item() == 0

    @el.composite
    def gives_numbers(x):
        return x, 3

    with pytest.raises(TraceError, match=r"must return tensors"):
        gives_numbers(el.ones(2))
    scaled, _ = make()
    with pytest.raises(DTypeError, match=r"\[scaled\] argument by must be a tensor or hashable"):
        scaled(el.ones(2), el.ones(2), by=[1])
    kept = []
    el.jit(lambda x: kept.append(x * 2.0))(el.ones(2))
    with pytest.raises(LeakedTensorError):
        scaled(kept[0], el.ones(2))


def test_it_looks_like_its_function():
    scaled, _ = make()
    assert scaled.__name__ == "scaled" and scaled.__doc__ == "Docs."
