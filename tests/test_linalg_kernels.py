"""Kernels of factorizations beside the loops that say what they compute: the same bits."""

import numpy as np
import pytest

import elinvar as el
from elinvar.linalg import general, parts, triangular

SHAPES = ((1, 1), (2, 2), (5, 3), (8, 8), (9, 9), (23, 40), (64, 33), (3, 7, 7), (2, 2, 33, 33))


def same(one, two):
    one, two = one.numpy(), two.numpy()
    if one.dtype.kind == "f":  # which NaN it is does not count
        one, two = np.where(np.isnan(one), np.nan, one), np.where(np.isnan(two), np.nan, two)
    return one.tobytes() == two.tobytes()


def matrices(shape, dtype, kind):
    x = np.random.default_rng(len(shape) + shape[-1]).normal(size=shape)
    if kind == "ties":
        x = np.round(x)
    if kind == "singular":
        x[..., shape[-1] // 2] = 0.0
    if kind == "nan":
        x[..., shape[-2] // 2, 0] = np.nan
        x[..., 0, -1] = np.inf
    return el.asarray(x.astype(dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["normal", "ties", "singular", "nan"])
def test_lu(dtype, kind):
    size = el.jit(lambda x: general._panel(x, parts.index(0), min(x.shape[-2:])))
    loop = el.jit(
        lambda x: general._column_by_column(x, parts.index(0), parts.as_count(min(x.shape[-2:])))
    )
    for shape in SHAPES:
        x = matrices(shape, dtype, kind)
        for one, two in zip(size(x), loop(x), strict=True):
            assert same(one, two), shape


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_lu_of_a_panel(dtype):
    """From a row and with a number of columns that a loop tells."""
    x = matrices((2, 37, 32), dtype, "normal")
    numbers = el.asarray(11), el.asarray(20)
    for one, two in zip(
        el.jit(general._panel)(x, *numbers),
        el.jit(general._column_by_column)(x, *numbers),
        strict=True,
    ):
        assert same(one, two)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("unit", [False, True])
def test_substitution(dtype, unit):
    kernel = el.jit(lambda a, b, n, m: triangular.substitute(a, b, n, m, unit))
    loop = el.jit(lambda a, b, n, m: triangular._row_by_row(a, b, n, m, unit=unit))
    for lead, size, columns in (((), 1, 1), ((), 9, 3), ((4,), 33, 45), ((2, 2), 12, 4)):
        a = matrices((*lead, size, size + 3), dtype, "normal")
        b = matrices((*lead, size, columns), dtype, "nan")
        for first, count in ((0, size), (3, size), (1, size // 2)):
            numbers = el.asarray(first), el.asarray(count)
            assert same(kernel(a, b, *numbers), loop(a, b, *numbers))


def test_a_vmap_of_kernels_and_of_their_counts():
    x = matrices((4, 9, 9), "float32", "normal")
    counts = el.asarray([9, 3, 0, 5])
    found = el.vmap(lambda a: general._panel(a, parts.index(0), 9)[0])(x)
    assert same(found, general._panel(x, parts.index(0), 9)[0])
    found = el.vmap(lambda a, n: general._panel(a, parts.index(0), n)[0])(x, counts)
    for n in range(4):
        assert same(found[n], general._panel(x[n], parts.index(0), counts[n])[0])
