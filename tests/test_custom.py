"""custom_vjp and custom_jvp: rules of one's own, in both modes, in regions, nested."""

import functools

import numpy as np
import pytest

import elinvar as el
from elinvar.core.errors import GradientError, ShapeError
from elinvar.graph.text import parse_graph
from elinvar.passes.unfold import unfold

pytestmark = [pytest.mark.slow, pytest.mark.any_level]  # many programs to compile

WAYS = pytest.mark.parametrize("way", [lambda f: f, el.jit], ids=["eager", "jit"])


def by_vjp():
    """x · y, with derivatives that are 10 and 100 times too large, so that one sees whose they are."""

    @el.custom_vjp
    def product(x, y):
        return x * y

    product.defvjp(lambda x, y: (x * y, (x, y)), lambda r, g: (g * r[1] * 10, g * r[0] * 100))
    return product


def by_jvp():
    @el.custom_jvp
    def product(x, y):
        return x * y

    @product.defjvp
    def rule(primals, tangents):
        (x, y), (s, t) = primals, tangents
        return product(x, y), s * y * 10 + t * x * 100

    return product


def by_jvps():
    @el.custom_jvp
    def product(x, y):
        return x * y

    product.defjvps(lambda s, z, x, y: s * y * 10, lambda t, z, x, y: t * x * 100)
    return product


PLACES = {
    "outside": lambda f: f,
    "scan": lambda f: lambda x, y: el.scan(lambda c, _: (f(c, y), None), x, None, length=1)[0],
    "scan of sequences": lambda f: lambda x, y: el.scan(
        lambda c, r: (c, f(r, y)), el.zeros(()), x[None]
    )[1][0],
    "cond": lambda f: lambda x, y: el.cond(x.sum() > 0, lambda a: f(a, y), lambda a: a, x),
    "scan in scan": lambda f: lambda x, y: el.scan(
        lambda c, _: (el.scan(lambda d, _: (f(d, y), None), c, None, length=1)[0], None),
        x, None, length=1,
    )[0],
}  # fmt: skip
X, Y, S, T = (el.asarray(v) for v in ([2.0, 3.0], [5.0, 7.0], [1.0, 0.5], [1.0, 2.0]))


@WAYS
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", [by_vjp, by_jvp, by_jvps])
def test_both_modes_use_the_rule(kind, place, way):
    function = PLACES[place](kind())
    gx, gy = way(el.grad(lambda x, y: function(x, y).sum(), (0, 1)))(X, Y)
    assert gx.tolist() == [50, 70] and gy.tolist() == [200, 300]
    value, tangent = way(lambda *a: el.jvp(function, a[:2], a[2:]))(X, Y, S, T)
    assert value.tolist() == [10, 21] and tangent.tolist() == [250, 635]
    value, linear = el.linearize(function, X, Y)
    assert linear(S, T).tolist() == [250, 635]
    second = way(el.grad(lambda x: (el.grad(lambda v: function(v, Y * v).sum())(x) * S).sum()))
    assert second(X).tolist() == [550, 385]  # ∂(10 v·y + 100 v·y)/∂v


@WAYS
@pytest.mark.parametrize("kind", [by_vjp, by_jvp])
def test_a_while_loop_in_forward_mode(kind, way):
    function = kind()

    def looped(x):
        return el.while_loop(lambda s: s[0] < 2, lambda s: (s[0] + 1, function(s[1], Y)), (el.asarray(0), x))[1]

    assert way(lambda x: el.jvp(looped, (x,), (S,))[1])(X).tolist() == [2500, 2450]  # (10 y)² s


@WAYS
def test_transforms_inside_of_a_region_use_the_rule(way):
    for kind in (by_vjp, by_jvp):
        function = kind()

        def stepped(x, function=function):
            inner = lambda c, _: (el.grad(lambda v: function(v, v * v).sum())(c), None)  # noqa: E731
            return el.scan(inner, x, None, length=1)[0]

        assert way(stepped)(X).tolist() == [10 * 4 + 200 * 4, 10 * 9 + 200 * 9]
        found = way(el.grad(lambda x, f=stepped: f(x).sum()))(X)
        assert all(np.isfinite(found.numpy()))


def test_captured_tensors_get_no_gradient_and_may_be_of_any_kind():
    w, n = el.Tensor([1.0, 2.0], requires_grad=True), el.asarray(3)

    @el.custom_vjp
    def function(x):
        return x * w * n

    function.defvjp(lambda x: (x * w * n, None), lambda _, g: (g * w * n * 2,))
    for place in ("outside", "scan"):
        total = lambda x, p=place: PLACES[p](lambda a, b: function(a))(x, Y).sum()  # noqa: E731
        assert el.grad(total)(X).tolist() == [6, 12]
        total(X.clone().requires_grad_()).backward()
        assert w.grad is None or w.grad.tolist() == [0, 0]


def test_nondiff_argnums():
    @el.custom_jvp
    def power(x, exponent, scale):
        return x**exponent * scale

    power = el.custom_jvp(power.function, nondiff_argnums=(1,))

    @power.defjvp
    def rule(exponent, primals, tangents):
        x, scale = primals
        t, s = tangents
        return power(x, exponent, scale), exponent * x ** (exponent - 1) * t * scale * 10 + s * x

    pulled = el.custom_vjp(power.function, nondiff_argnums=-2)
    pulled.defvjp(
        lambda x, exponent, scale: (x**exponent * scale, (x, scale)),
        lambda exponent, r, g: (g * exponent * r[0] ** (exponent - 1) * r[1] * 10, g * r[0]),
    )
    for function in (power, pulled):
        for place in ("outside", "cond"):
            f = PLACES[place](lambda x, y, f=function: f(x, 3, y))
            gx, gy = el.grad(lambda x, y, f=f: f(x, y).sum(), (0, 1))(X, Y)
            assert gx.tolist() == [3 * 4 * 5 * 10, 3 * 9 * 7 * 10] and gy.tolist() == [2, 3]
        assert el.jvp(lambda x, f=function: f(x, exponent=3, scale=Y), (X,), (S,))[1].tolist() == [600, 945]


def test_containers():
    @el.custom_jvp
    def function(p, k):
        return {"a": p["x"] * k, "n": p["n"]}

    @function.defjvp
    def rule(primals, tangents):
        (p, k), (t, _) = primals, tangents
        return function(p, k), {"a": t["x"] * k * 7, "n": t["n"]}

    p = {"x": X, "n": el.arange(2)}
    found = el.grad(lambda x: function({"x": x, "n": p["n"]}, 2.0)["a"].sum())(X)
    assert found.tolist() == [14, 14]
    inside = lambda x: el.scan(lambda c, _: (function({"x": c, "n": p["n"]}, 2.0)["a"], None), x, length=2)[0]  # noqa: E731
    assert el.grad(lambda x: inside(x).sum())(X).tolist() == [196, 196]


def test_no_derivative_is_asked_for_under_no_grad():
    function = by_vjp()
    with el.no_grad():
        assert not function(X.clone().requires_grad_(), Y).requires_grad
    kept = el.scan(lambda c, _: (el.stop_gradient(function(c, Y)) * c, None), X, None, length=1)[0]
    assert kept.tolist() == [20, 63]


@pytest.mark.parametrize("kind", [el.custom_vjp, el.custom_jvp])
def test_without_a_derivative(kind):
    function = kind(lambda x: x * 2.0)
    assert function(X).tolist() == [4, 6]
    with pytest.raises(GradientError, match="has no derivative yet"):
        el.grad(lambda x: function(x).sum())(X)
    scanned = lambda x: el.scan(lambda c, _: (function(c), None), x, None, length=2)[0]  # noqa: E731
    assert scanned(X).tolist() == [8, 12]
    with pytest.raises(GradientError, match="has no derivative: none was given"):
        el.grad(lambda x: scanned(x).sum())(X)


def test_a_rule_that_calls_its_own_function_ends():
    @el.custom_jvp
    def exponential(x):
        return el.exp(x)

    exponential.defjvps(lambda t, y, x: t * y * 2)
    scanned = lambda x: el.scan(lambda c, _: (exponential(c), None), x, None, length=1)[0]  # noqa: E731
    order = scanned
    for n in range(1, 4):
        order = el.grad(order)
        np.testing.assert_allclose(order(el.asarray(0.5)).item(), 2**n * np.exp(0.5), rtol=1e-6)
    with pytest.raises(GradientError, match="no more of those that its own rule asks for"):
        el.grad(order)(el.asarray(0.5))
    order = exponential
    for n in range(1, 6):
        order = el.grad(order)
        np.testing.assert_allclose(order(el.asarray(0.5)).item(), 2**n * np.exp(0.5), rtol=1e-6)


@WAYS
def test_a_forward_that_calls_its_own_function(way):
    exponential = el.custom_vjp(lambda x: el.exp(x))

    def forward(x):
        y = exponential(x)
        return y, y

    exponential.defvjp(forward, lambda y, g: (g * y * 2,))
    half = el.asarray(0.5, dtype=el.float64)
    for place in ("outside", "scan"):
        order = PLACES[place](lambda x, y: exponential(x))
        order = functools.partial(lambda f, x: f(x, x), order)
        for n in range(1, 4):
            order = el.grad(order)
            np.testing.assert_allclose(way(order)(half).item(), 2**n * np.exp(0.5), rtol=1e-12)


def raising(define, text, kind=GradientError, where="outside", make=el.custom_jvp):
    function = make(lambda x, y: x * y)
    define(function)
    with pytest.raises(kind, match=text):
        el.grad(lambda x: PLACES[where](function)(x, Y).sum())(X)


@pytest.mark.parametrize("where", ["outside", "scan"])
def test_bad_rules(where):
    cases = [
        (lambda f: f.defjvp(lambda p, t: p[0]), r"the rule must return \(result, tangent\)", GradientError),
        (lambda f: f.defjvp(lambda p, t: (p[0], (t[0],))), r"expected \*, received \(\*,\)", GradientError),
        (lambda f: f.defjvp(lambda p, t: (p[0], t[0][:1])), r"the tangent of f32\[2\] cannot be f32\[1\]", ShapeError),
        (lambda f: f.defjvps(None), "expected 2 rules, one for each argument, received 1", GradientError),
    ]  # fmt: skip
    for define, text, kind in cases:
        raising(define, text, kind, where)
    pulled = [
        (lambda f: f.defvjp(lambda x, y: x, lambda r, g: (g, g)), "`forward` must return"),
        (lambda f: f.defvjp(lambda x, y: (x * y, 0), lambda r, g: g), "must return a tuple with 2 entries"),
        (lambda f: f.defvjp(lambda x, y: (x * y, 0), lambda r, g: ((g, g), g)), "expected 1 cotangents for argument 0, received 2"),
    ]  # fmt: skip
    for define, text in pulled:
        raising(define, text, GradientError, where, el.custom_vjp)
    with pytest.raises(GradientError, match="nondiff_argnums names"):
        el.custom_vjp(lambda x: x, nondiff_argnums=3)(X)
    with pytest.raises(TypeError, match="expected a function, received int"):
        el.custom_jvp(3)
    with pytest.raises(GradientError, match="cannot be used with nondiff_argnums"):
        el.custom_jvp(lambda x, n: x, nondiff_argnums=1).defjvps(None)


def test_defjvps_with_none_and_with_containers():
    function = el.custom_jvp(lambda x, y: (x * y, x))
    function.defjvps(None, lambda t, z, x, y: (t * x * 3, t * 0.0))
    gx, gy = el.grad(lambda x, y: function(x, y)[0].sum(), (0, 1))(X, Y)
    assert gx.tolist() == [0, 0] and gy.tolist() == [6, 9]
    nothing = el.custom_jvp(lambda x: x * x)
    nothing.defjvps(None)
    assert el.jvp(nothing, (X,), (S,))[1].tolist() == [0, 0]


def test_unfold_puts_the_body_in_its_place():
    text = """graph main(%0: f32[2]) {
        %1: f32[2] = custom %0 {
            body: graph b(%0: f32[2]) { %1: f32[2] = custom %0 {
                body: graph c(%0: f32[2]) { %1: f32[2] = sin %0 return %1 },
                derivative: graph d(%0: f32[2]) { return %0 }, mode: "none", moving: 1}
                return %1 },
            derivative: graph e(%0: f32[2], %1: f32[2]) { return %1 }, mode: "vjp", moving: 1}
        return %1 }"""
    assert str(unfold(parse_graph(text))).count("custom") == 0
    assert [n.op_name for n in unfold(parse_graph(text)).nodes] == ["sin"]
