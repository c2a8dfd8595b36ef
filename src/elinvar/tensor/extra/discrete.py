"""Counts, classes and choices."""

from __future__ import annotations

from typing import Any

from elinvar.core.dtypes import as_dtype, float64, int64, uint32, uint64
from elinvar.core.errors import DTypeError, ShapeError, ValueRangeError, fail
from elinvar.core.shapes import normalize_axis
from elinvar.core.shapes import size as count_of
from elinvar.tensor import elementwise as ew
from elinvar.tensor import manipulation as man
from elinvar.tensor import reductions as red
from elinvar.tensor.composite import composite
from elinvar.tensor.convert import cast, expand, tensor_of
from elinvar.tensor.creation import checked_shape
from elinvar.tensor.dispatch import F
from elinvar.tensor.extra import drawing
from elinvar.tensor.extra.distributions import gumbel
from elinvar.tensor.extra.drawing import check, check_share, parameters
from elinvar.tensor.extra.sampling_loops import binomial_draws, log_gamma_draws, poisson_draws
from elinvar.tensor.random import permutation, randint
from elinvar.tensor.searching import searchsorted, take
from elinvar.tensor.streams import source, words


def bits(
    size: Any = (), dtype: Any = None, *, generator: Any = None, key: Any = None
) -> Any:
    """Uniform words of all bits: uint32 by default, or another unsigned dtype.

    Example:
        >>> import elinvar as el
        >>> el.random.bits((2,)).dtype is el.uint32
        True
    """
    kind = as_dtype(dtype or uint32)
    if kind.kind != "u":
        fail(DTypeError, "bits", f"expected an unsigned dtype, received {kind.name}")
    shape = checked_shape("bits", size)
    return cast(words(source(generator, key), shape, kind is uint64), kind)


def poisson(
    lam: Any = 1.0, size: Any = None, *, dtype: Any = None, generator: Any = None, key: Any = None
) -> Any:
    """Counts from the Poisson distribution with mean lam, as int64 (or another dtype).

    Below a mean of 10 probabilities are added up until they reach a uniform number; above, by
    Hörmann's transformed rejection (1993).

    Raises:
        ValueRangeError: a rate is negative (in eager mode).

    Example:
        >>> import elinvar as el
        >>> bool((el.random.poisson(4.0, (9,)) >= 0).all())
        True
    """
    (rate,), shape = parameters("poisson", size, lam)
    check("poisson", "lam", rate, strict=False)
    state = drawing.spawned(generator, key)
    found = poisson_draws(state, expand(cast(rate, float64), shape))
    return cast(found, as_dtype(dtype or int64))


def binomial(
    n: Any, p: Any, size: Any = None, *, dtype: Any = None, generator: Any = None, key: Any = None
) -> Any:
    """How many of n independent trials succeed, each with probability p, as int64.

    Example:
        >>> import elinvar as el
        >>> x = el.random.binomial(10, 0.5, (9,))
        >>> bool(((x >= 0) & (x <= 10)).all())
        True
    """
    (count, share), shape = parameters("binomial", size, n, p)
    check("binomial", "n", count, strict=False)
    check_share("binomial", "p", share)
    count, share = (expand(cast(x, float64), shape) for x in (count, share))
    found = _binomial(drawing.spawned(generator, key), count, share)
    return cast(found, as_dtype(dtype or int64))


@composite
def _binomial(state: Any, n: Any, p: Any) -> Any:
    high = ew.greater(p, 0.5)
    found = binomial_draws(state, n, F.where(high, ew.subtract(1.0, p), p))
    return F.where(high, F.subtract(n, found), found)


def negative_binomial(
    n: Any, p: Any, size: Any = None, *, dtype: Any = None, generator: Any = None, key: Any = None
) -> Any:
    """How many trials fail before n succeed, each with probability p, as int64.

    A Poisson variable whose mean is a gamma variable.

    Example:
        >>> import elinvar as el
        >>> bool((el.random.negative_binomial(3, 0.5, (9,)) >= 0).all())
        True
    """
    (count, share), shape = parameters("negative_binomial", size, n, p)
    check("negative_binomial", "n", count)
    check("negative_binomial", "p", share)
    check_share("negative_binomial", "p", share)
    stream = source(generator, key)
    count, share = (expand(cast(x, float64), shape) for x in (count, share))
    logs = log_gamma_draws(drawing.spawned_of(stream), count)
    rate = ew.multiply(ew.exp(logs), ew.divide(ew.subtract(1.0, share), share))
    return cast(poisson_draws(drawing.spawned_of(stream), rate), as_dtype(dtype or int64))


def multinomial_counts(
    n: Any, pvals: Any, size: Any = None, *, dtype: Any = None, generator: Any = None,
    key: Any = None,
) -> Any:  # fmt: skip
    """How often each of k outcomes occurs in n trials, as NumPy's `multinomial` gives.

    (`el.multinomial` is PyTorch's, which gives the outcomes themselves.)

    Args:
        n: the number of trials; broadcasts with the leading axes of pvals.
        pvals: (…, k) probabilities that add up to 1.
        size: the shape of the draw without its last axis.

    Example:
        >>> import elinvar as el
        >>> el.random.multinomial_counts(5, el.asarray([0.5, 0.25, 0.25])).sum().item()
        5
    """
    shares = cast(tensor_of("multinomial_counts", pvals), float64)
    if not shares.ndim:
        fail(ShapeError, "multinomial_counts", "pvals needs at least 1 dimension")
    check_share("multinomial_counts", "pvals", shares)
    _check_sum("multinomial_counts", "pvals", shares)
    outcomes = man.static_size("multinomial_counts", shares, shares.ndim - 1)
    lead = shares.shape[:-1] if size is None else checked_shape("multinomial_counts", size)
    left = expand(cast(tensor_of("multinomial_counts", n), float64), lead)
    rest = red.sum(shares, axis=-1)
    stream, found = source(generator, key), []
    for i in range(outcomes - 1):
        share = F.reshape(man.sliced(shares, shares.ndim - 1, i, 1), shape=shares.shape[:-1])
        none = ew.less_equal(rest, 1e-12)
        ratio = ew.clip(ew.where(none, 0.0, ew.divide(share, ew.where(none, 1.0, rest))), 0.0, 1.0)
        drawn = _binomial(drawing.spawned_of(stream), left, expand(ratio, lead))
        found.append(drawn)
        left, rest = ew.subtract(left, drawn), ew.subtract(rest, share)
    return cast(man.stack([*found, left], axis=-1), as_dtype(dtype or int64))


def _check_sum(op: str, name: str, p: Any) -> None:
    if drawing.is_known(p) and p.size:
        gap = ew.abs(ew.subtract(red.sum(p, axis=-1), 1.0))
        if not bool(red.all(ew.less(gap, 1e-5))):
            text = f"{name} must add up to 1, received {p!r:.120}"
            fail(ValueRangeError, op, text, f"divide by `{name}.sum()`")


def categorical(
    logits: Any, axis: int = -1, size: Any = None, *, dtype: Any = None, generator: Any = None,
    key: Any = None,
) -> Any:  # fmt: skip
    """Classes in proportion to exp(logits) along an axis, by the largest of logit + Gumbel noise.

    Args:
        logits: logarithms of weights, which need not be normalised.
        axis: along which the classes lie.
        size: the shape of the draw; its last axes are those of logits without `axis`.

    Example:
        >>> import elinvar as el
        >>> el.random.categorical(el.asarray([0.0, -el.inf, -el.inf])).item()
        0
    """
    x = tensor_of("categorical", logits)
    if x.dtype.kind != "f" or not x.ndim:
        fail(DTypeError, "categorical", f"logits must be floats, received {x._type}")
    axis = normalize_axis("categorical", axis, x.ndim)
    x = man.moveaxis(x, axis, -1)
    rest = x.shape[:-1]
    shape = rest if size is None else checked_shape("categorical", size)
    if rest and shape[len(shape) - len(rest) :] != rest:
        text = f"size {shape} must end with the shape {rest} of the logits' other axes"
        fail(ShapeError, "categorical", text)
    noise = gumbel(size=(*shape, x.shape[-1]), dtype=x.dtype, generator=generator, key=key)
    found = F.argmax(ew.add(noise, x), axis=noise.ndim - 1)
    return cast(found, as_dtype(dtype or int64))


def choice(
    a: Any, size: Any = (), replace: bool = True, p: Any = None, axis: int = 0, *,
    generator: Any = None, key: Any = None,
) -> Any:  # fmt: skip
    """Elements (slices along an axis) of a tensor, or numbers 0 … a-1, drawn at random.

    Args:
        a: a tensor, or an int.
        size: the shape of the draw.
        replace: whether an element may be drawn more than once.
        p: the probability of each; equal ones if None.

    Raises:
        ValueRangeError: p does not add up to 1, or there are not enough elements.

    Example:
        >>> import elinvar as el
        >>> el.random.choice(5, (3,), p=[0.0, 0.0, 1.0, 0.0, 0.0]).tolist()
        [2, 2, 2]
    """
    shape = checked_shape("choice", size)
    whole = hasattr(a, "__index__") and not hasattr(a, "_type")
    x = None if whole else tensor_of("choice", a)
    if x is not None and not x.ndim:
        fail(ShapeError, "choice", f"expected at least 1 dimension, received {x._type}")
    place = 0 if x is None else normalize_axis("choice", axis, x.ndim)
    total: Any = a.__index__() if x is None else x.shape[place]
    wanted: Any = count_of(shape)
    if isinstance(total, int) and total < 1 and wanted:
        fail(ValueRangeError, "choice", f"cannot draw from {total} elements")
    if not replace and isinstance(total, int) and isinstance(wanted, int) and wanted > total:
        text = f"{wanted} of {total} elements cannot be drawn without replacement"
        fail(ValueRangeError, "choice", text)
    if p is not None:
        index = _weighted(p, total, shape, wanted, replace, source(generator, key))
    elif replace:
        index = randint(0, total, shape, generator=generator, key=key)
    else:
        order = permutation(total, generator=generator, key=key)
        index = F.reshape(man.sliced(order, 0, 0, wanted), shape=shape)
    return index if x is None else take(x, index, axis=place)


def _weighted(p: Any, total: Any, shape: Any, wanted: Any, replace: bool, stream: Any) -> Any:
    shares = cast(tensor_of("choice", p), float64)
    if shares.shape != (total,):
        fail(ShapeError, "choice", f"p must have {total} elements, received {shares._type}")
    check_share("choice", "p", shares)
    _check_sum("choice", "p", shares)
    if replace:
        u = drawing.uniform(stream, shape, float64)
        sums = F.cumsum(shares, axis=0, reverse=False)
        scaled = ew.multiply(u, F.reshape(man.sliced(sums, 0, total - 1, 1), shape=()))
        found = searchsorted(sums, scaled, side="right")
        return ew.minimum(found, total - 1)
    possible = red.sum(cast(ew.greater(shares, 0), int64))
    if drawing.is_known(possible) and possible.item() < wanted:
        text = f"p is not 0 for {possible.item()} elements only, {wanted} are wanted"
        fail(ValueRangeError, "choice", text)
    # an exponential race: the order in which elements arrive is that of draws one by one
    arrival = F.negative(F.log(drawing.uniform(stream, shares.shape, float64)))
    speed = ew.where(ew.greater(shares, 0), shares, 1.0)
    times = ew.where(ew.greater(shares, 0), ew.divide(arrival, speed), float("inf"))
    order = F.argsort(times, axis=0, descending=False)
    return F.reshape(man.sliced(order, 0, 0, wanted), shape=shape)


def shuffle(x: Any, /, axis: int = 0, *, generator: Any = None, key: Any = None) -> None:
    """Put the slices of a tensor along an axis into random order, in place.

    Example:
        >>> import elinvar as el
        >>> x = el.arange(4)
        >>> el.random.shuffle(x)
        >>> el.sort(x).tolist()
        [0, 1, 2, 3]
    """
    place = normalize_axis("shuffle", axis, x.ndim)
    order = permutation(x.shape[place], generator=generator, key=key)
    x.assign(F.gather(x, order, axis=place))

