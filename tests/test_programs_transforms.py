"""Whole programs of transforms as people write them, small: each has a second way to its result."""

from __future__ import annotations

import functools
import itertools
import threading

import numpy as np
import pytest

import elinvar as el
from elinvar import nn
from elinvar.testing import assert_allclose, assert_bitwise_equal

F = nn.functional
pytestmark = pytest.mark.any_level
RNG = np.random.default_rng(5)


def normal(*shape: int) -> el.Tensor:
    return el.asarray(RNG.normal(size=shape).astype(np.float32))


def test_maml_through_two_inner_steps() -> None:
    weights = {"a": normal(1, 4), "b": normal(4), "c": normal(4, 1)}

    def loss(w, x, y):
        return ((el.tanh(x @ w["a"] + w["b"]) @ w["c"] - y) ** 2).mean()

    def adapted(w, x, y):
        return el.tree.map(lambda p, g: p - 0.1 * g, w, el.grad(loss)(w, x, y))

    def after(w, x, y):
        return loss(adapted(adapted(w, x, y), x, y), x, y)

    def meta(w, x, y):
        return el.vmap(after, in_axes=(None, 0, 0))(w, x, y).mean()

    x, y = normal(3, 5, 1), normal(3, 5, 1)
    found = el.jit(el.value_and_grad(meta))(weights, x, y)
    assert_bitwise_equal(found, el.value_and_grad(meta)(weights, x, y))
    el.testing.check_grads(lambda b: meta({**weights, "b": b}, x, y), (weights["b"],), order=1)


def test_neural_tangent_kernel_both_ways() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    weights = {name: value.detach() for name, value in net.named_parameters()}
    x, z = normal(4, 3), normal(2, 3)

    def f(w, x):
        return el.functional_call(net, w, x)

    def by_jacobians(x, z):
        rows = [el.vmap(el.jacrev(f), in_axes=(None, 0))(weights, v) for v in (x, z)]
        pairs = zip(*(el.tree.leaves(j) for j in rows), strict=True)
        return sum(el.einsum("naf,mbf->nmab", a.flatten(2), b.flatten(2)) for a, b in pairs)

    def by_products(x, z):
        pull = el.vjp(lambda w: f(w, x), weights)[1]
        push = lambda t: el.jvp(lambda w: f(w, z), (weights,), pull(t))[1]  # noqa: E731
        return el.vmap(push)(el.eye(2))

    every_pair = el.vmap(el.vmap(by_products, in_axes=(None, 0)), in_axes=(0, None))
    assert_allclose(el.jit(by_jacobians)(x, z), every_pair(x, z), rtol=1e-4, atol=1e-5)


def test_a_fixed_point_has_an_implicit_derivative() -> None:
    @functools.partial(el.custom_vjp, nondiff_argnums=(0,))
    def fixed(f, a, start):
        far = lambda s: el.abs(s[0] - s[1]).max() > 1e-6  # noqa: E731
        return el.while_loop(far, lambda s: (s[1], f(a, s[1])), (start, f(a, start)))[1]

    def forward(f, a, start):
        found = fixed(f, a, start)
        return found, (a, found)

    def backward(f, held, g):
        a, found = held
        pull_x = el.vjp(lambda x: f(a, x), found)[1]
        total = fixed(lambda g, u: g + pull_x(u)[0], g, g)
        return el.vjp(lambda a: f(a, found), a)[1](total)[0], el.zeros_like(found)

    fixed.defvjp(forward, backward)
    root = lambda a: fixed(lambda a, x: 0.5 * (x + a / x), a, a)  # noqa: E731
    two = el.asarray(2.0)
    for way in (el.grad(root), el.jit(el.grad(root))):
        assert abs(way(two).item() - 0.5 / 2**0.5) < 1e-6
    mapped = el.vmap(el.grad(root))(el.asarray([2.0, 9.0]))
    assert_allclose(mapped, [0.5 / 2**0.5, 1 / 6], rtol=1e-5)


def test_conjugate_gradients_and_gauss_newton() -> None:
    x, y, w = normal(6, 3), normal(6), normal(3)
    residuals = lambda w: el.tanh(x @ w) - y  # noqa: E731

    def product(w, v):
        pushed = el.jvp(residuals, (w,), (v,))[1]
        return el.vjp(residuals, w)[1](pushed)[0] + 0.1 * v

    def solve(apply, b):
        def step(s):
            found, r, p, rr = s
            q = apply(p)
            a = rr / (p @ q)
            new = r - a * q
            return found + a * p, new, new + (new @ new) / rr * p, new @ new

        return el.while_loop(lambda s: s[3] > 1e-12, step, (el.zeros_like(b), b, b, b @ b))[0]

    jacobian = el.jacfwd(residuals)(w)
    matrix = jacobian.mT @ jacobian + 0.1 * el.eye(3)
    step = el.jit(lambda w, b: solve(lambda v: product(w, v), b))(w, y[:3])
    assert_allclose(step, el.linalg.solve(matrix, y[:3]), rtol=1e-3, atol=1e-4)
    many = el.vmap(lambda b: solve(lambda v: product(w, v), b))(el.stack([y[:3], y[3:]]))
    assert_allclose(many[0], step, rtol=1e-3, atol=1e-4)


def test_a_state_space_model_by_scan_and_by_prefixes() -> None:
    decay, drive = F.sigmoid(normal(7, 3)), normal(7, 3)

    def by_prefixes(a, b):
        join = lambda p, q: (p[0] * q[0], q[0] * p[1] + q[1])  # noqa: E731
        return el.associative_scan(join, (a, b))[1]

    def by_steps(a, b):
        def step(h, row):
            h = row[0] * h + row[1]
            return h, h

        return el.scan(step, el.zeros(3), (a, b))[1]

    slopes = []
    for way in (by_prefixes, by_steps):
        energy = lambda a, b: (way(a, b) ** 2).sum()  # noqa: B023, E731
        slopes.append(el.jit(el.grad(energy, argnums=(0, 1)))(decay, drive))
    assert_allclose(by_prefixes(decay, drive), by_steps(decay, drive), rtol=1e-4, atol=1e-5)
    assert_allclose(slopes[0], slopes[1], rtol=1e-3, atol=1e-4)


def test_an_equation_in_the_loss() -> None:
    """Derivatives by inputs inside of what is differentiated by weights."""
    weights, points = (normal(1, 4), normal(4), normal(4, 1)), el.linspace(0.0, 1.0, 4)

    def u(w, x):
        return (el.tanh(x.reshape(1) @ w[0] + w[1]) @ w[2])[0]

    def loss(w):
        curvature = el.grad(el.grad(u, argnums=1), argnums=1)
        rest = el.vmap(lambda x: curvature(w, x) + u(w, x) ** 3)(points)
        return (rest**2).mean() + u(w, el.asarray(0.0)) ** 2

    found = el.value_and_grad(loss)(weights)
    assert_bitwise_equal(el.jit(el.value_and_grad(loss))(weights), found)
    el.testing.check_grads(lambda b: loss((weights[0], b, weights[2])), (weights[1],), order=1)


def test_a_sampler_of_keys_in_scans() -> None:
    def step(x, key):
        move, chance = el.random.split(key)
        new = x + el.random.randn(2, key=move)
        change = 0.5 * (x @ x) - 0.5 * (new @ new)
        taken = el.log(el.random.rand((), key=chance)) < change
        return el.where(taken, new, x), (x, taken)

    chain = lambda x, key: el.scan(step, x, el.random.split(key, 5))[1]  # noqa: E731
    keys, starts = el.random.split(el.random.key(0), 3), el.zeros((3, 2))
    together = el.jit(el.vmap(chain))(starts, keys)
    for n in range(3):
        assert_bitwise_equal(el.tree.map(lambda x: x[n], together), chain(starts[n], keys[n]))  # noqa: B023


def test_contrastive_loss_over_a_named_axis() -> None:
    a, b = normal(4, 3), normal(4, 3)

    def one(x, y):
        scores = el.all_gather(y, "batch") @ x
        return el.logsumexp(scores) - scores[el.axis_index("batch")]

    def named(a, b):
        return el.vmap(one, axis_name="batch")(a, b).mean()

    def plain(a, b):
        return F.cross_entropy(a @ b.mT, el.arange(4))

    found = el.jit(el.value_and_grad(named, argnums=(0, 1)))(a, b)
    assert_allclose(found, el.value_and_grad(plain, argnums=(0, 1))(a, b), rtol=1e-4, atol=1e-6)


def test_beam_search_writes_tokens_in_a_scan() -> None:
    scores = F.log_softmax(normal(4, 4), -1)

    def step(state, i):
        token, total, text = state
        found = el.topk((total[:, None] + scores[token]).reshape(-1), 3)
        parent, token = found.indices // 4, found.indices % 4
        return (token, found.values, text[parent].at[:, i].set(token)), None

    start = (el.asarray([0] * 3), el.asarray([0.0, -1e9, -1e9]), el.zeros((3, 3), dtype=el.int64))
    search = lambda: el.scan(step, start, el.arange(3))[0]  # noqa: E731
    assert_bitwise_equal(el.jit(search)(), search())
    with el.disable_jit():
        _, total, text = search()
    table = scores.numpy()
    paths = [(0, a, b, c) for a in range(4) for b in range(4) for c in range(4)]
    best = max(sum(table[p, q] for p, q in itertools.pairwise(path)) for path in paths)
    way = [0, *text[0].tolist()]
    assert abs(total[0].item() - best) < 1e-5
    assert abs(sum(table[p, q] for p, q in itertools.pairwise(way)) - best) < 1e-5


def test_jit_after_an_error_and_in_threads() -> None:
    @el.jit
    def f(x):
        if x.shape[0] == 3:
            raise ValueError("no threes")
        return el.tanh(x).sum()

    for n in (2, 3, 4, 3, 2):
        if n == 3:
            with pytest.raises(ValueError, match="no threes"):
                f(el.ones(n))
        else:
            assert abs(f(el.ones(n)).item() - n * np.tanh(1)) < 1e-5
    found = []
    work = lambda: found.extend(el.grad(f)(el.ones(n)).sum().item() for n in (2, 4, 5))  # noqa: E731
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 12 and len(set(found)) == 3
