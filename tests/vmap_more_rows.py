"""Further public functions that vmap is tested on: NumPy's, special functions, linear algebra."""

import numpy as np

import elinvar as el
from tests.vmap_rows import (
    COUNTS,
    CUBE,
    POSITIVE,
    ROW,
    WHOLE,
    B,
    X,
    Y,
    named,
    normal,
    ordered,
    unit,
    whole,
)

SQUARE = normal(3, 3)


def holed(*shape):
    """Numbers with NaN among them."""

    def make(rng):
        found = rng.standard_normal(shape).astype(np.float32)
        found[rng.random(shape) < 0.3] = np.nan
        return found

    return make


def definite(n):
    """A symmetric matrix with positive eigenvalues."""

    def make(rng):
        a = rng.standard_normal((n, n)).astype(np.float32)
        return a @ a.T + n * np.eye(n, dtype=np.float32)

    return make


def lower(n):
    return lambda rng: np.tril(rng.standard_normal((n, n)) + 3 * np.eye(n)).astype(np.float32)


NUMPY = {
    **named(
        el,
        "around atleast_3d cbrt deg2rad exp2 fliplr flipud isneginf isposinf isreal median nan_to_num "
        "ptp rad2deg ravel rot90 sinc average cov corrcoef",
        X,
    ),
    **named(el, "cummax cummin cumprod cumsum logcumsumexp nancumsum nancumprod", X, axis=1),
    **named(el, "atleast_1d atleast_2d diagflat ediff1d vander trapezoid unwrap", ROW),
    **named(el, "diag", X),
    **named(
        el, "nansum nanmean nanmax nanmin nanprod nanstd nanvar nanmedian", holed(3, 4), axis=0
    ),
    **named(
        el, "fmax fmin heaviside logaddexp2 append kron vdot inner",
        X, Y,
    ),
    **named(el, "fmod float_power", POSITIVE, POSITIVE),
    **named(el, "gcd lcm", WHOLE, COUNTS),
    **named(el, "convolve correlate", ROW, normal(3)),
    **named(el, "polyadd polymul polyval", ROW, normal(3)),
    **named(el, "polyder polyint", ROW),
    **{
        name: (lambda x, y, name=name: getattr(el, name)([x, y]), (X, Y))
        for name in ("column_stack", "hstack", "vstack", "dstack")
    },
    "divmod": (lambda x, y: tuple(el.divmod(x, y)), (X, POSITIVE)),
    "modf": (lambda x: tuple(el.modf(x)), (X,)),
    "frexp": (lambda x: tuple(el.frexp(x)), (X,)),
    "ldexp": (el.ldexp, (X, whole(3, 4, low=-3, high=3))),
    "quantile": (lambda x: el.quantile(x, 0.3, axis=1), (X,)),
    "percentile": (lambda x: el.percentile(x, 30.0, axis=0), (X,)),
    "digitize": (el.digitize, (X, ordered(5))),
    "interp": (el.interp, (X, ordered(5), normal(5))),
    "gradient": (lambda x: el.gradient(x), (ROW,)),
    "swapaxes": (lambda x: el.swapaxes(x, 0, 2), (CUBE,)),
    "array_split": (lambda x: tuple(el.array_split(x, 2, axis=0)), (X,)),
    "partition": (lambda x: el.sort(el.partition(x, 1)[:, :2]), (X,)),
    "put_along_axis": (
        lambda x, i, u: el.put_along_axis(x, i, u, axis=1, inplace=False),
        (X, whole(3, 1, low=0, high=4), normal(3, 1)),
    ),
    "select": (lambda b, x, y: el.select([b, x > 0], [x, y], 0.0), (B, X, Y)),
    "choose": (lambda i, x, y: el.choose(i, [x, y]), (whole(3, 4, low=0, high=2), X, Y)),
    "segment_sum": (
        lambda x, i: el.segment_sum(x, i, num_segments=4), (X, whole(3, low=0, high=4)),
    ),
    "segment_max": (
        lambda x, i: el.segment_max(x, i, num_segments=4), (X, whole(3, low=0, high=4)),
    ),
    "sliding_window_view": (lambda x: el.sliding_window_view(x, 2, axis=1), (X,)),
    "triangles": (lambda x: x * el.tri(3, 4), (X,)),
    "insert": (lambda x: el.insert(x, 1, 5.0, axis=1), (X,)),
    "delete": (lambda x: el.delete(x, 1, axis=1), (X,)),
    "block": (lambda x, y: el.block([[x, y], [y, x]]), (X, Y)),
    "array_equal": (lambda x, y: el.equal(x, y).all(), (X, X)),
    "map": (lambda x: el.map(lambda row: (row * row).sum(), x), (X,)),
    "switch": (
        lambda i, x: el.switch(i, [el.sin, lambda v: v * 2, el.negative], x),
        (whole(low=0, high=3), X),
    ),
    "associative_scan": (lambda x: el.associative_scan(el.multiply, x), (X,)),
}  # fmt: skip

SPECIAL = {
    **named(
        el.special,
        "digamma erfc erfcx exp1 expi expit gamma gammaln i0 i0e i1 i1e lgamma log_expit log_ndtr "
        "ndtr psi spence entr factorial",
        POSITIVE,
    ),
    **named(el.special, "erfcinv logit ndtri", unit(3, 4)),
    **named(
        el.special, "beta betaln gammainc gammaincc poch xlogy xlog1py rel_entr", POSITIVE, POSITIVE
    ),
    "betainc": (
        lambda a, b, x: el.special.betainc(el.stop_gradient(a), el.stop_gradient(b), x),
        (POSITIVE, POSITIVE, unit(3, 4)),
    ),
    "polygamma": (lambda x: el.special.polygamma(1, x), (POSITIVE,)),
    "zeta": (lambda x, q: el.special.zeta(x + 1.5, q), (POSITIVE, POSITIVE)),
}

LINEAR = {
    "cholesky": (el.linalg.cholesky, (definite(3),)),
    "det": (el.linalg.det, (SQUARE,)),
    "slogdet": (lambda x: tuple(el.linalg.slogdet(x)), (SQUARE,)),
    "inv": (el.linalg.inv, (SQUARE,)),
    "solve": (el.linalg.solve, (SQUARE, normal(3, 2))),
    "solve_triangular": (
        lambda a, b: el.linalg.solve_triangular(a, b, upper=False), (lower(3), normal(3, 2)),
    ),
    "qr": (lambda x: tuple(el.linalg.qr(x)), (normal(4, 3),)),
    "lu": (lambda x: tuple(el.linalg.lu(x)), (SQUARE,)),
    "eigh": (lambda x: el.linalg.eigh(x)[0], (definite(3),)),
    "eigvalsh": (el.linalg.eigvalsh, (definite(3),)),
    "svdvals": (el.linalg.svdvals, (normal(4, 3),)),
    "pinv": (el.linalg.pinv, (normal(4, 3),)),
    "matrix_exp": (el.linalg.matrix_exp, (SQUARE,)),
    "multi_dot": (
        lambda x, y, z: el.linalg.multi_dot([x, y, z]), (X, normal(4, 5), normal(5, 2)),
    ),
    "norm": (el.linalg.norm, (X,)),
}  # fmt: skip
MORE_ROWS = {**NUMPY, **SPECIAL, **LINEAR}
