"""Layers against numpy: outputs, shapes, first values, and the errors users meet."""

from __future__ import annotations

import itertools
import math
import statistics
from typing import Any

import numpy as np
import pytest

import elinvar as el
from elinvar import nn
from elinvar.core.errors import ElinvarError, ShapeError, ValueRangeError
from elinvar.nn.init import normal_quantile

CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def run(layer: nn.Module, *arrays: Any) -> np.ndarray:
    return layer(*(el.asarray(array) for array in arrays)).numpy()


def values_of(layer: nn.Module) -> dict[str, np.ndarray]:
    return {name: value.numpy().astype(np.float64) for name, value in layer.named_parameters()}


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


@pytest.mark.parametrize("stride,padding,dilation,groups", [(1, 0, 1, 1), (2, 1, 1, 2), (1, 2, 2, 4)])
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
    np.testing.assert_allclose(
        run(nn.AdaptiveAvgPool2d((3, 4)), x), windows.mean((3, 5)), **CLOSE
    )
    np.testing.assert_allclose(
        run(nn.AdaptiveAvgPool2d(1), x)[..., 0, 0], x.mean((2, 3)), **CLOSE
    )
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
    np.testing.assert_allclose(run(layer, x), expected * w["weight"] + w["bias"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.running_mean.numpy(), 0.3 * mean, **CLOSE)
    unbiased = x.transpose(1, 0, 2, 3).reshape(3, -1).var(1, ddof=1)
    np.testing.assert_allclose(layer.running_var.numpy(), 0.7 + 0.3 * unbiased, **CLOSE)
    assert layer.num_batches_tracked.item() == 1
    layer.eval()
    mean, var = layer.running_mean.numpy(), layer.running_var.numpy()
    expected = (x - mean[:, None, None]) / np.sqrt(var[:, None, None] + 1e-5)
    np.testing.assert_allclose(run(layer, x), expected * w["weight"] + w["bias"], rtol=1e-4, atol=1e-5)
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
    with pytest.raises(ShapeError, match=r"\[BatchNorm2d\] expected 4 dimensions, received f32\[2,3\]"):
        nn.BatchNorm2d(3)(el.ones((2, 3)))
    with pytest.raises(ElinvarError, match="more than one value per channel"):
        nn.BatchNorm1d(3)(el.ones((1, 3)))


def test_other_norms() -> None:
    x = normal(2, 6, 4, 5) * 3 + 1
    groups = x.reshape(2, 3, -1)
    expected = (groups - groups.mean(-1, keepdims=True)) / np.sqrt(groups.var(-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(run(nn.GroupNorm(3, 6), x), expected.reshape(x.shape), rtol=1e-4, atol=1e-5)
    channels = x.reshape(2, 6, -1)
    expected = (channels - channels.mean(-1, keepdims=True)) / np.sqrt(channels.var(-1, keepdims=True) + 1e-5)
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
        run(nn.RMSNorm(5, eps=1e-3), x), x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-3), **CLOSE
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
    with pytest.raises(ValueRangeError, match=r"p must be a probability between 0 and 1, received 1\.5"):
        nn.Dropout(1.5)


# ---- recurrence ------------------------------------------------------------------------------


def lstm_truth(x: np.ndarray, w: dict[str, np.ndarray], suffix: str) -> tuple[np.ndarray, ...]:
    """x (T, B, features) → outputs, h, c, by the formulas."""
    hidden = w[f"weight_hh_{suffix}"].shape[1]
    h = c = np.zeros((x.shape[1], hidden))
    outputs = []
    for step in x:
        gates = step @ w[f"weight_ih_{suffix}"].T + w[f"bias_ih_{suffix}"]
        gates = gates + h @ w[f"weight_hh_{suffix}"].T + w[f"bias_hh_{suffix}"]
        i, f, g, o = np.split(gates, 4, -1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs), h, c


def test_lstm() -> None:
    layer, x = nn.LSTM(4, 5, num_layers=2, bidirectional=True), normal(6, 3, 4)
    w, below, finals = values_of(layer), x, []
    for level in range(2):
        forward, h, c = lstm_truth(below, w, f"l{level}")
        backward, h2, c2 = lstm_truth(below[::-1], w, f"l{level}_reverse")
        below = np.concatenate([forward, backward[::-1]], -1)
        finals += [(h, c), (h2, c2)]
    output, (h, c) = layer(el.asarray(x))
    np.testing.assert_allclose(output.numpy(), below, **CLOSE)
    np.testing.assert_allclose(h.numpy(), np.stack([pair[0] for pair in finals]), **CLOSE)
    np.testing.assert_allclose(c.numpy(), np.stack([pair[1] for pair in finals]), **CLOSE)


def test_gru_and_rnn() -> None:
    x = normal(5, 2, 3)
    gru, rnn = nn.GRU(3, 4), nn.RNN(3, 4)
    w, h = values_of(gru), np.zeros((2, 4))
    for step in x:
        r, z, n = np.split(step @ w["weight_ih_l0"].T + w["bias_ih_l0"], 3, -1)
        hr, hz, hn = np.split(h @ w["weight_hh_l0"].T + w["bias_hh_l0"], 3, -1)
        r, z = sigmoid(r + hr), sigmoid(z + hz)
        h = (1 - z) * np.tanh(n + r * hn) + z * h
    np.testing.assert_allclose(gru(el.asarray(x))[1].numpy()[0], h, **CLOSE)
    w, h = values_of(rnn), np.zeros((2, 4))
    for step in x:
        h = np.tanh(
            step @ w["weight_ih_l0"].T + w["bias_ih_l0"] + h @ w["weight_hh_l0"].T + w["bias_hh_l0"]
        )
    np.testing.assert_allclose(rnn(el.asarray(x))[1].numpy()[0], h, **CLOSE)


@pytest.mark.parametrize("name", ("RNN", "GRU", "LSTM"))
def test_layouts_and_cells_agree(name: str) -> None:
    """batch_first, unbatched inputs, and a cell in a Python loop give the same numbers."""
    layer, cell = getattr(nn, name)(3, 4), getattr(nn, f"{name}Cell")(3, 4)
    first = getattr(nn, name)(3, 4, batch_first=True)
    first.load_state_dict(layer.state_dict())
    cell.load_state_dict(
        {key.removesuffix("_l0"): value for key, value in layer.state_dict().items()}
    )
    x = el.asarray(normal(5, 2, 3))
    output, _ = layer(x)
    turned, _ = first(x.transpose(0, 1))
    np.testing.assert_array_equal(turned.transpose(0, 1).numpy(), output.numpy())
    alone, last = layer(x[:, 0])
    np.testing.assert_allclose(alone.numpy(), output.numpy()[:, 0], **CLOSE)
    assert (last[0] if name == "LSTM" else last).shape == (1, 4)
    state = None
    for t in range(5):
        state = cell(x[t], state)
        hidden = state[0] if name == "LSTM" else state
        np.testing.assert_allclose(hidden.numpy(), output.numpy()[t], **CLOSE)


def test_recurrence_in_a_jit_and_its_gradient() -> None:
    layer, x = nn.GRU(3, 4), el.asarray(normal(5, 2, 3))
    run_jit = el.jit(lambda x: layer(x)[0])
    np.testing.assert_array_equal(run_jit(x).numpy(), layer(x)[0].numpy())
    assert str(run_jit.lower(x).graph).count("= scan") == 1  # one loop, whatever the length
    (layer(x)[0] ** 2).sum().backward()
    step = 1e-2
    for place in ((0, 0), (7, 2)):
        total = []
        for sign in (1, -1):
            moved = layer.weight_ih_l0.numpy().copy()
            moved[place] += sign * step
            values = {"weight_ih_l0": el.asarray(moved)}
            total.append((nn.functional_call(layer, values, x)[0] ** 2).sum().item())
        slope = (total[0] - total[1]) / (2 * step)
        assert layer.weight_ih_l0.grad.numpy()[place] == pytest.approx(slope, rel=2e-2, abs=1e-3)


def test_recurrent_dropout_and_errors() -> None:
    layer = nn.LSTM(3, 4, num_layers=2, dropout=0.5)
    x = el.asarray(normal(5, 2, 3))
    assert (layer(x)[0].numpy() != layer(x)[0].numpy()).any()
    layer.eval()
    np.testing.assert_array_equal(layer(x)[0].numpy(), layer(x)[0].numpy())
    with pytest.raises(ShapeError, match=r"with 3 features, received f32\[5,2,4\]"):
        layer(el.ones((5, 2, 4)))
    with pytest.raises(ShapeError, match=r"first state must have shape \(2, 2, 4\)"):
        layer(x, (el.ones((1, 2, 4)), el.ones((2, 2, 4))))
    with pytest.raises(ValueRangeError, match="nonlinearity must be 'tanh' or 'relu'"):
        nn.RNN(3, 4, nonlinearity="sin")
    with pytest.raises(ShapeError, match="the state must have shape"):
        nn.GRUCell(3, 4)(el.ones((2, 3)), el.ones((2, 3)))


# ---- attention -------------------------------------------------------------------------------


def attention_truth(layer: nn.MultiheadAttention, q: Any, k: Any, v: Any, mask: Any = None) -> Any:
    """(B, T, features) by the formula, in float64; mask is added to the scores."""
    w = values_of(layer)
    weights = np.split(w["in_proj_weight"], 3)
    biases = np.split(w["in_proj_bias"], 3)
    heads = []
    for x, weight, bias in zip((q, k, v), weights, biases, strict=True):
        y = x @ weight.T + bias
        heads.append(y.reshape(*y.shape[:2], layer.num_heads, -1).transpose(0, 2, 1, 3))
    scores = heads[0] @ heads[1].swapaxes(-1, -2) / math.sqrt(layer.head_dim)
    if mask is not None:
        scores = scores + mask
    p = np.exp(scores - scores.max(-1, keepdims=True))
    p = p / p.sum(-1, keepdims=True)
    mixed = (p @ heads[2]).transpose(0, 2, 1, 3).reshape(q.shape)
    return mixed @ w["out_proj.weight"].T + w["out_proj.bias"], p


def test_multihead_attention() -> None:
    layer = nn.MultiheadAttention(8, 2, batch_first=True)
    q, k, v = (normal(2, n, 8, seed=n) for n in (4, 5, 5))
    expected, p = attention_truth(layer, q, k, v)
    tensors = [el.asarray(x) for x in (q, k, v)]
    output, weights = layer(*tensors)
    np.testing.assert_allclose(output.numpy(), expected, **CLOSE)
    np.testing.assert_allclose(weights.numpy(), p.mean(1), **CLOSE)
    np.testing.assert_allclose(
        layer(*tensors, average_attn_weights=False)[1].numpy(), p, **CLOSE
    )
    fast, nothing = layer(*tensors, need_weights=False)
    np.testing.assert_allclose(fast.numpy(), expected, **CLOSE)
    assert nothing is None


@pytest.mark.parametrize("need_weights", (True, False))
def test_attention_masks(need_weights: bool) -> None:
    layer, x = nn.MultiheadAttention(8, 2, batch_first=True), normal(2, 4, 8)
    t = el.asarray(x)
    later = np.triu(np.full((4, 4), -np.inf), 1)
    expected, _ = attention_truth(layer, x, x, x, later)
    for kwargs in ({"attn_mask": el.asarray(later == -np.inf)}, {"is_causal": True}):
        found = layer(t, t, t, need_weights=need_weights, **kwargs)[0]
        np.testing.assert_allclose(found.numpy(), expected, **CLOSE)
    hidden = np.array([[False, False, True, True], [False, False, False, False]])
    expected, _ = attention_truth(layer, x, x, x, np.where(hidden, -np.inf, 0)[:, None, None])
    found = layer(t, t, t, key_padding_mask=el.asarray(hidden), need_weights=need_weights)[0]
    np.testing.assert_allclose(found.numpy(), expected, **CLOSE)
    hidden[1, 3] = True
    expected, _ = attention_truth(
        layer, x, x, x, later + np.where(hidden, -np.inf, 0)[:, None, None]
    )
    padding = el.asarray(hidden)
    found = layer(t, t, t, padding, need_weights=need_weights, is_causal=True)[0]
    np.testing.assert_allclose(found.numpy(), expected, **CLOSE)
    with pytest.raises(ShapeError, match=r"attn_mask must have shape \(4, 4\) or \(4, 4, 4\)"):
        layer(t, t, t, attn_mask=el.ones((4, 5)))
    with pytest.raises(ShapeError, match=r"key_padding_mask must have shape \(2, 4\)"):
        layer(t, t, t, key_padding_mask=el.ones((2, 5)))
    with pytest.raises(ValueRangeError, match="embed_dim 8 is not divisible by num_heads 3"):
        nn.MultiheadAttention(8, 3)


def test_causal_encoder_does_not_look_ahead() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True, norm_first=True)
    encoder = nn.TransformerEncoder(layer, 2, nn.LayerNorm(8))
    mask = nn.Transformer.generate_square_subsequent_mask(5)
    x = normal(1, 5, 8)
    changed = x.copy()
    changed[:, 3:] *= -1
    first, second = (encoder(el.asarray(v), mask).numpy() for v in (x, changed))
    np.testing.assert_allclose(first[:, :3], second[:, :3], **CLOSE)
    assert np.abs(first[:, 3:] - second[:, 3:]).max() > 0.1
    with pytest.raises(ValueRangeError, match="activation must be callable or one of"):
        nn.TransformerEncoderLayer(8, 2, activation="sin")


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


# ---- initial values --------------------------------------------------------------------------


def test_seed_decides_the_first_weights() -> None:
    el.manual_seed(5)
    first = nn.Linear(10, 10).weight.numpy()
    assert (nn.Linear(10, 10).weight.numpy() != first).any()
    el.manual_seed(5)
    np.testing.assert_array_equal(nn.Linear(10, 10).weight.numpy(), first)


def test_distributions() -> None:
    el.manual_seed(0)
    w = nn.Parameter(el.zeros((200, 50, 2)))  # fan in 100, fan out 400
    spread = {
        "xavier_uniform_": math.sqrt(2 / 500),
        "xavier_normal_": math.sqrt(2 / 500),
        "kaiming_uniform_": math.sqrt(2 / 100),
        "kaiming_normal_": math.sqrt(2 / 100),
    }
    for name, std in spread.items():
        assert getattr(nn.init, name)(w) is w
        assert w.numpy().std() == pytest.approx(std, rel=0.03), name
        assert abs(w.numpy().mean()) < 0.1 * std
        if "uniform" in name:
            assert np.abs(w.numpy()).max() <= std * math.sqrt(3) * (1 + 1e-6)
    nn.init.kaiming_normal_(w, mode="fan_out", nonlinearity="linear")
    assert w.numpy().std() == pytest.approx(1 / math.sqrt(400), rel=0.03)
    nn.init.normal_(w, 2.0, 0.5)
    assert w.numpy().mean() == pytest.approx(2, abs=0.02)
    nn.init.uniform_(w, 1.0, 3.0)
    assert 1 <= w.numpy().min() < 1.01 and 2.99 < w.numpy().max() <= 3
    assert w.requires_grad and w.grad is None
    with pytest.raises(ShapeError, match="need at least 2 dimensions"):
        nn.init.xavier_uniform_(el.zeros(3))
    with pytest.raises(ValueRangeError, match="mode must be 'fan_in' or 'fan_out'"):
        nn.init.kaiming_normal_(w, mode="fan")
    with pytest.raises(ValueRangeError, match="nonlinearity 'cube' is not known"):
        nn.init.kaiming_normal_(w, nonlinearity="cube")


def test_truncated_normal() -> None:
    el.manual_seed(0)
    w = nn.init.trunc_normal_(el.zeros((100, 200)), mean=1.0, std=2.0, a=0.0, b=2.0).numpy()
    assert 0 <= w.min() and w.max() <= 2
    normal_distribution = statistics.NormalDist(1, 2)
    low, high = normal_distribution.cdf(0), normal_distribution.cdf(2)
    for quantile in (0.1, 0.5, 0.8):
        expected = normal_distribution.inv_cdf(low + (high - low) * quantile)
        assert np.quantile(w, quantile) == pytest.approx(expected, abs=0.03)
    p = np.concatenate([np.linspace(1e-9, 1 - 1e-9, 999), [1e-300, 1e-20]])
    expected = [statistics.NormalDist().inv_cdf(x) for x in p]
    np.testing.assert_allclose(normal_quantile(p), expected, rtol=1e-14)
    assert normal_quantile(np.array([0.0, 1.0])).tolist() == [-math.inf, math.inf]
    with pytest.raises(ValueRangeError, match="a must be less than b"):
        nn.init.trunc_normal_(el.zeros(3), a=1.0, b=1.0)


def test_special_matrices() -> None:
    for shape in ((5, 3), (3, 5), (4, 2, 3)):
        q = nn.init.orthogonal_(el.zeros(shape), gain=2.0).numpy().reshape(shape[0], -1)
        small = q @ q.T if q.shape[0] <= q.shape[1] else q.T @ q
        np.testing.assert_allclose(small, 4 * np.eye(len(small)), atol=1e-5)
    np.testing.assert_array_equal(nn.init.eye_(el.ones((2, 3))).numpy(), np.eye(2, 3))
    assert nn.init.constant_(el.zeros(2), 3).tolist() == [3.0, 3.0]
    assert nn.init.ones_(el.zeros(2)).tolist() == [1.0, 1.0]
    assert nn.init.zeros_(el.ones(2)).tolist() == [0.0, 0.0]
    assert nn.init.calculate_gain("relu") == math.sqrt(2)


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
