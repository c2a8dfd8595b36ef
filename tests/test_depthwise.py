"""Convolutions of many groups with few channels: kernels of their own, the bits of the products."""

import numpy as np
import pytest
from compiled import run_compiled, same_bits

import elinvar as el
import elinvar.nn.functional as F
from elinvar.codegen import lower_convolution
from elinvar.codegen.interpreter import interpret
from elinvar.codegen.lanes import Lanes
from elinvar.codegen.lower_lanes import LineAxes, cut_lanes
from elinvar.core import dtypes
from elinvar.core.shapes import Dim
from elinvar.core.types import TensorType
from elinvar.graph.ir import Builder
from elinvar.runtime import compile

LAST = ((0, 2, 3, 1), (0, 1, 2, 3))  # the order of both operands in memory: channels innermost
BATCH_LAST = ((1, 2, 3, 0), (1, 2, 3, 0))


def params(spatial=2, **changes):
    ones, zeros = (1,) * spatial, (0,) * spatial
    plain = {
        "stride": ones, "low": zeros, "high": zeros, "dilation": ones, "input_dilation": ones,
        "groups": 1, "batch_groups": 1, "channels_inner": True, "channels_last": False,
    }  # fmt: skip
    return plain | changes


def program(shapes, values, dtype=dtypes.float32):
    made = Builder(capture_source=False)
    inputs = [made.input(TensorType(dtype, shape)) for shape in shapes]
    return made.graph([made.f.convolution(*inputs, **values)], "depthwise")


def operands(shapes, order=None, dtype=np.float32):
    """Random arrays and their layouts."""
    rng = np.random.default_rng(len(repr(shapes)))
    arrays = [rng.normal(size=shape).astype(dtype) for shape in shapes]
    if order is None:
        return arrays, None
    turned = [
        np.ascontiguousarray(a.transpose(o)).transpose(np.argsort(o))
        for a, o in zip(arrays, order, strict=True)
    ]
    return turned, tuple(tuple(s // a.itemsize for s in a.strides) for a in turned)


def check(shapes, values, order=None, dtype=np.float32):
    """The bits of the product kernel, near the reference."""
    arrays, layouts = operands(shapes, order, dtype)
    graph = program(shapes, values, dtypes.from_numpy(np.dtype(dtype)))
    (got,) = run_compiled(graph, arrays, layouts=layouts)
    with pytest.MonkeyPatch.context() as patch:
        kind = lower_convolution.ConvolutionLowering
        patch.setattr(kind, "_in_lanes", lambda self, node, parts, xs, ws: False)
        (want,) = run_compiled(graph, arrays, layouts=layouts)
    assert same_bits(got, want), (shapes, values, order)
    (near,) = interpret(graph, arrays)
    scale = np.abs(near).max(initial=1.0)
    np.testing.assert_allclose(got, near, rtol=1e-5, atol=1e-5 * scale)


GEOMETRIES = [
    {},
    {"stride": (2, 1), "low": (1, 1), "high": (1, 0)},
    {"stride": (1, 2), "dilation": (2, 1)},
    {"stride": (3, 3), "low": (2, 0), "high": (-1, 1)},
    {"input_dilation": (2, 2), "low": (2, 2), "high": (2, 2)},
]


@pytest.mark.slow
@pytest.mark.parametrize("order", [None, LAST], ids=["first", "last"])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("channels", [4, 5, 8, 16, 19, 24, 33, 40, 144])
def test_depthwise_has_the_bits_of_products(channels, channels_last, order):
    shapes = ((2, channels, 9, 8), (channels, 1, 3, 3))
    for changes in GEOMETRIES:
        check(shapes, params(groups=channels, channels_last=channels_last, **changes), order)


@pytest.mark.parametrize("order", [None, LAST], ids=["first", "last"])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(
    ("groups", "filters", "inner"),
    [
        (16, 2, 1),
        (20, 4, 1),
        (8, 3, 1),
        (8, 8, 1),
        (8, 4, 4),
        (16, 1, 2),
        (32, 4, 4),
        (9, 2, 3),
        (8, 16, 16),
    ],
)
def test_groups_have_the_bits_of_products(groups, filters, inner, channels_last, order):
    shapes = ((2, groups * inner, 9, 18), (groups * filters, inner, 3, 3))
    for changes in GEOMETRIES[:3]:
        check(shapes, params(groups=groups, channels_last=channels_last, **changes), order)


@pytest.mark.parametrize("order", [None, BATCH_LAST], ids=["first", "last"])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(("channels", "filters"), [(16, 1), (16, 2), (19, 1), (32, 1), (8, 3)])
def test_sums_over_positions_have_the_bits_of_products(channels, filters, channels_last, order):
    """Gradients with respect to kernels: few results, each a sum over several blocks of k."""
    shapes = ((channels, 3, 14, 13), (channels * filters, 3, 12, 11))
    values = {"batch_groups": channels, "channels_last": channels_last, "channels_inner": False}
    check(shapes, params(**values), order)
    check(((channels, 2, 19, 13), shapes[1][:1] + (2, 9, 12)), params(dilation=(2, 1), **values))


@pytest.mark.parametrize(
    ("x", "w", "changes"),
    [
        ((16, 0, 20, 75), (16, 0, 16, 71), {}),
        ((24, 2, 20, 75), (24, 2, 16, 71), {}),  # 25 results, lines of several pieces
        ((16, 3, 300), (16, 3, 297), {}),
        ((16, 2, 6, 9, 12), (32, 2, 4, 8, 11), {}),
        ((16, 2, 30, 40), (16, 2, 14, 18), {"dilation": (2, 2)}),  # of a strided convolution
        ((16, 2, 30, 40), (16, 2, 14, 18), {"dilation": (1, 2), "stride": (2, 1)}),
        ((16, 2, 30, 40), (16, 2, 28, 20), {"stride": (1, 2)}),
    ],
)
def test_sums_over_positions_of_any_shape(x, w, changes):
    values = params(len(x) - 2, batch_groups=x[0], channels_inner=False, **changes)
    last = (*range(1, len(x)), 0)
    plain = tuple(range(len(x)))
    for order in (None, (last, plain), (plain, last), (last, last)):
        check((x, w), values, order)


def test_sums_over_positions_of_symbolic_sizes():
    values = params(batch_groups=24, channels_inner=False)
    shapes = ((24, 3, 14, 43), (24, 3, 12, 41))
    arrays, _ = operands(shapes)
    (want,) = run_compiled(program(shapes, values), arrays)
    n, h, w = (Dim(name) for name in "nhw")
    sizes = {"n": 3, "h": 12, "w": 41}
    for one, other in (
        ((24, n, 14, 43), (24, n, 12, 41)),
        ((24, n, h + 2, w + 2), (24, n, h, w)),
    ):
        (got,) = run_compiled(program((one, other), values), arrays, sizes)
        assert same_bits(got, want)


@pytest.mark.parametrize("bits", [128, 256, 512])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_vectors_of_any_width_give_the_same_bits(bits, dtype, monkeypatch):
    monkeypatch.setattr(compile, "vector_bits", lambda: bits)
    for channels_last in (False, True):
        for order in (None, LAST):
            values = params(groups=24, channels_last=channels_last)
            check(((2, 24, 9, 17), (48, 1, 3, 3)), values, order, dtype)
    values = params(batch_groups=24, channels_inner=False)
    for order in (None, BATCH_LAST):
        check(((24, 3, 14, 13), (24, 3, 12, 11)), values, order, dtype)


@pytest.mark.parametrize(
    ("x", "w", "changes"),
    [
        ((3, 24, 40), (24, 1, 5), {"stride": (2,), "low": (2,), "high": (2,)}),
        ((2, 16, 5, 6, 17), (32, 1, 3, 2, 3), {}),
        ((2, 16, 400), (16, 1, 300), {}),  # several blocks of k
        ((2, 16, 3, 300), (16, 1, 3, 100), {"stride": (1, 2)}),
        ((2, 16, 4, 3), (16, 1, 3, 3), {}),  # lines too short for a vector
        ((4, 16), (16, 1), {}),
        ((0, 16, 9, 8), (16, 1, 3, 3), {}),
        ((1, 16, 9, 8), (16, 1, 3, 3), {}),
    ],
)
def test_other_ranks_and_sizes(x, w, changes):
    values = params(len(x) - 2, groups=x[1], **changes)
    for channels_last in (False, True):
        check((x, w), values | {"channels_last": channels_last})
        order = (0, *range(2, len(x)), 1), tuple(range(len(w)))
        check((x, w), values | {"channels_last": channels_last}, order)


@pytest.mark.parametrize("channels_last", [False, True])
def test_symbolic_sizes_do_not_change_bits(channels_last):
    values = params(groups=24, low=(1, 1), high=(1, 1), channels_last=channels_last)
    shapes = ((3, 24, 9, 18), (24, 1, 3, 3))
    arrays, _ = operands(shapes)
    (want,) = run_compiled(program(shapes, values), arrays)
    sizes = {"n": 3, "h": 9, "w": 18}
    for open_shape in (("n", 24, 9, 18), ("n", 24, "h", "w")):
        shape = tuple(Dim(n) if isinstance(n, str) else n for n in open_shape)
        (got,) = run_compiled(program((shape, shapes[1]), values), arrays, sizes)
        assert same_bits(got, want)


def gradients(x, w, g, **options):
    x, w = x.detach(), w.detach()
    x.requires_grad_(), w.requires_grad_()
    y = F.conv2d(x, w, **options)
    y.backward(g)
    return [v.numpy() for v in (y, x.grad, w.grad)]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("channels", "groups"), [(24, 24), (32, 8)])
def test_training_gives_the_same_bits_everywhere(stride, channels, groups):
    """Eager, compiled, on any number of threads, one by one, and from turned memory."""
    options = {"padding": 1, "stride": stride, "groups": groups}
    x, w = el.randn(3, channels, 13, 17), el.randn(channels, channels // groups, 3, 3)
    g = el.randn(*F.conv2d(x, w, **options).shape)
    want = gradients(x, w, g, **options)

    @el.jit
    def compiled(x, w, g):
        return el.vjp(lambda x, w: F.conv2d(x, w, **options), x, w)[1](g)

    for a, b in zip(compiled(x, w, g), want[1:], strict=True):
        assert same_bits(a.numpy(), b)
    threads = el.get_num_threads()
    try:
        for count in (1, 2, 3, 8):
            el.set_num_threads(count)
            for a, b in zip(gradients(x, w, g, **options), want, strict=True):
                assert same_bits(a, b)
    finally:
        el.set_num_threads(threads)
    rows = [gradients(x[i : i + 1], w, g[i : i + 1], **options) for i in range(3)]
    for k in (0, 1):
        assert same_bits(np.concatenate([row[k] for row in rows]), want[k])
    turned = el.asarray(np.ascontiguousarray(x.numpy().transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2))
    for a, b in zip(gradients(turned, w, g, **options), want, strict=True):
        assert same_bits(a, b)


def test_16_bit_floats_are_read_as_they_are():
    """The bits of f32 on the same numbers, rounded once."""
    x, w = el.randn(2, 24, 9, 18).astype(el.bfloat16), el.randn(24, 1, 3, 3).astype(el.bfloat16)
    for source in (x, x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)):
        got = F.conv2d(source, w, padding=1, groups=24)
        want = F.conv2d(x.astype(el.float32), w.astype(el.float32), padding=1, groups=24)
        assert got.dtype is el.bfloat16
        assert same_bits(got.astype(el.float32).numpy(), want.astype(el.bfloat16).float().numpy())


def test_a_network_copies_nothing_but_its_borders():
    """Between depthwise convolutions inside of a program channels are innermost: no copies."""
    x, ws = el.randn(2, 16, 12, 12), [el.randn(16, 1, 3, 3) for _ in range(3)]

    @el.jit
    def network(x, a, b, c):
        for w in (a, b, c):
            x = F.relu(F.conv2d(x, w, padding=1, groups=16))
        return x.sum()

    network(x, *ws)
    with el.profile() as p:
        network(x, *ws)
    assert sum(row.calls for row in p.rows if row.kernel == "map: copy") <= 1


def test_last_vectors_of_lines_reach_back():
    lines = LineAxes([(2, 100)], 11, 3, 4)
    assert lines.table({}).tolist() == [0, 12, 21, 100, 112, 121]
    assert lines.size == 6


def test_work_is_cut_by_shape_alone():
    fields = {"lanes": 16, "rows": 8, "columns": 1, "is_packed": True, "is_dense": True}
    short = Lanes(is_short=True, **fields)
    assert cut_lanes(0, 4, 9, short, 1).tasks == 0
    cut = cut_lanes(100, 60, 9, short, 2)
    assert cut.column_block == 60 and cut.tasks == 2 * -(-100 // cut.row_block)
    long = Lanes(is_short=False, **fields)
    assert cut_lanes(1, 60, 9000, long, 1).tasks == 6
