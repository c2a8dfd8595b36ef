"""The launches of a Fourier transform: which columns a task takes, and in how many passes.

A unit is one outer index, one of `units` and, where columns are lanes of an inner axis, a vector of
these. Its passes run over `middles` and over blocks of lanes of their own. A last block that is not
full begins earlier and computes some columns twice, so that vectors are always full where there are
columns enough.
"""

from __future__ import annotations

from collections.abc import Callable

from elinvar.codegen.body import Body, kernel_module
from elinvar.codegen.complex_vectors import Writer
from elinvar.codegen.fft import LEAF_NUMBERS, LEAF_POINTERS, Leaf
from elinvar.core.dtypes import DType

# The numbers of a pass, in elements of the parts' dtype. Strides are those of the outer index, the
# unit, the unit's lanes, the middle index, the numbers of a column, the pass's own lanes.
STRIDES = ("outer", "unit", "inner", "middle", "step", "lane")
FACTOR_STRIDES = ("im", "unit", "inner", "middle", "step", "lane")
PASS_NUMBERS = (
    "re", "im", *STRIDES, "to.re", "to.im", *(f"to.{name}" for name in STRIDES),
    *(f"f.{name}" for name in FACTOR_STRIDES), "length", "middles", "lanes",
)  # fmt: skip
PASS_POINTERS = ("factor", "stages", "roots")
NUMBERS = ("%units", "%inner", "%group", "%total", "%room", "%plane", "%scale")


class _Kernel:
    def __init__(self, name: str, dtype: DType, vector_bits: int, passes: int) -> None:
        self.name, self.dtype, self.passes = name, dtype, passes
        self.vector_bits = vector_bits
        self.body = Body()
        self.lanes = vector_bits // dtype.bits
        self.w = Writer(self.body, dtype, self.lanes)

    def text(self) -> str:
        body = self.body
        self.scratch = self._memory("%room", "scratch")
        self.local = self._memory(self._entry("mul", "%plane", "2"), "local")
        double = body.instruction("bitcast i64 %scale to double")
        if self.dtype.bits == 32:
            double = body.instruction(f"fptrunc double {double} to float")
        self.scale = double
        wide = str(self.lanes)
        blocks = body.div(body.add("%inner", str(self.lanes - 1)), wide)
        blocks = body.maximum(blocks, "1")
        self.count = body.minimum("%inner", wide)
        with body.loop("%begin", "%end", hint="task") as task:
            first = body.mul(task, "%group")
            last = body.minimum(body.add(first, "%group"), "%total")
            with body.loop(first, last, hint="unit") as number:
                block, rest = body.rem(number, blocks), body.div(number, blocks)
                unit, outer = body.rem(rest, "%units"), body.div(rest, "%units")
                lane = self._start(block, "%inner")
                for which in range(self.passes):
                    self._pass(which, outer, unit, lane)
        body.emit("ret void")
        pointers = ["%source", "%target"]
        numbers = [*NUMBERS]
        for which in range(self.passes):
            pointers += [f"%p{which}.{name}" for name in PASS_POINTERS]
            numbers += [f"%p{which}.{name}" for name in PASS_NUMBERS]
        shared = frozenset(pointers[2:])
        leaf = Leaf(self.dtype, self.vector_bits)
        function = leaf.text(f"{self.name}.leaf")
        for declaration in leaf.body.declarations:
            body.declare(declaration)
        return kernel_module(self.name, body, pointers, numbers, shared) + function + "\n"

    def _memory(self, count: str, hint: str) -> str:
        body = self.body
        name = body.fresh(hint)
        body.entry.append(f"  {name} = alloca {self.w.element}, i64 {count}, align 64")
        return name

    def _entry(self, word: str, left: str, right: str) -> str:
        name = self.body.fresh("n")
        self.body.entry.append(f"  {name} = {word} nsw i64 {left}, {right}")
        return name

    def _start(self, block: str, count: str) -> str:
        """The first lane of a block: earlier for the last one, if that is not full."""
        body = self.body
        start = body.minimum(body.mul(block, str(self.lanes)), body.sub(count, str(self.lanes)))
        return body.maximum(start, "0")

    def _pass(self, which: int, outer: str, unit: str, inner: str) -> None:
        body = self.body

        def number(name: str) -> str:
            return f"%p{which}.{name}"

        own = self.w.test("ne", number("lanes"), "0")
        lanes = body.instruction(f"select i1 {own}, i64 {number('lanes')}, i64 {self.count}")
        blocks = body.div(body.add(lanes, str(self.lanes - 1)), str(self.lanes))
        count = body.minimum(lanes, str(self.lanes))
        with body.loop("0", number("middles"), hint="middle") as middle:
            with body.loop("0", blocks, hint="block") as block:
                lane = self._start(block, lanes)
                places = (outer, unit, inner, middle, lane)
                self._leaf(which, number, places, count)

    def _leaf(
        self, which: int, number: Callable[[str], str], places: tuple[str, ...], count: str
    ) -> None:
        body, w = self.body, self.w
        outer, unit, inner, middle, lane = places

        def place(prefix: str) -> str:
            total = "0"
            for name, index in zip(STRIDES, (outer, unit, inner, middle, None, lane), strict=True):
                if index is not None and (prefix != "f." or name != "outer"):
                    total = body.add(total, body.mul(index, number(prefix + name)))
            return total

        source = "%source" if which == 0 else self.local
        target = "%target" if which == self.passes - 1 else self.local
        source, target = w.pointer(source, place("")), w.pointer(target, place("to."))
        factor = w.pointer(number("factor"), place("f."))
        pointers = [
            w.pointer(source, number("re")), w.pointer(source, number("im")),
            w.pointer(target, number("to.re")), w.pointer(target, number("to.im")),
            factor, w.pointer(factor, number("f.im")), number("stages"), number("roots"),
            self.scratch,
        ]  # fmt: skip
        names = ("length", "step", "lane", "to.step", "to.lane", "f.step", "f.lane")
        numbers = [*map(number, names), count]
        assert len(pointers) == len(LEAF_POINTERS) and len(numbers) == len(LEAF_NUMBERS)
        scale = self.scale if which == self.passes - 1 else "1.0"
        given = [f"ptr {p}" for p in pointers] + [f"i64 {n}" for n in numbers]
        given.append(f"{w.element} {scale}")
        body.emit(f"call void @{self.name}.leaf({', '.join(given)})")


def fft_text(name: str, dtype: DType, vector_bits: int, passes: int) -> str:
    """Kernel: one pass, or two through memory of the task's own.

    Slots: source, target, per pass factor, stages and roots; `NUMBERS`; per pass `PASS_NUMBERS`.
    Tasks: groups of units.
    """
    return _Kernel(name, dtype, vector_bits, passes).text()
