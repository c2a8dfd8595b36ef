"""What a step has to do at least: arithmetic, memory traffic, and the user's line it comes from.

These are properties of the operations, not of the machine code: a kernel that reads its operands
twice, or computes something again, has the same cost and takes longer. Profiles divide by the time.

    flops    instructions on floating-point numbers; fma counts as two, moves and compares as none
             (of a convolution by tiles only the products, without its transforms)
    nbytes   each value read from outside once, each value stored once
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from elinvar.core.dtypes import DType, accumulator
from elinvar.core.shapes import DimLike, evaluate, size
from elinvar.core.source import Source
from elinvar.graph.ir import Node, Value
from elinvar.kernels.pull import GENERATED, is_elementwise, is_reduction
from elinvar.ops.record import Absent, Op
from elinvar.ops.scalars import Scalar
from elinvar.passes.winograd import winograd

Sizes = Mapping[str, int]
_ONE = frozenset("add sub mul div rem sqrt floor ceil trunc rint min max".split())
_PICKING = frozenset(("gather", "slice", "windows"))  # they read a part of their operand


@dataclass(frozen=True)
class Cost:
    """The cost of some nodes.

    Attributes:
        nodes: what is computed.
        results: the values that are stored; one that no node makes is a copy.
        moves: bytes beyond those of the nodes.
        line: the user's line, where it is not that of a node.
    """

    nodes: Sequence[Node]
    results: Sequence[Value]
    moves: DimLike = 0
    line: Source | None = None

    def flops(self, sizes: Sizes) -> int:
        """Floating-point instructions."""
        return sum(_flops(node, sizes) for node in self.nodes)

    def nbytes(self, sizes: Sizes) -> int:
        """Bytes that have to cross the border of the kernel."""
        inside = {value for node in self.nodes for value in node.results}
        whole: dict[Value, int] = {}
        picked: dict[Value, int] = {}
        for node in self.nodes:
            for number, value in enumerate(node.operands):
                if value in inside:
                    continue
                if node.op_name in _PICKING and number == 0:
                    picked[value] = picked.get(value, 0) + _nbytes(node.results[0], sizes)
                else:
                    whole[value] = _nbytes(value, sizes)
        for value, nbytes in picked.items():
            whole.setdefault(value, min(nbytes, _nbytes(value, sizes)))
        written = sum(_nbytes(v, sizes) * (1 if v in inside else 2) for v in self.results)
        return sum(whole.values()) + written + evaluate(self.moves, sizes)

    def is_wide(self) -> bool:
        """Whether most of the arithmetic is in double precision."""
        return any(node.results[0].dtype.name in ("float64", "complex128") for node in self.nodes)

    def source(self) -> Source | None:
        """The user's line with the most arithmetic; the last one where there is none."""
        if self.line is not None:
            return self.line
        found: dict[Source, int] = {}
        for node in self.nodes:
            if node.source is not None:
                weight = 0 if node.op_name in ("constant", "broadcast") else 1 + _weight(node)
                found[node.source] = found.get(node.source, 0) + weight
        return max(found, key=lambda source: (found[source], source.line), default=None)


def _nbytes(value: Value, sizes: Sizes) -> int:
    return evaluate(size(value.shape), sizes) * value.dtype.itemsize


def _flops(node: Node, sizes: Sizes) -> int:
    if node.op_name in ("fft", "rfft", "irfft"):
        return _transform_flops(node, sizes)
    weight = _weight(node)
    if not weight:
        return 0
    tiled = winograd(node) if node.op_name == "convolution" else None
    if tiled is not None and tiled[1](sizes):
        return 2 * tiled[0].products(sizes)
    if node.op_name in ("contract", "convolution"):
        return 2 * evaluate(size(node.results[0].shape) * _depth(node), sizes)
    if node.op_name in ("attention", "attention_backward"):
        return _attention_flops(node, sizes)
    counted = node.results[0] if is_elementwise(node) else node.operands[0]
    return weight * evaluate(size(counted.shape), sizes)


def _transform_flops(node: Node, sizes: Sizes) -> int:
    """5 n log₂ n of n complex numbers, as is usual; half of that for n real ones."""
    whole = node.operands[0] if node.op_name == "rfft" else node.results[0]
    length = evaluate(whole.shape[node.params["axis"]], sizes)
    each = 5 * math.log2(length) * (1 if node.op_name == "fft" else 0.5)
    return int(evaluate(size(whole.shape), sizes) * each)


def _attention_flops(node: Node, sizes: Sizes) -> int:
    """Two products of visible pairs forward, five backward."""
    q, k, v = node.operands[:3]
    batch, heads, rows, depth = (evaluate(dim, sizes) for dim in q.shape)
    keys, width = evaluate(k.shape[2], sizes), evaluate(v.shape[3], sizes)
    pairs = rows * keys
    if node.params["causal"]:
        offset = evaluate(node.params["offset"], sizes)
        pairs = sum(min(max(row + offset + 1, 0), keys) for row in range(rows))
    products = depth + width if node.op_name == "attention" else 3 * depth + 2 * width
    return 2 * batch * heads * pairs * products


def _depth(node: Node) -> DimLike:
    """How many products each element of a product is the sum of."""
    x, y = node.operands
    if node.op_name == "contract":
        return size(x.shape[axis] for axis in node.params["axes"][0])
    return size(y.shape[1:])


def _weight(node: Node) -> int:
    """Floating-point instructions for each element."""
    op = node.op
    if (
        op is None
        or op.name in GENERATED
        or not any(value.dtype.kind == "f" for value in (*node.operands, *node.results))
    ):
        return 0
    if op.family == "elementwise":
        if isinstance(op.lowering, Absent):
            return 1
        params = tuple(sorted((key, repr(value)) for key, value in node.params.items()))
        kinds = tuple(value.dtype for value in node.operands)
        key = (op.name, params, kinds)
        if key not in _counted:
            _counted[key] = _count(op, kinds, node.params)
        return _counted[key]
    if is_reduction(node) or op.name.startswith("cum") or op.family == "contract":
        return 1
    return 1 if op.name == "convolution" else 0


_counted: dict[Any, int] = {}


class _Counter:
    """Counts the instructions of a lowering."""

    def __init__(self) -> None:
        self.flops = 0

    def instruction(self, name: str, dtype: DType, arguments: tuple[Any, ...]) -> None:
        if dtype.kind == "f":
            self.flops += 2 if name == "fma" else name in _ONE


def _count(op: Op, kinds: tuple[DType, ...], params: dict[str, Any]) -> int:
    counter = _Counter()  # kernels compute with 16-bit floats in f32
    op.lowering(*(Scalar(counter, accumulator(kind), None) for kind in kinds), **params)
    return counter.flops
