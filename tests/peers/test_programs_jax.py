"""Programs written once for Elinvar and JAX: the same loops, updates and gradients."""

import numpy as np
import pytest

import elinvar as el

jax = pytest.importorskip("jax")
jnp = jax.numpy

pytestmark = pytest.mark.any_level
RNG = np.random.default_rng(11)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def close(found, expected, rtol=1e-3, atol=1e-4):
    # JAX puts the keys of dicts in order, Elinvar leaves them
    leaves = jax.tree.leaves(found, is_leaf=lambda x: isinstance(x, el.Tensor))
    for one, other in zip(leaves, jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=rtol, atol=atol)


def in_both(function, *arrays):
    """function(el or jax, numpy of it, *tensors), its value and gradients, compiled in both."""
    numbers = tuple(range(len(arrays)))
    ours = el.value_and_grad(lambda *xs: function(el, el, *xs), argnums=numbers)
    theirs = jax.value_and_grad(lambda *xs: function(jax, jnp, *xs), argnums=numbers)
    close(el.jit(ours)(*map(el.asarray, arrays)), jax.jit(theirs)(*arrays))


def scan_of(api):
    return el.scan if api is el else jax.lax.scan


def logsumexp_of(api):
    return el.logsumexp if api is el else jax.scipy.special.logsumexp


def test_sinkhorn():
    def transport(api, np_, costs):
        lse = logsumexp_of(api)

        def step(state, _):
            f = -0.1 * lse((state[1][None] - costs) / 0.1, axis=1)
            g = -0.1 * lse((f[:, None] - costs) / 0.1, axis=0)
            return (f, g), None

        start = np_.zeros_like(costs[:, 0]), np_.zeros_like(costs[0])
        (f, g), _ = scan_of(api)(step, start, None, length=10)
        return (np_.exp((f[:, None] + g[None] - costs) / 0.1) * costs).sum()

    in_both(transport, np.abs(normal(3, 4)))


def test_soft_dtw_by_a_scan_of_scans():
    def distance(api, np_, costs):
        lse, scan, far = logsumexp_of(api), scan_of(api), np_.full_like(costs[0, 0], 1e4)

        def row(above, here):
            def cell(left, given):
                value = given[0] - lse(-np_.stack([left, given[1], given[2]]))
                return value, value

            values = scan(cell, far, (here, above[1:], above[:-1]))[1]
            join = np_.concat if api is el else np_.concatenate
            return join([far[None], values]), None

        first = np_.where(np_.arange(costs.shape[1] + 1) == 0, np_.zeros_like(far), far)
        return scan(row, first, costs)[0][-1]

    in_both(distance, np.abs(normal(3, 4)))


def test_messages_on_a_graph():
    source, target = RNG.integers(0, 4, 7), RNG.integers(0, 4, 7)

    def energy(api, np_, x, w):
        s, t = np_.asarray(source), np_.asarray(target)
        ops = el if api is el else jax.ops
        scores = (x[s] * (x @ w)[t]).sum(-1)
        top = ops.segment_max(scores, t, num_segments=4)
        weights = np_.exp(scores - top[t])
        weights = weights / ops.segment_sum(weights, t, num_segments=4)[t]
        return (ops.segment_sum(weights[:, None] * x[s], t, num_segments=4) ** 2).sum()

    in_both(energy, normal(4, 3), normal(3, 3))


def test_a_kalman_filter_by_scan():
    def error(api, np_, moves, sees, seen):
        def step(state, y):
            m, p = state
            m, p = moves @ m, moves @ p @ moves.T + 0.1 * np_.eye(2, dtype=np_.float32)
            spread = sees @ p @ sees.T + 0.5 * np_.eye(1, dtype=np_.float32)
            gain = np_.linalg.solve(spread, sees @ p).T
            m, p = m + gain @ (y - sees @ m), p - gain @ spread @ gain.T
            return (m, p), m

        start = np_.zeros_like(moves[0]), np_.eye(2, dtype=np_.float32)
        return (scan_of(api)(step, start, seen)[1] ** 2).mean()

    in_both(error, normal(2, 2) * 0.3 + np.eye(2, dtype=np.float32), normal(1, 2), normal(5, 1))


@pytest.mark.parametrize("method", ["set", "add", "multiply", "min", "max"])
def test_at_under_vmap_and_jit(method):
    x, v, i = normal(4, 5, 3), normal(4, 2, 3), RNG.integers(-5, 5, (4, 2))
    i[:, 1] = (i[:, 0] + 6) % 5  # another place than the first
    ours = el.vmap(lambda x, v, i: getattr(x.at[i], method)(v))
    theirs = jax.vmap(lambda x, v, i: getattr(x.at[i], method)(v))
    given = [el.asarray(a) for a in (x, v, i)]
    close(el.jit(ours)(*given), theirs(x, v, i), 1e-6, 0)
    beyond = np.asarray([[7, 1]] * 4)
    close(el.jit(ours)(*given[:2], el.asarray(beyond)), theirs(x, v, beyond), 1e-6, 0)


def test_dynamic_slices_move_inside():
    x = normal(4, 6)
    for start in ((0, 0), (3, 5), (-1, -3), (2, -9)):
        ours = el.dynamic_slice(el.asarray(x), start, (2, 3))
        close(ours, jax.lax.dynamic_slice(x, start, (2, 3)), 0, 0)
        placed = el.dynamic_update_slice(el.asarray(x), el.ones((2, 3)), start)
        expected = jax.lax.dynamic_update_slice(x, jnp.ones((2, 3), jnp.float32), start)
        close(placed, expected, 0, 0)
