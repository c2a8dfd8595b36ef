# Made by `python tools/type_stubs.py` from the op table and the sources. Do not edit.

from collections.abc import Sequence

from elinvar.tensor.tensor import Tensor, _ArrayLike, _DTypeLike, _Sizes

def adaptive_avg_pool1d(
    input: _ArrayLike,
    output_size: int | Sequence[int | None] | None,
) -> Tensor:
    """Averages over windows that give the wanted output size, from (N, C, L)."""

def adaptive_avg_pool2d(
    input: _ArrayLike,
    output_size: int | Sequence[int | None] | None,
) -> Tensor:
    """Averages over windows that give the wanted output size, from (N, C, H, W)."""

def adaptive_avg_pool3d(
    input: _ArrayLike,
    output_size: int | Sequence[int | None] | None,
) -> Tensor:
    """Averages over windows that give the wanted output size, from (N, C, D, H, W)."""

def adaptive_max_pool1d(
    input: _ArrayLike,
    output_size: int | Sequence[int | None] | None,
) -> Tensor:
    """Maxima over windows that give the wanted output size, from (N, C, L)."""

def adaptive_max_pool2d(
    input: _ArrayLike,
    output_size: int | Sequence[int | None] | None,
) -> Tensor:
    """Maxima over windows that give the wanted output size, from (N, C, H, W)."""

def alpha_dropout(
    input: _ArrayLike,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """Dropout that keeps mean and variance of SELU networks (Klambauer et al., 2017)."""

def avg_pool1d(
    input: _ArrayLike,
    kernel_size: _Sizes,
    stride: _Sizes | None = None,
    padding: _Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The average of each window of (N, C, L)."""

def avg_pool2d(
    input: _ArrayLike,
    kernel_size: _Sizes,
    stride: _Sizes | None = None,
    padding: _Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The average of each window of (N, C, H, W)."""

def avg_pool3d(
    input: _ArrayLike,
    kernel_size: _Sizes,
    stride: _Sizes | None = None,
    padding: _Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The average of each window of (N, C, D, H, W)."""

def batch_norm(
    input: _ArrayLike,
    running_mean: _ArrayLike,
    running_var: _ArrayLike,
    weight: _ArrayLike | None = None,
    bias: _ArrayLike | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-05,
) -> Tensor:
    """Normalise each channel over the batch (Ioffe and Szegedy, 2015)."""

def bilinear(
    input1: _ArrayLike,
    input2: _ArrayLike,
    weight: _ArrayLike,
    bias: _ArrayLike | None = None,
) -> Tensor:
    """y_o = Σ_ij x1_i W_oij x2_j + b_o."""

def binary_cross_entropy(
    input: _ArrayLike,
    target: _ArrayLike,
    weight: _ArrayLike | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-(y log x + (1 - y) log(1 - x)) of probabilities x."""

def binary_cross_entropy_with_logits(
    input: _ArrayLike,
    target: _ArrayLike,
    weight: _ArrayLike | None = None,
    reduction: str = "mean",
    pos_weight: _ArrayLike | None = None,
) -> Tensor:
    """Binary cross-entropy of sigmoid(x), without overflow."""

def celu(input: _ArrayLike, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x for x > 0, else alpha · (e^(x/alpha) - 1)."""

def channel_shuffle(input: _ArrayLike, groups: int) -> Tensor:
    """Interleave the channels of `groups` groups (Zhang et al., 2018)."""

def conv1d(
    input: _ArrayLike,
    weight: _ArrayLike,
    bias: _ArrayLike | None = None,
    stride: _Sizes = 1,
    padding: str | _Sizes = 0,
    dilation: _Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation over one axis: (N, C, L) with (O, C / groups, K)."""

def conv2d(
    input: _ArrayLike,
    weight: _ArrayLike,
    bias: _ArrayLike | None = None,
    stride: _Sizes = 1,
    padding: str | _Sizes = 0,
    dilation: _Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation over two axes: (N, C, H, W) with (O, C / groups, KH, KW)."""

def conv3d(
    input: _ArrayLike,
    weight: _ArrayLike,
    bias: _ArrayLike | None = None,
    stride: _Sizes = 1,
    padding: str | _Sizes = 0,
    dilation: _Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation over three axes: (N, C, D, H, W) with (O, C / groups, KD, KH, KW)."""

def conv_transpose1d(
    input: _ArrayLike,
    weight: _ArrayLike,
    bias: _ArrayLike | None = None,
    stride: _Sizes = 1,
    padding: _Sizes = 0,
    output_padding: _Sizes = 0,
    groups: int = 1,
    dilation: _Sizes = 1,
) -> Tensor:
    """The adjoint of conv1d: (N, C, L) with (C, O / groups, K)."""

def conv_transpose2d(
    input: _ArrayLike,
    weight: _ArrayLike,
    bias: _ArrayLike | None = None,
    stride: _Sizes = 1,
    padding: _Sizes = 0,
    output_padding: _Sizes = 0,
    groups: int = 1,
    dilation: _Sizes = 1,
) -> Tensor:
    """The adjoint of conv2d: (N, C, H, W) with (C, O / groups, KH, KW)."""

def conv_transpose3d(
    input: _ArrayLike,
    weight: _ArrayLike,
    bias: _ArrayLike | None = None,
    stride: _Sizes = 1,
    padding: _Sizes = 0,
    output_padding: _Sizes = 0,
    groups: int = 1,
    dilation: _Sizes = 1,
) -> Tensor:
    """The adjoint of conv3d: (N, C, D, H, W) with (C, O / groups, KD, KH, KW)."""

def cosine_embedding_loss(
    input1: _ArrayLike,
    input2: _ArrayLike,
    target: _ArrayLike,
    margin: float = 0.0,
    reduction: str = "mean",
) -> Tensor:
    """1 - cos for target 1, max(0, cos - margin) for target -1."""

def cosine_similarity(
    x1: _ArrayLike,
    x2: _ArrayLike,
    dim: int = 1,
    eps: float = 1e-08,
) -> Tensor:
    """x1 · x2 / (‖x1‖ ‖x2‖) along `dim`, with norms of at least eps."""

def cross_entropy(
    input: _ArrayLike,
    target: _ArrayLike,
    weight: _ArrayLike | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """-log softmax(x)[class], or -Σ y log softmax(x) for probabilities y."""

def dropout(
    input: _ArrayLike,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
) -> Tensor:
    """Each element is 0 with probability p, else divided by 1 - p (Srivastava et al., 2014)."""

def dropout1d(
    input: _ArrayLike,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
) -> Tensor:
    """Whole channels of (N, C, L) are dropped."""

def dropout2d(
    input: _ArrayLike,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
) -> Tensor:
    """Whole channels of (N, C, H, W) are dropped."""

def dropout3d(
    input: _ArrayLike,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
) -> Tensor:
    """Whole channels of (N, C, D, H, W) are dropped."""

def elu(input: _ArrayLike, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x for x > 0, else alpha · (e^x - 1)."""

def embedding(
    input: _ArrayLike,
    weight: _ArrayLike,
    padding_idx: int | None = None,
) -> Tensor:
    """Rows of `weight` at the given indices; the row `padding_idx` receives no gradient."""

def feature_alpha_dropout(
    input: _ArrayLike,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """Dropout that keeps mean and variance of SELU networks (Klambauer et al., 2017)."""

def gaussian_nll_loss(
    input: _ArrayLike,
    target: _ArrayLike,
    var: _ArrayLike,
    full: bool = False,
    eps: float = 1e-06,
    reduction: str = "mean",
) -> Tensor:
    """(log var + (x - y)² / var) / 2, with the constant for `full`."""

def gelu(input: _ArrayLike, approximate: str = "none") -> Tensor:
    """x · Φ(x), with the normal distribution function Φ, or its approximation by tanh."""

def glu(input: _ArrayLike, dim: int = -1) -> Tensor:
    """a · sigmoid(b), with a and b the halves of `input` along `dim` (Dauphin et al., 2017)."""

def group_norm(
    input: _ArrayLike,
    num_groups: int,
    weight: _ArrayLike | None = None,
    bias: _ArrayLike | None = None,
    eps: float = 1e-05,
) -> Tensor:
    """Normalise groups of channels of each sample (Wu and He, 2018)."""

def gumbel_softmax(
    logits: _ArrayLike,
    tau: float = 1.0,
    hard: bool = False,
    dim: int = -1,
) -> Tensor:
    """A sample of the Gumbel-softmax distribution (Jang et al., 2017); `hard`: one-hot …"""

def hardshrink(input: _ArrayLike, lambd: float = 0.5) -> Tensor:
    """x where |x| > lambd, else 0."""

def hardsigmoid(input: _ArrayLike, inplace: bool = False) -> Tensor:
    """relu6(x + 3) / 6."""

def hardswish(input: _ArrayLike, inplace: bool = False) -> Tensor:
    """x · relu6(x + 3) / 6 (Howard et al., 2019)."""

def hardtanh(
    input: _ArrayLike,
    min_val: float = -1.0,
    max_val: float = 1.0,
    inplace: bool = False,
) -> Tensor:
    """x moved into min_val … max_val."""

def hinge_embedding_loss(
    input: _ArrayLike,
    target: _ArrayLike,
    margin: float = 1.0,
    reduction: str = "mean",
) -> Tensor:
    """x for y = 1, max(0, margin - x) for y = -1."""

def huber_loss(
    input: _ArrayLike,
    target: _ArrayLike,
    reduction: str = "mean",
    delta: float = 1.0,
) -> Tensor:
    """d²/2 for d = |x - y| < delta, else delta · (d - delta/2) (Huber, 1964)."""

def instance_norm(
    input: _ArrayLike,
    running_mean: _ArrayLike | None = None,
    running_var: _ArrayLike | None = None,
    weight: _ArrayLike | None = None,
    bias: _ArrayLike | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-05,
) -> Tensor:
    """Normalise each channel of each sample (Ulyanov et al., 2016). Input: (N, C, *)."""

def interpolate(
    input: _ArrayLike,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """Resize the spatial axes of (N, C, *)."""

def kl_div(
    input: _ArrayLike,
    target: _ArrayLike,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """y · (log y - x) of log-probabilities x; `batchmean` divides by the batch size."""

def l1_loss(input: _ArrayLike, target: _ArrayLike, reduction: str = "mean") -> Tensor:
    """|x - y|; the derivative at equality is 0."""

def layer_norm(
    input: _ArrayLike,
    normalized_shape: int | Sequence[int],
    weight: _ArrayLike | None = None,
    bias: _ArrayLike | None = None,
    eps: float = 1e-05,
) -> Tensor:
    """(x - mean) / sqrt(var + eps) · weight + bias over the trailing axes (Ba et al., 2016)."""

def leaky_relu(
    input: _ArrayLike,
    negative_slope: float = 0.01,
    inplace: bool = False,
) -> Tensor:
    """x for x > 0, else negative_slope · x."""

def linear(
    input: _ArrayLike,
    weight: _ArrayLike,
    bias: _ArrayLike | None = None,
) -> Tensor:
    """x · Wᵀ + b."""

def log_softmax(
    input: _ArrayLike,
    dim: int | None = None,
    dtype: _DTypeLike | None = None,
) -> Tensor:
    """log(softmax(x)) along `dim`, without the loss of small probabilities."""

def logsigmoid(input: _ArrayLike) -> Tensor:
    """log(sigmoid(x)), exact in both tails."""

def margin_ranking_loss(
    input1: _ArrayLike,
    input2: _ArrayLike,
    target: _ArrayLike,
    margin: float = 0.0,
    reduction: str = "mean",
) -> Tensor:
    """max(0, -y (x1 - x2) + margin)."""

def max_pool1d(
    input: _ArrayLike,
    kernel_size: _Sizes,
    stride: _Sizes | None = None,
    padding: _Sizes = 0,
    dilation: _Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor:
    """The maximum of each window of (N, C, L)."""

def max_pool2d(
    input: _ArrayLike,
    kernel_size: _Sizes,
    stride: _Sizes | None = None,
    padding: _Sizes = 0,
    dilation: _Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor:
    """The maximum of each window of (N, C, H, W); the gradient goes to the first maximum."""

def max_pool3d(
    input: _ArrayLike,
    kernel_size: _Sizes,
    stride: _Sizes | None = None,
    padding: _Sizes = 0,
    dilation: _Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor:
    """The maximum of each window of (N, C, D, H, W)."""

def mish(input: _ArrayLike, inplace: bool = False) -> Tensor:
    """x · tanh(softplus(x)) (Misra, 2019)."""

def mse_loss(input: _ArrayLike, target: _ArrayLike, reduction: str = "mean") -> Tensor:
    """(x - y)²."""

def nll_loss(
    input: _ArrayLike,
    target: _ArrayLike,
    weight: _ArrayLike | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """-log p[class] of log-probabilities."""

def normalize(
    input: _ArrayLike,
    p: float = 2.0,
    dim: int = 1,
    eps: float = 1e-12,
) -> Tensor:
    """x / max(‖x‖ₚ, eps) along `dim`."""

def one_hot(tensor: _ArrayLike, num_classes: int = -1) -> Tensor:
    """Rows with a 1 at the given class; num_classes = -1 takes the largest class plus one."""

def pad(
    input: _ArrayLike,
    pad: Sequence[int],
    mode: str = "constant",
    value: float | None = None,
) -> Tensor:
    """Grow (or, for negative numbers, crop) axes, last axis first."""

def pairwise_distance(
    x1: _ArrayLike,
    x2: _ArrayLike,
    p: float = 2.0,
    eps: float = 1e-06,
    keepdim: bool = False,
) -> Tensor:
    """‖x1 - x2 + eps‖ₚ along the last axis."""

def pixel_shuffle(input: _ArrayLike, upscale_factor: int) -> Tensor:
    """(N, C·r², H, W) → (N, C, H·r, W·r) (Shi et al., 2016)."""

def pixel_unshuffle(input: _ArrayLike, downscale_factor: int) -> Tensor:
    """(N, C, H·r, W·r) → (N, C·r², H, W)."""

def poisson_nll_loss(
    input: _ArrayLike,
    target: _ArrayLike,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-08,
    reduction: str = "mean",
) -> Tensor:
    """e^x - y x (or x - y log(x + eps)), with Stirling's term for `full`."""

def prelu(input: _ArrayLike, weight: _ArrayLike) -> Tensor:
    """x for x > 0, else weight · x, with one weight, or one per channel (axis 1)."""

def relu(input: _ArrayLike, inplace: bool = False) -> Tensor:
    """max(x, 0); the derivative at 0 is 0. NaN stays NaN."""

def relu6(input: _ArrayLike, inplace: bool = False) -> Tensor:
    """min(max(x, 0), 6)."""

def rms_norm(
    input: _ArrayLike,
    normalized_shape: int | Sequence[int],
    weight: _ArrayLike | None = None,
    eps: float | None = None,
) -> Tensor:
    """x / sqrt(mean(x²) + eps) · weight over the trailing axes (Zhang and Sennrich, 2019)."""

def scaled_dot_product_attention(
    query: _ArrayLike,
    key: _ArrayLike,
    value: _ArrayLike,
    attn_mask: _ArrayLike | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    *,
    offset: int = 0,
) -> Tensor:
    """softmax(q·kᵀ / √d + mask) · v (Vaswani et al., 2017)."""

def selu(input: _ArrayLike, inplace: bool = False) -> Tensor:
    """The self-normalising scaled ELU (Klambauer et al., 2017)."""

def sigmoid(input: _ArrayLike) -> Tensor:
    """1 / (1 + e^-x)."""

def silu(input: _ArrayLike, inplace: bool = False) -> Tensor:
    """x · sigmoid(x), also called swish (Hendrycks and Gimpel, 2016)."""

def smooth_l1_loss(
    input: _ArrayLike,
    target: _ArrayLike,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """Huber's loss divided by beta; |x - y| for beta = 0."""

def soft_margin_loss(
    input: _ArrayLike,
    target: _ArrayLike,
    reduction: str = "mean",
) -> Tensor:
    """log(1 + e^(-y x))."""

def softmax(
    input: _ArrayLike,
    dim: int | None = None,
    dtype: _DTypeLike | None = None,
) -> Tensor:
    """e^(x - max x) / Σ e^(x - max x) along `dim`."""

def softmin(
    input: _ArrayLike,
    dim: int | None = None,
    dtype: _DTypeLike | None = None,
) -> Tensor:
    """softmax(-x) along `dim`."""

def softplus(input: _ArrayLike, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + e^(beta·x)) / beta, and x itself where beta·x > threshold."""

def softshrink(input: _ArrayLike, lambd: float = 0.5) -> Tensor:
    """x moved towards 0 by lambd."""

def softsign(input: _ArrayLike) -> Tensor:
    """x / (1 + |x|)."""

def tanh(input: _ArrayLike) -> Tensor:
    """The hyperbolic tangent."""

def tanhshrink(input: _ArrayLike) -> Tensor:
    """x - tanh(x)."""

def threshold(
    input: _ArrayLike,
    threshold: float,
    value: float,
    inplace: bool = False,
) -> Tensor:
    """x where x > threshold, else value."""

def triplet_margin_loss(
    anchor: _ArrayLike,
    positive: _ArrayLike,
    negative: _ArrayLike,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-06,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """max(0, d(a, p) - d(a, n) + margin) (Balntas et al., 2016)."""

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "alpha_dropout",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "batch_norm",
    "bilinear",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "celu",
    "channel_shuffle",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cosine_embedding_loss",
    "cosine_similarity",
    "cross_entropy",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "elu",
    "embedding",
    "feature_alpha_dropout",
    "gaussian_nll_loss",
    "gelu",
    "glu",
    "group_norm",
    "gumbel_softmax",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hinge_embedding_loss",
    "huber_loss",
    "instance_norm",
    "interpolate",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "logsigmoid",
    "margin_ranking_loss",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "mish",
    "mse_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "pairwise_distance",
    "pixel_shuffle",
    "pixel_unshuffle",
    "poisson_nll_loss",
    "prelu",
    "relu",
    "relu6",
    "rms_norm",
    "scaled_dot_product_attention",
    "selu",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "soft_margin_loss",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
    "triplet_margin_loss",
]
