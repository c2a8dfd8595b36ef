"""vmap called eagerly: it traces in each call, as Python's state counts, and runs programs of before.
"""

import numpy as np
import pytest

import elinvar as el
from elinvar.graph.walk import content_key
from elinvar.tensor import batching
from elinvar.tensor.trace import Trace

pytestmark = pytest.mark.any_level


def kept():
    return len(batching._programs)


def same_bits(a, b):
    return a.numpy().tobytes() == b.numpy().tobytes()


def loss(w, x, y):
    return ((el.tanh(x @ w) - y) ** 2).mean()


def arguments():
    el.manual_seed(0)
    return el.randn(6, 3), el.randn(5, 6), el.randn(5, 3)


TRANSFORMS = {
    "vmap": lambda w, x, y: el.vmap(loss, in_axes=(None, 0, 0))(w, x, y),
    "vmap of grad": lambda w, x, y: el.vmap(el.grad(loss), in_axes=(None, 0, 0))(w, x, y),
    "grad of vmap": lambda w, x, y: el.grad(
        lambda w: el.vmap(loss, in_axes=(None, 0, 0))(w, x, y).sum()
    )(w),
    "jacrev": lambda w, x, y: el.jacrev(loss)(w, x[0], y[0]),
    "jacfwd": lambda w, x, y: el.jacfwd(loss)(w, x[0], y[0]),
    "hessian": lambda w, x, y: el.hessian(loss)(w, x[0], y[0]),
    "vmap of vmap": lambda w, x, y: el.vmap(el.vmap(loss, (None, 0, None)), (None, None, 0))(
        w, x, y
    ),
    "named": lambda w, x, y: el.vmap(
        lambda x, y: el.psum(loss(w, x, y), "n") + el.axis_index("n"), axis_name="n"
    )(x, y),
    "last axis": lambda w, x, y: el.vmap(loss, in_axes=(None, -1, 1), out_axes=-1)(w, x.T, y.T),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_second_call_makes_nothing_new_and_has_the_bits_of_jit(name):
    given = arguments()
    first = TRANSFORMS[name](*given)
    known = kept()
    again = TRANSFORMS[name](*given)
    assert kept() == known
    compiled = el.jit(TRANSFORMS[name])(*given)
    assert same_bits(first, again) and same_bits(first, compiled)


def test_python_state_counts():
    x = el.randn(4, 3)
    state = {"factor": 2.0, "sign": 1}
    table = el.ones(3)
    mapped = el.vmap(lambda v: v * state["factor"] * state["sign"] + table)
    first = mapped(x)
    assert same_bits(first, x * 2.0 + 1)
    state["factor"] = 3.0
    assert same_bits(mapped(x), x * 3.0 + 1)
    state["sign"] = True  # equal to 1, but another constant
    assert same_bits(mapped(x), x * 3.0 + 1)
    table += 1
    assert same_bits(mapped(x), x * 3.0 + 2)
    table = el.zeros(1)
    assert same_bits(mapped(x), x * 3.0)


@pytest.mark.parametrize("pair", [(0.0, -0.0), (1, 1.0), (True, 1), (2.0, 3.0)], ids=str)
def test_keys_tell_constants_apart(pair):
    def graph(value):
        with Trace("f") as trace:
            x = trace.input(el.ones(2)._type)
            y = trace.stand_in(el.full((2,), value, dtype=el.float32) if value != 1 else x * value)
            z = el.where(x > 0, x, y)
            return trace.builder.graph([trace.read(z)])

    assert content_key(graph(pair[0])) == content_key(graph(pair[0]))
    if pair[0] != pair[1] or str(pair[0]) == "0.0":
        assert content_key(graph(pair[0])) != content_key(graph(pair[1]))


def test_what_a_function_writes_and_returns():
    counter = el.zeros(2)
    x = el.randn(4, 2)

    def function(v):
        counter.assign(counter + 1)
        return v, counter, v[0]

    same, seen, first = el.vmap(function, out_axes=(0, None, 0))(x)
    same, seen, first = el.vmap(function, out_axes=(0, None, 0))(x)
    assert same_bits(same, x) and counter.tolist() == [2, 2] and seen.tolist() == [2, 2]
    assert same_bits(first, x[:, 0])
    same += 1
    assert not same_bits(same, x)


def test_numpy_arguments_and_empty_batches():
    x = np.arange(6, dtype=np.float32).reshape(3, 2)
    assert el.vmap(lambda v: v.sum())(x).tolist() == [1, 5, 9]
    assert el.vmap(lambda v: v.sum())(el.zeros((0, 2))).shape == (0,)


def test_gradients_of_gradients():
    w, x, y = arguments()
    w.requires_grad_()
    gradients = el.vmap(el.grad(loss), in_axes=(None, 0, 0))(w, x, y)
    (gradients**2).sum().backward()
    eager = w.grad
    w.grad = None

    @el.jit
    def compiled():
        found = el.vmap(el.grad(loss), in_axes=(None, 0, 0))(w, x, y)
        (found**2).sum().backward()

    compiled()
    assert same_bits(eager, w.grad)
