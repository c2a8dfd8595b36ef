"""NumPy's functions beyond the standard: what depends on values, corners, refusals."""

import warnings

import numpy as np
import pytest

import elinvar as el
from elinvar.core import errors
from elinvar.tensor.extra.names import PLACES
from tests.extras import bits, check_gradient, check_jit, same

pytestmark = pytest.mark.any_level

RNG = np.random.default_rng(8)
N = np.array([3, 1, 2, 3, 1, 7], np.int64)
F = RNG.standard_normal((4, 5)).astype(np.float32)
T = np.round(RNG.standard_normal((6, 3)) * 1.5).astype(np.float32)
NAN, INF = np.nan, np.inf
ODD = np.array([0.0, -0.0, 1.5, -2.5, INF, -INF, NAN, 1e-45, 3e38, -7.0], np.float32)

# Eager only: the shape of the result depends on values.
VALUES = {
    "where": lambda m: m.where(wrapped(m, F) > 0), "argwhere": lambda m: m.argwhere(wrapped(m, F) > 1),
    "flatnonzero": lambda m: m.flatnonzero(wrapped(m, T)), "extract": lambda m: m.extract(wrapped(m, F) > 0, wrapped(m, F)),
    "compress": lambda m: m.compress(wrapped(m, N[:4]) > 1, wrapped(m, F), axis=0),
    "compress flat": lambda m: m.compress(wrapped(m, N) > 2, wrapped(m, F)),
    "unique": lambda m: m.unique(wrapped(m, T)), "unique nan": lambda m: m.unique(wrapped(m, ODD)),
    "unique nan apart": lambda m: m.unique(wrapped(m, np.array([NAN, 1.0, NAN])), equal_nan=False),
    "unique all": lambda m: m.unique(wrapped(m, N), return_index=True, return_inverse=True, return_counts=True),
    "unique rows": lambda m: m.unique(wrapped(m, T), axis=0, return_counts=True),
    "unique columns": lambda m: m.unique(wrapped(m, T), axis=1), "unique bool": lambda m: m.unique(wrapped(m, T > 0)),
    "unique none": lambda m: m.unique(wrapped(m, T[:0])), "union1d": lambda m: m.union1d(wrapped(m, N), wrapped(m, N + 2)),
    "intersect1d": lambda m: m.intersect1d(wrapped(m, N), wrapped(m, N + 2)),
    "setdiff1d": lambda m: m.setdiff1d(wrapped(m, N), wrapped(m, N + 2)),
    "setxor1d": lambda m: m.setxor1d(wrapped(m, N), wrapped(m, N + 2)),
    "bincount": lambda m: m.bincount(wrapped(m, N)), "bincount weights": lambda m: m.bincount(wrapped(m, N), wrapped(m, N * 0.5), 12),
    "bincount none": lambda m: m.bincount(wrapped(m, N[:0]), minlength=2),
    "trim_zeros": lambda m: m.trim_zeros(wrapped(m, np.array([0, 0, 1, 0, 2, 0]))),
    "trim front": lambda m: m.trim_zeros(wrapped(m, np.array([0, 0, 1, 0, 2, 0])), "f"),
    "trim all": lambda m: m.trim_zeros(wrapped(m, np.zeros(3))),
    "edges auto": lambda m: m.histogram_bin_edges(wrapped(m, F), "auto"),
    # creation
    "tri": lambda m: m.tri(3, 5, 1), "tril_indices": lambda m: m.tril_indices(3, -1, 4), "triu_indices": lambda m: m.triu_indices(3, 1),
    "tril_indices_from": lambda m: m.tril_indices_from(wrapped(m, F), 1), "triu_indices_from": lambda m: m.triu_indices_from(wrapped(m, F)),
    "diag_indices": lambda m: m.diag_indices(3, 3), "indices": lambda m: m.indices((2, 3)), "indices sparse": lambda m: m.indices((2, 3), sparse=True),
    "fromfunction": lambda m: m.fromfunction(lambda i, j: i * 2 + j, (3, 2)), "ix_": lambda m: m.ix_(wrapped(m, N), wrapped(m, N > 2)),
    "mgrid": lambda m: m.mgrid[0:3, 1:5:2], "ogrid": lambda m: m.ogrid[0:3, 0.0:1.0:5j], "mgrid one": lambda m: m.mgrid[-1.0:1.0:3j],
    "logspace": lambda m: m.logspace(0, 3, 7), "geomspace": lambda m: m.geomspace(1, 1000, 4), "geomspace negative": lambda m: m.geomspace(-2, -32, 5),
    **{name: (lambda m, name=name: getattr(m, name)(9)) for name in ("hanning", "hamming", "blackman", "bartlett")},
    **{f"{name} one": (lambda m, name=name: getattr(m, name)(1)) for name in ("hanning", "hamming", "blackman", "bartlett")},
    "kaiser": lambda m: m.kaiser(12, 8.6), "kaiser one": lambda m: m.kaiser(1, 3.0),
    "apply_along_axis": lambda m: m.apply_along_axis(lambda row: row.sum() * row, 0, wrapped(m, F)),
    "apply_along_axis number": lambda m: m.apply_along_axis(lambda row, k: (row**k).max(), 1, wrapped(m, F), 3),
    "apply_along_axis matrix": lambda m: m.apply_along_axis(lambda row: m.outer(row, row[:2]), -1, wrapped(m, F)),
    "vectorize": lambda m: (np.vectorize(lambda a, b: a * b + 1, otypes=[np.float32]) if m is np else el.vectorize(lambda a, b: a * b + 1))(wrapped(m, F), wrapped(m, F[:1])),
    "vectorize signature": lambda m: m.vectorize(lambda a, b: m.matmul(a, b), signature="(n,k),(k)->(n)")(wrapped(m, np.ones((3, 1, 4, 5))), wrapped(m, F[:2].astype(np.float64))),
    # corners
    "heaviside": lambda m: m.heaviside(wrapped(m, ODD), wrapped(m, np.full(10, 0.5, np.float32))),
    "fmax": lambda m: m.fmax(wrapped(m, ODD), wrapped(m, ODD[::-1].copy())), "fmin": lambda m: m.fmin(wrapped(m, ODD), wrapped(m, ODD[::-1].copy())),
    "fmod": lambda m: m.fmod(wrapped(m, ODD), np.float32(2) if m is np else 2.0), "fmod inf": lambda m: m.fmod(wrapped(m, ODD), np.float32(INF) if m is np else INF),
    "cbrt": lambda m: m.cbrt(wrapped(m, ODD)), "cbrt double": lambda m: m.cbrt(wrapped(m, ODD.astype(np.float64))), "modf": lambda m: m.modf(wrapped(m, ODD)),
    "frexp": lambda m: m.frexp(wrapped(m, ODD[[0, 1, 2, 3, 7, 8, 9]])), "sinc": lambda m: m.sinc(wrapped(m, ODD[[0, 2, 3, 6, 7, 9]])),
    "ldexp": lambda m: m.ldexp(wrapped(m, np.array([1.0, 3.0, 0.7, 1.0, 5e-324, 1.5])), wrapped(m, np.array([-1074, 1000, -1070, 2000, 1100, -3000]))),
    "logaddexp2": lambda m: m.logaddexp2(wrapped(m, ODD), wrapped(m, ODD[::-1].copy())), "nan_to_num": lambda m: m.nan_to_num(wrapped(m, ODD)),
    "angle": lambda m: m.angle(wrapped(m, ODD[[0, 2, 3, 6, 9]])), "median nan": lambda m: m.median(wrapped(m, ODD)),
    "nanmedian none": lambda m: m.nanmedian(wrapped(m, np.array([[NAN, NAN], [1.0, NAN]])), axis=1),
    "nanmax none": lambda m: m.nanmax(wrapped(m, np.array([[NAN, NAN], [1.0, NAN]])), axis=1),
    "nanmean none": lambda m: m.nanmean(wrapped(m, np.array([[NAN, NAN], [1.0, NAN]])), axis=1),
    "nanvar none": lambda m: m.nanvar(wrapped(m, np.array([[NAN, NAN], [1.0, NAN]])), axis=1),
    "digitize down": lambda m: m.digitize(wrapped(m, F), wrapped(m, np.array([1.0, 0.0, -1.0], np.float32))),
    "interp one": lambda m: m.interp(wrapped(m, F), wrapped(m, np.array([0.5])), wrapped(m, np.array([2.0]))),
    "interp nan": lambda m: m.interp(wrapped(m, ODD.astype(np.float64)), wrapped(m, np.array([0.0, 1.0])), wrapped(m, np.array([2.0, 3.0]))),
    "histogram nan": lambda m: m.histogram(wrapped(m, ODD), bins=4, range=(-3.0, 2.0)),
    "pad empty axis": lambda m: m.pad(wrapped(m, F[:0]), ((1, 1), (0, 0))), "pad 0-d": lambda m: m.pad(wrapped(m, np.array(3.0)), []) if m is el else np.array(3.0),
    "pad dict": lambda m: m.pad(wrapped(m, F), {1: (1, 2)}), "block 0-d": lambda m: m.block([[1.0, 2.0], [3.0, 4.0]]),
    "gcd zeros": lambda m: m.gcd(wrapped(m, np.array([0, 0, -4])), wrapped(m, np.array([0, 5, 0]))),
    "append list": lambda m: m.append(wrapped(m, N), [1, 2]), "insert end": lambda m: m.insert(wrapped(m, N), [-1, 6], [8, 9]),
    "delete mask": lambda m: m.delete(wrapped(m, N), np.array([True, False, True, False, False, False])),
    "partition": lambda m: m.partition(wrapped(m, N), 2)[2], "isin": lambda m: m.isin(wrapped(m, N), wrapped(m, np.array([3, 7]))),
    "polyval int": lambda m: m.polyval(wrapped(m, N), 2), "polyval none": lambda m: m.polyval(wrapped(m, F[:0, 0]), 2.0),
    "searchsorted sorter": lambda m: m.searchsorted(wrapped(m, N), wrapped(m, np.array([2, 3])), sorter=wrapped(m, np.argsort(N, kind="stable"))),
}  # fmt: skip


def wrapped(module, array):
    return array if module is np else el.asarray(array)


@pytest.mark.parametrize("name", VALUES)
def test_beside_numpy(name):
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = VALUES[name](np)
    same(VALUES[name](el), expected, 1e-6)


def test_where_numpy_is_at_fault():
    """Between two infinities lies infinity, and NaN is never the greatest."""
    assert el.quantile(el.asarray([1.0, 2.0, INF, INF]), el.asarray([0.9, 1.0])).tolist() == [INF, INF]
    assert el.nanargmax(el.asarray([NAN, -INF, NAN])).item() == 1


def test_shapes_that_are_given():
    """What depends on values has a form for `jit`, which agrees with the eager one."""
    x = el.asarray(N)
    unique = el.jit(lambda v: el.unique(v, return_index=True, return_inverse=True, return_counts=True, size=6, fill_value=-1))
    found = unique(x)
    assert [part.tolist() for part in found] == [[1, 2, 3, 7, -1, -1], [1, 2, 0, 5, 1, 1], [2, 0, 1, 2, 0, 3], [2, 1, 2, 1, 0, 0]]
    assert el.unique(x, size=2).tolist() == [1, 2]
    assert el.jit(lambda v: el.bincount(v, length=5))(x).tolist() == [0, 2, 1, 2, 0]
    assert el.jit(lambda v: el.nonzero(v > 2, size=4, fill_value=9)[0])(x).tolist() == [0, 3, 5, 9]
    for function in (lambda v: el.unique(v), lambda v: el.bincount(v), lambda v: el.where(v > 1)[0], lambda v: el.trim_zeros(v), lambda v: el.union1d(v, v)):
        with pytest.raises(errors.TraceError, match="would depend"):
            el.jit(function)(x)


DATA = RNG.standard_normal((7, 3))
IDS = np.array([2, 0, 2, 5, 0, -1, 9], np.int64)


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int64, np.int8])
@pytest.mark.parametrize("name", ["sum", "prod", "max", "min", "mean"])
def test_segments(name, kind):
    x = (DATA * 3).astype(kind)
    function = getattr(el, f"segment_{name}")
    found = check_jit(lambda v, i: function(v, i, 6), [x, IDS])
    rows = [x[IDS == k] for k in range(6)]
    info = np.iinfo(kind) if kind in (np.int64, np.int8) else None
    empty = {"sum": 0, "prod": 1, "max": info.min if info else -INF, "min": info.max if info else INF, "mean": NAN}[name]
    with np.errstate(all="ignore"):
        expected = np.stack([getattr(row, name)(0) if len(row) else np.full(3, empty) for row in rows])
    np.testing.assert_allclose(np.asarray(found, np.float64), expected.astype(np.float64) if name == "mean" else expected.astype(kind), rtol=1e-6)
    assert found.dtype is (el.float32 if name == "mean" and info else el.asarray(x).dtype)


@pytest.mark.parametrize("name", ["sum", "prod", "max", "min"])
def test_segments_have_derivatives(name):
    check_gradient(lambda v: getattr(el, f"segment_{name}")(v, el.asarray(np.array([1, 0, 1, 2, 0, 0, 1])), 3), [DATA])


def test_segments_of_nothing():
    assert el.segment_sum(el.zeros((0, 2)), el.zeros(0, dtype=el.int64), 3).tolist() == [[0.0, 0.0]] * 3
    assert el.segment_max(el.zeros((0,)), el.zeros(0, dtype=el.int64), 2).tolist() == [-INF, -INF]
    assert el.segment_prod(el.zeros((0,)), el.zeros(0, dtype=el.int64), 2).tolist() == [1.0, 1.0]
    assert np.isnan(el.segment_max(el.asarray([1.0, NAN]), el.asarray([0, 0]), 1).item())
    assert np.isnan(el.segment_min(el.asarray([1.0, NAN]), el.asarray([0, 0]), 1).item())
    assert el.segment_sum(el.asarray([1, 2]), el.asarray([0, 3])).tolist() == [1, 0, 0, 2]


PLACING = {
    "put_along_axis": lambda m, x: np.put_along_axis(x, T3, 5.0, 1) if m is np else el.put_along_axis(x, el.asarray(T3), 5.0, 1, inplace=False),
    "put": lambda m, x: np.put(x, [0, 7, 3], [1.0, 2.0]) if m is np else el.put(x, [0, 7, 3], [1.0, 2.0], inplace=False),
    "place": lambda m, x: np.place(x, x > 0, [1.0, 2.0, 3.0]) if m is np else el.place(x, x > 0, [1.0, 2.0, 3.0], inplace=False),
    "fill_diagonal": lambda m, x: np.fill_diagonal(x, 9.0) if m is np else el.fill_diagonal(x, 9.0, inplace=False),
    "fill_diagonal values": lambda m, x: np.fill_diagonal(x, [1.0, 2.0]) if m is np else el.fill_diagonal(x, [1.0, 2.0], inplace=False),
}  # fmt: skip
T3 = np.array([[1], [0], [4], [2]])


@pytest.mark.parametrize("name", PLACING)
def test_placing(name):
    """NumPy writes into its argument; here the result is a new tensor."""
    expected, x = F.copy(), el.asarray(F)
    PLACING[name](np, expected)
    same(PLACING[name](el, x), expected)
    assert bits(x) == bits(el.asarray(F))


def test_logcumsumexp():
    x = np.array([[-INF, -INF, 1.0, 1000.0], [INF, 0.0, NAN, 1.0]])
    with np.errstate(all="ignore"):
        expected = np.logaddexp.accumulate(x, 1)
    found = check_jit(lambda v: el.logcumsumexp(v, axis=1), [x])
    assert el.cumlogsumexp is el.logcumsumexp  # JAX's name
    np.testing.assert_allclose(np.asarray(found), expected)
    check_gradient(lambda v: el.logcumsumexp(v, axis=0), [DATA])
    gradient = el.grad(lambda v: el.logcumsumexp(v)[2])(el.asarray(np.array([-INF, -INF, 1.0])))
    assert gradient.tolist() == [0.0, 0.0, 1.0]


def test_single_bools():
    assert el.array_equal(el.asarray([1, 2]), [1, 2]) and not el.array_equal(el.asarray([1, 2]), [1, 2, 3])
    assert el.array_equal(el.asarray([NAN]), el.asarray([NAN]), equal_nan=True) and not el.array_equal(el.asarray([NAN]), el.asarray([NAN]))
    assert el.array_equiv(el.ones((2, 3)), 1) and not el.array_equiv(el.ones(2), el.ones(3))
    assert el.isscalar(2) and not el.isscalar([2])


BAD = {
    "quantile": (lambda: el.quantile(el.ones(3), 1.5), errors.ValueRangeError, "[quantile] q must be between 0 and 1"),
    "percentile": (lambda: el.percentile(el.ones(3), 101), errors.ValueRangeError, "[percentile] q must be between 0 and 100"),
    "method": (lambda: el.quantile(el.ones(3), 0.5, method="best"), errors.ValueRangeError, "method must be one of linear"),
    "median of nothing": (lambda: el.median(el.zeros(0)), errors.ShapeError, "are empty and have no median"),
    "pad mode": (lambda: el.pad(el.ones(3), 1, "best"), errors.ValueRangeError, "mode must be one of constant"),
    "pad width": (lambda: el.pad(el.ones(3), -1), errors.ValueRangeError, "pad_width must not be negative"),
    "pad nothing": (lambda: el.pad(el.zeros(0), 1, "edge"), errors.ShapeError, "is empty, mode 'edge' needs values"),
    "split": (lambda: el.hsplit(el.ones(5), 2), errors.ShapeError, "does not divide into 2 equal pieces"),
    "insert": (lambda: el.insert(el.ones(3), 5, 1.0), errors.ValueRangeError, "place 5 is out of bounds"),
    "delete": (lambda: el.delete(el.ones(3), 5), errors.OutOfBoundsError, "index 5 is out of bounds"),
    "bins": (lambda: el.histogram(el.ones(3), bins=0), errors.ValueRangeError, "the number of bins must be positive"),
    "range": (lambda: el.histogram(el.asarray([INF])), errors.ValueRangeError, "range is not finite"),
    "order": (lambda: el.digitize(el.ones(3), el.asarray([0.0, 2.0, 1.0])), errors.ValueRangeError, "bins must be in order"),
    "all nan": (lambda: el.nanargmax(el.asarray([NAN])), errors.ValueRangeError, "is all NaN"),
    "gcd": (lambda: el.gcd(el.ones(2), el.ones(2)), errors.DTypeError, "[gcd] expected integers"),
    "packbits": (lambda: el.unpackbits(el.ones(2)), errors.DTypeError, "[unpackbits] expected uint8"),
    "points": (lambda: el.interp(1.0, el.ones(2), el.ones(3)), errors.ShapeError, "xp and fp must be 1-D and of one size"),
    "gradient": (lambda: el.gradient(el.ones(1)), errors.ShapeError, "needs 2 elements"),
    "convolve": (lambda: el.convolve(el.ones((2, 2)), el.ones(2)), errors.ShapeError, "expected 1-D tensors with elements"),
    "geomspace": (lambda: el.geomspace(-1, 1), errors.ValueRangeError, "the ends must not be 0 and have one sign"),
    "segments": (lambda: el.segment_sum(el.ones(3), el.asarray([0, 1])), errors.ShapeError, "must name a segment for each row"),
    "unravel": (lambda: el.unravel_index(el.asarray([6]), (2, 3)), errors.OutOfBoundsError, "index 6 is out of bounds"),
    "ravel": (lambda: el.ravel_multi_index((el.asarray([2]), el.asarray([0])), (2, 3)), errors.OutOfBoundsError, "index 2 is out of bounds for axis 0"),
    "choose": (lambda: el.choose(el.asarray([2]), [el.ones(1), el.ones(1)]), errors.OutOfBoundsError, "index 2 is out of bounds"),
    "where": (lambda: el.where(el.ones(2), 1.0), errors.ValueRangeError, "expected"),
    "lexsort": (lambda: el.lexsort((el.ones(2), el.ones(3))), errors.ShapeError, "keys must have one shape"),
    "block": (lambda: el.block([[el.ones(1)], el.ones(1)]), errors.ShapeError, "lists are nested to different depths"),
    "rot90": (lambda: el.rot90(el.ones((2, 2)), axes=(0, 0)), errors.ShapeError, ""),
    "average": (lambda: el.average(el.ones((2, 3)), weights=el.ones(2)), errors.ShapeError, "fit neither"),
    "bincount": (lambda: el.bincount(el.asarray([-1])), errors.ValueRangeError, "expected no negative number"),
    "windows": (lambda: el.sliding_window_view(el.ones((3, 3)), 2), errors.ValueRangeError, "1 sizes for 2 axes"),
    "vectorize": (lambda: el.vectorize(lambda a: a, signature="n->n"), errors.ValueRangeError, "is no signature"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_refusals(name):
    action, kind, text = BAD[name]
    with pytest.raises(kind) as caught:
        action()
    assert text in str(caught.value)


def test_every_name_is_there():
    for name in PLACES:
        assert name in el.__all__ and getattr(el, name) is not None
