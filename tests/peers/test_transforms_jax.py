"""Transforms beside JAX's: the same functions, written once for both namespaces, in f64."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import elinvar as el

jax = pytest.importorskip("jax")

pytestmark = pytest.mark.any_level
jnp = jax.numpy


@pytest.fixture(autouse=True, scope="module")
def double_precision():
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


# f(np, x, y): np is elinvar or jax.numpy; x and y have one shape of two axes
FUNCTIONS = {
    "elementwise": lambda np, x, y: np.sin(x) * np.exp(-(y * y)) / (1 + x * x),
    "logarithms": lambda np, x, y: np.log1p(x * x) + np.logaddexp(x, y) - np.sqrt(1 + y * y),
    "hyperbolic": lambda np, x, y: np.tanh(x * y) + np.asinh(x) * np.atan2(y, 1 + x * x),
    "powers": lambda np, x, y: np.pow(1 + x * x, y) + np.hypot(x, 1 + y * y),
    "product": lambda np, x, y: (x @ y.T) @ np.cos(x),
    "einsum": lambda np, x, y: np.einsum("ij,kj,kl->il", x, y, x),
    "reductions": lambda np, x, y: np.sum(x, axis=0) * np.mean(y * x, axis=1, keepdims=True),
    "softmax": lambda np, x, y: np.exp(x) / np.sum(np.exp(x), axis=-1, keepdims=True) * y,
    "extremes": lambda np, x, y: np.maximum(x, y) * np.max(x) - np.min(y, axis=1, keepdims=True),
    "cumulative": lambda np, x, y: np.cumulative_sum(x * y, axis=1) + np.cumulative_prod(x, axis=0),
    "products of elements": lambda np, x, y: np.prod(x, axis=1) * np.prod(y),
    "sorting": lambda np, x, y: np.sort(x, axis=1) * y + np.flip(x, axis=0),
    "moving": lambda np, x, y: np.concat([x, y * x], axis=0)[::-1, 1:] * np.stack([x, y]).sum(),
    "indexing": lambda np, x, y: x[0] * y[:, ::-1] + np.take(x, np.asarray([0, 0]), axis=0).sum(0),
    "choosing": lambda np, x, y: np.where(x > y, x * y, np.sin(y)) + np.clip(x, -0.5, 0.5),
    "variance": lambda np, x, y: np.var(x, axis=1) * np.std(y),
    "rolled": lambda np, x, y: np.roll(x, 1, axis=0) * np.tile(y, (1, 2))[:, : y.shape[1]],
    "corners": lambda np, x, y: np.tril(x @ y.T) + np.outer(x[:, 0], y[:, 0]),
}

TRANSFORMS = ("jvp", "vjp", "linearize", "jvp of grad", "grad of jvp", "jit of jvp")


def transformed(which, api, f, x, y, s, t):
    """The result of a transform in one of the two libraries."""
    total = lambda a, b: f(a, b).sum()  # noqa: E731
    if which == "jvp":
        return api.jvp(f, (x, y), (s, t))
    if which == "linearize":
        value, linear = api.linearize(f, x, y)
        return value, linear(s, t)
    if which == "vjp":
        value, pull_back = api.vjp(f, x, y)
        return value, *pull_back(value)
    if which == "jvp of grad":
        return api.jvp(api.grad(total, argnums=(0, 1)), (x, y), (s, t))[1]
    if which == "grad of jvp":
        return api.grad(lambda a, b: api.jvp(total, (a, b), (s, t))[1], argnums=(0, 1))(x, y)
    return api.jit(lambda *a: api.jvp(f, a[:2], a[2:]))(x, y, s, t)


def compare(ours, theirs):
    theirs = theirs if isinstance(theirs, tuple) else (theirs,)
    ours = ours if isinstance(ours, tuple) else (ours,)
    for one, other in zip(ours, theirs, strict=True):
        other = np.asarray(other)
        assert one.shape == other.shape
        scale = float(np.max(np.abs(other), initial=1.0))
        np.testing.assert_allclose(one.numpy(), other, rtol=1e-8, atol=1e-10 * scale)


@pytest.mark.parametrize("which", TRANSFORMS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name, which):
    rng = np.random.default_rng(len(name))
    arrays = [rng.normal(size=(4, 3)) for _ in range(4)]
    f = FUNCTIONS[name]
    ours = transformed(which, el, functools.partial(f, el), *map(el.asarray, arrays))
    theirs = transformed(which, jax, functools.partial(f, jnp), *map(jnp.asarray, arrays))
    compare(ours, theirs)


# ---- control flow -------------------------------------------------------------------------------

LOOPS = {
    "scan": lambda lax, np, x, y: lax.scan(lambda c, r: (np.sin(c) * r, c + r), x[0], y),
    "scan in reverse": lambda lax, np, x, y: lax.scan(
        lambda c, r: (c * r[0], np.cos(c) * r[1]), x[0], (y, x), reverse=True
    ),
    "scan unrolled": lambda lax, np, x, y: lax.scan(lambda c, r: (c * r, c), x[0], y, unroll=2),
    "scan of a length": lambda lax, np, x, y: lax.scan(
        lambda c, _: (np.tanh(c) + y[0], c), x[0], None, length=3
    ),
    "fori_loop": lambda lax, np, x, y: lax.fori_loop(1, 4, lambda i, c: np.sin(c * i) + y, x),
    "cond": lambda lax, np, x, y: lax.cond(x.sum() > 0, lambda a: a * y, lambda a: np.sin(a), x),
    "switch": lambda lax, np, x, y: lax.switch(
        np.asarray(7), [lambda a: a, lambda a: a * y, lambda a: a * a * y], x
    ),
    "map": lambda lax, np, x, y: lax.map(lambda r: np.sin(r) * r.sum(), x * y),
    "map in batches": lambda lax, np, x, y: lax.map(lambda r: np.sin(r) * r.sum(), x, batch_size=2),
    "associative_scan": lambda lax, np, x, y: lax.associative_scan(
        lambda a, b: (a[0] * b[0], a[1] * b[0] + b[1]), (x, y)
    ),
    "associative_scan in reverse": lambda lax, np, x, y: lax.associative_scan(
        np.multiply, x + y, reverse=True, axis=1
    ),
}


class Lax:
    """`jax.lax`, with the one function that stands elsewhere."""

    scan, fori_loop, map = jax.lax.scan, jax.lax.fori_loop, jax.lax.map
    cond, switch = jax.lax.cond, jax.lax.switch
    associative_scan = jax.lax.associative_scan


def flat(found):
    return tuple(jax.tree.leaves(found, is_leaf=lambda x: not isinstance(x, (tuple, list, dict))))


@pytest.mark.parametrize("which", ["jvp", "vjp", "jvp of grad"])
@pytest.mark.parametrize("name", LOOPS)
def test_loops(name, which):
    rng = np.random.default_rng(len(name))
    arrays = [rng.normal(size=(5, 3)) for _ in range(4)]
    results = []
    for api, lax, np_like in ((el, el, el), (jax, Lax, jnp)):
        f = functools.partial(LOOPS[name], lax, np_like)
        x, y, s, t = (np_like.asarray(a) for a in arrays)

        def total(a, b, f=f):
            return sum((y * y).sum() for y in flat(f(a, b)))

        if which == "jvp":
            results.append(flat(api.jvp(f, (x, y), (s, t))))
        elif which == "vjp":
            value, pull_back = api.vjp(f, x, y)
            results.append((*flat(value), *pull_back(value)))
        else:
            results.append(flat(api.jvp(api.grad(total, argnums=(0, 1)), (x, y), (s, t))[1]))
    compare(*results)


def test_while_loop_in_forward_mode():
    def run(api, lax, x, y):
        step = lambda s: (s[0] + 1, s[1] * y / 2)  # noqa: E731
        f = lambda x: lax.while_loop(lambda s: s[0] < 5, step, (0, x))[1]  # noqa: E731
        return api.jvp(f, (x,), (y,))

    x, y = np.random.default_rng(0).normal(size=(2, 4))
    compare(run(el, el, el.asarray(x), el.asarray(y)), run(jax, jax.lax, jnp.asarray(x), jnp.asarray(y)))


# ---- custom rules -------------------------------------------------------------------------------


def rules(api, np):
    """Functions with rules that are not their derivatives, so that one sees which is used."""

    @api.custom_jvp
    def pushed(x, y):
        return np.sin(x) * y

    @pushed.defjvp
    def rule(primals, tangents):
        (x, y), (s, t) = primals, tangents
        return pushed(x, y), 2 * np.cos(x) * y * s + 3 * np.sin(x) * t

    @api.custom_vjp
    def pulled(x, y):
        return np.sin(x) * y

    pulled.defvjp(
        lambda x, y: (pulled(x, y), (np.cos(x), np.sin(x), y)),
        lambda r, g: (g * r[0] * r[2] * 2, g * r[1] * 3),
    )
    many = api.custom_jvp(lambda x, y: np.sin(x) * y)
    many.defjvps(lambda s, z, x, y: 2 * np.cos(x) * y * s, lambda t, z, x, y: z * t)
    fixed = (
        api.custom_jvp(lambda n, x, y: x * y * n, nondiff_argnums=(0,))
    )
    fixed.defjvp(lambda n, p, t: (fixed(n, *p), n * p[0] * t[1] + 5 * t[0] * p[1]))
    return {"jvp": pushed, "vjp": pulled, "jvps": many, "nondiff": functools.partial(fixed, 3)}


PLACES = {
    "plain": lambda api, lax, f: f,
    "scan": lambda api, lax, f: lambda a, b: lax.scan(
        lambda c, _: (f(c, b), None), a, None, length=2
    )[0],
    "cond": lambda api, lax, f: lambda a, b: lax.cond(
        a.sum() > 0, lambda v: f(v, b), lambda v: f(b, v), a
    ),
    "jit": lambda api, lax, f: api.jit(f),
}


@pytest.mark.parametrize("inside", PLACES)
@pytest.mark.parametrize("kind", ["jvp", "vjp", "jvps", "nondiff"])
def test_custom_rules(kind, inside):
    x, y = np.random.default_rng(1).normal(size=(2, 4))
    results = []
    for api, lax, np_like in ((el, el, el), (jax, jax.lax, jnp)):
        function = rules(api, np_like)[kind]
        a, b = np_like.asarray(x), np_like.asarray(y)
        wrapped = PLACES[inside](api, lax, function)
        total = lambda a, b, f=wrapped: f(a, b).sum()  # noqa: E731
        found = list(api.grad(total, argnums=(0, 1))(a, b))
        second = lambda a, f=total, b=b, api=api: (api.grad(f)(a, b) ** 2).sum()  # noqa: E731
        if inside != "scan":  # there JAX forgets the rule once it has used it, other than outside
            found.append(api.grad(second)(a))
        if kind != "vjp":  # JAX has no forward mode of these
            found += list(api.jvp(wrapped, (a, b), (b, a)))
        results.append(tuple(found))
    compare(*results)


# ---- random shapes ------------------------------------------------------------------------------


@pytest.mark.slow
@settings(max_examples=6, deadline=None)
@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 3), st.integers(0, 10**6))
def test_a_network_of_random_shape(batch, width, depth, seed):
    """Hessian times vector, tangent and gradient of a small network with containers."""
    rng = np.random.default_rng(seed)
    weights, directions = (
        [{"b": rng.normal(size=width), "w": rng.normal(size=(width, width))} for _ in range(depth)]
        for _ in range(2)
    )  # JAX sorts keys
    x = rng.normal(size=(batch, width))
    results = []
    for api, np_like in ((el, el), (jax, jnp)):

        def loss(layers, x=x, np_like=np_like):
            x = np_like.asarray(x)
            for layer in layers:
                x = np_like.tanh(x @ layer["w"] + layer["b"])
            return (x * x).mean()

        p, d = (
            [{k: np_like.asarray(v) for k, v in layer.items()} for layer in layers]
            for layers in (weights, directions)
        )
        product = api.jvp(api.grad(loss), (p,), (d,))
        results.append(tuple(api.tree.leaves((*product, api.jvp(loss, (p,), (d,))))))
    compare(*results)
