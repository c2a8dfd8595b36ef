"""Kernels of factorizations beside the loops that say what they compute: the same bits."""

import functools

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


LARGE = ((100, 100), (70, 130), (130, 65), (2, 96, 96))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["normal", "ties", "singular", "nan"])
def test_lu(dtype, kind):
    for shape in (*SHAPES, *(LARGE if kind == "normal" else ())):
        large = min(shape[-2:]) > parts.SMALL
        x = matrices(shape, dtype, kind)
        kernel = general.factor(x, large=large)
        loops = el.jit(functools.partial(general._by_loops, large=large))(x)
        for one, two in zip(kernel, loops, strict=True):
            assert same(one, two), shape


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("unit", [False, True])
@pytest.mark.parametrize("upper", [False, True])
def test_substitution(dtype, unit, upper):
    """Term by term; the loops that other engines run do so up to 64 rows."""
    how = {"upper": upper, "unit": unit, "large": False}
    loops = el.jit(functools.partial(triangular._by_loops, **how))
    for lead, size, columns in (((), 1, 1), ((), 9, 3), ((4,), 33, 45), ((2, 2), 12, 4)):
        a = matrices((*lead, size, size), dtype, "normal")
        b = matrices((*lead, size, columns), dtype, "nan")
        assert same(triangular.solve_triangle(a, b, **how), loops(a, b))


def test_a_vmap_of_kernels():
    x = matrices((4, 9, 9), "float32", "normal")
    found = el.vmap(lambda a: general.factor(a, large=False)[0])(x)
    assert same(found, general.factor(x, large=False)[0])
    b = matrices((4, 9, 2), "float32", "normal")
    how = {"upper": True, "unit": False, "large": False}
    found = el.vmap(lambda b: triangular.solve_triangle(x[0], b, **how))(b)
    for n in range(4):
        assert same(found[n], triangular.solve_triangle(x[0], b[n], **how))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("function", ["eigh", "svd", "solve"])
def test_a_matrix_alone_has_the_bits_that_it_has_in_a_stack(dtype, function):
    """Its neighbours need more steps, or hold NaN; many steps need more room than there is."""
    x = matrices((3, 130, 130), dtype, "normal")
    x = el.stack([x[0], x[1] * float("nan"), el.eye(130, dtype=x.dtype)])
    arguments = (el.ones((3, 130, 2), dtype=x.dtype),) if function == "solve" else ()
    run = getattr(el.linalg, function)
    before = el.get_num_threads()
    for threads in (3, 1, before):
        el.set_num_threads(threads)
        many = run(x, *arguments)
        for n in range(3):
            alone = run(x[n], *(y[n] for y in arguments))
            pairs = [(many, alone)] if function == "solve" else zip(many, alone, strict=True)
            for one, two in pairs:
                assert same(one[n], two)
