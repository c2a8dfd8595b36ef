"""Vectors of complex numbers in a function: parts in arrays of their own, or side by side."""

from __future__ import annotations

from dataclasses import dataclass

from elinvar.codegen.body import Body
from elinvar.codegen.butterflies import Complex
from elinvar.codegen.llvm_scalars import LLVMHandler, llvm_type
from elinvar.core.dtypes import DType
from elinvar.ops.scalars import Scalar


@dataclass(frozen=True)
class Planes:
    """Real and imaginary parts."""

    re: str
    im: str


class Writer:
    """Vectors of one dtype in a body."""

    def __init__(self, body: Body, dtype: DType, lanes: int) -> None:
        self.body, self.dtype, self.lanes = body, dtype, lanes
        self.element, self.align = llvm_type(dtype), dtype.itemsize

    def pointer(self, base: str, index: str) -> str:
        if index == "0":
            return base
        text = f"getelementptr inbounds {self.element}, ptr {base}, i64 {index}"
        return self.body.instruction(text, "p")

    def raw(self, base: str, index: str, lanes: int) -> str:
        """The payload of a vector in memory."""
        kind = llvm_type(self.dtype, lanes)
        place = self.pointer(base, index)
        return self.body.instruction(f"load {kind}, ptr {place}, align {self.align}", "x")

    def load(self, base: str, index: str, lanes: int) -> Scalar:
        return self.scalar(self.raw(base, index, lanes), lanes)

    def scalar(self, payload: str, lanes: int) -> Scalar:
        return Scalar(LLVMHandler(self.body, lanes), self.dtype, payload)

    def store(self, base: str, index: str, payload: str, lanes: int) -> None:
        kind, place = llvm_type(self.dtype, lanes), self.pointer(base, index)
        self.body.emit(f"store {kind} {payload}, ptr {place}, align {self.align}")

    def splat(self, value: Scalar, lanes: int) -> Scalar:
        """One number in all lanes."""
        if lanes == 1:
            return value
        kind = llvm_type(self.dtype, lanes)
        head = self.body.instruction(
            f"insertelement {kind} poison, {self.element} {value.payload}, i64 0"
        )
        mask = f"<{lanes} x i32> zeroinitializer"
        text = f"shufflevector {kind} {head}, {kind} poison, {mask}"
        return self.scalar(self.body.instruction(text), lanes)

    def complex(self, planes: Planes, index: str, lanes: int) -> Complex:
        return self.load(planes.re, index, lanes), self.load(planes.im, index, lanes)

    def complex_splat(self, planes: Planes, index: str, lanes: int) -> Complex:
        """A pair of numbers in all lanes."""
        re, im = self.complex(planes, index, 1)
        return self.splat(re, lanes), self.splat(im, lanes)

    def put(self, planes: Planes, index: str, value: Complex, lanes: int) -> None:
        self.store(planes.re, index, value[0].payload, lanes)
        self.store(planes.im, index, value[1].payload, lanes)

    def apart(self, payload: str) -> tuple[str, str]:
        """The numbers in even and in odd places of a vector of two times `lanes`."""
        kind, lanes = llvm_type(self.dtype, 2 * self.lanes), self.lanes
        found = []
        for first in (0, 1):
            picks = ", ".join(f"i32 {2 * n + first}" for n in range(lanes))
            text = f"shufflevector {kind} {payload}, {kind} poison, <{lanes} x i32> <{picks}>"
            found.append(self.body.instruction(text))
        return found[0], found[1]

    def together(self, even: str, odd: str) -> str:
        """The vector whose even and odd places hold two vectors."""
        kind, lanes = llvm_type(self.dtype, self.lanes), self.lanes
        picks = ", ".join(f"i32 {n}, i32 {n + lanes}" for n in range(lanes))
        text = f"shufflevector {kind} {even}, {kind} {odd}, <{2 * lanes} x i32> <{picks}>"
        return self.body.instruction(text)

    def select(self, condition: str, yes: str, no: str) -> str:
        return self.body.instruction(f"select i1 {condition}, ptr {yes}, ptr {no}", "p")

    def test(self, predicate: str, left: str, right: str, kind: str = "i64") -> str:
        return self.body.instruction(f"icmp {predicate} {kind} {left}, {right}", "c")

    def both(self, *conditions: str) -> str:
        found = conditions[0]
        for other in conditions[1:]:
            found = self.body.instruction(f"and i1 {found}, {other}", "c")
        return found

    def either(self, *conditions: str) -> str:
        found = conditions[0]
        for other in conditions[1:]:
            found = self.body.instruction(f"or i1 {found}, {other}", "c")
        return found

    def no(self, condition: str) -> str:
        return self.body.instruction(f"xor i1 {condition}, true", "c")

    def exchanged(self, condition: str, value: Complex, lanes: int) -> Complex:
        """The parts in each other's place where a condition does not hold."""
        kind = llvm_type(self.dtype, lanes)
        a, b = value[0].payload, value[1].payload
        found = [
            self.body.instruction(f"select i1 {condition}, {kind} {x}, {kind} {y}")
            for x, y in ((a, b), (b, a))
        ]
        return self.scalar(found[0], lanes), self.scalar(found[1], lanes)
