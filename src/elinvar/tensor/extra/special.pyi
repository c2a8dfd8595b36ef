# Made by `python tools/type_stubs.py` from the op table and the sources. Do not edit.

from elinvar.tensor.tensor import Tensor, _ArrayLike, _Axis

def beta(x: _ArrayLike, y: _ArrayLike, /) -> Tensor:
    """The beta function B(a, b) = Γ(a)·Γ(b) / Γ(a + b)."""

def betainc(x: _ArrayLike, y: _ArrayLike, z: _ArrayLike, /) -> Tensor:
    """The regularized incomplete beta function I_x(a, b), for a, b > 0 and 0 ≤ x ≤ 1."""

def betaln(x: _ArrayLike, y: _ArrayLike, /) -> Tensor:
    """log B(a, b) = log(Γ(a)·Γ(b) / Γ(a + b)) for positive a and b."""

def binom(x: _ArrayLike, y: _ArrayLike, /) -> Tensor:
    """The binomial coefficient Γ(n + 1) / (Γ(k + 1)·Γ(n - k + 1)), also between whole …"""

def comb(n: int | _ArrayLike, k: _ArrayLike, /) -> Tensor:
    """The number of ways to choose k of n things; 0 where k < 0 or k > n."""

def digamma(x: _ArrayLike, /) -> Tensor:
    """ψ(x), the derivative of log Γ; NaN at negative whole numbers, ∓∞ at ±0."""

def entr(x: _ArrayLike, /) -> Tensor:
    """-x·log(x), 0 at 0 and -∞ below."""

def erf(x: _ArrayLike, /) -> Tensor:
    """The error function 2/√π ∫₀ˣ exp(-t²) dt."""

def erfc(x: _ArrayLike, /) -> Tensor:
    """1 - erf(x), accurate where that is small."""

def erfcinv(x: _ArrayLike, /) -> Tensor:
    """The inverse of `erfc` on 0 … 2."""

def erfcx(x: _ArrayLike, /) -> Tensor:
    """exp(x²)·erfc(x), which does not underflow."""

def erfinv(x: _ArrayLike, /) -> Tensor:
    """The inverse of the error function: erf(erfinv(x)) = x."""

def exp1(x: _ArrayLike, /) -> Tensor:
    """E1(x) = ∫ exp(-t)/t dt from x to ∞, for x > 0; NaN below."""

def expi(x: _ArrayLike, /) -> Tensor:
    """Ei(x) = -∫ exp(-t)/t dt from -x to ∞, as a principal value."""

def expit(x: _ArrayLike, /) -> Tensor:
    """The logistic function 1 / (1 + exp(-x))."""

def expm1(x: _ArrayLike, /) -> Tensor:
    """The exponential function less 1, accurate near 0."""

def factorial(n: int | _ArrayLike, /, exact: bool = False) -> Tensor:
    """n! = Γ(n + 1), also between whole numbers; 0 for negative ones as in SciPy."""

def gamma(x: _ArrayLike, /) -> Tensor:
    """The gamma function Γ(x); NaN at negative whole numbers, ±∞ at ±0."""

def gammainc(x: _ArrayLike, y: _ArrayLike, /) -> Tensor:
    """The regularized lower incomplete gamma function P(a, x) = γ(a, x) / Γ(a)."""

def gammaincc(x: _ArrayLike, y: _ArrayLike, /) -> Tensor:
    """The regularized upper incomplete gamma function Q(a, x) = 1 - P(a, x)."""

def gammaln(x: _ArrayLike, /) -> Tensor:
    """log |Γ(x)|, the logarithm of the gamma function's size."""

def gammasgn(x: _ArrayLike, /) -> Tensor:
    """The sign of Γ(x): 1 or -1, 0 at negative whole numbers."""

def i0(x: _ArrayLike, /) -> Tensor:
    """I0(x), the modified Bessel function of order 0."""

def i0e(x: _ArrayLike, /) -> Tensor:
    """exp(-|x|)·I0(x), the scaled modified Bessel function of order 0."""

def i1(x: _ArrayLike, /) -> Tensor:
    """I1(x), the modified Bessel function of order 1."""

def i1e(x: _ArrayLike, /) -> Tensor:
    """exp(-|x|)·I1(x), the scaled modified Bessel function of order 1."""

def kl_div(x: _ArrayLike, y: _ArrayLike, /) -> Tensor:
    """x·log(x / y) - x + y, whose sum is the divergence of Kullback and Leibler."""

def lgamma(x: _ArrayLike, /) -> Tensor:
    """log |Γ(x)|, the logarithm of the gamma function's size."""

def log1p(x: _ArrayLike, /) -> Tensor:
    """The natural logarithm of 1 + x, accurate near 0."""

def log_expit(x: _ArrayLike, /) -> Tensor:
    """log(expit(x)) = -log(1 + exp(-x))."""

def log_ndtr(x: _ArrayLike, /) -> Tensor:
    """log Φ(x), accurate on both sides."""

def log_softmax(x: _ArrayLike, /, axis: _Axis = None) -> Tensor:
    """x - log Σ exp(x) along axes (all if None)."""

def logit(x: _ArrayLike, /) -> Tensor:
    """log(p / (1 - p)), the inverse of `expit`; ∓∞ at 0 and 1, NaN outside."""

def logsumexp(
    a: _ArrayLike,
    /,
    axis: _Axis = None,
    b: _ArrayLike | None = None,
    keepdims: bool = False,
) -> Tensor:
    """log Σ b·exp(a) along axes (all if None), without overflow."""

def multigammaln(a: _ArrayLike, d: int, /) -> Tensor:
    """log Γ_d(a) = d(d - 1)/4 · log π + Σ log Γ(a - j/2) over j < d, for a > (d - 1)/2."""

def ndtr(x: _ArrayLike, /) -> Tensor:
    """The normal distribution function Φ(x) = ½ erfc(-x/√2)."""

def ndtri(x: _ArrayLike, /) -> Tensor:
    """The quantiles of the normal distribution: ndtr(ndtri(p)) = p."""

def poch(a: _ArrayLike, m: _ArrayLike, /) -> Tensor:
    """Pochhammer's symbol Γ(a + m) / Γ(a), for positive a and a + m."""

def polygamma(n: int, x: _ArrayLike, /) -> Tensor:
    """ψ⁽ⁿ⁾(x), the n-th derivative of `digamma`: (-1)^(n+1)·n!·ζ(n + 1, x)."""

def psi(x: _ArrayLike, /) -> Tensor:
    """ψ(x), the derivative of log Γ; NaN at negative whole numbers, ∓∞ at ±0."""

def random_gamma_grad(a: _ArrayLike, x: _ArrayLike, /) -> Tensor:
    """dx/da of a sample x of the gamma distribution with shape a: -(dP/da) / (dP/dx)."""

def rel_entr(x: _ArrayLike, y: _ArrayLike, /) -> Tensor:
    """x·log(x / y) for positive x and y, 0 for x = 0 and y ≥ 0, else ∞."""

def sinc(x: _ArrayLike, /) -> Tensor:
    """sin(πx) / (πx), 1 at 0."""

def softmax(x: _ArrayLike, /, axis: _Axis = None) -> Tensor:
    """exp(x) / Σ exp(x) along axes (all if None)."""

def softplus(x: _ArrayLike, /) -> Tensor:
    """log(1 + exp(x)), without overflow."""

def spence(x: _ArrayLike, /) -> Tensor:
    """Spence's function Li₂(1 - x) = -∫₁ˣ log(t)/(t - 1) dt, for x ≥ 0; NaN below."""

def xlog1py(x: _ArrayLike, y: _ArrayLike, /) -> Tensor:
    """x·log(1 + y), and 0 where x = 0 (unless y is NaN)."""

def xlogy(x: _ArrayLike, y: _ArrayLike, /) -> Tensor:
    """x·log(y), and 0 where x = 0 (unless y is NaN)."""

def zeta(x: _ArrayLike, y: _ArrayLike, /) -> Tensor:
    """Hurwitz' zeta function Σ (q + k)^-s over k ≥ 0, for s > 1 and q > 0."""

__all__ = [
    "beta",
    "betainc",
    "betaln",
    "binom",
    "comb",
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfcinv",
    "erfcx",
    "erfinv",
    "exp1",
    "expi",
    "expit",
    "expm1",
    "factorial",
    "gamma",
    "gammainc",
    "gammaincc",
    "gammaln",
    "gammasgn",
    "i0",
    "i0e",
    "i1",
    "i1e",
    "kl_div",
    "lgamma",
    "log1p",
    "log_expit",
    "log_ndtr",
    "log_softmax",
    "logit",
    "logsumexp",
    "multigammaln",
    "ndtr",
    "ndtri",
    "poch",
    "polygamma",
    "psi",
    "random_gamma_grad",
    "rel_entr",
    "sinc",
    "softmax",
    "softplus",
    "spence",
    "xlog1py",
    "xlogy",
    "zeta",
]
