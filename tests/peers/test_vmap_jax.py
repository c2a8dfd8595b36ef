"""vmap, named axes and matrices of derivatives against JAX: the same function, both frameworks."""

import numpy as np
import pytest

import elinvar as el

jax = pytest.importorskip("jax")
jnp = jax.numpy

pytestmark = [pytest.mark.any_level, pytest.mark.filterwarnings("ignore")]
RNG = np.random.default_rng(3)
A = RNG.standard_normal((4, 3)).astype(np.float32)
B = RNG.standard_normal((5, 4, 3)).astype(np.float32)
V = RNG.standard_normal(3).astype(np.float32)
W = RNG.standard_normal((3, 2)).astype(np.float32)


class Ours:
    """The names that the functions below use, in Elinvar."""

    np, map_ = el, staticmethod(el.vmap)
    grad, jit, jacrev, jacfwd, hessian = el.grad, el.jit, el.jacrev, el.jacfwd, el.hessian
    psum, pmean, pmax, pmin = el.psum, el.pmean, el.pmax, el.pmin
    all_gather, ppermute, axis_index = el.all_gather, el.ppermute, el.axis_index
    axis_size, vjp, jvp, cond, scan, while_loop = (
        el.axis_size, el.vjp, el.jvp, el.cond, el.scan, el.while_loop,
    )  # fmt: skip

    @staticmethod
    def array(x):
        return el.asarray(x)


class Theirs:
    """The same names in JAX."""

    np, map_ = jnp, staticmethod(jax.vmap)
    grad, jit, jacrev, jacfwd, hessian = jax.grad, jax.jit, jax.jacrev, jax.jacfwd, jax.hessian
    psum, pmean, pmax, pmin = jax.lax.psum, jax.lax.pmean, jax.lax.pmax, jax.lax.pmin
    all_gather, ppermute, axis_index = (
        jax.lax.all_gather, jax.lax.ppermute, jax.lax.axis_index,
    )  # fmt: skip
    vjp, jvp, cond, scan, while_loop = (
        jax.vjp, jax.jvp, jax.lax.cond, jax.lax.scan, jax.lax.while_loop,
    )  # fmt: skip

    @staticmethod
    def axis_size(name):
        return jax.lax.psum(1, name)

    @staticmethod
    def array(x):
        return jnp.asarray(x)


def nested(f, x):
    """Containers map to containers; arrays to arrays of a framework."""
    if isinstance(x, dict):
        return {key: nested(f, value) for key, value in x.items()}
    if isinstance(x, tuple | list):
        return type(x)(nested(f, value) for value in x)
    return x if x is None else f(x)


def same(found, expected, path=""):
    assert type(found) is type(expected) or not isinstance(expected, tuple | list | dict), path
    if isinstance(expected, dict):
        assert set(found) == set(expected), path
        for key in expected:
            same(found[key], expected[key], f"{path}.{key}")
    elif isinstance(expected, tuple | list):
        assert len(found) == len(expected), path
        for n, (one, other) in enumerate(zip(found, expected, strict=True)):
            same(one, other, f"{path}[{n}]")
    else:
        found, expected = np.asarray(found), np.asarray(expected)
        assert found.shape == expected.shape, (path, found.shape, expected.shape)
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5, err_msg=path)



# name: a function of the framework and arguments; the arguments
CASES = {
    "in_axes, out_axes": (
        lambda m, a, v: m.map_(lambda x, y: x * y, in_axes=(1, None), out_axes=1)(a, v[0]), (A, V)
    ),
    "negative axes": (
        lambda m, b: m.map_(lambda x: m.np.sum(x, axis=0), in_axes=-1, out_axes=-1)(b), (B,)
    ),
    "prefixes": (
        lambda m, d, v: m.map_(
            lambda p, y: {"s": p["x"] + y, "t": (p["y"][0], p["y"][1] * 2)},
            in_axes=({"x": 0, "y": 1}, None), out_axes={"s": 1, "t": (0, 1)},
        )(d, v),
        ({"x": A, "y": (A.T.copy(), B[0].T.copy())}, V),
    ),
    "keyword arguments": (
        lambda m, a, b: m.map_(lambda x, *, y: x + y)(a, y=b), (A, B[0])
    ),
    "a result for all": (
        lambda m, a, v: m.map_(lambda x, y: (x, y * 2), in_axes=(0, None), out_axes=(0, None))(a, v),
        (A, V),
    ),
    "vmap of vmap": (
        lambda m, a, b: m.map_(
            m.map_(lambda x, y: m.np.sum(x * y), in_axes=(0, None)), in_axes=(None, 0)
        )(a, b[:, 0]),
        (A, B),
    ),
    "grad of vmap": (
        lambda m, w, a: m.grad(
            lambda w: m.np.sum(m.map_(lambda x: m.np.sin(x @ w))(a) ** 2)
        )(w),
        (W, A),
    ),
    "vmap of grad": (
        lambda m, w, a: m.map_(
            m.grad(lambda w, x: m.np.sum(m.np.sin(x @ w))), in_axes=(None, 0)
        )(w, a),
        (W, A),
    ),
    "jvp of vmap": (
        lambda m, a, b: m.jvp(m.map_(lambda x: m.np.sin(x) * m.np.sum(x)), (a,), (b[0],)), (A, B)
    ),
    "vmap of jvp": (
        lambda m, a, b: m.map_(lambda x, t: m.jvp(lambda y: m.np.sin(y), (x,), (t,)))(a, b[0]),
        (A, B),
    ),
    "vmap of vjp": (
        lambda m, a: m.map_(lambda x: m.vjp(lambda y: m.np.exp(y) * y, x)[1](x)[0])(a), (A,)
    ),
    "grad of vmap of grad": (
        lambda m, w, a: m.grad(
            lambda w: m.np.sum(
                m.map_(m.grad(lambda x: m.np.sum(m.np.tanh(x @ w))))(a) ** 2
            )
        )(w),
        (W, A),
    ),
    "cond": (
        lambda m, a: m.map_(
            lambda x: m.cond(m.np.sum(x) > 0, lambda y: m.np.sin(y), lambda y: y * 3, x)
        )(a),
        (A,),
    ),
    "grad of cond": (
        lambda m, a: m.map_(
            m.grad(lambda x: m.np.sum(m.cond(x[0] > 0, lambda y: m.np.sin(y), lambda y: y * 3, x)))
        )(a),
        (A,),
    ),
    "while_loop": (
        lambda m, a: m.map_(
            lambda x: m.while_loop(lambda s: m.np.sum(s) < 20, lambda s: s * 1.5 + 1, m.np.abs(x))
        )(a),
        (A,),
    ),
    "grad of scan": (
        lambda m, b: m.map_(
            m.grad(
                lambda xs: m.np.sum(
                    m.scan(lambda c, x: (m.np.tanh(c + x), c * x), xs[0], xs)[1] ** 2
                )
            )
        )(b),
        (B,),
    ),
    "jacrev": (lambda m, v: m.jacrev(lambda x: {"a": m.np.sin(x), "b": m.np.sum(x)})(v), (V,)),
    "jacfwd": (lambda m, v: m.jacfwd(lambda x: {"a": m.np.sin(x), "b": m.np.sum(x)})(v), (V,)),
    "jacrev by containers": (
        lambda m, d: m.jacrev(lambda p: (m.np.outer(p["x"], p["y"]), p["x"] * 2))(d),
        ({"x": V, "y": V[:2]},),
    ),
    "jacfwd by containers": (
        lambda m, d: m.jacfwd(lambda p: (m.np.outer(p["x"], p["y"]), p["x"] * 2))(d),
        ({"x": V, "y": V[:2]},),
    ),
    "jacrev by two arguments": (
        lambda m, a, w: m.jacrev(lambda x, y: x @ y, argnums=(0, 1))(a, w), (A, W)
    ),
    "jacfwd by two arguments": (
        lambda m, a, w: m.jacfwd(lambda x, y: x @ y, argnums=(1, 0))(a, w), (A, W)
    ),
    "jacrev with aux": (
        lambda m, v: m.jacrev(lambda x: (m.np.sin(x), {"aux": x * 2}), has_aux=True)(v), (V,)
    ),
    "jacfwd with aux": (
        lambda m, v: m.jacfwd(lambda x: (m.np.sin(x), {"aux": x * 2}), has_aux=True)(v), (V,)
    ),
    "hessian": (lambda m, v: m.hessian(lambda x: m.np.sum(m.np.sin(x)) * x[0])(v), (V,)),
    "hessian by containers": (
        lambda m, d: m.hessian(lambda p: m.np.sum(p["x"] ** 3) * m.np.sum(p["y"] ** 2))(d),
        ({"x": V, "y": V[:2]},),
    ),
    "hessian by two arguments": (
        lambda m, v: m.hessian(lambda x, y: m.np.sum(x**2 * y), argnums=(0, 1))(v, v), (V,)
    ),
    "vmap of hessian": (
        lambda m, a: m.map_(m.hessian(lambda x: m.np.sum(m.np.sin(x) * x**2)))(a), (A,)
    ),
    "psum and pmean": (
        lambda m, a: m.map_(
            lambda x: (x / m.psum(x, "i"), m.pmean({"x": x}, "i")), axis_name="i"
        )(a),
        (A,),
    ),
    "pmax and pmin": (
        lambda m, a: m.map_(lambda x: m.pmax(x, "i") - m.pmin(x, "i"), axis_name="i")(a), (A,)
    ),
    "all_gather": (
        lambda m, a: m.map_(lambda x: m.all_gather(x, "i") @ x, axis_name="i")(a), (A,)
    ),
    "all_gather along axes": (
        lambda m, b: m.map_(
            lambda x: (
                m.all_gather(x, "i", axis=1), m.all_gather(x, "i", axis=1, tiled=True)
            ), axis_name="i",
        )(b),
        (B,),
    ),
    "ppermute": (
        lambda m, a: m.map_(
            lambda x: m.ppermute(x, "i", [(0, 2), (2, 1), (3, 3), (1, 0)]), axis_name="i"
        )(a),
        (A,),
    ),
    "axis_index": (
        lambda m, a: m.map_(lambda x: x * m.axis_index("i") / m.axis_size("i"), axis_name="i")(a),
        (A,),
    ),
    "grad inside of psum": (
        lambda m, a: m.map_(
            m.grad(lambda x: m.np.sum(m.psum(m.np.sin(x) * x, "i"))), axis_name="i"
        )(a),
        (A,),
    ),
    "grad outside of psum": (
        lambda m, a: m.grad(
            lambda a: m.np.sum(m.map_(lambda x: x**2 / m.psum(x**2, "i"), axis_name="i")(a) ** 3)
        )(a),
        (A,),
    ),
    "grad outside of a shared psum": (
        lambda m, a: m.grad(
            lambda a: m.np.sum(
                m.map_(lambda x: m.psum(x**3, "i"), axis_name="i", out_axes=None)(a) ** 2
            )
        )(a),
        (A,),
    ),
    "grad outside of all_gather": (
        lambda m, a: m.grad(
            lambda a: m.np.sum(
                m.map_(lambda x: m.np.sin(m.all_gather(x, "i") @ x), axis_name="i")(a)
            )
        )(a),
        (A,),
    ),
    "grad of ppermute": (
        lambda m, a: m.grad(
            lambda a: m.np.sum(
                m.map_(
                    lambda x: x**2 * m.ppermute(x, "i", [(0, 1), (1, 3), (3, 2), (2, 0)]),
                    axis_name="i",
                )(a)
            )
        )(a),
        (A,),
    ),
    "nested names": (
        lambda m, b: m.map_(
            m.map_(
                lambda x: (
                    m.psum(x, ("i", "j")), m.psum(x, "i") * m.psum(x, "j"), m.all_gather(x, "i"),
                    m.axis_index(("i", "j")), m.pmax(x, ("j", "i")),
                ),
                axis_name="j",
            ),
            axis_name="i",
        )(b),
        (B,),
    ),
    "grad through nested names": (
        lambda m, b: m.grad(
            lambda b: m.np.sum(
                m.map_(
                    m.map_(lambda x: x / m.psum(x**2, ("i", "j")), axis_name="j"), axis_name="i"
                )(b) ** 2
            )
        )(b),
        (B,),
    ),
    "jvp outside of psum": (
        lambda m, a, b: m.jvp(
            m.map_(lambda x: x / m.psum(x**2, "i"), axis_name="i"), (a,), (b[0],)
        ),
        (A, B),
    ),
    "jvp inside of psum": (
        lambda m, a, b: m.map_(
            lambda x, t: m.jvp(lambda y: m.psum(m.np.sin(y) * y, "i"), (x,), (t,)), axis_name="i"
        )(a, b[0]),
        (A, B),
    ),
    "jvp of all_gather and ppermute": (
        lambda m, a, b: m.map_(
            lambda x, t: m.jvp(
                lambda y: m.all_gather(y, "i") @ m.ppermute(
                    y, "i", [(0, 2), (2, 1), (3, 3), (1, 0)]
                ),
                (x,), (t,),
            ),
            axis_name="i",
        )(a, b[0]),
        (A, B),
    ),
    "jacfwd of a map with psum": (
        lambda m, a: m.jacfwd(m.map_(lambda x: m.np.sin(x) / m.psum(x**2, "i"), axis_name="i"))(a),
        (A,),
    ),
    "hessian of a map with psum": (
        lambda m, a: m.hessian(
            lambda a: m.np.sum(
                m.map_(lambda x: m.np.sum(m.np.sin(x)) * m.psum(x**2, "i"), axis_name="i")(a) ** 2
            )
        )(a[:2, :2]),
        (A,),
    ),
    "hessian of a map of a loop": (
        lambda m, b: m.hessian(
            lambda b: m.np.sum(
                m.map_(lambda xs: m.scan(lambda c, x: (m.np.sin(c + x), c * x), xs[0], xs)[1])(b)
            )
        )(b[:2, :2, :2]),
        (B,),
    ),
    "jvp of vmap of grad": (
        lambda m, a, b: m.jvp(
            m.map_(m.grad(lambda x: m.np.sum(m.np.sin(x) * x[0]))), (a,), (b[0],)
        ),
        (A, B),
    ),
    "jacrev of vmap of cond": (
        lambda m, a: m.jacrev(
            m.map_(lambda x: m.cond(x[0] > 0, lambda y: m.np.sin(y), lambda y: y * y, x))
        )(a),
        (A,),
    ),
    "jacfwd of vmap of while_loop": (
        lambda m, a: m.jacfwd(
            m.map_(lambda x: m.while_loop(
                lambda s: m.np.sum(s) < 20, lambda s: s * 1.5 + m.np.sin(s) + 1, m.np.abs(x)
            ))
        )(a),
        (A,),
    ),
    "psum in scan": (
        lambda m, a: m.map_(
            lambda x: m.scan(lambda c, y: (m.psum(c, "i") * 0.1 + y, c), x[0], x)[1], axis_name="i"
        )(a),
        (A,),
    ),
}  # fmt: skip


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize("name", CASES)
def test_agrees_with_jax(name, compiled):
    function, arguments = CASES[name]
    expected = function(Theirs, *nested(Theirs.array, arguments))
    given = nested(Ours.array, arguments)
    run = el.jit(lambda *xs: function(Ours, *xs)) if compiled else lambda *xs: function(Ours, *xs)
    same(run(*given), expected, name)
