"""nn.functional against PyTorch: outputs and gradients, row by row, in float32 and bfloat16."""

import numpy as np
import pytest

import elinvar as el

torch = pytest.importorskip("torch")
ours, theirs = el.nn.functional, torch.nn.functional

pytestmark = [pytest.mark.any_level, pytest.mark.filterwarnings("ignore::UserWarning:torch")]


def normal(*shape, scale=1.0):
    return lambda rng: (rng.standard_normal(shape) * scale).astype(np.float32)


def uniform(low, high, *shape):
    return lambda rng: rng.uniform(low, high, shape).astype(np.float32)


def integers(high, *shape):
    return lambda rng: rng.integers(0, high, shape)


def mask(*shape, share=0.7):
    return lambda rng: rng.random(shape) < share


def signs(*shape):
    return lambda rng: np.where(rng.random(shape) < 0.5, 1, -1)


class Fixed(np.ndarray):
    """An array for which PyTorch computes no gradient."""


def fixed(*arguments):
    return lambda rng: uniform(*arguments)(rng).view(Fixed)


def soft(*shape):
    def make(rng):
        raw = rng.uniform(0.1, 1, shape)
        return (raw / raw.sum(1, keepdims=True)).astype(np.float32)

    return make


X = normal(3, 5, scale=3)
IMAGE = normal(2, 4, 7, 6)
LOGITS, CLASSES = normal(6, 5, scale=2), integers(5, 6)
PIXELS, LABELS = normal(2, 5, 3, 4), integers(5, 2, 3, 4)
QUERY, KEY, VALUE = normal(2, 4, 5, 8), normal(2, 4, 7, 8), normal(2, 4, 7, 6)
ANCHOR = (normal(4, 6), normal(4, 6), normal(4, 6))

# name, inputs, keyword arguments
ROWS = [
    *((name, (X,), {}) for name in (
        "relu", "relu6", "sigmoid", "silu", "gelu", "elu", "selu", "celu", "softplus", "logsigmoid",
        "mish", "tanh", "softsign", "tanhshrink", "hardtanh", "hardsigmoid", "hardswish", "leaky_relu",
        "hardshrink", "softshrink",
    )),
    ("gelu", (X,), {"approximate": "tanh"}), ("elu", (X,), {"alpha": 0.5}),
    ("softplus", (X,), {"beta": 2.0, "threshold": 3.0}), ("leaky_relu", (X,), {"negative_slope": 0.3}),
    ("threshold", (X,), {"threshold": 0.5, "value": -1.0}), ("prelu", (normal(2, 3, 4), normal(3)), {}),
    ("glu", (normal(3, 6),), {"dim": 1}), ("softmax", (X,), {"dim": 0}), ("log_softmax", (X,), {"dim": -1}),
    ("softmin", (X,), {"dim": 1}), ("softmax", (X,), {"dim": 1, "dtype": "float64"}),
    # linear and convolutions
    ("linear", (normal(2, 3, 4), normal(5, 4), normal(5)), {}), ("linear", (normal(4), normal(5, 4)), {}),
    ("bilinear", (normal(3, 4), normal(3, 5), normal(2, 4, 5), normal(2)), {}),
    ("conv1d", (normal(2, 4, 9), normal(6, 4, 3), normal(6)), {"padding": 1, "stride": 2}),
    ("conv2d", (IMAGE, normal(6, 4, 3, 3), normal(6)), {}),
    ("conv2d", (IMAGE, normal(6, 4, 3, 2)), {"padding": (1, 2), "stride": (2, 1), "dilation": (1, 2)}),
    ("conv2d", (IMAGE, normal(8, 2, 3, 3), normal(8)), {"groups": 2, "padding": "same"}),
    ("conv2d", (IMAGE, normal(4, 1, 3, 3)), {"groups": 4, "padding": "valid"}),
    ("conv2d", (normal(4, 7, 6), normal(6, 4, 1, 1)), {}),
    ("conv3d", (normal(1, 2, 4, 5, 4), normal(3, 2, 2, 3, 2)), {"padding": 1}),
    ("conv_transpose1d", (normal(2, 4, 5), normal(4, 3, 3), normal(3)), {"stride": 2, "output_padding": 1}),
    ("conv_transpose2d", (IMAGE, normal(4, 3, 3, 3), normal(6)), {"stride": 2, "padding": 1, "groups": 2}),
    ("conv_transpose2d", (IMAGE, normal(4, 3, 2, 3)), {"stride": (1, 3), "dilation": 2, "padding": 1, "output_padding": (0, 1)}),
    # pooling
    ("max_pool1d", (normal(2, 3, 9),), {"kernel_size": 3, "stride": 2}),
    ("max_pool2d", (IMAGE,), {"kernel_size": 2}),
    ("max_pool2d", (IMAGE,), {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}),
    ("max_pool2d", (IMAGE,), {"kernel_size": (2, 3), "dilation": 2}),
    ("avg_pool1d", (normal(2, 3, 9),), {"kernel_size": 3}),
    ("avg_pool2d", (IMAGE,), {"kernel_size": 3, "stride": 2, "padding": 1}),
    ("avg_pool2d", (IMAGE,), {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False, "ceil_mode": True}),
    ("avg_pool2d", (IMAGE,), {"kernel_size": 2, "ceil_mode": True, "divisor_override": 3}),
    ("adaptive_avg_pool2d", (IMAGE,), {"output_size": (3, 4)}), ("adaptive_avg_pool2d", (IMAGE,), {"output_size": 1}),
    ("adaptive_avg_pool2d", (IMAGE,), {"output_size": (None, 2)}), ("adaptive_avg_pool1d", (normal(2, 3, 8),), {"output_size": 4}),
    ("adaptive_max_pool2d", (IMAGE,), {"output_size": (3, 4)}),
    # normalisation
    ("layer_norm", (normal(3, 4, 5), normal(4, 5), normal(4, 5)), {"normalized_shape": (4, 5)}),
    ("rms_norm", (normal(3, 4, 5), normal(5)), {"normalized_shape": (5,)}),
    ("rms_norm", (normal(3, 4, 5),), {"normalized_shape": (4, 5), "eps": 0.01}),
    ("group_norm", (IMAGE, 2, normal(4), normal(4)), {}), ("instance_norm", (IMAGE,), {}),
    ("batch_norm", (IMAGE, fixed(-1, 1, 4), fixed(0.5, 2, 4), normal(4), normal(4)), {}),
    ("batch_norm", (IMAGE, None, None, normal(4), normal(4)), {"training": True}),
    ("normalize", (X,), {"dim": 1}), ("normalize", (X,), {"p": 1, "dim": 0}),
    # losses
    ("cross_entropy", (LOGITS, CLASSES), {}), ("cross_entropy", (LOGITS, CLASSES), {"reduction": "none"}),
    ("cross_entropy", (LOGITS, CLASSES, fixed(0.5, 2, 5)), {"ignore_index": 2}),
    ("cross_entropy", (LOGITS, CLASSES, fixed(0.5, 2, 5)), {"label_smoothing": 0.2, "ignore_index": 1}),
    ("cross_entropy", (LOGITS, CLASSES), {"label_smoothing": 0.2, "reduction": "sum"}),
    ("cross_entropy", (LOGITS, soft(6, 5)), {"label_smoothing": 0.1}),
    ("cross_entropy", (LOGITS, soft(6, 5), uniform(0.5, 2, 5)), {"reduction": "sum"}),
    ("cross_entropy", (PIXELS, LABELS), {}), ("cross_entropy", (PIXELS, soft(2, 5, 3, 4)), {}),
    ("cross_entropy", (normal(5), integers(5)), {}),
    ("nll_loss", (LOGITS, CLASSES, fixed(0.5, 2, 5)), {}), ("nll_loss", (PIXELS, LABELS), {"reduction": "sum"}),
    ("binary_cross_entropy", (uniform(0.05, 0.95, 4, 3), uniform(0, 1, 4, 3)), {}),
    ("binary_cross_entropy", (uniform(0.05, 0.95, 4, 3), uniform(0, 1, 4, 3), fixed(0, 1, 4, 3)), {"reduction": "sum"}),
    ("binary_cross_entropy_with_logits", (normal(4, 3, scale=5), uniform(0, 1, 4, 3)), {}),
    ("binary_cross_entropy_with_logits", (normal(4, 3), uniform(0, 1, 4, 3)), {"pos_weight": fixed(0.5, 2, 3)}),
    ("mse_loss", (X, X), {}), ("mse_loss", (X, X), {"reduction": "none"}), ("l1_loss", (X, X), {}),
    ("smooth_l1_loss", (X, X), {"beta": 0.7}), ("huber_loss", (X, X), {"delta": 1.3}),
    ("kl_div", (uniform(-3, 0, 4, 5), soft(4, 5)), {"reduction": "batchmean"}),
    ("kl_div", (uniform(-3, 0, 4, 5), uniform(-3, 0, 4, 5)), {"log_target": True, "reduction": "sum"}),
    ("cosine_similarity", (X, X), {"dim": 1}),
    ("cosine_embedding_loss", (normal(4, 6), normal(4, 6), signs(4)), {"margin": 0.1}),
    ("triplet_margin_loss", ANCHOR, {"margin": 2.0}), ("triplet_margin_loss", ANCHOR, {"swap": True, "p": 1.0}),
    ("margin_ranking_loss", (normal(5), normal(5), signs(5)), {"margin": 0.2}),
    ("hinge_embedding_loss", (normal(5), signs(5)), {}), ("soft_margin_loss", (normal(5), signs(5)), {}),
    ("poisson_nll_loss", (normal(5), uniform(0, 4, 5)), {"full": True}),
    ("gaussian_nll_loss", (normal(5), normal(5), uniform(0.1, 2, 5)), {"full": True}),
    ("pairwise_distance", (normal(4, 6), normal(4, 6)), {}),
    # attention
    ("scaled_dot_product_attention", (QUERY, KEY, VALUE), {}),
    ("scaled_dot_product_attention", (QUERY, KEY, VALUE), {"attn_mask": mask(5, 7), "scale": 0.3}),
    ("scaled_dot_product_attention", (QUERY, KEY, VALUE), {"attn_mask": normal(2, 1, 5, 7)}),
    ("scaled_dot_product_attention", (QUERY, KEY, VALUE), {"is_causal": True}),
    ("scaled_dot_product_attention", (QUERY, normal(2, 2, 7, 8), normal(2, 2, 7, 6)), {"enable_gqa": True}),
    # the rest
    ("embedding", (integers(7, 3, 4), normal(7, 5)), {}), ("embedding", (integers(7, 3, 4), normal(7, 5)), {"padding_idx": 2}),
    ("one_hot", (integers(4, 3, 2),), {"num_classes": 4}), ("one_hot", (integers(4, 9),), {}),
    *(("pad", (IMAGE,), {"pad": (2, 1, 0, 3), "mode": mode}) for mode in ("constant", "reflect", "replicate", "circular")),
    ("pad", (IMAGE,), {"pad": (1, -2, -1, 0), "value": 3.0}),
    ("interpolate", (IMAGE,), {"scale_factor": 2}), ("interpolate", (IMAGE,), {"size": (5, 9)}),
    ("interpolate", (IMAGE,), {"scale_factor": (1.5, 0.5), "mode": "bilinear"}),
    ("interpolate", (IMAGE,), {"size": (10, 3), "mode": "bilinear", "align_corners": True}),
    ("interpolate", (normal(2, 3, 5),), {"size": 8, "mode": "linear"}),
    ("pixel_shuffle", (normal(2, 8, 3, 4),), {"upscale_factor": 2}),
    ("pixel_unshuffle", (normal(2, 3, 4, 6),), {"downscale_factor": 2}),
]  # fmt: skip


def title(row):
    texts = [f"{k}={'…' if callable(v) else v}" for k, v in row[2].items()]
    return f"{row[0]}({', '.join(texts)})".replace("[", "(").replace("]", ")")


def values(row, seed=3):
    rng = np.random.default_rng(seed)
    _, makers, options = row
    args = [maker(rng) if callable(maker) else maker for maker in makers]
    return args, {key: value(rng) if callable(value) else value for key, value in options.items()}


def arranged(name, args):
    """Arguments by position as both libraries take them."""
    if name in ("layer_norm", "rms_norm"):
        return args[:1], dict(zip(("weight", "bias"), args[1:], strict=False))
    return args, {}


def run(library, row, dtype, bare):
    args, options = values(row)
    place, named = arranged(row[0], args)
    make = el.asarray if library is el else torch.tensor
    kind = getattr(library, dtype)

    def tensor(value):
        if not isinstance(value, np.ndarray) and not isinstance(value, np.generic):
            return getattr(library, value) if value == "float64" else value
        found = make(np.array(value))
        if value.dtype != np.float32 or isinstance(value, Fixed):
            return found
        found = found.to(kind)
        found.requires_grad_(True)
        leaves.append(found)
        return found

    leaves = []
    arguments = [tensor(value) for value in place]
    keywords = {key: tensor(value) for key, value in (named | options).items()}
    function = getattr(library.nn.functional, row[0])
    result = function(*arguments, **keywords)
    if bare:
        return np.asarray(result.detach()), []
    weights = np.random.default_rng(5).standard_normal(tuple(result.shape)).astype(np.float32)
    ((result * make(weights).to(result.dtype)).sum()).backward()
    gradients = [None if leaf.grad is None else np.asarray(leaf.grad.to(library.float64)) for leaf in leaves]
    return np.asarray(result.detach().to(library.float64)), gradients


@pytest.mark.parametrize("row", ROWS, ids=title)
def test_as_in_pytorch(row):
    bare = row[0] == "one_hot"
    found, gradients = run(el, row, "float32", bare)
    expected, wanted = run(torch, row, "float32", bare)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)
    for gradient, other in zip(gradients, wanted, strict=True):
        if gradient is None or other is None:
            assert not np.any(gradient if other is None else other)
        else:
            np.testing.assert_allclose(gradient, other, rtol=1e-4, atol=5e-5)


SIXTEEN = ("relu", "gelu", "silu", "softmax", "log_softmax", "layer_norm", "mish", "softplus", "mse_loss",
           "cross_entropy", "linear", "sigmoid", "rms_norm", "l1_loss", "huber_loss")  # fmt: skip


@pytest.mark.parametrize("row", [row for row in ROWS if row[0] in SIXTEEN and "dtype" not in row[2]], ids=title)
def test_bfloat16_rounds_once(row):
    """Close to the float32 result of the same (rounded) inputs: one rounding, not many."""
    args, options = values(row)
    place, named = arranged(row[0], args)

    def tensor(value, kind):
        if not isinstance(value, np.ndarray):
            return value
        found = el.asarray(np.array(value))
        return found.to(el.bfloat16).to(kind) if value.dtype == np.float32 else found

    results = []
    for kind in (el.bfloat16, el.float64):
        keywords = {key: tensor(value, kind) for key, value in (named | options).items()}
        result = getattr(ours, row[0])(*(tensor(value, kind) for value in place), **keywords)
        assert result.dtype is kind
        results.append(np.asarray(result.double()))
    np.testing.assert_allclose(*results, rtol=2.0**-7, atol=1e-6)


def test_max_pool_gradient_goes_to_the_first_maximum():
    x = np.zeros((1, 1, 4, 4), np.float32)
    mine, other = el.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    ours.max_pool2d(mine, 3, stride=1).sum().backward()
    theirs.max_pool2d(other, 3, stride=1).sum().backward()
    np.testing.assert_array_equal(np.asarray(mine.grad), other.grad.numpy())


def test_max_pool_indices():
    x = np.random.default_rng(0).standard_normal((2, 3, 7, 6)).astype(np.float32)
    options = {"kernel_size": 3, "stride": 2, "padding": 1, "return_indices": True}
    values_, places = ours.max_pool2d(el.asarray(x), **options)
    expected, where = theirs.max_pool2d(torch.tensor(x), **options)
    np.testing.assert_array_equal(np.asarray(values_), expected.numpy())
    np.testing.assert_array_equal(np.asarray(places), where.numpy())


def test_the_default_epsilon_of_rms_norm():
    for name in ("float16", "bfloat16", "float32", "float64"):
        found = ours.rms_norm(el.full((1, 4), 1e-3, dtype=getattr(el, name)), (4,)).double()
        other = theirs.rms_norm(torch.full((1, 4), 1e-3, dtype=getattr(torch, name)), (4,)).double()
        np.testing.assert_allclose(np.asarray(found), other.numpy(), rtol=1e-2)


def test_running_statistics():
    x = np.random.default_rng(0).standard_normal((4, 3, 5)).astype(np.float32)
    for library, make in ((el, el.asarray), (torch, torch.tensor)):
        mean, var = make(np.zeros(3, np.float32)), make(np.ones(3, np.float32))
        library.nn.functional.batch_norm(make(x), mean, var, training=True, momentum=0.3)
        if library is el:
            found = np.asarray(mean), np.asarray(var)
    np.testing.assert_allclose(found[0], mean.numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[1], var.numpy(), rtol=1e-5, atol=1e-6)


def test_rows_that_attend_to_nothing_give_zero():
    query = np.ones((1, 2, 4), np.float32)
    nothing = np.array([[True, True], [False, False]])
    found = ours.scaled_dot_product_attention(*(el.asarray(query),) * 3, attn_mask=el.asarray(nothing))
    other = theirs.scaled_dot_product_attention(*(torch.tensor(query),) * 3, attn_mask=torch.tensor(nothing))
    np.testing.assert_array_equal(np.asarray(found), other.numpy())


def test_special_values_of_activations():
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e30, -1e30, 100.0, -100.0], np.float32)
    for name in ("relu", "relu6", "sigmoid", "silu", "gelu", "elu", "selu", "celu", "softplus", "logsigmoid",
                 "mish", "softsign", "hardtanh", "hardsigmoid", "hardswish", "leaky_relu"):  # fmt: skip
        found = np.array(getattr(ours, name)(el.asarray(x)))
        other = getattr(theirs, name)(torch.tensor(x)).numpy()
        found[np.isnan(other) & np.isinf(x)] = np.nan  # PyTorch's NaN at infinities is not copied
        np.testing.assert_allclose(found, other, rtol=1e-5, atol=1e-30, err_msg=name)
