"""Derivatives of linear algebra against differences, to order 2, in reverse and forward."""

import numpy as np
import pytest

import elinvar as el

pytestmark = [pytest.mark.slow, pytest.mark.any_level]  # many programs to compile

L = el.linalg


def draw(*shape, seed=0):
    return el.asarray(np.random.default_rng([seed, *shape]).normal(size=shape))


def symmetric(x):
    return (x + x.mT) * 0.5


def positive(x):
    return x @ x.mT + 2.0 * L.matrix_power(x, 0)


FUNCTIONS = {
    "cholesky": (lambda x: L.cholesky(positive(x)), (3, 3)),
    "solve_triangular": (lambda x: L.solve_triangular(x, x @ x, upper=False), (3, 3)),
    "cholesky_solve": (lambda x: L.cholesky_solve(x, L.cholesky(positive(x))), (3, 3)),
    "solve": (lambda x: L.solve(x, x @ x * x), (2, 3, 3)),
    "inv": (L.inv, (2, 3, 3)),
    "det": (L.det, (2, 3, 3)),
    "slogdet": (lambda x: L.slogdet(x).logabsdet, (3, 3)),
    "lu": (lambda x: L.lu(x).L @ (L.lu(x).U * 0.3) ** 2, (3, 3)),
    "lu tall": (lambda x: (L.lu(x).L ** 2).sum() + (L.lu(x).U ** 2).sum(), (4, 3)),
    "lu wide": (lambda x: (L.lu(x).L ** 2).sum() + (L.lu(x).U ** 2).sum(), (3, 4)),
    "lu_solve": (lambda x: L.lu_solve(*L.lu_factor(x), x * x), (3, 3)),
    "qr": (lambda x: (L.qr(x).Q ** 2) @ (L.qr(x).R ** 2), (4, 3)),
    "qr wide": (lambda x: (L.qr(x).Q ** 2) @ (L.qr(x).R ** 2), (3, 4)),
    "eigvalsh": (lambda x: L.eigvalsh(symmetric(x)), (2, 3, 3)),
    "eigh": (lambda x: L.eigh(symmetric(x)).eigenvectors ** 2, (3, 3)),
    "svdvals": (L.svdvals, (3, 4)),
    "svd": (lambda x: L.svd(x, full_matrices=False).U ** 2, (4, 3)),
    "svd wide": (lambda x: L.svd(x, full_matrices=False).Vh ** 2, (3, 4)),
    "pinv": (L.pinv, (4, 3)),
    "lstsq": (lambda x: L.lstsq(x, x[:, :1] ** 2).solution, (4, 3)),
    "residuals": (lambda x: L.lstsq(x, x[:, :1] ** 2).residuals, (4, 3)),
    "matrix_exp": (L.matrix_exp, (3, 3)),
    "matrix_exp large": (lambda x: L.matrix_exp(8.0 * x) * 1e-6, (3, 3)),
    "nuclear norm": (lambda x: L.matrix_norm(x, ord="nuc"), (3, 4)),
    "cond": (L.cond, (3, 3)),
    "vander": (L.vander, (3,)),
}


QUICK = ("solve", "eigh")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in FUNCTIONS]
)
def test_derivatives(name):
    function, shape = FUNCTIONS[name]
    x, u, v = draw(*shape), draw(*shape, seed=1), draw(*shape, seed=2)
    w = draw(*function(x).shape, seed=3)

    def value(x):
        return (function(x) * w).sum()

    step = 1e-5
    gradient = el.grad(value)
    expected = (value(x + step * u) - value(x - step * u)).item() / (2 * step)
    found = (gradient(x) * u).sum().item()
    scale = max(1.0, abs(expected))
    assert abs(found - expected) < 1e-6 * scale
    pushed = (el.jvp(function, (x,), (u,))[1] * w).sum().item()
    assert abs(pushed - found) < 1e-10 * scale
    turned = el.grad(lambda x: (gradient(x) * u).sum())(x)
    found = (turned * v).sum().item()
    expected = ((gradient(x + step * v) - gradient(x - step * v)) * u).sum().item() / (2 * step)
    assert abs(found - expected) < 1e-5 * max(1.0, abs(expected))


def test_gradients_are_hermitian():
    x = positive(draw(3, 3))
    for function in (L.cholesky, L.eigvalsh):
        found = el.grad(lambda x, function=function: (function(x) ** 3).sum())(x).numpy()
        np.testing.assert_allclose(found, found.T, atol=1e-15)


def test_equal_values():
    """Of equal eigenvalues the vectors have no derivative; sums over values have one."""
    x = el.eye(3, dtype=el.float64)
    found = el.grad(lambda x: (L.eigvalsh(x) ** 2).sum())(x)
    np.testing.assert_allclose(found.numpy(), 2 * np.eye(3), atol=1e-15)
    found = el.grad(lambda x: L.svdvals(x).sum())(x)
    np.testing.assert_allclose(found.numpy(), np.eye(3), atol=1e-15)
    found = el.grad(lambda x: (L.eigh(x).eigenvectors * draw(3, 3)).sum())(x)
    assert not np.isfinite(found.numpy()).all()


def test_what_has_none():
    x = el.Tensor(draw(4, 2), requires_grad=True)
    with pytest.raises(el.ElinvarError, match="full_matrices=True adds have no derivative"):
        L.svd(x).U.sum().backward()
    with pytest.raises(el.ElinvarError, match="mode='complete' has no derivative"):
        L.qr(x, mode="complete").Q.sum().backward()
    assert not L.matrix_rank(x).requires_grad


def test_one_operand():
    """Where only one operand wants a gradient the other gets none."""
    a, b = positive(draw(3, 3)), draw(3, 2)
    a = el.Tensor(a, requires_grad=True)
    L.solve(a, b).sum().backward()
    assert a.grad is not None and b.grad is None
    c = el.Tensor(b, requires_grad=True)
    L.solve(a.detach(), c).sum().backward()
    np.testing.assert_allclose(
        c.grad.numpy(), np.linalg.inv(a.detach().numpy()).sum(0)[:, None] * [1, 1]
    )


INSIDE = {
    "cholesky": L.cholesky,
    "inv": L.inv,
    "solve": lambda x: L.solve(x, x * x),
    "det": lambda x: x * L.det(x),
    "eigvalsh": lambda x: x + L.eigvalsh(x),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", INSIDE)
def test_within_scan(name):
    """In the body of a scan the derivative is the same one, to the bit."""
    function, x = INSIDE[name], positive(draw(3, 3))
    scales = el.asarray([1.0, 1.5], dtype=el.float64)

    def inside(x):
        return el.scan(lambda c, s: (function(c * s) * 0.1 + c, None), x, scales)[0].sum()

    def outside(x):
        for scale in (1.0, 1.5):
            x = function(x * scale) * 0.1 + x
        return x.sum()

    found, expected = el.grad(inside)(x), el.grad(outside)(x)
    assert found.numpy().tobytes() == expected.numpy().tobytes()
    pushed = el.jvp(inside, (x,), (x,))[1].item()
    assert pushed == pytest.approx((expected * x).sum().item(), rel=1e-12)
