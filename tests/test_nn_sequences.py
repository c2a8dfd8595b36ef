"""Recurrent layers and attention against numpy: outputs, layouts, masks, errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import elinvar as el
from elinvar import nn
from elinvar.core.errors import ShapeError, ValueRangeError
from tests.layers import CLOSE, normal, sigmoid, values_of

pytestmark = pytest.mark.any_level

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


def test_the_loop_back_reads_one_sum_and_stacks_one_gradient() -> None:
    """Gates are kept as the sum of both products; the gradient of that sum serves all weights."""
    layer, x = nn.LSTM(3, 4), el.asarray(normal(5, 2, 3))

    @el.jit
    def step(x: el.Tensor) -> el.Tensor:
        loss = layer(x)[0].sum()
        loss.backward()
        return loss

    step(x)
    scans = [n for n in step.lower(x).optimized.nodes if n.op_name == "scan"]
    back = next(node for node in scans if node.params["reverse"])
    stacked = [value for value in back.results if value.shape == (5, 2, 16)]
    read = [value for value in back.operands if value.shape == (5, 2, 16)]
    assert len(stacked) == 1 and len(read) == 1
    bias = layer.bias_ih_l0.grad, layer.bias_hh_l0.grad
    np.testing.assert_array_equal(bias[0].numpy(), bias[1].numpy())


def test_two_products_in_one_sum_within_a_loop() -> None:
    """Their sum is kept once; the gradients are those of the loop unrolled."""
    w, u = (el.tensor(normal(3, 4), requires_grad=True), el.tensor(normal(4, 4), requires_grad=True))
    xs = el.asarray(normal(5, 2, 3))

    def body(h: el.Tensor, x: el.Tensor) -> tuple[el.Tensor, el.Tensor]:
        h = (x @ w + h @ u).tanh()
        return h, h

    el.scan(body, el.zeros((2, 4)), xs)[1].sum().backward()
    found = w.grad.numpy(), u.grad.numpy()
    w.grad = u.grad = None
    h, total = el.zeros((2, 4)), el.zeros(())
    for t in range(5):
        h, _ = body(h, xs[t])
        total = total + h.sum()
    total.backward()
    np.testing.assert_allclose(found[0], w.grad.numpy(), **CLOSE)
    np.testing.assert_allclose(found[1], u.grad.numpy(), **CLOSE)


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
    np.testing.assert_allclose(layer(*tensors, average_attn_weights=False)[1].numpy(), p, **CLOSE)
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
