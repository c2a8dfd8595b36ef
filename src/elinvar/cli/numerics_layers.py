"""The families that are made of kernels: products, convolutions, attention, norms, losses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from elinvar.cli.numerics_inputs import integers, numbers, shaped
from elinvar.cli.numerics_items import Item, Operands, Uncompiled, item
from elinvar.core import dtypes
from elinvar.core.dtypes import DType, bool_, float32, float64
from elinvar.nn import functional, init
from elinvar.tensor import elementwise as ew
from elinvar.tensor import linear, random
from elinvar.tensor.convert import cast
from elinvar.tensor.creation import zeros
from elinvar.tensor.tensor import Tensor

Shapes = tuple[tuple[int, ...], ...]


# ---- products -----------------------------------------------------------------------------------

_PRODUCTS: Shapes = (
    (1, 300, 1), (1, 520, 40), (7, 600, 1), (33, 257, 65), (130, 64, 130), (5, 1100, 9),
)  # fmt: skip


def products() -> Iterator[Item]:
    """Matrix products of all widths and heights, in batches, with biases and activations."""
    floats = (float32, float64, dtypes.bfloat16, dtypes.float16)
    for dtype in floats:
        for m, k, n in _PRODUCTS:
            gradients = 2 if dtype is float32 and m > 1 < n else 0
            operands = shaped((m, k), (k, n), dtype=dtype)
            yield item(f"{m}×{k} by {k}×{n} {dtype.short}", linear.matmul, operands, gradients)
    for dtype in (float32, dtypes.bfloat16):
        operands = shaped((3, 20, 70), (3, 70, 33), dtype=dtype)
        yield item(f"batches {dtype.short}", linear.matmul, operands, 2)
        operands = shaped((37, 70), (50, 70), (50,), dtype=dtype)
        yield item(f"linear, bias and gelu {dtype.short}", _dense, operands, 3)
    wide = partial(linear.matmul, dtype=dtypes.int32)
    yield item("int8 summed in int32", wide, _small_integers)
    yield item("int8 summed in int8", linear.matmul, _small_integers)


def _dense(x: Tensor, weight: Tensor, bias: Tensor) -> Any:
    return functional.gelu(functional.linear(x, weight, bias))


def _small_integers(source: random.Generator) -> Operands:
    sizes = ((33, 530), (530, 65))
    a, b = (integers(source, 128, *size, low=-128, dtype=dtypes.int8) for size in sizes)
    return a, b


# ---- convolutions -------------------------------------------------------------------------------


def convolutions() -> Iterator[Item]:
    """Direct, by Winograd's algorithm, strided, depthwise, grouped, transposed, in 1 to 3 axes."""
    two, back = functional.conv2d, functional.conv_transpose2d
    cases: list[tuple[str, Callable[..., Any], Shapes, dict[str, Any]]] = [
        ("direct 3×3", two, ((2, 3, 9, 11), (10, 3, 3, 3), (10,)), {"padding": 1}),
        ("direct 1×1", two, ((2, 20, 7, 7), (33, 20, 1, 1), (33,)), {}),
        ("direct 5×5", two, ((1, 7, 12, 10), (6, 7, 5, 5)), {"padding": 2}),
        ("strided 3×3", two, ((2, 16, 11, 9), (24, 16, 3, 3)), {"stride": 2, "padding": 1}),
        ("dilated 3×3", two, ((1, 6, 13, 13), (8, 6, 3, 3)), {"dilation": 2}),
        ("Winograd, 16 channels", two, ((2, 16, 12, 12), (32, 16, 3, 3), (32,)), {"padding": 1}),
        ("Winograd, 80 channels", two, ((1, 80, 9, 14), (48, 80, 3, 3)), {"padding": 1}),
        ("depthwise 3×3", two, ((2, 24, 10, 9), (24, 1, 3, 3)), {"padding": 1, "groups": 24}),
        ("grouped 3×3", two, ((2, 12, 8, 9), (18, 4, 3, 3)), {"padding": 1, "groups": 3}),
        ("transposed 2×2", back, ((2, 12, 6, 5), (12, 7, 2, 2), (7,)), {"stride": 2}),
        ("transposed 4×4", back, ((1, 8, 5, 6), (8, 6, 4, 4)), {"stride": 2, "padding": 1}),
        ("one axis", functional.conv1d, ((2, 9, 40), (11, 9, 5), (11,)), {"padding": 2}),
        ("three axes", functional.conv3d, ((1, 4, 6, 7, 5), (5, 4, 3, 3, 3)), {"padding": 1}),
    ]
    for name, function, shapes, params in cases:
        run = partial(function, **params)
        yield item(f"{name} f32", run, shaped(*shapes), len(shapes))
    for name, function, shapes, params in cases[:1] + cases[5:6] + cases[7:8]:
        run = partial(function, **params)
        for dtype in (dtypes.bfloat16, float64):
            kind = name.replace("Winograd", "in place of Winograd") if dtype is float64 else name
            yield item(f"{kind} {dtype.short}", run, shaped(*shapes, dtype=dtype), len(shapes))


# ---- attention ----------------------------------------------------------------------------------


def attention() -> Iterator[Item]:
    """Forward and backward: with and without masks, grouped heads, lengths beyond a block of 64."""
    attend = functional.scaled_dot_product_attention
    for dtype in (float32, dtypes.bfloat16, float64):
        whole = shaped(*((2, 3, 70, 16),) * 3, dtype=dtype)
        yield item(f"whole {dtype.short}", attend, whole, 3)
        causal = partial(attend, is_causal=True)
        yield item(f"causal {dtype.short}", causal, shaped(*((1, 2, 150, 24),) * 3, dtype=dtype), 3)
    step = partial(attend, is_causal=True, offset=96)
    operands = shaped((2, 2, 5, 16), (2, 2, 101, 16), (2, 2, 101, 20))
    yield item("later queries f32", step, operands, 3)
    grouped = partial(attend, enable_gqa=True, is_causal=True)
    operands = shaped((2, 6, 40, 16), (2, 2, 40, 16), (2, 2, 40, 16))
    yield item("grouped heads f32", grouped, operands, 3)
    yield item("mask of bool f32", _masked, partial(_with_mask, is_added=False), 3)
    yield item("mask that is added f32", _masked, partial(_with_mask, is_added=True), 3)
    yield item("dropout f32", partial(attend, dropout_p=0.25), shaped(*((1, 2, 33, 8),) * 3), 3)


def _masked(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Any:
    return functional.scaled_dot_product_attention(query, key, value, mask)


def _with_mask(source: random.Generator, is_added: bool) -> Operands:
    q, k, v = shaped(*((2, 2, 67, 12),) * 3)(source)
    if is_added:
        return q, k, v, numbers(source, 2, 1, 67, 67)
    return q, k, v, cast(integers(source, 4, 2, 1, 67, 67), bool_)


# ---- norms, pooling, losses ---------------------------------------------------------------------


def norms() -> Iterator[Item]:
    """Normalisation over features, groups and batches, forward and backward."""
    for dtype in (float32, dtypes.bfloat16):
        short = dtype.short
        rows = shaped((20, 200), (200,), (200,), dtype=dtype)
        planes = shaped((3, 12, 9, 7), (12,), (12,), dtype=dtype)
        yield item(f"layer norm {short}", _layer_norm, rows, 3)
        yield item(f"root mean square norm {short}", _rms_norm, rows, 2)
        yield item(f"group norm {short}", _group_norm, planes, 3)
        yield item(f"instance norm {short}", _instance_norm, planes, 3)
        yield item(f"batch norm {short}", _batch_norm, planes, 3)
    yield item("batch norm, fixed f32", _fixed_batch_norm, shaped((3, 12, 9, 7), (12,), (12,)), 3)
    yield item("normalize f32", functional.normalize, shaped((20, 33)), 1)


def _layer_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Any:
    return functional.layer_norm(x, (200,), weight, bias)


def _rms_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Any:
    return functional.rms_norm(x, (200,), weight)


def _group_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Any:
    return functional.group_norm(x, 3, weight, bias)


def _instance_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Any:
    return functional.instance_norm(x, weight=weight, bias=bias)


def _batch_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Any:
    average, variance = zeros((12,)), zeros((12,)) + 1.0
    found = functional.batch_norm(x, average, variance, weight, bias, training=True)
    return found, average, variance


def _fixed_batch_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Any:
    average = weight.detach() * 0.5
    return functional.batch_norm(x, average, ew.abs(average) + 0.5, weight, bias)


def pooling() -> Iterator[Item]:
    """Pooling and resizing, forward and backward."""
    planes = shaped((2, 5, 13, 11))
    cases: dict[str, Callable[..., Any]] = {
        "max 2×2": partial(functional.max_pool2d, kernel_size=2),
        "max 3×3, stride 2": partial(functional.max_pool2d, kernel_size=3, stride=2, padding=1),
        "average 3×3": partial(functional.avg_pool2d, kernel_size=3, stride=2, padding=1),
        "adaptive average": partial(functional.adaptive_avg_pool2d, output_size=(3, 4)),
        "adaptive maximum": partial(functional.adaptive_max_pool2d, output_size=(3, 4)),
        "bilinear": partial(functional.interpolate, size=(20, 17), mode="bilinear"),
        "nearest": partial(functional.interpolate, scale_factor=2.0),
    }
    for name, function in cases.items():
        yield item(f"{name} f32", function, planes, 1)


def losses() -> Iterator[Item]:
    """Losses and their gradients."""
    for dtype in (float32, dtypes.bfloat16):
        for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"):
            run = getattr(functional, name)
            yield item(f"{name} {dtype.short}", run, shaped((30, 41), (30, 41), dtype=dtype), 1)
        classes = partial(_classes, dtype=dtype)
        yield item(f"cross_entropy {dtype.short}", functional.cross_entropy, classes, 1)
        smooth = partial(functional.cross_entropy, label_smoothing=0.1, ignore_index=3)
        yield item(f"cross_entropy, smoothed {dtype.short}", smooth, classes, 1)
        both = partial(_chances, dtype=dtype)
        logits = functional.binary_cross_entropy_with_logits
        yield item(f"binary_cross_entropy_with_logits {dtype.short}", logits, both, 1)
    yield item("binary_cross_entropy f32", functional.binary_cross_entropy, _chances, 1)
    yield item("kl_div f32", functional.kl_div, _chances, 1)
    yield item("poisson_nll_loss f32", functional.poisson_nll_loss, _chances, 1)
    yield item("gaussian_nll_loss f32", _gaussian, _chances, 1)
    yield item("cosine_similarity f32", functional.cosine_similarity, shaped((9, 50), (9, 50)), 2)
    three = shaped((9, 50), (9, 50), (9, 50))
    yield item("triplet_margin_loss f32", functional.triplet_margin_loss, three, 3)


def _gaussian(x: Tensor, target: Tensor) -> Any:
    return functional.gaussian_nll_loss(x, target, target + 0.5, full=True)


def _classes(source: random.Generator, dtype: DType) -> Operands:
    return numbers(source, 40, 23, dtype=dtype) * 4.0, integers(source, 23, 40)


def _chances(source: random.Generator, dtype: DType = float32) -> Operands:
    x, y = (numbers(source, 30, 41, dtype=dtype) * 0.5 + 0.5 for _ in range(2))
    return x * 0.75 + 0.125, y


# ---- random numbers -----------------------------------------------------------------------------


def draws() -> Iterator[Item]:
    """What is drawn from the default generator, seeded with 0."""
    cases: dict[str, Callable[[], Any]] = {
        "integers": lambda: random.randint(-(2**40), 2**41, (500,)),
        "small integers": lambda: random.randint(0, 10, (5000,), dtype=dtypes.int8),
        "permutation": lambda: random.permutation(1000),
        "bernoulli": lambda: random.bernoulli(0.3, (5000,)),
        "exponential": lambda: random.exponential((5000,)),
        "multinomial": lambda: random.multinomial(random.rand(7, 50), 20),
        "multinomial with repeats": lambda: random.multinomial(random.rand(7, 50), 20, True),
        "dropout": lambda: functional.dropout(zeros((5000,)) + 1.0, 0.3),
        "gumbel softmax": lambda: functional.gumbel_softmax(zeros((9, 30))),
        "weights, orthogonal": lambda: init.orthogonal_(zeros((70, 40))),
        "weights, Kaiming's": lambda: init.kaiming_normal_(zeros((40, 50))),
    }
    for dtype in (float32, float64, dtypes.bfloat16, dtypes.float16):
        for name in ("rand", "randn"):
            cases[f"{name} {dtype.short}"] = partial(getattr(random, name), 20_001, dtype=dtype)
    for name, draw in cases.items():
        yield item(name, partial(_drawn, draw), lambda source: ())
    truncated = partial(_drawn, lambda: init.trunc_normal_(zeros((40, 50)), std=0.7))
    yield Uncompiled("weights, truncated normal", truncated, lambda source, count: [()])


def _drawn(draw: Callable[[], Any]) -> Any:
    return draw()
