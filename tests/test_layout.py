"""Channels-last layout: graphs before → after, bits kept, nothing done where there is nothing to do."""

import numpy as np
import pytest
from compiled import run_compiled, same_bits
from hypothesis import given, settings
from hypothesis import strategies as st

import elinvar as el
from elinvar import nn
from elinvar.codegen.interpreter import interpret
from elinvar.core.dtypes import float32
from elinvar.core.shapes import Dim
from elinvar.core.types import TensorType
from elinvar.graph.ir import Builder
from elinvar.graph.text import parse_graph
from elinvar.graph.verify import verify
from elinvar.ops.record import Namespace
from elinvar.ops.table import BY_NAME
from elinvar.passes.layout import layout
from elinvar.passes.legalize import legalize
from elinvar.passes.pipeline import optimize
from elinvar.runtime import compile as compiling


def builder():
    made = Builder()
    return made, Namespace(BY_NAME, lambda op, xs, params: made.add(op, xs, params)[0])


def params(spatial=2, **changes):
    ones, zeros = (1,) * spatial, (0,) * spatial
    plain = {
        "stride": ones, "low": zeros, "high": zeros, "dilation": ones, "input_dilation": ones,
        "groups": 1, "batch_groups": 1, "channels_inner": True, "channels_last": False,
    }  # fmt: skip
    return plain | changes


CONVOLUTION = (
    "stride: (1, 1), low: (0, 0), high: (0, 0), dilation: (1, 1), input_dilation: (1, 1), "
    "groups: 1, batch_groups: 1, channels_inner: True, channels_last: "
)


def between(text):
    """A graph with `text` between two convolutions, which reads %3 and gives %8."""
    return f"""
graph main(%0: f32[2,3,8,8], %1: f32[4,3,3,3], %2: f32[5,4,1,1], %9: f32[4]) {{
    %3: f32[2,4,6,6] = convolution %0, %1 {{{CONVOLUTION}False}}
{text}
    %20: f32[2,5,6,6] = convolution %8, %2 {{{CONVOLUTION}False}}
    return %20
}}
""".strip()


def after(text):
    """The lines of a graph after the pass, without their convolutions' params."""
    graph = verify(optimize(layout(parse_graph(text))))
    lines = [line.strip() for line in str(graph).strip().split("\n")[1:-2]]
    return [line.split(" {stride")[0] for line in lines]


BEFORE_AFTER = {
    "relu": (
        "    %4: f32[] = constant {value: 0.0, dtype: f32}\n"
        "    %5: f32[2,4,6,6] = broadcast %4 {shape: (2, 4, 6, 6)}\n"
        "    %8: f32[2,4,6,6] = maximum %3, %5",
        [
            "%4: f32[2,6,6,4] = convolution %0, %1",
            "%5: f32[] = constant {value: 0.0, dtype: f32}",
            "%6: f32[2,6,6,4] = broadcast %5 {shape: (2, 6, 6, 4)}",
            "%7: f32[2,6,6,4] = maximum %4, %6",
            "%8: f32[2,4,6,6] = permute %7 {axes: (0, 3, 1, 2)}",
        ],
    ),
    "bias": (
        "    %4: f32[4,1,1] = reshape %9 {shape: (4, 1, 1)}\n"
        "    %5: f32[2,4,6,6] = broadcast %4 {shape: (2, 4, 6, 6)}\n"
        "    %8: f32[2,4,6,6] = add %3, %5",
        [
            "%4: f32[2,6,6,4] = convolution %0, %1",
            "%5: f32[2,6,6,4] = broadcast %3 {shape: (2, 6, 6, 4)}",
            "%6: f32[2,6,6,4] = add %4, %5",
            "%7: f32[2,4,6,6] = permute %6 {axes: (0, 3, 1, 2)}",
        ],
    ),
    "flip": (
        "    %8: f32[2,4,6,6] = flip %3 {axes: (1, 2)}",
        [
            "%4: f32[2,6,6,4] = convolution %0, %1",
            "%5: f32[2,6,6,4] = flip %4 {axes: (1, 3)}",
            "%6: f32[2,4,6,6] = permute %5 {axes: (0, 3, 1, 2)}",
        ],
    ),
    "channel sums": (
        "    %4: f32[2,6,6,4] = permute %3 {axes: (0, 2, 3, 1)}\n"
        "    %5: f32[4] = sum %4 {axes: (0, 1, 2)}\n"
        "    %6: f32[4,1,1] = reshape %5 {shape: (4, 1, 1)}\n"
        "    %7: f32[2,4,6,6] = broadcast %6 {shape: (2, 4, 6, 6)}\n"
        "    %8: f32[2,4,6,6] = subtract %3, %7",
        [
            "%4: f32[2,6,6,4] = convolution %0, %1",
            "%5: f32[4] = sum %4 {axes: (0, 1, 2)}",
            "%6: f32[2,6,6,4] = broadcast %5 {shape: (2, 6, 6, 4)}",
            "%7: f32[2,6,6,4] = subtract %4, %6",
            "%8: f32[2,4,6,6] = permute %7 {axes: (0, 3, 1, 2)}",
        ],
    ),
    "windows side by side": (
        "    %4: f32[2,4,2,3,2,3] = reshape %3 {shape: (2, 4, 2, 3, 2, 3)}\n"
        "    %5: f32[2,4,3,2,3,2] = permute %4 {axes: (0, 1, 3, 2, 5, 4)}\n"
        "    %8: f32[2,4,6,6] = reshape %5 {shape: (2, 4, 6, 6)}",
        [
            "%4: f32[2,6,6,4] = convolution %0, %1",
            "%5: f32[2,2,3,2,3,4] = reshape %4 {shape: (2, 2, 3, 2, 3, 4)}",
            "%6: f32[2,3,2,3,2,4] = permute %5 {axes: (0, 2, 1, 4, 3, 5)}",
            "%7: f32[2,6,6,4] = reshape %6 {shape: (2, 6, 6, 4)}",
            "%8: f32[2,4,6,6] = permute %7 {axes: (0, 3, 1, 2)}",
        ],
    ),
}


@pytest.mark.parametrize("name", BEFORE_AFTER)
def test_before_and_after(name):
    text, expected = BEFORE_AFTER[name]
    found = after(between(text))
    assert found[: len(expected)] == expected
    assert all(line.startswith("%") for line in found)
    assert "= convolution" in found[len(expected)] and "f32[2,6,6,5]" in found[len(expected)]
    assert "= permute" in found[-1] and "f32[2,5,6,6]" in found[-1]


def test_a_sum_in_another_order_stays_as_it_is():
    text = (
        "    %4: f32[2,4] = sum %3 {axes: (2, 3)}\n"
        "    %5: f32[2,4,1,1] = reshape %4 {shape: (2, 4, 1, 1)}\n"
        "    %6: f32[2,4,6,6] = broadcast %5 {shape: (2, 4, 6, 6)}\n"
        "    %8: f32[2,4,6,6] = subtract %3, %6"
    )
    found = after(between(text))
    assert any("= permute %4 {axes: (0, 3, 1, 2)}" in line for line in found)
    assert any("f32[2,4] = sum" in line and "axes: (2, 3)" in line for line in found)


def test_graphs_without_neighbouring_convolutions_are_left_alone():
    made, f = builder()
    x, w = (made.input(TensorType(float32, s)) for s in ((2, 3, 8, 8), (4, 3, 3, 3)))
    turned = f.permute(f.add(x, x), axes=(0, 2, 3, 1))
    for value in (turned, f.negative(f.convolution(x, w, **params()))):
        graph = made.graph([value])
        assert layout(graph) is graph


# ---- bits ---------------------------------------------------------------------------------------


def without_layout(monkeypatch):
    monkeypatch.setattr(compiling, "layout", lambda graph: graph)


def uncached(monkeypatch):
    """Programs are compiled anew, whatever the disk cache holds."""
    monkeypatch.setattr(compiling, "plan_key", lambda *a, **k: None)


def relu(draw, f, x):
    return f.maximum(x, f.full(0.0, x))


def shift(draw, f, x):
    axis = draw(st.integers(1, 3))
    line = f.cast(f.iota(size=x.shape[axis], dtype=float32), dtype=float32)
    shape = tuple(n if i == axis else 1 for i, n in enumerate(x.shape))
    return f.add(x, f.broadcast(f.reshape(line, shape=shape), shape=x.shape))


def pad(draw, f, x):
    low, high = ((0, 0, draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(2))
    value = f.constant(value=0.5, dtype=float32)
    return f.pad(x, value, low=low, high=high, interior=(0, 0, 0, draw(st.integers(0, 1))))


def part(draw, f, x):
    start = tuple(draw(st.integers(0, n - 1)) for n in x.shape)
    size = tuple(draw(st.integers(1, n - s)) for n, s in zip(x.shape, start, strict=True))
    return f.slice(x, start=(0, *start[1:]), size=(x.shape[0], *size[1:]), step=(1,) * 4)


def flip(draw, f, x):
    return f.flip(x, axes=draw(st.sampled_from([(1,), (2, 3), (1, 3)])))


def twice(draw, f, x):
    return f.concatenate(x, f.negative(x), axis=draw(st.integers(1, 3)))


def pooled(draw, f, x):
    sizes = tuple(min(2, n) for n in x.shape[2:])
    seen = f.windows(x, axes=(2, 3), sizes=sizes, strides=(1, 2), dilations=(1, 1))
    flat = f.reshape(seen, shape=(sizes[0] * sizes[1], *seen.shape[2:]))
    return f.max(flat, axes=(0,)) if draw(st.booleans()) else f.sum(flat, axes=(0,))


def centred(draw, f, x):
    axes = draw(st.sampled_from([(0, 2, 3), (2, 3), (1,), (2,), (0, 1, 2, 3)]))
    total = f.sum(x, axes=axes)
    kept = tuple(1 if axis in axes else n for axis, n in enumerate(x.shape))
    return f.subtract(x, f.broadcast(f.reshape(total, shape=kept), shape=x.shape))


def split(draw, f, x):
    n, c, h, w = x.shape
    return f.reshape(f.reshape(x, shape=(n, c, 1, h, w)), shape=(n, c, h, w))


MOVES = (relu, shift, pad, part, flip, twice, pooled, centred, split)


@st.composite
def networks(draw):
    """Convolutions with other operations between them, and some of their values as outputs."""
    made, f = builder()
    x = made.input(TensorType(float32, (2, 4, 7, 6)))
    values = [x]
    for _ in range(draw(st.integers(2, 3))):
        for _ in range(draw(st.integers(0, 3))):
            values.append(draw(st.sampled_from(MOVES))(draw, f, values[-1]))
        x = values[-1]
        groups = draw(st.sampled_from([1, 2])) if x.shape[1] % 2 == 0 else 1
        kernel = tuple(draw(st.integers(1, min(3, n))) for n in x.shape[2:])
        w = made.input(TensorType(float32, (4, x.shape[1] // groups, *kernel)))
        holes = (draw(st.sampled_from([1, 2])), 1)
        stride = (1, draw(st.sampled_from([1, 2])))
        low = (draw(st.integers(0, 1)), 0)
        values.append(
            f.convolution(
                x, w, **params(stride=stride, input_dilation=holes, low=low, groups=groups)
            )
        )
    outputs = [values[-1], draw(st.sampled_from(values))]
    return made.graph([v for v in outputs if not v.node.is_input])


def arrays_of(graph, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=t.shape).astype(np.float32) for t in graph.input_types]


@pytest.mark.parametrize("last", [True, False])
def test_an_image_that_is_read_by_tiles_is_padded_as_it_stands(last):
    """Channels last in memory: so is the padded image. Channels first: it stays so."""
    made, f = builder()
    x = made.input(TensorType(float32, (2, 8, 8, 16) if last else (2, 16, 8, 8)))
    w = made.input(TensorType(float32, (32, 16, 3, 3)))
    image = f.permute(x, axes=(0, 3, 1, 2)) if last else x
    y = f.convolution(image, w, **params(low=(1, 1), high=(1, 1)))
    graph = verify(optimize(layout(optimize(legalize(made.graph([y]))))))
    (pad,) = [node for node in graph.nodes if node.op_name == "pad"]
    assert pad.results[0].shape == ((2, 10, 10, 16) if last else (2, 16, 10, 10))
    arrays = arrays_of(graph)
    (found,), (expected,) = run_compiled(graph, arrays), interpret(graph, arrays, {})
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-4)


@pytest.mark.slow
@given(networks())
@settings(max_examples=40, deadline=None)
def test_random_networks_keep_every_bit(graph):
    arrays = arrays_of(graph)
    fresh = verify(layout(legalize(optimize(graph))))
    assert fresh.output_types == graph.output_types
    with pytest.MonkeyPatch.context() as patch:
        uncached(patch)
        found = run_compiled(graph, arrays)
        without_layout(patch)
        expected = run_compiled(graph, arrays)
    for a, b, c in zip(found, expected, interpret(graph, arrays, {}), strict=True):
        assert same_bits(a, b)
        # sums of thousands cancel to results near 1: an error counts beside the largest result
        largest = float(np.abs(c).max(initial=1.0))
        np.testing.assert_allclose(a, c, rtol=2e-4, atol=2e-5 * largest)


def small_network():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.MaxPool2d(3, 2, 1), nn.Conv2d(8, 12, 3, padding=1, stride=2), nn.BatchNorm2d(12),
        nn.GELU(), nn.Conv2d(12, 12, 3, padding=1, groups=4), nn.ConvTranspose2d(12, 6, 2, stride=2),
        nn.ReLU(), nn.Conv2d(6, 5, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 4),
    )  # fmt: skip


def trained(compiled):
    el.manual_seed(3)
    model = small_network()
    optimizer = el.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    x, y = el.randn(6, 3, 13, 12), el.asarray(np.arange(6) % 4)

    def step(x, y):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    run = el.jit(step) if compiled else step
    losses = [run(x, y).numpy().tobytes() for _ in range(2)]
    return losses + [value.numpy().tobytes() for value in model.state_dict().values()]


def test_training_is_the_same_with_and_without_and_step_by_step(monkeypatch):
    uncached(monkeypatch)
    found = trained(compiled=True)
    assert found == trained(compiled=False)
    without_layout(monkeypatch)
    assert found == trained(compiled=True)


def test_one_program_serves_every_batch_size_and_image_size():
    batch, height = Dim("B"), Dim("H")
    made, f = builder()
    x = made.input(TensorType(float32, (batch, 3, height, 6)))
    v = made.input(TensorType(float32, (4, 3, 3, 3)))
    w = made.input(TensorType(float32, (5, 4, 2, 2)))
    hidden = f.convolution(x, v, **params(low=(1, 1), high=(1, 1)))
    y = f.convolution(hidden, w, **params(low=(1, 1), high=(1, 1), input_dilation=(2, 2)))
    graph = made.graph([y])
    for b, h in ((1, 4), (3, 5), (0, 4)):
        rng = np.random.default_rng(b)
        shapes = ((b, 3, h, 6), (4, 3, 3, 3), (5, 4, 2, 2))
        arrays = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
        (found,) = run_compiled(graph, arrays, {"B": b, "H": h})
        fixed, g = builder()
        values = [fixed.input(TensorType(float32, shape)) for shape in shapes]
        hidden = g.convolution(values[0], values[1], **params(low=(1, 1), high=(1, 1)))
        last = params(low=(1, 1), high=(1, 1), input_dilation=(2, 2))
        if b:
            one = fixed.graph([g.convolution(hidden, values[2], **last)])
            assert same_bits(found, run_compiled(one, arrays)[0])
        else:
            assert found.shape[0] == 0


# ---- inputs with holes --------------------------------------------------------------------------


def test_holes_take_no_part():
    """Infinite weights meet no zeros that are not there."""
    made, f = builder()
    x, w = (made.input(TensorType(float32, s)) for s in ((1, 1, 3), (1, 1, 2)))
    graph = made.graph([f.convolution(x, w, **params(1, input_dilation=(2,)))])
    arrays = [np.array([[[1.0, 2.0, 3.0]]], np.float32), np.array([[[np.inf, 1.0]]], np.float32)]
    (found,) = run_compiled(graph, arrays)
    assert found.tolist() == [[[np.inf, 2.0, np.inf, 3.0]]]
    assert interpret(graph, arrays, {})[0].tolist() == found.tolist()


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("holes", [1, 2, 3, 4])
@pytest.mark.parametrize("dilation", [1, 2, 3])
def test_phases_are_the_convolution_with_holes(kernel, holes, dilation):
    for low, high in ((0, 0), (1, 0), (2, 3), (-1, 1), (1, -1)):
        made, f = builder()
        x, w = (made.input(TensorType(float32, s)) for s in ((2, 3, 9), (4, 3, kernel)))
        if (9 - 1) * holes + 1 + low + high < (kernel - 1) * dilation + 1:
            continue
        given = params(1, input_dilation=(holes,), dilation=(dilation,), low=(low,), high=(high,))
        graph = made.graph([f.convolution(x, w, **given)])
        arrays = arrays_of(graph)
        (found,) = interpret(legalize(graph), arrays, {})
        (expected,) = interpret(graph, arrays, {})
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_an_index_that_is_shifted_and_divided_is_rounded_down():
    """Rows 2q and 2q + 1 come from two values, one row later: (i - 1) // 2 and (i - 1) mod 2."""
    made, f = builder()
    x = made.input(TensorType(float32, (7, 1, 3)))
    zipped = f.reshape(f.concatenate(x, f.full(0.0, x), axis=1), shape=(14, 3))
    cut = f.slice(zipped, start=(0, 0), size=(13, 3), step=(1, 1))
    zero = f.constant(value=0.0, dtype=float32)
    graph = made.graph([f.pad(cut, zero, low=(1, 0), high=(0, 0), interior=(0, 0))])
    arrays = arrays_of(graph)
    assert same_bits(run_compiled(graph, arrays)[0], interpret(graph, arrays, {})[0])
