"""Random distributions: whether they are what they say, bits, keys, gradients, refusals."""

import numpy as np
import pytest
import scipy.stats as stats

import elinvar as el
from elinvar.core import errors
from tests.extras import bits

pytestmark = [pytest.mark.slow, pytest.mark.any_level]  # many programs to compile

COUNT = 20000
R = el.random


@pytest.fixture(autouse=True)
def _seed():
    el.manual_seed(5)


# name: (draw of a size, its distribution)
CONTINUOUS = {
    "gumbel": (lambda **k: R.gumbel(1.0, 2.0, COUNT, **k), stats.gumbel_r(1.0, 2.0)),
    "laplace": (lambda **k: R.laplace(1.0, 2.0, COUNT, **k), stats.laplace(1.0, 2.0)),
    "logistic": (lambda **k: R.logistic(1.0, 2.0, COUNT, **k), stats.logistic(1.0, 2.0)),
    "cauchy": (lambda **k: R.cauchy(1.0, 2.0, COUNT, **k), stats.cauchy(1.0, 2.0)),
    "pareto": (lambda **k: R.pareto(2.5, COUNT, **k), stats.pareto(2.5)),
    "rayleigh": (lambda **k: R.rayleigh(2.0, COUNT, **k), stats.rayleigh(0, 2.0)),
    "weibull": (lambda **k: R.weibull(1.5, COUNT, scale=2.0, **k), stats.weibull_min(1.5, 0, 2.0)),
    "triangular": (lambda **k: R.triangular(-1.0, 0.5, 3.0, COUNT, **k), stats.triang(1.5 / 4, -1.0, 4.0)),
    "lognormal": (lambda **k: R.lognormal(0.5, 0.7, COUNT, **k), stats.lognorm(0.7, 0, np.exp(0.5))),
    "maxwell": (lambda **k: R.maxwell(COUNT, **k), stats.maxwell()),
    "truncated_normal": (lambda **k: R.truncated_normal(-1.0, 2.0, COUNT, **k), stats.truncnorm(-1.0, 2.0)),
    "truncated_normal tail": (lambda **k: R.truncated_normal(8.0, np.inf, COUNT, **k), stats.truncnorm(8.0, np.inf)),
    "t": (lambda **k: R.t(4.0, COUNT, **k), stats.t(4.0)),
    "chisquare": (lambda **k: R.chisquare(3.0, COUNT, **k), stats.chi2(3.0)),
    "f": (lambda **k: R.f(3.0, 7.0, COUNT, **k), stats.f(3.0, 7.0)),
    "wald": (lambda **k: R.wald(1.5, 2.0, COUNT, **k), stats.invgauss(1.5 / 2.0, 0, 2.0)),
    "gamma": (lambda **k: R.gamma(3.7, 2.0, COUNT, **k), stats.gamma(3.7, 0, 2.0)),
    "gamma small": (lambda **k: R.gamma(0.3, 1.0, COUNT, **k), stats.gamma(0.3)),
    "gamma large": (lambda **k: R.gamma(500.0, 1.0, COUNT, **k), stats.gamma(500.0)),
    "loggamma": (lambda **k: R.loggamma(0.4, COUNT, **k), stats.loggamma(0.4)),
    "beta": (lambda **k: R.beta(0.7, 2.2, COUNT, **k), stats.beta(0.7, 2.2)),
    "dirichlet": (lambda **k: R.dirichlet(el.asarray([0.5, 1.5, 2.0]), COUNT, **k)[:, 1], stats.beta(1.5, 2.5)),
    "multivariate_normal": (lambda **k: R.multivariate_normal(el.asarray([1.0, -1.0]), el.asarray([[2.0, 1.2], [1.2, 3.0]]), COUNT, **k) @ el.asarray([1.0, 1.0]), stats.norm(0.0, np.sqrt(7.4))),
    "ball": (lambda **k: el.linalg.vector_norm(R.ball(3, size=COUNT, **k), axis=-1) ** 3, stats.uniform()),
    "orthogonal": (lambda **k: R.orthogonal(3, COUNT, **k)[:, 0, 2], stats.uniform(-1, 2)),
    "rand": (lambda **k: el.rand(COUNT, **k), stats.uniform()),
    "randn": (lambda **k: el.randn(COUNT, **k), stats.norm()),
    "uniform": (lambda **k: el.uniform(-1.0, 3.0, COUNT, **k), stats.uniform(-1, 4)),
    "normal": (lambda **k: el.normal(1.0, 2.0, COUNT, **k), stats.norm(1.0, 2.0)),
    "exponential": (lambda **k: R.exponential(COUNT, **k), stats.expon()),
}  # fmt: skip

DISCRETE = {
    "poisson": (lambda **k: R.poisson(3.3, COUNT, **k), stats.poisson(3.3)),
    "poisson large": (lambda **k: R.poisson(47.0, COUNT, **k), stats.poisson(47.0)),
    "binomial": (lambda **k: R.binomial(12, 0.3, COUNT, **k), stats.binom(12, 0.3)),
    "binomial high": (lambda **k: R.binomial(12, 0.8, COUNT, **k), stats.binom(12, 0.8)),
    "binomial large": (lambda **k: R.binomial(300, 0.2, COUNT, **k), stats.binom(300, 0.2)),
    "negative_binomial": (lambda **k: R.negative_binomial(3.0, 0.4, COUNT, **k), stats.nbinom(3.0, 0.4)),
    "geometric": (lambda **k: R.geometric(0.3, COUNT, **k), stats.geom(0.3)),
    "categorical": (lambda **k: R.categorical(el.log(el.asarray([0.1, 0.2, 0.3, 0.4])), size=COUNT, **k), stats.rv_discrete(values=(range(4), (0.1, 0.2, 0.3, 0.4)))),
    "choice": (lambda **k: R.choice(4, COUNT, p=[0.1, 0.2, 0.3, 0.4], **k), stats.rv_discrete(values=(range(4), (0.1, 0.2, 0.3, 0.4)))),
    "choice even": (lambda **k: R.choice(5, COUNT, **k), stats.randint(0, 5)),
    "choice first": (lambda **k: R.choice(3, 2, replace=False, p=[0.5, 0.2, 0.3], **k)[:1].broadcast_to(1), None),
    "multinomial_counts": (lambda **k: R.multinomial_counts(20, el.asarray([0.2, 0.3, 0.5]), COUNT, **k)[:, 1], stats.binom(20, 0.3)),
    "rademacher": (lambda **k: R.rademacher(COUNT, **k), stats.rv_discrete(values=((-1, 1), (0.5, 0.5)))),
    "bernoulli": (lambda **k: el.bernoulli(0.3, COUNT, **k), stats.bernoulli(0.3)),
    "randint": (lambda **k: el.randint(2, 9, COUNT, **k), stats.randint(2, 9)),
    "bits": (lambda **k: R.bits(COUNT, el.uint8, **k), None),
    "permutation": (lambda **k: el.permutation(COUNT, **k), None),
}  # fmt: skip
ALL = {**CONTINUOUS, **DISCRETE}
LOOPS = ("gamma", "loggamma", "beta", "dirichlet", "poisson", "binom", "negative", "t", "chi", "f", "ball", "multinomial")


def rows(names):
    return [pytest.param(n, marks=pytest.mark.slow) if n.startswith(LOOPS) else n for n in names]


@pytest.mark.parametrize("name", rows(CONTINUOUS))
def test_continuous(name):
    draw, law = CONTINUOUS[name]
    values = np.asarray(draw(), np.float64)
    assert np.isfinite(values).all()
    assert stats.kstest(values, law.cdf).pvalue > 1e-3


@pytest.mark.parametrize("name", rows([n for n in DISCRETE if DISCRETE[n][1] is not None]))
def test_discrete(name):
    draw, law = DISCRETE[name]
    values = np.asarray(draw(), np.float64).astype(np.int64)
    low, high = int(law.ppf(1e-3)), int(law.ppf(1 - 1e-3))
    kinds = np.arange(low, high + 1)
    found = np.array([(values == k).sum() for k in kinds] + [((values < low) | (values > high)).sum()])
    expected = COUNT * np.append(law.pmf(kinds), 1 - law.pmf(kinds).sum())
    use = expected > 5
    rest = found[~use].sum(), expected[~use].sum()
    found, expected = found[use], expected[use]
    if rest[1] > 1e-6:
        found, expected = np.append(found, rest[0]), np.append(expected, rest[1])
    statistic = ((found - expected) ** 2 / expected).sum()
    assert stats.chi2(len(found) - 1).sf(statistic) > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("name", rows(ALL))
def test_bits_and_keys(name):
    """Eager = compiled, by generator and by key; equal keys give equal numbers, others do not."""
    draw = ALL[name][0]
    el.manual_seed(3)
    eager = [draw(), el.rand(2)]
    compiled = el.jit(lambda: [draw(), el.rand(2)])
    el.manual_seed(3)
    assert bits(compiled()) == bits(eager)
    key, other = R.split(R.key(11))
    assert bits(draw(key=key)) == bits(draw(key=key))
    assert bits(el.jit(lambda k: draw(key=k))(key)) == bits(draw(key=key))
    if name != "choice first":
        assert bits(draw(key=key)) != bits(draw(key=other))
    before = el.random.default_generator.get_state().tolist()
    draw(key=key)
    draw(generator=R.Generator(3))
    assert el.random.default_generator.get_state().tolist() == before


@pytest.mark.slow
def test_threads():
    key = R.key(2)
    kept = el.get_num_threads()
    draws = [lambda: R.gamma(el.linspace(0.1, 5.0, 3001), key=key), lambda: R.poisson(el.linspace(0.1, 50.0, 3001), key=key)]
    try:
        for draw in draws:
            found = []
            for count in (1, 2, 3):
                el.set_num_threads(count)
                found.append(bits(draw()))
            assert found[0] == found[1] == found[2]
    finally:
        el.set_num_threads(kept)


@pytest.mark.slow
def test_neighbours_do_not_matter():
    """An element's value depends on its own parameter: the others may be rejected as they like."""
    key = R.key(4)
    a = el.full(100, 2.0)
    b = el.asarray(np.where(np.arange(100) % 2, 2.0, 0.05).astype(np.float32))
    one, two = R.gamma(a, key=key), R.gamma(b, key=key)
    assert bits(one[1::2]) == bits(two[1::2])
    one, two = R.poisson(a * 20, key=key), R.poisson(b * 20, key=key)
    assert bits(one[1::2]) == bits(two[1::2])


def test_keys():
    key = R.key(7)
    assert key.dtype is el.uint64 and key.shape == (2,)
    assert R.split(key, 5).shape == (5, 2) and R.split(key, (2, 3)).shape == (2, 3, 2)
    many = np.asarray(R.split(key, 1000))[:, 0]
    assert len(set(many.tolist())) == 1000
    assert bits(R.split(key, 3)) == bits(el.jit(lambda k: R.split(k, 3))(key))
    assert bits(R.fold_in(key, 3)) == bits(el.jit(R.fold_in)(key, el.asarray(3)))
    assert bits(R.fold_in(key, 3)) != bits(R.fold_in(key, 4))
    assert bits(R.key(5)) == bits(R.key(el.asarray(5)))
    words = el.concat([R.bits((1000,), key=k) for k in el.unstack(R.split(key, 20))])
    share = np.unpackbits(np.asarray(words).view(np.uint8)).mean()
    assert abs(share - 0.5) < 0.005


def test_keys_in_scan_and_vmap():
    def body(key, x):
        key, own = R.split(key)
        return key, x + el.randn(3, key=own)

    _, found = el.scan(body, R.key(1), el.zeros((4, 3)))
    key = R.key(1)
    for row in found:
        key, expected = body(key, el.zeros(3))
        assert bits(row) == bits(expected)
    keys = R.split(R.key(9), 4)
    mapped = el.vmap(lambda k: el.randn(5, key=k))(keys)
    assert bits(mapped) == bits(el.stack([el.randn(5, key=k) for k in keys]))
    assert bits(el.vmap(lambda k: R.fold_in(k, 2))(keys)) == bits(el.stack([R.fold_in(k, 2) for k in keys]))


@pytest.mark.slow
def test_rejection_under_vmap():
    keys, a = R.split(R.key(9), 3), el.asarray([0.5, 1.5, 30.0])
    for draw in (lambda k, p: R.gamma(p, size=(2,), key=k), lambda k, p: R.poisson(p, size=(2,), key=k)):
        rows = [draw(k, p) for k, p in zip(keys, a, strict=True)]
        assert bits(el.vmap(draw)(keys, a)) == bits(el.stack(rows))


@pytest.mark.parametrize("dtype", [el.float16, el.bfloat16, el.float64], ids=lambda d: d.name)
def test_dtypes(dtype):
    for draw in (R.gumbel, R.laplace, R.lognormal, R.rayleigh):
        found = draw(size=(50,), dtype=dtype)
        assert found.dtype is dtype and bool(el.isfinite(found).all())
    assert R.poisson(3.0, (4,), dtype=el.int32).dtype is el.int32


def test_parameters_broadcast():
    assert R.gumbel(el.zeros((3, 1)), el.ones(4)).shape == (3, 4)
    assert R.laplace(el.zeros(4), size=(2, 4)).shape == (2, 4)
    assert R.gumbel(el.zeros(2, dtype=el.float64)).dtype is el.float64
    with pytest.raises(errors.ShapeError, match=r"\[laplace\] parameters f32\[2,3\].* do not broadcast to size"):
        R.laplace(el.zeros((2, 3)), size=(3,))
    with pytest.raises(errors.ShapeError, match=r"\[gumbel\] shapes \[3\] and \[2\] .*broadcast"):
        R.gumbel(el.zeros(3), size=(2,))


@pytest.mark.slow
def test_gradients_of_gamma():
    """The slope of a sample in its parameter is that of the quantile at one probability."""
    key = R.key(21)
    a = el.asarray(np.array([0.05, 0.4, 1.3, 6.0, 40.0]))
    x = np.asarray(R.gamma(a, key=key))
    found = np.asarray(el.grad(lambda p: R.gamma(p, key=key).sum())(a))
    share = stats.gamma(np.asarray(a)).cdf(x)
    step = 1e-5
    law = [stats.gamma(np.asarray(a) + s).ppf(share) for s in (step, -step)]
    np.testing.assert_allclose(found, (law[0] - law[1]) / (2 * step), rtol=1e-4)
    # the mean of the slopes of a mean is the slope of the mean: E gamma = a, E beta = a / (a + b)
    wide = el.full(COUNT, 2.0, dtype=el.float64)
    slope = el.grad(lambda p: R.gamma(p, 3.0, key=key).mean())(wide).sum().item()
    assert abs(slope - 3.0) < 0.1
    slope = el.grad(lambda p: R.beta(p, 3.0, key=key).mean())(wide).sum().item()
    assert abs(slope - 3 / 25) < 0.01
    alpha = el.full((COUNT, 3), 1.5)
    slope = el.grad(lambda p: R.dirichlet(p, key=key)[:, 0].mean())(alpha).sum(0)
    np.testing.assert_allclose(np.asarray(slope), [3 / 20.25, -1.5 / 20.25, -1.5 / 20.25], atol=0.01)


def test_gradients_of_formulas():
    key = R.key(1)
    for draw in (R.gumbel, R.laplace, R.logistic, R.lognormal):
        slope = el.grad(lambda m, draw=draw: draw(m, 2.0, 3, key=key).sum())(el.asarray(0.5))
        value = draw(0.5, 2.0, 3, key=key).sum().item() if draw is R.lognormal else 3.0
        assert abs(slope.item() - value) < 1e-4


@pytest.mark.slow
def test_counts_add_up():
    counts = R.multinomial_counts(el.asarray([5, 100]), el.asarray([0.2, 0.0, 0.5, 0.3]), (7, 2))
    assert counts.shape == (7, 2, 4) and counts.dtype is el.int64
    assert (np.asarray(counts).sum(-1) == [5, 100]).all() and (np.asarray(counts)[..., 1] == 0).all()
    shares = R.dirichlet(el.full(4, 1e-3), (1000,))
    np.testing.assert_allclose(np.asarray(shares).sum(-1), 1.0, rtol=1e-5)


@pytest.mark.slow
def test_edges_of_counts():
    assert R.poisson(0.0, (5,)).tolist() == [0] * 5
    assert R.binomial(0, 0.5, (3,)).tolist() == [0] * 3
    assert R.binomial(7, el.asarray([0.0, 1.0])).tolist() == [0, 7]
    assert R.geometric(1.0, (3,)).tolist() == [1, 1, 1]
    big = R.poisson(1e9, (100,), dtype=el.float64)
    assert abs(big.mean().item() - 1e9) < 5 * np.sqrt(1e9 / 100)
    assert R.gamma(2.0, size=(0, 3)).shape == (0, 3)


def test_choices():
    x = el.asarray([[1, 2], [3, 4], [5, 6]])
    rows = R.choice(x, (4,))
    assert rows.shape == (4, 2) and all(row in x.tolist() for row in rows.tolist())
    assert sorted(R.choice(x, (3,), replace=False).tolist()) == x.tolist()
    assert R.choice(x, 5, axis=1).shape == (3, 5)
    order = R.choice(4, (3,), replace=False, p=[0.5, 0.0, 0.25, 0.25])
    assert sorted(order.tolist()) == [0, 2, 3]
    kept = el.arange(10)
    R.shuffle(kept)
    assert kept.tolist() != list(range(10)) and sorted(kept.tolist()) == list(range(10))
    columns = el.asarray([[1, 2, 3], [4, 5, 6]])
    R.shuffle(columns, axis=1)
    assert (np.asarray(columns)[1] - np.asarray(columns)[0] == 3).all()
    logits = el.asarray([[0.0, -np.inf], [-np.inf, 0.0]])
    assert R.categorical(logits).tolist() == [0, 1]
    assert R.categorical(logits, axis=0, size=(3, 2)).tolist() == [[0, 1]] * 3


BAD = {
    "a rate": (lambda: R.poisson(-1.0), errors.ValueRangeError, "[poisson] lam must be at least 0"),
    "a shape": (lambda: R.gamma(0.0), errors.ValueRangeError, "[gamma] a must be positive"),
    "beta": (lambda: R.beta(1.0, -1.0), errors.ValueRangeError, "[beta] b must be positive"),
    "shares": (lambda: R.choice(2, (1,), p=[0.5, 0.6]), errors.ValueRangeError, "[choice] p must add up to 1"),
    "number of shares": (lambda: R.choice(3, (1,), p=[0.5, 0.5]), errors.ShapeError, "[choice] p must have 3 elements"),
    "too many": (lambda: R.choice(3, (4,), replace=False), errors.ValueRangeError, "4 of 3 elements cannot be drawn"),
    "probability": (lambda: R.binomial(3, 1.5), errors.ValueRangeError, "[binomial] p must be between 0 and 1"),
    "counts": (lambda: R.multinomial_counts(3, el.asarray([0.5, 0.1])), errors.ValueRangeError, "pvals must add up to 1"),
    "bounds": (lambda: R.truncated_normal(1.0, 0.0), errors.ValueRangeError, "upper - lower must be positive"),
    "cov": (lambda: R.multivariate_normal(el.zeros(2), el.asarray([[1.0, 2.0], [2.0, 1.0]])), errors.ValueRangeError, "cov must be positive definite"),
    "cov shape": (lambda: R.multivariate_normal(el.zeros(2), el.eye(3)), errors.ShapeError, "expected a mean [k] and a cov [k, k]"),
    "a key": (lambda: el.rand(2, key=el.zeros(2)), errors.ShapeError, "a key is u64[2], received f32[2]"),
    "both": (lambda: el.rand(2, key=R.key(0), generator=R.Generator(0)), errors.ValueRangeError, "a generator or a key, received both"),
    "logits": (lambda: R.categorical(el.asarray([1, 2])), errors.DTypeError, "logits must be floats"),
    "bits": (lambda: R.bits((2,), el.int32), errors.DTypeError, "expected an unsigned dtype"),
    "dtype": (lambda: R.gumbel(dtype=el.int32), errors.DTypeError, "expected a floating dtype"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_refusals(name):
    action, kind, text = BAD[name]
    with pytest.raises(kind) as caught:
        action()
    assert text in str(caught.value)


def test_names():
    assert set(el.random._LATER) <= set(dir(el.random))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        el.random.nothing
