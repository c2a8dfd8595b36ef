"""The public functions that vmap is tested on: name → (function of one example, its operands).

Operands are makers of random arrays: `maker(rng)`. What draws random numbers, reads files or gives
shapes that depend on values is not here.
"""

import numpy as np

import elinvar as el

N = el.nn.functional


def normal(*shape, scale=1.0):
    return lambda rng: (rng.standard_normal(shape) * scale).astype(np.float32)


def positive(*shape):
    return lambda rng: rng.uniform(0.2, 2.0, shape).astype(np.float32)


def inside(*shape):
    return lambda rng: rng.uniform(-0.95, 0.95, shape).astype(np.float32)


def unit(*shape):
    return lambda rng: rng.uniform(0.05, 0.95, shape).astype(np.float32)


def whole(*shape, low=-9, high=9):
    return lambda rng: rng.integers(low, high, shape)


def flags(*shape):
    return lambda rng: rng.random(shape) < 0.5


def signs(*shape):
    return lambda rng: np.where(rng.random(shape) < 0.5, 1, -1).astype(np.float32)


def ordered(*shape):
    return lambda rng: np.sort(rng.standard_normal(shape), -1).astype(np.float32)


X, Y, ROW, CUBE = normal(3, 4), normal(3, 4), normal(4), normal(2, 3, 4)
POSITIVE, INSIDE = positive(3, 4), inside(3, 4)
WHOLE, COUNTS = whole(3, 4), whole(3, 4, low=1)
B, C = flags(3, 4), flags(3, 4)
LINE, IMAGE, BLOCK = normal(2, 4, 9), normal(2, 4, 6, 7), normal(1, 2, 4, 5, 4)


def named(space, names, *makers, **options):
    """A row for each name of a namespace."""
    return {
        f"{name}{'' if space is el else ' of nn'}": (
            lambda *xs, name=name: getattr(space, name)(*xs, **options),
            makers,
        )
        for name in names.split()
    }


ELEMENTWISE = {
    **named(
        el,
        "abs negative sign square exp expm1 sin cos tan sinh cosh tanh asinh atan floor ceil trunc "
        "round isnan isinf isfinite signbit positive erf real conj stop_gradient",
        X,
    ),
    **named(el, "sqrt log log1p log2 log10 reciprocal", POSITIVE),
    **named(el, "asin acos atanh erfinv", INSIDE),
    **named(el, "acosh", lambda rng: POSITIVE(rng) + 1),
    **named(el, "bitwise_invert abs negative sign square", WHOLE),
    **named(el, "logical_not", B),
    **named(el, "logical_and logical_or logical_xor", B, C),
    **named(
        el,
        "add subtract multiply maximum minimum less less_equal greater greater_equal equal "
        "not_equal atan2 copysign logaddexp hypot nextafter isclose",
        X,
        ROW,
    ),
    **named(el, "divide remainder floor_divide", X, POSITIVE),
    **named(el, "pow", POSITIVE, X),
    **named(
        el,
        "floor_divide remainder bitwise_and bitwise_or bitwise_xor bitwise_left_shift "
        "bitwise_right_shift",
        WHOLE,
        COUNTS,
    ),
    "lerp": (el.lerp, (X, Y, ROW)),
    "where": (el.where, (B, X, ROW)),
    "clip": (lambda x: el.clip(x, -0.5, 0.5), (X,)),
    "clip by tensors": (el.clip, (X, lambda rng: -POSITIVE(rng), POSITIVE)),
    "astype": (lambda x: el.astype(x, el.float16), (X,)),
    "bitcast": (lambda x: el.bitcast(x, el.int32), (X,)),
}

REDUCING = {
    **named(el, "sum prod max min mean var std argmax argmin logsumexp any all", X),
    **named(el, "sum prod max min mean var std argmax argmin logsumexp any all", CUBE, axis=1),
    "sum of two axes": (lambda x: el.sum(x, axis=(0, 2), keepdims=True), (CUBE,)),
    "count_nonzero": (lambda x: el.count_nonzero(x, axis=1), (whole(3, 4, low=-1, high=2),)),
    "cumulative_sum": (lambda x: el.cumulative_sum(x, axis=1), (CUBE,)),
    "cumulative_prod": (lambda x: el.cumulative_prod(x, axis=-1), (CUBE,)),
    "diff": (lambda x: el.diff(x, axis=0), (X,)),
    "sort": (lambda x: el.sort(x, axis=0), (X,)),
    "argsort": (lambda x: el.argsort(x, descending=True), (X,)),
    "topk": (lambda x: tuple(el.topk(x, 2)), (X,)),
    "searchsorted": (el.searchsorted, (ordered(6), X)),
    "isin": (el.isin, (WHOLE, whole(5))),
}

MOVING = {
    "reshape": (lambda x: el.reshape(x, (2, -1)), (X,)),
    "permute_dims": (lambda x: el.permute_dims(x, (2, 0, 1)), (CUBE,)),
    "matrix_transpose": (el.matrix_transpose, (CUBE,)),
    "moveaxis": (lambda x: el.moveaxis(x, 0, -1), (CUBE,)),
    "broadcast_to": (lambda x: el.broadcast_to(x, (2, 3, 4)), (ROW,)),
    "broadcast_arrays": (lambda x, y: tuple(el.broadcast_arrays(x, y)), (X, ROW)),
    "expand_dims": (lambda x: el.expand_dims(x, axis=1), (X,)),
    "squeeze": (lambda x: el.squeeze(x, axis=1), (normal(3, 1, 4),)),
    "concat": (lambda x, y: el.concat([x, y], axis=1), (X, Y)),
    "stack": (lambda x, y: el.stack([x, y], axis=-1), (X, Y)),
    "split": (lambda x: tuple(el.split(x, 2, axis=1)), (X,)),
    "chunk": (lambda x: tuple(el.chunk(x, 2, axis=1)), (X,)),
    "unstack": (lambda x: tuple(el.unstack(x)), (X,)),
    "flip": (lambda x: el.flip(x, axis=(0, 1)), (X,)),
    "roll": (lambda x: el.roll(x, 2, axis=1), (X,)),
    "tile": (lambda x: el.tile(x, (2, 1)), (X,)),
    "repeat": (lambda x: el.repeat(x, 2, axis=0), (X,)),
    "tril": (el.tril, (X,)),
    "triu": (lambda x: el.triu(x, k=1), (CUBE,)),
    "meshgrid": (lambda x, y: tuple(el.meshgrid(x, y)), (ROW, normal(3))),
    "take": (lambda x, i: el.take(x, i, axis=0), (X, whole(5, low=0, high=3))),
    "take_along_axis": (
        lambda x, i: el.take_along_axis(x, i, axis=1), (X, whole(3, 2, low=0, high=4)),
    ),
    "getitem": (lambda x: x[1:, None, ::2], (X,)),
    "getitem by tensors": (lambda x, i: x[i, :, i], (CUBE, whole(3, low=0, high=2))),
    "getitem by a number": (lambda x, i: x[i], (X, whole(low=0, high=3))),
    "zeros_like": (lambda x: el.zeros_like(x) + x[:1], (X,)),
    "full_like": (lambda x: el.full_like(x, 3) * x, (X,)),
    "ones_like": (lambda x: el.ones_like(x) + x, (X,)),
    "one_hot": (lambda x: el.one_hot(x, 5), (whole(3, low=0, high=5),)),
}  # fmt: skip

PRODUCTS = {
    "matmul": (el.matmul, (X, normal(4, 2))),
    "matmul of many": (el.matmul, (CUBE, normal(4, 2))),
    "matrix times vector": (el.matmul, (X, ROW)),
    "dot": (el.dot, (ROW, ROW)),
    "vecdot": (el.vecdot, (X, Y)),
    "outer": (el.outer, (ROW, normal(3))),
    "tensordot": (lambda x, y: el.tensordot(x, y, axes=([1, 2], [0, 1])), (CUBE, normal(3, 4, 2))),
    "einsum": (lambda x, y: el.einsum("abc,cd->dba", x, y), (CUBE, normal(4, 5))),
    "cross": (el.linalg.cross, (normal(2, 3), normal(2, 3))),
    "trace": (el.linalg.trace, (normal(4, 4),)),
    "diagonal": (el.linalg.diagonal, (X,)),
    "matrix_norm": (el.linalg.matrix_norm, (X,)),
    "vector_norm": (el.linalg.vector_norm, (X,)),
    "matrix_power": (lambda x: el.linalg.matrix_power(x, 3), (normal(3, 3),)),
    "linear of nn": (N.linear, (X, normal(2, 4), normal(2))),
    "bilinear of nn": (N.bilinear, (X, normal(3, 5), normal(2, 4, 5), normal(2))),
}

ACTIVATIONS = named(
    N,
    "celu elu gelu hardshrink hardsigmoid hardswish hardtanh leaky_relu log_softmax logsigmoid mish "
    "normalize relu relu6 selu sigmoid silu softmax softmin softplus softshrink softsign tanh "
    "tanhshrink glu",
    X,
)
ACTIVATIONS.update(named(N, "log_softmax softmax softmin", X, dim=-1))
ACTIVATIONS["threshold of nn"] = (lambda x: N.threshold(x, 0.1, 2.0), (X,))
ACTIVATIONS["prelu of nn"] = (N.prelu, (X, normal(4)))

LOSSES = {
    **named(N, "l1_loss mse_loss huber_loss smooth_l1_loss", X, Y),
    **named(N, "soft_margin_loss hinge_embedding_loss", X, signs(3, 4)),
    **named(N, "binary_cross_entropy", unit(3, 4), unit(3, 4)),
    **named(N, "binary_cross_entropy_with_logits", X, unit(3, 4)),
    **named(N, "cosine_similarity pairwise_distance", X, Y),
    **named(N, "kl_div", X, unit(3, 4), reduction="sum"),
    **named(N, "cross_entropy", X, whole(3, low=0, high=4)),
    **named(N, "nll_loss", X, whole(3, low=0, high=4)),
    **named(N, "poisson_nll_loss", X, POSITIVE),
    **named(N, "gaussian_nll_loss", X, Y, POSITIVE),
    **named(N, "triplet_margin_loss", X, Y, normal(3, 4)),
    **named(N, "cosine_embedding_loss", X, Y, signs(3)),
    **named(N, "margin_ranking_loss", ROW, ROW, signs(4)),
}

LAYERS = {
    **named(N, "conv1d", LINE, normal(6, 2, 3), normal(6), groups=2, padding=1),
    **named(N, "conv2d", IMAGE, normal(5, 4, 3, 2), normal(5), stride=2),
    **named(N, "conv3d", BLOCK, normal(3, 2, 2, 2, 2)),
    **named(N, "conv_transpose1d", LINE, normal(4, 3, 3), normal(3), stride=2),
    **named(N, "conv_transpose2d", IMAGE, normal(4, 2, 3, 3), stride=2, groups=2),
    **named(N, "conv_transpose3d", BLOCK, normal(2, 3, 2, 2, 2)),
    **named(N, "avg_pool1d max_pool1d", LINE, kernel_size=2),
    **named(N, "avg_pool2d max_pool2d", IMAGE, kernel_size=3, stride=2, padding=1),
    **named(N, "avg_pool3d max_pool3d", BLOCK, kernel_size=2),
    **named(N, "adaptive_avg_pool1d adaptive_max_pool1d", LINE, output_size=4),
    **named(N, "adaptive_avg_pool2d adaptive_max_pool2d", IMAGE, output_size=(2, 3)),
    **named(N, "adaptive_avg_pool3d", BLOCK, output_size=2),
    **named(N, "channel_shuffle", IMAGE, groups=2),
    **named(N, "pixel_shuffle", IMAGE, upscale_factor=2),
    **named(N, "pixel_unshuffle", normal(2, 4, 6, 8), downscale_factor=2),
    **named(N, "interpolate", IMAGE, scale_factor=2.0, mode="nearest"),
    "interpolate between": (lambda x: N.interpolate(x, size=(9, 5), mode="bilinear"), (IMAGE,)),
    **named(N, "pad", IMAGE, pad=(1, 2, 0, 1)),
    "pad by reflection": (lambda x: N.pad(x, (1, 2), mode="reflect"), (LINE,)),
    "embedding of nn": (N.embedding, (whole(3, low=0, high=6), normal(6, 4))),
    "one_hot of nn": (lambda x: N.one_hot(x, 6), (whole(3, low=0, high=6),)),
    "layer_norm of nn": (lambda x, w, b: N.layer_norm(x, (4,), w, b), (X, ROW, ROW)),
    "rms_norm of nn": (lambda x, w: N.rms_norm(x, (4,), w), (X, ROW)),
    "group_norm of nn": (lambda x, w: N.group_norm(x, 2, w), (IMAGE, normal(4))),
    "instance_norm of nn": (N.instance_norm, (IMAGE,)),
    "batch_norm of nn": (
        lambda x, m, v: N.batch_norm(x, m, v, training=False), (IMAGE, normal(4), positive(4)),
    ),
    "batch_norm in training": (
        lambda x: N.batch_norm(x, None, None, training=True), (IMAGE,),
    ),
    "attention": (
        N.scaled_dot_product_attention,
        (normal(2, 3, 5, 4), normal(2, 3, 6, 4), normal(2, 3, 6, 4)),
    ),
    "attention to the past": (
        lambda q, k, v: N.scaled_dot_product_attention(q, k, v, is_causal=True),
        (normal(1, 2, 5, 4), normal(1, 2, 5, 4), normal(1, 2, 5, 4)),
    ),
}  # fmt: skip

ROWS = {**ELEMENTWISE, **REDUCING, **MOVING, **PRODUCTS, **ACTIVATIONS, **LOSSES, **LAYERS}
