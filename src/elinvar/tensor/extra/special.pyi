# Made by `python tools/type_stubs.py` from the op table and the sources. Do not edit.

from elinvar.tensor.tensor import Tensor, _ArrayLike, _Axis

def airy_ai(x: _ArrayLike, /) -> Tensor:
    """Ai(x), Airy's function: the solution of y″ = x·y that vanishes at ∞."""

def bessel_j0(x: _ArrayLike, /) -> Tensor:
    """J0(x), the Bessel function of the first kind of order 0."""

def bessel_j1(x: _ArrayLike, /) -> Tensor:
    """J1(x), the Bessel function of the first kind of order 1."""

def bessel_y0(x: _ArrayLike, /) -> Tensor:
    """Y0(x), the Bessel function of the second kind of order 0; -∞ at 0, NaN below."""

def bessel_y1(x: _ArrayLike, /) -> Tensor:
    """Y1(x), the Bessel function of the second kind of order 1; -∞ at 0, NaN below."""

def beta(x: _ArrayLike, y: _ArrayLike, /) -> Tensor:
    """The beta function B(a, b) = Γ(a)·Γ(b) / Γ(a + b)."""

def betainc(x: _ArrayLike, y: _ArrayLike, z: _ArrayLike, /) -> Tensor:
    """The regularized incomplete beta function I_x(a, b), for a, b > 0 and 0 ≤ x ≤ 1."""

def betaln(x: _ArrayLike, y: _ArrayLike, /) -> Tensor:
    """log |B(a, b)| = log |Γ(a)·Γ(b) / Γ(a + b)|; ∞ where the quotient has a pole."""

def binom(x: _ArrayLike, y: _ArrayLike, /) -> Tensor:
    """The binomial coefficient Γ(n + 1) / (Γ(k + 1)·Γ(n - k + 1)), also between whole …"""

def boxcox(x: _ArrayLike, y: _ArrayLike, /) -> Tensor:
    """The transformation of Box and Cox: (x^λ - 1) / λ, and log x for λ = 0."""

def boxcox1p(x: _ArrayLike, y: _ArrayLike, /) -> Tensor:
    """The transformation of Box and Cox of 1 + x, accurate for small x."""

def chebyshev_polynomial_t(x: _ArrayLike, n: int | _ArrayLike, /) -> Tensor:
    """Chebyshev polynomials of the first kind: T_n(cos θ) = cos(nθ)."""

def chebyshev_polynomial_u(x: _ArrayLike, n: int | _ArrayLike, /) -> Tensor:
    """Chebyshev polynomials of the second kind: U_n(cos θ) = sin((n + 1)θ) / sin θ."""

def chebyshev_polynomial_v(x: _ArrayLike, n: int | _ArrayLike, /) -> Tensor:
    """Chebyshev polynomials of the third kind: V_n(cos θ) = cos((n + ½)θ) / cos(θ/2)."""

def chebyshev_polynomial_w(x: _ArrayLike, n: int | _ArrayLike, /) -> Tensor:
    """Chebyshev polynomials of the fourth kind: W_n(cos θ) = sin((n + ½)θ) / sin(θ/2)."""

def comb(n: int | _ArrayLike, k: _ArrayLike, /) -> Tensor:
    """The number of ways to choose k of n things; 0 where k < 0 or k > n."""

def dawsn(x: _ArrayLike, /) -> Tensor:
    """Dawson's integral exp(-x²) ∫ exp(t²) dt from 0 to x."""

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

def exp2(x: _ArrayLike, /) -> Tensor:
    """2 to the power x."""

def expi(x: _ArrayLike, /) -> Tensor:
    """Ei(x) = -∫ exp(-t)/t dt from -x to ∞, as a principal value."""

def expit(x: _ArrayLike, /) -> Tensor:
    """The logistic function 1 / (1 + exp(-x))."""

def expm1(x: _ArrayLike, /) -> Tensor:
    """The exponential function less 1, accurate near 0."""

def expn(x: _ArrayLike, y: _ArrayLike, /) -> Tensor:
    """E_n(x) = ∫ exp(-x·t) / tⁿ dt from 1 to ∞, for whole n ≥ 0 and x ≥ 0; NaN elsewhere."""

def factorial(n: int | _ArrayLike, /, exact: bool = False) -> Tensor:
    """n! = Γ(n + 1), also between whole numbers; 0 for negative ones as in SciPy."""

def fresnel(x: _ArrayLike, /) -> tuple[Tensor, Tensor]:
    """Fresnel's integrals S(x) = ∫ sin(πt²/2) dt and C(x) = ∫ cos(πt²/2) dt, from 0 to x."""

def gamma(x: _ArrayLike, /) -> Tensor:
    """The gamma function Γ(x); NaN at negative whole numbers, ±∞ at ±0."""

def gammainc(x: _ArrayLike, y: _ArrayLike, /) -> Tensor:
    """The regularized lower incomplete gamma function P(a, x) = γ(a, x) / Γ(a)."""

def gammaincc(x: _ArrayLike, y: _ArrayLike, /) -> Tensor:
    """The regularized upper incomplete gamma function Q(a, x) = 1 - P(a, x)."""

def gammaln(x: _ArrayLike, /) -> Tensor:
    """log |Γ(x)|, the logarithm of the gamma function's size."""

def gammasgn(x: _ArrayLike, /) -> Tensor:
    """The sign of Γ(x): 1 or -1; NaN at negative whole numbers."""

def hermite_polynomial_h(x: _ArrayLike, n: int | _ArrayLike, /) -> Tensor:
    """Hermite polynomials, as physicists have them: H_n(x) = (-1)ⁿ·exp(x²)·dⁿ/dxⁿ exp(-x²)."""

def hermite_polynomial_he(x: _ArrayLike, n: int | _ArrayLike, /) -> Tensor:
    """Hermite polynomials, as probability theory has them: He_n(x) = 2^(-n/2)·H_n(x/√2)."""

def i0(x: _ArrayLike, /) -> Tensor:
    """I0(x), the modified Bessel function of order 0."""

def i0e(x: _ArrayLike, /) -> Tensor:
    """exp(-|x|)·I0(x), the scaled modified Bessel function of order 0."""

def i1(x: _ArrayLike, /) -> Tensor:
    """I1(x), the modified Bessel function of order 1."""

def i1e(x: _ArrayLike, /) -> Tensor:
    """exp(-|x|)·I1(x), the scaled modified Bessel function of order 1."""

def j0(x: _ArrayLike, /) -> Tensor:
    """J0(x), the Bessel function of the first kind of order 0."""

def j1(x: _ArrayLike, /) -> Tensor:
    """J1(x), the Bessel function of the first kind of order 1."""

def k0(x: _ArrayLike, /) -> Tensor:
    """K0(x), the modified Bessel function of the second kind of order 0; ∞ at 0, NaN below."""

def k0e(x: _ArrayLike, /) -> Tensor:
    """exp(x)·K0(x), which does not underflow."""

def k1(x: _ArrayLike, /) -> Tensor:
    """K1(x), the modified Bessel function of the second kind of order 1; ∞ at 0, NaN below."""

def k1e(x: _ArrayLike, /) -> Tensor:
    """exp(x)·K1(x), which does not underflow."""

def kl_div(x: _ArrayLike, y: _ArrayLike, /) -> Tensor:
    """x·log(x / y) - x + y, whose sum is the divergence of Kullback and Leibler; ∞ for …"""

def laguerre_polynomial_l(x: _ArrayLike, n: int | _ArrayLike, /) -> Tensor:
    """Laguerre polynomials: L_n(x) = eˣ/n!·dⁿ/dxⁿ (xⁿ·e^-x)."""

def legendre_polynomial_p(x: _ArrayLike, n: int | _ArrayLike, /) -> Tensor:
    """Legendre polynomials: P_n(x) = 1/(2ⁿ·n!)·dⁿ/dxⁿ (x² - 1)ⁿ."""

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

def modified_bessel_i0(x: _ArrayLike, /) -> Tensor:
    """I0(x), the modified Bessel function of order 0."""

def modified_bessel_i1(x: _ArrayLike, /) -> Tensor:
    """I1(x), the modified Bessel function of order 1."""

def modified_bessel_k0(x: _ArrayLike, /) -> Tensor:
    """K0(x), the modified Bessel function of the second kind of order 0; ∞ at 0, NaN below."""

def modified_bessel_k1(x: _ArrayLike, /) -> Tensor:
    """K1(x), the modified Bessel function of the second kind of order 1; ∞ at 0, NaN below."""

def multigammaln(a: _ArrayLike, d: int, /) -> Tensor:
    """log Γ_d(a) = d(d - 1)/4 · log π + Σ log Γ(a - j/2) over j < d, for a > (d - 1)/2."""

def ndtr(x: _ArrayLike, /) -> Tensor:
    """The normal distribution function Φ(x) = ½ erfc(-x/√2)."""

def ndtri(x: _ArrayLike, /) -> Tensor:
    """The quantiles of the normal distribution: ndtr(ndtri(p)) = p."""

def owens_t(x: _ArrayLike, y: _ArrayLike, /) -> Tensor:
    """Owen's T(h, a) = 1/(2π) ∫ exp(-h²(1 + t²)/2) / (1 + t²) dt from 0 to a."""

def poch(x: _ArrayLike, y: _ArrayLike, /) -> Tensor:
    """Pochhammer's symbol Γ(a + m) / Γ(a), with its limits where both have a pole."""

def polygamma(n: int | _ArrayLike, x: _ArrayLike, /) -> Tensor:
    """ψ⁽ⁿ⁾(x), the n-th derivative of `digamma`: (-1)^(n+1)·n!·ζ(n + 1, x)."""

def psi(x: _ArrayLike, /) -> Tensor:
    """ψ(x), the derivative of log Γ; NaN at negative whole numbers, ∓∞ at ±0."""

def random_gamma_grad(a: _ArrayLike, x: _ArrayLike, /) -> Tensor:
    """dx/da of a sample x of the gamma distribution with shape a: -(dP/da) / (dP/dx)."""

def rel_entr(x: _ArrayLike, y: _ArrayLike, /) -> Tensor:
    """x·log(x / y) for positive x and y, 0 for x = 0 and y ≥ 0, else ∞."""

def scaled_modified_bessel_k0(x: _ArrayLike, /) -> Tensor:
    """exp(x)·K0(x), which does not underflow."""

def scaled_modified_bessel_k1(x: _ArrayLike, /) -> Tensor:
    """exp(x)·K1(x), which does not underflow."""

def shifted_chebyshev_polynomial_t(x: _ArrayLike, n: int | _ArrayLike, /) -> Tensor:
    """Chebyshev polynomials of the first kind on 0 … 1: T_n(2x - 1)."""

def shifted_chebyshev_polynomial_u(x: _ArrayLike, n: int | _ArrayLike, /) -> Tensor:
    """Chebyshev polynomials of the second kind on 0 … 1: U_n(2x - 1)."""

def shifted_chebyshev_polynomial_v(x: _ArrayLike, n: int | _ArrayLike, /) -> Tensor:
    """Chebyshev polynomials of the third kind on 0 … 1: V_n(2x - 1)."""

def shifted_chebyshev_polynomial_w(x: _ArrayLike, n: int | _ArrayLike, /) -> Tensor:
    """Chebyshev polynomials of the fourth kind on 0 … 1: W_n(2x - 1)."""

def sici(x: _ArrayLike, /) -> tuple[Tensor, Tensor]:
    """The sine and cosine integrals Si(x) = ∫ sin(t)/t and Ci(x) = γ + log x + ∫ (cos(t) - …"""

def sinc(x: _ArrayLike, /) -> Tensor:
    """sin(πx) / (πx), 1 at 0."""

def softmax(x: _ArrayLike, /, axis: _Axis = None) -> Tensor:
    """exp(x) / Σ exp(x) along axes (all if None)."""

def softplus(x: _ArrayLike, /) -> Tensor:
    """log(1 + exp(x)), without overflow."""

def spence(x: _ArrayLike, /) -> Tensor:
    """Spence's function Li₂(1 - x) = -∫₁ˣ log(t)/(t - 1) dt, for x ≥ 0; NaN below."""

def spherical_bessel_j0(x: _ArrayLike, /) -> Tensor:
    """j0(x) = sin(x) / x, the spherical Bessel function of order 0."""

def xlog1py(x: _ArrayLike, y: _ArrayLike, /) -> Tensor:
    """x·log(1 + y), and 0 where x = 0 (unless y is NaN)."""

def xlogy(x: _ArrayLike, y: _ArrayLike, /) -> Tensor:
    """x·log(y), and 0 where x = 0 (unless y is NaN)."""

def y0(x: _ArrayLike, /) -> Tensor:
    """Y0(x), the Bessel function of the second kind of order 0; -∞ at 0, NaN below."""

def y1(x: _ArrayLike, /) -> Tensor:
    """Y1(x), the Bessel function of the second kind of order 1; -∞ at 0, NaN below."""

def zeta(x: _ArrayLike, y: _ArrayLike, /) -> Tensor:
    """Hurwitz' zeta function Σ (q + k)^-s over k ≥ 0, for s > 1."""

__all__ = [
    "airy_ai",
    "bessel_j0",
    "bessel_j1",
    "bessel_y0",
    "bessel_y1",
    "beta",
    "betainc",
    "betaln",
    "binom",
    "boxcox",
    "boxcox1p",
    "chebyshev_polynomial_t",
    "chebyshev_polynomial_u",
    "chebyshev_polynomial_v",
    "chebyshev_polynomial_w",
    "comb",
    "dawsn",
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfcinv",
    "erfcx",
    "erfinv",
    "exp1",
    "exp2",
    "expi",
    "expit",
    "expm1",
    "expn",
    "factorial",
    "fresnel",
    "gamma",
    "gammainc",
    "gammaincc",
    "gammaln",
    "gammasgn",
    "hermite_polynomial_h",
    "hermite_polynomial_he",
    "i0",
    "i0e",
    "i1",
    "i1e",
    "j0",
    "j1",
    "k0",
    "k0e",
    "k1",
    "k1e",
    "kl_div",
    "laguerre_polynomial_l",
    "legendre_polynomial_p",
    "lgamma",
    "log1p",
    "log_expit",
    "log_ndtr",
    "log_softmax",
    "logit",
    "logsumexp",
    "modified_bessel_i0",
    "modified_bessel_i1",
    "modified_bessel_k0",
    "modified_bessel_k1",
    "multigammaln",
    "ndtr",
    "ndtri",
    "owens_t",
    "poch",
    "polygamma",
    "psi",
    "random_gamma_grad",
    "rel_entr",
    "scaled_modified_bessel_k0",
    "scaled_modified_bessel_k1",
    "shifted_chebyshev_polynomial_t",
    "shifted_chebyshev_polynomial_u",
    "shifted_chebyshev_polynomial_v",
    "shifted_chebyshev_polynomial_w",
    "sici",
    "sinc",
    "softmax",
    "softplus",
    "spence",
    "spherical_bessel_j0",
    "xlog1py",
    "xlogy",
    "y0",
    "y1",
    "zeta",
]
