"""vmap: axes and containers, nesting, control flow, state, random numbers, errors."""

import numpy as np
import pytest

import elinvar as el
from elinvar import nn
from elinvar.core.errors import (
    AxisError,
    DTypeError,
    ShapeError,
    TraceError,
    ValueRangeError,
)
from tests.compiled import same_bits

pytestmark = pytest.mark.any_level

COUNT = 4
GENERATOR = el.random.Generator(4)


def setup_module():
    el.manual_seed(0)


def check(found, expected):
    assert found.shape == expected.shape
    assert found.dtype is expected.dtype
    assert same_bits(found.numpy(), expected.numpy())


def loop(function, *operands):
    """One example after the other, stacked."""
    return el.stack([function(*(x[n] for x in operands)) for n in range(operands[0].shape[0])])


# ---- axes and containers ------------------------------------------------------------------------


def test_axes_of_arguments_and_results():
    x, w = el.randn(3, COUNT, 2), el.randn(2, 5)
    found = el.vmap(lambda x, w: x @ w, in_axes=(1, None), out_axes=2)(x, w)
    check(found, el.stack([x[:, n] @ w for n in range(COUNT)], axis=2))
    found = el.vmap(lambda x, w: x @ w, in_axes=(-2, None), out_axes=-1)(x, w)
    check(found, el.stack([x[:, n] @ w for n in range(COUNT)], axis=2))


def test_containers_and_prefixes():
    state = {"w": el.randn(COUNT, 3), "b": (el.randn(3), el.randn(3, COUNT))}

    def function(state, factor, *, shift):
        first, second = state["b"]
        return [state["w"] * first, {"sum": second + shift, "none": None, "same": first * factor}]

    axes = ({"w": 0, "b": (None, 1)}, None)
    out = [0, {"sum": 1, "none": None, "same": None}]
    found = el.vmap(function, in_axes=axes, out_axes=out)(state, 2.0, shift=el.arange(COUNT))
    check(found[0], state["w"] * state["b"][0])
    check(found[1]["sum"], state["b"][1] + el.arange(COUNT))
    check(found[1]["same"], state["b"][0] * 2.0)
    assert found[1]["none"] is None


def test_values_of_python_and_numpy():
    x = np.arange(6.0, dtype=np.float32).reshape(3, 2)
    found = el.vmap(
        lambda x, scale, mode: x * scale if mode == "times" else x, in_axes=(0, None, None)
    )(x, 3, "times")
    assert found.tolist() == (x * 3).tolist()
    assert el.vmap(lambda x: (x, 1.5, True))(x)[1].tolist() == [1.5] * 3


def test_results_that_are_arguments_or_constants():
    x = el.randn(COUNT, 3)
    same, constant, captured = el.vmap(lambda v: (v, el.ones(2), x))(x)
    check(same, x)
    assert constant.shape == (COUNT, 2)
    assert captured.shape == (COUNT, COUNT, 3)
    assert same is not x


@pytest.mark.parametrize("count", [0, 1])
def test_few_examples(count):
    x, w = el.randn(count, 3), el.randn(3, 2)
    found = el.vmap(lambda v: el.tanh(v @ w).sum())(x)
    assert found.shape == (count,)
    gradient = el.grad(lambda w: el.vmap(lambda v: el.tanh(v @ w).sum())(x).sum())(w)
    assert gradient.shape == (3, 2)
    assert el.vmap(lambda v: el.psum(v, "i"), axis_name="i")(x).shape == (count, 3)


def test_axis_size_without_a_mapped_argument():
    x = el.randn(3)
    found = el.vmap(lambda v: v * el.axis_index("n"), in_axes=None, axis_size=2, axis_name="n")(x)
    check(found, el.stack([x * 0, x * 1]))


def test_tensors_from_outside_are_the_same_for_all():
    x, w = el.randn(COUNT, 3), el.randn(3)
    check(el.vmap(lambda v: v * w)(x), x * w)
    w.assign(w * 2)
    check(el.vmap(lambda v: v * w)(x), x * w)


# ---- composition --------------------------------------------------------------------------------


def smooth(x, w):
    return el.tanh(x @ w) * x.sum()


def test_gradients_to_arguments_and_captured_tensors():
    x, w = el.randn(COUNT, 3), el.randn(3, 2)
    x.requires_grad_()
    w.requires_grad_()
    el.vmap(lambda v: smooth(v, w))(x).sum().backward()
    gradient, x_gradient = w.grad, x.grad
    w.grad = x.grad = None
    for n in range(COUNT):
        smooth(x[n], w).sum().backward()
    check(x_gradient, x.grad)
    np.testing.assert_allclose(gradient.numpy(), w.grad.numpy(), rtol=1e-5, atol=1e-6)
    with el.no_grad():
        assert not el.vmap(lambda v: smooth(v, w))(x).requires_grad


def test_second_derivatives():
    x, w = el.randn(COUNT, 3), el.randn(3, 2)

    def penalty(call):
        return el.grad(lambda w: (el.grad(lambda w: call(w).sum())(w) ** 2).sum())(w)

    many = penalty(lambda w: el.vmap(lambda v: smooth(v, w))(x))
    one = penalty(lambda w: el.stack([smooth(x[n], w) for n in range(COUNT)]))
    np.testing.assert_allclose(many.numpy(), one.numpy(), rtol=1e-4, atol=1e-5)
    inner = el.vmap(
        lambda v: el.grad(lambda u: (el.grad(lambda t: smooth(t, w).sum())(u) ** 2).sum())(v)
    )
    check(
        inner(x),
        loop(
            lambda v: el.grad(lambda u: (el.grad(lambda t: smooth(t, w).sum())(u) ** 2).sum())(v), x
        ),
    )


def test_backward_and_pull_backs_inside():
    x = el.randn(COUNT, 3)

    def by_backward(v):
        leaf = v.detach().requires_grad_()
        (leaf.sin() * leaf).sum().backward()
        return leaf.grad

    def by_pull_back(v):
        value, pull_back = el.vjp(lambda u: u.sin() * u, v)
        return pull_back(el.ones_like(value))[0]

    def pushed(v):
        return el.jvp(lambda u: u.sin() * u.sum(), (v,), (el.ones_like(v),))[1]

    for function in (by_backward, by_pull_back, pushed):
        check(el.vmap(function)(x), loop(function, x))
        check(el.jit(el.vmap(function))(x), loop(function, x))


def test_a_pull_back_of_outside_is_mapped():
    x = el.randn(3)
    _, pull_back = el.vjp(lambda v: nn.functional.softmax(v.sin(), -1), x)
    rows = el.vmap(lambda seed: pull_back(seed)[0])(el.eye(3))
    check(rows, el.stack([pull_back(el.eye(3)[n])[0] for n in range(3)]))


def test_a_derivative_of_ones_own():
    @el.custom_vjp
    def straight(v):
        return el.round(v)

    straight.defvjp(lambda v: (el.round(v), v), lambda v, g: (g * v,))
    x = el.randn(COUNT, 3)
    expected = loop(el.grad(lambda v: (straight(v) ** 2).sum()), x)
    check(el.vmap(el.grad(lambda v: (straight(v) ** 2).sum()))(x), expected)
    check(el.grad(lambda v: (el.vmap(straight)(v) ** 2).sum())(x), expected)


def test_checkpoint_and_stopped_gradients():
    x = el.randn(COUNT, 3)

    def function(v):
        return (el.checkpoint(lambda u: el.tanh(u) * u, v) * v.detach()).sum()

    check(el.vmap(el.grad(function))(x), loop(el.grad(function), x))
    check(el.grad(lambda x: el.vmap(function)(x).sum())(x), loop(el.grad(function), x))


def test_jit_inside_and_outside():
    x, w = el.randn(COUNT, 3), el.randn(3, 2)
    step = el.jit(smooth)
    expected = loop(lambda v: smooth(v, w), x)
    check(el.vmap(step, in_axes=(0, None))(x, w), expected)
    outer = el.jit(el.vmap(smooth, in_axes=(0, None)))
    check(outer(x, w), expected)
    for count in (7, 5, 9):
        y = el.randn(count, 3)
        check(outer(y, w), loop(lambda v: smooth(v, w), y))
    assert outer.compilations == 2  # the second one serves all sizes


def test_one_program_for_equal_calls():
    x = el.randn(COUNT, 3)
    calls = []

    def function(v):
        calls.append(None)
        return v * 2

    for _ in range(3):
        check(el.vmap(function)(x), x * 2)
    assert len(calls) == 3  # traced anew, so that Python's state counts


# ---- control flow -------------------------------------------------------------------------------


def branches(v):
    return el.cond(v.sum() > 0, lambda u: u.sin(), lambda u: u * 3, v)


def shared_branch(v):
    return el.cond(el.asarray(True), lambda u: u.sin(), lambda u: u * 3, v)


def newton(v):
    return el.while_loop(lambda s: s.sum() < 20, lambda s: s * 1.5 + 1, v.abs())


def counted(v):
    first = (v, el.asarray(0))
    return el.while_loop(lambda s: s[1] < 3, lambda s: (s[0] * 1.5, s[1] + 1), first)[0]


def walked(v):
    return el.scan(lambda c, x: (el.tanh(c + x), c * x), v[0], v, reverse=True)[1]


def repeated(v):
    return el.fori_loop(0, 3, lambda i, s: s * 2 + i, v)


def infinite_elsewhere(v):
    return el.cond(v[0] > 0, lambda u: el.log(u[0]) * u, lambda u: u, v)


@pytest.mark.parametrize(
    "function",
    [branches, shared_branch, newton, counted, walked, repeated, infinite_elsewhere],
    ids=lambda f: f.__name__,
)
def test_control_flow(function):
    x = el.randn(COUNT, 3)
    expected = loop(function, x)
    check(el.vmap(function)(x), expected)
    check(el.jit(el.vmap(function))(x), expected)
    two = el.vmap(el.vmap(function))(el.stack([x, x * 2]))
    check(two, el.stack([expected, loop(function, x * 2)]))
    if function not in (newton, counted):
        gradients = loop(el.grad(lambda v: (function(v) ** 2).sum()), x)
        check(el.vmap(el.grad(lambda v: (function(v) ** 2).sum()))(x), gradients)
        check(el.grad(lambda x: (el.vmap(function)(x) ** 2).sum())(x), gradients)


def test_vmap_inside_of_control_flow():
    xs = el.randn(5, COUNT, 3)
    step = el.vmap(lambda c, x: el.tanh(c + x * 2))
    found = el.scan(lambda c, x: (step(c, x), None), el.zeros((COUNT, 3)), xs)[0]

    def one(xs):
        return el.scan(lambda c, x: (el.tanh(c + x * 2), None), el.zeros(3), xs)[0]

    check(found, el.vmap(one, in_axes=1)(xs))
    chosen = el.cond(xs.sum() > 0, el.vmap(el.vmap(branches)), el.vmap(el.vmap(walked)), xs)
    assert chosen.shape == xs.shape

    def total(xs):
        return el.scan(lambda c, x: (step(c, x), None), el.zeros((COUNT, 3)), xs)[0].sum()

    check(el.grad(total)(xs), el.grad(lambda xs: el.vmap(one, in_axes=1)(xs).sum())(xs))


# ---- state --------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::elinvar.ValueSemanticsWarning")
def test_local_tensors_may_be_changed():
    def function(v):
        total = el.zeros(3)
        for n in range(3):
            total += v * n
        v[0] = 7.0
        return total, v

    x = el.randn(COUNT, 3)
    before = x.numpy().copy()
    total, changed = el.vmap(function)(x)
    check(total, loop(lambda v: function(v)[0], el.asarray(before)))
    assert changed[:, 0].tolist() == [7.0] * COUNT
    assert same_bits(x.numpy(), before)


def test_what_is_the_same_for_all_may_be_written_outside():
    calls, x = el.asarray(0), el.randn(COUNT, 3)

    def function(v):
        calls.assign(calls + 1)
        return v * 2

    el.vmap(function)(x)
    assert calls.item() == 1  # once for all examples
    el.jit(el.vmap(function))(x)
    assert calls.item() == 2


def test_a_write_of_each_example_is_refused():
    held, x = el.zeros(3), el.randn(COUNT, 3)

    def function(v):
        held.assign(v)
        return v

    for run in (el.vmap(function), el.jit(el.vmap(function))):
        with pytest.raises(TraceError, match=r"each example would write another value .* f32\[3\]"):
            run(x)
    assert held.tolist() == [0.0, 0.0, 0.0]


def test_running_statistics():
    norm, x = nn.BatchNorm1d(3), el.randn(COUNT, 5, 3)
    with pytest.raises(TraceError, match=r"BatchNorm1d\.running_mean: f32\[3\]") as caught:
        el.vmap(norm)(x)
    assert "`.eval()`" in str(caught.value)
    assert "functional_call" in str(caught.value)
    norm.eval()
    check(el.vmap(norm)(x), loop(norm, x))
    norm.train()
    state = {name: el.stack([value] * COUNT) for name, value in norm.named_buffers()}

    def with_own(buffers, x):
        y = el.functional_call(norm, buffers, x)
        return y, buffers

    y, state = el.vmap(with_own)(state, x)
    for n in range(COUNT):
        fresh = nn.BatchNorm1d(3)
        check(y[n], fresh(x[n]))
        check(state["running_mean"][n], fresh.running_mean)


def test_gradients_left_outside_are_refused():
    w, x = el.randn(3).requires_grad_(), el.randn(COUNT, 3)

    def function(v):
        loss = (v * w).sum()
        loss.backward()
        return loss

    with pytest.raises(TraceError, match="must not leave a gradient in a tensor from outside"):
        el.vmap(function)(x)
    assert w.grad is None


# ---- random numbers -----------------------------------------------------------------------------


def test_random_numbers_have_to_be_asked_for():
    with pytest.raises(TraceError, match="randomness='different'"):
        el.vmap(lambda v: v + el.rand(3))(el.ones((COUNT, 3)))


def test_different_numbers_are_those_of_a_loop():
    x = el.ones((COUNT, 3, 5))
    drop = nn.Dropout(0.4)
    for shape in ((), (3,), (2, 5)):
        for draw in (
            lambda v, shape=shape: el.rand(*shape),
            lambda v, shape=shape: el.randn(*shape),
            drop,
        ):
            el.manual_seed(3)
            found = el.vmap(draw, randomness="different")(x)
            after = el.rand(2)
            el.manual_seed(3)
            check(found, loop(draw, x))
            check(after, el.rand(2))
            el.manual_seed(3)
            check(el.jit(el.vmap(draw, randomness="different"))(x), found)


def test_draws_from_distributions():
    weights = el.rand(COUNT, 5) + 0.1
    for draw in (
        lambda v: el.permutation(5),
        lambda v: el.multinomial(v, 3),
        lambda v: el.bernoulli(v / 2),
        lambda v: el.normal(v, 1.0),
        lambda v: el.randint(0, 10**12, (2,)),
        lambda v: el.uniform(-1.0, 1.0, (3,), dtype=el.float64),
        lambda v: el.rand(3, generator=GENERATOR),
    ):
        runs = []
        for run in (el.vmap(draw, randomness="different"), lambda w, draw=draw: loop(draw, w)):
            el.manual_seed(3)
            GENERATOR.manual_seed(4)
            runs.append(run(weights))
        check(*runs)


def test_a_second_run_draws_the_same():
    x, drop = el.randn(COUNT, 6), nn.Dropout(0.5)

    def gradient(keep):
        el.manual_seed(3)
        inner = (
            (lambda v: el.checkpoint(lambda u: drop(u).sin(), v))
            if keep
            else (lambda v: drop(v).sin())
        )
        return el.vmap(el.grad(lambda v: inner(v).sum()), randomness="different")(x)

    check(gradient(True), gradient(False))


def test_same_numbers():
    el.manual_seed(3)
    found = el.vmap(lambda v: v + el.rand(3), randomness="same")(el.zeros((COUNT, 3)))
    after = el.rand(2)
    el.manual_seed(3)
    check(found, el.stack([el.rand(3)] * COUNT))
    check(after, el.rand(2))


def test_random_numbers_of_nested_maps_and_loops():
    def noisy(v):
        return el.scan(lambda c, x: (c + x * el.rand(()), el.rand(2)), el.asarray(0.0), v)

    el.manual_seed(5)
    last, draws = el.vmap(noisy, randomness="different")(el.ones((COUNT, 6)))
    flat = draws.reshape(-1).tolist()
    assert len(set(flat)) == len(flat)
    assert len(set(last.tolist())) == COUNT
    nested = el.vmap(
        el.vmap(lambda v: v + el.rand(4), randomness="different"), randomness="different"
    )
    el.manual_seed(5)
    found = nested(el.zeros((2, 3, 4)))
    el.manual_seed(5)
    check(found, el.stack([el.stack([el.rand(4) for _ in range(3)]) for _ in range(2)]))
    mixed = el.vmap(el.vmap(lambda v: v + el.rand(4), randomness="same"), randomness="different")
    found = mixed(el.zeros((2, 3, 4)))
    check(found[:, 0], found[:, 1])
    assert not same_bits(found[0].numpy(), found[1].numpy())


# ---- errors -------------------------------------------------------------------------------------


ERRORS = {
    "no function": (lambda: el.vmap(3), DTypeError, "expected a function, received int"),
    "randomness": (
        lambda: el.vmap(abs, randomness="none"), ValueRangeError,
        "randomness must be one of 'error', 'different', 'same', received 'none'",
    ),
    "sizes": (
        lambda: el.vmap(el.add)(el.ones((3, 2)), el.ones((4, 2))), ShapeError,
        r"the number of examples differs: argument 0 has 3, argument 1 has 4 along axis 0",
    ),
    "size and axis_size": (
        lambda: el.vmap(abs, axis_size=2)(el.ones(3)), ShapeError, "axis_size has 2, argument 0 has 3"
    ),
    "axis": (
        lambda: el.vmap(abs, in_axes=2)(el.ones((3, 2))), AxisError,
        r"in_axes maps argument 0 along axis 2, but it has 2 axes: f32\[3,2\]",
    ),
    "a number": (
        lambda: el.vmap(el.add)(el.ones(3), 2.0), DTypeError,
        "in_axes maps argument 1 along axis 0, but it holds 2.0",
    ),
    "count of entries": (
        lambda: el.vmap(el.add, in_axes=(0,))(el.ones(3), el.ones(3)), ValueRangeError,
        "in_axes has 1 entries, but 2 arguments were passed",
    ),
    "structure": (
        lambda: el.vmap(lambda d: d["x"], in_axes=({"y": 0},))({"x": el.ones(3)}), ValueRangeError,
        r"in_axes {'y': 0} does not fit a dict with the keys 'x'",
    ),
    "kind of axes": (
        lambda: el.vmap(abs, in_axes="0")(el.ones(3)), ValueRangeError,
        "in_axes must be an int, None or a tuple, received '0'",
    ),
    "kind of an axis": (
        lambda: el.vmap(abs, in_axes=(0.5,))(el.ones(3)), ValueRangeError,
        "in_axes must hold ints and None, received 0.5",
    ),
    "nothing mapped": (
        lambda: el.vmap(abs, in_axes=None)(el.ones(3)), ValueRangeError, "no argument is mapped"
    ),
    "result axis": (
        lambda: el.vmap(abs, out_axes=3)(el.ones((3, 2))), AxisError,
        r"out_axes puts the examples along axis 3 of results f32\[2\]",
    ),
    "result for all": (
        lambda: el.vmap(abs, out_axes=None)(el.ones((3, 2))), TraceError,
        "out_axes is None for a result that differs between examples",
    ),
    "result": (
        lambda: el.vmap(lambda x: "text")(el.ones(3)), TraceError,
        "the function must return tensors, received 'text'",
    ),
    "branch": (
        lambda: el.vmap(lambda x: x if x.sum() > 0 else -x)(el.ones((3, 2))), TraceError,
        r"(?s)inside of `vmap` a bool\[\] has another value in each example.*test_vmap.py.*el.where",
    ),
    "branch in a branch": (
        lambda: el.vmap(
            lambda x: el.cond(x[0] > 0, lambda y: y if y[0] > 1 else -y, lambda y: y, x)
        )(el.ones((3, 2))), TraceError, "another value in each example",
    ),
    "number": (
        lambda: el.vmap(lambda x: float(x.sum()))(el.ones((3, 2))), TraceError,
        r"\[float\] inside of `vmap` a f32\[\] has another value",
    ),
    "shape by values": (
        lambda: el.vmap(lambda x: x[x > 0])(el.ones((3, 2))), TraceError, "depends on its values"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    call, kind, text = ERRORS[name]
    with pytest.raises(kind, match=text):
        call()


def test_an_error_inside_leaves_no_trace():
    x = el.ones((3, 2))
    with pytest.raises(ZeroDivisionError):
        el.vmap(lambda v: v * (1 // 0))(x)
    check(el.vmap(lambda v: v + 1)(x), x + 1)
