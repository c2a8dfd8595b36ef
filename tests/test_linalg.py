"""Decompositions: residuals in units of ε, shapes, hard matrices, the contract, errors."""

import numpy as np
import pytest

import elinvar as el

pytestmark = [pytest.mark.slow, pytest.mark.any_level]  # many programs to compile

L = el.linalg
SIZES = (0, 1, 2, 3, 8, 33, 64, 65, 100, 200)  # one panel up to 64, several beyond
TALL = ((5, 1), (1, 5), (8, 3), (3, 8), (100, 70), (70, 100), (200, 40), (0, 3), (3, 0))
DTYPES = ("float32", "float64", "complex64", "complex128")
REAL = DTYPES[:2]
slow = pytest.mark.slow

# (shape, dtype): all shapes of real numbers, some of complex ones
QUICK = (0, 1, 8, 65)
SQUARE = [((n, n), dtype) for n in QUICK for dtype in REAL]
SQUARE += [
    pytest.param((n, n), dtype, marks=slow) for n in SIZES if n not in QUICK for dtype in REAL
]
SQUARE += [pytest.param((n, n), dtype, marks=slow) for n in (5, 70) for dtype in DTYPES[2:]]
SHAPES = [(shape, "float64") for shape in TALL[2:4]]
SHAPES += [pytest.param(s, "float64", marks=slow) for s in (*TALL[:2], *TALL[4:])]
SHAPES += [pytest.param(s, "complex64", marks=slow) for s in ((8, 3), (3, 8), (100, 70))]
SHAPES += SQUARE


def draw(shape, dtype="float64", seed=0):
    rng = np.random.default_rng([seed, *shape])
    x = rng.normal(size=shape)
    if dtype.startswith("complex"):
        x = x + 1j * rng.normal(size=shape)
    return x.astype(dtype)


def adjoint(x):
    return x.conj().swapaxes(-1, -2)


def positive(shape, dtype="float64", seed=0):
    x = draw(shape, dtype, seed)
    return (x @ adjoint(x) + shape[-1] * np.eye(shape[-1])).astype(dtype)


def wide(x):
    return x.astype("complex128" if np.iscomplexobj(x) else "float64")


def numpy_of(*tensors):
    return tuple(wide(x.numpy()) for x in tensors)


def in_eps(difference, dtype, scale=1.0):
    """The largest element in units of ε · scale."""
    if difference.size == 0:
        return 0.0
    found = float(np.abs(difference).max() / (np.finfo(dtype).eps * scale))
    assert np.isfinite(found)
    return found


def largest(x):
    return float(np.abs(x).max()) or 1.0 if x.size else 1.0


def unitary(q, dtype, columns=True):
    """How far the columns (rows) are from orthonormal, in ε."""
    inner = adjoint(q) @ q if columns else q @ adjoint(q)
    return in_eps(inner - np.eye(inner.shape[-1]), dtype)


def bits(x):
    return x.numpy().tobytes()


def orthogonal(n, seed=0):
    return np.linalg.qr(draw((n, n), seed=seed))[0]


# ---- residuals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "dtype"), SQUARE)
def test_cholesky(shape, dtype):
    n = shape[0]
    x = positive((n, n), dtype)
    (lower,) = numpy_of(L.cholesky(el.asarray(x)))
    assert in_eps(lower @ adjoint(lower) - x, dtype, largest(x)) <= max(n, 4)
    assert (np.triu(lower, 1) == 0).all()
    (upper,) = numpy_of(L.cholesky(el.asarray(np.triu(x)), upper=True))  # reads its triangle only
    assert in_eps(adjoint(upper) - lower, dtype, largest(lower)) <= max(n, 4)
    b = draw((n, 2), dtype)
    (y,) = numpy_of(L.cholesky_solve(el.asarray(b), L.cholesky(el.asarray(x))))
    assert in_eps(x @ y - b, dtype, largest(x) * largest(y)) <= 4 * max(n, 4)


@pytest.mark.parametrize(("shape", "dtype"), SQUARE)
def test_solve_and_inv(shape, dtype):
    n = shape[0]
    x, b = draw((n, n), dtype), draw((n, 3), dtype, 1)
    bound = 4 * max(n, 4)
    (y,) = numpy_of(L.solve(el.asarray(x), el.asarray(b)))
    assert in_eps(x @ y - b, dtype, largest(x) * largest(y)) <= bound
    (y,) = numpy_of(L.solve(el.asarray(x), el.asarray(b.T), left=False))
    assert in_eps(y @ x - b.T, dtype, largest(x) * largest(y)) <= bound
    (y,) = numpy_of(L.inv(el.asarray(x)))
    assert in_eps(x @ y - np.eye(n), dtype, largest(x) * largest(y)) <= bound


@pytest.mark.parametrize(("shape", "dtype"), SHAPES)
def test_lu(shape, dtype):
    x = draw(shape, dtype)
    p, lower, upper = numpy_of(*L.lu(el.asarray(x)))
    size = min(shape)
    assert lower.shape == (shape[0], size) and upper.shape == (size, shape[1])
    assert in_eps(p @ lower @ upper - x, dtype, largest(upper)) <= max(size, 4)
    root = 2.0**0.5 if dtype.startswith("complex") else 1.0  # pivots are compared by |re| + |im|
    assert largest(lower) <= root * (1 + 1e-6) and (np.triu(lower, 1) == 0).all()
    assert (np.tril(upper, -1) == 0).all()
    assert ((p == 0) | (p == 1)).all() and (p.sum(0) == 1).all() and (p.sum(1) == 1).all()


@slow
@pytest.mark.parametrize("dtype", DTYPES)
def test_determinants(dtype):
    for n in (0, 1, 2, 5, 33, 80):
        x = draw((n, n), dtype)
        expected, logarithm = np.linalg.slogdet(wide(x))
        sign, found = numpy_of(*L.slogdet(el.asarray(x)))
        assert in_eps(sign - expected, dtype) <= 20 * max(n, 4)
        assert in_eps(found - logarithm, dtype, max(abs(logarithm), 1)) <= 20 * max(n, 4)
        if n < 30:
            (found,) = numpy_of(L.det(el.asarray(x)))
            expected = np.linalg.det(wide(x))
            assert in_eps(found - expected, dtype, abs(expected)) <= 40 * max(n, 4)
    singular = el.zeros((3, 3), dtype=getattr(el, dtype))
    assert L.det(singular).item() == 0
    sign, logarithm = L.slogdet(singular)
    assert sign.item() == 0 and logarithm.item() == -np.inf


@pytest.mark.parametrize(("shape", "dtype"), SHAPES)
def test_qr(shape, dtype):
    x = draw(shape, dtype)
    for mode in ("reduced", "complete"):
        q, r = numpy_of(*L.qr(el.asarray(x), mode=mode))
        expected = np.linalg.qr(wide(x), mode=mode)
        assert q.shape == expected[0].shape and r.shape == expected[1].shape
        bound = max(max(shape), 8)
        assert in_eps(q @ r - x, dtype, largest(x)) <= bound
        assert unitary(q, dtype) <= bound
        assert in_eps(r - expected[1], dtype, largest(r)) <= 20 * bound  # LAPACK's signs, too
    assert bits(L.qr(el.asarray(x), mode="r").R) == bits(L.qr(el.asarray(x)).R)


@pytest.mark.parametrize(("shape", "dtype"), SQUARE)
def test_eigh(shape, dtype):
    n = shape[0]
    x = draw((n, n), dtype)
    x = x + adjoint(x)
    values, vectors = numpy_of(*L.eigh(el.asarray(np.tril(x))))  # the lower triangle is read
    check_eigh(x, values, vectors, dtype)
    assert bits(L.eigvalsh(el.asarray(x))) == bits(L.eigh(el.asarray(x)).eigenvalues)


def check_eigh(x, values, vectors, dtype, bound=0):
    bound = bound or max(x.shape[-1], 8)
    norm = largest(values)
    assert in_eps(x @ vectors - vectors * values[..., None, :], dtype, norm) <= bound
    assert unitary(vectors, dtype) <= bound
    assert in_eps(values - np.linalg.eigvalsh(wide(x)), dtype, norm) <= 2 * bound
    assert (np.diff(values, axis=-1) >= 0).all()


@pytest.mark.parametrize(("shape", "dtype"), SHAPES)
def test_svd(shape, dtype):
    x = draw(shape, dtype)
    check_svd(x, L.svd(el.asarray(x), full_matrices=False), dtype)
    u, _, vh = numpy_of(*L.svd(el.asarray(x)))
    assert u.shape == (shape[0],) * 2 and vh.shape == (shape[1],) * 2
    bound = max(max(shape), 8)
    assert unitary(u, dtype) <= bound and unitary(vh, dtype, columns=False) <= bound
    assert bits(L.svdvals(el.asarray(x))) == bits(L.svd(el.asarray(x)).S)


def check_svd(x, found, dtype, bound=0):
    u, s, vh = numpy_of(*found)
    bound = bound or max(max(x.shape), 8)
    norm = largest(s)
    assert in_eps((u * s[..., None, :]) @ vh - x, dtype, norm) <= bound
    assert unitary(u, dtype) <= bound and unitary(vh, dtype, columns=False) <= bound
    expected = np.linalg.svd(wide(x), compute_uv=False)
    assert in_eps(s - expected, dtype, norm) <= bound
    assert (np.diff(s, axis=-1) <= 0).all() and (s >= 0).all()


def check_eig(x, dtype="float64"):
    """Residuals, lengths, and that `eigvals` gives the same values."""
    values, vectors = numpy_of(*L.eig(el.asarray(x)))
    n, norm = x.shape[-1], max(float(np.linalg.norm(wide(x), 2)), 1e-300)
    bound = 2 * max(n, 8)
    assert in_eps(x @ vectors - vectors * values, dtype, norm) <= bound
    assert in_eps((np.abs(vectors) ** 2).sum(0) - 1, dtype) <= bound
    (alone,) = numpy_of(L.eigvals(el.asarray(x)))
    assert (alone == values).all()
    return values


@slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 2, 3, 8, 70])
def test_eig(n, dtype):
    x = draw((n, n), dtype)
    values = check_eig(x, dtype)
    rest = list(np.linalg.eigvals(wide(x)))
    for value in values:
        nearest = min(rest, key=lambda other, value=value: abs(other - value))
        assert abs(nearest - value) < 4000 * np.finfo(dtype).eps * max(np.abs(values))
        rest.remove(nearest)
    found = L.eig(el.asarray(x))
    assert found.eigenvalues.dtype.bits == (64 if dtype in ("float32", "complex64") else 128)


@slow
def test_hard_eig():
    """Defective matrices, circles of eigenvalues, triangles, scales."""
    x = draw((30, 30))
    for matrix in (np.eye(8), np.zeros((8, 8)), np.diag(np.ones(7), 1), np.roll(np.eye(8), 1, 0)):
        check_eig(matrix)
    for matrix in (np.roll(np.eye(30), 1, 0), x + x.T, x - x.T, np.triu(x), x * 1e200, x * 1e-200):
        check_eig(matrix)
    assert L.eigvals(el.zeros((2, 0, 0))).shape == (2, 0)


# ---- hard matrices ------------------------------------------------------------------------------


def wilkinson(n):
    off = np.diag(np.ones(n - 1), 1)
    return np.diag(np.abs(np.arange(n) - (n - 1) / 2)) + off + off.T


def glued():
    """Five of Wilkinson's matrices, glued by 1e-7: clusters of ten eigenvalues."""
    x = np.kron(np.eye(5), wilkinson(21))
    for i in range(1, 5):
        x[21 * i, 21 * i - 1] = x[21 * i - 1, 21 * i] = 1e-7
    return x


def hard(n):
    q, p = orthogonal(n), orthogonal(n, 1)
    third = n // 3
    middle = np.arange(n) - n / 2
    return {
        "identity": np.eye(n),
        "zero": np.zeros((n, n)),
        "ones": np.ones((n, n)),
        "diagonal": np.diag(np.arange(n) * 1.0),
        "two values": q @ np.diag([1.0] * third + [2.0] * (n - third)) @ q.T,
        "rank 2": q[:, :2] @ q[:, :2].T,
        "Hilbert": 1 / (np.arange(n)[:, None] + np.arange(n) + 1),
        "graded": q @ np.diag(10.0 ** -np.linspace(0, 14, n)) @ q.T,
        "graded rows": q * 10.0 ** -np.linspace(0, 14, n)[:, None],
        "graded columns": q * 10.0 ** -np.linspace(0, 14, n),
        "cluster": q @ np.diag(np.r_[1 + 1e-12 * np.arange(third), np.arange(n - third)]) @ q.T,
        "large": q @ np.diag(middle) @ p.T * 1e30,
        "small": q @ np.diag(middle) @ p.T * 1e-30,
        "Wilkinson": wilkinson(n),
        "glued": glued(),
    }


HARD = {n: hard(n) for n in (21, 100)}


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("name", HARD[21])
@pytest.mark.parametrize("n", [21, pytest.param(100, marks=slow)])
def test_hard_eigh(n, name, dtype):
    x = HARD[n][name]
    x = np.tril(x) + np.tril(x, -1).T
    x = x.astype(dtype)
    values, vectors = numpy_of(*L.eigh(el.asarray(x)))
    check_eigh(wide(x), values, vectors, dtype, 2 * max(n, 32))


def test_pairs_agree_to_the_bit():
    """Both rows of a rotation must decide alike, where elements are of the size of rounding."""
    for n, seed in ((5, 0), (8, 1), (21, 2), (40, 3)):
        q, half = orthogonal(n, seed), n // 2
        for values in ([1.0] * half + [2.0] * (n - half), [1.0] * n, (-1.0) ** np.arange(n)):
            x = q @ np.diag(values) @ q.T
            x = np.tril(x) + np.tril(x, -1).T
            check_eigh(x, *numpy_of(*L.eigh(el.asarray(x))), "float64", 16)
            check_svd(x, L.svd(el.asarray(x)), "float64", 16)


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("name", HARD[21])
@pytest.mark.parametrize("n", [21, pytest.param(100, marks=slow)])
def test_hard_svd(n, name, dtype):
    x = HARD[n][name].astype(dtype)
    check_svd(wide(x), L.svd(el.asarray(x), full_matrices=False), dtype, 2 * max(n, 32))


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("name", HARD[21])
def test_hard_qr_and_lu(name, dtype):
    x = HARD[100][name].astype(dtype)
    q, r = numpy_of(*L.qr(el.asarray(x)))
    norm = max(np.linalg.norm(wide(x)), np.finfo(dtype).tiny)
    assert in_eps(q @ r - x, dtype, norm) <= 10 and unitary(q, dtype) <= 100
    p, lower, upper = numpy_of(*L.lu(el.asarray(x)))
    assert in_eps(p @ lower @ upper - x, dtype, largest(x)) <= 200


def test_subnormal_and_extreme_numbers():
    """Squares that overflow or vanish do no harm."""
    for scale in (1e-38, 1e-30, 1e30, 1e37):
        x = (draw((8, 8)) * scale).astype("float32")
        q, r = numpy_of(*L.qr(el.asarray(x)))
        tiny = 2.0**-149 * 64
        assert np.abs(q @ r - x).max() <= 16 * 2.0**-23 * largest(x) + tiny
        assert unitary(q, "float32") <= 16
        u, s, vh = numpy_of(*L.svd(el.asarray(x)))
        assert np.abs((u * s) @ vh - x).max() <= 16 * 2.0**-23 * s.max() + tiny
        (y,) = numpy_of(L.matrix_norm(el.asarray(x), ord=2))
        assert y == pytest.approx(np.linalg.norm(wide(x), 2), rel=1e-5)


@slow
def test_leading_minors_of_hilbert():
    """Small singular values to full relative accuracy of the whole: σ ± ε ‖A‖."""
    for n in (4, 12, 70):
        x = 1 / (np.arange(n)[:, None] + np.arange(n) + 1)
        found = L.svdvals(el.asarray(x)).numpy()
        assert np.abs(found - np.linalg.svd(x, compute_uv=False)).max() < 20 * 2.0**-52


# ---- other functions ----------------------------------------------------------------------------


@slow
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
@pytest.mark.parametrize("shape", [(4, 4), (6, 3), (3, 6), (2, 5, 3)])
def test_pinv_rank_lstsq(shape, dtype):
    x = draw(shape, dtype)
    tolerance = 2000 * np.finfo(dtype).eps
    (inverse,) = numpy_of(L.pinv(el.asarray(x)))
    np.testing.assert_allclose(inverse, np.linalg.pinv(wide(x)), atol=tolerance)
    rank = min(shape[-2:])
    assert (L.matrix_rank(el.asarray(x)).numpy() == rank).all()
    product = x @ adjoint(x) @ x[..., :1] @ adjoint(x[..., :1])
    assert (L.matrix_rank(el.asarray(product), rtol=1e-3).numpy() == 1).all()
    b = draw((*shape[:-1], 2), dtype, 3)
    found = L.lstsq(el.asarray(x), el.asarray(b))
    np.testing.assert_allclose(found.solution.numpy(), inverse @ b, atol=tolerance)
    rest = np.abs(wide(x) @ (inverse @ b) - b) ** 2
    np.testing.assert_allclose(found.residuals.numpy(), rest.sum(-2), atol=10 * tolerance)
    assert (found.rank.numpy() == rank).all()
    np.testing.assert_allclose(
        found.singular_values.numpy(), np.linalg.svd(wide(x), compute_uv=False), rtol=1e-4
    )


@slow
def test_lstsq_of_deficient_rank():
    x = draw((6, 2)) @ draw((2, 4), seed=1)
    b = draw((6,), seed=2)
    found = L.lstsq(el.asarray(x), el.asarray(b))
    expected, _, rank, _ = np.linalg.lstsq(x, b, rcond=None)
    np.testing.assert_allclose(found.solution.numpy(), expected, atol=1e-13)
    assert found.rank.item() == rank == 2
    assert found.residuals.item() == pytest.approx(((x @ expected - b) ** 2).sum())


@pytest.mark.parametrize("ord", ["fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf])
def test_matrix_norms(ord):
    x = draw((2, 4, 5))
    expected = np.linalg.norm(x, ord, axis=(-2, -1))
    np.testing.assert_allclose(L.matrix_norm(el.asarray(x), ord=ord).numpy(), expected)
    kept = L.matrix_norm(el.asarray(x), ord=ord, keepdims=True)
    assert kept.shape == (2, 1, 1)
    found = L.norm(el.asarray(x), ord, axis=(0, 2), keepdims=True).numpy()
    np.testing.assert_allclose(found, np.linalg.norm(x, ord, axis=(0, 2), keepdims=True))
    square = x[0, :, :4]
    found = L.cond(el.asarray(square), ord).item()
    assert found == pytest.approx(np.linalg.cond(square, ord), rel=1e-10)
    assert L.norm(el.asarray(x)).item() == pytest.approx(np.sqrt((x * x).sum()))
    if ord not in ("fro", "nuc"):
        vector = x[0, 0]
        assert L.norm(el.asarray(vector), ord).item() == pytest.approx(np.linalg.norm(vector, ord))


@slow
@pytest.mark.parametrize("scale", [1e-8, 0.1, 1.0, 30.0])
def test_matrix_exp(scale):
    """exp of a diagonalisable matrix by its eigenvalues."""
    for n in (1, 4, 70):
        p = orthogonal(n) + 0.1 * np.triu(draw((n, n)), 1) / n
        values = np.linspace(-1, 1, n) * scale
        inverse = np.linalg.inv(p)
        expected = (p * np.exp(values)) @ inverse
        (found,) = numpy_of(L.matrix_exp(el.asarray((p * values) @ inverse)))
        assert np.abs(found - expected).max() <= 1e-12 * max(scale, 1) * largest(expected)
    stack = np.stack([np.eye(3) * 100.0, np.eye(3) * 0.5, np.zeros((3, 3))])
    (found,) = numpy_of(L.matrix_exp(el.asarray(stack)))
    np.testing.assert_allclose(found, np.exp(stack) * np.eye(3), rtol=1e-12)


def test_matrix_power_multi_dot_vander():
    x = draw((3, 3))
    for n in (-3, -1, 0, 1, 2, 7):
        expected = np.linalg.matrix_power(x, n)
        np.testing.assert_allclose(L.matrix_power(el.asarray(x), n).numpy(), expected, rtol=1e-9)
    parts = [draw((10,)), draw((10, 30)), draw((30, 5)), draw((5, 60)), draw((60,), seed=3)]
    found = L.multi_dot([el.asarray(part) for part in parts])
    assert found.shape == () and found.item() == pytest.approx(np.linalg.multi_dot(parts))
    v = np.array([2.0, 3.0, 5.0])
    for n in (None, 0, 1, 5):
        found = L.vander(el.asarray(v), N=n, increasing=False).numpy()
        np.testing.assert_array_equal(found, np.vander(v, n))
        found = L.vander(el.asarray(v), N=n).numpy()
        np.testing.assert_array_equal(found, np.vander(v, n, increasing=True))


@slow
def test_lu_solve():
    for lead in ((), (2,)):
        x, b = draw((*lead, 5, 5)), draw((*lead, 5, 2), seed=1)
        factors = L.lu_factor(el.asarray(x))
        for adjointed in (False, True):
            matrix = adjoint(x) if adjointed else x
            found = L.lu_solve(*factors, el.asarray(b), adjoint=adjointed).numpy()
            np.testing.assert_allclose(matrix @ found, b, atol=1e-12)
            turned = b.swapaxes(-1, -2)
            found = L.lu_solve(*factors, el.asarray(turned), left=False, adjoint=adjointed).numpy()
            np.testing.assert_allclose(found @ matrix, turned, atol=1e-12)


@pytest.mark.parametrize("n", [1, 5, 64, 65, 100])
@pytest.mark.parametrize("unit", [False, True])
@pytest.mark.parametrize("upper", [False, True])
def test_solve_triangular(n, upper, unit):
    x = draw((n, n)) / n + np.diag(np.where(np.arange(n) % 2, 2.0, -3.0))
    t = np.triu(x) if upper else np.tril(x)
    t = t - np.diag(np.diag(t)) + np.eye(n) if unit else t
    b = draw((n, 3), seed=1)
    found = L.solve_triangular(el.asarray(x), el.asarray(b), upper=upper, unitriangular=unit)
    np.testing.assert_allclose(t @ found.numpy(), b, atol=1e-12)
    found = L.solve_triangular(
        el.asarray(x), el.asarray(b.T), upper=upper, unitriangular=unit, left=False
    )
    np.testing.assert_allclose(found.numpy() @ t, b.T, atol=1e-12)


@slow
@pytest.mark.parametrize("dtype", [el.float16, el.bfloat16])
def test_16_bits(dtype):
    """Computed in float32, rounded once."""
    x = el.asarray(positive((4, 4), "float32")).astype(dtype)
    wide_x = x.astype(el.float32)
    for name in ("cholesky", "inv", "det", "matrix_exp", "svdvals", "eigvalsh", "pinv"):
        function = getattr(L, name)
        found = function(x)
        assert found.dtype is dtype, name
        assert bits(found) == bits(function(wide_x).astype(dtype)), name
    assert all(part.dtype is dtype for part in (*L.qr(x), *L.svd(x), *L.eigh(x), *L.lu(x)))
