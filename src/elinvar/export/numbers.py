"""Sizes and tables of offsets as LLVM text: what a program works out when its sizes are given."""

from __future__ import annotations

from typing import Any

import numpy as np

from elinvar.codegen.body import Body
from elinvar.core.sizing import Size
from elinvar.kernels.offsets import (
    BY_FIRST,
    FULL_ONLY,
    Flags,
    Line,
    Listed,
    Offsets,
    Padded,
)

HELPERS = """
; 1 where no entry of a table is 0.
define internal i64 @{prefix}every(ptr %table, i64 %count) noinline nounwind {{
entry:
  br label %next
next:
  %i = phi i64 [ 0, %entry ], [ %after, %look ]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %look, label %yes
look:
  %at = getelementptr i64, ptr %table, i64 %i
  %entry.value = load i64, ptr %at
  %after = add i64 %i, 1
  %zero = icmp eq i64 %entry.value, 0
  br i1 %zero, label %no, label %next
yes:
  ret i64 1
no:
  ret i64 0
}}

; Entry `i` of a table of `count`; behind its end the first one, or (`onward`) what would follow.
define internal i64 @{prefix}entry(ptr %table, i64 %count, i64 %i, i64 %onward) nounwind {{
entry:
  %empty = icmp eq i64 %count, 0
  br i1 %empty, label %nothing, label %some
nothing:
  %kept = icmp eq i64 %onward, 0
  %counted = add i64 %i, 1
  %value = select i1 %kept, i64 0, i64 %counted
  ret i64 %value
some:
  %inside = icmp slt i64 %i, %count
  %last = sub i64 %count, 1
  %carries = icmp ne i64 %onward, 0
  %beyond = select i1 %carries, i64 %last, i64 0
  %at = select i1 %inside, i64 %i, i64 %beyond
  %place = getelementptr i64, ptr %table, i64 %at
  %found = load i64, ptr %place
  %past = sub i64 %i, %last
  %adds = select i1 %carries, i64 %past, i64 0
  %more = select i1 %inside, i64 0, i64 %adds
  %sum = add i64 %found, %more
  ret i64 %sum
}}

; Per group of `width` entries: 1 where each is one more than the one before.
define internal void @{prefix}flags(ptr %table, i64 %count, i64 %groups, i64 %width, i64 %onward,
                                    ptr %target) noinline nounwind {{
entry:
  br label %next
next:
  %g = phi i64 [ 0, %entry ], [ %g.after, %set ]
  %more = icmp slt i64 %g, %groups
  br i1 %more, label %group, label %done
group:
  %start = mul i64 %g, %width
  br label %step
step:
  %j = phi i64 [ 1, %group ], [ %j.after, %compare ]
  %inside = icmp slt i64 %j, %width
  br i1 %inside, label %compare, label %set
compare:
  %i = add i64 %start, %j
  %before = sub i64 %i, 1
  %a = call i64 @{prefix}entry(ptr %table, i64 %count, i64 %before, i64 %onward)
  %b = call i64 @{prefix}entry(ptr %table, i64 %count, i64 %i, i64 %onward)
  %way = sub i64 %b, %a
  %j.after = add i64 %j, 1
  %neighbours = icmp eq i64 %way, 1
  br i1 %neighbours, label %step, label %set
set:
  %flag = phi i64 [ 1, %step ], [ 0, %compare ]
  %place = getelementptr i64, ptr %target, i64 %g
  store i64 %flag, ptr %place
  %g.after = add i64 %g, 1
  br label %next
done:
  ret void
}}
"""


class Numbers:
    """Emits sizes into a body, each once. Whatever is asked for first must be asked for where it
    dominates all later uses: at the start of the function.

    Args:
        body: the function.
        prefix: what the helpers' names begin with.
    """

    body: Body
    prefix: str

    def __init__(self, body: Body, prefix: str) -> None:
        self.body, self.prefix = body, prefix
        self.known: dict[Size, str] = {}
        self.tables: dict[Any, tuple[str, str]] = {}  # table → address, number of entries
        self.globals: list[str] = []

    def number(self, size: Any) -> str:
        """A size as an i64."""
        if not isinstance(size, Size):
            return str(int(size))
        todo = [size]
        while todo:  # arguments first, without recursion: chains may be long
            top = todo[-1]
            waiting = [
                a for a in top.arguments if isinstance(a, Size) and a not in self.known
            ]
            if waiting and top not in self.known:
                todo += waiting
                continue
            todo.pop()
            if top not in self.known:
                self.known[top] = self._emit(top)
        return self.known[size]

    def _of(self, size: Any) -> str:
        return self.known[size] if isinstance(size, Size) else str(int(size))

    def _emit(self, size: Size) -> str:
        body, word = self.body, size.word
        if word == "every":
            (flags,) = size.arguments
            address, count = self.tables[flags]
            text = f"call i64 @{self.prefix}every(ptr {address}, i64 {count})"
            return body.instruction(text, "every")
        given = [self._of(argument) for argument in size.arguments]
        if word == "add":
            return body.add(*given)
        if word == "mul":
            return body.mul(*given)
        if word in ("div", "rem"):
            return self._divided(word, *given)
        if word == "min":
            return body.minimum(*given)
        if word == "max":
            return body.maximum(*given)
        if word in ("less", "same"):
            test = "slt" if word == "less" else "eq"
            bit = body.instruction(f"icmp {test} i64 {given[0]}, {given[1]}", "c")
            return body.instruction(f"zext i1 {bit} to i64", "n")
        condition = body.instruction(f"icmp ne i64 {given[0]}, 0", "c")
        return body.instruction(f"select i1 {condition}, i64 {given[1]}, i64 {given[2]}", "n")

    def _divided(self, word: str, value: str, divisor: str) -> str:
        """Rounded down, as in Python; a divisor that is not positive (in a branch that is not
        taken) counts as 1."""
        body = self.body
        if not divisor.lstrip("-").isdigit():
            divisor = body.maximum(divisor, "1")
        rest = body.instruction(f"srem i64 {value}, {divisor}", "r")
        low = body.instruction(f"icmp slt i64 {rest}, 0", "c")
        if word == "rem":
            up = body.instruction(f"add i64 {rest}, {divisor}", "r")
            return body.instruction(f"select i1 {low}, i64 {up}, i64 {rest}", "r")
        whole = body.instruction(f"sdiv i64 {value}, {divisor}", "q")
        less = body.instruction(f"add i64 {whole}, -1", "q")
        return body.instruction(f"select i1 {low}, i64 {less}, i64 {whole}", "q")

    # tables

    def constant(self, table: np.ndarray[Any, Any]) -> str:
        """A table whose entries are known, as a constant; its address."""
        name = f"@{self.prefix}table{len(self.globals)}"
        entries = ", ".join(f"i64 {entry}" for entry in table.tolist())
        kind = f"[{len(table)} x i64]"
        content = f"[{entries}]" if len(table) else "zeroinitializer"
        self.globals.append(f"{name} = internal constant {kind} {content}, align 8")
        return name

    def write(self, table: Any, address: str, count: str) -> None:
        """Write a table into memory of its own, behind those that it is made of."""
        self.tables[table] = (address, count)
        if isinstance(table, Offsets):
            self._offsets(table, address)
        elif isinstance(table, Padded):
            self._offsets(table.table, address)
            self._pad(address, self.number(table.table.length), count)
        else:
            self._flags(table, address, count)

    def _offsets(self, table: Offsets, address: str) -> None:
        """Nested loops, one for each factor."""
        body = self.body
        levels: list[tuple[str, str, str | None, str | None]] = []
        for factor in table.factors:
            numbers = more = None
            if isinstance(factor, Listed):
                numbers = self.constant(np.array(factor.numbers, np.int64))
                if factor.more is not None:
                    more = self.constant(np.array(factor.more, np.int64))
            levels.append((self.number(factor.extent), self.number(factor.stride), numbers, more))

        def walk(depth: int, at: str, value: str) -> None:
            if depth == len(levels):
                place = body.instruction(f"getelementptr i64, ptr {address}, i64 {at}", "p")
                body.emit(f"store i64 {value}, ptr {place}, align 8")
                return
            extent, stride, numbers, more = levels[depth]
            with body.loop("0", extent, hint="entry") as i:
                number = i if numbers is None else self._loaded(numbers, i)
                step = body.mul(number, stride)
                if more is not None:
                    step = body.add(step, self._loaded(more, i))
                walk(depth + 1, body.add(body.mul(at, extent), i), body.add(value, step))

        walk(0, "0", "0")

    def _loaded(self, base: str, at: str) -> str:
        place = self.body.instruction(f"getelementptr i64, ptr {base}, i64 {at}", "p")
        return self.body.instruction(f"load i64, ptr {place}, align 8", "n")

    def _pad(self, address: str, start: str, stop: str) -> None:
        body = self.body
        with body.loop(start, stop, hint="pad") as i:
            some = body.instruction(f"icmp sgt i64 {start}, 0", "c")
            first = body.instruction(f"select i1 {some}, i64 0, i64 {i}", "n")
            zero = body.instruction(f"getelementptr i64, ptr {address}, i64 {i}", "p")
            body.emit(f"store i64 0, ptr {zero}, align 8")
            value = self._loaded(address, first)
            body.emit(f"store i64 {value}, ptr {zero}, align 8")

    def _flags(self, table: Flags, address: str, count: str) -> None:
        source, entries = self.tables[table.table]
        groups = self.body.sub(count, str(table.more))
        onward = int(table.missing not in (BY_FIRST, FULL_ONLY))
        self.body.emit(
            f"call void @{self.prefix}flags(ptr {source}, i64 {entries}, i64 {groups}, "
            f"i64 {table.width}, i64 {onward}, ptr {address})"
        )
        for number in range(table.more):
            at = self.body.add(groups, str(number))
            place = self.body.instruction(f"getelementptr i64, ptr {address}, i64 {at}", "p")
            self.body.emit(f"store i64 0, ptr {place}, align 8")


def parts_of(table: Any) -> list[Any]:
    """A table behind the one that it is made of."""
    return [table.table, table] if isinstance(table, Flags) else [table]


def sizes_in(table: Any) -> list[Any]:
    """The sizes that writing a table needs."""
    if not isinstance(table, Offsets):
        return [table.length, *sizes_in(table.table)]
    found: list[Any] = [table.length]
    for factor in table.factors:
        found += [factor.stride, *([factor.extent] if isinstance(factor, Line) else [])]
    return found
