"""Forms of calls that NumPy's users and packages written for it expect: operands, keywords, axes."""

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

import elinvar as el
from elinvar.core.errors import DTypeError

pytestmark = pytest.mark.any_level

BOOLS = np.array([[True, False, True]]), np.array([[True], [False]])
RNG = np.random.default_rng(5)
CUBE = RNG.normal(size=(2, 3, 4))


@pytest.mark.parametrize("times", range(3))
def test_sums_and_products_of_bools(times):
    a, b = BOOLS
    x, y = el.asarray(a), el.asarray(b)
    for found, expected in ((x + y, a | b), (x * y, a & b), (x + True, a | True), (False * y, b & False)):
        assert found.dtype is el.bool
        np.testing.assert_array_equal(found, expected)
    assert el.jit(lambda x, y: x + y * y)(x, y).tolist() == (a | b).tolist()
    assert (x + 1).dtype is el.int64
    with pytest.raises(DTypeError, match="subtract"):
        x - y


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint16", "bool"])
def test_quotients_of_integers(dtype):
    a = np.array([6, 1, 9]).astype(dtype)
    x = el.asarray(a)
    for _ in range(3):
        np.testing.assert_array_equal(x / x, np.ones(3, np.float32))
        assert (x / x).dtype is el.float32


def test_comparisons_of_bools_and_other_operators_stay():
    x = el.asarray([True, False])
    assert (x == x).tolist() == [True, True] and (x & ~x).tolist() == [False, False]


# ---- derivatives where max and abs have corners ----------------------------------------------------

TIES = {
    "hypot": (el.hypot, [(3.0, 4.0), (2.0, 2.0), (-2.0, 2.0), (5.0, 0.0), (1e200, 1e200)]),
    "logaddexp": (el.logaddexp, [(3.0, 4.0), (2.0, 2.0), (-700.0, -700.0), (0.0, 0.0)]),
    "logaddexp2": (el.logaddexp2, [(3.0, 4.0), (2.0, 2.0), (-700.0, -700.0), (0.0, 0.0)]),
}


def second_derivatives(name, a, b):
    if name == "hypot":
        scale = max(abs(a), abs(b))
        a, b = a / scale, b / scale
        return np.array([[b * b, -a * b], [-a * b, a * a]]) / np.hypot(a, b) ** 3 / scale
    base = np.log(2.0) if name == "logaddexp2" else 1.0
    p = 1 / (1 + np.exp((b - a) * base))
    return base * p * (1 - p) * np.array([[1.0, -1.0], [-1.0, 1.0]])


@pytest.mark.parametrize("name", TIES)
def test_second_derivatives_at_ties(name):
    function, points = TIES[name]
    for a, b in points:
        x = el.asarray([a, b], dtype=el.float64)
        found = el.hessian(lambda x: function(x[0], x[1]))(x)
        np.testing.assert_allclose(found, second_derivatives(name, a, b), rtol=1e-12, atol=1e-300)


def test_logaddexp2_at_ties_is_exact():
    x = el.asarray([0.0, 3.0, -7.0, np.inf, -np.inf, np.nan])
    assert el.logaddexp2(x, x).tolist()[:5] == [1.0, 4.0, -6.0, np.inf, -np.inf]
    y = el.asarray([np.inf, -np.inf, 5.0, -np.inf, 1.0, 1.0])
    with np.errstate(invalid="ignore"):
        expected = np.logaddexp2(np.asarray(x), np.asarray(y))
    np.testing.assert_array_equal(el.logaddexp2(x, y), expected)


def test_hypot_at_its_corner_and_at_infinity():
    x = el.asarray([0.0, np.inf, np.inf, np.nan, 1e30, np.nan])
    y = el.asarray([0.0, 1.0, np.nan, 1.0, 1e30, -np.inf])
    np.testing.assert_array_equal(el.hypot(x, y), np.hypot(np.asarray(x), np.asarray(y)))
    assert el.grad(lambda x: el.hypot(x, x))(el.asarray(0.0)).item() == 0


def test_std_of_equal_elements_has_no_gradient():
    x = el.asarray([[1.0, 2.0], [1.0, 3.0]])
    found = el.grad(lambda x: el.std(x, axis=0).sum())(x)
    np.testing.assert_allclose(found, [[0, -0.5], [0, 0.5]])
    assert el.grad(lambda x: el.std(x))(el.asarray(3.5)).item() == 0


# ---- functions -------------------------------------------------------------------------------------


@pytest.mark.parametrize("num", [0, 1, 2, 7])
@pytest.mark.parametrize("endpoint", [True, False])
def test_linspace_of_tensors(num, endpoint):
    start, stop = np.array([0.5, -3.0]), np.array([[1.25], [7.0]])
    found = el.linspace(el.asarray(start), el.asarray(stop), num, endpoint=endpoint, dtype=el.float64)
    np.testing.assert_array_equal(found, np.linspace(start, stop, num, endpoint=endpoint))
    a, b = el.asarray(0.1), el.asarray(2.7)
    plain = el.linspace(a.item(), b.item(), num, endpoint=endpoint)
    np.testing.assert_array_equal(el.linspace(a, b, num, endpoint=endpoint), plain)
    compiled = el.jit(lambda a, b: el.linspace(a, b, num, endpoint=endpoint))
    np.testing.assert_array_equal(compiled(a, b), plain)


def test_gradients_flow_through_linspace():
    weights = el.asarray([1.0, 10.0, 100.0])
    found = el.grad(lambda a, b: (el.linspace(a, b, 3) * weights).sum(), argnums=(0, 1))(
        el.asarray(0.0), el.asarray(1.0)
    )
    assert [x.item() for x in found] == [6.0, 105.0]


@pytest.mark.parametrize(
    "shapes", [((), ()), ((), (3,)), ((3,), ()), ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)),
               ((2, 3), (3, 4)), ((2, 3, 4), (4,)), ((2, 3, 4), (5, 4, 2)), ((4,), (5, 4, 2))]
)  # fmt: skip
def test_dot(shapes):
    a, b = (RNG.normal(size=shape) for shape in shapes)
    np.testing.assert_allclose(el.dot(el.asarray(a), el.asarray(b)), np.dot(a, b), rtol=1e-12)


def test_axes_by_position_and_by_name():
    x = el.asarray(CUBE)
    assert el.squeeze(x[:, :1]).shape == (2, 4) and el.squeeze(x).shape == (2, 3, 4)
    assert el.moveaxis(x, source=0, destination=2).shape == (3, 4, 2)
    assert el.swapaxes(x, axis1=0, axis2=2).shape == (4, 3, 2)
    assert el.repeat(x, repeats=2, axis=0).shape == (4, 3, 4)
    np.testing.assert_array_equal(el.partition(x, kth=1)[..., 1], np.partition(CUBE, 1)[..., 1])
    np.testing.assert_allclose(el.tensordot(x, x, 3), np.tensordot(CUBE, CUBE, 3))
    assert isinstance(el.__array_namespace_info__().devices(), tuple)


@pytest.mark.parametrize(
    "lists", [([0, 1, 2], [2, 1, 3], [0, 3]), ([0, 1, 2], [2, 1, 3]), ([..., 2], [2, 1, 3], [..., 1, 3])]
)
def test_einsum_with_lists_of_axes(lists):
    left, right, *result = lists
    other = RNG.normal(size=(4, 3, 2)) if len(lists) == 3 and result[0][0] is ... else RNG.normal(size=(4, 3, 5))
    expected = np.einsum(CUBE, left, other, right, *result)
    found = el.einsum(el.asarray(CUBE), left, el.asarray(other), right, *result)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    with pytest.raises(el.ElinvarError, match="axis numbers 0 … 51"):
        el.einsum(el.asarray(CUBE), ["a", 52, 3])


@pytest.mark.parametrize("name", ["sum", "prod", "max", "min", "std", "var", "any", "all", "mean"])
def test_numpys_reductions_of_tensors(name):
    x, function = el.asarray(CUBE), getattr(np, name)
    for options in ({}, {"axis": 1}, {"axis": 1, "keepdims": True}):
        np.testing.assert_allclose(np.asarray(function(x, **options)), function(CUBE, **options), rtol=1e-12)
    if name in ("std", "var"):
        np.testing.assert_allclose(function(x, axis=0, ddof=1), function(CUBE, axis=0, ddof=1), rtol=1e-12)
    with pytest.raises(el.ElinvarError, match="out"):
        function(x, out=np.zeros(()))


# ---- the dtype of Python's floats ------------------------------------------------------------------

DEFAULTS = """
import elinvar as el
kinds = [
    el.asarray([1.0]), el.zeros(2), el.sin(1), el.asarray([1, 2]) / 2, el.linspace(0, 1, 3), el.rand(2),
    el.mean(el.asarray([1, 2])), el.asarray([1, 2]) * 0.5, el.jit(lambda x: x / x)(el.asarray([1, 2])),
]
assert {x.dtype.name for x in kinds} == {"NAME"}, [x.dtype for x in kinds]
assert el.asarray(1j).dtype is el.result_type(el.complex64, el.NAME)
assert el.__array_namespace_info__().default_dtypes()["real floating"] is el.NAME
assert (el.asarray([1.0], dtype=el.float32) * 0.5).dtype is el.float32
"""


@pytest.mark.parametrize("name", ["float32", "float64"])
def test_default_float(name):
    environment = {**os.environ, "ELINVAR_DEFAULT_FLOAT": name}
    text = DEFAULTS.replace("NAME", name)
    subprocess.run([sys.executable, "-c", text], env=environment, check=True, timeout=300)


def test_unknown_default_float():
    environment = {**os.environ, "ELINVAR_DEFAULT_FLOAT": "half"}
    command = [sys.executable, "-c", "import elinvar"]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert "ELINVAR_DEFAULT_FLOAT must be float32 or float64, received 'half'" in found.stderr


def test_every_pair_of_dtypes_divides():
    kinds = [el.bool, el.int32, el.int64, el.float32, el.float64, el.complex64]
    for a, b in itertools.product(kinds, kinds):
        x, y = el.ones(2, dtype=a), el.ones(2, dtype=b)
        for _ in range(2):
            assert (x / y).dtype.is_inexact and np.asarray(x / y).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
def test_lengths_of_transforms_by_position(name):
    found = getattr(el.fft, name)(el.asarray(CUBE), 5, 1)
    np.testing.assert_allclose(found, getattr(np.fft, name)(CUBE, 5, 1), rtol=1e-9, atol=1e-12)
    assert el.fft.fftfreq(4, 0.5).tolist() == np.fft.fftfreq(4, 0.5).tolist()
    shape = el.fft.fftn(el.asarray(CUBE), (2, 6), (1, 2)).shape
    assert shape == np.fft.fftn(CUBE, (2, 6), (1, 2)).shape


def test_least_squares_with_rcond():
    a, b = CUBE[0], CUBE[1, :, 0]
    found = el.linalg.lstsq(el.asarray(a), el.asarray(b), rcond=0.5)
    np.testing.assert_allclose(found[0], np.linalg.lstsq(a, b, rcond=0.5)[0], rtol=1e-9)


def test_cholesky_names_a_matrix_that_stands_alone():
    bad = [[1.0, 2.0], [2.0, 1.0]]
    with pytest.raises(el.linalg.LinAlgError, match="matrix is not positive definite"):
        el.linalg.cholesky(el.asarray(bad))
    with pytest.raises(el.linalg.LinAlgError, match="matrix 1 of the stack"):
        el.linalg.cholesky(el.asarray([[[1.0, 0.0], [0.0, 1.0]], bad]))


def test_methods_that_numpy_has():
    x = el.asarray([1.0, 2.0])
    y = x.copy()
    y[0] = 7.0
    assert x.tolist() == [1.0, 2.0] and y.tolist() == [7.0, 2.0]
    assert el.asarray([1j]).conjugate().tolist() == [-1j]


def test_functions_that_write_write_into_their_argument():
    """As NumPy's; and the argument comes back."""
    cases = (
        (np.put_along_axis, el.put_along_axis, (np.array([[2], [0]]), 5.0, 1)),
        (np.put, el.put, ([0, 5], [7.0, 8.0])),
        (np.place, el.place, (np.arange(6).reshape(2, 3) % 2 == 0, [7.0, 8.0])),
        (np.fill_diagonal, el.fill_diagonal, (9.0,)),
    )
    for theirs, ours, arguments in cases:
        x, y = np.arange(6.0).reshape(2, 3), el.asarray(np.arange(6.0).reshape(2, 3))
        theirs(x, *arguments)
        assert ours(y, *arguments) is y
        np.testing.assert_array_equal(y.numpy(), x)
    kept = el.zeros((2, 2))
    assert el.fill_diagonal(kept, 1.0, inplace=False).tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert kept.tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_axis_by_position() -> None:
    """As people write it who come from NumPy, JAX or PyTorch."""
    x = el.asarray(CUBE)
    for name in ("sum", "prod", "mean", "max", "min", "argmax", "any", "cumprod", "std", "flip"):
        expected = np.asarray(getattr(el, name)(x, axis=1))
        np.testing.assert_array_equal(np.asarray(getattr(el, name)(x, 1)), expected)
    parts = [part.shape for part in el.split(x, 1, 1)]
    assert parts == [part.shape for part in el.split(x, 1, axis=1)] and len(parts) == 3
    assert [part.shape for part in el.chunk(x, 3, 1)] == parts
    assert el.roll(x, 1, 0).tolist() == np.roll(CUBE, 1, 0).tolist()
    assert el.repeat(x, 2, 1).shape == (2, 6, 4)
    assert el.take(x, el.asarray([1]), 2).tolist() == np.take(CUBE, [1], 2).tolist()
    assert el.topk(x, 2, 0).values.shape == (2, 3, 4)
    with pytest.raises(TypeError, match="positional"):
        el.sum(x, 0, True)


def test_quantiles_by_keyword():
    """As xarray calls them."""
    x = el.asarray(CUBE)
    for name, q in (("quantile", 0.25), ("nanquantile", 0.25), ("percentile", 25), ("nanpercentile", 25)):
        found = getattr(el, name)(x, q=q, axis=-1)
        np.testing.assert_allclose(np.asarray(found), getattr(np, name)(CUBE, q=q, axis=-1), rtol=1e-6)
