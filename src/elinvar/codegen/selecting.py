"""Kernels that pick rows by a mask and put rows at indices: a text serves every shape."""

from __future__ import annotations

from elinvar.codegen.body import Body, kernel_module


def selecting_text(name: str, bits: int | None) -> str:
    """Kernel: the rows of which the mask's byte is not zero, side by side; and how many they are.

    The target has room for one row more than there are. Without `bits`, rows are their numbers
    (i64). Slots: source, mask, target, count (i64), rows, from row to row of the source, elements
    of a row. One task: each row's place depends on all rows before it.
    """
    body = Body()
    kind = f"i{bits or 64}"
    nbytes = (bits or 64) // 8

    def pointer(base: str, place: str) -> str:
        return body.instruction(f"getelementptr inbounds {kind}, ptr {base}, i64 {place}", "p")

    found = body.stack_slot("i64", "found", 8)
    body.emit(f"store i64 0, ptr {found}, align 8")
    with body.loop("0", "%rows", hint="row") as row:
        place = body.instruction(f"getelementptr inbounds i8, ptr %mask, i64 {row}", "p")
        byte = body.instruction(f"load i8, ptr {place}, align 1")
        flag = body.instruction(f"icmp ne i8 {byte}, 0")
        known = body.instruction(f"load i64, ptr {found}, align 8")
        if bits is None:
            body.emit(f"store i64 {row}, ptr {pointer('%target', known)}, align 8")
        else:
            # a row that is not wanted is written over by the next one
            first = body.mul(row, "%step")
            begin = body.mul(known, "%width")
            single = body.instruction("icmp eq i64 %width, 1")
            wanted = body.instruction(f"or i1 {flag}, {single}")
            with body.when(wanted), body.loop("0", "%width", hint="j") as j:
                source = pointer("%source", body.add(first, j))
                value = body.instruction(f"load {kind}, ptr {source}, align {nbytes}")
                target = pointer("%target", body.add(begin, j))
                body.emit(f"store {kind} {value}, ptr {target}, align {nbytes}")
        one = body.instruction(f"zext i1 {flag} to i64")
        body.emit(f"store i64 {body.add(known, one)}, ptr {found}, align 8")
    total = body.instruction(f"load i64, ptr {found}, align 8")
    body.emit(f"store i64 {total}, ptr %count, align 8")
    body.emit("ret void")
    pointers = ["%source", "%mask", "%target", "%count"]
    return kernel_module(name, body, pointers, ["%rows", "%step", "%width"])


def placing_text(name: str, bits: int) -> str:
    """Kernel: target[index[s]] = update[s] for s in order, unless an index is out of bounds.

    Negative indices count from the end. All are looked at before the first is used; `wrong` (i64)
    becomes 1 and nothing is written where one is outside. Slots: update, indices (i64), target,
    wrong, rows of the target, elements of a row, indices, from row to row of the update, from
    element to element of it (0 or 1). One task: of equal indices the last one counts.
    """
    body = Body()
    kind = f"i{bits}"
    found = body.stack_slot("i64", "found", 8)
    body.emit(f"store i64 0, ptr {found}, align 8")

    def row_at(s: str) -> str:
        place = body.instruction(f"getelementptr inbounds i64, ptr %indices, i64 {s}", "p")
        index = body.instruction(f"load i64, ptr {place}, align 8")
        negative = body.instruction(f"icmp slt i64 {index}, 0")
        more = body.instruction(f"select i1 {negative}, i64 %rows, i64 0")
        return body.instruction(f"add i64 {index}, {more}", "n")

    with body.loop("0", "%count", hint="s") as s:
        outside = body.instruction(f"icmp uge i64 {row_at(s)}, %rows")
        flag = body.instruction(f"zext i1 {outside} to i64")
        known = body.instruction(f"load i64, ptr {found}, align 8")
        both = body.instruction(f"or i64 {known}, {flag}")
        body.emit(f"store i64 {both}, ptr {found}, align 8")
    wrong = body.instruction(f"load i64, ptr {found}, align 8")
    body.emit(f"store i64 {wrong}, ptr %wrong, align 8")
    fine = body.instruction(f"icmp eq i64 {wrong}, 0")
    for step in ("0", "1"):  # two loops, so that each has a step that is known
        wanted = body.instruction(f"icmp eq i64 %inner, {step}")
        usable = body.instruction(f"and i1 {fine}, {wanted}")
        with body.when(usable), body.loop("0", "%count", hint="s") as s:
            target = body.mul(row_at(s), "%width")
            source = body.mul(s, "%step")
            with body.loop("0", "%width", hint="j") as j:
                at = body.add(source, body.mul(j, step))
                place = body.instruction(f"getelementptr inbounds {kind}, ptr %update, i64 {at}")
                value = body.instruction(f"load {kind}, ptr {place}, align {bits // 8}")
                at = body.add(target, j)
                place = body.instruction(f"getelementptr inbounds {kind}, ptr %target, i64 {at}")
                body.emit(f"store {kind} {value}, ptr {place}, align {bits // 8}")
    body.emit("ret void")
    pointers = ["%update", "%indices", "%target", "%wrong"]
    numbers = ["%rows", "%width", "%count", "%step", "%inner"]
    return kernel_module(name, body, pointers, numbers)
