"""The functions of the top level against numpy, row by row, and their error texts."""

import math

import numpy as np
import pytest
import scipy.special as special

import elinvar as el
from elinvar.core import errors

pytestmark = pytest.mark.any_level

RNG = np.random.default_rng(7)
F = RNG.standard_normal((3, 4)).astype(np.float32)
G = RNG.standard_normal((3, 4)).astype(np.float32)
P = (np.abs(F) + 0.25).astype(np.float32)
U = RNG.uniform(-0.95, 0.95, (3, 4)).astype(np.float32)
I = RNG.integers(-9, 9, (3, 4))
J = RNG.integers(1, 9, (3, 4))
B = RNG.random((3, 4)) < 0.5
C = RNG.random((3, 4)) < 0.5
CUBE = RNG.standard_normal((2, 3, 4)).astype(np.float32)
ROW = np.array([3, 1, 2, 3, 1, 7], np.int64)


def same(found, expected, tolerance=2e-6):
    """Equal shape, dtype (float64 references narrowed) and values."""
    if isinstance(expected, tuple | list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            same(one, other, tolerance)
        return
    expected = np.asarray(expected)
    array = np.asarray(found)
    assert array.shape == expected.shape
    if expected.dtype.kind == "f":
        assert array.dtype.kind == "f"
        np.testing.assert_allclose(array, expected, rtol=tolerance, atol=tolerance)
    else:
        assert array.dtype == expected.dtype
        np.testing.assert_array_equal(array, expected)


def check(function, reference, *arrays, **options):
    tensors = [el.asarray(a) if isinstance(a, np.ndarray) else a for a in arrays]
    same(function(*tensors, **options), reference(*arrays))


UNARY = {
    "abs": (np.abs, F), "negative": (np.negative, I), "sign": (np.sign, F), "sqrt": (np.sqrt, P),
    "exp": (np.exp, F), "expm1": (np.expm1, F), "log": (np.log, P), "log1p": (np.log1p, P),
    "log2": (np.log2, P), "log10": (np.log10, P), "sin": (np.sin, F), "cos": (np.cos, F),
    "tan": (np.tan, F), "asin": (np.arcsin, U), "acos": (np.arccos, U), "atan": (np.arctan, F),
    "sinh": (np.sinh, F), "cosh": (np.cosh, F), "tanh": (np.tanh, F), "asinh": (np.arcsinh, F),
    "acosh": (np.arccosh, P + 1), "atanh": (np.arctanh, U), "floor": (np.floor, F),
    "ceil": (np.ceil, F), "trunc": (np.trunc, F), "round": (np.round, F * 4), "square": (np.square, I),
    "reciprocal": (np.reciprocal, P), "isnan": (np.isnan, F), "isinf": (np.isinf, F),
    "isfinite": (np.isfinite, F), "signbit": (np.signbit, F), "logical_not": (np.logical_not, B),
    "bitwise_invert": (np.invert, I), "positive": (np.positive, I), "erf": (special.erf, F),
    "erfinv": (special.erfinv, U),
}  # fmt: skip

BINARY = {
    "add": (np.add, F, G), "subtract": (np.subtract, F, G), "multiply": (np.multiply, I, J),
    "divide": (np.divide, F, P), "floor_divide": (np.floor_divide, I, J),
    "remainder": (np.remainder, I, J), "maximum": (np.maximum, F, G), "minimum": (np.minimum, F, G),
    "equal": (np.equal, I, J), "not_equal": (np.not_equal, I, J), "less": (np.less, F, G),
    "less_equal": (np.less_equal, F, G), "greater": (np.greater, F, G),
    "greater_equal": (np.greater_equal, I, J), "bitwise_and": (np.bitwise_and, I, J),
    "bitwise_or": (np.bitwise_or, I, J), "bitwise_xor": (np.bitwise_xor, I, J),
    "bitwise_left_shift": (np.left_shift, I, J), "bitwise_right_shift": (np.right_shift, I, J),
    "logical_and": (np.logical_and, B, C), "logical_or": (np.logical_or, B, C),
    "logical_xor": (np.logical_xor, B, C), "atan2": (np.arctan2, F, G), "pow": (np.power, P, G),
    "copysign": (np.copysign, F, G), "nextafter": (np.nextafter, F, G),
    "logaddexp": (np.logaddexp, F, G), "hypot": (np.hypot, F, G),
}  # fmt: skip


@pytest.mark.parametrize("name", UNARY)
def test_unary(name):
    reference, x = UNARY[name]
    check(getattr(el, name), reference, x)


@pytest.mark.parametrize("name", BINARY)
def test_binary(name):
    reference, x, y = BINARY[name]
    function = getattr(el, name)
    check(function, reference, x, y)
    check(function, reference, x, y[:1])  # broadcasting
    check(function, reference, x[:, :1], y[1])


SPECIAL = {
    "hypot of infinities": (el.hypot, np.hypot, [math.inf, 0.0, math.inf, 1e30], [math.nan, 0.0, 1.0, 1e30]),
    "logaddexp of infinities": (el.logaddexp, np.logaddexp, [math.inf, -math.inf, 0.0], [math.inf, -math.inf, -math.inf]),
    "sign of zero": (el.multiply, np.multiply, [0.0, -0.0], [1.0, 1.0]),
}  # fmt: skip


@pytest.mark.parametrize("name", SPECIAL)
def test_special_values(name):
    function, reference, x, y = SPECIAL[name]
    x, y = np.array(x, np.float32), np.array(y, np.float32)
    with np.errstate(all="ignore"):
        check(function, reference, x, y)


REDUCTIONS = {
    "sum": np.sum, "prod": np.prod, "max": np.max, "min": np.min, "mean": np.mean, "var": np.var,
    "std": np.std, "any": np.any, "all": np.all, "argmax": np.argmax, "argmin": np.argmin,
    "logsumexp": special.logsumexp,
}  # fmt: skip


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 2), ()])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name, axis, keepdims):
    if isinstance(axis, tuple) and name.startswith("arg"):
        pytest.skip("one axis only")
    if axis == () and name == "logsumexp":
        pytest.skip("scipy reads () as all axes")
    x = CUBE > 0 if name in ("any", "all") else CUBE
    reference = REDUCTIONS[name]
    found = getattr(el, name)(el.asarray(x), axis=axis, keepdims=keepdims)
    same(found, reference(x, axis=axis, keepdims=keepdims), 1e-5)


def test_integer_reductions():
    small = el.asarray(np.full(300, 100, np.int8))
    assert el.sum(small).item() == 30000
    assert el.sum(small).dtype is el.int64
    assert el.sum(small.to(el.uint8)).dtype is el.uint64
    assert el.sum(el.asarray([True, True])).dtype is el.int64
    assert el.sum(small, dtype=el.float32).dtype is el.float32
    assert el.mean(small).dtype is el.float32
    assert el.max(el.asarray([True, False])).item() is True
    assert el.count_nonzero(el.asarray([[0, 1], [2, 3]]), axis=1).tolist() == [1, 2]


def test_sixteen_bit_sums_carry_float32():
    ones = el.ones(5000, dtype=el.bfloat16)
    assert el.sum(ones).item() == 4992.0  # 5000 rounded once; a bfloat16 sum would stop at 256
    assert el.sum(ones).dtype is el.bfloat16
    halves = el.full(4096, 100.0, dtype=el.float16)
    assert el.mean(halves).item() == 100.0  # the sum itself does not fit into float16


def test_unbiased_variance():
    same(el.var(el.asarray(CUBE), axis=1, correction=1), CUBE.var(1, ddof=1), 1e-5)
    same(el.asarray(CUBE).std(1), CUBE.std(1, ddof=1), 1e-5)


CUMULATIVE = [
    (el.cumulative_sum, np.cumsum, CUBE), (el.cumulative_prod, np.cumprod, CUBE),
    (el.cumulative_sum, np.cumsum, RNG.integers(0, 5, (2, 3, 4))),
]  # fmt: skip


@pytest.mark.parametrize("row", range(len(CUMULATIVE)))
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_cumulative(row, axis):
    function, reference, x = CUMULATIVE[row]
    same(function(el.asarray(x), axis=axis), reference(x, axis=axis), 1e-5)
    longer = np.insert(reference(x, axis=axis), 0, float(function is el.cumulative_prod), axis)
    same(function(el.asarray(x), axis=axis, include_initial=True), longer, 1e-5)


MANIPULATION = {
    "reshape": (lambda m, x: m.reshape(x, (4, -1)), F),
    "permute": (lambda m, x: (m.permute_dims if m is el else np.transpose)(x, (2, 0, 1)), CUBE),
    "moveaxis": (lambda m, x: m.moveaxis(x, (0, 1), (-1, 0)), CUBE),
    "squeeze": (lambda m, x: m.squeeze(x, axis=(0, 2)), CUBE[:1, :, :1]),
    "flip": (lambda m, x: m.flip(x, axis=(0, 2)), CUBE),
    "roll": (lambda m, x: m.roll(x, (1, -2), axis=(0, 2)), CUBE),
    "roll all": (lambda m, x: m.roll(x, 5), CUBE),
    "tile": (lambda m, x: m.tile(x, (2, 1, 3)), F),
    "repeat": (lambda m, x: m.repeat(x, 2, axis=1), F),
    "repeat flat": (lambda m, x: m.repeat(x, 3), F),
    "repeat each": (lambda m, x: m.repeat(x, [0, 2, 1], axis=0), F),
    "stack": (lambda m, x: m.stack([x, x + 1], axis=1), F),
    "diff": (lambda m, x: m.diff(x, axis=1, n=2), F),
    "broadcast": (lambda m, x: m.broadcast_to(x, (2, 3, 4)), F),
    "expand": (lambda m, x: m.expand_dims(x, axis=(0, 3)), F),
    "tril": (lambda m, x: m.tril(x, k=1), CUBE),
    "triu": (lambda m, x: m.triu(x, k=-1), CUBE),
    "clip": (lambda m, x: m.clip(x, -0.5, 0.5), F),
    "clip below": (lambda m, x: m.clip(x, np.float32(0), None), F),
    "where": (lambda m, x: m.where(x > 0, x, 0 * x), F),
    "sort": (lambda m, x: m.sort(x, axis=0), F),
    "argsort": (lambda m, x: m.argsort(x, axis=1), F),
    "take": (lambda m, x: m.take(x, I[0] % 3, axis=0), F),
    "matrix transpose": (lambda m, x: m.matrix_transpose(x), CUBE),
    "trace": (lambda m, x: m.linalg.trace(x), CUBE[0, :, :3]),
    "diagonal": (lambda m, x: m.linalg.diagonal(x, offset=1), CUBE),
    "diagonal below": (lambda m, x: m.linalg.diagonal(x, offset=-1), CUBE),
    "outer": (lambda m, x: m.outer(x[0], x[1]), F),
    "cross": (lambda m, x: m.linalg.cross(x[:, :3], x[:, 1:]), F),
    "matrix power": (lambda m, x: m.linalg.matrix_power(x, 5), CUBE[:, :, :3]),
    "vector norm": (lambda m, x: m.linalg.vector_norm(x, axis=1, ord=3), F),
    "largest norm": (lambda m, x: m.linalg.vector_norm(x, ord=np.inf), F),
    "matrix norm": (lambda m, x: m.linalg.matrix_norm(x), CUBE),
    "column norm": (lambda m, x: m.linalg.matrix_norm(x, ord=1), CUBE),
}  # fmt: skip


@pytest.mark.parametrize("name", MANIPULATION)
def test_manipulation(name):
    function, x = MANIPULATION[name]
    same(function(el, el.asarray(x)), function(np, x), 1e-5)


def test_joining_and_cutting():
    x = el.asarray(CUBE)
    same(el.concat([x, x[:1]], axis=0), np.concatenate([CUBE, CUBE[:1]]))
    same(el.concat([x, x], axis=None), np.concatenate([CUBE.ravel()] * 2))
    assert el.concat([el.ones(2, dtype=el.int8), el.ones(1)]).dtype is el.float32
    same(list(el.unstack(x, axis=1)), [CUBE[:, i] for i in range(3)])
    same(list(el.split(x, 3, axis=2)), [CUBE[..., :3], CUBE[..., 3:]])
    same(list(el.split(x, [1, 3], axis=2)), [CUBE[..., :1], CUBE[..., 1:]])
    same(list(el.chunk(x, 2, axis=2)), np.split(CUBE, 2, 2))
    same(list(el.broadcast_arrays(x, el.ones((3, 1)))), np.broadcast_arrays(CUBE, np.ones((3, 1))))


MATMUL = [
    ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)),
    ((2, 3), (5, 3, 4)), ((5, 2, 3), (5, 3, 4)), ((5, 1, 2, 3), (6, 3, 4)), ((3,), (5, 3, 4)),
    ((5, 2, 3), (3,)), ((1, 2, 3), (5, 3, 4)), ((6, 5, 2, 3), (6, 1, 3, 4)), ((0, 3), (3, 2)),
    ((7, 1, 2, 3), (1, 6, 3, 4)),
]  # fmt: skip


@pytest.mark.parametrize("shapes", MATMUL, ids=str)
def test_matmul(shapes):
    x, y = (RNG.standard_normal(shape).astype(np.float32) for shape in shapes)
    same(el.asarray(x) @ el.asarray(y), x @ y, 1e-5)


def test_integer_products():
    same(el.matmul(el.asarray(I), el.asarray(J).T), I @ J.T)
    same(el.vecdot(el.asarray(I), el.asarray(J)), np.vecdot(I, J))
    same(el.tensordot(el.asarray(CUBE), el.asarray(F), axes=((1, 2), (0, 1))), np.tensordot(CUBE, F, ((1, 2), (0, 1))), 1e-5)
    same(el.dot(el.asarray(I[0]), el.asarray(J[0])), I[0] @ J[0])


EINSUM = [
    ("ij,jk->ik", (3, 4), (4, 5)), ("ij->ji", (3, 4)), ("ii->i", (3, 3)), ("ii", (3, 3)),
    ("ij->", (3, 4)), ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)), ("...ij,...jk", (2, 3, 4), (4, 5)),
    ("i,j->ij", (3,), (4,)), ("ijk,ik->j", (2, 3, 4), (2, 4)), ("bhqd,bhkd->bhqk", (2, 3, 4, 5), (2, 3, 6, 5)),
    ("ab,bc,cd->ad", (2, 3), (3, 4), (4, 5)), ("iij->j", (3, 3, 2)), ("...i->...", (2, 3, 4)),
    ("i...,i...->...", (3, 2), (3, 1)), ("ij,ij,ij->i", (2, 3), (2, 3), (2, 3)), ("ba", (2, 3)),
]  # fmt: skip


@pytest.mark.parametrize("row", EINSUM, ids=lambda row: row[0])
def test_einsum(row):
    equation, *shapes = row
    arrays = [RNG.standard_normal(shape).astype(np.float32) for shape in shapes]
    found = el.einsum(equation, *(el.asarray(a) for a in arrays))
    same(found, np.einsum(equation, *arrays), 1e-5)


def test_sorting_and_searching():
    x = el.asarray(ROW)
    found = el.unique_all(x)
    expected = np.unique_all(ROW)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(np.asarray(one), other)
    same(el.unique_values(el.asarray(B)), np.unique(B))
    same(list(el.nonzero(el.asarray(I))), list(np.nonzero(I)))
    same(list(el.nonzero(el.zeros((2, 0)))), list(np.nonzero(np.zeros((2, 0)))))
    values, places = el.topk(el.asarray(F), 2, axis=0)
    same(values, -np.sort(-F, 0)[:2])
    same(places, np.argsort(-F, 0)[:2])
    assert el.topk(x, 2, largest=False).values.tolist() == [1, 1]
    edges = np.array([1.0, 2.0, 2.0, 5.0], np.float32)
    probe = np.array([0.0, 1.0, 2.0, 4.0, 5.0, 9.0], np.float32)
    for side in ("left", "right"):
        same(el.searchsorted(el.asarray(edges), el.asarray(probe), side=side), np.searchsorted(edges, probe, side))
    same(el.take_along_axis(el.asarray(F), el.asarray(np.argsort(F, 1)), axis=1), np.sort(F, 1))
    same(el.isin(x, el.asarray([3, 7])), np.isin(ROW, [3, 7]))
    same(el.bincount(x, minlength=9), np.bincount(ROW, minlength=9))


def test_creation():
    same(el.arange(2, 20, 3), np.arange(2, 20, 3))
    same(el.arange(1.0, 2.0, 0.25), np.arange(1.0, 2.0, 0.25))
    same(el.arange(5, 0, -2), np.arange(5, 0, -2))
    same(el.linspace(0, 1, 7, endpoint=False), np.linspace(0, 1, 7, endpoint=False))
    same(el.eye(3, 4, k=1), np.eye(3, 4, k=1))
    same(el.full((2, 2), True), np.full((2, 2), True))
    same(list(el.meshgrid(el.arange(3), el.arange(2))), list(np.meshgrid(np.arange(3), np.arange(2))))
    same(list(el.meshgrid(el.arange(3), el.arange(2), indexing="ij")), list(np.meshgrid(np.arange(3), np.arange(2), indexing="ij")))
    same(el.one_hot(el.asarray([2, 0]), 3), np.eye(3, dtype=np.int64)[[2, 0]])
    assert el.zeros(3).dtype is el.float32 and el.asarray(1).dtype is el.int64
    assert el.asarray(1.5).dtype is el.float32 and el.asarray(True).dtype is el.bool
    assert el.asarray(np.float64(1.5)).dtype is el.float64
    assert el.asarray([el.asarray(1.0), el.asarray(2.0)]).tolist() == [1.0, 2.0]
    assert el.asarray([[1, 2.5], [3, 4]]).tolist() == [[1.0, 2.5], [3.0, 4.0]]
    assert el.full((2,), 1.0, dtype=el.bfloat16).tolist() == [1.0, 1.0]


PROMOTION = [
    (el.int8, 1, el.int8), (el.int8, 1.0, el.float32), (el.bool, 1, el.int64), (el.bool, 1.0, el.float32),
    (el.bfloat16, 2, el.bfloat16), (el.bfloat16, 2.5, el.bfloat16), (el.float64, 2, el.float64),
    (el.uint8, el.int8, el.int16), (el.int32, el.float16, el.float16), (el.float16, el.bfloat16, el.float32),
    (el.uint32, el.int32, el.int64), (el.float32, el.float64, el.float64), (el.bool, el.int8, el.int8),
]  # fmt: skip


@pytest.mark.parametrize("row", range(len(PROMOTION)))
def test_promotion(row):
    left, right, expected = PROMOTION[row]
    x = el.ones(2, dtype=left)
    y = el.ones(2, dtype=right) if isinstance(right, el.DType) else right
    assert (x * y).dtype is expected
    assert (y * x).dtype is expected
    assert el.result_type(x, y) is expected
    assert el.where(el.asarray([True, False]), x, y).dtype is expected


def test_division_and_powers():
    whole = el.asarray([1, 2, 3])
    assert (whole / 2).dtype is el.float32 and (whole / 2).tolist() == [0.5, 1.0, 1.5]
    assert (1 / whole).dtype is el.float32
    assert (whole**2).dtype is el.int64 and (whole**2).tolist() == [1, 4, 9]
    assert (2**whole).tolist() == [2, 4, 8]
    assert (whole // 2).tolist() == [0, 1, 1] and (-whole % 2).tolist() == [1, 0, 1]
    same(el.asarray(P) ** 0.5, np.sqrt(P))
    same(el.asarray(P) ** -1, 1 / P)
    same(el.asarray(P) ** 3, P**3)
    same(el.asarray(P) ** 1.7, P**1.7, 1e-5)


ERRORS = {
    "matmul": (lambda: el.ones((8, 128)) @ el.ones((64, 32)), errors.ShapeError,
               "[matmul] inner dimensions differ: f32[8,128] @ f32[64,32], 128 ≠ 64"),
    "matmul 0-d": (lambda: el.ones(()) @ el.ones(3), errors.ShapeError, "[matmul] expected at least 1"),
    "add": (lambda: el.ones(3) + el.ones(4), errors.ShapeError, "[add] shapes [3] and [4] cannot be broadcast: 3 ≠ 4"),
    "reshape": (lambda: el.ones(6).reshape(4, -1), errors.ShapeError, "[reshape] f32[6] does not fit into [4,-1]"),
    "axis": (lambda: el.sum(el.ones(3), axis=2), errors.AxisError, "[sum] axis 2 is out of range for 1 dim"),
    "concat": (lambda: el.concat([el.ones((2, 3)), el.ones((2, 4))]), errors.ShapeError, "[concat] shapes differ beside axis 0"),
    "number": (lambda: el.ones(2, dtype=el.uint8) + 300, errors.ValueRangeError, "[add] 300 does not fit into uint8: 0 … 255"),
    "power": (lambda: el.ones(2, dtype=el.int8) ** -1, errors.ValueRangeError, "[pow] an integer tensor to a negative"),
    "empty max": (lambda: el.max(el.zeros((0, 3)), axis=0), errors.ShapeError, "[max] axis 0 of f32[0,3] is empty"),
    "uint64": (lambda: el.ones(1, dtype=el.uint64) + el.ones(1, dtype=el.int64), errors.DTypeError, "no common integer type"),
    "truth": (lambda: bool(el.ones(2)), errors.ShapeError, "[bool] the truth of f32[2] is not clear"),
    "einsum": (lambda: el.einsum("ij,jk", el.ones((2, 3)), el.ones((4, 5))), errors.ShapeError, "axis 'j' has two sizes, 3 ≠ 4"),
    "device": (lambda: el.zeros(2, device="cuda"), errors.ValueRangeError, "[zeros] device 'cuda' is not available"),
    "in place": (lambda: el.ones(2, dtype=el.int64).add_(0.5), errors.DTypeError, "[add_] a result f32[2] does not fit into i64[2]"),
    "in place shape": (lambda: el.ones(1).add_(el.ones(3)), errors.ShapeError, "[add_] a result f32[3] does not fit into f32[1]"),
    "ragged": (lambda: el.asarray([[1], [2, 3]]), errors.ShapeError, "[asarray] lists must be regular"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    action, kind, text = ERRORS[name]
    with pytest.raises(kind) as caught:
        action()
    assert text in str(caught.value)
    assert "test_functions.py" in str(caught.value)  # the user's own line


def test_data_dependent_shapes_are_refused_in_traces():
    for function in (lambda x: el.nonzero(x)[0], el.unique_values, lambda x: x[x > 0]):
        with pytest.raises(errors.TraceError, match=r"would depend|depends on its values"):
            el.jit(function)(el.asarray([1.0, 2.0]))


def test_functions_are_traceable():
    """What is composed of several primitives gives the same bits under jit."""
    x = el.asarray(F)
    for function in (
        lambda v: el.std(v, axis=1), lambda v: el.logsumexp(v, axis=0), lambda v: el.tril(v),
        lambda v: el.roll(v, 1, axis=1), lambda v: el.topk(v, 2).values, lambda v: v[1:, ::-1],
        lambda v: el.einsum("ij,kj->ik", v, v), lambda v: el.clip(v, -0.1, 0.1), lambda v: el.erfinv(el.tanh(v)),
    ):  # fmt: skip
        np.testing.assert_array_equal(np.asarray(el.jit(function)(x)), np.asarray(function(x)))


def test_transpose_takes_two_axes_or_all():
    x = el.arange(24).reshape(2, 3, 4)
    assert x.transpose(0, 2).shape == x.transpose((2, 1, 0)).shape == (4, 3, 2)
    assert x.transpose([1, 0, 2]).tolist() == x.permute(1, 0, 2).tolist()
    with pytest.raises(IndexError, match=r"expected two axes, or a tuple of all"):
        x.transpose(1)


def test_reductions_without_nan_convert_first_and_know_numpys_ddof():
    x = np.array([1.0, np.nan, 2.0, 4.0], np.float32)
    t = el.asarray(x)
    for name, options in (
        ("nanmean", {"dtype": np.float64}),
        ("nanvar", {"dtype": np.float64, "ddof": 1}),
        ("nanstd", {"dtype": np.float64, "ddof": 1}),
    ):
        found, expected = getattr(el, name)(t, **options), getattr(np, name)(x, **options)
        assert found.dtype.name == expected.dtype.name
        assert np.allclose(found.numpy(), expected, rtol=1e-6)
    assert el.nanvar(t, correction=1).item() == el.nanvar(t, ddof=1).item()
