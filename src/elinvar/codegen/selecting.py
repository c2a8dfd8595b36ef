"""The kernel that picks rows by a mask: one text per element size serves every shape."""

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
