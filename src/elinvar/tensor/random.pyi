# Made by `python tools/type_stubs.py` from the op table and the sources. Do not edit.

from elinvar.core.shapes import Shape
from elinvar.tensor.streams import Generator as Generator
from elinvar.tensor.streams import default_generator as default_generator
from elinvar.tensor.tensor import Tensor, _ArrayLike, _DTypeLike, _ShapeLike

def manual_seed(seed: int) -> Generator:
    """Seed the default generator, from which all random functions and layers draw."""

def rand(
    *shape: _ShapeLike,
    size: _ShapeLike | None = None,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Numbers from the uniform distribution on [0, 1)."""

def uniform(
    low: float = 0.0,
    high: float = 1.0,
    size: _ShapeLike = (),
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Numbers from the uniform distribution on [low, high)."""

def randn(
    *shape: _ShapeLike,
    size: _ShapeLike | None = None,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Numbers from the normal distribution with mean 0 and variance 1."""

def rand_like(
    x: _ArrayLike,
    /,
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Numbers from the uniform distribution on [0, 1) in the shape of x, and of its dtype."""

def randn_like(
    x: _ArrayLike,
    /,
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Numbers from the normal distribution in the shape of x, and of its dtype."""

def normal(
    mean: _ArrayLike = 0.0,
    std: _ArrayLike = 1.0,
    size: _ShapeLike | None = None,
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Numbers from normal distributions; mean and std may be tensors that broadcast."""

def randint(
    low: int,
    high: int | None = None,
    size: _ShapeLike = (),
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Integers from the uniform distribution on low … high-1 (0 … low-1 with one bound)."""

def permutation(
    n: int | _ArrayLike,
    *,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """The numbers 0 … n-1 in random order, or the rows of a tensor in random order."""

def randperm(
    n: int | _ArrayLike,
    *,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """The numbers 0 … n-1 in random order, or the rows of a tensor in random order."""

def bernoulli(
    p: _ArrayLike,
    size: _ShapeLike | None = None,
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """1 with probability p, else 0."""

def keep_mask(p: float, shape: Shape, generator: Generator | None = None) -> Tensor:
    """A bool tensor that is True with probability p: word < p · 2³². Used by dropout."""

def exponential(
    size: _ShapeLike = (),
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Numbers from the exponential distribution with mean 1: -log(1 - u)."""

def multinomial(
    weights: _ArrayLike,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Indices drawn in proportion to weights (which need not add up to 1) along the last …"""

def key(seed: _ArrayLike, /) -> Tensor:
    """A key for `key=` of the random functions."""

def split(parent: _ArrayLike, num: _ArrayLike = 2, /) -> Tensor:
    """New keys of a key, which is not to be used any more; shape (*num, 2)."""

def fold_in(parent: _ArrayLike, data: _ArrayLike, /) -> Tensor:
    """A new key of a key and a whole number: a step, a device, an epoch."""

def cauchy(
    loc: _ArrayLike = 0.0,
    scale: _ArrayLike = 1.0,
    size: _ShapeLike | None = None,
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Numbers from the Cauchy distribution: loc + scale · tan(π (u - ½))."""

def chisquare(
    df: _ArrayLike,
    size: _ShapeLike | None = None,
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Numbers from the χ² distribution with df degrees of freedom: 2 · gamma(df/2)."""

def f(
    dfnum: _ArrayLike,
    dfden: _ArrayLike,
    size: _ShapeLike | None = None,
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Numbers from the F distribution: the ratio of two χ² variables over their freedoms."""

def geometric(
    p: _ArrayLike,
    size: _ShapeLike | None = None,
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """The number of the first of independent trials that succeeds, each with probability p."""

def gumbel(
    loc: _ArrayLike = 0.0,
    scale: _ArrayLike = 1.0,
    size: _ShapeLike | None = None,
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Numbers from the Gumbel distribution: loc - scale · log(-log u)."""

def laplace(
    loc: _ArrayLike = 0.0,
    scale: _ArrayLike = 1.0,
    size: _ShapeLike | None = None,
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Numbers from the Laplace distribution, of density exp(-|x - loc| / scale) / (2 scale)."""

def logistic(
    loc: _ArrayLike = 0.0,
    scale: _ArrayLike = 1.0,
    size: _ShapeLike | None = None,
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Numbers from the logistic distribution: loc + scale · log(u / (1 - u))."""

def lognormal(
    mean: _ArrayLike = 0.0,
    sigma: _ArrayLike = 1.0,
    size: _ShapeLike | None = None,
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Numbers whose logarithms are normal: exp(mean + sigma · n)."""

def maxwell(
    size: _ShapeLike = (),
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Numbers from the Maxwell distribution: the length of three normal numbers."""

def pareto(
    b: _ArrayLike,
    size: _ShapeLike | None = None,
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Numbers from the Pareto distribution on 1 … ∞, of density b / x^(b + 1): exp(e / b)."""

def rademacher(
    size: _ShapeLike = (),
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """-1 or 1, with equal probability."""

def rayleigh(
    scale: _ArrayLike = 1.0,
    size: _ShapeLike | None = None,
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Numbers from the Rayleigh distribution: scale · √(2e)."""

def t(
    df: _ArrayLike,
    size: _ShapeLike | None = None,
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Numbers from Student's distribution with df degrees of freedom: n / √(gamma(df/2) · …"""

def triangular(
    left: _ArrayLike,
    mode: _ArrayLike,
    right: _ArrayLike,
    size: _ShapeLike | None = None,
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Numbers from the triangular distribution on left … right with its peak at mode."""

def truncated_normal(
    lower: _ArrayLike,
    upper: _ArrayLike,
    size: _ShapeLike | None = None,
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Normal numbers that lie between two bounds (which may be infinite)."""

def wald(
    mean: _ArrayLike,
    scale: _ArrayLike = 1.0,
    size: _ShapeLike | None = None,
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Numbers from the inverse normal (Wald's) distribution."""

def weibull(
    a: _ArrayLike,
    size: _ShapeLike | None = None,
    *,
    scale: _ArrayLike = 1.0,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Numbers from the Weibull distribution with shape a: scale · e^(1/a)."""

def binomial(
    n: int | _ArrayLike,
    p: _ArrayLike,
    size: _ShapeLike | None = None,
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """How many of n independent trials succeed, each with probability p, as int64."""

def bits(
    size: _ShapeLike = (),
    dtype: _DTypeLike | None = None,
    *,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Uniform words of all bits: uint32 by default, or another unsigned dtype."""

def categorical(
    logits: _ArrayLike,
    axis: int = -1,
    size: _ShapeLike | None = None,
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Classes in proportion to exp(logits) along an axis, by the largest of logit + Gumbel …"""

def choice(
    a: _ArrayLike,
    size: _ShapeLike = (),
    replace: bool = True,
    p: _ArrayLike | None = None,
    axis: int = 0,
    *,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Elements (slices along an axis) of a tensor, or numbers 0 … a-1, drawn at random."""

def multinomial_counts(
    n: int | _ArrayLike,
    pvals: _ArrayLike,
    size: _ShapeLike | None = None,
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """How often each of k outcomes occurs in n trials, as NumPy's `multinomial` gives."""

def negative_binomial(
    n: int | _ArrayLike,
    p: _ArrayLike,
    size: _ShapeLike | None = None,
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """How many trials fail before n succeed, each with probability p, as int64."""

def poisson(
    lam: _ArrayLike = 1.0,
    size: _ShapeLike | None = None,
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Counts from the Poisson distribution with mean lam, as int64 (or another dtype)."""

def shuffle(
    x: _ArrayLike,
    /,
    axis: int = 0,
    *,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> None:
    """Put the slices of a tensor along an axis into random order, in place."""

def ball(
    d: int,
    p: float = 2.0,
    size: _ShapeLike = (),
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Points uniform in the ball of radius 1 of d dimensions, by the p-norm."""

def beta(
    a: _ArrayLike,
    b: _ArrayLike,
    size: _ShapeLike | None = None,
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Numbers from the beta distribution, of density x^(a-1) (1-x)^(b-1) / B(a, b)."""

def dirichlet(
    alpha: _ArrayLike,
    size: _ShapeLike | None = None,
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Vectors of shares that add up to 1, from the Dirichlet distribution."""

def gamma(
    a: _ArrayLike,
    scale: _ArrayLike = 1.0,
    size: _ShapeLike | None = None,
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Numbers from the gamma distribution, of density x^(a-1) exp(-x/scale) / (Γ(a) …"""

def loggamma(
    a: _ArrayLike,
    size: _ShapeLike | None = None,
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Logarithms of gamma variables with shape a, exact also where those would be 0."""

def multivariate_normal(
    mean: _ArrayLike,
    cov: _ArrayLike,
    size: _ShapeLike | None = None,
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Normal vectors: mean + L·n with L·Lᵀ = cov."""

def orthogonal(
    n: int,
    size: _ShapeLike = (),
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Orthogonal n × n matrices, uniform over all rotations and reflections."""

def __dir__() -> list[str]: ...
