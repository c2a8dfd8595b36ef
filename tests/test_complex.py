"""Complex numbers: values against numpy and mpmath, gradients against differences, the contract."""

import math

import mpmath
import numpy as np
import pytest

import elinvar as el
from elinvar.core.errors import DTypeError, GradientError
from tests.compiled import same_bits

pytestmark = pytest.mark.any_level

NUMPY_NAMES = {
    "acos": "arccos", "acosh": "arccosh", "asin": "arcsin", "asinh": "arcsinh", "atan": "arctan",
    "atanh": "arctanh", "pow": "power", "subtract": "subtract",
}  # fmt: skip
UNARY = (
    "exp expm1 log log1p log2 log10 sqrt sin cos tan sinh cosh tanh asin acos atan asinh acosh "
    "atanh abs sign square reciprocal negative conj real imag angle isnan isinf isfinite"
).split()
BINARY = "add subtract multiply divide pow equal not_equal".split()
MPMATH = {
    "exp": mpmath.exp, "expm1": lambda z: mpmath.expm1(z), "log": mpmath.log,
    "log1p": lambda z: mpmath.log(1 + z), "sqrt": mpmath.sqrt, "sin": mpmath.sin,
    "cos": mpmath.cos, "tan": mpmath.tan, "sinh": mpmath.sinh, "cosh": mpmath.cosh,
    "tanh": mpmath.tanh, "asin": mpmath.asin, "acos": mpmath.acos, "atan": mpmath.atan,
    "asinh": mpmath.asinh, "acosh": mpmath.acosh, "atanh": mpmath.atanh,
    "log2": lambda z: mpmath.log(z) / mpmath.log(2), "log10": mpmath.log10, "abs": abs,
}  # fmt: skip
DTYPES = [el.complex64, el.complex128]


def draw(shape, dtype=np.complex128, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    return (scale * (rng.normal(size=shape) + 1j * rng.normal(size=shape))).astype(dtype)


def numpy_function(name):
    return getattr(np, NUMPY_NAMES.get(name, name))


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.name)
@pytest.mark.parametrize("name", UNARY)
def test_unary_functions_agree_with_numpy(name, dtype):
    z = draw((7, 9), dtype.numpy)
    found = np.asarray(getattr(el, name)(el.asarray(z)))
    expected = numpy_function(name)(z)
    assert found.dtype == expected.dtype
    tolerance = 2e-5 if dtype is el.complex64 else 1e-13
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", BINARY)
def test_binary_functions_agree_with_numpy(name):
    x, y = draw((5, 1, 4)), draw((3, 4), seed=1)
    found = np.asarray(getattr(el, name)(el.asarray(x), el.asarray(y)))
    np.testing.assert_allclose(found, numpy_function(name)(x, y), rtol=1e-12)


def error_in_ulp(found, exact, dtype):
    """|found - exact| in units in the last place of |exact|: errors of complex numbers are measured
    as distances in the plane."""
    size = abs(exact)
    if size == 0:
        return 0.0 if found == 0 else math.inf
    bits = 23 if dtype is el.complex64 else 52
    ulp = mpmath.mpf(2) ** (mpmath.floor(mpmath.log(size, 2)) - bits)
    return float(abs(mpmath.mpmathify(complex(found)) - exact) / ulp)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.name)
@pytest.mark.parametrize("name", sorted(MPMATH))
def test_functions_are_accurate_in_the_plane(name, dtype):
    """Over many orders of size and near the special places 1, -1, i, -i."""
    parts = [draw((60,), seed=1, scale=scale) for scale in (1e-4, 0.3, 1.0, 3.0, 20.0)]
    parts += [place + draw((25,), seed=2, scale=1e-3) for place in (1, -1, 1j, -1j)]
    z = np.concatenate(parts).astype(dtype.numpy)
    found = np.asarray(getattr(el, name)(el.asarray(z)))
    with mpmath.workdps(60):
        errors = [
            error_in_ulp(value, MPMATH[name](mpmath.mpmathify(complex(x))), dtype)
            for value, x in zip(found, z, strict=True)
        ]
    assert max(errors) <= 8, max(zip(errors, z, strict=True), key=lambda pair: pair[0])


EDGES = [0.0, -0.0, 1.0, -2.5, math.inf, -math.inf, math.nan, 1e300, 1e-300]


@pytest.mark.parametrize("name", [n for n in UNARY if n not in ("sign", "reciprocal", "angle")])
def test_conjugates_give_conjugates(name):
    """f(z*) = f(z)* bit for bit, at infinities and zeros of both signs too."""
    re, im = (part.ravel() for part in np.meshgrid(EDGES, EDGES))
    z = el.complex(el.asarray(re), el.asarray(im))
    function = getattr(el, name)
    one, other = function(el.conj(z)), function(z)
    if name == "imag":
        other = -other
    known = ~np.isnan(re) & ~np.isnan(im)  # the sign of NaN is not told
    assert same_bits(np.asarray(one)[known], np.asarray(el.conj(other))[known])


@pytest.mark.parametrize("name", "expm1 log log1p sqrt tanh asinh atanh acosh".split())
def test_special_values_are_those_of_c99(name):
    """Where numpy's (glibc's) values are not NaN by choice, ours are theirs."""
    re, im = (part.ravel() for part in np.meshgrid(EDGES[:7], EDGES[:7]))
    z = np.empty(re.shape, complex)
    z.real, z.imag = re, im
    with np.errstate(all="ignore"):
        expected = numpy_function(name)(z)
    found = np.asarray(getattr(el, name)(el.asarray(z)))
    for part in ("real", "imag"):
        want, got = getattr(expected, part), getattr(found, part)
        known = ~np.isnan(want) & ~np.isnan(got)
        np.testing.assert_allclose(got[known], want[known], rtol=1e-14)


def test_reductions_and_products():
    a, b = draw((4, 5)), draw((5, 6), seed=1)
    x, y = el.asarray(a), el.asarray(b)
    close = lambda got, want: np.testing.assert_allclose(np.asarray(got), want, rtol=1e-12)  # noqa: E731
    close(el.sum(x, axis=1), a.sum(1))
    close(el.mean(x), a.mean())
    close(el.prod(x, axis=0), a.prod(0))
    close(el.prod(x), a.prod())
    close(el.cumulative_sum(x, axis=1), a.cumsum(1))
    close(el.cumulative_prod(x, axis=1, include_initial=True)[:, 1:], a.cumprod(1))
    close(x @ y, a @ b)
    close(el.einsum("ij,jk->ki", x, y), (a @ b).T)
    close(el.vecdot(x, x), np.vecdot(a, a))
    close(el.tensordot(x, y, axes=1), a @ b)
    assert el.all(x == x).item() and el.any(x != 0).item()
    assert el.prod(el.zeros((0, 3), dtype=el.complex64), axis=0).tolist() == [1, 1, 1]


def test_numbers_and_dtypes():
    x = el.asarray([1.0, 2.0])
    assert (x * 1j).dtype is el.complex64
    assert (el.asarray([1.0], dtype=el.float64) + 1j).dtype is el.complex128
    assert el.asarray([1 + 2j]).dtype is el.complex64
    assert el.result_type(el.complex64, el.float64) is el.complex128
    assert el.asarray(x, dtype=el.complex128).dtype is el.complex128
    assert complex(el.asarray(1 + 2j)) == 1 + 2j
    assert el.finfo(el.complex64).eps == el.finfo(el.float32).eps
    assert (el.asarray([3, 4]) * 1j).tolist() == [3j, 4j]
    assert el.full((2,), 1 - 1j).tolist() == [1 - 1j] * 2
    assert el.eye(2, dtype=el.complex64).tolist() == [[1, 0], [0, 1]]
    assert repr(el.asarray([1 - 2j])) == "Tensor([1.0000-2.0000j], shape=(1,), dtype=complex64)"
    with pytest.raises(TypeError):
        float(el.asarray(1j))


def test_movement_indexing_and_assignment():
    a = draw((4, 5))
    x = el.asarray(a)
    assert np.array_equal(np.asarray(x[1:, ::-2]), a[1:, ::-2])
    assert np.array_equal(np.asarray(x.mT), a.T)
    assert np.array_equal(np.asarray(x[el.asarray([2, 0])]), a[[2, 0]])
    assert np.array_equal(np.asarray(el.concat([x, x], axis=1)), np.concatenate([a, a], 1))
    x[1, 2:] = 7j
    x[x.real > 0] = 0
    a[1, 2:] = 7j
    a[a.real > 0] = 0
    assert np.array_equal(np.asarray(x), a)
    shared = el.from_numpy(a)
    assert np.shares_memory(np.asarray(shared), a)
    assert np.array_equal(np.from_dlpack(shared), a)


def model(z, w):
    return (el.exp(z * w) / (1 + z * el.conj(z)) + el.sqrt(w)) @ w.mT


def test_the_same_bits_compiled_and_on_any_number_of_threads():
    z, w = el.asarray(draw((33, 17))), el.asarray(draw((33, 17), seed=1))
    expected = np.asarray(model(z, w))
    assert same_bits(np.asarray(el.jit(model)(z, w)), expected)
    before = el.get_num_threads()
    try:
        for count in (1, 3):
            el.set_num_threads(count)
            assert same_bits(np.asarray(el.jit(model)(z, w)), expected)
    finally:
        el.set_num_threads(before)
    part = model(z[:3], w[:3])
    assert same_bits(np.asarray(part), expected[:3, :3])


def loss(z, w):
    found = model(z, w)
    return (found.real * found.imag).sum() + el.abs(found).sum()


def test_gradients_are_those_of_the_two_parts():
    """∂L/∂x + i ∂L/∂y, against differences; the same bits compiled; again for the second order."""
    a, b = draw((3, 2)), draw((3, 2), seed=1)
    gradient = el.grad(loss)(el.asarray(a), el.asarray(b))
    step = 1e-6
    for direction in (1.0, 1j):
        for place in np.ndindex(*a.shape):
            moved = [a.copy(), a.copy()]
            for sign, one in zip((1, -1), moved, strict=True):
                one[place] += sign * step * direction
            ends = [loss(el.asarray(one), el.asarray(b)).item() for one in moved]
            slope = (ends[0] - ends[1]) / (2 * step)
            found = gradient[place].item()
            assert abs(slope - (found.real if direction == 1.0 else found.imag)) < 1e-5
    again = el.jit(el.grad(loss))(el.asarray(a), el.asarray(b))
    assert same_bits(np.asarray(gradient), np.asarray(again))

    def along(t):
        z = el.asarray(a) + t * (1 + 2j)
        return el.abs(el.grad(loss)(z, el.asarray(b))).sum()

    t = el.asarray(0.0, dtype=el.float64)
    found = el.grad(along)(t).item()
    slope = (along(t + step).item() - along(t - step).item()) / (2 * step)
    assert abs(found - slope) < 1e-4 * abs(slope)


def test_gradient_of_abs_at_zero_is_zero():
    assert el.grad(lambda z: el.abs(z).sum())(el.asarray([0j, 3 + 4j])).tolist() == [
        0, pytest.approx(0.6 + 0.8j),
    ]  # fmt: skip


def test_control_flow_carries_complex_numbers():
    def step(z, c):
        z = z * z + c
        return z, el.abs(z)

    last, sizes = el.scan(step, el.asarray(0j), el.asarray([0.1 + 0.2j] * 5))
    z = np.complex64(0)
    for _ in range(5):
        z = z * z + np.complex64(0.1 + 0.2j)
    assert abs(last.item() - z) < 1e-6
    assert sizes.shape == (5,)
    found = el.grad(lambda c: el.abs(el.scan(step, el.asarray(0j), c)[0]))(
        el.asarray([0.1 + 0.2j] * 5)
    )
    assert found.dtype is el.complex64


def test_one_program_for_every_size():
    compiled = el.jit(lambda z: el.exp(z).sum(axis=0), specs=["c64[n,3]"])
    for count in (1, 2, 7):
        z = el.asarray(draw((count, 3), np.complex64))
        assert same_bits(np.asarray(compiled(z)), np.asarray(el.exp(z).sum(axis=0)))


def test_bad_input():
    z = el.asarray([1j])
    with pytest.raises(DTypeError, match=r"\[max\] is not defined for complex numbers: c64\[1\]"):
        el.max(z)
    with pytest.raises(DTypeError, match="complex numbers have no order"):
        el.sort(z)
    with pytest.raises(DTypeError, match=r"\[cast\] a complex number cannot become float32"):
        z.float()
    with pytest.raises(DTypeError, match=r"\[less\] is not defined for .*: c64\[1\], c64\[1\]"):
        _ = z < 1
    with pytest.raises(DTypeError, match="a complex number cannot become float32"):
        el.asarray(np.ones(2, complex), dtype=el.float32)
    with pytest.raises(DTypeError, match="the complex number 1j does not fit into int32"):
        el.full(2, 1j, dtype=el.int32)
    with pytest.raises(GradientError, match="one floating number"):
        el.grad(lambda x: x.sum())(z)


def test_native_export_takes_pairs_of_floats(tmp_path):
    def function(z, w):
        return (el.exp(z) * w + 1) / w

    made = el.export_native(function, ("c64[n,4]", "c64[n,4]"), path=tmp_path / "pairs")
    assert "const float *z; /* complex64 [n,4], real and imaginary parts */" in (
        made.header.read_text()
    )
    z, w = draw((3, 4), np.complex64), draw((3, 4), np.complex64, seed=1)
    expected = np.asarray(function(el.asarray(z), el.asarray(w)))
    assert same_bits(el.load_native(made.object)(z, w), expected)
