"""nn.functional against formulas in numpy, under jit, its gradients and its errors.

The comparison with PyTorch, function by function, is in peers/test_functional_torch.py.
"""

import math

import numpy as np
import pytest
import scipy.special as special

import elinvar as el
from elinvar.core import errors

pytestmark = pytest.mark.any_level

nf = el.nn.functional
RNG = np.random.default_rng(11)
X = (RNG.standard_normal((4, 6)) * 3).astype(np.float32)
Y = (RNG.standard_normal((4, 6)) * 3).astype(np.float32)
CLASSES = RNG.integers(0, 6, 4)
IMAGE = RNG.standard_normal((2, 3, 6, 5)).astype(np.float32)


def logistic(x):
    return 1 / (1 + np.exp(-x))


def softmax(x, axis=-1):
    powers = np.exp(x - x.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


def normalized(x, axes, eps=1e-5):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "sigmoid": logistic,
    "logsigmoid": lambda x: np.log(logistic(x)),
    "silu": lambda x: x * logistic(x),
    "gelu": lambda x: x * (1 + special.erf(x / math.sqrt(2))) / 2,
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "selu": lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x)),
    "celu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "softplus": lambda x: np.log1p(np.exp(x)),
    "mish": lambda x: x * np.tanh(np.log1p(np.exp(x))),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "tanhshrink": lambda x: x - np.tanh(x),
    "hardtanh": lambda x: np.clip(x, -1, 1),
    "hardsigmoid": lambda x: np.clip(x + 3, 0, 6) / 6,
    "hardswish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "hardshrink": lambda x: np.where(np.abs(x) > 0.5, x, 0),
    "softshrink": lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0),
    "tanh": np.tanh,
}


def close(found, expected, tolerance=1e-5):
    found = np.asarray(found)
    assert found.shape == np.shape(expected)
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name):
    function, reference = getattr(nf, name), ACTIVATIONS[name]
    wide = X.astype(np.float64)
    close(function(el.asarray(X)), reference(wide))
    assert function(el.asarray(X).bfloat16()).dtype is el.bfloat16
    np.testing.assert_array_equal(np.asarray(el.jit(function)(el.asarray(X))), np.asarray(function(el.asarray(X))))

    x = el.tensor(X, requires_grad=True)
    function(x).sum().backward()
    step = 1e-6
    slope = (reference(wide + step) - reference(wide - step)) / (2 * step)
    close(x.grad, slope, 1e-3)


def test_kinks():
    """The derivative at a kink is PyTorch's."""
    for function, points, slopes in (
        (nf.relu, [0.0], [0.0]), (nf.hardtanh, [-1.0, 1.0], [0.0, 0.0]), (nf.relu6, [0.0, 6.0], [0.0, 0.0]),
        (nf.leaky_relu, [0.0], [0.01]), (nf.elu, [0.0], [1.0]), (el.abs, [0.0], [0.0]),
        (lambda x: el.clip(x, -1, 1), [-1.0, 1.0], [1.0, 1.0]),
    ):  # fmt: skip
        x = el.tensor(points, requires_grad=True)
        function(x).sum().backward()
        close(x.grad, slopes)


def test_softmax_and_log_softmax():
    close(nf.softmax(el.asarray(X), dim=0), softmax(X, 0))
    close(nf.log_softmax(el.asarray(X), dim=1), np.log(softmax(X, 1)))
    large = el.asarray([[1e4, 1e4 - 1]])
    close(nf.softmax(large, dim=1), softmax(np.array([[1.0, 0.0]])))
    assert nf.softmax(el.asarray(X), dim=0, dtype=el.float64).dtype is el.float64
    close(nf.softmax(el.asarray(2.0), dim=0), 1.0)


def test_a_fused_row_is_read_once():
    """What the second pass needs of the first is kept: the whole gelu, not a part of it."""
    run = el.jit(lambda x: nf.softmax(nf.gelu(x), dim=-1))
    lines = run.lower(el.zeros((8, 64))).llvm.splitlines()
    assert len([line for line in lines if "getelementptr" in line and "ptr %in0" in line]) == 1


def picked(log_p, classes):
    return -np.take_along_axis(log_p, classes[:, None], 1)[:, 0]


def test_cross_entropy():
    log_p = np.log(softmax(X))
    weight = RNG.uniform(0.5, 2, 6).astype(np.float32)
    x, y, w = el.asarray(X), el.asarray(CLASSES), el.asarray(weight)
    each = picked(log_p, CLASSES)
    close(nf.cross_entropy(x, y), each.mean())
    close(nf.cross_entropy(x, y, reduction="none"), each)
    close(nf.cross_entropy(x, y, w), (each * weight[CLASSES]).sum() / weight[CLASSES].sum())
    kept = CLASSES != CLASSES[0]
    close(nf.cross_entropy(x, y, ignore_index=int(CLASSES[0])), each[kept].mean())
    close(nf.cross_entropy(x, y, label_smoothing=0.3), (0.7 * each - 0.3 * log_p.mean(1)).mean())
    soft = softmax(Y)
    close(nf.cross_entropy(x, el.asarray(soft)), -(soft * log_p).sum(1).mean())
    close(nf.nll_loss(el.asarray(log_p), y, reduction="sum"), each.sum())
    close(nf.cross_entropy(x[0], y[0]), each[0])
    pixels = RNG.standard_normal((2, 5, 3, 4)).astype(np.float32)
    labels = RNG.integers(0, 5, (2, 3, 4))
    flat = np.log(softmax(pixels, 1)).transpose(0, 2, 3, 1).reshape(-1, 5)
    close(nf.cross_entropy(el.asarray(pixels), el.asarray(labels)), picked(flat, labels.reshape(-1)).mean())
    x = el.tensor(X, requires_grad=True)
    nf.cross_entropy(x, y).backward()
    close(x.grad, (softmax(X) - np.eye(6)[CLASSES]) / 4)


def test_other_losses():
    x, y = el.asarray(X), el.asarray(Y)
    d = X - Y
    close(nf.mse_loss(x, y), (d**2).mean(), 1e-4)
    close(nf.l1_loss(x, y, reduction="sum"), np.abs(d).sum(), 1e-4)
    close(nf.huber_loss(x, y, delta=2.0), np.where(np.abs(d) < 2, d**2 / 2, 2 * (np.abs(d) - 1)).mean(), 1e-4)
    close(nf.smooth_l1_loss(x, y), np.where(np.abs(d) < 1, d**2 / 2, np.abs(d) - 0.5).mean(), 1e-4)
    p, t = logistic(X), logistic(Y)
    both = -(t * np.log(p) + (1 - t) * np.log(1 - p))
    close(nf.binary_cross_entropy(el.asarray(p), el.asarray(t)), both.mean(), 1e-4)
    close(nf.binary_cross_entropy_with_logits(x, el.asarray(t)), both.mean(), 1e-4)
    q, r = softmax(X), softmax(Y)
    close(nf.kl_div(el.asarray(np.log(q)), el.asarray(r), reduction="batchmean"), (r * np.log(r / q)).sum() / 4)
    lengths = np.linalg.norm(X, axis=1) * np.linalg.norm(Y, axis=1)
    close(nf.cosine_similarity(x, y), (X * Y).sum(1) / lengths)
    extreme = nf.binary_cross_entropy(el.asarray([0.0, 1.0]), el.asarray([1.0, 1.0]), reduction="none")
    close(extreme, [100.0, 0.0])


def test_norms():
    x = el.asarray(IMAGE)
    close(nf.layer_norm(x, (6, 5)), normalized(IMAGE, (2, 3)))
    close(nf.group_norm(x, 1), normalized(IMAGE, (1, 2, 3)))
    close(nf.instance_norm(x), normalized(IMAGE, (2, 3)))
    close(nf.batch_norm(x, None, None, training=True), normalized(IMAGE, (0, 2, 3)))
    close(nf.rms_norm(x, (5,), eps=0.1), IMAGE / np.sqrt((IMAGE**2).mean(-1, keepdims=True) + 0.1))
    close(nf.normalize(el.asarray(X)), X / np.linalg.norm(X, axis=1, keepdims=True))
    mean, var = el.zeros(3), el.ones(3)
    nf.batch_norm(x, mean, var, training=True, momentum=0.5)
    close(mean, IMAGE.mean((0, 2, 3)) / 2)
    close(var, 0.5 + IMAGE.var((0, 2, 3), ddof=1) / 2)
    shift = el.asarray(IMAGE) + 1000.0  # the two-pass variance does not cancel
    close(nf.layer_norm(shift, (6, 5)), normalized(IMAGE, (2, 3)), 1e-3)


def correlate(x, w, stride=1, padding=0, dilation=1):
    x = np.pad(x, ((0, 0), (0, 0), (padding,) * 2, (padding,) * 2))
    kh, kw = w.shape[2:]
    rows = (x.shape[2] - dilation * (kh - 1) - 1) // stride + 1
    columns = (x.shape[3] - dilation * (kw - 1) - 1) // stride + 1
    result = np.zeros((x.shape[0], w.shape[0], rows, columns))
    for i in range(rows):
        for j in range(columns):
            patch = x[:, :, i * stride : i * stride + dilation * (kh - 1) + 1 : dilation,
                      j * stride : j * stride + dilation * (kw - 1) + 1 : dilation]  # fmt: skip
            result[:, :, i, j] = np.einsum("nchw,ochw->no", patch, w)
    return result


def test_convolutions():
    w = RNG.standard_normal((4, 3, 3, 2)).astype(np.float32)
    x = el.asarray(IMAGE)
    for options in ({}, {"stride": 2, "padding": 1}, {"dilation": 2, "padding": 2}):
        close(nf.conv2d(x, el.asarray(w), **options), correlate(IMAGE, w, **options), 1e-4)
    one = nf.conv1d(x[:, :, 0], el.asarray(w[:, :, 0]), el.ones(4))
    close(one, correlate(IMAGE[:, :, :1], w[:, :, :1])[:, :, 0] + 1, 1e-4)
    # the transpose is the adjoint: <conv(x), y> = <x, conv_transpose(y)>
    y = RNG.standard_normal(correlate(IMAGE, w, 2, 1).shape).astype(np.float32)
    back = nf.conv_transpose2d(el.asarray(y), el.asarray(w), stride=2, padding=1, output_padding=(1, 1))
    left = float((np.asarray(nf.conv2d(x, el.asarray(w), stride=2, padding=1), np.float64) * y).sum())
    assert back.shape[:2] == (2, 3)
    grown = np.asarray(back, np.float64)[:, :, :6, :5]
    assert left == pytest.approx(float((grown * IMAGE).sum()), rel=1e-4)
    both = nf.conv2d(x, el.asarray(w[:3, :1]), groups=3)
    parts = [correlate(IMAGE[:, i : i + 1], w[i : i + 1, :1]) for i in range(3)]
    close(both, np.concatenate(parts, 1), 1e-4)


def test_pooling():
    x = np.arange(36, dtype=np.float32).reshape(1, 1, 6, 6)
    blocks = x.reshape(1, 1, 3, 2, 3, 2)
    close(nf.max_pool2d(el.asarray(x), 2), blocks.max((3, 5)))
    close(nf.avg_pool2d(el.asarray(x), 2), blocks.mean((3, 5)))
    close(nf.adaptive_avg_pool2d(el.asarray(x), 3), blocks.mean((3, 5)))
    close(nf.adaptive_max_pool2d(el.asarray(x), (3, 1)), x.reshape(1, 1, 3, 12).max(-1)[..., None])
    ties = el.tensor(np.zeros((1, 1, 2, 2), np.float32), requires_grad=True)
    nf.max_pool2d(ties, 2).sum().backward()
    close(ties.grad[0, 0], [[1.0, 0.0], [0.0, 0.0]])


@pytest.mark.parametrize("size", [2, 3, 5])  # compared one after another, and by argmax
def test_the_first_maximum_of_a_window(size):
    random = np.random.default_rng(size)
    values = np.array([-np.inf, -1.0, -0.0, 0.0, 1.0, np.nan], np.float32)
    images = random.choice(values, (2, 3, 4 * size + 1, 3 * size), p=[0.1, 0.3, 0.2, 0.2, 0.15, 0.05])

    def pooled(x, weights):
        found, places = nf.max_pool2d(x, size, return_indices=True)
        return el.grad(lambda v: (nf.max_pool2d(v, size) * weights).sum())(x), found, places

    weights = random.standard_normal((2, 3, 4, 3)).astype(np.float32)
    weights[0, 0, 0] = -0.0
    arguments = el.asarray(images), el.asarray(weights)
    gradient, found, places = pooled(*arguments)
    windows = images[:, :, : 4 * size].reshape(2, 3, 4, size, 3, size).transpose(0, 1, 2, 4, 3, 5)
    first = windows.reshape(2, 3, 4, 3, -1).argmax(-1)  # the first NaN where there is one
    rows = first // size + size * np.arange(4)[:, None]
    columns = first % size + size * np.arange(3)
    assert np.array_equal(places.numpy(), rows * 3 * size + columns)
    at = (*np.ogrid[:2, :3], rows.reshape(2, 3, 12), columns.reshape(2, 3, 12))
    at = (at[0][..., None], at[1][..., None], *at[2:])
    assert same(found, images[at].reshape(found.shape))
    expected = np.zeros_like(images)
    expected[at] = weights.reshape(2, 3, 12)
    assert same(gradient, expected)
    assert all(map(same, el.jit(pooled)(*arguments), (gradient, found, places)))


def same(a, b):
    """The same bits, but for those of NaN."""
    a, b = np.asarray(a), np.asarray(b)
    return np.array_equal(a, b, equal_nan=a.dtype.kind == "f") and (
        a.dtype.kind != "f" or np.array_equal(np.signbit(a)[a == 0], np.signbit(b)[b == 0])
    )


def test_attention():
    q, k, v = (RNG.standard_normal((2, 3, 4, 8)).astype(np.float32) for _ in range(3))
    scores = q @ k.swapaxes(-1, -2) / math.sqrt(8)
    tensors = [el.asarray(a) for a in (q, k, v)]
    close(nf.scaled_dot_product_attention(*tensors), softmax(scores) @ v)
    causal = np.where(np.tri(4, dtype=bool), scores, -np.inf)
    close(nf.scaled_dot_product_attention(*tensors, is_causal=True), softmax(causal) @ v)
    mask = el.asarray(np.tri(4, dtype=bool))
    close(nf.scaled_dot_product_attention(*tensors, attn_mask=mask), softmax(causal) @ v)
    shared = nf.scaled_dot_product_attention(tensors[0], tensors[1][:, :1], tensors[2][:, :1], enable_gqa=True)
    close(shared, softmax(q @ k[:, :1].swapaxes(-1, -2) / math.sqrt(8)) @ v[:, :1])
    dropped = nf.scaled_dot_product_attention(*tensors, dropout_p=0.5)
    assert dropped.shape == (2, 3, 4, 8) and not el.allclose(dropped, softmax(scores) @ v)


def test_dropout():
    el.manual_seed(1)
    x = el.ones((200, 200))
    y = nf.dropout(x, 0.25)
    assert set(np.unique(np.asarray(y))) == {np.float32(0), np.float32(4 / 3)}
    assert abs((y == 0).float().mean().item() - 0.25) < 0.01
    assert nf.dropout(x, 0.5, training=False) is x and nf.dropout(x, 1.0).sum().item() == 0
    leaf = el.tensor(np.ones((50, 50), np.float32), requires_grad=True)
    out = nf.dropout(leaf, 0.5)
    out.sum().backward()
    close(leaf.grad, np.asarray(out.detach()))


def test_the_rest():
    table = RNG.standard_normal((5, 3)).astype(np.float32)
    i = np.array([[0, 4], [2, 2]])
    close(nf.embedding(el.asarray(i), el.asarray(table)), table[i])
    weight = el.tensor(table, requires_grad=True)
    nf.embedding(el.asarray(i), weight, padding_idx=2).sum().backward()
    close(weight.grad, np.array([1, 0, 0, 0, 1.0])[:, None] * np.ones((5, 3)))
    close(nf.one_hot(el.asarray(i)), np.eye(5)[i])
    for mode, name in (("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap"), ("constant", "constant")):
        close(nf.pad(el.asarray(IMAGE), (1, 2, 2, 0), mode=mode), np.pad(IMAGE, ((0, 0), (0, 0), (2, 0), (1, 2)), name))
    close(nf.interpolate(el.asarray(IMAGE), scale_factor=2), IMAGE.repeat(2, 2).repeat(2, 3))
    line = nf.interpolate(el.asarray([[[0.0, 1.0]]]), size=4, mode="linear")
    close(line, [[[0, 0.25, 0.75, 1]]])
    x = np.arange(16, dtype=np.float32).reshape(1, 4, 2, 2)
    shuffled = nf.pixel_shuffle(el.asarray(x), 2)
    close(shuffled, x.reshape(1, 1, 2, 2, 2, 2).transpose(0, 1, 4, 2, 5, 3).reshape(1, 1, 4, 4))
    close(nf.pixel_unshuffle(shuffled, 2), x)
    close(nf.linear(el.asarray(X), el.asarray(table.T @ np.ones((5, 6), np.float32))), X @ (np.ones((6, 5)) @ table), 1e-4)
    halves = nf.glu(el.asarray(X), dim=1)
    close(halves, X[:, :3] * logistic(X[:, 3:]))


ERRORS = {
    "classes": (lambda: nf.cross_entropy(el.ones((2, 3)), el.asarray([0, 3])), errors.OutOfBoundsError, "holds class 3, but the input has 3 classes"),
    "reduction": (lambda: nf.mse_loss(el.ones(2), el.ones(2), reduction="max"), errors.ValueRangeError, "[mse_loss] reduction must be 'mean', 'sum' or 'none'"),
    "shapes": (lambda: nf.mse_loss(el.ones((4, 1)), el.ones(4)), errors.ShapeError, "[mse_loss] input f32[4,1] and target f32[4] must have the same shape"),
    "linear": (lambda: nf.linear(el.ones((2, 3)), el.ones((5, 4))), errors.ShapeError, "[linear] input f32[2,3] and weight f32[5,4] do not fit: 3 ≠ 4"),
    "conv": (lambda: nf.conv2d(el.ones((1, 3, 5, 5)), el.ones((4, 2, 3, 3))), errors.ShapeError, "[conv2d] input f32[1,3,5,5] with 1 groups does not fit"),
    "layer norm": (lambda: nf.layer_norm(el.ones((2, 3)), (4,)), errors.ShapeError, "normalized_shape (4,) does not end the shape of f32[2,3]"),
    "gelu": (lambda: nf.gelu(el.ones(2), approximate="erf"), errors.ValueRangeError, "approximate must be 'none' or 'tanh'"),
    "ints": (lambda: nf.sigmoid(el.arange(3)), errors.DTypeError, "[sigmoid] expected a floating dtype, received i64[3]"),
    "embedding": (lambda: nf.embedding(el.asarray([5]), el.ones((5, 2))), errors.OutOfBoundsError, "[embedding] index 5 is out of bounds for axis 0 of size 5"),
    "glu": (lambda: nf.glu(el.ones(3)), errors.ShapeError, "must have an even size"),
    "attention": (lambda: nf.scaled_dot_product_attention(el.ones((2, 3)), el.ones((2, 4)), el.ones((2, 4))), errors.ShapeError, "must agree in the last axis"),
    "heads": (lambda: nf.scaled_dot_product_attention(el.ones((3, 2, 4)), el.ones((2, 2, 4)), el.ones((2, 2, 4)), enable_gqa=True), errors.ValueRangeError, "must divide those of"),
    "dropout": (lambda: nf.dropout(el.ones(2), 1.5), errors.ValueRangeError, "p must be between 0 and 1, received 1.5"),
    "pad": (lambda: nf.pad(el.ones((1, 3)), (3, 0), mode="reflect"), errors.ShapeError, "reflect padding of 3 is too much"),
    "batch norm": (lambda: nf.batch_norm(el.ones((1, 3)), None, None, training=True), errors.ShapeError, "more than one value per channel"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    action, kind, text = ERRORS[name]
    with pytest.raises(kind) as caught:
        action()
    assert text in str(caught.value)


def test_jit_gives_the_bits_of_eager():
    x, y = el.asarray(X), el.asarray(CLASSES)
    image, kernel = el.asarray(IMAGE), el.asarray(RNG.standard_normal((4, 3, 3, 3)).astype(np.float32))
    for function, *operands in (
        (nf.cross_entropy, x, y), (lambda v: nf.layer_norm(v, (6,)), x), (nf.conv2d, image, kernel),
        (lambda v: nf.max_pool2d(v, 2), image), (lambda v: nf.batch_norm(v, None, None, training=True), image),
        (nf.scaled_dot_product_attention, image, image, image), (lambda v: nf.softmax(v, 1), x),
        (lambda v: nf.interpolate(v, scale_factor=2, mode="bilinear"), image),
    ):  # fmt: skip
        np.testing.assert_array_equal(np.asarray(el.jit(function)(*operands)), np.asarray(function(*operands)))
