"""LLVM function bodies with loops: labels, counters, scopes for shared subexpressions."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from elinvar.codegen.llvm_scalars import FunctionText
from elinvar.core.shapes import Dim, DimLike

ATTRIBUTES = 'nounwind "prefer-vector-width"="512" "min-legal-vector-width"="512"'
# Loops over tasks and along lanes are not LLVM's to vectorise. It takes exponential time to find
# that out where a task computes one number from itself again and again (x · x + x, of that …); and
# what a loop of vectors has left over for a loop of single numbers is too short to be worth it.
AS_IT_IS = ", !llvm.loop !0"
AS_IT_IS_MEANS = ("!0 = distinct !{!0, !1}", '!1 = !{!"llvm.loop.vectorize.enable", i1 false}')


class Body(FunctionText):
    """A function under construction, with structured loops and branches.

    `entry` collects instructions that run first (stack slots, size arithmetic); `remember` and
    `recall` share results within the scopes that dominate the current place.
    """

    __slots__ = ("_scopes", "entry", "label", "sizes")
    has_vectors = False  # whether loops are written with vectors, so that LLVM need not look

    sizes: dict[str, str]
    label: str

    def __init__(self, sizes: dict[str, str] | None = None) -> None:
        super().__init__()
        self.entry: list[str] = []
        self.label = "entry"
        self.sizes = dict(sizes or {})  # symbol → SSA name of its i64
        self._scopes: list[dict[Any, Any]] = [{}]

    def start(self, label: str) -> None:
        """Begin a basic block."""
        self.lines.append(f"{label}:")
        self.label = label

    def new_label(self, hint: str) -> str:
        return self.fresh(hint)[1:]

    def instruction(self, text: str, hint: str = "t") -> str:
        """Emit `text` and name its result."""
        name = self.fresh(hint)
        self.emit(f"{name} = {text}")
        return name

    def stack_slot(self, kind: str, hint: str = "slot", align: int = 64) -> str:
        """Memory on the stack, reserved in the entry block."""
        name = self.fresh(hint)
        self.entry.append(f"  {name} = alloca {kind}, align {align}")
        return name

    # sharing of results

    def recall(self, key: Any) -> Any:
        for scope in reversed(self._scopes):
            if key in scope:
                return scope[key]
        return None

    def remember(self, key: Any, value: Any) -> Any:
        self._scopes[-1][key] = value
        return value

    @contextmanager
    def scope(self) -> Iterator[None]:
        self._scopes.append({})
        yield
        self._scopes.pop()

    # control flow

    @contextmanager
    def loop(self, start: str, stop: str, step: str | int = 1, hint: str = "i") -> Iterator[str]:
        """`for i in range(start, stop, step)`; yields the counter's SSA name."""
        head, body = self.new_label(f"{hint}.head"), self.new_label(f"{hint}.body")
        latch, end = self.new_label(f"{hint}.next"), self.new_label(f"{hint}.end")
        counter, advanced, test = self.fresh(hint), self.fresh(hint), self.fresh("c")
        before = self.label
        self.emit(f"br label %{head}")
        self.start(head)
        self.emit(f"{counter} = phi i64 [ {start}, %{before} ], [ {advanced}, %{latch} ]")
        self.emit(f"{test} = icmp slt i64 {counter}, {stop}")
        self.emit(f"br i1 {test}, label %{body}, label %{end}")
        self.start(body)
        with self.scope():
            yield counter
        self.emit(f"br label %{latch}")
        self.start(latch)
        self.emit(f"{advanced} = add nsw i64 {counter}, {step}")
        as_it_is = AS_IT_IS if self.has_vectors or hint in ("task", "j") else ""
        self.emit(f"br label %{head}{as_it_is}")
        self.start(end)

    @contextmanager
    def when(self, condition: str) -> Iterator[None]:
        """`if condition:`"""
        yes, end = self.new_label("then"), self.new_label("endif")
        self.emit(f"br i1 {condition}, label %{yes}, label %{end}")
        self.start(yes)
        with self.scope():
            yield
        self.emit(f"br label %{end}")
        self.start(end)

    # 64-bit integers

    def add(self, left: str, right: str) -> str:
        if left == "0":
            return right
        if right == "0":
            return left
        if _is_number(left) and _is_number(right):
            return str(int(left) + int(right))
        return self.instruction(f"add nsw i64 {left}, {right}", "n")

    def sub(self, left: str, right: str) -> str:
        if right == "0":
            return left
        if _is_number(left) and _is_number(right):
            return str(int(left) - int(right))
        return self.instruction(f"sub nsw i64 {left}, {right}", "n")

    def mul(self, left: str, right: str) -> str:
        if "0" in (left, right):
            return "0"
        if left == "1":
            return right
        if right == "1":
            return left
        if _is_number(left) and _is_number(right):
            return str(int(left) * int(right))
        return self.instruction(f"mul nsw i64 {left}, {right}", "n")

    def div(self, left: str, right: str) -> str:
        return left if right == "1" else self.instruction(f"sdiv i64 {left}, {right}", "q")

    def rem(self, left: str, right: str) -> str:
        return "0" if right == "1" else self.instruction(f"srem i64 {left}, {right}", "r")

    def minimum(self, left: str, right: str) -> str:
        self.declare("declare i64 @llvm.smin.i64(i64, i64)")
        return self.instruction(f"call i64 @llvm.smin.i64(i64 {left}, i64 {right})", "n")

    def maximum(self, left: str, right: str) -> str:
        self.declare("declare i64 @llvm.smax.i64(i64, i64)")
        return self.instruction(f"call i64 @llvm.smax.i64(i64 {left}, i64 {right})", "n")

    def dim(self, value: DimLike) -> str:
        """A size as i64: a number, or a polynomial in the size arguments, computed at entry."""
        if not isinstance(value, Dim):
            return str(value)
        known = self._scopes[0].get(value)
        if known is not None:
            return known
        total = "0"
        for monomial, factor in value.terms.items():
            term = str(factor)
            for name in monomial:
                term = self._entry_op("mul", term, self.sizes[name])
            total = self._entry_op("add", total, term)
        self._scopes[0][value] = total
        return total

    def _entry_op(self, word: str, left: str, right: str) -> str:
        neutral = "1" if word == "mul" else "0"
        if left == neutral:
            return right
        name = self.fresh("n")
        self.entry.append(f"  {name} = {word} nsw i64 {left}, {right}")
        return name

    def text(self) -> str:
        """All instructions, entry first."""
        return "\n".join([*self.entry, *self.lines])


def _is_number(text: str) -> bool:
    return text.lstrip("-").isdigit()


def kernel_module(
    name: str,
    body: Body,
    pointers: list[str],
    sizes: list[str],
    shared: Container[str] = (),
    ranges: Sequence[str] = ("%begin", "%end"),
    more: str | None = None,
) -> str:
    """Wrap a body whose arguments are slots: pointers first, then sizes.

    Args:
        name, body: the function.
        pointers, sizes: what stands in the slots.
        shared: pointers that may be equal to others of these; all others have memory of their own.
        ranges: the numbers that the caller gives: which part of the work is wanted.
        more: the name by which the body knows the address of the slots behind its own.
    """
    parameters = [f"ptr {p}" if p in shared else f"ptr noalias {p}" for p in pointers]
    parameters += [f"i64 {s}" for s in sizes]
    wrapper, arguments = [], []
    for number in range(len(parameters)):
        kind = "ptr" if number < len(pointers) else "i64"
        wrapper.append(f"  %slot{number} = getelementptr i64, ptr %slots, i64 {number}")
        wrapper.append(f"  %arg{number} = load {kind}, ptr %slot{number}, align 8")
        arguments.append(f"{kind} %arg{number}")
    if more is not None:
        wrapper.append(f"  %slot.more = getelementptr i64, ptr %slots, i64 {len(parameters)}")
        parameters.append(f"ptr {more}")
        arguments.append("ptr %slot.more")
    given = [f"i64 {number}" for number in ranges]
    parameters += given
    arguments += given
    return "\n".join(
        [
            f"define internal void @{name}.body({', '.join(parameters)}) #0 {{",
            "entry:",
            body.text(),
            "}",
            f"define void @{name}(ptr %slots, {', '.join(given)}) #0 {{",
            "entry:",
            *wrapper,
            f"  call void @{name}.body({', '.join(arguments)})",
            "  ret void",
            "}",
            *body.declarations,
            f"attributes #0 = {{ {ATTRIBUTES} }}",
            *AS_IT_IS_MEANS,
            "",
        ]
    )
