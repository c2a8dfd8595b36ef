"""The order of sums (docs/decisions/0001), written out in numpy: the compiler's bits must be these."""

import numpy as np
import pytest
from compiled import run_compiled, same_bits

import elinvar as el
from elinvar.core import dtypes
from elinvar.core.shapes import Dim
from elinvar.core.types import TensorType
from elinvar.graph.ir import Builder
from elinvar.runtime.compile import compile_graph

LANES, TILE, CHUNK = 16, 16384, 256


def added(parts, shape):
    """The parts in order, on top of zero."""
    total = np.zeros(shape, np.float32)
    for part in parts:
        total = total + part
    return total


def tile_sum(values):
    """One tile of a row: 16 lanes, then their halves."""
    padded = np.zeros(-(-len(values) // LANES) * LANES, np.float32)
    padded[: len(values)] = values
    lanes = added(padded.reshape(-1, LANES), LANES)
    while len(lanes) > 1:
        half = len(lanes) // 2
        lanes = lanes[:half] + lanes[half:]
    return lanes[0]


def row_sum(row):
    """`row`: [outer, last], reduced as a whole."""
    tiles = [part[i : i + TILE] for part in row for i in range(0, part.size, TILE)]
    return added(map(tile_sum, tiles), ())


def column_sum(x):
    """`x`: [outer, along, columns], reduced to its columns."""
    chunks = [part[i : i + CHUNK] for part in x for i in range(0, len(part), CHUNK)]
    return added((added(chunk, x.shape[-1]) for chunk in chunks), x.shape[-1])


def numbers(*shape):
    """Numbers of very different sizes, so that every order has sums of its own."""
    rng = np.random.default_rng(len(shape) + sum(shape))
    return (rng.standard_normal(shape) * 10.0 ** rng.integers(-3, 4, shape)).astype(np.float32)


def sum_graph(shape, axes):
    builder = Builder(capture_source=False)
    x = builder.input(TensorType(dtypes.float32, shape))
    return builder.graph([builder.f.sum(x, axes=axes)], "main")


def check(x, axes, expected):
    """Static and symbolic sizes, one thread and two."""
    names = [Dim(name) for name in "ABCD"[: x.ndim]]
    sizes = {str(name): n for name, n in zip(names, x.shape, strict=True)}
    before = el.get_num_threads()
    try:
        for threads in (1, 2):
            el.set_num_threads(threads)
            (found,) = run_compiled(sum_graph(x.shape, axes), [x])
            assert same_bits(found, expected)
            (found,) = run_compiled(sum_graph(tuple(names), axes), [x], sizes)
            assert same_bits(found, expected)
    finally:
        el.set_num_threads(before)


def launches(shape, axes):
    return len(compile_graph(sum_graph(shape, axes)).steps)


@pytest.mark.parametrize(
    "rows,columns",
    [(1, 5), (255, 3), (2100, 64), (1030, 65), (700, 100), (515, 512), (300, 1300), (3, 520)],
)
def test_columns(rows, columns):
    x = numbers(rows, columns)
    check(x, (0,), column_sum(x[None]))


@pytest.mark.parametrize("shape", [(3, 40, 2, 7), (5, 300, 3, 33), (2, 260, 2, 96)])
def test_columns_of_several_axes(shape):
    """Reduced axes with a kept one between them: chunks never go past the innermost one."""
    x = numbers(*shape)
    expected = np.stack([column_sum(x[:, :, i]) for i in range(shape[2])])
    check(x, (0, 1), expected)


@pytest.mark.parametrize("count", [1, 17, 16384, 16385, 100_003])
def test_rows(count):
    x = numbers(count)
    check(x, (0,), row_sum(x[None]))


@pytest.mark.parametrize("shape", [(2, 40_000), (7, 16_390), (9, 20_000)])
def test_few_rows(shape):
    x = numbers(*shape)
    check(x, (1,), np.stack([row_sum(row[None]) for row in x]))


def test_rows_of_axes_apart():
    x = numbers(9, 3, 2600)
    check(x, (0, 2), np.stack([row_sum(x[:, i]) for i in range(3)]))


def test_two_launches_where_there_is_work():
    """A large sum leaves partial results, so that threads share it; a small one is one launch."""
    assert launches((8192, 64), (0,)) == 2 and launches((300, 64), (0,)) == 1
    assert launches((1 << 20,), (0,)) == 2 and launches((1000,), (0,)) == 1


@pytest.mark.parametrize(
    "name,dtype", [("any", "bool"), ("all", "bool"), ("max", "float16"), ("sum", "float16")]
)
@pytest.mark.parametrize("axis", [0, 1])
def test_other_reductions_in_two_launches(name, dtype, axis):
    """Carried in another type than that of the result."""
    rng = np.random.default_rng(0)
    x = rng.random((3, 70_000)) < (1e-5 if name == "any" else 1 - 1e-5)
    if dtype == "float16":
        x = rng.integers(-3, 4, x.shape).astype(np.float16)
    x = x if axis else np.ascontiguousarray(x.T)
    found = getattr(el, name)(el.asarray(x), axis=axis).numpy()
    expected = getattr(np, name)(x.astype(np.float32) if name == "sum" else x, axis=axis)
    np.testing.assert_array_equal(found, expected.astype(x.dtype))


def softmax_graph(shape):
    """Its exponentials are needed by the sum and by the result."""
    builder = Builder(capture_source=False)
    x = builder.input(TensorType(dtypes.float32, shape))
    f = builder.f

    def spread(row):
        return f.broadcast(f.reshape(row, shape=(*shape[:-1], 1)), shape=shape)

    e = f.exp(f.subtract(x, spread(f.max(x, axes=(1,)))))
    total = f.sum(e, axes=(1,))
    y = f.divide(e, spread(total))
    slope = f.sum(f.multiply(y, f.log(f.add(e, y))), axes=(1,))
    return builder.graph([y, f.multiply(e, spread(slope)), total], "main")


@pytest.mark.parametrize("shape", [(1, 1), (3, 17), (5, 1000), (2, 20_000)])
def test_rows_of_any_length_keep_what_is_expensive(shape):
    """With sizes of the call, and beyond what the stack holds: the same bits as with short rows."""
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    found = run_compiled(softmax_graph(shape), [x])
    names = (Dim("A"), Dim("B"))
    other = run_compiled(softmax_graph(names), [x], {"A": shape[0], "B": shape[1]})
    assert all(same_bits(a, b) for a, b in zip(found, other, strict=True))
    single = run_compiled(softmax_graph((1, shape[1])), [x[:1]])
    assert all(same_bits(a[:1], b) for a, b in zip(found, single, strict=True))
    e = np.exp(x - x.max(axis=1, keepdims=True))
    np.testing.assert_allclose(found[0], e / e.sum(axis=1, keepdims=True), 1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("count", [1, 15, 16, 37, 20_000])
@pytest.mark.parametrize("name", ["max", "min"])
def test_largest_and_smallest(name, count, dtype):
    """Signs of zeros, infinities and NaN anywhere."""
    rng = np.random.default_rng(count)
    rows = [rng.standard_normal(count), -np.abs(rng.standard_normal(count)) - 1]
    rows += [
        np.full(count, 0.0),
        np.full(count, -0.0),
        np.where(rng.random(count) < 0.5, 0.0, -0.0),
    ]
    rows += [np.full(count, np.inf), np.full(count, -np.inf), np.full(count, 1e-40)]
    rows += [
        np.where(np.arange(count) == count // 2, special, rows[0]) for special in (np.nan, -np.nan)
    ]
    rows += [
        np.where(np.arange(count) == count - 1, special, -0.0) for special in (0.0, np.inf, -np.inf)
    ]
    x = np.array(rows).astype(dtype)
    found = getattr(el, name)(el.asarray(x), axis=1).numpy()
    with np.errstate(invalid="ignore"):
        expected = getattr(np, name)(x, axis=1)
    both = np.isnan(found) & np.isnan(expected)
    assert np.all(both | (found == expected))
    zeros = ~both & (found == 0)
    signs = np.signbit(x) if name == "max" else ~np.signbit(x)
    negative = (
        np.all(signs | (x != 0), axis=1) if name == "max" else ~np.all(signs | (x != 0), axis=1)
    )
    np.testing.assert_array_equal(np.signbit(found[zeros]), negative[zeros])


@pytest.mark.parametrize("columns", [8, 13, 64, 70, 300])
@pytest.mark.parametrize("along", [9, 40, 600])
def test_columns_that_lie_across(columns, along):
    """Channels before positions in memory, summed to channels: read in squares, the same order."""
    x = numbers(3, columns, along)
    turned = np.ascontiguousarray(x.transpose(0, 2, 1))
    expected = column_sum(turned), column_sum(turned * turned)

    def graph(shape):
        builder = Builder(capture_source=False)
        inside = builder.f.permute(builder.input(TensorType(dtypes.float32, shape)), axes=(0, 2, 1))
        square = builder.f.multiply(inside, inside)
        sums = [builder.f.sum(value, axes=(0, 1)) for value in (inside, square)]
        return builder.graph(sums, "main")

    text = compile_graph(graph(x.shape)).llvm()
    assert "%tile" in text and "masked.gather" not in text
    sizes = {"A": 3, "B": columns, "C": along}
    for found in (
        run_compiled(graph(x.shape), [x]),
        run_compiled(graph((Dim("A"), Dim("B"), Dim("C"))), [x], sizes),
    ):
        assert all(same_bits(a, b) for a, b in zip(found, expected, strict=True))
