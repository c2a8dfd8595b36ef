"""Initial values: each function sets a parameter in place and returns it.

Draws come from the global generator (`el.manual_seed`), so a seed decides a model's first weights.
The names and formulas are PyTorch's.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from elinvar.core.dtypes import float64
from elinvar.core.errors import ShapeError, ValueRangeError, fail
from elinvar.nn.parameter import set_value
from elinvar.tensor import random
from elinvar.tensor.creation import asarray, eye, full, zeros
from elinvar.tensor.elementwise import erf, log, sqrt
from elinvar.tensor.lost import watch_argument
from elinvar.tensor.tensor import Tensor

_BLOCK = 32  # columns that `orthonormal` takes at once
_GAINS = {"tanh": 5.0 / 3.0, "relu": math.sqrt(2.0), "selu": 3.0 / 4.0}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that keeps the variance through a nonlinearity.

    linear, convolutions and sigmoid 1; tanh 5/3; relu √2; leaky_relu √(2/(1 + slope²)) with
    `param` the slope (0.01); selu 3/4.

    Example:
        >>> import elinvar as el
        >>> el.nn.init.calculate_gain("leaky_relu", 1.0)
        1.0
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else float(param)
        return math.sqrt(2.0 / (1 + slope * slope))
    if nonlinearity in ("linear", "sigmoid") or nonlinearity.startswith("conv"):
        return 1.0
    if nonlinearity not in _GAINS:
        known = ", ".join(("linear", "sigmoid", "leaky_relu", *_GAINS))
        text = f"nonlinearity {nonlinearity!r} is not known; known: {known}"
        fail(ValueRangeError, "calculate_gain", text)
    return _GAINS[nonlinearity]


def _set(tensor: Tensor, value: Tensor) -> Tensor:
    """Rebind the cell to `value` without leaving a trace on the tape."""
    watch_argument("init", tensor)
    set_value(tensor, value.astype(tensor.dtype))
    return tensor


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Draw from U(a, b).

    Example:
        >>> import elinvar as el
        >>> w = el.nn.init.uniform_(el.zeros((3, 4)), -1.0, 1.0)
        >>> bool((w.abs() <= 1).all())
        True
    """
    return _set(tensor, random.uniform(a, b, tensor.shape))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Draw from the normal distribution N(mean, std²)."""
    return _set(tensor, random.normal(mean, std, tensor.shape))


def trunc_normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0
) -> Tensor:
    """Draw from N(mean, std²) restricted to a ≤ x ≤ b (absolute bounds, not multiples of std).

    x = mean + std · Φ⁻¹(u), u from U(Φ((a - mean)/std), Φ((b - mean)/std)).
    """
    if not a < b:
        fail(ValueRangeError, "trunc_normal_", f"a must be less than b, received {a} and {b}")
    low, high = (_normal_cdf((bound - mean) / std) for bound in (a, b))
    uniform = random.rand(size=tensor.shape).numpy().astype(np.float64)
    values = mean + std * normal_quantile(low + (high - low) * uniform)
    return _set(tensor, asarray(np.clip(values, a, b).astype(np.float32)))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Set all elements to `val`."""
    return _set(tensor, full(tensor.shape, val, dtype=tensor.dtype))


def zeros_(tensor: Tensor) -> Tensor:
    """Set all elements to 0."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Set all elements to 1."""
    return constant_(tensor, 1.0)


def eye_(tensor: Tensor) -> Tensor:
    """Set a matrix to the identity: ones on the diagonal, zeros elsewhere."""
    rows, columns = _matrix_shape("eye_", tensor)
    return _set(tensor, eye(rows, columns))


def _matrix_shape(op: str, tensor: Tensor) -> tuple[int, int]:
    if tensor.ndim != 2:
        fail(ShapeError, op, f"expected a matrix, received {tensor._type}")
    rows, columns = tensor.shape
    return rows, columns


def fans(tensor: Tensor) -> tuple[int, int]:
    """Inputs and outputs of one unit: (in·taps, out·taps) for a weight (out, in, *taps)."""
    shape = tuple(tensor.shape)
    if len(shape) < 2:
        text = f"fan in and fan out need at least 2 dimensions, received {tensor._type}"
        fail(ShapeError, "init", text)
    taps = math.prod(shape[2:])
    return shape[1] * taps, shape[0] * taps


def _fan(op: str, tensor: Tensor, mode: str) -> int:
    if mode not in ("fan_in", "fan_out"):
        fail(ValueRangeError, op, f"mode must be 'fan_in' or 'fan_out', received {mode!r}")
    return fans(tensor)[mode == "fan_out"]


def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Draw from U(-k, k), k = gain · √(6/(fan in + fan out)) (Glorot and Bengio, 2010)."""
    bound = gain * math.sqrt(6.0 / sum(fans(tensor)))
    return uniform_(tensor, -bound, bound)


def xavier_normal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Draw from N(0, s²), s = gain · √(2/(fan in + fan out)) (Glorot and Bengio, 2010)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(fans(tensor))))


def kaiming_uniform_(
    tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> Tensor:
    """Draw from U(-k, k), k = gain · √(3/fan) (He et al., 2015).

    Args:
        tensor: the weight, (out, in, *taps).
        a: the slope of leaky_relu.
        mode: `fan_in` keeps the variance forward, `fan_out` backward.
        nonlinearity: see `calculate_gain`.
    """
    fan = _fan("kaiming_uniform_", tensor, mode)
    bound = calculate_gain(nonlinearity, a) * math.sqrt(3.0 / fan)
    return uniform_(tensor, -bound, bound)


def kaiming_normal_(
    tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> Tensor:
    """Draw from N(0, s²), s = gain/√fan (He et al., 2015). Arguments as `kaiming_uniform_`."""
    fan = _fan("kaiming_normal_", tensor, mode)
    return normal_(tensor, 0.0, calculate_gain(nonlinearity, a) / math.sqrt(fan))


def orthogonal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Set to a random (semi-)orthogonal matrix, uniform over all (Saxe et al., 2014).

    A weight of more than two dimensions is seen as the matrix (first, product of the rest). It is
    made in float64.
    """
    if tensor.ndim < 2:
        fail(ShapeError, "orthogonal_", f"expected at least 2 dimensions, received {tensor._type}")
    shape = tuple(tensor.shape)
    rows, columns = shape[0], math.prod(shape[1:])
    draws = random.randn(rows, columns).astype(float64)
    matrix = orthonormal(draws) if rows >= columns else orthonormal(draws.mT).mT
    return _set(tensor, (gain * matrix).reshape(shape))


def orthonormal(x: Tensor) -> Tensor:
    """The Q of x = Q R with a positive diagonal of R, for x of independent columns (n, k), k ≤ n.

    Gram and Schmidt's method, applied twice to each column, which is enough (Giraud et al., 2005);
    first for a block of columns with all before it, then within the block.
    """
    found = zeros(x.shape, dtype=x.dtype)  # columns that are still 0 take nothing away
    for first in range(0, x.shape[1], _BLOCK):
        part = x[:, first : first + _BLOCK]
        for _ in range(2 if first else 0):
            part = part - found @ (found.mT @ part)
        block = zeros(part.shape, dtype=x.dtype)
        for number in range(part.shape[1]):
            column = part[:, number : number + 1]
            for _ in range(2 if number else 0):
                column = column - block @ (block.mT @ column)
            block[:, number : number + 1] = column / sqrt((column * column).sum())
        found[:, first : first + _BLOCK] = block
    return found


def _normal_cdf(x: float) -> float:
    """Φ(x), by our own erf: the C library's bits are its own."""
    whole: float = erf(asarray(x / math.sqrt(2.0), dtype=float64)).item()
    return 0.5 * (1.0 + whole)


# Coefficients of Wichura, "Algorithm AS 241: the percentage points of the normal distribution"
# (Applied Statistics 37, 1988), highest power first: numerator and denominator for the middle
# |p - 1/2| ≤ 0.425, for the tails down to e⁻²⁵, and beyond.
_MIDDLE = (
    (2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4,
     4.5921953931549871457e4, 1.3731693765509461125e4, 1.9715909503065514427e3,
     1.3314166789178437745e2, 3.3871328727963666080e0),
    (5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4,
     2.1213794301586595867e4, 5.3941960214247511077e3, 6.8718700749205790830e2,
     4.2313330701600911252e1, 1.0),
)  # fmt: skip
_TAIL = (
    (7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1,
     1.27045825245236838258e0, 3.64784832476320460504e0, 5.76949722146069140550e0,
     4.63033784615654529590e0, 1.42343711074968357734e0),
    (1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2,
     1.48103976427480074590e-1, 6.89767334985100004550e-1, 1.67638483018380384940e0,
     2.05319162663775882187e0, 1.0),
)  # fmt: skip
_FAR_TAIL = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3,
     2.65321895265761230930e-2, 2.96560571828504891230e-1, 1.78482653991729133580e0,
     5.46378491116411436990e0, 6.65790464350110377720e0),
    (2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5,
     7.86869131145613259100e-4, 1.48753612908506148525e-2, 1.36929880922735805310e-1,
     5.99832206555887937690e-1, 1.0),
)  # fmt: skip


def _ratio(coefficients: Any, x: np.ndarray) -> np.ndarray:
    return np.polyval(coefficients[0], x) / np.polyval(coefficients[1], x)


def normal_quantile(p: np.ndarray) -> np.ndarray:
    """Φ⁻¹(p): where the standard normal distribution function takes the value p (0 → -∞, 1 → ∞)."""
    p = np.asarray(p, dtype=np.float64)
    centred = p - 0.5
    middle = centred * _ratio(_MIDDLE, 0.180625 - np.minimum(np.abs(centred), 0.425) ** 2)
    depth = np.sqrt(-log(asarray(np.minimum(p, 1.0 - p))).numpy())
    finite = np.where(np.isinf(depth), 5.0, depth)
    tail = np.where(finite <= 5.0, _ratio(_TAIL, finite - 1.6), _ratio(_FAR_TAIL, finite - 5.0))
    tail = np.where(np.isinf(depth), np.inf, tail)
    return np.where(np.abs(centred) <= 0.425, middle, np.copysign(tail, centred))
