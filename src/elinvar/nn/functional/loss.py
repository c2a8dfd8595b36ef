"""Losses. `reduction` is `mean`, `sum` or `none`, as in PyTorch."""

from __future__ import annotations

import math
from typing import Any

from elinvar.core import dtypes
from elinvar.core.errors import DTypeError, OutOfBoundsError, ShapeError, ValueRangeError, fail
from elinvar.nn.functional.activation import logsigmoid
from elinvar.tensor.autocasting import in_float32
from elinvar.tensor.cell import current_trace
from elinvar.tensor.composite import composite
from elinvar.tensor.convert import cast
from elinvar.tensor.dispatch import F, as_tensor
from elinvar.tensor.elementwise import clip, where
from elinvar.tensor.manipulation import expand_dims, squeeze
from elinvar.tensor.reductions import max as amax
from elinvar.tensor.reductions import mean, vector_norm
from elinvar.tensor.reductions import sum as total
from elinvar.tensor.storage import stored_array


def _wide(x: Any) -> Any:
    """16-bit floats as f32: losses are computed there and rounded once."""
    return cast(x, dtypes.accumulator(x.dtype))


def _reduced(op: str, loss: Any, reduction: str) -> Any:
    if reduction == "none":
        return loss
    if reduction == "mean":
        return mean(loss)
    if reduction == "sum":
        return total(loss, dtype=loss.dtype)
    fail(ValueRangeError, op, f"reduction must be 'mean', 'sum' or 'none', received {reduction!r}")


def _same(op: str, input: Any, target: Any) -> tuple[Any, Any]:
    x, target = as_tensor(input), as_tensor(target)
    if tuple(x.shape) != tuple(target.shape):
        text = f"input {x._type} and target {target._type} must have the same shape"
        hint = "reshape one of them; broadcasting here is nearly always a mistake"
        if op == "cross_entropy" and target.ndim == x.ndim - 1:
            hint = "classes must be integers: target.astype(el.int64)"
        fail(ShapeError, op, text, hint)
    return x, target


@composite
def _mse(x: Any, target: Any, *, reduction: str) -> Any:
    difference = _wide(x) - _wide(target)
    return cast(_reduced("mse_loss", difference * difference, reduction), x.dtype)


@in_float32
def mse_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """(x - y)².

    Example:
        >>> import elinvar as el
        >>> el.nn.functional.mse_loss(el.asarray([1.0, 3.0]), el.asarray([1.0, 1.0])).item()
        2.0
    """
    x, target = _same("mse_loss", input, target)
    return _mse(x, target, reduction=reduction)


@composite
def _l1(x: Any, target: Any, *, reduction: str) -> Any:
    return cast(_reduced("l1_loss", F.abs(_wide(x) - _wide(target)), reduction), x.dtype)


@in_float32
def l1_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """|x - y|; the derivative at equality is 0."""
    x, target = _same("l1_loss", input, target)
    return _l1(x, target, reduction=reduction)


@composite
def _huber(x: Any, target: Any, *, delta: float, scale: float, reduction: str) -> Any:
    far = F.abs(_wide(x) - _wide(target))
    near = 0.5 * far * far
    loss = where(far < delta, near, delta * (far - 0.5 * delta)) * scale
    return cast(_reduced("huber_loss", loss, reduction), x.dtype)


@in_float32
def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0) -> Any:
    """d²/2 for d = |x - y| < delta, else delta · (d - delta/2) (Huber, 1964)."""
    x, target = _same("huber_loss", input, target)
    return _huber(x, target, delta=float(delta), scale=1.0, reduction=reduction)


@in_float32
def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    """Huber's loss divided by beta; |x - y| for beta = 0."""
    if beta == 0:
        return l1_loss(input, target, reduction)
    x, target = _same("smooth_l1_loss", input, target)
    return _huber(x, target, delta=float(beta), scale=1.0 / beta, reduction=reduction)


@composite
def _bce(x: Any, target: Any, weight: Any, *, reduction: str) -> Any:
    # logarithms are cut at -100 as in PyTorch, so that x = 0 or 1 has a finite loss
    log_x, log_rest = clip(F.log(x), -100.0, None), clip(F.log1p(-x), -100.0, None)
    loss = -(target * log_x + (1.0 - target) * log_rest)
    return _reduced("binary_cross_entropy", loss if weight is None else loss * weight, reduction)


@in_float32
def binary_cross_entropy(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean"
) -> Any:
    """-(y log x + (1 - y) log(1 - x)) of probabilities x."""
    x, target = _same("binary_cross_entropy", input, target)
    return _bce(x, cast(target, x.dtype), weight, reduction=reduction)


@composite
def _bce_logits(x: Any, target: Any, weight: Any, positive: Any, *, reduction: str) -> Any:
    if positive is None:
        loss = clip(x, 0.0, None) - x * target + F.log1p(F.exp(-F.abs(x)))
    else:
        loss = -(positive * target * _log_sigmoid(x) + (1.0 - target) * _log_sigmoid(-x))
    return _reduced(
        "binary_cross_entropy_with_logits", loss if weight is None else loss * weight, reduction
    )


def _log_sigmoid(x: Any) -> Any:
    return F.minimum(x, F.zeros_like(x)) - F.log1p(F.exp(-F.abs(x)))


@in_float32
def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Any:
    """Binary cross-entropy of sigmoid(x), without overflow."""
    x, target = _same("binary_cross_entropy_with_logits", input, target)
    return _bce_logits(x, cast(target, x.dtype), weight, pos_weight, reduction=reduction)


def _check_classes(op: str, target: Any, classes: Any, ignored: int) -> None:
    """Class indices outside of 0 … classes-1 are an error in eager mode."""
    if current_trace() is not None or not isinstance(classes, int):
        return
    values = stored_array(target, op)
    wrong = ((values < 0) | (values >= classes)) & (values != ignored)
    if wrong.any():
        text = f"target holds class {values[wrong].flat[0]}, but the input has {classes} classes"
        fail(OutOfBoundsError, op, text, "check the labels, or pass ignore_index")


def _shifted(x: Any) -> tuple[Any, Any]:
    """x less its maximum over the classes (axis 1), and log Σ exp of that."""
    shifted = x - F.stop_gradient(amax(x, axis=1, keepdims=True))
    return shifted, F.log(total(F.exp(shifted), axis=1))


def _line(weight: Any, x: Any) -> Any:
    """A weight for each class, in the place of axis 1 of x."""
    return weight.reshape((1, x.shape[1], *(1 for _ in range(x.ndim - 2))))


@composite
def _class_losses(
    x: Any,
    target: Any,
    weight: Any,
    *,
    logits: bool,
    ignored: int,
    smoothing: float,
    reduction: str,
) -> Any:
    """x: (N, C, *) logits or log-probabilities; target: (N, *) of classes.

    The class is picked by comparison with 0 … C-1, which fuses with the sums over the classes, and
    so does its derivative.
    """
    wide = _wide(x)
    scores, log_sum = _shifted(wide) if logits else (wide, 0.0)  # log p = scores - log_sum
    places = _line(F.iota(size=x.shape[1], dtype=dtypes.int64), x)
    chosen = places == expand_dims(target, axis=1)
    loss = log_sum - total(where(chosen, scores, 0.0), axis=1)
    counted = target != ignored
    scale = cast(counted, wide.dtype)
    if weight is not None:
        weight = _line(_wide(weight), x)
        scale = total(where(chosen, weight, 0.0), axis=1) * scale
    # a class that does not exist makes a NaN here, where compiled code cannot raise
    loss = where((target >= 0) & (target < x.shape[1]), loss, math.nan)
    # an ignored place may hold ∞ or NaN, which times 0 would stay
    loss = where(counted, loss, 0.0) * scale
    if smoothing:
        away = (expand_dims(log_sum, axis=1) if logits else 0.0) - scores
        spread = total(away if weight is None else away * weight, axis=1)
        spread = where(counted, spread, 0.0)
        loss = loss * (1.0 - smoothing) + spread * (smoothing / x.shape[1])
    if reduction == "mean":
        return cast(total(loss) / total(scale), x.dtype)
    return cast(_reduced("cross_entropy" if logits else "nll_loss", loss, reduction), x.dtype)


def _classes_first(x: Any) -> Any:
    return expand_dims(x, axis=0) if x.ndim == 1 else x


@in_float32
def nll_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Any:
    """-log p[class] of log-probabilities.

    Args:
        input: (C,), (N, C) or (N, C, *).
        target: int classes, (), (N,) or (N, *).
        weight: (C,) or None; the mean is then the weighted one.
    """
    return _class_loss("nll_loss", as_tensor(input), target, weight, ignore_index, reduction)


def _class_loss(
    op: str,
    x: Any,
    target: Any,
    weight: Any,
    ignored: int,
    reduction: str,
    smoothing: float = 0.0,
) -> Any:
    target = as_tensor(target)
    if target.dtype.kind not in "iu":
        text = f"target must hold int classes, received {target._type}"
        fail(DTypeError, op, text, "target.astype(el.int64)")
    single = x.ndim == 1
    x = _classes_first(x)
    target = expand_dims(target, axis=0) if single else target
    if tuple(target.shape) != (x.shape[0], *x.shape[2:]):
        text = f"input {x._type} and target {target._type} do not fit: expected target of shape"
        hint = None
        if target.ndim == x.ndim and target.shape[1] == 1:
            hint = "drop the axis of size 1: target.squeeze(1)"
        elif target.ndim == x.ndim and target.shape[1] == x.shape[1]:
            hint = "one-hot rows become classes by target.argmax(1); probabilities must be floating"
        fail(ShapeError, op, f"{text} {(x.shape[0], *x.shape[2:])}", hint)
    target = cast(target, dtypes.int64)
    _check_classes(op, target, x.shape[1], ignored)
    loss = _class_losses(
        x,
        target,
        None if weight is None else as_tensor(weight),
        logits=op == "cross_entropy",
        ignored=int(ignored),
        smoothing=smoothing,
        reduction=reduction,
    )
    return squeeze(loss, axis=0) if single and reduction == "none" else loss


@composite
def _soft_cross_entropy(
    x: Any, target: Any, weight: Any, *, smoothing: float, reduction: str
) -> Any:
    classes = x.shape[1]
    shifted, log_sum = _shifted(_wide(x))
    away = expand_dims(log_sum, axis=1) - shifted  # -log p
    target = _wide(target)
    if smoothing:
        target = target * (1.0 - smoothing) + smoothing / classes
    if weight is not None:
        away = away * _line(_wide(weight), x)
    return cast(_reduced("cross_entropy", total(away * target, axis=1), reduction), x.dtype)


@in_float32
def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """-log softmax(x)[class], or -Σ y log softmax(x) for probabilities y.

    Args:
        input: logits, (C,), (N, C) or (N, C, *).
        target: int classes of shape (), (N,) or (N, *), or probabilities of the input's shape.
        weight: (C,) or None.
        ignore_index: a class that does not count.
        label_smoothing: 0 … 1, the share that is spread over all classes.

    Raises:
        OutOfBoundsError: a class is out of range (in eager mode).

    Example:
        >>> import elinvar as el
        >>> loss = el.nn.functional.cross_entropy(el.zeros((1, 2)), el.asarray([1]))
        >>> round(loss.item(), 4)
        0.6931
    """
    x, target = as_tensor(input), as_tensor(target)
    if x.dtype.kind != "f":
        fail(DTypeError, "cross_entropy", f"expected floating logits, received {x._type}")
    if target.dtype.kind == "f":
        x, target = _same("cross_entropy", x, target)
        single = x.ndim == 1
        loss = _soft_cross_entropy(
            _classes_first(x), _classes_first(target), weight,
            smoothing=float(label_smoothing), reduction=reduction,
        )  # fmt: skip
        return squeeze(loss, axis=0) if single and reduction == "none" else loss
    smoothing = float(label_smoothing)
    return _class_loss("cross_entropy", x, target, weight, ignore_index, reduction, smoothing)


@composite
def _kl_div(x: Any, target: Any, *, log_target: bool, reduction: str) -> Any:
    if log_target:
        loss = F.exp(target) * (target - x)
    else:
        safe = where(target > 0, target, F.full(1.0, target))
        loss = where(target > 0, target * (F.log(safe) - x), F.zeros_like(target))
    if reduction == "batchmean":
        return total(loss) / x.shape[0]
    return _reduced("kl_div", loss, reduction)


@in_float32
def kl_div(input: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    """y · (log y - x) of log-probabilities x; `batchmean` divides by the batch size."""
    return _kl_div(as_tensor(input), as_tensor(target), log_target=log_target, reduction=reduction)


@composite
def _cosine(a: Any, b: Any, *, axis: int, eps: float) -> Any:
    a_norm = clip(vector_norm(a, axis=axis, keepdims=True), eps, None)
    b_norm = clip(vector_norm(b, axis=axis, keepdims=True), eps, None)
    return total((a / a_norm) * (b / b_norm), axis=axis)


@in_float32
def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """x1 · x2 / (‖x1‖ ‖x2‖) along `dim`, with norms of at least eps."""
    return _cosine(as_tensor(x1), as_tensor(x2), axis=dim, eps=eps)


@in_float32
def cosine_embedding_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: str = "mean"
) -> Any:
    """1 - cos for target 1, max(0, cos - margin) for target -1."""
    x = as_tensor(input1)
    similarity = cosine_similarity(x, input2, dim=x.ndim - 1)
    loss = where(as_tensor(target) > 0, 1.0 - similarity, clip(similarity - margin, 0.0, None))
    return _reduced("cosine_embedding_loss", loss, reduction)


@in_float32
def pairwise_distance(
    x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Any:
    """‖x1 - x2 + eps‖ₚ along the last axis."""
    return vector_norm(as_tensor(x1) - as_tensor(x2) + eps, axis=-1, ord=p, keepdims=keepdim)


@in_float32
def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """max(0, d(a, p) - d(a, n) + margin) (Balntas et al., 2016)."""
    near = pairwise_distance(anchor, positive, p, eps)
    far = pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = F.minimum(far, pairwise_distance(positive, negative, p, eps))
    return _reduced("triplet_margin_loss", clip(near - far + margin, 0.0, None), reduction)


@in_float32
def margin_ranking_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: str = "mean"
) -> Any:
    """max(0, -y (x1 - x2) + margin)."""
    loss = clip(-as_tensor(target) * (as_tensor(input1) - as_tensor(input2)) + margin, 0.0, None)
    return _reduced("margin_ranking_loss", loss, reduction)


@in_float32
def hinge_embedding_loss(
    input: Any, target: Any, margin: float = 1.0, reduction: str = "mean"
) -> Any:
    """x for y = 1, max(0, margin - x) for y = -1."""
    x = as_tensor(input)
    loss = where(as_tensor(target) == 1, x, clip(margin - x, 0.0, None))
    return _reduced("hinge_embedding_loss", loss, reduction)


@in_float32
def soft_margin_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """log(1 + e^(-y x))."""
    x = as_tensor(input)
    return _reduced("soft_margin_loss", -logsigmoid(as_tensor(target) * x), reduction)


@in_float32
def poisson_nll_loss(
    input: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Any:
    """e^x - y x (or x - y log(x + eps)), with Stirling's term for `full`."""
    x, target = as_tensor(input), as_tensor(target)
    loss = F.exp(x) - target * x if log_input else x - target * F.log(x + eps)
    if full:
        safe = where(target > 1, target, F.full(1.0, target))
        stirling = safe * F.log(safe) - safe + 0.5 * F.log(safe * (2 * math.pi))
        loss = loss + where(target > 1, stirling, F.zeros_like(target))
    return _reduced("poisson_nll_loss", loss, reduction)


@in_float32
def gaussian_nll_loss(
    input: Any,
    target: Any,
    var: Any,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Any:
    """(log var + (x - y)² / var) / 2, with the constant for `full`."""
    x, target, var = as_tensor(input), as_tensor(target), as_tensor(var)
    var = where(var < eps, F.full(eps, var), var)
    loss = 0.5 * (F.log(var) + (x - target) * (x - target) / var)
    if full:
        loss = loss + 0.9189385332046727  # ½ log 2π
    return _reduced("gaussian_nll_loss", loss, reduction)
