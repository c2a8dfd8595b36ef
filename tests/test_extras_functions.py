"""NumPy's functions beyond the standard, row by row: values, eager = jit, two derivatives."""

import numpy as np
import pytest

import elinvar as el
from tests.extras import check_gradient, check_jit, same

pytestmark = pytest.mark.any_level

RNG = np.random.default_rng(11)
F = RNG.standard_normal((3, 4)).astype(np.float32)
G = RNG.standard_normal((3, 4)).astype(np.float32)
P = np.abs(F) + np.float32(0.25)
CUBE = RNG.standard_normal((2, 3, 4)).astype(np.float32)
ROW = RNG.standard_normal(9).astype(np.float32)
UP = np.sort(RNG.standard_normal(6)).astype(np.float32)
I = RNG.integers(-9, 9, (3, 4))
J = RNG.integers(1, 9, (3, 4))
N = np.array([3, 1, 2, 3, 1, 7], np.int64)
HOLES = np.where(RNG.random((3, 4, 5)) < 0.3, np.nan, RNG.standard_normal((3, 4, 5))).astype(np.float32)
HOLES[1, 2] = np.nan
FULL = HOLES.copy()
FULL[1, 2] = 1.0
BITS = RNG.integers(0, 2, (3, 11)).astype(np.uint8)
SQUARE = RNG.standard_normal((4, 4)).astype(np.float32)

# name: (function of a module and arguments, arguments[, "g": has derivatives])
ROWS = {
    "heaviside": (lambda m, x: m.heaviside(x, np.float32(0.5) if m is np else 0.5), F),
    "sinc": (lambda m, x: m.sinc(x), F * 3, "g"),
    "deg2rad": (lambda m, x: m.deg2rad(x), F, "g"),
    "rad2deg": (lambda m, x: m.rad2deg(x), F, "g"),
    "fmod": (lambda m, x, y: m.fmod(x, y), F * 5, P, "g"),
    "fmod int": (lambda m, x, y: m.fmod(x, y), I, J),
    "fmax": (lambda m, x, y: m.fmax(x, y), F, G, "g"),
    "fmin": (lambda m, x, y: m.fmin(x, y), F, G, "g"),
    "cbrt": (lambda m, x: m.cbrt(x), F, "g"),
    "exp2": (lambda m, x: m.exp2(x), F, "g"),
    "logaddexp2": (lambda m, x, y: m.logaddexp2(x, y), F, G, "g"),
    "divmod": (lambda m, x, y: m.divmod(x, y), I, J),
    "modf": (lambda m, x: m.modf(x), F * 3),
    "frexp": (lambda m, x: m.frexp(x), F * 3),
    "ldexp": (lambda m, x, y: m.ldexp(x, y), F, I, "g"),
    "gcd": (lambda m, x, y: m.gcd(x, y), I, J),
    "lcm": (lambda m, x, y: m.lcm(x, y), I, J),
    "angle": (lambda m, x: m.angle(x), F),
    "angle deg": (lambda m, x: m.angle(x, deg=True), F),
    "isposinf": (lambda m, x: m.isposinf(x), np.array([np.inf, -np.inf, 1.0, np.nan])),
    "isneginf": (lambda m, x: m.isneginf(x), np.array([np.inf, -np.inf, 1.0, np.nan])),
    "isreal": (lambda m, x: m.isreal(x), F),
    "nan_to_num": (lambda m, x: m.nan_to_num(x, nan=2.0, posinf=3.0), np.array([np.inf, -np.inf, 1.0, np.nan])),
    "unwrap": (lambda m, x: m.unwrap(x, axis=-1), ROW * 6, "g"),
    "around": (lambda m, x: m.around(x, 1), F * 10),
    "packbits": (lambda m, x: m.packbits(x, axis=1), BITS),
    "packbits flat": (lambda m, x: m.packbits(x, bitorder="little"), BITS),
    "unpackbits": (lambda m, x: m.unpackbits(x, axis=0, count=13), BITS * 37),
    "float_power": (lambda m, x: m.float_power(x, 3), I),
    # missing values
    "nansum": (lambda m, x: m.nansum(x, axis=1), HOLES, "g"),
    "nanprod": (lambda m, x: m.nanprod(x, axis=(0, 2)), HOLES, "g"),
    "nanmean": (lambda m, x: m.nanmean(x, axis=(0, 2), keepdims=True), HOLES, "g"),
    "nanvar": (lambda m, x: m.nanvar(x, axis=-1, **{"ddof" if m is np else "correction": 1}), FULL, "g"),
    "nanstd": (lambda m, x: m.nanstd(x), HOLES, "g"),
    "nanmax": (lambda m, x: m.nanmax(x, axis=2), FULL),
    "nanmax slopes": (lambda m, x: m.nanmax(x, axis=(0, 1)), HOLES, "g"),  # no ties
    "nanmin": (lambda m, x: m.nanmin(x), HOLES, "g"),
    "nanargmax": (lambda m, x: m.nanargmax(x, axis=1), FULL),
    "nanargmin": (lambda m, x: m.nanargmin(x, axis=-1, keepdims=True), FULL),
    "nanargmin flat": (lambda m, x: m.nanargmin(x), FULL),
    "nancumsum": (lambda m, x: m.nancumsum(x, axis=1), HOLES, "g"),
    "nancumprod": (lambda m, x: m.nancumprod(x), HOLES),
    "nanmedian": (lambda m, x: m.nanmedian(x, axis=(0, 1)), FULL, "g"),
    "nanquantile": (lambda m, x: m.nanquantile(x, np.array([0.0, 0.3, 1.0]) if m is np else el.asarray([0.0, 0.3, 1.0], dtype=el.float64), axis=1), FULL, "g"),
    "nanpercentile": (lambda m, x: m.nanpercentile(x, 40, keepdims=True), HOLES),
    # quantiles
    "median": (lambda m, x: m.median(x, axis=-1), CUBE, "g"),
    "median all": (lambda m, x: m.median(x), CUBE, "g"),
    "median odd": (lambda m, x: m.median(x, axis=(0, 1), keepdims=True), CUBE[:1], "g"),
    "median nan": (lambda m, x: m.median(x, axis=0), HOLES[:, :, 0]),
    "median int": (lambda m, x: m.median(x, axis=0), I),
    "quantile": (lambda m, x: m.quantile(x, 0.3, axis=1), CUBE, "g"),
    "percentile": (lambda m, x: m.percentile(x, 75, axis=(0, 2)), CUBE, "g"),
    **{
        f"quantile {method}": (lambda m, x, method=method: m.quantile(x, 0.37, axis=0, method=method), SQUARE)
        for method in ("lower", "higher", "nearest", "midpoint", "hazen", "weibull", "median_unbiased",
                       "normal_unbiased", "interpolated_inverted_cdf")
    },
    # statistics
    "average": (lambda m, x, w: m.average(x, axis=1, weights=w), CUBE, P[:, 0], "g"),
    "average returned": (lambda m, x: m.average(x, axis=1, returned=True), CUBE),
    "ptp": (lambda m, x: m.ptp(x, axis=1), CUBE, "g"),
    "cov": (lambda m, x: m.cov(x), F, "g"),
    "cov y": (lambda m, x, y: m.cov(x, y, rowvar=False, bias=True), F, G, "g"),
    "cov weights": (lambda m, x, f, a: m.cov(x, fweights=f, aweights=a), F, J[0], P[0], "g"),
    "cov 1-D": (lambda m, x: m.cov(x), ROW),
    "corrcoef": (lambda m, x: m.corrcoef(x), F, "g"),
    "digitize": (lambda m, x, b: m.digitize(x, b), F, UP),
    "digitize right": (lambda m, x, b: m.digitize(x, b, right=True), N.astype(np.float32), np.array([1, 2, 3], np.float32)),
    "histogram": (lambda m, x: m.histogram(x, bins=5), F),
    "histogram range": (lambda m, x, w: m.histogram(x, bins=7, range=(-1.0, 1.0), weights=w), F, P),
    "histogram edges": (lambda m, x, e: m.histogram(x, bins=e, density=True), F, UP),
    "histogram2d": (lambda m, x, y: m.histogram2d(x, y, bins=(3, 4)), F[0], G[0]),
    "histogramdd": (lambda m, x: m.histogramdd(x, bins=3, density=True), F),
    "cumsum": (lambda m, x: m.cumsum(x), F, "g"),
    "cumprod": (lambda m, x: m.cumprod(x, axis=1), F, "g"),
    # shapes
    "hstack": (lambda m, x, y: m.hstack([x, y]), F, G, "g"),
    "vstack": (lambda m, x, y: m.vstack([x, y]), F[0], G[0], "g"),
    "dstack": (lambda m, x, y: m.dstack([x, y]), F, G),
    "column_stack": (lambda m, x, y: m.column_stack([x, y]), F[0], G.T),
    "block": (lambda m, x, y: m.block([[x, y], [y, x]]), F, G, "g"),
    "block 1-D": (lambda m, x, y: m.block([x, y]), ROW, UP),
    "atleast_1d": (lambda m, x: m.atleast_1d(x), np.float32(3.0)),
    "atleast_2d": (lambda m, x: m.atleast_2d(x), ROW),
    "atleast_3d": (lambda m, x, y: m.atleast_3d(x, y), ROW, F),
    "swapaxes": (lambda m, x: m.swapaxes(x, 0, -1), CUBE, "g"),
    "ravel": (lambda m, x: m.ravel(x), CUBE, "g"),
    "fliplr": (lambda m, x: m.fliplr(x), CUBE),
    "flipud": (lambda m, x: m.flipud(x), CUBE),
    **{f"rot90 {k}": (lambda m, x, k=k: m.rot90(x, k, axes=(0, 2)), CUBE) for k in (-1, 0, 1, 2, 3)},
    "array_split": (lambda m, x: m.array_split(x, 4, axis=0), ROW),
    "array_split at": (lambda m, x: m.array_split(x, [2, 5, 20], axis=0), ROW),
    "hsplit": (lambda m, x: m.hsplit(x, 2), F),
    "vsplit": (lambda m, x: m.vsplit(x, [1]), F),
    "dsplit": (lambda m, x: m.dsplit(x, 2), CUBE),
    "append": (lambda m, x, y: m.append(x, y, axis=0), F, G, "g"),
    "append flat": (lambda m, x, y: m.append(x, y), F, G),
    "delete": (lambda m, x: m.delete(x, [0, -1], axis=1), F, "g"),
    "delete slice": (lambda m, x: m.delete(x, slice(1, None, 2)), ROW),
    "insert": (lambda m, x: m.insert(x, 1, 5.0, axis=1), F, "g"),
    "insert several": (lambda m, x, y: m.insert(x, [1, 1, 4], y, axis=0), ROW, UP[:3], "g"),
    "insert row": (lambda m, x, y: m.insert(x, 2, y, axis=1), F, P[:, 0]),
    "resize": (lambda m, x: m.resize(x, (3, 5)), ROW),
    "diag": (lambda m, x: m.diag(x, 1), SQUARE, "g"),
    "diag make": (lambda m, x: m.diag(x, -2), ROW, "g"),
    "diagflat": (lambda m, x: m.diagflat(x, 1), F),
    "diagonal": (lambda m, x: m.diagonal(x, 1, 0, 2), CUBE, "g"),
    "trace": (lambda m, x: m.trace(x, 0, 1, 2), CUBE, "g"),
    "apply_over_axes": (lambda m, x: m.apply_over_axes(m.sum, x, (0, 2)), CUBE),
    "sliding_window_view": (lambda m, x: (np.lib.stride_tricks if m is np else m).sliding_window_view(x, (2, 3)), SQUARE, "g"),
    "sliding_window_view axis": (lambda m, x: (np.lib.stride_tricks if m is np else m).sliding_window_view(x, 2, axis=1), CUBE),
    # picking
    "choose": (lambda m, i, x, y: m.choose(i, [x, y]), I % 2, F, G, "g"),
    "choose wrap": (lambda m, i, x, y: m.choose(i, [x, y], mode="wrap"), I, F, G),
    "select": (lambda m, x, y: m.select([x > 1, x > 0], [y, x * 2], -1.0), F, G, "g"),
    "piecewise": (lambda m, x: m.piecewise(x, [x < 0, x > 1], [lambda v: v * v, lambda v: -v, 3.0]), F, "g"),
    "unravel_index": (lambda m, x: m.unravel_index(x, (5, 3)), N),
    "ravel_multi_index": (lambda m, x: m.ravel_multi_index((x, x), (9, 8)), N),
    "ravel_multi_index wrap": (lambda m, x: m.ravel_multi_index((x, x), (2, 3), mode="wrap"), N),
    "argpartition": (lambda m, x: m.sort(m.argpartition(x, 3)), ROW),
    "lexsort": (lambda m, x, y: m.lexsort((x, y)), N, N[::-1].copy()),
    "lexsort axis": (lambda m, x, y: m.lexsort((x, y), axis=0), I, J),
    # numeric
    "kron": (lambda m, x, y: m.kron(x, y), F, G[0], "g"),
    "kron 3-D": (lambda m, x, y: m.kron(x, y), CUBE, F),
    "inner": (lambda m, x, y: m.inner(x, y), CUBE, F, "g"),
    "vdot": (lambda m, x, y: m.vdot(x, y), F, G, "g"),
    "cross": (lambda m, x, y: m.cross(x, y), F[:, :3], G[:, :3], "g"),
    "cross axis": (lambda m, x, y: m.cross(x, y, axis=0), F, G),
    **{
        f"{name} {mode} {turn}": (lambda m, x, y, name=name, mode=mode: getattr(m, name)(x, y, mode=mode),
                                  *((ROW, UP)[::turn]), "g")
        for name in ("convolve", "correlate") for mode in ("full", "same", "valid") for turn in (1, -1)
    },
    "convolve int": (lambda m, x, y: m.convolve(x, y), N, I[0]),
    "polyval": (lambda m, p, x: m.polyval(p, x), UP, F, "g"),
    "polyadd": (lambda m, p, q: m.polyadd(p, q), UP, ROW),
    "polymul": (lambda m, p, q: m.polymul(p, q), UP, ROW),
    "polyder": (lambda m, p: m.polyder(p, 2), UP),
    "polyint": (lambda m, p: m.polyint(p, 2), UP),
    "vander": (lambda m, x: m.vander(x, 4), UP, "g"),
    "vander increasing": (lambda m, x: m.vander(x, increasing=True), N),
    "interp": (lambda m, x, p, f: m.interp(x, p, f), F, UP, ROW[:6], "g"),
    "interp ends": (lambda m, x, p, f: m.interp(x, p, f, left=-7.0, right=9.0), F * 2, UP, ROW[:6]),
    "interp period": (lambda m, x, p, f: m.interp(x, p, f, period=2.5), F, UP, ROW[:6]),
    "gradient": (lambda m, x: m.gradient(x), SQUARE, "g"),
    "gradient axis": (lambda m, x: m.gradient(x, 0.5, axis=1, edge_order=2), SQUARE, "g"),
    "gradient places": (lambda m, x, p: m.gradient(x, p, edge_order=2), ROW[:6], UP, "g"),
    "trapezoid": (lambda m, x: m.trapezoid(x, dx=0.5, axis=0), F, "g"),
    "trapezoid x": (lambda m, y, x: m.trapezoid(y, x), ROW[:6], UP, "g"),
    "ediff1d": (lambda m, x: m.ediff1d(x, to_begin=1.0, to_end=[2.0, 3.0]), F, "g"),
    # padding
    **{
        f"pad {mode}": (lambda m, x, mode=mode: m.pad(x, ((2, 1), (0, 3)), mode), SQUARE, "g")
        for mode in ("constant", "edge", "reflect", "symmetric", "wrap", "linear_ramp", "maximum", "mean",
                     "median", "minimum")
    },
    **{f"pad far {mode}": (lambda m, x, mode=mode: m.pad(x, 11, mode), UP[:4]) for mode in ("reflect", "symmetric", "wrap")},
    **{
        f"pad odd {mode}": (lambda m, x, mode=mode: m.pad(x, (3, 2), mode, reflect_type="odd"), UP, "g")
        for mode in ("reflect", "symmetric")
    },
    "pad values": (lambda m, x: m.pad(x, 1, constant_values=((1.0, 2.0), (3.0, 4.0))), F),
    "pad stat": (lambda m, x: m.pad(x, (2,), "mean", stat_length=((1, 2), (2, 1))), SQUARE),
    "pad ramp": (lambda m, x: m.pad(x, (2, 3), "linear_ramp", end_values=(-1.0, 5.0)), ROW),
    "pad ramp int": (lambda m, x: m.pad(x, (2, 3), "linear_ramp", end_values=(-4, 9)), N),
    "pad mean int": (lambda m, x: m.pad(x, (2, 3), "mean"), N),
}  # fmt: skip


def parts(name):
    function, *args = ROWS[name]
    has_gradient = bool(args) and isinstance(args[-1], str)
    return function, args[:-1] if has_gradient else args, has_gradient


@pytest.mark.parametrize("name", ROWS)
def test_values_and_bits(name):
    function, args, _ = parts(name)
    with np.errstate(all="ignore"):
        expected = function(np, *args)
    eager = check_jit(lambda *xs: function(el, *xs), args)
    same(eager, expected, 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ROWS if parts(name)[2]])
def test_two_derivatives(name):
    function, args, _ = parts(name)
    check_gradient(lambda *xs: function(el, *xs), args)
