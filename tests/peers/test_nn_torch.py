"""Every layer against PyTorch's: weights through a state dict, then outputs and all gradients.

Layers have the same names and arguments in both, so a row says a layer once. Weights travel from
PyTorch through a safetensors file, as a user's would.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

import elinvar as el

torch = pytest.importorskip("torch")
save_file = pytest.importorskip("safetensors.torch").save_file

pytestmark = [pytest.mark.any_level, pytest.mark.filterwarnings("ignore::UserWarning:torch")]
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


class Row(NamedTuple):
    """A layer's name, its arguments, and the shapes (or makers) of its inputs."""

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    inputs: tuple[Any, ...]

    def __str__(self) -> str:
        texts = [str(arg) for arg in self.args] + [f"{k}={v}" for k, v in self.kwargs.items()]
        return f"{self.name}({', '.join(texts)})".replace("[", "(").replace("]", ")")


def integers(high: int, *shape: int) -> Any:
    return lambda random: random.integers(0, high, shape)


def positive(*shape: int) -> Any:
    return lambda random: random.uniform(0.1, 1.0, shape).astype(np.float32)


def probabilities(*shape: int) -> Any:
    return lambda random: random.uniform(0.05, 0.95, shape).astype(np.float32)


def signs(*shape: int) -> Any:
    """±1, for targets whose gradient is of no interest: float64 is taken as fixed."""
    return lambda random: random.choice([-1.0, 1.0], shape)


def distribution(*shape: int) -> Any:
    def make(random: Any) -> Any:
        raw = random.uniform(0.1, 1.0, shape)
        return (raw / raw.sum(1, keepdims=True)).astype(np.float32)

    return make


def constant(array: Any) -> Any:
    return lambda random: np.asarray(array)


def row(name: str, *args: Any, inputs: Any, **kwargs: Any) -> Row:
    return Row(name, args, kwargs, tuple(inputs))


LAYERS = [
    row("Identity", inputs=[(2, 3)]),
    row("Linear", 5, 7, inputs=[(4, 5)]),
    row("Linear", 5, 7, bias=False, inputs=[(2, 3, 5)]),
    row("Linear", 5, 1, inputs=[(5,)]),
    row("Bilinear", 3, 4, 5, inputs=[(6, 3), (6, 4)]),
    row("Flatten", inputs=[(2, 3, 4)]),
    row("Unflatten", 1, (3, -1), inputs=[(2, 12)]),
    row("Conv1d", 3, 4, 3, inputs=[(2, 3, 9)]),
    row("Conv1d", 4, 6, 3, stride=2, padding=2, dilation=2, groups=2, inputs=[(2, 4, 11)]),
    row("Conv2d", 3, 5, 3, padding=1, inputs=[(2, 3, 6, 7)]),
    row("Conv2d", 4, 8, (3, 2), stride=(2, 1), groups=4, bias=False, inputs=[(2, 4, 8, 7)]),
    row("Conv2d", 2, 3, 3, padding="same", dilation=2, inputs=[(1, 2, 7, 7)]),
    row("Conv2d", 2, 3, 4, padding="same", inputs=[(1, 2, 7, 6)]),
    row("Conv2d", 2, 3, 3, padding=1, padding_mode="reflect", inputs=[(1, 2, 5, 6)]),
    row("Conv2d", 2, 3, 3, padding=2, padding_mode="circular", inputs=[(1, 2, 5, 6)]),
    row("Conv2d", 2, 3, 3, padding=1, padding_mode="replicate", inputs=[(2, 5, 6)]),
    row("Conv3d", 2, 3, 2, stride=2, padding=1, inputs=[(1, 2, 5, 4, 6)]),
    row("ConvTranspose1d", 3, 4, 3, stride=2, padding=1, output_padding=1, inputs=[(2, 3, 5)]),
    row("ConvTranspose2d", 4, 6, 3, stride=2, groups=2, inputs=[(2, 4, 4, 5)]),
    row("ConvTranspose2d", 3, 2, (3, 2), dilation=2, padding=1, inputs=[(1, 3, 5, 5)]),
    row("ConvTranspose3d", 2, 3, 2, stride=2, inputs=[(1, 2, 3, 2, 3)]),
    row("MaxPool1d", 3, stride=2, padding=1, inputs=[(2, 3, 10)]),
    row("MaxPool2d", 2, inputs=[(2, 3, 6, 8)]),
    row("MaxPool2d", (3, 2), stride=(2, 1), dilation=(1, 2), inputs=[(2, 3, 9, 8)]),
    row("MaxPool2d", 3, stride=2, padding=1, ceil_mode=True, inputs=[(1, 2, 8, 7)]),
    row("MaxPool3d", 2, inputs=[(1, 2, 4, 4, 6)]),
    row("AvgPool1d", 3, stride=2, padding=1, inputs=[(2, 3, 10)]),
    row("AvgPool2d", 2, inputs=[(2, 3, 6, 8)]),
    row("AvgPool2d", 3, 2, 1, count_include_pad=False, inputs=[(2, 3, 7, 8)]),
    row("AvgPool2d", 3, 2, 1, ceil_mode=True, inputs=[(2, 3, 8, 8)]),
    row("AvgPool3d", 2, inputs=[(1, 2, 4, 4, 6)]),
    row("AdaptiveAvgPool1d", 4, inputs=[(2, 3, 10)]),
    row("AdaptiveAvgPool2d", 1, inputs=[(2, 3, 7, 5)]),
    row("AdaptiveAvgPool2d", (3, 4), inputs=[(2, 3, 7, 9)]),
    row("AdaptiveAvgPool3d", 2, inputs=[(1, 2, 4, 6, 4)]),
    row("AdaptiveMaxPool1d", 3, inputs=[(2, 3, 10)]),
    row("AdaptiveMaxPool2d", (2, 3), inputs=[(2, 3, 7, 9)]),
    row("BatchNorm1d", 4, inputs=[(6, 4)]),
    row("BatchNorm1d", 4, momentum=None, inputs=[(6, 4, 5)]),
    row("BatchNorm2d", 3, inputs=[(4, 3, 5, 6)]),
    row("BatchNorm2d", 3, affine=False, inputs=[(4, 3, 5, 6)]),
    row("BatchNorm1d", 3, bias=False, inputs=[(4, 3)]),
    row("BatchNorm2d", 3, track_running_stats=False, inputs=[(4, 3, 5, 6)]),
    row("BatchNorm3d", 2, inputs=[(2, 2, 3, 4, 3)]),
    row("LayerNorm", 6, inputs=[(4, 6)]),
    row("LayerNorm", (3, 4), inputs=[(2, 3, 4)]),
    row("LayerNorm", 6, elementwise_affine=False, inputs=[(4, 6)]),
    row("LayerNorm", 6, bias=False, inputs=[(2, 4, 6)]),
    row("GroupNorm", 2, 6, inputs=[(3, 6, 4, 5)]),
    row("GroupNorm", 3, 6, affine=False, inputs=[(3, 6)]),
    row("GroupNorm", 3, 6, bias=False, inputs=[(3, 6)]),
    row("InstanceNorm1d", 3, inputs=[(2, 3, 7)]),
    row("InstanceNorm2d", 3, affine=True, inputs=[(2, 3, 5, 4)]),
    row("InstanceNorm2d", 3, affine=True, track_running_stats=True, inputs=[(2, 3, 5, 4)]),
    row("RMSNorm", 6, inputs=[(4, 6)]),
    row("RMSNorm", (3, 4), eps=1e-3, inputs=[(2, 3, 4)]),
    row("LocalResponseNorm", 3, inputs=[(2, 5, 4, 3)]),
    row("Embedding", 10, 4, inputs=[integers(10, 3, 5)]),
    row("Embedding", 10, 4, padding_idx=2, inputs=[constant([[2, 1], [9, 2]])]),
    row("Dropout", 0.0, inputs=[(3, 4)]),
    row("Dropout2d", 0.0, inputs=[(2, 3, 4, 4)]),
    row("RNN", 4, 5, inputs=[(6, 3, 4)]),
    row("RNN", 4, 5, num_layers=2, nonlinearity="relu", bidirectional=True, inputs=[(6, 3, 4)]),
    row("GRU", 4, 5, inputs=[(6, 3, 4)]),
    row("GRU", 4, 5, num_layers=2, batch_first=True, bidirectional=True, inputs=[(3, 6, 4)]),
    row("GRU", 4, 5, bias=False, inputs=[(6, 4), (1, 5)]),
    row("LSTM", 4, 5, inputs=[(6, 3, 4)]),
    row("LSTM", 4, 5, num_layers=2, batch_first=True, bidirectional=True, inputs=[(3, 6, 4)]),
    row("LSTM", 4, 5, bias=False, inputs=[(6, 4)]),
    row("RNNCell", 4, 5, inputs=[(3, 4), (3, 5)]),
    row("RNNCell", 4, 5, nonlinearity="relu", inputs=[(3, 4)]),
    row("GRUCell", 4, 5, inputs=[(3, 4), (3, 5)]),
    row("LSTMCell", 4, 5, inputs=[(3, 4)]),
    row("MultiheadAttention", 8, 2, inputs=[(5, 2, 8), (6, 2, 8), (6, 2, 8)]),
    row("MultiheadAttention", 8, 4, batch_first=True, bias=False, inputs=[(2, 5, 8)] * 3),
    row("MultiheadAttention", 8, 2, kdim=5, vdim=3, inputs=[(5, 2, 8), (6, 2, 5), (6, 2, 3)]),
    row("TransformerEncoderLayer", 8, 2, 16, 0.0, inputs=[(5, 2, 8)]),
    row(
        "TransformerEncoderLayer", 8, 2, 16, 0.0, "gelu",
        batch_first=True, norm_first=True, inputs=[(2, 5, 8)],
    ),
    row("TransformerDecoderLayer", 8, 2, 16, 0.0, inputs=[(5, 2, 8), (6, 2, 8)]),
    row(
        "TransformerDecoderLayer", 8, 2, 16, 0.0,
        batch_first=True, norm_first=True, inputs=[(2, 5, 8), (2, 6, 8)],
    ),
    row("Transformer", 8, 2, 1, 2, 16, 0.0, inputs=[(5, 2, 8), (6, 2, 8)]),
    row("Upsample", scale_factor=2, inputs=[(1, 2, 3, 4)]),
    row("Upsample", size=(5, 7), mode="bilinear", inputs=[(1, 2, 3, 4)]),
    row(
        "Upsample", scale_factor=2, mode="bilinear", align_corners=True, inputs=[(1, 2, 3, 4)]
    ),
    row("Upsample", scale_factor=3, mode="linear", inputs=[(1, 2, 5)]),
    row("PixelShuffle", 2, inputs=[(2, 8, 3, 4)]),
    row("PixelUnshuffle", 2, inputs=[(2, 3, 4, 6)]),
    row("Unfold", (2, 3), padding=1, stride=2, inputs=[(2, 3, 6, 7)]),
    row("Fold", (6, 7), (2, 3), stride=2, inputs=[(2, 12, 9)]),
    row("ZeroPad2d", (1, 2, 0, 1), inputs=[(1, 2, 3, 4)]),
    row("ConstantPad1d", 2, 3.5, inputs=[(1, 2, 3)]),
    row("ReflectionPad2d", (1, 2, 2, 1), inputs=[(1, 2, 4, 5)]),
    row("ReplicationPad1d", (2, 1), inputs=[(1, 2, 4)]),
    row("CircularPad2d", (1, 2, 0, 1), inputs=[(1, 2, 4, 5)]),
    row("CosineSimilarity", inputs=[(4, 5), (4, 5)]),
    row("PairwiseDistance", inputs=[(4, 5), (4, 5)]),
    *(
        row(name, inputs=[(3, 7)])
        for name in (
            "ReLU", "ReLU6", "SELU", "SiLU", "Mish", "Sigmoid", "LogSigmoid", "Hardsigmoid",
            "Hardswish", "Tanh", "Tanhshrink", "Softsign", "LeakyReLU", "ELU", "CELU", "GELU",
            "Softplus", "Hardshrink", "Softshrink", "Hardtanh", "PReLU",
        )
    ),
    row("LeakyReLU", 0.2, inputs=[(3, 7)]),
    row("CELU", 0.7, inputs=[(3, 7)]),
    row("GELU", "tanh", inputs=[(3, 7)]),
    row("Softplus", 2.0, 3.0, inputs=[(3, 7)]),
    row("Threshold", 0.3, -2.0, inputs=[(3, 7)]),
    row("PReLU", 4, inputs=[(2, 4, 5)]),
    row("GLU", inputs=[(3, 8)]),
    row("Softmax", dim=1, inputs=[(3, 7)]),
    row("Softmax2d", inputs=[(2, 3, 4, 4)]),
    row("LogSoftmax", dim=-1, inputs=[(3, 7)]),
    row("Softmin", dim=0, inputs=[(3, 7)]),
]  # fmt: skip

REDUCED = [
    row("L1Loss", inputs=[(4, 5), (4, 5)]),
    row("MSELoss", inputs=[(4, 5), (4, 5)]),
    row("SmoothL1Loss", beta=0.7, inputs=[(4, 5), (4, 5)]),
    row("HuberLoss", delta=0.7, inputs=[(4, 5), (4, 5)]),
    row("SoftMarginLoss", inputs=[(4, 5), signs(4, 5)]),
    row("BCELoss", inputs=[probabilities(4, 5), probabilities(4, 5)]),
    row("BCEWithLogitsLoss", inputs=[(4, 5), probabilities(4, 5)]),
    row("HingeEmbeddingLoss", inputs=[(4, 5), signs(4, 5)]),
    row("PoissonNLLLoss", inputs=[(4, 5), positive(4, 5)]),
    row("PoissonNLLLoss", log_input=False, full=True, inputs=[positive(4, 5), positive(4, 5)]),
    row("GaussianNLLLoss", full=True, inputs=[(4, 5), (4, 5), positive(4, 5)]),
    row("KLDivLoss", inputs=[(4, 5), distribution(4, 5)]),
    row("KLDivLoss", log_target=True, inputs=[(4, 5), (4, 5)]),
    row("NLLLoss", ignore_index=1, inputs=[(4, 5), constant([0, 1, 4, 2])]),
    row("NLLLoss", inputs=[(2, 5, 3), integers(5, 2, 3)]),
    row("CrossEntropyLoss", inputs=[(4, 5), integers(5, 4)]),
    row("CrossEntropyLoss", ignore_index=1, inputs=[(4, 5), constant([0, 1, 4, 2])]),
    row("CrossEntropyLoss", label_smoothing=0.2, inputs=[(2, 5, 3), integers(5, 2, 3)]),
    row("CrossEntropyLoss", inputs=[(4, 5), distribution(4, 5)]),
    row("MarginRankingLoss", margin=0.3, inputs=[(4,), (4,), signs(4)]),
    row("CosineEmbeddingLoss", margin=0.1, inputs=[(4, 5), (4, 5), signs(4)]),
    row("TripletMarginLoss", swap=True, inputs=[(4, 5), (4, 5), (4, 5)]),
]
LOSSES = [
    Row(r.name, r.args, {**r.kwargs, "reduction": how}, r.inputs)
    for r in REDUCED
    for how in ("mean", "sum", "none")
]


def make_inputs(inputs: tuple[Any, ...]) -> list[np.ndarray]:
    random = np.random.default_rng(3)
    return [
        item(random) if callable(item) else random.standard_normal(item).astype(np.float32)
        for item in inputs
    ]


def both(row: Row, tmp_path: Any) -> tuple[Any, Any]:
    """The layer in PyTorch, with random weights, and ours with the same ones."""
    torch.manual_seed(1)
    theirs = getattr(torch.nn, row.name)(*row.args, **row.kwargs)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    save_file(theirs.state_dict(), tmp_path / "weights.safetensors")
    ours = getattr(el.nn, row.name)(*row.args, **row.kwargs)
    found = ours.load_state_dict(el.load(tmp_path / "weights.safetensors"))
    assert found == ([], [])
    assert list(ours.state_dict()) == list(theirs.state_dict())
    return ours, theirs


def tensors(value: Any) -> list[Any]:
    if isinstance(value, (tuple, list)):
        return [leaf for item in value for leaf in tensors(item)]
    return [] if value is None else [value]


def run_both(ours: Any, theirs: Any, arrays: list[np.ndarray], **kwargs: Any) -> None:
    """Outputs, and the gradients of Σ outputs · fixed weights, agree."""
    float_places = [i for i, array in enumerate(arrays) if array.dtype == np.float32]
    arrays = [a.astype(np.float32) if a.dtype == np.float64 else a for a in arrays]
    given = [el.asarray(array) for array in arrays]
    given_there = [torch.from_numpy(array) for array in arrays]
    for place in float_places:
        given[place].requires_grad_()
        given_there[place].requires_grad_()
    ours_kwargs = {name: el.asarray(v) if isinstance(v, np.ndarray) else v for name, v in kwargs.items()}
    theirs_kwargs = {
        name: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for name, v in kwargs.items()
    }
    outputs = tensors(ours(*given, **ours_kwargs))
    expected = tensors(theirs(*given_there, **theirs_kwargs))
    assert len(outputs) == len(expected)
    for found, wanted in zip(outputs, expected, strict=True):
        assert tuple(found.shape) == tuple(wanted.shape)
        np.testing.assert_allclose(found.numpy(), wanted.detach().numpy(), **CLOSE)
    random = np.random.default_rng(5)
    factors = [random.standard_normal(wanted.shape).astype(np.float32) for wanted in expected]
    total = sum((y * el.asarray(f)).sum() for y, f in zip(outputs, factors, strict=True))
    total_there = sum(
        (y * torch.from_numpy(f)).sum() for y, f in zip(expected, factors, strict=True)
    )
    if not total_there.requires_grad:
        return
    total.backward()
    total_there.backward()
    for place in float_places:
        check_gradient(f"input {place}", given[place], given_there[place])
    for (name, ours_p), (_, theirs_p) in zip(
        ours.named_parameters(), theirs.named_parameters(), strict=True
    ):
        check_gradient(name, ours_p, theirs_p)


def check_gradient(name: str, ours: Any, theirs: Any) -> None:
    if theirs.grad is None:
        assert ours.grad is None or not np.any(ours.grad.numpy()), name
        return
    assert ours.grad is not None, f"no gradient of {name}"
    wanted = theirs.grad.numpy()
    scale = max(1.0, float(np.abs(wanted).max(initial=0.0)))
    np.testing.assert_allclose(
        ours.grad.numpy() / scale, wanted / scale, rtol=1e-5, atol=1e-5, err_msg=name
    )


@pytest.mark.parametrize("row", LAYERS, ids=str)
def test_layer(row: Row, tmp_path: Any) -> None:
    ours, theirs = both(row, tmp_path)
    arrays = make_inputs(row.inputs)
    run_both(ours, theirs, arrays)
    for path, buffer in ours.named_buffers():
        wanted = theirs.get_buffer(path).numpy()
        np.testing.assert_allclose(buffer.numpy(), wanted, err_msg=path, **CLOSE)
    for module in (ours, theirs):
        module.zero_grad()
        module.eval()
    run_both(ours, theirs, arrays)


@pytest.mark.parametrize("row", LOSSES, ids=str)
def test_loss(row: Row, tmp_path: Any) -> None:
    ours, theirs = both(row, tmp_path)
    run_both(ours, theirs, make_inputs(row.inputs))


def test_class_weights() -> None:
    weight = np.array([0.2, 1.0, 3.0], np.float32)
    logits, classes = make_inputs(((6, 3), integers(3, 6)))
    for name in ("CrossEntropyLoss", "NLLLoss"):
        ours = getattr(el.nn, name)(weight=el.asarray(weight))
        theirs = getattr(torch.nn, name)(weight=torch.from_numpy(weight))
        run_both(ours, theirs, [logits, classes])
    ours = el.nn.BCEWithLogitsLoss(pos_weight=el.asarray(weight))
    theirs = torch.nn.BCEWithLogitsLoss(pos_weight=torch.from_numpy(weight))
    run_both(ours, theirs, make_inputs(((6, 3), probabilities(6, 3))))


MASKS = {
    "attn_mask": np.triu(np.ones((5, 5), bool), 1),
    "key_padding_mask": np.array([[False] * 5, [False, False, False, True, True]]),
}


@pytest.mark.parametrize("need_weights", (True, False))
@pytest.mark.parametrize("average", (True, False))
@pytest.mark.parametrize("names", ((), ("attn_mask",), ("key_padding_mask",), tuple(MASKS)))
def test_attention_masks(need_weights: bool, average: bool, names: Any, tmp_path: Any) -> None:
    layer = row("MultiheadAttention", 8, 2, batch_first=True, inputs=[(2, 5, 8)])
    ours, theirs = both(layer, tmp_path)
    masks = {name: MASKS[name] for name in names}
    (x,) = make_inputs(layer.inputs)

    class Self(el.nn.Module):
        def __init__(self) -> None:
            self.inner = ours

        def forward(self, x: Any, **kwargs: Any) -> Any:
            return self.inner(x, x, x, **kwargs)

    class SelfThere(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = theirs

        def forward(self, x: Any, **kwargs: Any) -> Any:
            return self.inner(x, x, x, **kwargs)

    kwargs = {"need_weights": need_weights, "average_attn_weights": average, **masks}
    run_both(Self(), SelfThere(), [x], **kwargs)


def test_float_mask_per_head(tmp_path: Any) -> None:
    layer = row("MultiheadAttention", 8, 2, batch_first=True, inputs=[(3, 5, 8)] * 3)
    ours, theirs = both(layer, tmp_path)
    mask = np.random.default_rng(0).standard_normal((6, 5, 5)).astype(np.float32)
    run_both(ours, theirs, make_inputs(layer.inputs), attn_mask=mask)


def test_encoder_stack_with_masks(tmp_path: Any) -> None:
    def build(nn: Any) -> Any:
        layer = nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True)
        return nn.TransformerEncoder(layer, 2, nn.LayerNorm(8), enable_nested_tensor=False)

    ours, theirs = build(el.nn), build(torch.nn)
    save_file(theirs.state_dict(), tmp_path / "weights.safetensors")
    ours.load_state_dict(el.load(tmp_path / "weights.safetensors"))
    (x,) = make_inputs(((2, 5, 8),))
    mask = np.triu(np.full((5, 5), -np.inf, np.float32), 1)
    run_both(ours, theirs, [x], mask=mask)
    run_both(ours, theirs, [x], src_key_padding_mask=np.where(MASKS["key_padding_mask"], -np.inf, 0).astype(np.float32))


def test_lstm_first_state(tmp_path: Any) -> None:
    layer = row("LSTM", 4, 5, num_layers=2, inputs=[(6, 3, 4), (2, 3, 5), (2, 3, 5)])
    ours, theirs = both(layer, tmp_path)

    x, h, c = make_inputs(layer.inputs)
    output, (last_h, last_c) = ours(el.asarray(x), (el.asarray(h), el.asarray(c)))
    wanted, (wanted_h, wanted_c) = theirs(
        torch.from_numpy(x), (torch.from_numpy(h), torch.from_numpy(c))
    )
    for found, expected in ((output, wanted), (last_h, wanted_h), (last_c, wanted_c)):
        np.testing.assert_allclose(found.numpy(), expected.detach().numpy(), **CLOSE)


def test_conv_transpose_output_size(tmp_path: Any) -> None:
    ours, theirs = both(row("ConvTranspose2d", 3, 2, 3, stride=2, inputs=[]), tmp_path)
    (x,) = make_inputs(((1, 3, 4, 4),))
    found = ours(el.asarray(x), output_size=(10, 9))
    wanted = theirs(torch.from_numpy(x), output_size=(10, 9))
    np.testing.assert_allclose(found.numpy(), wanted.detach().numpy(), **CLOSE)


def test_max_pool_indices() -> None:
    (x,) = make_inputs(((2, 3, 6, 7),))
    values, places = el.nn.MaxPool2d(3, 2, 1, return_indices=True)(el.asarray(x))
    wanted, wanted_places = torch.nn.MaxPool2d(3, 2, 1, return_indices=True)(torch.from_numpy(x))
    np.testing.assert_array_equal(values.numpy(), wanted.numpy())
    np.testing.assert_array_equal(places.numpy(), wanted_places.numpy())


def test_three_batches_of_running_statistics(tmp_path: Any) -> None:
    for momentum in (0.1, None):
        ours, theirs = both(row("BatchNorm2d", 3, momentum=momentum, inputs=[]), tmp_path)
        for seed in range(3):
            random = np.random.default_rng(seed)
            x = random.standard_normal((4, 3, 5, 6)).astype(np.float32) * 2 + 1
            ours(el.asarray(x))
            theirs(torch.from_numpy(x))
        for path, buffer in ours.named_buffers():
            np.testing.assert_allclose(buffer.numpy(), theirs.get_buffer(path).numpy(), **CLOSE)
        assert ours.num_batches_tracked.item() == 3


def test_reprs_are_pytorchs() -> None:
    def build(nn: Any) -> Any:
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Sequential(nn.Dropout(0.1), nn.Linear(4, 5, bias=False)),
            nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2), nn.Identity()]),
            nn.LSTM(3, 4, num_layers=2, bidirectional=True),
        )

    assert repr(build(el.nn)) == repr(build(torch.nn))


def test_names_of_members_are_pytorchs() -> None:
    def build(nn: Any) -> Any:
        return nn.Transformer(8, 2, 2, 2, 16)

    ours, theirs = build(el.nn), build(torch.nn)
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    assert list(ours.state_dict()) == list(theirs.state_dict())


def test_our_file_loads_in_pytorch(tmp_path: Any) -> None:
    load_file = pytest.importorskip("safetensors.torch").load_file
    model = el.nn.Sequential(el.nn.Linear(3, 4), el.nn.BatchNorm1d(4))
    el.save(model, tmp_path / "model.safetensors")
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    theirs.load_state_dict(load_file(tmp_path / "model.safetensors"))
    for path, value in theirs.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), model.state_dict()[path].numpy())


def test_bfloat16_travels_both_ways(tmp_path: Any) -> None:
    load_file = pytest.importorskip("safetensors.torch").load_file
    source = torch.randn(5, 3, dtype=torch.bfloat16)
    save_file({"x": source, "y": torch.tensor(True)}, tmp_path / "there.safetensors")
    found = el.load(tmp_path / "there.safetensors")
    assert found["x"].dtype is el.bfloat16
    el.save(found, tmp_path / "back.safetensors")
    back = load_file(tmp_path / "back.safetensors")
    assert torch.equal(back["x"], source) and back["y"].item() is True


def test_clipping() -> None:
    random = np.random.default_rng(0)
    arrays = [random.standard_normal(shape).astype(np.float32) for shape in ((3, 4), (5,))]
    for norm in (2.0, 1.0, 3.0, float("inf")):
        ours = [el.nn.Parameter(el.zeros(a.shape)) for a in arrays]
        theirs = [torch.nn.Parameter(torch.zeros(a.shape)) for a in arrays]
        for p, q, array in zip(ours, theirs, arrays, strict=True):
            p.grad, q.grad = el.asarray(array), torch.from_numpy(array.copy())
        total = el.nn.utils.clip_grad_norm_(ours, 0.7, norm)
        wanted = torch.nn.utils.clip_grad_norm_(theirs, 0.7, norm)
        np.testing.assert_allclose(total.item(), wanted.item(), rtol=1e-6)
        for p, q in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-5, atol=1e-7)
