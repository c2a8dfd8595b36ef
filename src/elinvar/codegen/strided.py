"""The kernel that copies elements between places of any strides. One text serves every shape.

    target[Σ i·t] = source[Σ i·s]

Axes are cut in three: the last is `inner`, the one before it `middle`, all others stand in a table
of (size, source step, target step), outermost first. Steps are in elements; a source step of 0
repeats an element, negative steps run backwards.
"""

from __future__ import annotations

from elinvar.codegen.body import Body, kernel_module

LANES = 16
BITS = (8, 16, 32, 64)  # of the elements, which are moved as they are


def strided_text(name: str, bits: int) -> str:
    """Kernel: copy elements of `bits` bits.

    Slots: source, target, table, outer axes, middle size, its source and target step, inner size,
    its source and target step, rows (outer × middle), rows of a task, inner elements of a task.
    Tasks: row block × inner block.
    """
    body = Body()
    blocks = body.div(body.add("%inner", body.sub("%inner.block", "1")), "%inner.block")
    with body.loop("%begin", "%end", hint="task") as task:
        row_block, inner_block = body.div(task, blocks), body.rem(task, blocks)
        low = body.mul(inner_block, "%inner.block")
        high = body.minimum(body.add(low, "%inner.block"), "%inner")
        first = body.mul(row_block, "%rows.task")
        last = body.minimum(body.add(first, "%rows.task"), "%rows")
        start = body.div(first, "%middle")
        stop = body.div(body.add(last, body.sub("%middle", "1")), "%middle")
        with body.loop(start, stop, hint="outer") as outer:
            source, target = _outer_offsets(body, outer)
            before = body.mul(outer, "%middle")
            begin = body.maximum(body.sub(first, before), "0")
            end = body.minimum(body.sub(last, before), "%middle")
            with body.loop(begin, end, hint="middle") as middle:
                _copy_row(
                    body,
                    bits,
                    body.add(source, body.mul(middle, "%middle.source")),
                    body.add(target, body.mul(middle, "%middle.target")),
                    low,
                    high,
                )
    body.emit("ret void")
    numbers = "%axes %middle %middle.source %middle.target %inner %inner.source %inner.target"
    sizes = [*numbers.split(), "%rows", "%rows.task", "%inner.block"]
    return kernel_module(name, body, ["%source", "%target", "%table"], sizes)


def _outer_offsets(body: Body, outer: str) -> tuple[str, str]:
    """Where the rows of an outer index begin: its digits, last axis first, times their steps."""
    slots = [body.stack_slot("i64", hint, 8) for hint in ("rest", "source.at", "target.at")]
    for slot, value in zip(slots, (outer, "0", "0"), strict=True):
        body.emit(f"store i64 {value}, ptr {slot}, align 8")
    rest_at, source_at, target_at = slots
    with body.loop("0", "%axes", hint="axis") as turn:
        axis = body.sub(body.sub("%axes", "1"), turn)
        row = body.mul(axis, "3")
        count, source_step, target_step = (_entry(body, body.add(row, str(k))) for k in range(3))
        rest = body.instruction(f"load i64, ptr {rest_at}, align 8")
        digit = body.rem(rest, count)
        body.emit(f"store i64 {body.div(rest, count)}, ptr {rest_at}, align 8")
        for place, step in ((source_at, source_step), (target_at, target_step)):
            known = body.instruction(f"load i64, ptr {place}, align 8")
            body.emit(f"store i64 {body.add(known, body.mul(digit, step))}, ptr {place}, align 8")
    source = body.instruction(f"load i64, ptr {source_at}, align 8")
    return source, body.instruction(f"load i64, ptr {target_at}, align 8")


def _entry(body: Body, place: str) -> str:
    pointer = body.instruction(f"getelementptr inbounds i64, ptr %table, i64 {place}", "p")
    return body.instruction(f"load i64, ptr {pointer}, align 8")


def _copy_row(body: Body, bits: int, source: str, target: str, low: str, high: str) -> None:
    """Elements low … high of a row: whole vectors where both sides lie so, else one by one."""
    kind = f"i{bits}"

    def pointer(base: str, origin: str, element: str, step: str) -> str:
        place = body.add(origin, body.mul(element, step))
        return body.instruction(f"getelementptr inbounds {kind}, ptr {base}, i64 {place}", "p")

    def one(element: str) -> None:
        place = pointer("%source", source, element, "%inner.source")
        value = body.instruction(f"load {kind}, ptr {place}, align {bits // 8}")
        place = pointer("%target", target, element, "%inner.target")
        body.emit(f"store {kind} {value}, ptr {place}, align {bits // 8}")

    def many(element: str) -> None:
        vector = f"<{LANES} x {kind}>"
        place = pointer("%source", source, element, "1")
        value = body.instruction(f"load {vector}, ptr {place}, align {bits // 8}")
        place = pointer("%target", target, element, "1")
        body.emit(f"store {vector} {value}, ptr {place}, align {bits // 8}")

    def repeat(element: str) -> None:
        vector = f"<{LANES} x {kind}>"
        place = pointer("%source", source, "0", "1")
        value = body.instruction(f"load {kind}, ptr {place}, align {bits // 8}")
        head = body.instruction(f"insertelement {vector} poison, {kind} {value}, i32 0")
        mask = f"<{LANES} x i32> zeroinitializer"
        splat = body.instruction(f"shufflevector {vector} {head}, {vector} poison, {mask}")
        place = pointer("%target", target, element, "1")
        body.emit(f"store {vector} {splat}, ptr {place}, align {bits // 8}")

    whole = body.mul(body.div(body.sub(high, low), str(LANES)), str(LANES))
    target_dense = body.instruction("icmp eq i64 %inner.target, 1")
    stop = low
    for step, act in (("1", many), ("0", repeat)):
        matching = body.instruction(f"icmp eq i64 %inner.source, {step}")
        usable = body.instruction(f"and i1 {target_dense}, {matching}")
        length = body.instruction(f"select i1 {usable}, i64 {whole}, i64 0")
        end = body.add(low, length)
        with body.loop(low, end, LANES, "j") as element:
            act(element)
        stop = body.maximum(stop, end)
    with body.loop(stop, high, hint="j") as element:
        one(element)
