"""Operations along named axes, without another framework; beside JAX in tests/peers."""

import numpy as np
import pytest

import elinvar as el
from elinvar.core.errors import AxisError, ValueRangeError
from tests.compiled import same_bits

pytestmark = pytest.mark.any_level

COUNT = 4


def setup_module():
    el.manual_seed(0)


def check(found, expected):
    assert found.shape == expected.shape
    assert found.dtype is expected.dtype
    assert same_bits(found.numpy(), expected.numpy())


def test_some_examples_receive_nothing():
    x = el.randn(COUNT, 3)
    found = el.vmap(lambda v: el.ppermute(v, "i", [(0, 2), (1, 0)]), axis_name="i")(x)
    check(found, el.stack([x[1], el.zeros(3), x[0], el.zeros(3)]))
    weights = el.randn(COUNT, 3)

    def total(x):
        moved = el.vmap(lambda v: el.ppermute(v, "i", [(0, 2), (1, 0)]), axis_name="i")(x)
        return (moved * weights).sum()

    check(el.grad(total)(x), el.stack([weights[2], weights[0], el.zeros(3), el.zeros(3)]))


def test_named_axes_are_those_of_the_innermost_map():
    x = el.randn(2, COUNT)
    f = el.vmap(el.vmap(lambda v: el.psum(v, "i"), axis_name="i"), axis_name="i")
    check(f(x), el.broadcast_to(el.sum(x, axis=1, keepdims=True), (2, COUNT)))


def test_integers_and_flags_are_counted():
    found = el.vmap(lambda v: el.psum(v > 1, "i"), axis_name="i")(el.arange(4))
    assert found.tolist() == [2, 2, 2, 2]
    assert el.vmap(lambda v: el.psum(1, "i") * v, axis_name="i")(el.arange(3)).tolist() == [0, 3, 6]


def test_complex_numbers():
    x, w = el.randn(COUNT, 3) + 1j * el.randn(COUNT, 3), el.asarray([1j, 2.0, 1 - 1j])

    def function(v):
        return (v * w * v.conj() + v).sum()

    def loss(v):
        return el.abs(function(v))

    assert el.vmap(function)(x).tolist() == [function(x[n]).item() for n in range(COUNT)]
    assert el.vmap(el.grad(loss))(x).tolist() == [
        el.grad(loss)(x[n]).tolist() for n in range(COUNT)
    ]
    total = el.vmap(lambda v: el.psum(v, "i") - v, axis_name="i")(x)
    np.testing.assert_allclose(total.numpy(), (x.sum(axis=0) - x).numpy(), rtol=1e-5)
    moved = el.vmap(lambda v: el.ppermute(v, "i", [(0, 1)]), axis_name="i")(x)
    assert moved[1].tolist() == x[0].tolist()

    def shared(w):
        return el.vmap(lambda v: el.abs((v * w).sum()))(x).sum()

    rows = [el.grad(lambda w, n=n: el.abs((x[n] * w).sum()))(w).numpy() for n in range(COUNT)]
    np.testing.assert_allclose(el.grad(shared)(w).numpy(), sum(rows), rtol=1e-5)


ERRORS = {
    "axis name": (
        lambda: el.vmap(lambda x: el.psum(x, "j"), axis_name="i")(el.ones(3)), AxisError,
        "no mapped axis is called 'j'; there are 'i'",
    ),
    "no axis name": (
        lambda: el.psum(el.ones(3), "j"), AxisError, "no mapped axis is called 'j'"
    ),
    "a pair twice": (
        lambda: el.vmap(lambda x: el.ppermute(x, "i", [(0, 1), (2, 1)]), axis_name="i")(el.ones(3)),
        ValueRangeError, "a source or target stands in two pairs",
    ),
    "a pair beyond": (
        lambda: el.vmap(lambda x: el.ppermute(x, "i", [(0, 3)]), axis_name="i")(el.ones(3)),
        ValueRangeError, r"the pair \(0, 3\) is beyond the 3 examples of 'i'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    call, kind, text = ERRORS[name]
    with pytest.raises(kind, match=text):
        call()
