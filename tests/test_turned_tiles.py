"""Elementwise kernels that read along another axis than they write: the same elements, at every edge."""

import numpy as np
import pytest
from compiled import run_compiled, same_bits

from elinvar.core import dtypes
from elinvar.core.shapes import Dim
from elinvar.core.types import TensorType
from elinvar.graph.ir import Builder
from elinvar.runtime.compile import compile_graph

KINDS = (dtypes.float32, dtypes.float64, dtypes.float16, dtypes.int8, dtypes.int64, dtypes.bool_)


def graph(shape, axes, dtype=dtypes.float32, own=True):
    """x permuted, alone and added to what lies as the result does."""
    builder = Builder(capture_source=False)
    x = builder.input(TensorType(dtype, shape))
    turned = builder.f.permute(x, axes=axes)
    if not own:
        return builder.graph([turned], "main")
    y = builder.input(turned.type)
    join = builder.f.bitwise_xor if dtype.kind == "b" else builder.f.add
    return builder.graph([join(turned, y), turned], "main")


def arrays(shape, axes, dtype):
    rng = np.random.default_rng(sum(shape))
    x = rng.integers(0, 2 if dtype.kind == "b" else 50, shape).astype(dtype.storage)
    y = rng.integers(0, 2 if dtype.kind == "b" else 50, x.transpose(axes).shape)
    return x, y.astype(dtype.storage)


def check(shape, axes, dtype, sizes=None, symbolic=None):
    x, y = arrays(shape, axes, dtype)
    turned = np.ascontiguousarray(x.transpose(axes))
    expected = turned ^ y if dtype.kind == "b" else turned + y
    found = run_compiled(graph(symbolic or shape, axes, dtype), [x, y], sizes)
    assert same_bits(found[0], expected) and same_bits(found[1], turned)


def test_such_kernels_use_tiles():
    text = compile_graph(graph((64, 48), (1, 0))).llvm()
    assert "tile" in text and "masked.gather" not in text
    assert "tile" not in compile_graph(graph((64, 48), (0, 1))).llvm()


@pytest.mark.parametrize("dtype", KINDS, ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("shape", [(16, 16), (40, 24), (33, 47), (8, 100), (1040, 17)])
def test_transposed(shape, dtype):
    check(shape, (1, 0), dtype)


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (16, 2), (2, 16), (33, 47), (64, 64), (0, 4)])
def test_transposed_with_sizes_of_the_call(shape):
    sizes = {"A": shape[0], "B": shape[1]}
    check(shape, (1, 0), dtypes.float32, sizes, (Dim("A"), Dim("B")))


@pytest.mark.parametrize("axes", [(0, 2, 1), (2, 0, 1), (1, 0, 2), (2, 1, 0), (1, 2, 0)])
def test_three_axes(axes):
    check((9, 20, 35), axes, dtypes.float32)


def test_four_axes():
    check((3, 18, 10, 9), (0, 2, 3, 1), dtypes.float32)
    check((3, 10, 9, 18), (0, 3, 1, 2), dtypes.float32)


def test_operands_turned_two_ways():
    """Two operands lie along different axes; one of them is read in tiles."""
    rng = np.random.default_rng(0)
    builder = Builder(capture_source=False)
    x = builder.input(TensorType(dtypes.float32, (20, 30, 40)))
    y = builder.input(TensorType(dtypes.float32, (40, 20, 30)))
    z = builder.input(TensorType(dtypes.float32, (30,)))
    f = builder.f
    total = f.add(f.permute(x, axes=(0, 2, 1)), f.permute(y, axes=(1, 0, 2)))
    total = f.add(total, f.broadcast(z, shape=(20, 40, 30)))
    a, b, c = (rng.standard_normal(v.shape).astype(np.float32) for v in (x, y, z))
    (found,) = run_compiled(builder.graph([total], "main"), [a, b, c])
    assert same_bits(found, a.transpose(0, 2, 1) + b.transpose(1, 0, 2) + c)


def test_many_tasks():
    """More tiles than one task has, and blocks of the inner dim."""
    check((100, 3000), (1, 0), dtypes.float32)
    check((3000, 100), (1, 0), dtypes.float32)
