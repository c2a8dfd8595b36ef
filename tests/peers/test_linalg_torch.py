"""Linear algebra beside PyTorch's: values, gradients and second derivatives."""

import numpy as np
import pytest
import torch

import elinvar as el

pytestmark = pytest.mark.any_level

L, T = el.linalg, torch.linalg


def draw(shape, seed=0, dtype="float64"):
    rng = np.random.default_rng([seed, *shape])
    x = rng.normal(size=shape)
    return x + 1j * rng.normal(size=shape) if dtype == "complex128" else x


def positive(shape, seed=0, dtype="float64"):
    x = draw(shape, seed, dtype)
    return x @ x.conj().swapaxes(-1, -2) + shape[-1] * np.eye(shape[-1])


def dominant(shape, seed=0, dtype="float64"):
    return draw(shape, seed, dtype) + 4 * np.eye(shape[-1])


def as_tuple(found):
    return tuple(found) if isinstance(found, tuple) else (found,)


def total(parts, weights, lib):
    """A real number of all parts: a weighted sum and a cubic term."""
    found = 0
    for part, weight in zip(parts, weights, strict=True):
        weight = el.asarray(weight) if lib is el else torch.tensor(weight)
        term = part * weight
        term = (lib.real(term) if term.dtype in (el.complex128, torch.complex128) else term).sum()
        found = found + term + (abs(part) ** 2).sum() * 0.1
    return found


def compare(ours, theirs, *arrays, second=True, tolerance=1e-9):
    tensors = [torch.tensor(x, requires_grad=True) for x in arrays]
    expected = as_tuple(theirs(*tensors))
    weights = [draw(tuple(y.shape), 7 + i) for i, y in enumerate(expected)]
    mine = [el.asarray(x) for x in arrays]
    for one, other in zip(as_tuple(ours(*mine)), expected, strict=True):
        value = other.detach().resolve_conj().numpy()
        np.testing.assert_allclose(one.numpy(), value, rtol=tolerance, atol=tolerance)

    def function(*xs):
        return total(as_tuple(ours(*xs)), weights, el)

    numbers = tuple(range(len(arrays)))
    gradients = el.grad(function, argnums=numbers)
    first = torch.autograd.grad(total(expected, weights, torch), tensors, create_graph=second)
    check(gradients(*mine), first, tolerance)
    if second:
        turns = [draw(x.shape, 20 + i, str(x.dtype)) for i, x in enumerate(arrays)]
        along = sum(
            ((g * torch.tensor(u).conj()).real if g.is_complex() else g * torch.tensor(u)).sum()
            for g, u in zip(first, turns, strict=True)
        )

        def directed(*xs):
            found = 0
            for g, u in zip(gradients(*xs), turns, strict=True):
                part = g * el.asarray(u.conj())
                found = found + el.real(part).sum()
            return found

        check(
            el.grad(directed, argnums=numbers)(*mine),
            torch.autograd.grad(along, tensors),
            tolerance,
        )


def check(found, expected, tolerance):
    for one, other in zip(found, expected, strict=True):
        value = other.detach().resolve_conj().numpy()
        scale = max(1.0, np.abs(value).max())
        np.testing.assert_allclose(one.numpy() / scale, value / scale, atol=tolerance)


def phases_away(names):
    """Of vectors only what does not depend on their phase: squares of absolute values."""

    def wrap(function):
        def wrapped(*xs):
            found = as_tuple(function(*xs))
            return tuple(abs(p) ** 2 if n == "v" else p for n, p in zip(names, found, strict=True))

        return wrapped

    return wrap


SQUARE = {
    "inv": (L.inv, T.inv),
    "det": (L.det, T.det),
    "logdet": (lambda x: L.slogdet(x)[1], lambda x: T.slogdet(x)[1]),
    "lu": (lambda x: tuple(L.lu(x)[1:]), lambda x: tuple(T.lu(x)[1:])),
    "matrix_exp": (L.matrix_exp, T.matrix_exp),
    "power": (lambda x: L.matrix_power(x, -2), lambda x: T.matrix_power(x, -2)),
}
RECTANGULAR = {
    "qr": (lambda x: tuple(L.qr(x)), lambda x: tuple(T.qr(x))),
    "lu": SQUARE["lu"],
    "svd": (
        phases_away("vsv")(lambda x: tuple(L.svd(x, full_matrices=False))),
        phases_away("vsv")(lambda x: tuple(T.svd(x, full_matrices=False))),
    ),
    "svdvals": (L.svdvals, T.svdvals),
    "pinv": (L.pinv, T.pinv),
    "nuclear": (lambda x: L.matrix_norm(x, ord="nuc"), lambda x: T.matrix_norm(x, ord="nuc")),
    "spectral": (lambda x: L.matrix_norm(x, ord=2), lambda x: T.matrix_norm(x, ord=2)),
    "cond": (L.cond, T.cond),
}


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("lead", [(), (2,)])
@pytest.mark.parametrize("name", SQUARE)
def test_square(name, lead, dtype):
    compare(*SQUARE[name], dominant((*lead, 4, 4), dtype=dtype))


@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5), (2, 4, 3)])
@pytest.mark.parametrize("name", RECTANGULAR)
def test_rectangular(name, shape):
    # PyTorch has no second derivative of the QR decomposition of wide matrices
    compare(*RECTANGULAR[name], draw(shape), second=name != "qr" or shape[-1] <= shape[-2])


@pytest.mark.parametrize("name", ["svd", "svdvals", "pinv", "qr"])
@pytest.mark.parametrize("shape", [(4, 4), (4, 3)])
def test_rectangular_complex(name, shape):
    compare(*RECTANGULAR[name], draw(shape, dtype="complex128"))


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("lead", [(), (2,)])
def test_hermitian(lead, dtype):
    x = positive((*lead, 4, 4), dtype=dtype)

    def halves(x):  # PyTorch's gradient of a complex matrix is not Hermitian by itself
        return (x + x.mT.conj()) * 0.5

    compare(lambda x: L.cholesky(halves(x)), lambda x: T.cholesky(halves(x)), x)
    upper = {"upper": True}
    compare(lambda x: L.cholesky(halves(x), **upper), lambda x: T.cholesky(halves(x), **upper), x)
    compare(L.eigvalsh, T.eigvalsh, x)
    vectors = phases_away("sv")
    compare(vectors(lambda x: tuple(L.eigh(x))), vectors(lambda x: tuple(T.eigh(x))), x)
    b = draw((*lead, 4, 2), 1, dtype)
    compare(
        lambda x, b: L.cholesky_solve(b, L.cholesky(halves(x))),
        lambda x, b: torch.cholesky_solve(b, T.cholesky(halves(x))),
        x,
        b,
    )


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("left", [True, False])
def test_systems(left, dtype):
    x = dominant((4, 4), dtype=dtype)
    b = draw((4, 3) if left else (3, 4), 1, dtype)
    compare(lambda x, b: L.solve(x, b, left=left), lambda x, b: T.solve(x, b, left=left), x, b)
    for upper in (True, False):
        for unit in (True, False):
            options = {"upper": upper, "left": left, "unitriangular": unit}
            compare(
                lambda x, b, options=options: L.solve_triangular(x, b, **options),
                lambda x, b, options=options: T.solve_triangular(x, b, **options),
                x,
                b,
            )
    if left:
        ours = lambda x, b: L.lu_solve(*L.lu_factor(x), b, adjoint=True)  # noqa: E731
        compare(ours, lambda x, b: T.lu_solve(*T.lu_factor(x), b, adjoint=True), x, b)
        compare(lambda x, b: L.lstsq(x, b)[0], lambda x, b: T.lstsq(x, b)[0], x[:, :3], b)


def test_pinv_of_lower_rank():
    x = draw((5, 2)) @ draw((2, 4), 1)
    compare(lambda x: L.pinv(x, rtol=1e-8), lambda x: T.pinv(x, rtol=1e-8), x, second=False)


def test_singular_determinant():
    """The gradient is the adjugate's transpose, also where no inverse exists."""
    for x, expected in (
        ([[1.0, 2.0], [2.0, 4.0]], [[4.0, -2.0], [-2.0, 1.0]]),
        ([[0.0, 1.0, 2.0], [0.0, 3.0, 4.0], [0.0, 5.0, 7.0]],
         [[1.0, 0.0, 0.0], [3.0, 0.0, 0.0], [-2.0, 0.0, 0.0]]),
        ([[0.0] * 3] * 3, [[0.0] * 3] * 3),
    ):  # fmt: skip
        found = el.grad(L.det)(el.asarray(x, dtype=el.float64))
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-13)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_eig(dtype):
    """Values and vectors in the order of the values' real parts."""
    x = dominant((4, 4), dtype=dtype) + np.diag(np.arange(4) * 9.0)  # far apart

    def ours(x):
        values, vectors = L.eig(x)
        order = el.argsort(el.real(values))
        return el.take(values, order), abs(el.take(vectors, order, axis=1)) ** 2

    def theirs(x):
        values, vectors = T.eig(x)
        order = torch.argsort(values.real)
        return values[order], vectors[:, order].abs() ** 2

    compare(ours, theirs, x)
    compare(lambda x: abs(L.eigvals(x)).sum(), lambda x: T.eigvals(x).abs().sum(), x)
