"""How a graph becomes something callable: the seam between the tensor floor and the compiler.

`compile_graph(graph, layouts)` gives a Compiled; `.bind(sizes)` a Bound with

    call(arena address, input addresses…, output addresses…), arena_nbytes, outputs

Each output is (dtype, shape, nbytes) and dense. This version runs the references of the records;
the native compiler takes its place behind the same names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from elinvar.core.dtypes import DType
from elinvar.core.shapes import evaluate, row_major_strides
from elinvar.graph.ir import Graph
from elinvar.ops.rules import round_to_bfloat16


class Buffer:
    """Memory of a tensor."""

    __slots__ = ("__weakref__", "_owner", "address", "nbytes")

    def __init__(self, nbytes: int) -> None:
        self._owner = np.empty(nbytes + 64, np.uint8)
        base = self._owner.__array_interface__["data"][0]
        self.address = (base + 63) & ~63
        self.nbytes = nbytes


def allocate(nbytes: int) -> Buffer:
    """New memory, aligned to 64 bytes."""
    return Buffer(nbytes)


class _Memory:
    """Foreign memory as numpy's array interface describes it."""

    def __init__(self, address: int, dtype: DType, shape: Any, strides: Any) -> None:
        step = dtype.itemsize
        self.__array_interface__ = {
            "shape": shape,
            "typestr": dtype.storage.str,
            "data": (address, False),
            "strides": tuple(stride * step for stride in strides),
            "version": 3,
        }


def _at(address: int, dtype: DType, shape: Any, strides: Any) -> Any:
    if 0 in shape:
        return np.empty(shape, dtype.storage)
    return np.asarray(_Memory(address, dtype, shape, strides))


class Output(NamedTuple):
    """One result: dense, row-major."""

    dtype: DType
    shape: tuple[int, ...]
    nbytes: int


class Bound:
    """A compiled graph for given sizes."""

    def __init__(self, call: Callable[..., None], outputs: list[Any]) -> None:
        self.call = call
        self.arena_nbytes = 0
        self.outputs = outputs


class Compiled:
    """A compiled graph, for all sizes of its symbolic dims."""

    def __init__(self, graph: Graph, layouts: Any) -> None:
        self.graph = graph
        self.layouts = layouts or [None] * len(graph.inputs)

    def bind(self, sizes: dict[str, int]) -> Bound:
        graph = self.graph
        inputs = []
        for value, strides in zip(graph.inputs, self.layouts, strict=True):
            shape = tuple(evaluate(dim, sizes) for dim in value.shape)
            if strides is None:
                strides = row_major_strides(shape)
            strides = tuple(evaluate(stride, sizes) for stride in strides)
            inputs.append((value.dtype, shape, strides))
        outputs = []
        for value in graph.outputs:
            shape = tuple(evaluate(dim, sizes) for dim in value.shape)
            count = int(np.prod(shape, dtype=np.int64))
            outputs.append(Output(value.dtype, shape, count * value.dtype.itemsize))

        def call(arena: int, *addresses: int) -> None:
            values = {}
            for value, address, kind in zip(graph.inputs, addresses, inputs, strict=False):
                array = _at(address, *kind)
                if value.dtype.name == "bfloat16":
                    array = (array.astype(np.uint32) << 16).view(np.float32)
                values[value] = array
            _run(graph, values, sizes)
            for value, address, kind in zip(
                graph.outputs, addresses[len(inputs) :], outputs, strict=True
            ):
                dtype, shape, _ = kind
                result = values[value]
                if dtype.name == "bfloat16":
                    result = (result.view(np.uint32) >> 16).astype(np.uint16)
                target = _at(address, dtype, shape, row_major_strides(shape))
                np.copyto(target, np.asarray(result).reshape(shape))

        return Bound(call, outputs)


def _static(value: Any, sizes: dict[str, int]) -> Any:
    if isinstance(value, tuple):
        return tuple(_static(item, sizes) for item in value)
    return value.evaluate(sizes) if hasattr(value, "evaluate") else value


def _run(graph: Graph, values: dict[Any, Any], sizes: dict[str, int]) -> None:
    for node in graph.nodes:
        params = {name: _static(value, sizes) for name, value in node.params.items()}
        with np.errstate(all="ignore"):
            found = node.op.reference(*(values[v] for v in node.operands), **params)  # type: ignore[union-attr]
        found = found if isinstance(found, tuple) else (found,)
        for value, array in zip(node.results, found, strict=True):
            if value.dtype.name == "bfloat16":
                array = round_to_bfloat16(array)
            values[value] = np.asarray(array)


def compile_graph(graph: Graph, layouts: Any = None) -> Compiled:
    """Compile `graph`; `layouts`: per input the strides in elements, None for dense."""
    return Compiled(graph, layouts)
