"""Layers against numpy: outputs, shapes, and the errors users meet."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

import elinvar as el
from elinvar import nn
from elinvar.core.errors import ElinvarError, ShapeError, ValueRangeError
from tests.layers import CLOSE, normal, run, sigmoid, values_of

pytestmark = pytest.mark.any_level

# ---- linear maps -----------------------------------------------------------------------------


def test_linear() -> None:
    layer, x = nn.Linear(5, 3), normal(2, 4, 5)
    w = values_of(layer)
    np.testing.assert_allclose(run(layer, x), x @ w["weight"].T + w["bias"], **CLOSE)
    plain = nn.Linear(5, 3, bias=False)
    assert plain.bias is None and list(plain.state_dict()) == ["weight"]
    np.testing.assert_allclose(run(plain, x), x @ plain.weight.numpy().T, **CLOSE)
    with pytest.raises(ShapeError, match=r"f32\[2,4\]"):
        layer(el.ones((2, 4)))


def test_bilinear() -> None:
    layer, x, y = nn.Bilinear(3, 4, 5), normal(6, 3), normal(6, 4, seed=1)
    w = values_of(layer)
    expected = np.einsum("ni,kij,nj->nk", x, w["weight"], y) + w["bias"]
    np.testing.assert_allclose(run(layer, x, y), expected, **CLOSE)


def test_shape_layers() -> None:
    x = normal(2, 3, 4)
    np.testing.assert_array_equal(run(nn.Flatten(), x), x.reshape(2, 12))
    np.testing.assert_array_equal(run(nn.Flatten(0, 1), x), x.reshape(6, 4))
    np.testing.assert_array_equal(run(nn.Unflatten(2, (2, -1)), x), x.reshape(2, 3, 2, 2))
    np.testing.assert_array_equal(run(nn.Identity(), x), x)


def convolve(x: Any, w: Any, b: Any, stride: int, padding: int, dilation: int, groups: int) -> Any:
    """The definition, one output at a time, in float64."""
    x = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (padding,) * 2, (padding,) * 2))
    taps = [dilation * (k - 1) + 1 for k in w.shape[2:]]
    counts = [(n - t) // stride + 1 for n, t in zip(x.shape[2:], taps, strict=True)]
    y = np.zeros((x.shape[0], w.shape[0], *counts))
    per_group = w.shape[0] // groups
    for o, i, j in itertools.product(range(w.shape[0]), *map(range, counts)):
        first = o // per_group * w.shape[1]
        window = x[
            :,
            first : first + w.shape[1],
            i * stride : i * stride + taps[0] : dilation,
            j * stride : j * stride + taps[1] : dilation,
        ]
        y[:, o, i, j] = (window * w[o]).sum((1, 2, 3)) + b[o]
    return y


@pytest.mark.parametrize(
    "stride,padding,dilation,groups", [(1, 0, 1, 1), (2, 1, 1, 2), (1, 2, 2, 4)]
)
def test_conv2d(stride: int, padding: int, dilation: int, groups: int) -> None:
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    layer, x = nn.Conv2d(4, 8, 3, **options), normal(2, 4, 7, 8)
    w = values_of(layer)
    expected = convolve(x, w["weight"], w["bias"], **options)
    np.testing.assert_allclose(run(layer, x), expected, rtol=1e-5, atol=1e-5)


def test_conv_transpose_is_the_gradient_of_conv() -> None:
    conv = nn.Conv2d(3, 5, 3, stride=2, padding=1, bias=False)
    turned = nn.ConvTranspose2d(5, 3, 3, stride=2, padding=1, output_padding=1, bias=False)
    turned.load_state_dict(conv.state_dict())
    x = el.Tensor(normal(2, 3, 8, 8), requires_grad=True)
    cotangent = el.asarray(normal(2, 5, 4, 4, seed=1))
    (conv(x) * cotangent).sum().backward()
    np.testing.assert_allclose(turned(cotangent).numpy(), x.grad.numpy(), rtol=1e-5, atol=1e-5)
    assert turned(cotangent, output_size=(7, 8)).shape == (2, 3, 7, 8)
    with pytest.raises(ShapeError, match="output size 9 of spatial axis 1 is not within 7 … 8"):
        turned(cotangent, output_size=(8, 9))


def test_conv_arguments() -> None:
    with pytest.raises(ValueRangeError, match="in_channels 3 is not divisible by groups 2"):
        nn.Conv2d(3, 4, 3, groups=2)
    with pytest.raises(ShapeError, match=r"kernel_size needs 2 ints or one, received \(1, 2, 3\)"):
        nn.Conv2d(3, 4, (1, 2, 3))
    with pytest.raises(ValueRangeError, match="padding='same' needs stride 1"):
        nn.Conv2d(3, 4, 3, stride=2, padding="same")
    with pytest.raises(ValueRangeError, match="padding must be 'same', 'valid' or ints"):
        nn.Conv2d(3, 4, 3, padding="some")
    with pytest.raises(ValueRangeError, match="padding_mode must be one of"):
        nn.Conv2d(3, 4, 3, padding_mode="mirror")
    text = repr(nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=2, bias=False))
    assert text == (
        "Conv2d(4, 8, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), groups=2, bias=False)"
    )


# ---- pooling and resampling ------------------------------------------------------------------


def test_pooling() -> None:
    x = normal(2, 3, 6, 8)
    windows = x.reshape(2, 3, 3, 2, 4, 2)
    np.testing.assert_array_equal(run(nn.MaxPool2d(2), x), windows.max((3, 5)))
    np.testing.assert_allclose(run(nn.AvgPool2d(2), x), windows.mean((3, 5)), **CLOSE)
    np.testing.assert_allclose(run(nn.AdaptiveAvgPool2d((3, 4)), x), windows.mean((3, 5)), **CLOSE)
    np.testing.assert_allclose(run(nn.AdaptiveAvgPool2d(1), x)[..., 0, 0], x.mean((2, 3)), **CLOSE)
    values, places = nn.MaxPool1d(3, 1, return_indices=True)(el.asarray(x[0, :, 0][None]))
    rows = x[0, :, 0][None]
    np.testing.assert_array_equal(np.take_along_axis(rows, places.numpy(), -1), values.numpy())


def test_resampling() -> None:
    x = normal(1, 4, 2, 3)
    doubled = run(nn.Upsample(scale_factor=2), x)
    np.testing.assert_array_equal(doubled, x.repeat(2, 2).repeat(2, 3))
    shuffled = run(nn.PixelShuffle(2), x)
    assert shuffled.shape == (1, 1, 4, 6)
    np.testing.assert_array_equal(shuffled[0, 0, ::2, ::2], x[0, 0])
    np.testing.assert_array_equal(shuffled[0, 0, 1::2, ::2], x[0, 2])
    np.testing.assert_array_equal(run(nn.PixelUnshuffle(2), shuffled), x)


def test_unfold_and_fold_are_adjoint() -> None:
    x = el.asarray(normal(2, 3, 6, 7))
    unfold, fold = nn.Unfold((2, 3), padding=1), nn.Fold((6, 7), (2, 3), padding=1)
    y = el.asarray(normal(*unfold(x).shape, seed=1))
    left, right = (unfold(x) * y).sum().item(), (x * fold(y)).sum().item()
    assert left == pytest.approx(right, rel=1e-4)
    with pytest.raises(ShapeError, match=r"expected \(N, C·6, 49\), received"):
        fold(el.ones((1, 6, 4)))


def test_padding_layers() -> None:
    x = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    np.testing.assert_array_equal(
        run(nn.ReflectionPad1d(2), x), np.pad(x, ((0, 0), (0, 0), (2, 2)), "reflect")
    )
    np.testing.assert_array_equal(
        run(nn.ReplicationPad2d((1, 0, 2, 0)), x), np.pad(x, ((0, 0), (2, 0), (1, 0)), "edge")
    )
    np.testing.assert_array_equal(
        run(nn.CircularPad1d((1, 2)), x), np.pad(x, ((0, 0), (0, 0), (1, 2)), "wrap")
    )
    np.testing.assert_array_equal(
        run(nn.ConstantPad1d(1, 7.0), x),
        np.pad(x, ((0, 0), (0, 0), (1, 1)), constant_values=7.0),
    )
    with pytest.raises(ShapeError, match="padding needs 4 ints or one"):
        nn.ZeroPad2d((1, 2))


# ---- normalisation ---------------------------------------------------------------------------


def test_batch_norm() -> None:
    layer, x = nn.BatchNorm2d(3, momentum=0.3), normal(4, 3, 5, 6) * 2 + 1
    with el.no_grad():
        layer.weight.assign(el.asarray([1.0, 2.0, 3.0]))
        layer.bias.assign(el.asarray([0.5, 0.0, -1.0]))
    w = {name: value[:, None, None] for name, value in values_of(layer).items()}
    mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
    expected = (x - mean[:, None, None]) / np.sqrt(var[:, None, None] + 1e-5)
    np.testing.assert_allclose(
        run(layer, x), expected * w["weight"] + w["bias"], rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(layer.running_mean.numpy(), 0.3 * mean, **CLOSE)
    unbiased = x.transpose(1, 0, 2, 3).reshape(3, -1).var(1, ddof=1)
    np.testing.assert_allclose(layer.running_var.numpy(), 0.7 + 0.3 * unbiased, **CLOSE)
    assert layer.num_batches_tracked.item() == 1
    layer.eval()
    mean, var = layer.running_mean.numpy(), layer.running_var.numpy()
    expected = (x - mean[:, None, None]) / np.sqrt(var[:, None, None] + 1e-5)
    np.testing.assert_allclose(
        run(layer, x), expected * w["weight"] + w["bias"], rtol=1e-4, atol=1e-5
    )
    assert layer.num_batches_tracked.item() == 1
    layer.reset_running_stats()
    assert layer.running_mean.tolist() == [0.0] * 3 and layer.num_batches_tracked.item() == 0


def test_plain_average_of_running_statistics() -> None:
    layer = nn.BatchNorm1d(2, momentum=None)
    batches = [normal(8, 2, seed=seed) for seed in range(3)]
    for batch in batches:
        run(layer, batch)
    expected = np.mean([batch.mean(0) for batch in batches], axis=0)
    np.testing.assert_allclose(layer.running_mean.numpy(), expected, **CLOSE)


def test_batch_norm_errors() -> None:
    with pytest.raises(
        ShapeError, match=r"\[BatchNorm2d\] expected 4 dimensions, received f32\[2,3\]"
    ):
        nn.BatchNorm2d(3)(el.ones((2, 3)))
    with pytest.raises(ElinvarError, match="more than one value per channel"):
        nn.BatchNorm1d(3)(el.ones((1, 3)))


def test_other_norms() -> None:
    x = normal(2, 6, 4, 5) * 3 + 1
    groups = x.reshape(2, 3, -1)
    expected = (groups - groups.mean(-1, keepdims=True)) / np.sqrt(
        groups.var(-1, keepdims=True) + 1e-5
    )
    np.testing.assert_allclose(
        run(nn.GroupNorm(3, 6), x), expected.reshape(x.shape), rtol=1e-4, atol=1e-5
    )
    channels = x.reshape(2, 6, -1)
    expected = (channels - channels.mean(-1, keepdims=True)) / np.sqrt(
        channels.var(-1, keepdims=True) + 1e-5
    )
    np.testing.assert_allclose(
        run(nn.InstanceNorm2d(6), x), expected.reshape(x.shape), rtol=1e-4, atol=1e-5
    )
    single = run(nn.InstanceNorm2d(6), x[0])
    np.testing.assert_array_equal(single, run(nn.InstanceNorm2d(6), x)[0])
    rows = x.reshape(2, 6, 20)
    expected = (rows - rows.mean(-1, keepdims=True)) / np.sqrt(rows.var(-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(
        run(nn.LayerNorm((4, 5)), x), expected.reshape(x.shape), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(
        run(nn.RMSNorm(5, eps=1e-3), x),
        x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-3),
        **CLOSE,
    )
    assert nn.LayerNorm(4, bias=False).bias is None
    with pytest.raises(ValueRangeError, match="num_channels 5 is not divisible by num_groups 2"):
        nn.GroupNorm(2, 5)


# ---- embeddings and dropout ------------------------------------------------------------------


def test_embedding() -> None:
    layer = nn.Embedding(5, 3, padding_idx=-1)
    assert layer.padding_idx == 4 and layer.weight[4].tolist() == [0.0] * 3
    index = el.asarray([[0, 4], [2, 0]])
    np.testing.assert_array_equal(layer(index).numpy(), layer.weight.numpy()[index.numpy()])
    layer(index).sum().backward()
    assert layer.weight.grad[:, 0].tolist() == [2.0, 0.0, 1.0, 0.0, 0.0]
    table = nn.Embedding.from_pretrained(el.asarray([[1.0], [2.0]]))
    assert table(el.asarray([1])).tolist() == [[2.0]] and not table.weight.requires_grad
    with pytest.raises(ValueRangeError, match="padding_idx 5 is out of range for 5 rows"):
        nn.Embedding(5, 3, padding_idx=5)
    with pytest.raises(ElinvarError, match="5"):
        layer(el.asarray([5]))


def test_dropout() -> None:
    el.manual_seed(0)
    layer, x = nn.Dropout(0.25), el.ones((100, 100))
    y = layer(x).numpy()
    assert set(np.unique(y)) == {np.float32(0.0), np.float32(1 / 0.75)}
    assert abs((y == 0).mean() - 0.25) < 0.02
    el.manual_seed(0)
    np.testing.assert_array_equal(layer(x).numpy(), y)
    channels = nn.Dropout2d(0.5)(el.ones((20, 30, 2, 2))).numpy().reshape(600, 4)
    assert (channels == channels[:, :1]).all() and 0.4 < (channels[:, 0] == 0).mean() < 0.6
    np.testing.assert_array_equal(layer.eval()(x).numpy(), x.numpy())
    with pytest.raises(
        ValueRangeError, match=r"p must be a probability between 0 and 1, received 1\.5"
    ):
        nn.Dropout(1.5)


# ---- activations and losses ------------------------------------------------------------------


def erf(x: np.ndarray) -> np.ndarray:
    return np.vectorize(math.erf)(x)


ACTIVATIONS = {
    "ReLU": lambda x: np.maximum(x, 0),
    "LeakyReLU": lambda x: np.where(x > 0, x, 0.01 * x),
    "ELU": lambda x: np.where(x > 0, x, np.exp(x) - 1),
    "GELU": lambda x: x * (1 + erf(x / math.sqrt(2))) / 2,
    "SiLU": lambda x: x * sigmoid(x),
    "Mish": lambda x: x * np.tanh(np.log1p(np.exp(x))),
    "Sigmoid": sigmoid,
    "LogSigmoid": lambda x: np.log(sigmoid(x)),
    "Hardswish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "Softplus": lambda x: np.log1p(np.exp(x)),
    "Softsign": lambda x: x / (1 + np.abs(x)),
    "Tanh": np.tanh,
    "Hardtanh": lambda x: np.clip(x, -1, 1),
    "PReLU": lambda x: np.where(x > 0, x, 0.25 * x),
    "Softmax": lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True),
    "LogSoftmax": lambda x: x - np.log(np.exp(x).sum(-1, keepdims=True)),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name: str) -> None:
    x = normal(4, 6) * 2
    expected = ACTIVATIONS[name](x.astype(np.float64))
    np.testing.assert_allclose(run(getattr(nn, name)(), x), expected, **CLOSE)


def test_losses() -> None:
    x, y = normal(4, 5).astype(np.float64), normal(4, 5, seed=1)
    difference = x - y
    for reduction, reduce in (("mean", np.mean), ("sum", np.sum), ("none", np.asarray)):
        rows = {
            "L1Loss": np.abs(difference),
            "MSELoss": difference**2,
            "HuberLoss": np.where(
                np.abs(difference) < 1, difference**2 / 2, np.abs(difference) - 0.5
            ),
        }
        for name, values in rows.items():
            found = run(getattr(nn, name)(reduction=reduction), x.astype(np.float32), y)
            np.testing.assert_allclose(found, reduce(values), **CLOSE, err_msg=name)
    classes = np.array([0, 4, 2, 2])
    logs = x - np.log(np.exp(x).sum(-1, keepdims=True))
    losses = -logs[np.arange(4), classes]
    logits = x.astype(np.float32)
    np.testing.assert_allclose(run(nn.CrossEntropyLoss(), logits, classes), losses.mean(), **CLOSE)
    np.testing.assert_allclose(
        run(nn.CrossEntropyLoss(ignore_index=2), logits, classes), losses[:2].mean(), **CLOSE
    )
    smooth = 0.9 * losses - 0.1 * logs.mean(-1)
    np.testing.assert_allclose(
        run(nn.CrossEntropyLoss(label_smoothing=0.1), logits, classes), smooth.mean(), **CLOSE
    )
    np.testing.assert_allclose(
        run(nn.NLLLoss(), logs.astype(np.float32), classes), losses.mean(), **CLOSE
    )
    answers = (y > 0).astype(np.float32)
    expected = -(answers * np.log(sigmoid(x)) + (1 - answers) * np.log(1 - sigmoid(x)))
    np.testing.assert_allclose(
        run(nn.BCEWithLogitsLoss(), logits, answers), expected.mean(), **CLOSE
    )
    np.testing.assert_allclose(
        run(nn.BCELoss(), sigmoid(logits), answers), expected.mean(), rtol=1e-4
    )
    with pytest.raises(ValueRangeError, match="reduction must be one of"):
        nn.MSELoss("average")


def test_dtype_of_layers() -> None:
    layer = nn.Linear(3, 2, dtype=el.float64)
    assert {p.dtype for p in layer.parameters()} == {el.float64}
    half = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 2)).bfloat16()
    y = half(el.ones((3, 4), dtype=el.bfloat16))
    assert y.dtype is el.bfloat16
    y.float().sum().backward()
    assert all(p.grad.dtype is el.bfloat16 for p in half.parameters())


def test_empty_batches() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.ReLU(), nn.Linear(4, 2))
    assert net(el.zeros((0, 3))).shape == (0, 2)
    assert nn.Conv2d(1, 2, 3)(el.zeros((0, 1, 5, 5))).shape == (0, 2, 3, 3)
