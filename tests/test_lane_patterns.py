"""Dilated padding, strided windows and repeated elements: picked out of neighbours, not gathered."""

import numpy as np
import pytest
from compiled import run_compiled, same_bits

from elinvar.codegen.interpreter import interpret
from elinvar.core import dtypes
from elinvar.core.shapes import Dim
from elinvar.core.types import TensorType
from elinvar.graph.ir import Builder
from elinvar.runtime.compile import compile_graph

WIDTHS = (1, 2, 5, 9, 16, 17, 33, 40)


def build(make, shape, dtype=dtypes.float32):
    builder = Builder(capture_source=False)
    x = builder.input(TensorType(dtype, shape))
    return builder.graph([make(builder.f, x)], "main")


def check(make, shape, dtype=dtypes.float32, symbolic=None, sizes=None):
    graph = build(make, symbolic or shape, dtype)
    x = np.random.default_rng(sum(shape)).integers(-50, 50, shape).astype(dtype.storage)
    (expected,) = interpret(graph, [x], sizes or {})
    (found,) = run_compiled(graph, [x], sizes)
    assert same_bits(found, expected), str(graph)
    return compile_graph(graph).llvm()


def padded(low, high, interior):
    """Padding of the last axis, and of the one before it by the other way round."""

    def make(f, x):
        value = f.constant(value=7, dtype=x.dtype)
        rank = len(x.shape)
        sides = [(0, 0, 0)] * (rank - 2) + [(high, low, interior), (low, high, interior)]
        lows, highs, interiors = (tuple(part) for part in zip(*sides, strict=True))
        return f.pad(x, value, low=lows, high=highs, interior=interiors)

    return make


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("interior", [0, 1, 2, 3])
@pytest.mark.parametrize("low,high", [(0, 0), (1, 2), (3, 0)])
def test_dilated_padding(width, interior, low, high):
    text = check(padded(low, high, interior), (3, 4, width))
    if interior == 1:
        assert "masked.gather" not in text


@pytest.mark.parametrize("dtype", [dtypes.float64, dtypes.int8, dtypes.bool_], ids=str)
def test_dilated_padding_of_other_types(dtype):
    check(padded(1, 2, 1), (2, 3, 21), dtype) if dtype.kind != "b" else check(
        lambda f, x: f.pad(
            x,
            f.constant(value=True, dtype=x.dtype),
            low=(0, 0, 1),
            high=(0, 0, 2),
            interior=(0, 0, 1),
        ),
        (2, 3, 21),
        dtype,
    )


@pytest.mark.parametrize("interior", [0, 1, 2])
def test_sizes_of_the_call(interior):
    check(padded(1, 2, interior), (3, 4, 19), symbolic=(Dim("A"), 4, 19), sizes={"A": 3})
    if not interior:
        sizes = {"A": 3, "B": 19}
        check(padded(1, 2, interior), (3, 4, 19), symbolic=(Dim("A"), 4, Dim("B")), sizes=sizes)


@pytest.mark.parametrize("width", [9, 16, 32, 47])
@pytest.mark.parametrize(
    "size,stride,dilation", [(2, 2, 1), (3, 2, 1), (3, 3, 1), (2, 4, 1), (3, 2, 2)]
)
def test_windows(width, size, stride, dilation):
    """Windows over a padded operand, reduced and as they are."""

    def make(f, x):
        value = f.constant(value=-9, dtype=x.dtype)
        x = f.pad(x, value, low=(0, 1, 1), high=(0, 1, 1), interior=(0, 0, 0))
        found = f.windows(
            x, axes=(1, 2), sizes=(size,) * 2, strides=(stride,) * 2, dilations=(dilation,) * 2
        )
        return f.max(found, axes=(0, 1))

    check(make, (2, 7, width))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("times", [2, 3, 4])
def test_repeated_elements(width, times):
    """As nearest-neighbour resampling does."""

    def make(f, x):
        rows, columns = x.shape
        wide = f.broadcast(f.reshape(x, shape=(rows, columns, 1)), shape=(rows, columns, times))
        wide = f.reshape(wide, shape=(rows, columns * times))
        return f.pad(
            wide, f.constant(value=0, dtype=x.dtype), low=(0, 1), high=(0, 0), interior=(0, 0)
        )

    check(make, (3, width))


@pytest.mark.slow
def test_lanes_that_all_read_one_element():
    """The sizes of the parts are 1, as when norms are stacked."""
    builder = Builder(capture_source=False)
    inputs = [builder.input(TensorType(dtypes.float32, ())) for _ in range(40)]
    f = builder.f
    parts = [f.reshape(x, shape=(1,)) for x in inputs]
    joined = f.concatenate(*parts, axis=0)
    graph = builder.graph([f.multiply(joined, joined)], "main")
    numbers = [np.float32(number) for number in range(40)]
    (found,) = run_compiled(graph, numbers)
    assert same_bits(found, np.array(numbers, np.float32) ** 2)


@pytest.mark.parametrize("width", [2, 3, 6, 9])
@pytest.mark.parametrize("interior", [1, 2])
def test_rows_of_dilated_padding_that_are_summed_as_one(width, interior):
    """A vector that starts within a row: its first lane is ahead of the pattern's base."""

    def make(f, x):
        value = f.constant(value=7, dtype=x.dtype)
        none = (0, 0, 0)
        wide = f.pad(x, value, low=none, high=none, interior=(0, 0, interior))
        return f.sum(wide, axes=(1, 2))

    check(make, (2, 7, width))
