"""Random numbers: counter-based (Philox4x32-10), the same on every engine and with any threads.

Words come from generators and keys (streams.py); a compiled step draws the numbers that the eager
one would.

    uniform     the top bits of a word, times a power of two: all multiples in [0, 1)
    normal      √2 · erfinv of a word, see `special.normal_of_bits`

Every function also takes `key=`, the state of a stream that it does not change: as in JAX, equal
keys give equal numbers, and `split` makes new ones. Distributions beyond these are in `extra/`.
"""

from __future__ import annotations

import importlib
import math
from typing import Any

from elinvar.core.dtypes import (
    as_dtype,
    default_float,
    default_int,
    float32,
    int64,
    uint32,
    uint64,
)
from elinvar.core.errors import DTypeError, ValueRangeError, fail
from elinvar.core.shapes import Shape
from elinvar.tensor import elementwise as ew
from elinvar.tensor import reductions as red
from elinvar.tensor.cell import Cell, current_trace
from elinvar.tensor.composite import composite
from elinvar.tensor.convert import (
    cast,
    check_integer,
    expand,
    is_number,
    tensor_of,
)
from elinvar.tensor.creation import checked_shape
from elinvar.tensor.dispatch import F
from elinvar.tensor.manipulation import reshape
from elinvar.tensor.special import normal_of_bits
from elinvar.tensor.streams import Generator, default_generator, source, words


def manual_seed(seed: int) -> Generator:
    """Seed the default generator, from which all random functions and layers draw.

    Example:
        >>> import elinvar as el
        >>> _ = el.manual_seed(0)
        >>> a = el.rand(3)
        >>> _ = el.manual_seed(0)
        >>> bool((a == el.rand(3)).all())
        True
    """
    return default_generator.manual_seed(seed)


def _sizes(op: str, shape: tuple[Any, ...], named: Any) -> Shape:
    """Sizes given as in `rand(2, 3)`, `rand((2, 3))` or `rand(size=(2, 3))`."""
    if named is not None:
        return checked_shape(op, named)
    if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
        return checked_shape(op, shape[0])
    return checked_shape(op, shape)


def _float_dtype(op: str, dtype: Any) -> Any:
    found = as_dtype(dtype or default_float)
    if found.kind != "f":
        fail(DTypeError, op, f"expected a floating dtype, received {found.name}")
    return found


_UNIFORM_BITS = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}


@composite
def _uniform_of_bits(bits: Any, *, dtype: Any) -> Any:
    """The top bits of each word as a fraction in [0, 1)."""
    kept = _UNIFORM_BITS[dtype.name]
    top = ew.bitwise_right_shift(bits, bits.dtype.bits - kept)
    wide = dtype if dtype.bits > 16 else float32
    return cast(ew.multiply(cast(top, wide), 2.0**-kept), dtype)


def rand(
    *shape: Any,
    size: Any = None,
    dtype: Any = None,
    generator: Generator | None = None,
    key: Any = None,
) -> Any:
    """Numbers from the uniform distribution on [0, 1).

    Example:
        >>> import elinvar as el
        >>> el.rand(2, 3).shape
        (2, 3)
    """
    dims = _sizes("rand", shape, size)
    kind = _float_dtype("rand", dtype)
    return _uniform_of_bits(words(source(generator, key), dims, kind.bits == 64), dtype=kind)


def uniform(
    low: float = 0.0,
    high: float = 1.0,
    size: Any = (),
    *,
    dtype: Any = None,
    generator: Generator | None = None,
    key: Any = None,
) -> Any:
    """Numbers from the uniform distribution on [low, high).

    Example:
        >>> import elinvar as el
        >>> x = el.uniform(-1.0, 1.0, (100,))
        >>> bool((x >= -1).all()) and bool((x < 1).all())
        True
    """
    unit = rand(size=size, dtype=dtype, generator=generator, key=key)
    return ew.add(ew.multiply(unit, ew.subtract(high, low)), low)


def randn(
    *shape: Any,
    size: Any = None,
    dtype: Any = None,
    generator: Generator | None = None,
    key: Any = None,
) -> Any:
    """Numbers from the normal distribution with mean 0 and variance 1.

    Example:
        >>> import elinvar as el
        >>> el.randn(2, 3).shape
        (2, 3)
    """
    dims = _sizes("randn", shape, size)
    kind = _float_dtype("randn", dtype)
    return normal_of_bits(words(source(generator, key), dims, kind.bits == 64), dtype=kind)


def rand_like(
    x: Any, /, *, dtype: Any = None, generator: Generator | None = None, key: Any = None
) -> Any:
    """Numbers from the uniform distribution on [0, 1) in the shape of x, and of its dtype.

    Example:
        >>> import elinvar as el
        >>> el.rand_like(el.ones((2, 3))).shape
        (2, 3)
    """
    x = tensor_of("rand_like", x)
    return rand(size=x.shape, dtype=dtype or x.dtype, generator=generator, key=key)


def randn_like(
    x: Any, /, *, dtype: Any = None, generator: Generator | None = None, key: Any = None
) -> Any:
    """Numbers from the normal distribution in the shape of x, and of its dtype.

    Example:
        >>> import elinvar as el
        >>> el.randn_like(el.ones((2, 3))).shape
        (2, 3)
    """
    x = tensor_of("randn_like", x)
    return randn(size=x.shape, dtype=dtype or x.dtype, generator=generator, key=key)


def normal(
    mean: Any = 0.0,
    std: Any = 1.0,
    size: Any = None,
    *,
    dtype: Any = None,
    generator: Generator | None = None,
    key: Any = None,
) -> Any:
    """Numbers from normal distributions; mean and std may be tensors that broadcast.

    Example:
        >>> import elinvar as el
        >>> el.normal(10.0, 0.1, (4,)).shape
        (4,)
    """
    if size is None:
        size = ew.add(mean, std).shape
    if is_number(std) and not std >= 0:
        fail(ValueRangeError, "normal", f"std must not be negative, received {std}")
    unit = randn(size=size, dtype=dtype, generator=generator, key=key)
    return ew.add(ew.multiply(unit, std), mean)


def randint(
    low: int,
    high: int | None = None,
    size: Any = (),
    *,
    dtype: Any = None,
    generator: Generator | None = None,
    key: Any = None,
) -> Any:
    """Integers from the uniform distribution on low … high-1 (0 … low-1 with one bound).

    A range of up to 2³² is drawn as (word · range) >> 32, a greater one as 64 bits modulo range.

    Example:
        >>> import elinvar as el
        >>> x = el.randint(0, 10, (100,))
        >>> bool(((x >= 0) & (x < 10)).all())
        True
    """
    low, high = (0, low) if high is None else (low, high)
    kind = as_dtype(dtype or default_int)
    if high <= low:
        fail(ValueRangeError, "randint", f"the range {low} … {high - 1} is empty")
    if kind.kind in "iu":
        check_integer("randint", low, kind)
        check_integer("randint", high - 1, kind)
    dims = checked_shape("randint", size)
    drawn = _bounded(
        words(source(generator, key), dims, high - low > 2**32), count=high - low, low=low
    )
    return cast(drawn if kind.kind == "u" else F.bitcast(drawn, dtype=int64), kind)


@composite
def _bounded(words: Any, *, count: int, low: int) -> Any:
    """Words (uint32 or uint64) as low + (0 … count-1), in uint64."""
    if words.dtype is uint32:
        scaled = ew.bitwise_right_shift(ew.multiply(cast(words, uint64), count), 32)
    else:
        scaled = words if count == 2**64 else ew.remainder(words, count)
    # unsigned arithmetic wraps around, which gives negative numbers' two's complement
    return ew.add(scaled, low % 2**64)


def permutation(n: int | Any, *, generator: Generator | None = None, key: Any = None) -> Any:
    """The numbers 0 … n-1 in random order, or the rows of a tensor in random order.

    Example:
        >>> import elinvar as el
        >>> el.sort(el.permutation(4)).tolist()
        [0, 1, 2, 3]
    """
    if isinstance(n, Cell):
        order = permutation(n.shape[0], generator=generator, key=key)
        return F.gather(n, order, axis=0)
    (count,) = checked_shape("permutation", (n,))
    return F.argsort(words(source(generator, key), (count,), True), axis=0, descending=False)


randperm = permutation


def bernoulli(
    p: Any,
    size: Any = None,
    *,
    dtype: Any = None,
    generator: Generator | None = None,
    key: Any = None,
) -> Any:
    """1 with probability p, else 0.

    Args:
        p: a number (then `size` tells the shape) or a tensor of probabilities.
        dtype: by default that of p (float32 for a number).

    Example:
        >>> import elinvar as el
        >>> el.bernoulli(1.0, (3,)).tolist()
        [1.0, 1.0, 1.0]
    """
    if isinstance(p, Cell):
        if current_trace() is None:
            inside = ew.logical_and(ew.greater_equal(p, 0), ew.less_equal(p, 1))
            if not bool(red.all(inside)):
                text = f"p must be between 0 and 1, received {p!r:.200}"
                fail(ValueRangeError, "bernoulli", text, "apply `sigmoid` to logits first")
        dims = p.shape if size is None else checked_shape("bernoulli", size)
        kind = p.dtype if p.dtype.kind == "f" else None
        drawn = rand(size=dims, dtype=kind, generator=generator, key=key)
        return cast(ew.less(drawn, p), as_dtype(dtype or drawn.dtype))
    if not 0 <= p <= 1:
        fail(ValueRangeError, "bernoulli", f"p must be between 0 and 1, received {p}")
    dims = checked_shape("bernoulli", () if size is None else size)
    return cast(keep_mask(p, dims, source(generator, key)), as_dtype(dtype or default_float))


def keep_mask(p: float, shape: Shape, generator: Any = None) -> Any:
    """A bool tensor that is True with probability p: word < p · 2³². Used by dropout."""
    drawn = (generator or default_generator).bits(shape)
    limit = math.floor(p * 2**32)
    if limit >= 2**32:
        return F.equal(drawn, drawn)
    return ew.less(drawn, limit)


def exponential(
    size: Any = (), *, dtype: Any = None, generator: Generator | None = None, key: Any = None
) -> Any:
    """Numbers from the exponential distribution with mean 1: -log(1 - u).

    Example:
        >>> import elinvar as el
        >>> bool((el.random.exponential((10,)) >= 0).all())
        True
    """
    unit = rand(size=size, dtype=dtype, generator=generator, key=key)
    return F.negative(F.log1p(F.negative(unit)))


def multinomial(
    weights: Any,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: Generator | None = None,
    key: Any = None,
) -> Any:
    """Indices drawn in proportion to weights (which need not add up to 1) along the last axis.

    Draws by exponential races: the index of the least e / weight wins, which without replacement
    gives the order of a sequential draw.

    Example:
        >>> import elinvar as el
        >>> el.multinomial(el.asarray([0.0, 1.0, 0.0]), 1).tolist()
        [1]
    """
    weights = tensor_of("multinomial", weights)
    if weights.dtype.kind != "f" or not weights.ndim:
        fail(DTypeError, "multinomial", f"weights must be floats, received {weights._type}")
    count = weights.shape[-1]
    if current_trace() is None:
        fair = ew.logical_and(ew.isfinite(weights), ew.greater_equal(weights, 0))
        if not bool(red.all(fair)) or not bool(red.all(red.sum(weights, axis=-1) > 0)):
            text = f"weights must be finite, not negative and not all 0, received {weights!r:.200}"
            fail(ValueRangeError, "multinomial", text)
    if not replacement and isinstance(count, int) and num_samples > count:
        text = f"{num_samples} samples without replacement of {weights._type}"
        fail(ValueRangeError, "multinomial", text)
    if not replacement:
        races = exponential(
            weights.shape, dtype=weights.dtype, generator=generator, key=key
        )
        times = ew.where(ew.greater(weights, 0), ew.divide(races, weights), math.inf)
        return F.top_k(F.negative(times), k=num_samples)[1]
    shape = (*weights.shape[:-1], num_samples, count)
    races = exponential(shape, dtype=weights.dtype, generator=generator, key=key)
    each = expand(reshape(weights, (*weights.shape[:-1], 1, count)), shape)
    times = ew.where(ew.greater(each, 0), ew.divide(races, each), math.inf)
    return F.argmin(times, axis=len(shape) - 1)


# Distributions that a program may not need are imported when they are first named.
_LATER = {
    name: f"elinvar.tensor.extra.{module}"
    for module, names in {
        "keys": "key split fold_in",
        "distributions": """cauchy chisquare f geometric gumbel laplace logistic lognormal maxwell
            pareto rademacher rayleigh t triangular truncated_normal wald weibull""",
        "discrete": """binomial bits categorical choice multinomial_counts negative_binomial poisson
            shuffle""",
        "shaped": "ball beta dirichlet gamma loggamma multivariate_normal orthogonal",
    }.items()
    for name in names.split()
}


def __getattr__(name: str) -> Any:
    place = _LATER.get(name)
    if place is None:
        raise AttributeError(f"module 'elinvar.random' has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(place), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
