"""Special functions by the names of SciPy, JAX and PyTorch: what `elinvar.special` offers.

They are composites of our own elementary functions (no libm, no SciPy), compute in float64 and
round once, and have derivatives. docs/special.md states their errors.
"""

from __future__ import annotations

from elinvar.tensor.elementwise import expm1, log1p
from elinvar.tensor.extra.arithmetic import sinc
from elinvar.tensor.extra.special_entropy import (
    entr,
    expit,
    kl_div,
    log_expit,
    log_softmax,
    logit,
    logsumexp,
    rel_entr,
    softmax,
    softplus,
    xlog1py,
    xlogy,
)
from elinvar.tensor.extra.special_error import (
    erf,
    erfc,
    erfcinv,
    erfcx,
    erfinv,
    exp1,
    expi,
    i0,
    i0e,
    i1,
    i1e,
    log_ndtr,
    ndtr,
    ndtri,
    spence,
)
from elinvar.tensor.extra.special_gamma import (
    beta,
    betaln,
    binom,
    comb,
    digamma,
    factorial,
    gamma,
    gammaln,
    gammasgn,
    multigammaln,
    poch,
    polygamma,
    psi,
    zeta,
)
from elinvar.tensor.extra.special_incomplete import gammainc, gammaincc, random_gamma_grad
from elinvar.tensor.extra.special_incomplete_beta import betainc

lgamma = gammaln  # PyTorch's name

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
