"""Losses as modules: each calls the function of the same purpose in `nn.functional`.

`reduction` says what becomes of the losses of single elements: `mean`, `sum` or `none`.
"""

from __future__ import annotations

from typing import Any

from elinvar.core.dtypes import float32
from elinvar.core.errors import ValueRangeError, fail
from elinvar.nn import functional
from elinvar.nn.module import Module
from elinvar.tensor.creation import asarray
from elinvar.tensor.tensor import Tensor


class _Loss(Module):
    def __init__(self, reduction: str = "mean") -> None:
        known = ("none", "mean", "sum", *(("batchmean",) if type(self) is KLDivLoss else ()))
        if reduction not in known:
            text = f"reduction must be one of {known}, received {reduction!r}"
            fail(ValueRangeError, type(self).__name__, text)
        self.reduction = reduction


class _WeightedLoss(_Loss):
    def __init__(self, weight: Any = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        if weight is not None and not isinstance(weight, Tensor):
            weight = asarray(weight, dtype=float32)
        self.register_buffer("weight", weight)


class L1Loss(_Loss):
    """|x - y|."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return functional.l1_loss(input, target, reduction=self.reduction)


class MSELoss(_Loss):
    """(x - y)².

    Example:
        >>> import elinvar as el
        >>> el.nn.MSELoss()(el.asarray([1.0, 2.0]), el.asarray([1.0, 4.0])).item()
        2.0
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return functional.mse_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """½ (x - y)²/beta where |x - y| < beta, |x - y| - ½ beta elsewhere."""

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return functional.smooth_l1_loss(input, target, beta=self.beta, reduction=self.reduction)


class HuberLoss(_Loss):
    """½ (x - y)² where |x - y| < delta, delta · (|x - y| - ½ delta) elsewhere."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return functional.huber_loss(input, target, delta=self.delta, reduction=self.reduction)


class SoftMarginLoss(_Loss):
    """log(1 + e^(-y x)), y = ±1."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return functional.soft_margin_loss(input, target, reduction=self.reduction)


class BCELoss(_WeightedLoss):
    """-(y log x + (1 - y) log(1 - x)), x a probability.

    Args:
        weight: factors of the losses, broadcast to the input.
        reduction: see above.
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return functional.binary_cross_entropy(
            input, target, weight=self.weight, reduction=self.reduction
        )


class HingeEmbeddingLoss(_Loss):
    """x where y = 1, max(0, margin - x) where y = -1."""

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return functional.hinge_embedding_loss(
            input, target, margin=self.margin, reduction=self.reduction
        )


class PoissonNLLLoss(_Loss):
    """eˣ - y x (log_input), or x - y log(x + eps); `full` adds Stirling's term of log y!."""

    eps: float
    full: bool
    log_input: bool

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        eps: float = 1e-8,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        self.log_input, self.full, self.eps = log_input, full, eps

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return functional.poisson_nll_loss(
            input,
            target,
            log_input=self.log_input,
            full=self.full,
            eps=self.eps,
            reduction=self.reduction,
        )


class GaussianNLLLoss(_Loss):
    """½ (log max(var, eps) + (x - y)²/max(var, eps)); `full` adds ½ log 2π."""

    eps: float
    full: bool

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.full, self.eps = full, eps

    def forward(self, input: Tensor, target: Tensor, var: Tensor) -> Tensor:
        """The loss."""
        return functional.gaussian_nll_loss(
            input, target, var, full=self.full, eps=self.eps, reduction=self.reduction
        )


class KLDivLoss(_Loss):
    """y (log y - x), x a log-probability; `log_target` says that y is one too.

    `reduction="batchmean"` divides the sum by the size of axis 0, as in the definition.
    """

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction)
        self.log_target = log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return functional.kl_div(
            input, target, reduction=self.reduction, log_target=self.log_target
        )


class NLLLoss(_WeightedLoss):
    """-weight[y] · x[y], x the log-probabilities of the classes (axis 1), y the class.

    Args:
        weight: factors of the classes; `mean` divides by the sum of those that occur.
        ignore_index: a class that does not count.
        reduction: see above.
    """

    def __init__(
        self, weight: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__(weight, reduction)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return functional.nll_loss(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
        )


class CrossEntropyLoss(_WeightedLoss):
    """-log softmax(x)[y]: the usual loss of classifiers.

    Args:
        weight: factors of the classes; `mean` divides by the sum of those that occur.
        ignore_index: a class that does not count.
        reduction: see above.
        label_smoothing: the part of the target that is spread over all classes.

    Shape:
        input (N, C, *) of logits, or (C,); target (N, *) of classes, or (N, C, *) of
        probabilities → a number, or (N, *) with `reduction="none"`

    Example:
        >>> import elinvar as el
        >>> loss = el.nn.CrossEntropyLoss()(el.zeros((3, 4)), el.asarray([0, 1, 2]))
        >>> round(loss.item(), 4)
        1.3863
    """

    ignore_index: int
    label_smoothing: float

    def __init__(
        self,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, reduction)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return functional.cross_entropy(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class BCEWithLogitsLoss(_WeightedLoss):
    """-(pos_weight · y log σ(x) + (1 - y) log(1 - σ(x))), computed without overflow.

    Args:
        weight: factors of the losses, broadcast to the input.
        reduction: see above.
        pos_weight: factors of the positive answers, broadcast to the input.
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(weight, reduction)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return functional.binary_cross_entropy_with_logits(
            input,
            target,
            weight=self.weight,
            reduction=self.reduction,
            pos_weight=self.pos_weight,
        )


class MarginRankingLoss(_Loss):
    """max(0, -y (x₁ - x₂) + margin), y = ±1."""

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return functional.margin_ranking_loss(
            input1, input2, target, margin=self.margin, reduction=self.reduction
        )


class CosineEmbeddingLoss(_Loss):
    """1 - cos(x₁, x₂) where y = 1, max(0, cos(x₁, x₂) - margin) where y = -1."""

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return functional.cosine_embedding_loss(
            input1, input2, target, margin=self.margin, reduction=self.reduction
        )


class TripletMarginLoss(_Loss):
    """max(0, |a - p| - |a - n| + margin): the positive shall be nearer than the negative.

    Args:
        margin: see the formula.
        p: of the norm.
        eps: added to the differences.
        swap: whether |p - n| counts where it is less than |a - n|.
        reduction: see above.
    """

    eps: float
    margin: float
    p: float
    swap: bool

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        self.margin, self.p, self.eps, self.swap = margin, p, eps, swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """The loss."""
        return functional.triplet_margin_loss(
            anchor,
            positive,
            negative,
            margin=self.margin,
            p=self.p,
            eps=self.eps,
            swap=self.swap,
            reduction=self.reduction,
        )


class CosineSimilarity(Module):
    """x₁·x₂ / max(|x₁| |x₂|, eps) along `dim`.

    Example:
        >>> import elinvar as el
        >>> el.nn.CosineSimilarity()(el.asarray([[2.0, 0.0]]), el.asarray([[3.0, 0.0]])).tolist()
        [1.0]
    """

    dim: int
    eps: float

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        self.dim, self.eps = dim, eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """The cosines."""
        return functional.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """|x₁ - x₂ + eps| by the p-norm of the last axis.

    Args:
        p: of the norm.
        eps: added to the differences.
        keepdim: whether the last axis stays with size 1.
    """

    eps: float
    keepdim: bool
    norm: float

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        self.norm, self.eps, self.keepdim = p, eps, keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """The distances."""
        return functional.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)
