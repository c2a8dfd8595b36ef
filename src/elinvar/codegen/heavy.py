"""Kernels that stand alone: cumulative sums, scatter, argsort. Each text serves every shape."""

from __future__ import annotations

from typing import Any

from elinvar.codegen.body import Body, kernel_module
from elinvar.codegen.llvm_scalars import LLVMHandler, llvm_type, memory_type
from elinvar.codegen.partials import carried_type
from elinvar.core import dtypes
from elinvar.core.dtypes import DType
from elinvar.ops.record import Op
from elinvar.ops.scalars import Scalar, select

LANES = 16


def _element(body: Body, pointer: str, dtype: DType, offset: str) -> str:
    text = f"getelementptr inbounds {memory_type(dtype)}, ptr {pointer}, i64 {offset}"
    return body.instruction(text, "p")


def load(body: Body, pointer: str, dtype: DType, offset: str, lanes: int = 1) -> Scalar:
    """Read one element or `lanes` neighbours."""
    place = _element(body, pointer, dtype, offset)
    kind = memory_type(dtype) if lanes == 1 else f"<{lanes} x {memory_type(dtype)}>"
    payload = body.instruction(f"load {kind}, ptr {place}, align {dtype.itemsize}", "x")
    if dtype.kind == "b":
        zero = "0" if lanes == 1 else "zeroinitializer"
        payload = body.instruction(f"icmp ne {kind} {payload}, {zero}")
    return Scalar(LLVMHandler(body, lanes), dtype, payload)


def store(body: Body, pointer: str, offset: str, scalar: Scalar, lanes: int = 1) -> None:
    """Write one element or `lanes` neighbours."""
    dtype = scalar.dtype
    place = _element(body, pointer, dtype, offset)
    kind = memory_type(dtype) if lanes == 1 else f"<{lanes} x {memory_type(dtype)}>"
    payload = scalar.payload
    if dtype.kind == "b":
        payload = body.instruction(f"zext {llvm_type(dtype, lanes)} {payload} to {kind}")
    body.emit(f"store {kind} {payload}, ptr {place}, align {dtype.itemsize}")


def cumulative_text(name: str, op: Op, dtype: DType, reverse: bool) -> str:
    """Kernel: running combination along the middle of a dense [outer, length, inner].

    Slots: source, target, length, inner, inner block. Tasks: outer × inner block. Terms are
    combined one after the other.
    """
    body = Body()
    combine, identity = op.lowering
    kind = carried_type(dtype)
    blocks = body.div(body.add("%inner", body.sub("%block", "1")), "%block")

    def run(column: str, base: str, lanes: int) -> None:
        slot = body.stack_slot(llvm_type(kind, lanes), "acc")
        handler = LLVMHandler(body, lanes)
        start = handler.instruction("const", kind, (identity(dtype),))
        body.emit(f"store {llvm_type(kind, lanes)} {start}, ptr {slot}, align 64")
        with body.loop("0", "%length", hint="k") as k:
            at = body.sub(body.sub("%length", "1"), k) if reverse else k
            offset = body.add(base, body.add(body.mul(at, "%inner"), column))
            value = load(body, "%source", dtype, offset, lanes).cast(kind)
            text = f"load {llvm_type(kind, lanes)}, ptr {slot}, align 64"
            total = combine(Scalar(handler, kind, body.instruction(text)), value)
            body.emit(f"store {llvm_type(kind, lanes)} {total.payload}, ptr {slot}, align 64")
            result = total.ne(0) if dtype.kind == "b" else total.cast(dtype)
            store(body, "%target", offset, result, lanes)

    with body.loop("%begin", "%end", hint="task") as task:
        outer, block = body.div(task, blocks), body.rem(task, blocks)
        base = body.mul(body.mul(outer, "%length"), "%inner")
        low = body.mul(block, "%block")
        high = body.minimum(body.add(low, "%block"), "%inner")
        whole = body.mul(body.div(body.sub(high, low), str(LANES)), str(LANES))
        stop = body.add(low, whole)
        with body.loop(low, stop, LANES, "j") as column:
            run(column, base, LANES)
        with body.loop(stop, high, 1, "j") as column:
            run(column, base, 1)
    body.emit("ret void")
    return kernel_module(name, body, ["%source", "%target"], ["%length", "%inner", "%block"])


def scatter_text(name: str, dtype: DType, mode: str) -> str:
    """Kernel: target[index[s]] = or += update[s] for s in order.

    Dense [outer, length, inner] with updates [outer, count, inner]. Slots: indices (i64), updates,
    target, length, inner, count, block. Tasks: outer × inner block, so that each destination
    belongs to one task.
    """
    body = Body()
    blocks = body.div(body.add("%inner", body.sub("%block", "1")), "%block")

    def along(low: str, high: str, act: Any) -> None:
        whole = body.mul(body.div(body.sub(high, low), str(LANES)), str(LANES))
        stop = body.add(low, whole)
        with body.loop(low, stop, LANES, "j") as column:
            act(column, LANES)
        with body.loop(stop, high, 1, "j") as column:
            act(column, 1)

    with body.loop("%begin", "%end", hint="task") as task:
        outer, block = body.div(task, blocks), body.rem(task, blocks)
        base = body.mul(body.mul(outer, "%length"), "%inner")
        update_base = body.mul(body.mul(outer, "%count"), "%inner")
        low = body.mul(block, "%block")
        high = body.minimum(body.add(low, "%block"), "%inner")
        with body.loop("0", "%count", hint="s") as s:
            pointer = body.instruction(f"getelementptr inbounds i64, ptr %indices, i64 {s}", "p")
            index = body.instruction(f"load i64, ptr {pointer}, align 8")
            inside = body.instruction(f"icmp ult i64 {index}, %length")
            with body.when(inside):
                line = body.add(base, body.mul(index, "%inner"))
                update = body.add(update_base, body.mul(s, "%inner"))

                def write(column: str, lanes: int, line: str = line, update: str = update) -> None:
                    place = body.add(line, column)
                    value = load(body, "%updates", dtype, body.add(update, column), lanes)
                    if mode == "add":
                        old = load(body, "%target", dtype, place, lanes)
                        value = old | value if dtype.kind == "b" else old + value
                    store(body, "%target", place, value, lanes)

                along(low, high, write)
    body.emit("ret void")
    pointers = ["%indices", "%updates", "%target"]
    return kernel_module(name, body, pointers, ["%length", "%inner", "%count", "%block"])


def argsort_text(name: str, dtype: DType, descending: bool, nan_first: bool) -> str:
    """Kernel: the stable order of each row of a dense [rows, length], by merging runs.

    Slots: source, target (i64 order), scratch (i64, same size), length. Tasks: rows.
    """
    body = Body()
    with body.loop("%begin", "%end", hint="row") as row:
        base = body.mul(row, "%length")
        order, other = (
            _element(body, "%target", dtypes.int64, base),
            _element(body, "%scratch", dtypes.int64, base),
        )
        values = _element(body, "%source", dtype, base)
        with body.loop("0", "%length", hint="i") as i:
            store(body, order, i, Scalar(LLVMHandler(body, 1), dtypes.int64, i))
        width_slot = body.stack_slot("i64", "width", 8)
        body.emit(f"store i64 1, ptr {width_slot}")
        head, inside, end = (body.new_label(x) for x in ("sort.head", "sort.body", "sort.end"))
        body.emit(f"br label %{head}")
        body.start(head)
        width = body.instruction(f"load i64, ptr {width_slot}")
        test = body.instruction(f"icmp slt i64 {width}, %length")
        body.emit(f"br i1 {test}, label %{inside}, label %{end}")
        body.start(inside)
        double = body.mul(width, "2")
        with body.scope(), body.loop("0", "%length", double, "start") as start:
            middle = body.minimum(body.add(start, width), "%length")
            stop = body.minimum(body.add(start, double), "%length")
            _merge(body, values, dtype, order, other, start, middle, stop, descending, nan_first)
        with body.loop("0", "%length", hint="i") as i:
            store(body, order, i, load(body, other, dtypes.int64, i))
        body.emit(f"store i64 {double}, ptr {width_slot}")
        body.emit(f"br label %{head}")
        body.start(end)
    body.emit("ret void")
    return kernel_module(name, body, ["%source", "%target", "%scratch"], ["%length"])


def _merge(
    body: Body,
    values: str,
    dtype: DType,
    order: str,
    other: str,
    start: str,
    middle: str,
    stop: str,
    descending: bool,
    nan_first: bool,
) -> None:
    """other[start:stop] = the merged runs order[start:middle] and order[middle:stop], stable."""
    left_slot, right_slot = body.stack_slot("i64", "left", 8), body.stack_slot("i64", "right", 8)
    body.emit(f"store i64 {start}, ptr {left_slot}")
    body.emit(f"store i64 {middle}, ptr {right_slot}")
    with body.loop(start, stop, hint="out") as out:
        left = body.instruction(f"load i64, ptr {left_slot}")
        right = body.instruction(f"load i64, ptr {right_slot}")
        has_left = body.instruction(f"icmp slt i64 {left}, {middle}")
        has_right = body.instruction(f"icmp slt i64 {right}, {stop}")
        safe_left = body.instruction(f"select i1 {has_left}, i64 {left}, i64 {start}")
        safe_right = body.instruction(f"select i1 {has_right}, i64 {right}, i64 {start}")
        at_left = load(body, order, dtypes.int64, safe_left)
        at_right = load(body, order, dtypes.int64, safe_right)
        a = load(body, values, dtype, at_left.payload)
        b = load(body, values, dtype, at_right.payload)
        first = _goes_before(b, a, descending, nan_first)
        both = body.instruction(f"and i1 {has_left}, {has_right}")
        chosen = body.instruction(f"and i1 {both}, {first.payload}")
        lacking = body.instruction(f"xor i1 {has_left}, true")
        take_right = body.instruction(f"or i1 {chosen}, {lacking}")
        test = Scalar(at_left.handler, dtypes.bool_, take_right)
        store(body, other, out, select(test, at_right, at_left))
        grown_right = body.instruction(f"zext i1 {take_right} to i64")
        new_right = body.add(right, grown_right)
        new_left = body.add(left, body.instruction(f"sub i64 1, {grown_right}"))
        body.emit(f"store i64 {new_left}, ptr {left_slot}")
        body.emit(f"store i64 {new_right}, ptr {right_slot}")


def _goes_before(x: Scalar, y: Scalar, descending: bool, nan_first: bool) -> Scalar:
    """Whether x stands strictly before y."""
    if x.dtype.kind == "b":
        x, y = x.cast(dtypes.uint8), y.cast(dtypes.uint8)
    if x.dtype.kind == "f" and x.dtype.bits == 16:
        x, y = x.cast(dtypes.float32), y.cast(dtypes.float32)
    before = x > y if descending else x < y
    if x.dtype.kind == "f":
        alone = (x.isnan() & ~y.isnan()) if nan_first else (y.isnan() & ~x.isnan())
        before = before | alone
    return before
