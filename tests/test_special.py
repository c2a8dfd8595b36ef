"""Special functions: errors against mpmath, float32, edges against SciPy, two derivatives, bits."""

import mpmath as mp
import numpy as np
import pytest
import scipy.special as scipy_special

import elinvar as el
from elinvar.core import errors
from tests.extras import bits, check_gradient

pytestmark = pytest.mark.slow  # many programs to compile

RNG = np.random.default_rng(3)
COUNT = 60


def even(low, high, count=COUNT):
    return RNG.uniform(low, high, count)


def spread(low, high, count=COUNT):
    return np.exp(RNG.uniform(np.log(low), np.log(high), count))


def around(center, width, count=COUNT):
    return center + spread(1e-12, width, count) * RNG.choice([-1, 1], count)


def log_gamma(x):
    return mp.log(abs(mp.gamma(x)))


def normal(x):
    return mp.erfc(-x / mp.sqrt(2)) / 2


def log_normal(x):
    return mp.log1p(-normal(-x)) if x > 0 else mp.log(normal(x))


def quantile(p):
    return mp.findroot(lambda z: mp.log(normal(z)) - mp.log(p), float(scipy_special.ndtri(float(p))))


def gamma_share(a, x):
    return mp.gammainc(a, 0, x, regularized=True)


def gamma_rest(a, x):
    return mp.gammainc(a, x, mp.inf, regularized=True)


def beta_share(a, b, x):
    return mp.betainc(a, b, 0, x, regularized=True)


def airy(x):
    return mp.airyai(x)


def exponential(n, x):
    return mp.exp(-x) * mp.hyperu(1, 2 - n, x)


def owens(h, a):
    """In pieces as wide as the integrand's own scale, as far as it is not negligible."""
    top = min(a, 30 / max(h, mp.mpf("0.01")))
    return mp.quad(lambda t: mp.exp(-h * h * (1 + t * t) / 2) / (1 + t * t), mp.linspace(0, top, 12)) / (2 * mp.pi)


def beta_log(a, b):
    return mp.log(abs(mp.beta(a, b)))


SHAPES = spread(0.05, 100)
TWO = spread(0.1, 50), spread(0.1, 50)

# function, in mpmath, operands, units in the last place of float64 (docs/special.md states them)
ROWS = {
    "gammaln": ("gammaln", log_gamma, (np.concatenate([even(0, 3), around(1, 0.1), around(2, 0.1), spread(3, 1e300)]),), 4),
    "gammaln negative": ("gammaln", log_gamma, (-spread(1e-10, 1.9),), 4),
    "gamma": ("gamma", mp.gamma, (np.concatenate([even(0, 171), -even(0, 170)]),), 8),
    "digamma": ("digamma", lambda x: mp.psi(0, x), (np.concatenate([even(0, 20), around(1.4616321449683622, 0.1), spread(1e-300, 1e300)]),), 4),
    "polygamma 1": (lambda x: el.special.polygamma(1, x), lambda x: mp.psi(1, x), (np.concatenate([spread(1e-3, 1e4), -even(0, 10)]),), 5),
    "polygamma 4": (lambda x: el.special.polygamma(4, x), lambda x: mp.psi(4, x), (spread(1e-3, 1e4),), 8),
    "zeta": ("zeta", mp.zeta, (1 + spread(1e-6, 20), spread(0.01, 100)), 8),
    "betaln": ("betaln", lambda a, b: mp.log(mp.beta(a, b)), (spread(1e-3, 0.9), spread(1e-3, 0.9)), 8),
    "beta": ("beta", mp.beta, TWO, 300),
    "binom": ("binom", mp.binomial, (even(30, 50).round(), even(0, 30).round()), 8),
    "multigammaln": (lambda x: el.special.multigammaln(x, 3), lambda x: mp.log(mp.pi) * 1.5 + sum(log_gamma(x - j / mp.mpf(2)) for j in range(3)), (even(3, 50),), 5),
    "factorial": ("factorial", mp.factorial, (even(0, 170).round(),), 6),
    "erf": ("erf", mp.erf, (even(-6, 6),), 2),
    "erfc": ("erfc", mp.erfc, (even(-6, 26),), 5),
    "erfcx": ("erfcx", lambda x: mp.exp(x * x) * mp.erfc(x), (np.concatenate([even(-26, 30), spread(1e-5, 100)]),), 6),
    "erfinv": ("erfinv", mp.erfinv, (even(-1, 1),), 4),
    "erfcinv": ("erfcinv", lambda x: -quantile(x / 2) / mp.sqrt(2), (spread(1e-300, 0.9),), 5),
    "ndtr": ("ndtr", normal, (even(-38, 8),), 5),
    "log_ndtr": ("log_ndtr", log_normal, (np.concatenate([even(-40, 20), even(-3, 3)]),), 5),
    "ndtri": ("ndtri", quantile, (np.concatenate([spread(1e-300, 0.5), even(0.001, 0.45), even(0.55, 0.999)]),), 5),
    "i0": ("i0", lambda x: mp.besseli(0, x), (even(-30, 700),), 6),
    "i0e": ("i0e", lambda x: mp.besseli(0, x) * mp.exp(-abs(x)), (even(-30, 60),), 4),
    "i1": ("i1", lambda x: mp.besseli(1, x), (spread(1e-8, 700),), 8),
    "i1e": ("i1e", lambda x: mp.besseli(1, x) * mp.exp(-abs(x)), (even(-30, 60),), 8),
    "exp1": ("exp1", mp.e1, (spread(1e-10, 700),), 4),
    "expi": ("expi", mp.ei, (np.concatenate([spread(1e-10, 700), -spread(1e-10, 100), even(0, 3)]),), 6),
    "spence": ("spence", lambda x: mp.polylog(2, 1 - x), (np.concatenate([even(0, 10), spread(1e-10, 1e10)]),), 4),
    "gammainc": ("gammainc", gamma_share, (SHAPES, SHAPES * spread(0.3, 2)), 150),
    "gammaincc": ("gammaincc", gamma_rest, (SHAPES, SHAPES * spread(0.3, 2)), 150),
    "gammaincc small": ("gammaincc", gamma_rest, (spread(1e-6, 1), spread(1e-6, 2)), 40),
    "betainc": ("betainc", beta_share, (*TWO, even(0.05, 0.95)), 150),
    "expit": ("expit", lambda x: 1 / (1 + mp.exp(-x)), (even(-700, 50),), 3),
    "log_expit": ("log_expit", lambda x: -mp.log1p(mp.exp(-x)), (even(-50, 50),), 3),
    "logit": ("logit", lambda p: mp.log(p / (1 - p)), (even(0, 1),), 3),
    "xlogy": ("xlogy", lambda x, y: x * mp.log(y), (even(-5, 5), spread(0.01, 50)), 3),
    "xlog1py": ("xlog1py", lambda x, y: x * mp.log1p(y), (even(-5, 5), spread(1e-9, 50)), 3),
    "entr": ("entr", lambda x: -x * mp.log(x), (spread(1e-5, 10),), 3),
    "rel_entr": ("rel_entr", lambda x, y: x * mp.log(x / y), (spread(0.01, 10), spread(0.01, 10)), 4),
    "softplus": ("softplus", lambda x: mp.log1p(mp.exp(x)), (even(-50, 50),), 3),
    "kl_div": ("kl_div", lambda x, y: x * mp.log(x / y) - x + y, (NEAR := spread(0.01, 10), NEAR * around(1, 0.5)), 8),
    "zeta negative": ("zeta", mp.zeta, (even(2, 9).round(), -even(0.01, 40)), 30),
    "betaln negative": ("betaln", beta_log, (-even(1, 190).round() / 64 - 1 / 256, -even(200, 320).round() / 64 - 1 / 128), 200),
    "beta negative": ("beta", mp.beta, (-even(0.1, 3), even(0.1, 20)), 300),
    "poch": ("poch", mp.rf, (even(-320, 320).round() / 16 + 1 / 64, even(-320, 320).round() / 16), 100),
    "j0": ("j0", lambda x: mp.besselj(0, x), (np.concatenate([even(-8, 8), around(2.404825557695773, 0.1), spread(1e-9, 1)]),), 8),
    "j1": ("j1", lambda x: mp.besselj(1, x), (np.concatenate([even(-8, 8), around(3.8317059702075125, 0.1), spread(1e-9, 1)]),), 8),
    "k0": ("k0", lambda x: mp.besselk(0, x), (np.concatenate([spread(1e-300, 700), even(0, 3)]),), 5),
    "k1": ("k1", lambda x: mp.besselk(1, x), (np.concatenate([spread(1e-300, 700), even(0, 3)]),), 5),
    "k0e": ("k0e", lambda x: mp.besselk(0, x) * mp.exp(x), (np.concatenate([spread(1e-300, 1e4), even(0, 3)]),), 5),
    "k1e": ("k1e", lambda x: mp.besselk(1, x) * mp.exp(x), (np.concatenate([spread(1e-300, 1e4), even(0, 3)]),), 5),
    "spherical_bessel_j0": ("spherical_bessel_j0", lambda x: mp.sin(x) / x, (np.concatenate([spread(1e-9, 1e4), even(-30, 30)]),), 3),
    "airy_ai": ("airy_ai", airy, (np.concatenate([even(-2, 5), even(5, 100)]),), 8),
    "expn": ("expn", exponential, (np.arange(60.0), np.concatenate([spread(1e-8, 1, 30), spread(1, 600, 30)])), 40),
    "dawsn": ("dawsn", lambda x: mp.sqrt(mp.pi) / 2 * mp.exp(-x * x) * mp.erfi(x), (np.concatenate([even(-8, 8), spread(1e-9, 40)]),), 6),
    "sici": (lambda x: el.special.sici(x)[0], mp.si, (np.concatenate([even(-20, 20), spread(1e-9, 1e4)]),), 4),
    "fresnel S": (lambda x: el.special.fresnel(x)[0], mp.fresnels, (np.concatenate([even(-5, 5), spread(1e-9, 1e3)]),), 6),
    "fresnel C": (lambda x: el.special.fresnel(x)[1], mp.fresnelc, (np.concatenate([even(-5, 5), spread(1e-9, 1e3)]),), 6),
    "owens_t": ("owens_t", owens, (spread(1e-3, 30, 20), np.concatenate([even(0, 1, 10), spread(1, 30, 10)])), 40),
    "boxcox": ("boxcox", lambda x, p: (x**p - 1) / p, (spread(1e-3, 1e3), spread(1e-9, 5) * RNG.choice([-1, 1], COUNT)), 5),
    "boxcox1p": ("boxcox1p", lambda x, p: ((1 + x) ** p - 1) / p, (spread(1e-6, 1e3), spread(1e-9, 5) * RNG.choice([-1, 1], COUNT)), 5),
}  # fmt: skip


# several loops or many powers: compiling them takes seconds
HEAVY = {"beta", "betaln", "betainc", "binom", "expi", "factorial", "gammainc", "gammaincc", "gammaincc small", "zeta"}


def rows():
    return [pytest.param(name, marks=pytest.mark.slow) if name in HEAVY else name for name in ROWS]


def called(name, *xs):
    function = ROWS[name][0]
    return (getattr(el.special, function) if isinstance(function, str) else function)(*xs)


def exact_values(name, xs):
    with mp.workdps(50):
        rows = zip(*xs, strict=True)
        return [mp.mpf(mp.re(ROWS[name][1](*(mp.mpf(float(v)) for v in row)))) for row in rows]


@pytest.mark.any_level
@pytest.mark.parametrize("name", rows())
def test_errors_in_float64(name):
    """At most the stated number of units in the last place."""
    _, _, xs, limit = ROWS[name]
    found = np.asarray(called(name, *map(el.asarray, xs)))
    for row in zip(found, exact_values(name, xs), *xs, strict=True):
        value, exact = row[:2]
        unit = np.spacing(max(abs(float(exact)), 2.3e-308))
        assert abs(mp.mpf(float(value)) - exact) <= limit * unit, row


# of waves the errors are those of their envelope: function, in mpmath, envelope, operands, limit
WAVES = {
    "j0": ("j0", lambda x: mp.besselj(0, x), lambda x: np.sqrt(2 / np.pi / x), spread(8, 1e6), 4),
    "j1": ("j1", lambda x: mp.besselj(1, x), lambda x: np.sqrt(2 / np.pi / x), spread(8, 1e6), 4),
    "y0": ("y0", lambda x: mp.bessely(0, x), lambda x: min(0.4, np.sqrt(2 / np.pi / x)), np.concatenate([spread(1e-9, 8), spread(8, 1e6)]), 20),
    "y1": ("y1", lambda x: mp.bessely(1, x), lambda x: min(0.4, np.sqrt(2 / np.pi / x)), np.concatenate([spread(1e-9, 8), spread(8, 1e6)]), 20),
    "airy_ai": ("airy_ai", airy, lambda x: abs(x) ** -0.25 / np.sqrt(np.pi), np.concatenate([-even(1, 10), -spread(10, 1000)]), 5),
    "cosine integral": (lambda x: el.special.sici(x)[1], mp.ci, lambda x: min(0.5, 1 / x), np.concatenate([even(0, 20), spread(1e-9, 1e4)]), 30),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", WAVES)
def test_errors_of_waves(name):
    function, exact, envelope, x, limit = WAVES[name]
    function = getattr(el.special, function) if isinstance(function, str) else function
    with mp.workdps(50):
        for value, place in zip(np.asarray(function(el.asarray(x))), map(float, x), strict=True):
            right = exact(mp.mpf(place))
            unit = np.spacing(max(abs(float(right)), envelope(place)))
            assert abs(mp.mpf(float(value)) - right) <= limit * unit, place


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in el.special.__all__ if "polynomial" in name])
def test_polynomials(name):
    """Against PyTorch, for a degree and for degrees; derivatives; eager = jit."""
    torch = pytest.importorskip("torch")
    function, other, x = getattr(el.special, name), getattr(torch.special, name), np.linspace(-1.4, 1.4, 7)
    for n in (-1, 0, 1, 2, 6, 11):
        np.testing.assert_allclose(function(el.asarray(x), n), other(torch.tensor(x), n), rtol=1e-9, atol=1e-11)
    degrees = np.array([0, 1, 2, 3, 9, 4, -2])
    found = function(el.asarray(x), el.asarray(degrees))
    np.testing.assert_allclose(found, other(torch.tensor(x), torch.tensor(degrees)), rtol=1e-9, atol=1e-11)
    assert bits(found) == bits(el.stack([function(v, int(n)) for v, n in zip(el.asarray(x), degrees, strict=True)]))
    assert bits(el.jit(lambda v: function(v, 6))(el.asarray(x))) == bits(function(el.asarray(x), 6))
    check_gradient(lambda v: function(v, 5), (x / 2,))
    _, pushed = el.jvp(lambda v: function(v, el.asarray(np.full(7, 5))), (el.asarray(x),), (el.ones(7, dtype="float64"),))
    np.testing.assert_allclose(pushed, el.grad(lambda v: function(v, 5).sum())(el.asarray(x)), rtol=1e-12)


@pytest.mark.slow
def test_orders_of_polygamma_in_a_tensor():
    n, x = np.array([0, 1, 2, 3, 5, -1, 2]), np.array([0.3, 1.5, 2.5, 0.7, -1.3, 1.0, -2.0])
    found = np.asarray(el.special.polygamma(el.asarray(n), el.asarray(x)))
    np.testing.assert_allclose(found[:5], scipy_special.polygamma(n[:4], x[:4]).tolist() + [float(mp.psi(5, -1.3))], rtol=1e-12)
    assert np.isnan(found[5]) and found[6] == -np.inf
    check_gradient(lambda v: el.special.polygamma(el.asarray(n[:5]), v), (x[:5],))
    assert el.special.polygamma(el.asarray(1.5), 1.0).isnan().item()


@pytest.mark.slow
@pytest.mark.parametrize("name", rows())
def test_float32_is_rounded_once(name):
    """Half a unit, and what float64 may add where its own error is large."""
    with np.errstate(over="ignore"):
        xs = [x.astype(np.float32) for x in ROWS[name][2]]
    found = np.asarray(called(name, *map(el.asarray, xs)))
    assert found.dtype == np.float32
    with np.errstate(over="ignore"):
        single = [np.asarray(x, np.float64) for x in xs]
    wide = np.asarray(called(name, *map(el.asarray, single)))
    with np.errstate(over="ignore"):
        direct = name in ("erf", "erfinv", "multigammaln")  # have formulas of their own for float32
        if direct:
            np.testing.assert_allclose(found, wide.astype(np.float32), rtol=4e-7)
        else:
            np.testing.assert_array_equal(found, wide.astype(np.float32))


@pytest.mark.slow
@pytest.mark.parametrize("name", rows())
def test_the_same_bits(name):
    """Eager, compiled, alone and in a batch, in 16 bits and for no element at all."""
    xs = [el.asarray(x) for x in ROWS[name][2]]
    eager = called(name, *xs)
    assert bits(el.jit(lambda *v: called(name, *v))(*xs)) == bits(eager)
    alone = called(name, *(x[7:8] for x in xs))
    assert bits(alone) == bits(eager[7:8])
    halves = called(name, *(x.astype(el.bfloat16) for x in xs))
    assert halves.dtype is el.bfloat16
    assert called(name, *(x[:0] for x in xs)).shape == (0,)


NAN, INF = np.nan, np.inf
EDGES = {
    "gammaln": [0.0, -0.0, -1.0, -2.0, 1.0, 2.0, INF, NAN, 1e308, 1e-300],
    "gamma": [0.0, -0.0, 1.0, 171.7, 180.0, INF, NAN, -180.5, 1e-308],
    "digamma": [0.0, -0.0, -1.0, INF, NAN, -INF, 1.0],
    "erfc": [INF, -INF, NAN, 0.0, 30.0, -30.0, 26.5],
    "erfcx": [INF, NAN, 0.0, 1e200, -27.0, -INF],
    "erfcinv": [0.0, 2.0, 1.0, -0.5, 2.5, NAN],
    "ndtr": [INF, -INF, NAN, 0.0, -39.0],
    "log_ndtr": [INF, -INF, NAN, 0.0, -1e200, 40.0],
    "ndtri": [0.0, 1.0, 0.5, -0.1, 1.1, NAN, 5e-324],
    "i0": [0.0, NAN, 800.0], "i0e": [0.0, INF, -INF, NAN, 1e308],
    "i1": [0.0, -0.0, NAN, 800.0, -800.0], "i1e": [0.0, INF, NAN, 1e308],
    "exp1": [0.0, INF, NAN, 1e-300], "expi": [0.0, INF, -INF, NAN, 1e-300],
    "spence": [0.0, 1.0, NAN, -1.0, 2.0],
    "expit": [INF, -INF, NAN, -700.0, 800.0], "log_expit": [INF, -INF, NAN, -1e10],
    "logit": [0.0, 1.0, NAN, -0.1, 1.1], "entr": [0.0, -1.0, INF, NAN],
    "gammasgn": [1.0, -0.5, -1.5, NAN, -0.0, 0.0, -1.0],
    "j0": [0.0, NAN], "j1": [0.0, NAN], "y0": [0.0, -1.0, NAN], "y1": [0.0, -1.0, NAN],
    "k0": [0.0, -1.0, INF, NAN, 800.0], "k1": [0.0, -1.0, INF, NAN], "k0e": [0.0, -1.0, INF, NAN, 1e300], "k1e": [0.0, INF, NAN],
    "dawsn": [0.0, INF, -INF, NAN, 1e300],
}  # fmt: skip


@pytest.mark.any_level
@pytest.mark.parametrize("name", EDGES)
def test_edges(name):
    x = np.array(EDGES[name])
    with np.errstate(all="ignore"):
        expected = getattr(scipy_special, name)(x)
    found = np.asarray(getattr(el.special, name)(el.asarray(x)))
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_waves_vanish_at_infinity():
    for name in ("j0", "j1", "y0", "y1", "airy_ai", "spherical_bessel_j0"):
        assert getattr(el.special, name)(el.asarray([INF])).tolist() == [0.0], name


PAIRS = {
    "gammainc": [(0.0, 1.0), (0.0, 0.0), (1.0, 0.0), (2.0, INF), (-1.0, 1.0), (1.0, -1.0), (NAN, 1.0), (1e-10, 0.5), (500.0, 500.0), (INF, 1.0)],
    "gammaincc": [(0.0, 1.0), (1.0, 0.0), (2.0, INF), (-1.0, 1.0), (1.0, NAN), (1e-10, 0.5), (20.0, 800.0), (INF, 1.0)],
    "xlogy": [(0.0, 0.0), (0.0, NAN), (1.0, 0.0), (0.0, INF)], "xlog1py": [(0.0, -1.0), (0.0, NAN), (2.0, -1.0)],
    "rel_entr": [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (-1.0, 1.0), (1.0, NAN), (1e300, 1e-300)],
    "kl_div": [(0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (2.0, 3.0), (-1.0, 1.0), (1.0, -INF), (INF, 1.0), (1.0, INF), (0.0, INF), (INF, INF), (NAN, 1.0)],
    "zeta": [(1.0, 2.0), (2.0, 1.0), (0.5, -1.0), (2000.0, 2.0), (50.0, 1.0), (2.0, -3.0), (3.0, -2.5), (2.5, -0.5), (3.0, INF), (2.0, -INF), (1e300, -2.5), (2.0, 0.0)],
    "betaln": [(-0.5, -0.5), (-3.0, 2.0), (-3.0, 5.0), (-1.5, 0.7), (INF, 1.0), (-3.0, 1.5), (-INF, 1.0), (1.0, NAN), (0.0, 1.0)],
    "owens_t": [(0.0, 1.0), (1.0, INF), (-1.0, -INF), (INF, 1.0), (NAN, 1.0), (2.0, 0.0), (0.0, INF)],
    "boxcox": [(0.0, 0.5), (0.0, -1.0), (2.0, 0.0), (INF, 0.5), (INF, -1.0), (-1.0, 2.0)],
    "expn": [(0.0, 0.0), (1.0, 0.0), (2.0, 0.0), (0.0, 2.0), (3.0, INF), (-1.0, 1.0), (2.0, -1.0), (2.0, NAN)],
    "binom": [(-3.0, -3.0), (-1.0, 2.0), (1e300, 1.0), (NAN, -1.0), (-2.5, 1.5), (5.0, 6.0), (5.0, -1.0), (5.0, 0.0), (0.0, 0.0), (2.5, 1.5), (50.0, 25.0)],
    "comb": [(5.0, 6.0), (5.0, -1.0), (10.0, 3.0)], "beta": [(1.0, 1.0), (0.5, 0.5), (-0.5, 2.0), (200.0, 300.0), (-3.0, 2.0), (-4.0, 3.0), (-0.5, -0.5), (-3.0, 1.5), (-100.5, 3.0)],
    "poch": [(2.0, 3.0), (0.5, 0.0), (-3.0, 2.0), (-3.0, -3.0), (-3.0, 5.0), (200.0, 3.0), (-0.5, 1.0)],
}  # fmt: skip


@pytest.mark.any_level
@pytest.mark.parametrize("name", PAIRS)
def test_edges_of_two(name):
    a, b = np.array(PAIRS[name]).T.copy()
    with np.errstate(all="ignore"):
        expected = getattr(scipy_special, name)(a, b)
    found = np.asarray(getattr(el.special, name)(el.asarray(a), el.asarray(b)))
    np.testing.assert_allclose(found, expected, rtol=1e-13)


@pytest.mark.any_level
def test_edges_of_betainc():
    rows = np.array([(1.0, 1.0, 0.0), (2.0, 3.0, 1.0), (0.5, 0.5, 0.5), (200.0, 300.0, 0.4), (2.0, 3.0, NAN), (1e-3, 5.0, 0.9)])
    a, b, x = rows.T.copy()
    found = el.special.betainc(*map(el.asarray, (a, b, x)))
    np.testing.assert_allclose(np.asarray(found), scipy_special.betainc(a, b, x), rtol=1e-13)
    assert np.isnan(el.special.betainc(-1.0, 1.0, 0.5).item())
    assert np.isnan(el.special.betainc(1.0, 1.0, 1.5).item())


POINTS = np.array([0.3, 0.9, 1.4, 2.6, 5.5, 11.0])
SIGNED = np.array([-3.3, -1.2, -0.4, 0.35, 1.9, 4.2])
SHARE = np.array([0.02, 0.2, 0.45, 0.55, 0.8, 0.97])
DERIVATIVES = {
    "gammaln": (POINTS,), "gamma": (POINTS / 2,), "digamma": (POINTS,), "erfc": (SIGNED,), "erfcx": (SIGNED,),
    "erfinv": (SHARE - 0.5,), "erfcinv": (SHARE * 2,), "ndtr": (SIGNED,), "log_ndtr": (SIGNED,), "ndtri": (SHARE,),
    "i0": (SIGNED,), "i0e": (SIGNED,), "i1": (SIGNED,), "i1e": (SIGNED,), "exp1": (POINTS,), "expi": (SIGNED,),
    "spence": (POINTS,), "expit": (SIGNED,), "log_expit": (SIGNED,), "logit": (SHARE,), "entr": (POINTS,),
    "softplus": (SIGNED,), "sinc": (SIGNED,), "betaln": (POINTS, POINTS[::-1].copy()), "beta": (POINTS / 3, POINTS[::-1] / 3),
    "binom": (POINTS + 2, POINTS / 2), "zeta": (POINTS + 1.2, POINTS[::-1].copy()),
    "xlogy": (SIGNED, POINTS), "xlog1py": (SIGNED, POINTS), "rel_entr": (POINTS, POINTS[::-1].copy()),
    "kl_div": (POINTS, POINTS[::-1].copy()), "j0": (SIGNED,), "j1": (SIGNED,), "y0": (POINTS,), "y1": (POINTS,),
    "k0": (POINTS,), "k1": (POINTS,), "k0e": (POINTS,), "k1e": (POINTS,), "spherical_bessel_j0": (SIGNED,), "airy_ai": (SIGNED * 2,),
    "dawsn": (SIGNED,), "sici": (POINTS,), "fresnel": (SIGNED / 2,), "owens_t": (SIGNED, POINTS[::-1] / 4), "boxcox": (POINTS, SIGNED / 3),
    "boxcox1p": (POINTS, SIGNED / 3), "logsumexp": (SIGNED,), "softmax": (SIGNED,), "log_softmax": (SIGNED,),
}  # fmt: skip


@pytest.mark.any_level
@pytest.mark.slow
@pytest.mark.parametrize("name", DERIVATIVES)
def test_two_derivatives(name):
    check_gradient(lambda *xs: getattr(el.special, name)(*xs), DERIVATIVES[name], 1e-5)


@pytest.mark.any_level
@pytest.mark.slow
@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_derivatives_of_polygamma(order):
    check_gradient(lambda x: el.special.polygamma(order, x), (POINTS,))


@pytest.mark.any_level
@pytest.mark.slow
def test_derivatives_of_incomplete_functions():
    x = np.array([0.1, 1.2, 0.7, 4.0, 3.0, 20.0])
    for function in (el.special.gammainc, el.special.gammaincc):
        check_gradient(function, (POINTS, x))
    check_gradient(el.special.betainc, (POINTS, POINTS[::-1].copy(), SHARE))


def beta_share_by_series(a, b, x):
    """I_x(a, b) by a series of positive terms, on the side of the mean where it is small."""
    if x > a / (a + b):
        return 1 - beta_share_by_series(b, a, 1 - x)
    front = a * mp.log(x) + b * mp.log(1 - x) - mp.log(a)
    front += mp.loggamma(a + b) - mp.loggamma(a) - mp.loggamma(b)
    return mp.exp(front) * mp.hyp2f1(a + b, 1, a + 1, x, maxprec=20000, maxterms=10**6)


def parameter_slopes(function, places, xs):
    """First and second derivatives of an incomplete function with respect to its parameters."""
    total = lambda *v: function(*v).sum()  # noqa: E731
    first = el.grad(total, places)(*xs)
    rows = [el.grad(lambda *v, i=i: el.grad(total, places)(*v)[i].sum(), places)(*xs) for i in range(len(places))]
    return first, rows


# parameters' ranges, relative errors of first and second derivatives
SLOPES = [(1e-3, 1, 1e-13, 1e-11), (0.1, 50, 1e-13, 1e-12), (50, 2000, 2e-12, 1e-10)]


@pytest.mark.slow
@pytest.mark.parametrize(("low", "high", "once", "twice"), SLOPES)
def test_slopes_of_betainc(low, high, once, twice):
    """With respect to a and b, against mpmath."""
    a, b = spread(low, high, 12), spread(low, high, 12)
    mean = a / (a + b)
    x = mean + even(-3, 3, 12) * np.sqrt(mean * (1 - mean) / (a + b)) if low > 1 else even(0.01, 0.99, 12)
    (by_a, by_b), ((aa, ab), (ba, bb)) = parameter_slopes(el.special.betainc, (0, 1), list(map(el.asarray, (a, b, x))))
    assert bits(ab) == bits(ba)
    rows = ((by_a, (1, 0, 0), once), (by_b, (0, 1, 0), once), (aa, (2, 0, 0), twice), (ab, (1, 1, 0), twice), (bb, (0, 2, 0), twice))
    with mp.workdps(60):
        for found, order, limit in rows:
            for value, *place in zip(np.asarray(found), a, b, x, strict=True):
                exact = mp.diff(beta_share_by_series, tuple(map(mp.mpf, map(float, place))), order, h=mp.mpf(10) ** -15)
                assert abs(float(value) - exact) <= limit * abs(exact), (order, place)


@pytest.mark.slow
@pytest.mark.parametrize(("low", "high", "once", "twice"), [(1e-3, 1, 1e-14, 1e-13), (1, 100, 1e-13, 1e-12), (100, 2e4, 1e-12, 1e-11)])
def test_slopes_of_gammainc(low, high, once, twice):
    a = spread(low, high, 16)
    x = a * spread(0.3, 2, 16) if high < 1000 else a + even(-3, 3, 16) * np.sqrt(a)
    (by_a,), ((aa,),) = parameter_slopes(el.special.gammainc, (0,), (el.asarray(a), el.asarray(x)))
    (other,), ((bb,),) = parameter_slopes(el.special.gammaincc, (0,), (el.asarray(a), el.asarray(x)))
    assert bits(by_a) == bits(-other) and bits(aa) == bits(-bb)
    with mp.workdps(60):
        for found, order, limit in ((by_a, 1, once), (aa, 2, twice)):
            for value, shape, place in zip(np.asarray(found), map(float, a), map(float, x), strict=True):
                exact = mp.diff(lambda s, v=place: gamma_share(s, mp.mpf(v)), mp.mpf(shape), order, h=mp.mpf(10) ** -15)
                assert abs(float(value) - exact) <= limit * abs(exact), (order, shape, place)


@pytest.mark.slow
def test_slopes_of_parameters_forward_and_in_loops():
    a, x = el.asarray(np.array([0.4, 2.5])), el.asarray(np.array([0.3, 0.8]))
    for f in (lambda v: el.special.gammainc(v, x), lambda v: el.special.betainc(v, 2.0, x), lambda v: el.special.betainc(2.0, v, x)):
        slope = np.asarray(el.grad(lambda v: f(v).sum())(a))  # noqa: B023
        curve = np.asarray(el.grad(lambda v: el.grad(lambda u: f(u).sum())(v).sum())(a))  # noqa: B023
        np.testing.assert_allclose(el.jvp(f, (a,), (el.ones_like(a),))[1], slope, rtol=1e-13)
        twice = el.jvp(lambda v: el.jvp(f, (v,), (el.ones_like(v),))[1], (a,), (el.ones_like(a),))[1]  # noqa: B023
        np.testing.assert_allclose(twice, curve, rtol=1e-12)
        looped = lambda v: el.scan(lambda c, _: (c + f(v), None), el.zeros_like(v), length=2)[0].sum()  # noqa: B023, E731
        np.testing.assert_allclose(el.grad(looped)(a), 2 * slope, rtol=1e-13)
        assert bits(el.vmap(lambda v, k: f(v)[k], in_axes=(None, 0))(a, el.arange(2))) == bits(f(a))  # noqa: B023


def test_what_has_no_derivative_says_so():
    x = el.asarray([0.5])

    def third(f):
        for _ in range(3):
            f = el.grad(lambda a, f=f: f(a).sum())
        return f

    with pytest.raises(errors.GradientError, match=r"there is no derivative with respect to operand 0"):
        third(lambda a: el.special.betainc(a, x, x))(el.asarray([1.0]))
    with pytest.raises(errors.GradientError, match=r"there is no derivative with respect to operand 0"):
        third(lambda a: el.special.gammainc(a, x))(el.asarray([1.0]))


def test_bad_arguments():
    with pytest.raises(errors.ValueRangeError, match="n must be a whole number"):
        el.special.polygamma(-1, 1.0)
    with pytest.raises(errors.ValueRangeError, match="d must be a positive whole number"):
        el.special.multigammaln(1.0, 0)


def test_names():
    for name in el.special.__all__:
        assert callable(getattr(el.special, name)), name
    assert el.special.lgamma is el.special.gammaln and el.special.psi is el.special.digamma
    torch = pytest.importorskip("torch")
    theirs = {name for name in torch.special.__all__ if not name.startswith("_")} - {"round"}
    assert not theirs - set(el.special.__all__)


def test_weights_of_logsumexp():
    a, b = even(-3, 3).reshape(5, 12), even(0.1, 2).reshape(5, 12)
    found = el.special.logsumexp(el.asarray(a), axis=1, b=el.asarray(b))
    np.testing.assert_allclose(np.asarray(found), scipy_special.logsumexp(a, axis=1, b=b), rtol=1e-13)
    kept = el.special.logsumexp(el.asarray(a), axis=(0, 1), b=2.0, keepdims=True)
    np.testing.assert_allclose(np.asarray(kept), scipy_special.logsumexp(a, axis=(0, 1), b=2.0, keepdims=True), rtol=1e-13)


@pytest.mark.any_level
@pytest.mark.slow
@pytest.mark.parametrize("name", ["gammaln", "erfc", "i0", "expit", "gammainc"])
def test_under_transforms(name):
    """vmap has the bits of the whole; forward mode and a loop's body agree with reverse mode."""
    function = getattr(el.special, name)
    shape = el.asarray(POINTS[:3])
    f = (lambda v: function(shape, v)) if name == "gammainc" else function
    x = el.asarray(np.array([0.5, 1.5, 2.5]))
    one = (lambda a, v: function(a, v)) if name == "gammainc" else (lambda a, v: function(v))
    assert bits(el.vmap(one)(shape, x)) == bits(f(x))
    slope = np.asarray(el.grad(lambda v: f(v).sum())(x))
    _, tangent = el.jvp(f, (x,), (el.ones_like(x),))
    np.testing.assert_allclose(np.asarray(tangent), slope, rtol=1e-12)
    looped = el.grad(lambda v: el.scan(lambda c, _: (c + f(v), None), el.zeros_like(v), length=2)[0].sum())(x)
    np.testing.assert_allclose(np.asarray(looped), 2 * slope, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["erfcx", "gamma", "dawsn"])
def test_hessians_of_functions_whose_slopes_call_themselves(name):
    function, x = getattr(el.special, name), el.asarray(np.array([0.3, 0.8, 1.7]))
    hessian = np.asarray(el.jacfwd(el.jacrev(lambda v: function(v).sum()))(x))
    second = el.grad(lambda v: el.grad(lambda u: function(u).sum())(v).sum())(x)
    np.testing.assert_allclose(hessian, np.diag(np.asarray(second)), rtol=1e-12, atol=1e-13)
