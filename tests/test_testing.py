"""el.testing: what it accepts, what it finds, and what it says then."""

import dataclasses
from collections import namedtuple

import numpy as np
import pytest
from machines import GPT

import elinvar as el
from elinvar import nn
from elinvar.core.errors import DTypeError, GradientError, ShapeError, ValueRangeError
from elinvar.testing import (
    CheckError,
    assert_allclose,
    assert_batch_equals_rows,
    assert_bitwise_equal,
    assert_eager_equals_jit,
    assert_same_on_threads,
    check_grads,
    ulp_distance,
)
from elinvar.testing.leaves import paths

F = nn.functional
nan, inf = float("nan"), float("inf")


def draw(*shape, dtype=el.float64, seed=0):
    return el.asarray(np.random.default_rng(seed).normal(size=shape), dtype=dtype)


def refusal(kind, check, *args, **kwargs):
    """The text of the error."""
    with pytest.raises(kind) as caught:
        check(*args, **kwargs)
    return str(caught.value)


# ---- bits -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", el.core.dtypes.ALL, ids=str)
def test_equal_bits_of_every_dtype(dtype):
    x = el.asarray([0, 1, 3, 1], dtype=dtype)
    assert_bitwise_equal(x, el.asarray([0, 1, 3, 1], dtype=dtype))
    assert_bitwise_equal(x[0], x[0])
    assert_bitwise_equal(x[:0], x[:0])
    assert_bitwise_equal(x.reshape(2, 2).mT, el.asarray([[0, 3], [1, 1]], dtype=dtype))
    text = refusal(CheckError, assert_bitwise_equal, x, el.asarray([0, 1, 0, 0], dtype=dtype))
    wrong = 2
    assert f"{wrong} of 4 elements differ, first at [2]" in text


def test_one_bit_is_found_and_shown():
    x = draw(3, 4, dtype=el.float32)
    bits = x.numpy().view(np.uint32).copy()
    bits[1, 2] ^= 1
    bits[2, 0] ^= 4
    y = el.asarray(bits.view(np.float32))
    text = refusal(CheckError, assert_bitwise_equal, {"layer": [x]}, {"layer": [y]})
    assert "at ['layer'][0]: 2 of 12 elements differ, first at [1,2]" in text
    assert f"left  {float(x[1, 2]):.9g} (0x{int(bits[1, 2]) ^ 1:08x})" in text
    assert f"(0x{int(bits[1, 2]):08x})" in text
    assert "largest distance: 4 ulp" in text
    assert "test_testing.py" in text


def test_zeros_and_nans():
    text = refusal(CheckError, assert_bitwise_equal, 0.0, -0.0)
    assert "(0x00000000)" in text and "(0x80000000)" in text and "largest distance: 0 ulp" in text
    quiet = np.array([0x7FC00000, 0xFFC00001], np.uint32).view(np.float32)
    other = np.array([0xFFC00000, 0x7FC00000], np.uint32).view(np.float32)
    assert_bitwise_equal(quiet, other)
    assert "(0x7fc00000)" in refusal(
        CheckError, assert_bitwise_equal, quiet, other, nan_payload=True
    )
    text = refusal(CheckError, assert_bitwise_equal, el.asarray([nan]), el.asarray([1.0]))
    assert "largest distance: a NaN and a number" in text


def test_dtypes_shapes_and_structures():
    text = refusal(CheckError, assert_bitwise_equal, el.ones(2), el.ones(2, dtype=el.float64))
    assert "the dtypes differ: f32[2] and f64[2]" in text
    text = refusal(CheckError, assert_bitwise_equal, [el.ones(2)], [el.ones(3)])
    assert "at [0]: the shapes differ: f32[2] and f32[3]" in text
    text = refusal(CheckError, assert_bitwise_equal, {"a": el.ones(2)}, [el.ones(2)])
    assert "the structures differ: {'a': ·} and [·]" in text
    text = refusal(DTypeError, assert_bitwise_equal, {"a": "x"}, {"a": "x"})
    assert "received str['a']" in text


def test_paths():
    pair = namedtuple("pair", "left right")
    point = dataclasses.make_dataclass("point", ["x", "y"])
    value = {"a": pair(1, None), "b": [point(2, (3, 4))]}
    assert paths(value) == ["['a'].left", "['b'][0].x", "['b'][0].y[0]", "['b'][0].y[1]"]
    assert paths(1) == [""] and paths(None) == []


class Pair:
    """A container of the user's."""

    def __init__(self, left, right):
        self.left, self.right = left, right


def test_containers_of_registered_classes():
    el.tree.register_pytree_node(
        Pair, lambda pair: ((pair.left, pair.right), None), lambda _, children: Pair(*children)
    )
    x = Pair(draw(2), {"a": draw(3)})
    assert paths(x) == ["[0]", "[1]['a']"]
    assert_bitwise_equal(x, Pair(draw(2), {"a": draw(3)}))
    text = refusal(CheckError, assert_bitwise_equal, x, Pair(draw(2), {"a": draw(3, seed=1)}))
    assert "at [1]['a']" in text
    check_grads(lambda pair: (pair.left.sum() * pair.right["a"]).sin(), (x,))


# ---- distances ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [el.float16, el.bfloat16, el.float32, el.float64], ids=str)
def test_ulp_distance(dtype):
    def far(a, b):
        return ulp_distance(el.asarray(a, dtype=dtype), el.asarray(b, dtype=dtype)).tolist()

    assert far([0.0, -0.0, 1.0, inf, -inf, nan], [-0.0, 0.0, 1.0, inf, -inf, nan]) == [0] * 6
    assert far([nan, 1.0], [0.0, nan]) == [2**64 - 1] * 2
    step = el.finfo(dtype).eps
    assert far([1.0, -1.0, 1.0], [1.0 + step, -1.0 - 3 * step, 1.0 + 2 * step]) == [1, 3, 2]
    least = el.finfo(dtype).smallest_normal * step
    assert far([0.0, least, -least], [least, -least, 0.0]) == [1, 2, 1]
    whole = far([-inf], [inf])[0]
    assert whole == 2 * (el.asarray([inf], dtype=dtype).numpy().view(f"u{dtype.itemsize}")[0])
    assert far([el.finfo(dtype).max], [inf]) == [1]


def test_ulp_distance_refuses_other_types():
    assert "received f32[1] and f64[1]" in refusal(
        DTypeError, ulp_distance, el.ones(1), el.ones(1, dtype=el.float64)
    )
    assert "received i64[1] and i64[1]" in refusal(
        DTypeError, ulp_distance, el.asarray([1]), el.asarray([1])
    )
    assert "f32[1] and f32[2]" in refusal(ShapeError, ulp_distance, el.ones(1), el.ones(2))


# ---- tolerances -----------------------------------------------------------------------------------


def test_allclose_takes_the_tolerance_of_the_less_precise_dtype():
    x = draw(50)
    for dtype, unit in ((el.float32, 1e-6), (el.float16, 3e-4), (el.bfloat16, 3e-3)):
        rounded = x.astype(dtype)
        assert_allclose(rounded, x)
        assert_allclose(rounded * 2, x * 2)
        with pytest.raises(CheckError):
            assert_allclose(rounded, x * (1 + 100 * unit))
    assert_allclose(1, el.asarray(1.0))
    assert_allclose(el.asarray([1.0, 2.0], dtype=el.float64) / 3, [1 / 3, 2 / 3])
    with pytest.raises(CheckError):
        assert_allclose(x, x + 1e-6)


def test_allclose_names_the_worst():
    x, y = el.asarray([[1.0, 2.0], [3.0, 4.0]]), el.asarray([[1.0, 2.1], [3.5, 4.0]])
    text = refusal(CheckError, assert_allclose, {"w": x}, {"w": y})
    assert "at ['w']: 2 of 4 elements are not close; the worst at [1,0]" in text
    assert "received 3, expected 3.5" in text and "off by 0.5, relatively 0.143" in text
    assert "rtol=1e-05, atol=0" in text
    assert_allclose(x, y, atol=0.6)
    assert_allclose(x, y, rtol=0.2)


def test_allclose_of_infinities_nans_and_whole_numbers():
    x = el.asarray([inf, -inf, nan])
    assert_allclose(x, x)
    with pytest.raises(CheckError):
        assert_allclose(x, x, equal_nan=False)
    with pytest.raises(CheckError):
        assert_allclose(el.asarray([inf]), el.asarray([-inf]), rtol=1.0)
    with pytest.raises(CheckError):
        assert_allclose(el.asarray([1e30]), el.asarray([inf]))
    with pytest.raises(CheckError):
        assert_allclose(el.asarray(2**60 + 1), el.asarray(2**60))
    assert_allclose(el.asarray([7, 8]), el.asarray([7, 9]), atol=1)


# ---- derivatives ----------------------------------------------------------------------------------


def test_right_derivatives_pass():
    x, w, places = draw(3, 4), draw(4, 5, seed=1), el.asarray([1, 0, 4])
    check_grads(lambda x, w: (x @ w).tanh(), (x, w))
    check_grads(lambda p, y: F.cross_entropy(p["x"] @ p["w"], y), ({"x": x, "w": w}, places), order=3)
    check_grads(lambda x, n, name: (x**n).sum(), (x, 3, "unused"))
    check_grads(lambda x, *, scale: x * scale, (x,), kwargs={"scale": x})
    check_grads(lambda x: (x.sum(), x.argmax(), [x * x]), x, modes="rev")
    check_grads(el.jit(lambda x: el.sin(x)), (x,), modes=["fwd"])
    check_grads(lambda x: el.scan(lambda c, r: (c * r, c.sin()), x[0], x)[1], (x,))


@pytest.mark.parametrize("dtype", [el.float16, el.bfloat16, el.float32], ids=str)
def test_narrow_dtypes_have_tolerances_of_their_own(dtype):
    x, w = draw(3, 4, dtype=dtype), draw(4, 2, dtype=dtype, seed=1)
    check_grads(lambda x, w: (x @ w).tanh().sum(), (x, w), order=1)
    check_grads(lambda x: x.sum() * 10, (10 * x,), order=1)


def test_complex_derivatives():
    x = el.complex(draw(2, 3), draw(2, 3, seed=1))
    check_grads(lambda x: el.abs(x * x + 1).sum(), (x,))
    check_grads(lambda x: el.exp(x) * el.conj(x), (x,), order=1)
    check_grads(lambda x: (x * x).real, (x.astype(el.complex64),), order=1)

    @el.custom_vjp
    def wrong(x):
        return x * x

    wrong.defvjp(lambda x: (x * x, x), lambda x, g: (g * 2 * x,))  # the conjugate is missing
    text = refusal(CheckError, check_grads, wrong, (x,), 1, "rev")
    assert "by args[0], c128[2,3], is wrong in mode 'rev'" in text and "j, received" in text


def squares(factor):
    """x², whose derivative is wrong by a factor."""

    @el.custom_vjp
    def square(x):
        return x * x

    square.defvjp(lambda x: (x * x, x), lambda x, g: (g * 2 * x * factor,))
    return square


def test_a_wrong_derivative_is_named():
    factor = el.asarray([1.0, 1.0, 1.001, 1.0], dtype=el.float64)
    x = {"w": draw(2, 4), "n": 3}
    text = refusal(CheckError, check_grads, lambda p: squares(factor)(p["w"]), (x,), 1, "rev")
    assert "the derivative of order 1 by args[0]['w'], f64[2,4], is wrong in mode 'rev'" in text
    assert "(from differences), received" in text and "direction: [" in text and "eps=7.63e-06" in text
    value = float(x["w"][0, 2])
    assert "worst element: [0,2]: expected" in text or "worst element: [1,2]: expected" in text
    text = refusal(CheckError, check_grads, lambda p: squares(factor)(p["w"]), (x,), 1, "fwd")
    assert "is wrong in mode 'fwd'" in text and ",2] of f64[2,4]" in text
    assert value


def test_a_wrong_second_derivative_is_named():
    @el.custom_vjp
    def cube(x):
        return x**3

    cube.defvjp(lambda x: (x**3, x), lambda x, g: (g * (3 * x * x).detach(),))
    x = draw(3)
    check_grads(cube, (x,), order=1, modes="rev")
    text = refusal(CheckError, check_grads, cube, (x,), 2, "rev")
    assert "the derivative of order 2 by args[0]" in text and "in mode 'rev of rev'" in text


def test_a_missing_gradient_is_found():
    x, w = draw(3), draw(3, seed=1)
    text = refusal(CheckError, check_grads, lambda x, w: x * w.detach(), (x, w), 1)
    assert "by args[1], f64[3]" in text
    text = refusal(CheckError, check_grads, lambda x: x.round() * 10, (el.asarray([0.5]),), 1)
    assert "expected" in text


def test_directions_are_those_of_the_seed():
    def text(seed):
        return refusal(CheckError, check_grads, squares(1.5), (draw(3),), 1, seed=seed)

    assert text(0) == text(0) != text(1)


def test_functions_that_are_not_functions():
    x, state, calls = draw(3), el.zeros(2), []

    def counts(x):
        state.assign(state + 1)
        return x * 2

    def changes(x):
        calls.append(1)
        return x * len(calls)

    text = refusal(CheckError, check_grads, lambda x: x * el.rand(3), (x,))
    assert "draws random numbers" in text and "hint: draw them before" in text
    for function in (counts, el.jit(counts)):
        text = refusal(CheckError, check_grads, function, (x,))
        assert "changes a tensor from outside, f32[2]" in text
        assert state.tolist() == [0, 0]
    text = refusal(CheckError, check_grads, changes, (x,))
    assert "gives other values when it is called again" in text


def test_tolerances_that_rounding_forbids():
    x = draw(3, dtype=el.float32)
    text = refusal(ValueRangeError, check_grads, el.sin, (x,), atol=1e-7, rtol=1e-7)
    assert "too tight for float32" in text and "pass float64 tensors" in text
    text = refusal(
        CheckError, check_grads, lambda x: x.sum() + 1000, (x,), 1, atol=7e-5, rtol=7e-5
    )
    assert "rounding in float32 can make such differences" in text


@pytest.mark.parametrize(
    ("kind", "arguments", "part"),
    [
        (GradientError, (el.sin, (1, "x")), "expected a floating tensor among the arguments"),
        (GradientError, (lambda x: x > 0, (draw(2),)), "gives no floating tensor"),
        (ValueRangeError, (el.sin, (draw(2),), 0), "order must be 1 or more, received 0"),
        (ValueRangeError, (el.sin, (draw(2),), 1, "back"), "modes must be 'fwd', 'rev' or both"),
        (ValueRangeError, (el.sin, (draw(2),), 1, "fwd", 0.0), "eps must be positive"),
    ],
)
def test_arguments_of_check_grads(kind, arguments, part):
    assert part in refusal(kind, check_grads, *arguments)


# ---- the contract ---------------------------------------------------------------------------------


def training_step():
    el.manual_seed(0)
    model = GPT()
    optimizer = el.optim.AdamW(model.parameters(), lr=0.01)

    def step(x, y):
        optimizer.zero_grad()
        logits = model(x)
        loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), y.reshape(-1))
        loss.backward()
        optimizer.step()
        return loss

    return model, step


def test_a_training_step_keeps_the_contract_and_the_state():
    model, step = training_step()
    x = el.asarray(np.random.default_rng(0).integers(0, 11, (3, 13)))
    before = model.state_dict()
    assert_eager_equals_jit(step, x, x)
    assert_eager_equals_jit(el.jit(step), x, x)
    assert_same_on_threads(step, x, x, threads=(1, 2))
    assert_bitwise_equal(model.state_dict(), before)
    assert_batch_equals_rows(model.eval(), x)


def test_what_differs_eager_and_jitted_is_found():
    from elinvar.tensor.trace import is_tracing

    x, state = draw(4), el.zeros((), dtype=el.float64)
    text = refusal(CheckError, assert_eager_equals_jit, lambda x: x * (2 + is_tracing()), x)
    assert "eager (left) and jitted (right) differ: 4 of 4 elements differ" in text

    def counts(x):
        state.assign(state + 1 + is_tracing())
        return x

    text = refusal(CheckError, assert_eager_equals_jit, counts, x)
    assert "in a tensor that the function changes, f64[]" in text
    assert state.item() == 0


def test_what_differs_between_threads_is_found():
    x, before = draw(4), el.get_num_threads()
    text = refusal(CheckError, assert_same_on_threads, lambda x: x * el.get_num_threads(), x)
    assert "1 (left) and 2 threads (right) differ" in text
    assert el.get_num_threads() == before
    text = refusal(ValueRangeError, assert_same_on_threads, el.sin, x, threads=())
    assert "at least one number of threads" in text


def test_what_differs_between_a_batch_and_its_rows_is_found():
    x, w = draw(5, 3), draw(3, 2)
    assert_batch_equals_rows(lambda p, w: (p["x"] @ w, [p["y"]]), {"x": x, "y": x}, w)
    text = refusal(CheckError, assert_batch_equals_rows, lambda x: x / x.sum(), x)
    assert "row 0 of the batch (left) and alone (right) differ: 3 of 3 elements" in text
    text = refusal(ShapeError, assert_batch_equals_rows, lambda x: x.sum(), x)
    assert "a result has no leading axis of size 5: f64[]" in text
    text = refusal(ShapeError, assert_batch_equals_rows, el.sin, [x, w])
    assert "expected tensors with one leading size, received [(3,), (5,)]" in text
