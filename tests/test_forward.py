"""Forward mode: rules by transposition, tangents over graphs and over the tape, nesting."""

import functools
import sys

import numpy as np
import pytest
from test_differentiate import COND, SAMPLES, scan

import elinvar as el
from elinvar.codegen.interpreter import interpret
from elinvar.core.errors import GradientError, GraphError, ShapeError
from elinvar.graph.ir import Builder
from elinvar.graph.regions import build_params
from elinvar.graph.text import parse_graph
from elinvar.graph.verify import verify
from elinvar.graph.walk import subgraphs
from elinvar.ops.record import Absent
from elinvar.ops.table import TABLE
from elinvar.passes.pipeline import optimize
from elinvar.tensor.tangents import linear_program
from elinvar.tensor.walk import Walk
from elinvar.transforms.differentiate import vjp_graph
from elinvar.transforms.forward import jvp_graph
from elinvar.transforms.transpose import transposed

pytestmark = [pytest.mark.slow, pytest.mark.any_level]  # many programs to compile


def bits(x):
    return x.numpy().tobytes()


def floating(values):
    return [i for i, value in enumerate(values) if value.dtype.is_inexact]


# ---- graphs -------------------------------------------------------------------------------------


def check_adjoint(graph, arrays, wrt=None):
    """⟨ȳ, ∂g·ẋ⟩ = ⟨ȳ·∂g, ẋ⟩: forward mode is the transpose of reverse mode, which the tests of
    reverse mode hold against finite differences."""
    rng = np.random.default_rng(5)
    wrt = floating(graph.inputs) if wrt is None else wrt
    outputs = floating(graph.outputs)
    forward = verify(jvp_graph(graph, wrt))
    backward = verify(vjp_graph(graph, wrt))
    assert forward.output_types == tuple(graph.outputs[i].type for i in outputs)
    values = interpret(graph, arrays)

    def drawn(like):
        found = rng.normal(size=np.shape(like)) + 1j * rng.normal(size=np.shape(like))
        return (found if np.iscomplexobj(like) else found.real).astype(like.dtype)

    def inner(xs, ys):
        return sum(float(np.sum(np.real(np.conj(x) * y))) for x, y in zip(xs, ys, strict=True))

    tangents, cotangents = [drawn(arrays[i]) for i in wrt], [drawn(values[i]) for i in outputs]
    one = inner(interpret(forward, [*arrays, *tangents]), cotangents)
    two = inner(interpret(backward, [*arrays, *cotangents]), tangents)
    tolerance = 1e-9 if arrays[wrt[0]].dtype in (np.float64, np.complex128) else 1e-3
    assert abs(one - two) <= tolerance * max(1.0, abs(one)), (one, two)


@pytest.mark.parametrize(("op", "sample"), SAMPLES)
def test_the_rule_of_every_op_is_the_transpose_of_its_derivative(op, sample):
    builder = Builder(capture_source=False)
    inputs = tuple(builder.input(kind) for kind in sample.types)
    graph = builder.graph(builder.add(op, inputs, build_params(sample.params)))
    check_adjoint(graph, list(sample.operands))
    for position in floating(graph.inputs):
        check_adjoint(graph, list(sample.operands), wrt=[position])
    check_adjoint(jvp_graph(graph, floating(graph.inputs)), [
        *sample.operands, *(sample.operands[i] for i in floating(graph.inputs))
    ])  # fmt: skip


def test_every_op_has_a_rule_or_says_that_it_has_none():
    """No derivative is other than linear in the cotangents, whatever the operands' types."""
    for op in TABLE:
        if isinstance(op.derivative, Absent):
            continue
        for sample in op.samples():
            builder = Builder(capture_source=False)
            inputs = tuple(builder.input(kind) for kind in sample.types)
            graph = builder.graph(builder.add(op, inputs, build_params(sample.params)))
            wrt = floating(graph.inputs)
            if wrt:
                jvp_graph(graph, wrt)


@pytest.mark.parametrize("sign", [1, -1])
def test_cond(sign):
    arrays = [sign * np.array([1.0, 2.0, 0.5]), np.array([0.1, 0.2, 0.3]), np.arange(3)]
    check_adjoint(parse_graph(COND), arrays)
    check_adjoint(parse_graph(COND), arrays, wrt=[0])


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [0, 1, 4])
def test_scan(reverse, length):
    rng = np.random.default_rng(3)
    arrays = [rng.normal(size=2), rng.normal(size=(length, 2)), rng.normal(size=2), np.array(0.4)]
    check_adjoint(scan(reverse), arrays)
    for wrt in ([0], [1], [2, 3], [3]):
        check_adjoint(scan(reverse), arrays, wrt)


def test_values_come_first_where_asked_and_zeros_where_nothing_flows():
    graph = parse_graph(
        "graph main(%0: f64[3], %1: f64[3]) { %2: f64[3] = sin %0 %3: f64[3] = cos %1 return %2, %3, %0 }"
    )
    both = verify(jvp_graph(graph, [0], outputs=[0, 1], values=True))
    x = np.array([0.0, 1.0, 2.0])
    found = interpret(both, [x, x, np.ones(3)])
    assert len(found) == 5
    np.testing.assert_allclose(found[3], np.cos(x), rtol=1e-15)
    np.testing.assert_array_equal(found[4], np.zeros(3))
    with pytest.raises(GradientError, match=r"\[jvp\] input 0 is i64\[3\]; only floating values have"):
        jvp_graph(parse_graph("graph main(%0: i64[3]) { return %0 }"), [0])
    square = parse_graph("graph main(%0: f64[3]) { %1: f64[3] = multiply %0, %0 return %1 }")
    with pytest.raises(GraphError, match="not linear"):
        transposed(square, [0], "square", vjp_graph)


def test_the_source_of_the_forward_node_stays():
    graph = parse_graph("graph main(%0: f64[3]) { %1: f64[3] = sin %0     # model.py:41 in head\nreturn %1 }")
    sources = {node.op_name: str(node.source) for node in jvp_graph(graph, [0]).nodes}
    assert sources["cos"] == sources["multiply"] == "model.py:41 in head"


# ---- over the tape ------------------------------------------------------------------------------

X = el.asarray([0.5, -1.25, 2.0], dtype=el.float64)
T = el.asarray([1.0, 0.25, -0.5], dtype=el.float64)
V = el.asarray([0.75, 1.5, -2.0], dtype=el.float64)


def branching(x):
    return el.exp(x) if x.sum().item() > 0 else x


def assigned(x):
    y = x * 2.0
    y[1:] = x[:2] * x[0]
    return y[::-1]


def looped(x):
    return el.while_loop(lambda s: s[0] < 7, lambda s: (s[0] + 1, el.sin(s[1]) * x), (el.asarray(0), x))[1]


def scanned(x):
    last, rows = el.scan(lambda c, r: (c * el.sin(r), c * r * x), x, el.stack([x, x * 2.0, x]))
    return last + rows.sum(0)


FUNCTIONS = {
    "elementwise": lambda x: el.sin(x) * el.exp(-x) / (1 + x * x),
    "product": lambda x: (el.outer(x, x) @ x) * x,
    "composite": lambda x: el.nn.functional.softmax(x * x, -1) + el.nn.functional.gelu(x),
    "jit": el.jit(lambda x: el.cos(x) * x.sum()),
    "indexing": assigned,
    "take": lambda x: el.take(x, el.asarray([2, 0, 0])) * x,
    "sort": lambda x: el.sort(x * x) * x,
    "while": looped,
    "scan": scanned,
    "cond": lambda x: el.cond(x.sum() > 0, lambda v: v * v * v, lambda v: v, x),
    "checkpoint": lambda x: el.checkpoint(lambda v: el.exp(el.sin(v)) * v, x),
    "stopped": lambda x: x * el.stop_gradient(x) + el.sin(x),
    "vmap": lambda x: el.vmap(lambda a, b: el.sin(a) * b + (x * a).sum())(x, el.flip(x)),
    "vmap of grad": lambda x: el.vmap(el.grad(lambda a: a**3 * x[0]))(x),
    "vmap along a name": el.vmap(lambda a: a * el.psum(a * a, "n"), axis_name="n"),
    "complex": lambda x: el.abs(el.exp(el.complex(x, x * x)) * el.complex(x, 1.0 + x)),
    "parts": lambda x: el.real(el.complex(x, x) ** 2.0) + el.imag(el.sqrt(el.complex(x, x * x))),
    "identity": lambda x: x,
    "constant": lambda x: el.ones(3, dtype=el.float64),
}
IN_REVERSE = {name: f for name, f in FUNCTIONS.items() if name != "while"}
WAYS = pytest.mark.parametrize("way", [lambda f: f, el.jit], ids=["eager", "jit"])


def slope(function, x, t, step=1e-6):
    return (function(x + step * t).numpy() - function(x - step * t).numpy()) / (2 * step)


@WAYS
@pytest.mark.parametrize("name", FUNCTIONS)
def test_jvp(name, way):
    function = FUNCTIONS[name]
    value, tangent = way(lambda x, t: el.jvp(function, (x,), (t,)))(X, T)
    assert bits(value) == bits(function(X))
    expected = X * T + el.cos(X) * T if name == "stopped" else None
    expected = slope(function, X, T) if expected is None else expected.numpy()
    np.testing.assert_allclose(tangent.numpy(), expected, rtol=1e-6, atol=1e-8)
    eager = el.jvp(function, (X,), (T,))[1]
    assert bits(tangent) == bits(eager)
    assert not tangent.requires_grad


@WAYS
@pytest.mark.parametrize("name", IN_REVERSE)
def test_second_derivatives_in_every_order(name, way):
    """Hessian times vector, four ways."""
    function = IN_REVERSE[name]

    def total(x):
        return (function(x) * V).sum()

    orders = [
        lambda x, t: el.jvp(el.grad(total), (x,), (t,))[1],
        lambda x, t: el.grad(lambda y: el.jvp(total, (y,), (t,))[1])(x),
        lambda x, t: el.grad(lambda y: (el.grad(total)(y) * t).sum())(x),
        lambda x, t: el.vjp(el.grad(total), x)[1](t)[0],
    ]
    found = [way(order)(X, T).numpy() for order in orders]
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=1e-11, atol=1e-12)
    if name != "stopped":
        np.testing.assert_allclose(found[0], slope(el.grad(total), X, T), rtol=1e-5, atol=1e-7)


@WAYS
@pytest.mark.parametrize("name", FUNCTIONS)
def test_jvp_of_jvp(name, way):
    function = FUNCTIONS[name]

    def inner(x, t):
        return el.jvp(function, (x,), (t,))[1]

    found = way(lambda x, t: el.jvp(lambda y: inner(y, t), (x,), (V,))[1])(X, T)
    assert bits(found) == bits(el.jvp(lambda y: inner(y, T), (X,), (V,))[1])
    if name != "stopped":
        expected = slope(lambda y: inner(y, T), X, V)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-7)


def test_jvp_of_python_that_looks_at_values():
    assert bits(el.jvp(branching, (X,), (T,))[1]) == bits(el.exp(X) * T)
    assert bits(el.jvp(branching, (-X,), (T,))[1]) == bits(T)


@WAYS
def test_complex_primals_and_tangents(way):
    z = el.asarray([1.0 + 2.0j, -0.5 + 0.25j], dtype=el.complex128)
    t = el.asarray([0.5 - 1.0j, 2.0 + 1.0j], dtype=el.complex128)
    function = lambda v: el.exp(v) * v / (1.0 + v * v)  # noqa: E731
    value, tangent = way(lambda z, t: el.jvp(function, (z,), (t,)))(z, t)
    expected = slope(function, z, t)
    assert value.dtype is tangent.dtype is el.complex128
    np.testing.assert_allclose(tangent.numpy(), expected, rtol=1e-6, atol=1e-8)
    assert bits(tangent) == bits(el.jvp(function, (z,), (t,))[1])


def test_custom_functions_under_vmap():
    for mode in ("vjp", "jvp"):
        if mode == "vjp":
            function = el.custom_vjp(lambda x, y: x * y)
            function.defvjp(lambda x, y: (x * y, (x, y)), lambda r, g: (g * r[1] * 10, g * r[0]))
        else:
            function = el.custom_jvp(lambda x, y: x * y)
            function.defjvps(lambda t, z, x, y: t * y * 10, lambda t, z, x, y: t * x)
        stepped = lambda x, y, f=function: el.scan(lambda c, _: (f(c, y), None), x, length=1)[0]  # noqa: E731
        for f in (function, stepped):
            assert el.vmap(f, in_axes=(0, None))(X, X[1]).tolist() == (X * X[1]).tolist()
            of_rows = lambda x, f=f: el.vmap(f, in_axes=(0, None))(x, X[1]).sum()  # noqa: E731
            assert el.grad(of_rows)(X).tolist() == [-12.5] * 3
            rows = el.vmap(el.grad(f), in_axes=(0, None))(X, X[1])
            assert rows.tolist() == [-12.5] * 3
            assert el.jvp(of_rows, (X,), (T,))[1].item() == (T * -12.5).sum().item()


# ---- nesting ------------------------------------------------------------------------------------

ONE = el.asarray(1.0)


@pytest.mark.parametrize("inner", ["grad", "jvp"])
@pytest.mark.parametrize("outer", ["grad", "jvp"])
@WAYS
def test_perturbations_are_not_confused(inner, outer, way):
    derivative = {
        "grad": el.grad,
        "jvp": lambda f: lambda x: el.jvp(f, (x,), (el.ones_like(x),))[1],
    }
    outside, inside = derivative[outer], derivative[inner]
    assert way(outside(lambda x: x * inside(lambda y: x + y)(ONE)))(ONE).item() == 1
    assert way(outside(lambda x: x * inside(lambda y: x * y)(ONE)))(el.asarray(3.0)).item() == 6
    assert way(outside(lambda x: inside(lambda y: x * y * y)(x)))(el.asarray(3.0)).item() == 12
    assert way(outside(lambda x: inside(lambda y: x)(x) + x))(ONE).item() == 1
    third = outside(lambda x: x * inside(lambda y: outside(lambda z: x * y * z * z)(y))(x))
    assert way(third)(el.asarray(2.0)).item() == 48  # of 4x³


def test_jvp_inside_of_backward_and_backward_inside_of_jvp():
    w = el.Tensor([1.0, 2.0], requires_grad=True)
    el.jvp(lambda x: x * x * w, (el.asarray([3.0, 4.0]),), (el.ones(2),))[1].sum().backward()
    assert w.grad.tolist() == [6, 8]

    def with_backward(x):
        leaf = el.Tensor([1.0, 1.0], requires_grad=True)
        (leaf * leaf * 3.0).sum().backward()
        return x * leaf.grad

    assert el.jvp(with_backward, (el.ones(2),), (el.ones(2),))[1].tolist() == [6, 6]


def test_a_tangent_may_be_on_the_tape():
    t = el.Tensor([1.0, 2.0], requires_grad=True)
    el.jvp(lambda x: x * x, (el.asarray([3.0, 4.0]),), (t,))[1].sum().backward()
    assert t.grad.tolist() == [6, 8]


def test_no_grad_hides_what_is_inside_and_not_the_result():
    def halved(x):
        with el.no_grad():
            y = x * 5.0
        return x + y

    assert el.jvp(halved, (ONE,), (ONE,))[1].item() == 1
    with el.no_grad():
        assert el.jvp(lambda x: x * x, (ONE,), (ONE,))[1].item() == 2


@WAYS
def test_transforms_inside_of_regions_are_differentiated(way):
    """A region is differentiated as a graph; what a transform inside of it made is a part of it."""
    cube = lambda v: v**3  # noqa: E731

    def stepped(inner):
        return lambda x: el.scan(lambda c, _: (c + inner(c), None), x, None, length=2)[0]

    def pushed(function, x):
        return el.jvp(function, (x,), (x,))[1]

    one = el.asarray(1.0)
    for inner in (
        el.grad(cube),
        lambda c: el.vjp(cube, c)[1](el.asarray(1.0))[0],
        lambda c: el.jvp(cube, (c,), (el.asarray(1.0),))[1],
    ):
        function = stepped(inner)
        assert way(el.grad(function))(one).item() == 175  # c + 3c² twice: (1 + 6c₁)(1 + 6c₀)
        assert way(functools.partial(pushed, function))(one).item() == 175
    value = lambda c: el.value_and_grad(cube)(c)[0]  # noqa: E731
    assert way(el.grad(stepped(value)))(one).item() == (1 + 3 * 4) * (1 + 3)
    w = el.Tensor(2.0, requires_grad=True)
    kept = stepped(lambda c: el.checkpoint(lambda v: v * w, c))
    assert way(el.grad(kept))(one).item() == 9
    kept(one).backward()
    assert w.grad.item() == 6


# ---- arguments ----------------------------------------------------------------------------------


def test_containers_and_aux():
    def function(p, x):
        y = p["w"] * x + p["b"][0]
        return {"y": y, "n": (y.sum(), 3)}, x.shape

    p = {"w": el.asarray([1.0, 2.0]), "b": [el.asarray(3.0)]}
    d = {"w": el.asarray([1.0, 0.0]), "b": [el.asarray(1.0)]}
    x = el.asarray([5.0, 6.0])
    value, tangent, aux = el.jvp(function, (p, x), (d, el.zeros(2)), has_aux=True)
    assert value["y"].tolist() == [8, 15] and aux == (2,)
    assert tangent["y"].tolist() == [6, 1] and tangent["n"][0].item() == 7
    assert tangent["n"][1].item() == 0 and tangent["n"][1].dtype is el.int64
    value, linear, aux = el.linearize(function, p, x, has_aux=True)
    assert linear(d, el.zeros(2))["y"].tolist() == [6, 1] and aux == (2,)


def test_a_result_is_not_the_callers_tensor():
    x, t = el.ones(2), el.ones(2)
    y, found = el.jvp(lambda v: v, (x,), (t,))
    y += 1.0
    found += 1.0
    assert x.tolist() == t.tolist() == [1, 1]


REFUSED = [
    (lambda: el.jvp(el.sin, (el.arange(3),), (el.ones(3),)), r"\[jvp\] primal 0 must be floating to be differentiated, received i64\[3\]"),
    (lambda: el.jvp(el.sin, (True,), (1.0,)), r"\[jvp\] primal 0 must be floating to be differentiated, received bool"),
    (lambda: el.jvp(el.sin, el.ones(3), el.ones(3)), r"\[jvp\] expected a tuple of primals, received Tensor"),
    (lambda: el.jvp(el.sin, (el.ones(3),), el.ones(3)), r"\[jvp\] expected a tuple with one tangent for each primal"),
    (lambda: el.jvp(el.add, (X, X), (X,)), r"\[jvp\] expected 2 tangents, one for each primal, received 1"),
    (lambda: el.jvp(lambda p: p["a"], ({"a": X},), ({"b": X},)), r"tangent 0 must have the structure of its primal: expected {'a': \*}, received {'b': \*}"),
    (lambda: el.jvp(el.sin, (X,), (el.ones(2),)), r"\[jvp\] tangent 0 must be like f64\[3\], received f32\[2\]"),
    (lambda: el.jvp(el.sin, (X,), (X > 0,)), r"\[jvp\] tangent 0 must be like f64\[3\], received bool\[3\]"),
    (lambda: el.jvp(3, (X,), (X,)), r"\[jvp\] expected a function, received int"),
    (lambda: el.jvp(el.sin, (X,), (X,), has_aux=True), r"\[jvp\] with has_aux the function must return \(value, aux\)"),
    (lambda: el.linearize(el.sin, X)[1](el.ones(2)), r"\[linearize\] tangent 0 must be like f64\[3\], received f32\[2\]"),
    (lambda: el.linearize(el.sin, X)[1](X, X), r"\[linearize\] expected 1 tangents, one for each primal, received 2"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "text"), REFUSED)
def test_bad_arguments(call, text):
    with pytest.raises((GradientError, ShapeError, TypeError), match=text):
        call()


def test_a_freed_tape_says_so():
    def function(x):
        y = x * x
        y.sum().backward()
        return y

    with pytest.raises(GradientError, match=r"\[jvp\] the tape of multiply was freed by an earlier"):
        el.jvp(function, (X,), (T,))


def test_an_error_names_the_line_of_the_operation():
    function = el.custom_vjp(lambda x: x * 1.0)
    function.defvjp(lambda x: (x * 1.0, None), lambda _, g: (el.concat([g, g]),))
    with pytest.raises(ShapeError, match=r"in the tangent of <lambda> at .*test_forward\.py"):
        el.jvp(function, (X,), (T,))


# ---- costs --------------------------------------------------------------------------------------


def products(function, *args):
    """How many matrix products the compiled program has."""
    graph = el.jit(function).lower(*args).optimized
    return str(graph).count("= contract")


def mlp(p, x):
    for w in p[:-1]:
        x = el.tanh(x @ w)
    return ((x @ p[-1]) ** 2).mean()


def test_a_hessian_times_a_vector_costs_a_few_gradients():
    """A gradient of L layers takes 3L - 1 products. The product with the Hessian takes three more
    for each, as each product has two factors, less those of inputs that do not move."""
    el.manual_seed(0)
    p = [el.randn(4, 8), el.randn(8, 8), el.randn(8, 2)]
    d, x = [el.randn(*w.shape) for w in p], el.randn(5, 4)
    gradient = products(el.grad(mlp), p, x)
    assert gradient == 8
    tangent = products(lambda p, d, x: el.jvp(lambda q: mlp(q, x), (p,), (d,))[1], p, d, x)
    assert tangent <= 3 + 5
    hvp = lambda p, d, x: el.jvp(lambda q: el.grad(mlp)(q, x), (p,), (d,))[1]  # noqa: E731
    assert products(hvp, p, d, x) <= 3 * gradient
    nodes = [len(el.jit(f).lower(*a).optimized.nodes) for f, a in ((el.grad(mlp), (p, x)), (hvp, (p, d, x)))]
    assert nodes[1] < 5 * nodes[0]


def test_a_gradient_along_a_line_reads_no_more_than_it_needs():
    """No product of the reverse pass is left in a forward program."""
    graph = optimize(
        jvp_graph(
            parse_graph(
                """graph main(%0: f32[5,4], %1: f32[4,3]) {
                    %2: f32[5,3] = contract %0, %1 {batch: ((), ()), axes: ((1,), (0,))}
                    %3: f32[5,3] = tanh %2 return %3 }"""
            ),
            [0, 1],
        )
    )
    assert str(graph).count("= contract") == 3


# ---- linearize ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FUNCTIONS)
def test_linearize(name):
    function = FUNCTIONS[name]
    value, linear = el.linearize(function, X)
    assert bits(value) == bits(function(X))
    for t in (T, V, T):
        assert bits(linear(t)) == bits(el.jvp(function, (X,), (t,))[1])
    assert bits(el.jit(linear)(T)) == bits(linear(T))
    inside = el.jit(lambda x, t: el.linearize(function, x)[1](t))
    assert bits(inside(X, T)) == bits(linear(T))


def test_the_linear_part_is_linear_and_can_be_transposed():
    _, linear = el.linearize(lambda x: el.sin(x) * x, X)
    pulled = el.vjp(linear, T)[1](V)[0]
    np.testing.assert_allclose(pulled.numpy(), el.vjp(lambda x: el.sin(x) * x, X)[1](V)[0].numpy(), rtol=1e-14)
    assert bits(el.jvp(linear, (T,), (V,))[1]) == bits(linear(V))


def test_the_linear_part_computes_nothing_of_the_function_again():
    """From the second call on: no sine, exponential or tanh in the program, composites included."""

    def function(x):
        return el.exp(el.sin(x)) * el.nn.functional.gelu(x) @ el.outer(x, el.tanh(x))

    _, linear = el.linearize(function, X)
    expected = [bits(el.jvp(function, (X,), (t,))[1]) for t in (T, V, T)]
    assert [bits(linear(t)) for t in (T, V, T)] == expected
    walk = Walk("linearize", False)
    given = walk.link(X, "x")
    walk.run(function, (given,), {})
    program = linear_program(walk)
    names = {node.op_name for node in program.graph.nodes}
    assert not names & {"sin", "cos", "exp", "erf", "tanh"} and "contract" in names
    assert bits(program([T])[0]) == expected[0]


def test_linearize_keeps_the_tape_outside():
    w = el.Tensor([1.0, 2.0, 3.0], dtype=el.float64, requires_grad=True)
    _, linear = el.linearize(lambda x: x * x * w, X)
    linear(T).sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), (2 * X * T).numpy())
    hessian = el.grad(lambda x: el.linearize(el.grad(lambda v: (v**3).sum()), x)[1](T).sum())(X)
    np.testing.assert_allclose(hessian.numpy(), 6 * T.numpy())




# ---- one loop for values and tangents ---------------------------------------------------------------

LOOPS = {
    "while_loop": lambda x: el.while_loop(lambda s: (s[0] < 5).all(), lambda s: (s[0] * 1.3 + 0.1, s[1] + 1), (x, el.asarray(0))),
    "scan": lambda x: el.scan(lambda c, r: (c * x + r, c.sum()), x, el.ones((5, 4), dtype="float64")),
    "fori_loop": lambda x: el.fori_loop(0, 6, lambda i, v: el.sin(v) * x, x),
    "nested": lambda x: el.fori_loop(0, 3, lambda i, v: el.fori_loop(0, 4, lambda j, w: el.sin(w) * x, v) + v, x),
    "two": lambda x: LOOPS["scan"](el.cos(LOOPS["fori_loop"](x)) + x),
}  # fmt: skip


def loops_of(graph):
    """How many loops a graph holds, at the top and inside of others."""
    here = [node for node in graph.nodes if node.op_name in ("scan", "while_loop")]
    inside = [loops_of(inner) for node in graph.nodes for inner in subgraphs(node).values()]
    return len(here) + sum(inside)


@pytest.mark.parametrize("name", LOOPS)
def test_one_loop_for_values_and_tangents(name, monkeypatch):
    """Compiled, the loop itself is read off the one with tangents; at once, it does not run."""
    f = LOOPS[name]
    x, t = el.asarray(np.linspace(0.5, 2, 4)), el.ones(4, dtype="float64")
    plain = el.tree.leaves(f(x))
    pushed = el.jit(lambda x, t: el.jvp(f, (x,), (t,)))
    assert loops_of(pushed.lower(x, t).optimized) == loops_of(el.jit(f).lower(x).optimized)

    def alone(op, *_):
        raise AssertionError(f"{op.name} ran without its tangents")

    if name != "nested":
        monkeypatch.setattr(sys.modules["elinvar.tensor.control"], "apply", alone)
    value, tangent = el.jvp(f, (x,), (t,))
    monkeypatch.undo()
    both = [*el.tree.leaves(value), *el.tree.leaves(tangent)]
    assert [y.numpy().tobytes() for y in both] == [y.numpy().tobytes() for y in el.tree.leaves(pushed(x, t))]
    assert [y.numpy().tobytes() for y in el.tree.leaves(value)] == [y.numpy().tobytes() for y in plain]
    slope = el.linearize(lambda x: [y for y in el.tree.leaves(f(x)) if y.dtype.kind == "f"], x)[1](t)
    floats = [y for y in el.tree.leaves(tangent) if y.dtype.kind == "f"]
    for one, other in zip(floats, slope, strict=False):
        np.testing.assert_allclose(one, other, rtol=1e-13)


def test_loops_with_tangents_are_differentiated_again():
    """Where tangents have derivatives of their own, loops run as before."""
    f = lambda x: el.fori_loop(0, 3, lambda i, v: el.sin(v) * x, x).sum()  # noqa: E731
    x, t = el.asarray([0.3, 0.8]), el.asarray([1.0, 2.0])
    slope = lambda x: el.jvp(f, (x,), (t,))[1]  # noqa: E731
    hessian = el.hessian(f)(x)
    np.testing.assert_allclose(el.grad(slope)(x), hessian @ t, rtol=1e-5)
    np.testing.assert_allclose(el.jvp(slope, (x,), (t,))[1], t @ hessian @ t, rtol=1e-5)
    x.requires_grad_()
    el.jvp(f, (x.detach() * 1.0,), (t * x,))[1].backward()
    np.testing.assert_allclose(x.grad, el.grad(f)(x.detach()) * t, rtol=1e-5)
