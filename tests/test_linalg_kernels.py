"""Kernels of factorizations beside the loops that say what they compute: the same bits where they round alike."""

import functools

import numpy as np
import pytest

import elinvar as el
from elinvar.linalg import general, parts, positive, triangular

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


def definite(shape, dtype):
    x = np.random.default_rng(shape[-1]).normal(size=shape)
    return (x @ x.swapaxes(-1, -2) + np.eye(shape[-1])).astype(dtype)


CHOLESKY = ((1, 1), (2, 2), (8, 8), (9, 9), (33, 33), (64, 64), (65, 65), (3, 7, 7), (2, 130, 130))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cholesky(dtype):
    """Near to what the loops find: they round products, kernels do not."""
    for shape in CHOLESKY:
        n, x = shape[-1], definite(shape, dtype)
        large = n > parts.SMALL
        lower, info = positive.factor(el.asarray(x), large=large)
        loops, _ = el.jit(functools.partial(positive._by_loops, large=large))(el.asarray(x))
        lower, loops = lower.numpy().astype("float64"), loops.numpy().astype("float64")
        assert not info.any().item() and (np.triu(lower, 1) == 0.0).all(), shape
        bound = np.finfo(dtype).eps * max(n, 4) * abs(x).max()
        for found in (lower, loops):
            assert abs(found @ found.swapaxes(-1, -2) - x).max() <= bound, shape


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cholesky_has_the_same_bits_everywhere(dtype):
    """Threads, stacks, programs, open sizes, memory orders, triangles."""
    el.Dim("n", min=1)  # what `n` means in the specs below
    kind = "f32" if dtype == "float32" else "f64"
    opened = el.jit(el.linalg.cholesky, specs=(f"{kind}[n,n]",))
    before = el.get_num_threads()
    for shape in CHOLESKY:
        x = definite(shape, dtype)
        expected = el.linalg.cholesky(el.asarray(x))
        for threads in (1, 2, 3, 8, before):
            el.set_num_threads(threads)
            assert same(el.linalg.cholesky(el.asarray(x)), expected), (shape, threads)
        assert same(el.jit(el.linalg.cholesky)(el.asarray(x)), expected)
        assert same(el.linalg.cholesky(el.asarray(np.asfortranarray(x))), expected)
        assert same(el.linalg.cholesky(el.asarray(np.tril(x) + np.triu(x * np.nan, 1))), expected)
        upper = el.linalg.cholesky(el.asarray(np.triu(x) + np.tril(x * np.nan, -1)), upper=True)
        assert same(upper.mT, expected)
        for number in range(shape[0] if len(shape) == 3 else 0):
            assert same(el.linalg.cholesky(el.asarray(x[number])), expected[number])
        if len(shape) == 2:
            assert same(opened(el.asarray(x)), expected)


@pytest.mark.parametrize("n", [1, 8, 40, 70, 130])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_cholesky_tells_the_first_minor_that_is_not_positive(n, value):
    for place in sorted({0, n // 2, n - 1}):
        x = definite((2, n, n), "float64")
        good = el.linalg.cholesky(el.asarray(x))
        x[1, place] = x[1, :, place] = 0.0
        x[1, place, place] = value
        lower, info = el.linalg.cholesky_ex(el.asarray(x))
        assert info.tolist() == [0, place + 1]
        assert same(lower[0], good[0])
        assert same(lower[1, :place, :place], good[1, :place, :place])
        assert np.isnan(lower[1].numpy()[place + 1 :].diagonal(place + 1)).all()
        for upper in (False, True):
            with pytest.raises(el.linalg.LinAlgError, match=f"minor of order {place + 1} "):
                el.linalg.cholesky(el.asarray(x[1]), upper=upper)


def test_a_vmap_of_kernels():
    x = el.asarray(definite((4, 9, 9), "float32"))
    assert same(el.vmap(el.linalg.cholesky)(x), el.linalg.cholesky(x))
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
