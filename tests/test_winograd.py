"""Convolutions by Winograd's algorithm: near the direct sum in f64, for all gradients; the same bits
however they are cut, laid out, batched or compiled; and which convolutions go this way."""

import numpy as np
import pytest
from compiled import run_compiled, same_bits

import elinvar as el
import elinvar.nn.functional as F
from elinvar.codegen import lower_winograd
from elinvar.core.dtypes import float16, float32, float64
from elinvar.core.shapes import Dim
from elinvar.core.types import TensorType
from elinvar.graph.ir import Builder
from elinvar.ops.table import BY_NAME
from elinvar.passes.winograd import winograd
from elinvar.runtime import compile
from elinvar.runtime.compile import compile_graph

NAN, INF = float("nan"), float("inf")


def random(*shape, seed=0):
    return np.random.default_rng((seed, *shape)).standard_normal(shape).astype(np.float32)


def correlate(x, w, padding):
    """The direct sum in f64."""
    down, across = padding
    x = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (down, down), (across, across)))
    seen = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], (2, 3))
    return np.einsum("nchwij,ocij->nohw", seen, w.astype(np.float64), optimize=True)


def reference(x, w, g, padding):
    """(result, gradient of x, gradient of w) for the result's cotangent g."""
    back = tuple(2 - p for p in padding)
    turned = w[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)
    by_kernel = correlate(x.transpose(1, 0, 2, 3), g.transpose(1, 0, 2, 3), padding)
    return correlate(x, w, padding), correlate(g, turned, back), by_kernel.transpose(1, 0, 2, 3)


def step(padding):
    """A function: (result, gradient of x, gradient of w)."""

    def run(x, w, g):
        x, w = x.detach(), w.detach()
        x.requires_grad_()
        w.requires_grad_()
        y = F.conv2d(x, w, padding=padding)
        y.backward(g)
        return y.detach(), x.grad, w.grad

    return run


def operands(n, c, o, h, w, padding):
    places = (h + 2 * padding[0] - 2, w + 2 * padding[1] - 2)
    return random(n, c, h, w), random(o, c, 3, 3, seed=1), random(n, o, *places, seed=2)


def params(padding=0, **changes):
    low = (padding, padding)
    plain = {
        "stride": (1, 1), "low": low, "high": low, "dilation": (1, 1), "input_dilation": (1, 1),
        "groups": 1, "batch_groups": 1, "channels_inner": True, "channels_last": False,
    }  # fmt: skip
    return plain | changes


def graph_of(types, given):
    builder = Builder()
    inputs = tuple(builder.input(kind) for kind in types)
    return builder.graph(builder.add(BY_NAME["convolution"], inputs, given))


def kinds(*shapes, dtype=float32):
    return [TensorType(dtype, shape) for shape in shapes]


def labels(graph, sizes=None):
    """What the launches are that have something to do."""
    return {s.label for s in compile_graph(graph).steps if s.tasks(sizes or {})}


def error(found, want):
    """(largest, root mean square) error over the root mean square."""
    scale = np.sqrt(np.mean(want**2))
    apart = np.abs(found - want) / scale
    return apart.max(), np.sqrt(np.mean(apart**2))


# ---- values -------------------------------------------------------------------------------------

SHAPES = [
    (1, 16, 16, 8, 8, (1, 1)),
    (2, 32, 32, 16, 16, (1, 1)),
    (3, 64, 48, 13, 11, (1, 1)),  # odd planes, half a panel of columns
    (2, 16, 80, 9, 10, (0, 0)),
    (1, 272, 16, 8, 8, (2, 2)),  # two blocks of channels
    (2, 32, 64, 32, 8, (1, 0)),
    (5, 16, 16, 3, 3, (1, 1)),  # planes smaller than a tile
    (4, 16, 32, 4, 3, (1, 1)),
    (70, 16, 16, 8, 7, (1, 1)),  # two groups of tiles
    (1, 96, 144, 12, 16, (1, 1)),  # channels in uneven parts
    (30, 48, 80, 8, 8, (1, 1)),  # more than a few tiles
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_near_the_direct_sum(shape):
    padding = shape[-1]
    arrays = operands(*shape)
    wanted = reference(*arrays, padding)
    for run in (step(padding), el.jit(step(padding))):
        for found, want in zip(run(*map(el.asarray, arrays)), wanted, strict=True):
            most, mean = error(found.numpy(), want)
            assert most < 1.3e-5 and mean < 1.2e-6


@pytest.mark.parametrize("channels", [64, 512])
def test_the_error_that_the_documentation_states(channels):
    x, w, g = operands(4, channels, 16, 16, 16, (1, 1))
    found = step((1, 1))(*map(el.asarray, (x, w, g)))
    wanted = reference(x, w, g, (1, 1))
    for one, want in zip(found, wanted, strict=True):
        most, mean = error(one.numpy(), want)
        assert most < 1.3e-5 and mean < 0.9e-6


def test_no_samples():
    x, w, g = operands(0, 16, 16, 8, 8, (1, 1))
    y, dx, dw = step((1, 1))(*map(el.asarray, (x, w, g)))
    assert y.shape == (0, 16, 8, 8) and dx.shape == (0, 16, 8, 8)
    assert same_bits(dw.numpy(), np.zeros((16, 16, 3, 3), np.float32))


def test_a_kernel_gradient_of_no_samples_in_an_open_program():
    n = Dim("n")
    given = params(1, channels_inner=False)
    graph = graph_of(kinds((16, n, 8, 8), (32, n, 8, 8)), given)
    x, g = np.zeros((16, 0, 8, 8), np.float32), np.zeros((32, 0, 8, 8), np.float32)
    (found,) = run_compiled(graph, (x, g), {"n": 0})
    assert same_bits(found, np.zeros((16, 32, 3, 3), np.float32))


def test_whole_numbers_are_nearly_exact():
    """Small whole numbers: a mistake would be no rounding error."""
    x = np.round(4 * random(2, 32, 10, 10))
    w = np.round(4 * random(32, 32, 3, 3, seed=1))
    found = F.conv2d(el.asarray(x), el.asarray(w), padding=1).numpy()
    assert np.abs(found - correlate(x, w, (1, 1))).max() < 0.01


def test_what_is_not_finite_spreads_within_its_tile():
    x, w, _ = operands(2, 16, 16, 16, 16, (1, 1))
    x[0, 3, 5, 6] = INF
    found = F.conv2d(el.asarray(x), el.asarray(w), padding=1).numpy()
    bad = np.isnan(found).any(1)
    assert bad[0, 4:8, 4:8].all() and not bad[1].any()
    assert not bad[0, 8:].any() and not bad[0, :4].any() and not bad[0, :, 8:].any()
    assert not np.isfinite(found[0, :, 4:7, 5:8]).any()


def test_double_backward():
    """Both derivatives of both gradients, beside f64, which goes the direct way."""
    arrays = [random(2, 16, 9, 8), random(32, 16, 3, 3, seed=1), random(2, 32, 9, 8, seed=2)]
    arrays += [random(2, 16, 9, 8, seed=3), random(32, 16, 3, 3, seed=4)]

    def second(x, w, g, vx, vw):
        def first(x, w):
            dx, dw = el.vjp(lambda x, w: F.conv2d(x, w, padding=1), x, w)[1](g)
            return (dx * vx).sum() + (dw * vw).sum()

        return el.grad(first, argnums=(0, 1))(x, w)

    found = second(*(el.asarray(a) for a in arrays))
    compiled = el.jit(second)(*(el.asarray(a) for a in arrays))
    wanted = second(*(el.asarray(a.astype(np.float64)) for a in arrays))
    for one, other, want in zip(found, compiled, wanted, strict=True):
        assert same_bits(one.numpy(), other.numpy())
        most, _ = error(one.numpy(), want.numpy())
        assert most < 2e-5


# ---- the same bits ------------------------------------------------------------------------------


@pytest.fixture
def threads():
    before = el.get_num_threads()
    yield
    el.set_num_threads(before)


def copied(tensors):
    return [np.ascontiguousarray(t.numpy()) for t in tensors]


@pytest.mark.parametrize("shape", [(5, 32, 48, 13, 10, (1, 1)), (70, 64, 32, 8, 8, (1, 1))])
def test_threads_and_jit(threads, shape):
    arrays = [el.asarray(a) for a in operands(*shape)]
    run = step(shape[-1])
    compiled = el.jit(run)
    wanted = copied(run(*arrays))
    for count in (1, 2, 3, 8):
        el.set_num_threads(count)
        for function in (run, compiled):
            for a, b in zip(copied(function(*arrays)), wanted, strict=True):
                assert same_bits(a, b)


def test_a_batch_has_the_bits_of_its_rows():
    x, w, g = operands(33, 16, 32, 9, 8, (1, 1))
    y, dx, _ = copied(step((1, 1))(*map(el.asarray, (x, w, g))))
    for row in (0, 7, 32):
        part = slice(row, row + 1)
        one = copied(step((1, 1))(*map(el.asarray, (x[part], w, g[part]))))
        assert same_bits(one[0], y[part]) and same_bits(one[1], dx[part])
    some = copied(step((1, 1))(*map(el.asarray, (x[3:20], w, g[3:20]))))
    assert same_bits(some[0], y[3:20]) and same_bits(some[1], dx[3:20])


def test_channels_first_and_last():
    x, w, g = operands(3, 32, 32, 12, 9, (1, 1))
    wanted = copied(step((1, 1))(*map(el.asarray, (x, w, g))))

    def last(array):
        return el.asarray(np.ascontiguousarray(array.transpose(0, 2, 3, 1))).permute(0, 3, 1, 2)

    for function in (step((1, 1)), el.jit(step((1, 1)))):
        turned = function(last(x), el.asarray(np.asfortranarray(w)), last(g))
        for a, b in zip(copied(turned), wanted, strict=True):
            assert same_bits(a, b)


@pytest.mark.parametrize("dtype", [el.bfloat16, el.float16], ids=str)
@pytest.mark.parametrize(
    "shape", [(1, 16, 32, 8, 8), (2, 32, 16, 13, 10), (40, 16, 48, 9, 17)], ids=str
)
def test_narrow_operands_are_widened_and_results_rounded_once(dtype, shape):
    samples, inputs, outputs, *plane = shape
    wide = [
        random(samples, inputs, *plane), random(outputs, inputs, 3, 3) / 8,
        random(samples, outputs, *plane),
    ]  # fmt: skip
    narrow = [el.asarray(x).astype(dtype) for x in wide]
    run = step((1, 1))
    expected = [found.astype(dtype) for found in run(*(x.astype(el.float32) for x in narrow))]
    for found in (run(*narrow), el.jit(run)(*narrow)):
        for mine, other in zip(found, expected, strict=True):
            assert mine.dtype is dtype
            assert same_bits(mine.astype(el.float32).numpy(), other.astype(el.float32).numpy())


def test_inside_of_a_network_and_alone():
    """A program whose layout is channels last, step by step and as a whole."""
    x = el.asarray(random(4, 16, 8, 8))
    weights = [el.asarray(random(16, 16, 3, 3, seed=n)) for n in range(3)]

    def network(x):
        for w in weights:
            x = F.relu(F.conv2d(x, w, padding=1)) + x
        return x

    assert same_bits(copied([network(x)])[0], copied([el.jit(network)(x)])[0])


@pytest.mark.parametrize("inner", [True, False])
@pytest.mark.parametrize("last", [True, False])
def test_open_sizes_and_vectors_of_any_width(monkeypatch, inner, last):
    given = params(1, channels_inner=inner, channels_last=last)
    n, c, o, h, w = (Dim(name) for name in "ncohw")
    if inner:
        arrays = random(3, 32, 10, 9), random(48, 32, 3, 3, seed=1)
        open_types = [
            kinds((n, 32, 10, 9), (48, 32, 3, 3)),
            kinds((n, 32, h, w), (48, 32, 3, 3)),
            kinds((n, c, h, w), (o, c, 3, 3)),
        ]
    else:
        arrays = random(32, 3, 10, 9), random(48, 3, 10, 9, seed=1)
        open_types = [
            kinds((32, n, 10, 9), (48, n, 10, 9)),
            kinds((32, n, h, w), (48, n, h, w)),
            kinds((c, n, h, w), (o, n, h, w)),
        ]
    sizes = {"n": 3, "c": 32, "o": 48, "h": 10, "w": 9}
    closed = graph_of(kinds(*(a.shape for a in arrays)), given)
    (wanted,) = run_compiled(closed, arrays)
    for types in open_types:
        (found,) = run_compiled(graph_of(types, given), arrays, sizes)
        assert same_bits(found, wanted)
    for bits in (128, 256, 512):
        monkeypatch.setattr(compile, "vector_bits", lambda bits=bits: bits)
        (found,) = run_compiled(closed, arrays)
        assert same_bits(found, wanted)


def test_open_sizes_that_go_the_direct_way():
    """One program for sizes on both sides of the rule."""
    n, c, h = (Dim(name) for name in "nch")
    graph = graph_of(kinds((n, c, h, h), (16, c, 3, 3)), params(1))
    for channels, side in ((16, 8), (12, 8), (16, 2), (16, 5)):
        arrays = random(2, channels, side, side), random(16, channels, 3, 3, seed=1)
        sizes = {"n": 2, "c": channels, "h": side}
        (found,) = run_compiled(graph, arrays, sizes)
        (wanted,) = run_compiled(graph_of(kinds(*(a.shape for a in arrays)), params(1)), arrays)
        assert same_bits(found, wanted)


@pytest.mark.parametrize("samples", [1, 9, 29])
def test_tasks_of_any_size(monkeypatch, samples):
    """Neither how work is cut nor whether kernels and sums are transformed in passing."""
    arrays = [el.asarray(a) for a in operands(samples, 80, 48, 12, 10, (1, 1))]
    wanted = copied(step((1, 1))(*arrays))
    for panels, tasks, shared, few, alone in (
        (1, 1, (16, 16), 0, -1),
        (3, 1, (32, 64), 10_000, 256),
        (1, 100, (48, 32), 0, 256),
        (2, 16, (64, 128), 10_000, -1),
    ):
        monkeypatch.setattr(lower_winograd, "BLOCK_PANELS", panels)
        monkeypatch.setattr(lower_winograd, "FEW_TASKS", tasks)
        monkeypatch.setattr(lower_winograd, "SHARED", shared)
        monkeypatch.setattr(lower_winograd, "FEW_TILES", few)
        monkeypatch.setattr(lower_winograd, "ALONE_TILES", alone)
        for a, b in zip(copied(el.jit(step((1, 1)))(*arrays)), wanted, strict=True):
            assert same_bits(a, b)


# ---- which convolutions go this way -------------------------------------------------------------


def is_used(x, w, dtype=float32, **changes):
    (node,) = graph_of(kinds(x, w, dtype=dtype), params(**changes)).nodes
    tiled = winograd(node)
    return tiled is not None and tiled[1]({})


def test_the_rule():
    kernel = (32, 32, 3, 3)
    assert is_used((2, 32, 10, 10), kernel)
    assert is_used((2, 32, 34, 34), kernel, channels_last=True)
    assert not is_used((2, 32, 10, 10), (32, 32, 5, 5))
    assert not is_used((2, 32, 10, 10), (32, 32, 1, 1))
    assert not is_used((2, 24, 10, 10), (32, 24, 3, 3))  # groups of 16 channels
    assert not is_used((2, 3, 34, 34), (32, 3, 3, 3))
    assert not is_used((2, 32, 4, 4), kernel)  # 2 × 2 results: as many products
    assert not is_used((2, 32, 10, 10), kernel, dtype=float64)
    assert is_used((2, 32, 10, 10), kernel, dtype=float16)
    assert not is_used((2, 32, 11, 11), kernel, stride=(2, 2))
    assert not is_used((2, 32, 12, 12), kernel, dilation=(2, 2))
    assert not is_used((2, 32, 10, 10), (32, 16, 3, 3), groups=2)
    assert is_used((2, 512, 6, 6), (512, 512, 3, 3))
    assert not is_used((2, 528, 6, 6), (512, 528, 3, 3))
    assert not is_used((2, 512, 6, 6), (528, 512, 3, 3))
    given = {"channels_inner": False}
    assert is_used((32, 2, 10, 10), (32, 2, 8, 8), **given)
    assert is_used((256, 2, 6, 6), (256, 2, 4, 4), **given)
    assert not is_used((32, 2, 10, 10), (32, 2, 9, 9), **given)
    assert not is_used((24, 2, 10, 10), (32, 2, 8, 8), **given)


@pytest.mark.parametrize("side", [4, 5, 8, 13])
@pytest.mark.parametrize("channels", [16, 128, 256])
def test_the_rule_does_not_look_at_the_batch(side, channels):
    for inner in (True, False):
        seen = set()
        for n in (0, 1, 2, 7, 1000):
            wide, kernel = (n, channels, side + 2, side + 2), (channels, channels, 3, 3)
            if not inner:
                wide, kernel = (channels, n, side + 2, side + 2), (channels, n, side, side)
            seen.add(is_used(wide, kernel, channels_inner=inner))
        assert len(seen) == 1


def test_an_open_batch_needs_no_direct_launches():
    n = Dim("n")
    graph = graph_of(kinds((n, 32, 8, 8), (32, 32, 3, 3)), params(1))
    assert "transform tiles" in labels(graph, {"n": 1})
    assert "transform kernels" in labels(graph, {"n": 100})
    steps = compile_graph(graph).steps
    assert not any(step.name.startswith("contract") for step in steps)


def test_profiles_count_the_products_that_are_made():
    graph = graph_of(kinds((2, 32, 10, 10), (16, 32, 3, 3)), params())
    (cost,) = [s.cost for s in compile_graph(graph).steps if s.label == "convolution"]
    assert cost.flops({}) == 2 * 2 * 4 * 36 * 32 * 16
