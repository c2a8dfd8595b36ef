"""The kernel that gives a number of 32 bits for each of many blocks of memory.

    out[t] = Σᵢ mix(wᵢ ⊕ (first + i)·K) mod 2³²,   wᵢ the words of 32 bits of block t

`mix` is the finishing step of a 32-bit hash: two multiplications between three shifts.
"""

from __future__ import annotations

from elinvar.codegen.body import Body, kernel_module

PLACE, FIRST, SECOND = 0x9E3779B1, 0x85EBCA6B, 0xC2B2AE35
LANES = 16
WORDS_OF_TASK = 3  # in the table: address, number of the first word, words


def digesting_text(name: str) -> str:
    """Kernel. Slots: table (i64: address, number of the first word, words), out (i32). Tasks:
    rows of the table."""
    body = Body()
    body.declare(f"declare i32 @llvm.vector.reduce.add.v{LANES}i32(<{LANES} x i32>)")
    many = f"<{LANES} x i32>"
    held = body.stack_slot(many, "held")
    single = body.stack_slot("i32", "single", 4)
    lanes = ", ".join(f"i32 {lane}" for lane in range(LANES))
    with body.loop("%begin", "%end", hint="task") as task:
        row = body.mul(task, str(WORDS_OF_TASK))
        address, first, count = (_entry(body, body.add(row, str(k))) for k in range(3))
        base = body.instruction(f"inttoptr i64 {address} to ptr", "p")
        whole = body.mul(body.div(count, str(LANES)), str(LANES))
        body.emit(f"store {many} zeroinitializer, ptr {held}, align 64")
        body.emit(f"store i32 0, ptr {single}, align 4")
        with body.loop("0", whole, LANES, "j") as j:
            number = body.instruction(f"trunc i64 {body.add(first, j)} to i32")
            places = body.instruction(f"add {many} {_splat(body, number)}, <{lanes}>")
            _add(body, many, base, j, places, held, 64)
        with body.loop(whole, count, 1, "j") as j:
            number = body.instruction(f"trunc i64 {body.add(first, j)} to i32")
            _add(body, "i32", base, j, number, single, 4)
        sums = body.instruction(f"load {many}, ptr {held}, align 64")
        call = f"call i32 @llvm.vector.reduce.add.v{LANES}i32({many} {sums})"
        rest = body.instruction(f"load i32, ptr {single}, align 4")
        total = body.instruction(f"add i32 {body.instruction(call)}, {rest}")
        place = body.instruction(f"getelementptr inbounds i32, ptr %out, i64 {task}", "p")
        body.emit(f"store i32 {total}, ptr {place}, align 4")
    body.emit("ret void")
    return kernel_module(name, body, ["%table", "%out"], [])


def _entry(body: Body, place: str) -> str:
    pointer = body.instruction(f"getelementptr inbounds i64, ptr %table, i64 {place}", "p")
    return body.instruction(f"load i64, ptr {pointer}, align 8")


def _splat(body: Body, value: str) -> str:
    many = f"<{LANES} x i32>"
    head = body.instruction(f"insertelement {many} poison, i32 {value}, i32 0")
    mask = f"<{LANES} x i32> zeroinitializer"
    return body.instruction(f"shufflevector {many} {head}, {many} poison, {mask}")


def _add(body: Body, kind: str, base: str, j: str, places: str, held: str, align: int) -> None:
    """Add the mixed words at j to what is held."""

    def constant(value: int) -> str:
        signed = value - (1 << 32) if value >> 31 else value
        if kind == "i32":
            return str(signed)
        return f"<{', '.join([f'i32 {signed}'] * LANES)}>"

    pointer = body.instruction(f"getelementptr inbounds i32, ptr {base}, i64 {j}", "p")
    words = body.instruction(f"load {kind}, ptr {pointer}, align 1")
    h = body.instruction(f"mul {kind} {places}, {constant(PLACE)}")
    h = body.instruction(f"xor {kind} {words}, {h}")
    for factor, shift in ((FIRST, 15), (SECOND, 16)):
        h = body.instruction(f"mul {kind} {h}, {constant(factor)}")
        moved = body.instruction(f"lshr {kind} {h}, {constant(shift)}")
        h = body.instruction(f"xor {kind} {h}, {moved}")
    before = body.instruction(f"load {kind}, ptr {held}, align {align}")
    body.emit(
        f"store {kind} {body.instruction(f'add {kind} {before}, {h}')}, ptr {held}, align {align}"
    )
