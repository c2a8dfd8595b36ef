"""switch, map, associative_scan; scan with all that it takes; loops under the transforms."""

import numpy as np
import pytest

import elinvar as el
from elinvar.core.errors import ElinvarError, GradientError

pytestmark = pytest.mark.any_level

WAYS = pytest.mark.parametrize("way", [lambda f: f, el.jit], ids=["eager", "jit"])
X = el.asarray([0.5, -1.25, 2.0], dtype=el.float64)
T = el.asarray([1.0, 0.25, -0.5], dtype=el.float64)


def bits(x):
    return x.numpy().tobytes()


# ---- switch -------------------------------------------------------------------------------------


def branches(count):
    return [lambda x, n=n: {"y": x * x * float(n), "n": el.asarray(n)} for n in range(count)]


@WAYS
@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_switch_clamps_and_has_derivatives(count, way):
    chosen = way(lambda i, x: el.switch(i, branches(count), x))
    grad = way(el.grad(lambda x, i: el.switch(i, branches(count), x)["y"].sum()))
    push = way(lambda x, i: el.jvp(lambda v: el.switch(i, branches(count), v)["y"], (x,), (T,))[1])
    for index in range(-2, count + 2):
        n = min(max(index, 0), count - 1)
        found = chosen(el.asarray(index), X)
        assert found["n"].item() == n and bits(found["y"]) == bits(X * X * float(n))
        assert el.switch(index, branches(count), X)["n"].item() == n
        np.testing.assert_allclose(grad(X, el.asarray(index)).numpy(), 2 * n * X.numpy())
        np.testing.assert_allclose(push(X, el.asarray(index)).numpy(), 2 * n * (X * T).numpy())


def test_only_one_branch_runs_and_small_integers_do():
    def forever(x):
        return el.while_loop(lambda v: v > -1e9, lambda v: v + 1.0, x)

    index = el.asarray(3, dtype=el.uint8)
    found = el.switch(index, [forever, forever, forever, lambda x: x], el.asarray(1.0))
    assert found.item() == 1
    total = el.zeros(())

    def adding(n):
        def branch():
            total.assign(total + n)
            return total

        return branch

    for i in (0, 2, 2):
        el.switch(el.asarray(i), [adding(1.0), adding(10.0), adding(100.0)])
    assert total.item() == 201


# ---- map ----------------------------------------------------------------------------------------


@WAYS
@pytest.mark.parametrize("batch_size", [None, 1, 2, 3, 7, 20])
def test_map(batch_size, way):
    xs = {"a": el.arange(21.0).reshape(7, 3), "b": el.arange(7)}
    found = way(lambda v: el.map(lambda x: (x["a"].sum() * x["b"], x["a"]), v, batch_size))(xs)
    assert found[0].tolist() == [(9 * n + 3) * n for n in range(7)]
    assert bits(found[1]) == bits(xs["a"])
    slope = el.grad(lambda a: el.map(lambda r: el.sin(r).prod(), a, batch_size).sum())
    rows = el.randn(7, 3)
    assert bits(slope(rows)) == bits(el.grad(lambda a: el.vmap(lambda r: el.sin(r).prod())(a).sum())(rows))


# ---- associative_scan -----------------------------------------------------------------------------


def products(a, b):
    return b @ a


@WAYS
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 6, 7, 8, 13, 16, 31])
def test_associative_scan(count, way):
    whole = el.arange(count) * 3 - 5
    assert bits(way(lambda x: el.associative_scan(el.add, x))(whole)) == bits(el.cumulative_sum(whole))
    back = way(lambda x: el.associative_scan(el.add, x, reverse=True))(whole)
    assert back.tolist() == np.cumsum(whole.numpy()[::-1])[::-1].tolist()
    matrices = el.asarray(np.random.default_rng(count).integers(-2, 3, (2, count, 2, 2)))
    found = way(lambda m: el.associative_scan(products, m, axis=1))(matrices)
    expected = np.array(matrices.numpy())
    for n in range(1, count):
        expected[:, n] = expected[:, n] @ expected[:, n - 1]
    assert found.numpy().tolist() == expected.tolist()


def test_associative_scan_of_containers_and_its_derivatives():
    """A linear recurrence h = a·h + b, as state space models have it."""

    def combine(left, right):
        (a, b), (c, d) = left, right
        return a * c, b * c + d

    def states(a, b):
        return el.associative_scan(combine, (a, b))[1]

    def one_by_one(a, b):
        return el.scan(lambda h, ab: ((h * ab[0] + ab[1],) * 2), el.zeros((), dtype=el.float64), (a, b))[1]

    rng = np.random.default_rng(0)
    a, b = (el.asarray(rng.normal(size=9)) for _ in range(2))
    np.testing.assert_allclose(states(a, b).numpy(), one_by_one(a, b).numpy(), rtol=1e-12)
    for f in (states, one_by_one):
        assert bits(el.jit(f)(a, b)) == bits(f(a, b))
    gradients = [el.grad(lambda a, b, f=f: (f(a, b) ** 2).sum(), (0, 1))(a, b) for f in (states, one_by_one)]
    for one, other in zip(*gradients, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-10)
    tangents = [el.jvp(f, (a, b), (b, a))[1] for f in (states, one_by_one)]
    np.testing.assert_allclose(tangents[0].numpy(), tangents[1].numpy(), rtol=1e-10)


def test_the_order_is_that_of_the_documentation():
    """y at odd places are the prefixes of the pairs; y[i] = y[i-1] ∘ x[i] at even ones."""

    def prefixes(xs):
        if len(xs) < 2:
            return list(xs)
        pairs = [xs[n] + xs[n + 1] for n in range(0, len(xs) - 1, 2)]
        odd = prefixes(pairs)
        return [xs[0] if not n else odd[n // 2] if n % 2 else odd[n // 2 - 1] + xs[n] for n in range(len(xs))]

    for count in (5, 8, 11):
        x = np.random.default_rng(count).normal(size=count).astype(np.float32)
        assert el.associative_scan(el.add, el.asarray(x)).tolist() == [float(v) for v in prefixes(list(x))]
    zeros = el.asarray([-0.0, -0.0, -0.0])
    assert np.signbit(el.associative_scan(el.add, zeros).numpy()).all()


# ---- scan ---------------------------------------------------------------------------------------


def body(carry, x):
    carry = {"c": el.sin(carry["c"]) * x["x"], "n": carry["n"] + 1}
    return carry, (carry["c"] * 2.0, carry["n"])


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("unroll", [2, 5, True, False])
@WAYS
def test_unrolling_changes_no_bit(unroll, reverse, way):
    xs, init = {"x": el.stack([X, X * 2, X + 1, X, X - 3])}, {"c": X, "n": el.asarray(0)}
    plain = el.scan(body, init, xs, reverse=reverse)
    found = way(lambda c, v: el.scan(body, c, v, reverse=reverse, unroll=unroll))(init, xs)
    for one, other in zip(_leaves(plain), _leaves(found), strict=True):
        assert bits(one) == bits(other)

    def total(x, unroll):
        return el.scan(body, init, {"x": x}, reverse=reverse, unroll=unroll)[1][0].sum()

    if reverse or way is not el.jit:  # one combination is enough for what takes long to compile
        return
    pulled = way(el.grad(lambda x: total(x, unroll)))(xs["x"])
    np.testing.assert_allclose(pulled.numpy(), el.grad(lambda x: total(x, 1))(xs["x"]).numpy(), rtol=1e-12)


def _leaves(found):
    return [found[0]["c"], found[0]["n"], *found[1]]


@WAYS
def test_scan_without_sequences_and_without_a_carry(way):
    last, ys = way(lambda x: el.scan(lambda c, _: (c * 2.0, c), x, length=3))(X)
    assert bits(last) == bits(X * 8.0) and ys.shape == (3, 3)
    nothing, ys = way(lambda x: el.scan(lambda c, v: (c, v * 2.0), None, x))(X)
    assert nothing is None and bits(ys) == bits(X * 2.0)
    assert el.scan(lambda c, _: (c, None), X, length=0)[1] is None


@WAYS
def test_fori_loop_with_ints_has_a_derivative(way):
    power = lambda x: el.fori_loop(2, 5, lambda i, v: v * x * i, x)  # noqa: E731
    assert bits(way(power)(X)) == bits(X * X * 2 * X * 3 * X * 4)
    expected = 4 * 24 * X.numpy() ** 3
    np.testing.assert_allclose(way(el.grad(lambda x: power(x).sum()))(X).numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(way(lambda x: el.jvp(power, (x,), (T,))[1])(X).numpy(), expected * T.numpy(), rtol=1e-12)


@WAYS
def test_a_while_loop_goes_forward_any_number_of_steps(way):
    def root(x):
        """Newton's iteration for the square root, until it stands."""

        def step(state):
            _, new = state
            return new, (new + x / new) * 0.5

        return el.while_loop(lambda s: el.abs(s[0] - s[1]) > 1e-14, step, (x + 1.0, x))[1]

    two = el.asarray(2.0, dtype=el.float64)
    found = way(lambda x: el.jvp(root, (x,), (el.ones_like(x),)))(two)
    np.testing.assert_allclose([v.item() for v in found], [2**0.5, 0.5 / 2**0.5], rtol=1e-12)
    with pytest.raises(GradientError, match=r"\[while_loop\] reverse mode needs .*\n(.*\n)*.*`fori_loop`.*\n?.*`jvp`"):
        way(el.grad(root))(two)


REFUSED = [
    (lambda: el.switch(el.asarray(0), [], X), r"\[switch\] expected at least one branch"),
    (lambda: el.switch(el.asarray(0), [el.sin, 3], X), r"\[switch\] branch 1 must be a function, received int"),
    (lambda: el.switch(el.asarray(0.5), [el.sin, el.cos], X), r"\[switch\] the index must be an integer, received f32\[\]"),
    (lambda: el.switch(el.asarray([0]), [el.sin, el.cos], X), r"\[switch\] the index must have no axes, received i64\[1\]"),
    (lambda: el.switch(el.asarray(0), [lambda x: x, lambda x: (x, x)], X), r"\[switch\] the branches return different structures: \* and \(\*, \*\)"),
    (lambda: el.switch(el.asarray(0), [lambda x: x, lambda x: x[:1]], X), r"\[switch\] the branches return different types: f64\[3\] and f64\[1\]"),
    (lambda: el.cond(el.asarray(True), lambda x: x, lambda x: x > 0, X), r"\[cond\] the branches return different types: f64\[3\] and bool\[3\]"),
    (lambda: el.cond(X > 0, lambda x: x, lambda x: x, X), r"\[cond\] the predicate must have no axes, received bool\[3\]"),
    (lambda: el.map(el.sin, X, 0), r"\[map\] batch_size must be a positive int, received 0"),
    (lambda: el.map(lambda x: x, (X, X[:2]), 2), r"\[map\] sizes along axis 0 differ: 3 and f64\[2\]"),
    (lambda: el.map(lambda x: x, (), 2), r"\[map\] expected a tensor in xs"),
    (lambda: el.associative_scan(3, X), r"\[associative_scan\] expected a function, received int"),
    (lambda: el.associative_scan(el.add, X, axis=1), r"\[associative_scan\] axis 1 is out of range for f64\[3\]"),
    (lambda: el.associative_scan(lambda a, b: a, (X, X[:2])), r"\[associative_scan\] sizes along axis 0 differ: 3 and f64\[2\]"),
    (lambda: el.associative_scan(lambda a, b: (a, b), X), r"\[associative_scan\] the function must return \*, received \(\*, \*\)"),
    (lambda: el.associative_scan(lambda a, b: a > b, X), r"\[associative_scan\] the function must return f64\[1\], received bool\[1\]"),
    (lambda: el.associative_scan(lambda a, b: a, (X, el.ones((3, 3))), axis=-1), r"\[associative_scan\] a negative axis means different ones"),
    (lambda: el.scan(lambda c, x: (c, x), 0.0, (X, X[:2])), r"\[scan\] expected sequences of length 3, received f64\[2\]"),
    (lambda: el.scan(lambda c, x: (c, x), 0.0, X, length=4), r"\[scan\] expected sequences of length 4, received f64\[3\]"),
    (lambda: el.scan(lambda c, x: (c, x), 0.0, length=-1), r"\[scan\] length must not be negative, received -1"),
    (lambda: el.scan(lambda c, x: (c, x), 0.0, length=2.0), r"\[scan\] length must be a number of steps, received 2.0"),
    (lambda: el.scan(lambda c, x: (c, x), 0.0, X, unroll=0), r"\[scan\] unroll must be a positive int or a bool, received 0"),
    (lambda: el.scan(lambda c, x: ((c, c), x), 0.0, X), r"the body's carry must have the structure of the initial value: expected \*, received \(\*, \*\)"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "text"), REFUSED)
def test_bad_arguments(call, text):
    with pytest.raises(ElinvarError, match=text):
        call()
