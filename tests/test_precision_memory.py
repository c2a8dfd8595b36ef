"""Mixed precision saves memory: what the plans of training steps say, and that no bit depends on how."""

from __future__ import annotations

import numpy as np
import pytest
from compiled import run_compiled, same_bits
from graphs import arrays_for
from test_epilogues import bits_kept

import elinvar as el
from elinvar import nn
from elinvar.core.dtypes import bfloat16, float16, float32
from elinvar.core.shapes import Dim
from elinvar.core.types import TensorType
from elinvar.graph.ir import Builder
from elinvar.kernels.plan import flatten
from elinvar.passes.late import late
from elinvar.runtime.compile import compile_graph

F = nn.functional


class Block(nn.Module):
    """A block of a GPT."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        batch, length, width = x.shape
        parts = self.qkv(self.before(x)).chunk(3, dim=-1)
        q, k, v = (p.reshape(batch, length, self.heads, -1).transpose(1, 2) for p in parts)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        return x + self.down(F.gelu(self.up(self.between(x))))


class Residual(nn.Module):
    """Two convolutions with batch norm, and a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.one, self.two = (nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in "ab")
        self.norm1, self.norm2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)

    def forward(self, x):
        return F.relu(x + self.norm2(self.two(F.relu(self.norm1(self.one(x))))))


class Reader(nn.Module):
    """An LSTM of which the last step counts."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(64, 128, num_layers=2, batch_first=True), nn.Linear(128, 5)

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


def gpt():
    return nn.Sequential(*(Block(64, 4) for _ in range(3)), nn.Flatten(), nn.Linear(64 * 64, 5))


def mlp():
    layers = [part for _ in range(3) for part in (nn.Linear(256, 256), nn.GELU())]
    return nn.Sequential(*layers, nn.Linear(256, 5))


def dropout():
    layers = [part for _ in range(3) for part in (nn.Linear(256, 256), nn.SiLU(), nn.Dropout(0.1))]
    return nn.Sequential(*layers, nn.Linear(256, 5))


def convolutional():
    body = [Residual(16) for _ in range(3)]
    return nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), *body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5))


def pooled():
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * 8 * 8, 5),
    )  # fmt: skip


STEPS = {
    "gpt": (gpt, (8, 64, 64), 0.7),
    "mlp": (mlp, (2048, 256), 0.7),
    "dropout": (dropout, (2048, 256), 0.7),
    "convolutional": (convolutional, (16, 3, 32, 32), 0.7),
    "pooled": (pooled, (32, 3, 32, 32), 0.7),
    "lstm": (Reader, (32, 32, 64), 0.8),
}


def scratch(name: str, precision: str) -> int:
    """Bytes of the arena of a training step."""
    make, shape, _ = STEPS[name]
    el.manual_seed(0)
    trainer = el.Trainer(make(), "sgd", "cross_entropy", precision=precision, progress=False)
    trainer.model.train()
    batch = el.randn(*shape), el.zeros(shape[0], dtype=el.int64)
    lowered = trainer.prepared()._train_step.lower(batch)
    return int(lowered._program.compiled().bind({}).arena_nbytes)


@pytest.mark.parametrize("name", STEPS)
def test_a_training_step_needs_less_memory(name: str) -> None:
    whole, limit = scratch(name, "f32"), STEPS[name][2]
    assert scratch(name, "bf16") <= limit * whole
    assert scratch(name, "f16") <= limit * whole


# ---- products whose raw result stands on the stack ----------------------------------------------


def rounded_layer(rows, columns, depth, low, batch=()):
    """low(gelu-like(x · w + b)) with two results, both narrow."""
    builder = Builder(capture_source=False)
    f, lead = builder.f, len(batch)
    x, w = (builder.input(TensorType(low, (*batch, *s))) for s in ((rows, depth), (depth, columns)))
    bias = builder.input(TensorType(float32, (columns,)))
    axes = tuple(range(lead))
    y = f.contract(x, w, axes=((lead + 1,), (lead,)), batch=(axes, axes), dtype=float32)
    before = f.cast(f.add(y, f.broadcast(bias, shape=y.shape)), dtype=low)
    after = f.multiply(before, f.tanh(before))
    return builder.graph([before, after])


SHAPES = [(200, 150, 40), (700, 300, 600), (1, 64, 300), (5, 33, 7), (193, 257, 513)]


@pytest.mark.parametrize("low", [bfloat16, float16])
@pytest.mark.parametrize("shape", SHAPES)
def test_blocks_on_the_stack_change_no_bit(shape, low) -> None:
    graph = rounded_layer(*shape, low)
    labels = [step.label for step in compile_graph(graph).steps]
    assert any(label.startswith("contract + ") for label in labels)
    bits_kept(graph, arrays_for(graph, 1, 3))


def test_blocks_on_the_stack_with_batches_and_open_sizes() -> None:
    graph = rounded_layer(40, 70, 300, bfloat16, (3,))
    bits_kept(graph, arrays_for(graph, 1, 5))
    size = Dim("n")
    opened = rounded_layer(size, 150, 300, bfloat16)
    for rows in (1, 3, 200, 1000):
        fixed = rounded_layer(rows, 150, 300, bfloat16)
        arrays = arrays_for(fixed, 1, rows)
        expected = run_compiled(fixed, arrays)
        for a, b in zip(run_compiled(opened, arrays, {"n": rows}), expected, strict=True):
            assert same_bits(a, b)


def test_the_raw_product_has_no_memory() -> None:
    for columns, depth, size in ((512, 256, 4), (1024, 512, 2)):
        compiled = compile_graph(rounded_layer(1024, columns, depth, bfloat16))
        (product,) = [s for s in flatten(compiled.steps) if s.label.startswith("contract + ")]
        assert {storage.kind for storage in product.writes} == {"output"}
        # the packed right operand at most: a small one widened, a large one as it is stored
        assert compiled.bind().arena_nbytes <= size * depth * (columns + 64)


# ---- inputs that are rounded twice --------------------------------------------------------------


def test_late_products_round_their_inputs_anew() -> None:
    builder = Builder(capture_source=False)
    f = builder.f
    x, w = (builder.input(TensorType(float32, (128, 128))) for _ in "xw")
    narrow = f.cast(w, dtype=bfloat16)
    y = f.cast(x, dtype=bfloat16)
    for _ in range(8):
        y = f.cast(f.contract(y, narrow, axes=((1,), (0,)), batch=((), ()), dtype=float32), dtype=bfloat16)
    graph = builder.graph([y])
    changed = late(graph)
    casts = [node for node in changed.nodes if node.op_name == "cast" and node.results[0].dtype is bfloat16]
    barriers = [node for node in changed.nodes if node.op_name == "barrier"]
    assert len(barriers) == 1 and barriers[0].operands[0] is changed.inputs[1]
    assert len(casts) == 8 + 2 + 1
    assert late(changed) is changed
    arrays = arrays_for(graph, 1, 1)
    for a, b in zip(run_compiled(graph, arrays), run_compiled(changed, arrays), strict=True):
        assert same_bits(a, b)


# ---- attention ----------------------------------------------------------------------------------

HEADS = [(2, 4, 4, 9, 9, 16, 16), (1, 2, 1, 130, 130, 17, 24), (1, 8, 8, 64, 200, 32, 40), (3, 4, 2, 1, 70, 8, 8)]


def bits(x: el.Tensor) -> bytes:
    return np.ascontiguousarray(x.float().numpy()).tobytes()


@pytest.mark.parametrize("low", [el.bfloat16, el.float16])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("sizes", HEADS)
def test_narrow_attention_is_wide_attention_rounded_once(sizes, causal, low) -> None:
    """Forward and backward; the sums delta, which read the rounded result, are given to both."""
    from elinvar.tensor.dispatch import F as ops

    batch, heads, shared, rows, keys, depth, width = sizes
    el.manual_seed(1)
    shapes = ((batch, heads, rows, depth), (batch, shared, keys, depth), (batch, shared, keys, width))
    narrow = [el.randn(*shape).astype(low) for shape in shapes]
    gain = el.randn(batch, heads, rows, width).astype(low)
    wide = [x.float() for x in narrow]
    mask = el.randn(1, 1, rows, keys).astype(low)
    params = {"scale": 0.25, "causal": causal, "offset": keys - rows}
    for masks, wide_masks in (([], []), ([mask], [mask.float()])):
        y, log_sum = ops.attention(*narrow, *masks, **params)
        z, same_log_sum = ops.attention(*wide, *wide_masks, **params)
        assert y.dtype is low and bits(y) == bits(z.astype(low))
        assert bits(log_sum) == bits(same_log_sum)
        delta = el.sum(gain.float() * y.float(), axis=-1)
        found = ops.attention_backward(*narrow, log_sum, delta, gain, *masks, **params)
        expected = ops.attention_backward(*wide, log_sum, delta, gain.float(), *wide_masks, **params)
        for a, b in zip(found, expected, strict=True):
            assert a.dtype is low and bits(a) == bits(b.astype(low))
