"""What all reductions share, and sums in two launches: partial results side by side, then added.

The order of a sum is fixed by shape (`reducing.py`, `columns.py`): chunks whose partial results are
added in order. So the chunks may be summed by different threads, if one then adds them up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from elinvar.codegen.body import Body, kernel_module
from elinvar.codegen.llvm_scalars import LLVMHandler, llvm_type, memory_type
from elinvar.codegen.orders import Order
from elinvar.codegen.walking import LANES, TASK_ELEMENTS, Geometry, Walker
from elinvar.core import dtypes
from elinvar.core.dtypes import DType
from elinvar.core.shapes import DimLike, evaluate, size
from elinvar.core.sizing import ceil_div, choose, least, most
from elinvar.graph.ir import Node
from elinvar.kernels.group import Group
from elinvar.kernels.index import Var
from elinvar.kernels.pull import is_reduction
from elinvar.ops.record import Op
from elinvar.ops.scalars import Scalar, select

COLUMN_BLOCK = 512  # columns that a task sums side by side


def combine_of(node: Node) -> tuple[Any, Any]:
    """(combine, identity) of a reduction."""
    return node.op.lowering  # type: ignore[union-attr]


def carried_type(dtype: DType) -> DType:
    """The type in which a reduction is carried: f32 for 16-bit floats, bytes for bool."""
    return dtypes.uint8 if dtype.kind == "b" else dtypes.accumulator(dtype)


def key_type(node: Node, kind: DType) -> DType:
    """The type of a reduction's lanes: the largest and smallest of floats are found as integers."""
    if node.op_name in ("max", "min") and kind.kind == "f":
        return dtypes.int32 if kind.bits == 32 else dtypes.int64
    return kind


def to_key(x: Scalar, name: str) -> Scalar:
    """An integer that is ordered as the floats are, -0 below +0; NaN beyond all others.

    `maximum` of floats takes ten cycles from one result to the next, that of integers takes one.
    """
    word = dtypes.int32 if x.dtype.bits == 32 else dtypes.int64
    top = (1 << (word.bits - 1)) - 1
    key = _mirrored(x.bitcast(word))
    return select(x.isnan(), key.const(top if name == "max" else -top - 1), key)


def from_key(key: Scalar, kind: DType) -> Scalar:
    """The float of a key; what is no key stays as it is."""
    if key.dtype is kind:
        return key
    x = _mirrored(key).bitcast(kind)
    return select(x.isnan(), x.const(float("nan")), x)


def _mirrored(bits: Scalar) -> Scalar:
    """Negative numbers in reverse order: sign and size to two's complement, and back."""
    width = bits.dtype.bits - 1
    return bits ^ ((bits >> width) & ((1 << width) - 1))


class Part(NamedTuple):
    """A reduction whose partial results a second launch combines."""

    op: Op
    operand: DType
    result: DType


def partial_results(group: Group) -> tuple[Part | None, ...]:
    """For each result of a group: how to combine it, None where it is complete."""
    return tuple(
        Part(value.node.op, value.node.operands[0].dtype, value.dtype)
        if is_reduction(value.node) and value.node.op is not None
        else None
        for value in group.region.outputs
    )


class BlockGeometry(Geometry):
    """Tasks of rows that are cut into blocks of at most `split_inner`."""

    def cut(self, sizes: Mapping[str, int], weight: int = 1) -> tuple[int, int, int]:
        rows, inner = evaluate(self.rows, sizes), evaluate(self.inner, sizes)
        work = most(1, evaluate(self.work_per_row, sizes))
        block = most(1, least(inner, self.split_inner))
        rows_per_task = choose(block >= inner, lambda: most(1, TASK_ELEMENTS // work), 1)
        return ceil_div(rows, rows_per_task) * ceil_div(inner, block), rows_per_task, block


@dataclass(frozen=True)
class PartGeometry(Geometry):
    """Tasks of a kernel that leaves partial results: [rows, chunks, inner] of them.

    `work_per_row` is the product of the outer reduced dims, `along` the innermost one, which is cut
    into chunks of `chunk`. A task has up to `split_inner` of the inner dim.
    """

    along: DimLike = 1
    chunk: int = 1

    def __init__(
        self,
        rows: DimLike,
        inner: DimLike,
        outer: DimLike,
        along: DimLike,
        chunk: int,
        block: int = COLUMN_BLOCK,
    ) -> None:
        super().__init__(rows, inner, outer, block)
        object.__setattr__(self, "along", along)
        object.__setattr__(self, "chunk", chunk)

    def chunks(self, sizes: Mapping[str, int]) -> int:
        """How many partial results each sum has."""
        return evaluate(self.work_per_row, sizes) * ceil_div(
            evaluate(self.along, sizes), self.chunk
        )

    def cut(self, sizes: Mapping[str, int], weight: int = 1) -> tuple[int, int, int]:
        rows = evaluate(self.rows, sizes) * self.chunks(sizes)
        inner = evaluate(self.inner, sizes)
        block = most(1, least(inner, self.split_inner))
        work = most(1, least(self.chunk, evaluate(self.along, sizes)) * block)
        rows_per_task = most(1, TASK_ELEMENTS // work)
        return ceil_div(rows, rows_per_task) * ceil_div(inner, block), rows_per_task, block

    def elements(self, sizes: Mapping[str, int]) -> int:
        return evaluate(self.rows * self.inner * self.work_per_row * self.along, sizes)


class Reducer(Walker):
    """Accumulators, for all kinds of reductions. `parts`: see `partial_results`; empty where the
    kernel completes its sums."""

    parts: tuple[Part | None, ...] = ()
    inner: list[Var]  # the loops over the summed axes, outermost first

    def _identity(self, node: Node, kind: DType, lanes: int) -> Scalar:
        _, identity = combine_of(node)
        handler = LLVMHandler(self.body, lanes)
        value = identity(node.operands[0].dtype)
        return Scalar(handler, kind, handler.instruction("const", kind, (value,)))

    def _start(self, node: Node, kind: DType, lanes: int) -> Scalar:
        """What a whole reduction starts from: the identity; +0 for a sum of nothing."""
        identity = self._identity(node, kind, lanes)
        if node.op_name != "sum" or kind.kind != "f":
            return identity
        handler = LLVMHandler(self.body, lanes)
        zero = Scalar(handler, kind, handler.instruction("const", kind, (0.0,)))
        count = size(v.extent for v in self.inner)
        if isinstance(count, int):
            return identity if count else zero
        test = self.body.instruction(f"icmp eq i64 {self.body.dim(count)}, 0", "empty")
        return Scalar(handler, kind, _chosen(self.body, test, kind, lanes, zero, identity))

    def _in_order(self, order: Order, totals: dict[Node, str], only: str | None = None) -> None:
        """Add all terms of the row at hand to `totals`, in whatever order the sizes ask for; or the
        block of that number alone, where there is one."""
        body, counters = self.body, dict(self.evaluator.counters)
        per = body.div(body.add(order.period, body.sub(order.block, "1")), order.block)
        terms = body.dim(size(v.extent for v in self.inner))
        first, last = "0", body.mul(body.div(terms, order.period), per)
        if only is not None:
            first, last = only, body.minimum(body.add(only, "1"), last)
        slots = {}
        for node in totals:
            kind = carried_type(node.operands[0].dtype)
            slots[node] = body.stack_slot(llvm_type(kind, LANES), "lanes")
        with body.loop(first, last, hint="block") as block:
            for node, slot in slots.items():
                kind = carried_type(node.operands[0].dtype)
                self._put(slot, kind, LANES, self._identity(node, kind, LANES))
            start = body.mul(body.div(block, per), order.period)
            low = body.mul(body.rem(block, per), order.block)
            high = body.minimum(body.add(low, order.block), order.period)
            with body.loop(low, high, hint="term") as term:
                self._set_row(body.add(start, term), self.inner)
                lane = body.instruction(f"and i64 {term}, {order.mask}", "lane")
                for node, slot in slots.items():
                    kind = carried_type(node.operands[0].dtype)
                    index = self._index(node.operands[0].shape)
                    scalar = self.evaluator.value(node.operands[0], index).cast(kind)
                    self._combine(node, self.evaluator.element_pointer(slot, kind, lane), scalar)
            for node, slot in slots.items():
                kind = carried_type(node.operands[0].dtype)
                self._combine(node, totals[node], self._halve(node, self._get(slot, kind, LANES)))
        self.evaluator.counters = counters

    def _combine(self, node: Node, slot: str, scalar: Scalar) -> None:
        combine, _ = combine_of(node)
        self._put(slot, scalar.dtype, 1, combine(self._get(slot, scalar.dtype, 1), scalar))

    def _halve(self, node: Node, vector: Scalar) -> Scalar:
        """Combine 16 lanes by halves: i with i+8, then i+4, i+2, i+1."""
        combine, _ = combine_of(node)
        body, kind, width = self.body, vector.dtype, LANES
        while width > 1:
            half = width // 2
            parts = []
            for start in (0, half):
                source = llvm_type(kind, width)
                mask = ", ".join(f"i32 {start + i}" for i in range(half))
                if half == 1:
                    text = f"extractelement {source} {vector.payload}, i64 {start}"
                else:
                    text = (
                        f"shufflevector {source} {vector.payload}, {source} poison, "
                        f"<{half} x i32> <{mask}>"
                    )
                parts.append(Scalar(LLVMHandler(body, half), kind, body.instruction(text)))
            vector, width = combine(*parts), half
        return vector

    def _put(self, slot: str, kind: DType, lanes: int, scalar: Scalar) -> None:
        text = f"store {llvm_type(kind, lanes)} {scalar.payload}, ptr {slot}, align {kind.itemsize}"
        self.body.emit(text)

    def _get(self, slot: str, kind: DType, lanes: int) -> Scalar:
        text = f"load {llvm_type(kind, lanes)}, ptr {slot}, align {kind.itemsize}"
        return Scalar(LLVMHandler(self.body, lanes), kind, self.body.instruction(text, "x"))

    def _finish(self, scalar: Scalar, dtype: DType) -> Scalar:
        return scalar.ne(0) if dtype.kind == "b" else scalar.cast(dtype)


def _chosen(
    body: Body, test: str, kind: DType, lanes: int, yes: Scalar, no: Scalar
) -> str:
    """One of two values, by an i1 that is the same for all lanes."""
    vector = llvm_type(kind, lanes)
    return body.instruction(f"select i1 {test}, {vector} {yes.payload}, {vector} {no.payload}")


def combine_text(name: str, part: Part) -> str:
    """Kernel: target[row, column] = the partial results [row, chunk, column] combined in order.

    Slots: source, target, chunks, columns. Tasks: rows × blocks of 64 columns.
    """
    body = Body()
    combine, identity = part.op.lowering
    kind, dtype = carried_type(part.operand), part.result
    blocks = body.div(body.add("%columns", "63"), "64")

    def pointer(base: str, dtype: DType, offset: str) -> str:
        text = f"getelementptr inbounds {memory_type(dtype)}, ptr {base}, i64 {offset}"
        return body.instruction(text, "p")

    def combined(row: str, at: str, lanes: int) -> None:
        handler = LLVMHandler(body, lanes)
        vector = llvm_type(kind, lanes)
        slot = body.stack_slot(vector, "total")
        start = handler.instruction("const", kind, (identity(part.operand),))
        if part.op.name == "sum" and kind.kind == "f":
            zero = Scalar(handler, kind, handler.instruction("const", kind, (0.0,)))
            test = body.instruction("icmp eq i64 %chunks, 0", "empty")
            start = _chosen(body, test, kind, lanes, zero, Scalar(handler, kind, start))
        body.emit(f"store {vector} {start}, ptr {slot}, align 64")
        first = body.add(body.mul(body.mul(row, "%chunks"), "%columns"), at)
        with body.loop("0", "%chunks", hint="chunk") as chunk:
            place = pointer("%in0", kind, body.add(first, body.mul(chunk, "%columns")))
            text = f"load {vector}, ptr {place}, align {kind.itemsize}"
            found = Scalar(handler, kind, body.instruction(text))
            text = f"load {vector}, ptr {slot}, align 64"
            known = Scalar(handler, kind, body.instruction(text))
            body.emit(f"store {vector} {combine(known, found).payload}, ptr {slot}, align 64")
        total = Scalar(handler, kind, body.instruction(f"load {vector}, ptr {slot}, align 64"))
        result = total.ne(0) if dtype.kind == "b" else total.cast(dtype)
        element, payload = memory_type(dtype), result.payload
        memory = element if lanes == 1 else f"<{lanes} x {element}>"
        if dtype.kind == "b":
            payload = body.instruction(f"zext {llvm_type(dtype, lanes)} {payload} to {memory}")
        place = pointer("%out0", dtype, body.add(body.mul(row, "%columns"), at))
        body.emit(f"store {memory} {payload}, ptr {place}, align {dtype.itemsize}")

    with body.loop("%begin", "%end", hint="task") as task:
        row, block = body.div(task, blocks), body.rem(task, blocks)
        low = body.mul(block, "64")
        high = body.minimum(body.add(low, "64"), "%columns")
        whole = body.mul(body.div(body.sub(high, low), str(LANES)), str(LANES))
        stop = body.add(low, whole)
        with body.loop(low, stop, LANES, "j") as column:
            combined(row, column, LANES)
        with body.loop(stop, high, 1, "j") as column:
            combined(row, column, 1)
    body.emit("ret void")
    return kernel_module(name, body, ["%in0", "%out0"], ["%chunks", "%columns"])
