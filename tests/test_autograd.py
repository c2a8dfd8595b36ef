"""backward, the tape, gradient transforms, custom derivatives, control flow."""

import gc
import threading
import weakref

import numpy as np
import pytest

import elinvar as el
from elinvar.core.errors import GradientError, ShapeError, TraceError
from elinvar.tensor.dispatch import F
from elinvar.tensor.tape import record_call

pytestmark = pytest.mark.any_level


def leaf(*values):
    return el.Tensor(list(values), requires_grad=True)


def numeric(function, x, step=1e-3):
    """Central differences in float64 of a function of a float64 array."""
    found = np.zeros_like(x)
    for place in np.ndindex(*x.shape):
        up, down = x.copy(), x.copy()
        up[place] += step
        down[place] -= step
        found[place] = (function(up) - function(down)) / (2 * step)
    return found


# backward


def test_gradients_add_up_in_leaves():
    x = leaf(1.0, 2.0)
    (x * x).sum().backward()
    assert x.grad.tolist() == [2, 4]
    held = x.grad
    (x * 3.0).sum().backward()
    assert x.grad is held
    assert x.grad.tolist() == [5, 7]
    assert x.grad.is_leaf and not x.grad.requires_grad


def test_a_value_used_twice():
    x = leaf(2.0)
    y = x * x
    (y * y + y).sum().backward()
    assert x.grad.tolist() == [4 * 8 + 4]


def test_against_finite_differences():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(3, 4))

    def program(x):
        y = x.T @ x
        z = (y * 0.5).exp().sum(axis=0)
        return (z / (1.0 + z)).sum() - x.flip((0,))[1:, ::2].prod() + x.max()

    x = el.Tensor(a, requires_grad=True)
    assert x.dtype is el.float64
    program(x).backward()
    expected = numeric(lambda v: program(el.asarray(v)).item(), a)
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-6, atol=1e-8)


def test_broadcasting_sums_gradients():
    x, b = el.Tensor(np.ones((4, 3), np.float32), requires_grad=True), leaf(1.0, 2.0, 3.0)
    (x * b).sum().backward()
    assert b.grad.tolist() == [4, 4, 4]
    assert x.grad.tolist() == [[1, 2, 3]] * 4


def test_gradients_of_views_are_packed():
    x = el.Tensor(np.ones((2, 3), np.float32), requires_grad=True)
    x.T.sum().backward()
    assert x.grad._layout.is_dense


def test_non_dense_operands_of_a_composite_keep_their_tape():
    @el.composite
    def double(x):
        return x + x

    x = el.Tensor(np.arange(6, dtype=np.float32).reshape(2, 3), requires_grad=True)
    (double(x.T) * el.asarray([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])).sum().backward()
    assert x.grad.tolist() == [[2, 6, 10], [4, 8, 12]]


def test_integers_and_comparisons_carry_no_gradient():
    x = leaf(1.0, -1.0)
    assert not (x > 0).requires_grad
    assert not x.argmax().requires_grad
    y = el.where(x > 0, x, x * 2.0)
    y.sum().backward()
    assert x.grad.tolist() == [1, 2]


def test_long_chains_need_no_recursion():
    x = leaf(1.0)
    y = x
    for _ in range(20_000):
        y = y + 1.0
    y.sum().backward()
    assert x.grad.tolist() == [1]
    del y


def test_the_tape_keeps_only_what_backward_reads():
    x = leaf(1.0, 2.0)
    y = x * 2.0
    big = y + 1.0  # addition needs no values
    seen = weakref.ref(y)
    buffer_of_y = y._buffer.address
    del y
    gc.collect()
    assert seen() is None
    held = big._node.operands[0]
    assert held[0] is None and held[4] is not None
    assert buffer_of_y
    big.sum().backward()
    assert x.grad.tolist() == [2, 2]


def test_backward_frees_the_tape():
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    y.backward()
    with pytest.raises(GradientError, match=r"tape of sum was freed.*\n.*test_autograd.py:\d+.*y = \(x \* x\).sum\(\)\n.*retain_graph=True"):
        y.backward()
    z = (x * x).sum()
    z.backward(retain_graph=True)
    z.backward()
    assert x.grad.tolist() == [6, 12]


def test_backward_refuses_what_it_cannot_do():
    x = leaf(1.0, 2.0)
    with pytest.raises(GradientError, match=r"\[backward\] a gradient can start at one number only, received f32\[2\]"):
        (x * x).backward()
    with pytest.raises(GradientError, match=r"f32\[2\] does not require a gradient"):
        (x.detach() * 2.0).sum(axis=None, keepdims=False).reshape(1).expand(2).backward()
    with pytest.raises(ShapeError, match="must have its shape"):
        (x * x).backward(el.ones(3))
    (x * x).backward(el.asarray([1.0, 10.0]))
    assert x.grad.tolist() == [2, 40]


def test_errors_in_backward_show_the_forward_line():
    x = leaf(1.0, 2.0)
    y = F.stop_gradient(x)
    assert not y.requires_grad

    def broken(operands, results, cotangents):
        return [F.add(cotangents[0], el.ones(3))]

    z = x.detach()
    record_call("broken", broken, [x], [z])
    with pytest.raises(ShapeError, match=r"in the backward of broken at test_autograd.py:\d+ in test_errors_in"):
        z.sum().backward()


def test_while_loop_has_no_derivative():
    x = leaf(1.0)
    y = el.while_loop(lambda v: v.sum() < 10, lambda v: v * 2.0, x)
    with pytest.raises(GradientError, match=r"\[while_loop\] reverse mode needs a fixed trip count"):
        y.sum().backward()


# leaves and modes


def test_leaves_are_protected_while_recording():
    x = leaf(1.0, 2.0)
    with pytest.raises(GradientError, match=r"\[assign\] a leaf tensor that requires a gradient must not be changed"):
        x.assign(el.zeros(2))
    with el.no_grad():
        x -= 1.0
    assert x.tolist() == [0, 1] and x.requires_grad and x.is_leaf


def test_in_place_operations_go_on_the_tape():
    x = leaf(1.0, 2.0)
    y = x * 2.0
    before = y
    y += x  # rebinds the cell
    assert y is before
    (y * y).sum().backward()
    assert x.grad.tolist() == [18, 36]


def test_backward_sees_values_of_the_time():
    x, w = leaf(1.0, 2.0), el.Tensor([3.0, 4.0])
    y = x * w
    w += 100.0
    y.sum().backward()
    assert x.grad.tolist() == [3, 4]


def test_modes_as_contexts_and_decorators():
    x = leaf(1.0)

    @el.no_grad()
    def first(v):
        return v * 2.0

    @el.no_grad
    def second(v):
        with el.enable_grad():
            assert (v * 2.0).requires_grad
        return v * 2.0

    assert not first(x).requires_grad and not second(x).requires_grad
    with el.inference_mode():
        assert not (x * 2.0).requires_grad
        assert not el.is_grad_enabled()
    assert el.is_grad_enabled()
    with pytest.raises(ZeroDivisionError), el.no_grad():
        1 / 0
    assert el.is_grad_enabled()


def test_modes_belong_to_threads():
    seen = []
    with el.no_grad():
        thread = threading.Thread(target=lambda: seen.append(el.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_requires_grad_flags():
    x = el.zeros(2)
    assert x.is_leaf and not x.requires_grad and x.grad is None
    assert x.requires_grad_() is x and x.requires_grad
    y = x * 2.0
    with pytest.raises(GradientError, match="only leaf tensors"):
        y.requires_grad_(False)
    x.requires_grad_(False)
    assert not x.requires_grad
    with pytest.raises(GradientError, match=r"only floating tensors can require a gradient, received i64\[2\]"):
        el.asarray([1, 2]).requires_grad_()


def test_detach_and_stop_gradient():
    x = leaf(2.0)
    (x * x.detach()).sum().backward()
    assert x.grad.tolist() == [2]
    x.grad = None
    (x * F.stop_gradient(x)).sum().backward()
    assert x.grad.tolist() == [2]


# hooks


def test_hooks_see_and_replace_gradients():
    x = leaf(1.0, 2.0)
    seen = []
    y = x * 2.0
    first = y.register_hook(lambda g: seen.append(g.tolist()))
    second = x.register_hook(lambda g: g * 10.0)
    y.sum().backward()
    assert seen == [[1, 1]] and x.grad.tolist() == [20, 20]
    first.remove()
    second.remove()
    second.remove()
    x.grad = None
    (x * 2.0).sum().backward()
    assert x.grad.tolist() == [2, 2] and len(seen) == 1
    with pytest.raises(GradientError, match="a hook needs"):
        el.zeros(1).register_hook(print)


def test_retain_grad():
    x = leaf(1.0, 2.0)
    y = x * 3.0
    y.retain_grad()
    (y * y).sum().backward()
    assert y.grad.tolist() == [6, 12]


def test_assigning_grad_is_checked():
    x = leaf(1.0, 2.0)
    x.grad = el.ones(2)
    x.sum().backward()
    assert x.grad.tolist() == [2, 2]
    with pytest.raises(ShapeError, match=r"\[grad\] the gradient of f32\[2\] cannot be f32\[3\]"):
        x.grad = el.ones(3)


# higher orders


def test_double_backward():
    x = leaf(1.0, 2.0)
    y = (x * x * x).sum()
    y.backward(create_graph=True)
    first = x.grad
    assert first.requires_grad
    x.grad = None
    first.sum().backward()
    assert x.grad.tolist() == [6, 12]


@pytest.mark.parametrize("inner", [lambda f: f, el.jit], ids=["eager", "jit"])
@pytest.mark.parametrize("outer", [lambda f: f, el.jit], ids=["eager", "jit"])
def test_transforms_nest(inner, outer):
    def power(x):
        return x * x * x * x

    third = outer(el.grad(el.grad(el.grad(inner(power)))))
    assert third(el.asarray(2.0)).item() == 48


def test_value_and_grad_of_containers():
    def loss(params, x, scale):
        return (params["w"] * x + params["b"][0]).sum() * scale, {"x": x}

    params = {"w": el.asarray([1.0, 2.0]), "b": [el.asarray(0.5)]}
    run = el.value_and_grad(loss, has_aux=True)
    (value, aux), gradients = run(params, el.asarray([3.0, 4.0]), 2.0)
    assert value.item() == 24 and aux["x"].tolist() == [3, 4]
    assert gradients["w"].tolist() == [6, 8] and gradients["b"][0].item() == 4
    assert not value.requires_grad and not gradients["w"].requires_grad
    gx, gs = el.grad(lambda x, s: (x * s).sum(), argnums=(0, 1))(el.asarray([1.0, 2.0]), 3.0)
    assert gx.tolist() == [3, 3] and gs.item() == 3


def test_grad_gives_zeros_where_nothing_flows():
    assert el.grad(lambda x: el.ones(()) * 2.0)(el.asarray([1.0, 2.0])).tolist() == [0, 0]


def test_grad_passes_gradients_on_to_captured_leaves():
    w = leaf(1.0, 2.0)
    g = el.grad(lambda x: (x * x * w).sum())(el.asarray([3.0, 4.0]))
    assert g.requires_grad
    g.sum().backward()
    assert w.grad.tolist() == [6, 8]


def test_the_argument_and_the_captured_tensor_are_different():
    x = leaf(3.0)
    assert el.grad(lambda v: (v * x).sum())(x).tolist() == [3]


def test_grad_refuses():
    with pytest.raises(GradientError, match=r"\[grad\] the function must return one floating number, received f32\[2\]"):
        el.grad(lambda x: x)(el.ones(2))
    with pytest.raises(GradientError, match=r"argument 0 must be floating to be differentiated, received i64\[\]"):
        el.grad(lambda x: x)(3)
    with pytest.raises(GradientError, match="argnums names argument 2, but 1 were passed"):
        el.grad(lambda x: x.sum(), argnums=2)(el.ones(2))


def test_vjp_and_jvp():
    def function(x, y):
        return {"product": x * y, "sum": x.sum()}

    x, y = el.asarray([1.0, 2.0]), el.asarray([3.0, 4.0])
    result, pull_back = el.vjp(function, x, y)
    assert result["product"].tolist() == [3, 8]
    for _ in range(2):
        gx, gy = pull_back({"product": el.asarray([1.0, 10.0]), "sum": el.asarray(100.0)})
        assert gx.tolist() == [103, 140] and gy.tolist() == [1, 20]
    result, tangent = el.jvp(function, (x, y), (el.asarray([1.0, 0.0]), el.asarray([0.0, 1.0])))
    assert tangent["product"].tolist() == [3, 2] and tangent["sum"].item() == 1
    assert not tangent["sum"].requires_grad


# functions with a derivative of their own


@pytest.mark.parametrize("how", [lambda f: f, el.jit], ids=["eager", "jit"])
def test_custom_vjp(how):
    @el.custom_vjp
    def clipped(x, bound):
        return x.clip(-1.0, 1.0) + bound * 0.0

    def forward(x, bound):
        return clipped.function(x, bound), x

    clipped.defvjp(forward, lambda x, g: (g * 10.0 * x, None))
    value = how(lambda x: clipped(x, el.asarray(1.0)).sum())
    assert el.grad(value)(el.asarray([0.5, 3.0])).tolist() == [5, 30]
    assert how(el.grad(lambda x: el.grad(value)(x).sum()))(el.asarray([0.5, 3.0])).tolist() == [10, 10]


def test_custom_vjp_without_a_derivative():
    function = el.custom_vjp(lambda x: x)
    with pytest.raises(GradientError, match="has no derivative yet"):
        function(leaf(1.0))


# control flow


@pytest.mark.parametrize("how", [lambda f: f, el.jit], ids=["eager", "jit"])
class TestControlFlow:
    def test_cond(self, how):
        w = leaf(2.0, 3.0)
        run = how(lambda p, x: el.cond(p, lambda v: v * w, lambda v: v - w, x).sum())
        x = el.asarray([1.0, 10.0])
        assert run(el.asarray(True), x).item() == 32
        assert run(el.asarray(False), x).item() == 6
        run(el.asarray(True), x).backward()
        assert w.grad.tolist() == [1, 10]
        assert el.grad(lambda v: run(el.asarray(False), v))(x).tolist() == [1, 1]

    def test_cond_writes_what_the_branch_writes(self, how):
        total = el.zeros(2)

        def add(x):
            total.assign(total + x)
            return x

        run = how(lambda p, x: el.cond(p, add, lambda v: v, x))
        run(el.asarray(True), el.asarray([1.0, 2.0]))
        run(el.asarray(False), el.asarray([5.0, 5.0]))
        assert total.tolist() == [1, 2]

    def test_while_loop(self, how):
        limit = el.asarray(50.0)
        run = how(lambda x: el.while_loop(lambda s: s[0] < limit, lambda s: (s[0] * 3.0, s[1] + 1), (x, el.asarray(0))))
        value, steps = run(el.asarray(1.0))
        assert (value.item(), steps.item()) == (81, 4)
        assert run(el.asarray(60.0))[1].item() == 0

    def test_scan(self, how):
        w = leaf(0.5, 2.0)

        def body(carry, x):
            carry = carry * w + x["a"]
            return carry, {"sum": carry.sum(), "x": x["a"]}

        def run(xs):
            return el.scan(body, el.zeros(2), {"a": xs})

        xs = el.asarray(np.arange(6, dtype=np.float32).reshape(3, 2))
        carry, ys = how(run)(xs)
        expected, rows = np.zeros(2, np.float32), []
        for row in xs.numpy():
            expected = expected * w.numpy() + row
            rows.append(expected.sum())
        np.testing.assert_array_equal(carry.numpy(), expected)
        np.testing.assert_array_equal(ys["sum"].numpy(), rows)
        np.testing.assert_array_equal(ys["x"].numpy(), xs.numpy())
        loss = how(lambda v: run(v)[1]["sum"].sum())
        loss(xs).backward()
        held, w.grad = w.grad.tolist(), None

        def unrolled(v):
            carry, total = el.zeros(2), 0.0
            for i in range(3):
                carry = carry * w + v[i]
                total = total + carry.sum()
            return total

        unrolled(xs).backward()
        assert held == w.grad.tolist()
        assert el.grad(loss)(xs).tolist() == el.grad(unrolled)(xs).tolist()

    def test_scan_in_reverse_and_without_sequences(self, how):
        run = how(lambda xs: el.scan(lambda c, x: (c + x, c), el.asarray(0), xs, reverse=True)[1])
        assert run(el.asarray([1, 2, 3])).tolist() == [5, 3, 0]
        last, nothing = how(lambda x: el.scan(lambda c, _: (c * 2.0, None), x, length=3))(el.asarray(1.0))
        assert last.item() == 8 and nothing is None

    def test_scan_carries_the_cells_that_its_body_writes(self, how):
        el.manual_seed(1)
        run = how(lambda x: el.scan(lambda c, _: (c, el.rand(2)), x, length=3)[1])
        drawn = run(el.zeros(())).numpy()
        el.manual_seed(1)
        np.testing.assert_array_equal(drawn, np.stack([el.rand(2).numpy() for _ in range(3)]))

    def test_fori_loop(self, how):
        x = el.asarray([1.0, 2.0])
        run = how(lambda v: el.fori_loop(1, 4, lambda i, s: s * v, v))
        assert run(x).tolist() == [1, 16]
        assert el.grad(lambda v: run(v).sum())(x).tolist() == [4, 32]
        free = how(lambda n, v: el.fori_loop(0, n, lambda i, s: s + i, v))
        assert free(el.asarray(5), el.asarray(0)).item() == 10


def test_control_flow_refuses():
    with pytest.raises(ShapeError, match=r"\[scan\] the body carries on \(f32\[2\]\), expected \(f32\[\]\)"):
        el.scan(lambda c, x: (el.zeros(2), None), el.zeros(()), length=2)
    with pytest.raises(ShapeError, match=r"\[cond\] the branches return different types: f32\[2\] and f32\[\]"):
        el.cond(el.asarray(True), lambda: el.zeros(2), lambda: el.zeros(()))
    with pytest.raises(TraceError, match="pair"):
        el.scan(lambda c, x: c, el.zeros(()), length=2)


def test_what_is_stopped_has_no_tape():
    """Also in a trace: a function without a derivative takes it."""

    def function(a, x):
        stopped = el.stop_gradient(a)
        assert not stopped.requires_grad
        return (stopped * x).sum()

    found = el.jit(el.grad(function, argnums=(0, 1)))(el.ones(3), el.ones(3))
    assert [g.tolist() for g in found] == [[0.0] * 3, [1.0] * 3]


@pytest.mark.parametrize("reader", ["jit", "vmap", "cond", "scan", "composite"])
def test_a_captured_result_keeps_its_place_on_the_tape(reader):
    """The second result of an operation that has several: its gradient does not go to the first."""
    two = el.composite(lambda x: (x * 2, x * 3))

    def read(b):
        match reader:
            case "jit":
                return el.jit(lambda t: t * b)(el.ones(3))
            case "vmap":
                return el.vmap(lambda t: t * b)(el.ones(3))
            case "cond":
                return el.cond(el.asarray(True), lambda t: t * b, lambda t: t, el.ones(3))
            case "scan":
                return el.scan(lambda carry, t: (carry + t * b, None), el.zeros(3), el.ones((1, 3)))[0]
        return el.composite(lambda t, b: t * b)(el.ones(3), b)

    x = el.Tensor([1.0, 1.0, 1.0], requires_grad=True)
    _, b = two(x)
    read(b).sum()
    (read(b).sum() + 0 * b.sum()).backward()
    factor = 3.0 if reader != "vmap" else 9.0
    assert x.grad.tolist() == [factor] * 3


def test_a_hessian_through_a_decomposition():
    hessian = el.jacfwd(el.jacrev(lambda v: el.linalg.eigh(el.outer(v, v) + el.diag(el.asarray([1.0, 2.0, 4.0])))[0].sum()))
    assert el.allclose(hessian(el.ones(3)), 2 * el.eye(3), atol=1e-4)
