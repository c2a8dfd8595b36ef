"""Running a graph through the compiler on numpy arrays, for tests of the floors below Tensor."""

import numpy as np

from elinvar.core import dtypes
from elinvar.core.types import TensorType
from elinvar.runtime.compile import compile_graph


def stored(array, dtype):
    """The bits in memory of a reference array (bfloat16 travels as rounded float32)."""
    if dtype is dtypes.bfloat16:
        return np.array(np.asarray(array, np.float32).view(np.uint32) >> 16, np.uint16)
    return np.array(array, dtype=dtype.storage, order="C")


def shown(bits, dtype):
    """The inverse of `stored`."""
    if dtype is dtypes.bfloat16:
        return (bits.astype(np.uint32) << 16).view(np.float32)
    return bits


def run_bound(bound, arrays):
    """Call a bound program on arrays of stored bits; returns arrays of stored bits."""
    arena = np.zeros(bound.arena_nbytes + 64, np.uint8)
    outputs = [np.zeros(shape, dtype.storage) for dtype, shape, _ in bound.outputs]
    addresses = [a.__array_interface__["data"][0] for a in (arena, *arrays, *outputs)]
    bound.call(*addresses)
    return outputs


def run_compiled(graph, arrays, sizes=None, layouts=None):
    """Compile a graph and run it on reference arrays; returns reference arrays. Quick code is made
    and run as well, and must give the same bits."""
    bits = [
        a if layouts and layouts[i] else stored(a, value.dtype)
        for i, (a, value) in enumerate(zip(arrays, graph.inputs, strict=True))
    ]
    found = []
    for quick in (True, False):
        bound = compile_graph(graph, layouts, quick=quick).bind(sizes or {})
        results = run_bound(bound, bits)
        found.append([shown(r, v.dtype) for r, v in zip(results, graph.outputs, strict=True)])
    assert all(map(same_bits, *found)), "quick code has other bits"
    return found[1]


def same_bits(a, b):
    """Equal shapes, dtypes and bits; any NaN equals any NaN."""
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.dtype.kind == "c":
        return same_bits(a.real, b.real) and same_bits(a.imag, b.imag)
    if a.dtype.kind == "f":
        a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
        both = np.isnan(a) & np.isnan(b)
        whole = np.dtype(f"u{a.dtype.itemsize}")
        return bool(np.all(both | (a.view(whole) == b.view(whole))))
    return bool(np.array_equal(a, b))


def type_of(array, dtype=None):
    """The TensorType of a numpy array."""
    array = np.asarray(array)
    return TensorType(dtype or dtypes.from_numpy(array.dtype), array.shape)
