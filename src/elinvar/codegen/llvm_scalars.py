"""The LLVM handler: scalar instructions printed as LLVM IR text, for any number of lanes.

In registers a bool is `i1`, integers are `iN`, f32 is `float`, f64 is `double`; f16 and bf16 are
their bit patterns, `i16`; complex numbers are two floats side by side, as the integer `i64` or
`i128` that lies so in memory. With `lanes > 1` every value is a vector of that many elements. No
fast-math flag is ever printed, so the result of an instruction is the same on every target and in
every lane. Nothing here becomes a call into a library: what a target lacks is in `stand_ins.py`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from elinvar.core import dtypes
from elinvar.core.dtypes import DType
from elinvar.core.errors import CompileError, fail
from elinvar.ops.record import Op
from elinvar.ops.scalars import COMPARISONS, Scalar

_ARITHMETIC_INT = {"add": "add", "sub": "sub", "mul": "mul", "and": "and", "or": "or", "xor": "xor"}
_ARITHMETIC_FLOAT = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
_INTRINSICS = {
    "abs": "fabs", "fma": "fma", "sqrt": "sqrt", "floor": "floor", "ceil": "ceil", "trunc": "trunc",
    "rint": "roundeven", "min": "minimum", "max": "maximum", "copysign": "copysign",
}  # fmt: skip
_FLOAT_PREDICATES = {
    "eq": "oeq", "ne": "une", "lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge",
}  # fmt: skip
_BOOL_WORDS = {"min": "and", "mul": "and", "and": "and", "max": "or", "or": "or", "xor": "xor"}

# Ops whose lowering takes 16-bit floats as they are: they move or change bits and never round.
_DIRECT_16_BIT = frozenset(
    "cast bitcast where constant copysign negative abs nextafter stop_gradient".split()
)


class FunctionText:
    """The body of an LLVM function under construction, and the declarations it needs."""

    __slots__ = ("_count", "declarations", "lines")

    def __init__(self) -> None:
        self._count = 0
        self.lines: list[str] = []
        self.declarations: dict[str, None] = {}

    def fresh(self, hint: str = "t") -> str:
        """A new SSA name: `%t12`."""
        self._count += 1
        return f"%{hint}{self._count}"

    def emit(self, line: str) -> None:
        """Append one instruction."""
        self.lines.append(f"  {line}")

    def declare(self, text: str) -> None:
        """Ask for a declaration at module level; asking twice is the same as once."""
        self.declarations[text] = None


def is_half(dtype: DType) -> bool:
    """True for the two 16-bit float types."""
    return dtype.kind == "f" and dtype.bits == 16


def _element_type(dtype: DType) -> str:
    if dtype.kind == "b":
        return "i1"
    if dtype.kind == "f" and dtype.bits > 16:
        return "float" if dtype.bits == 32 else "double"
    return f"i{dtype.bits}"


def _vector(element: str, lanes: int) -> str:
    return element if lanes == 1 else f"<{lanes} x {element}>"


def llvm_type(dtype: DType, lanes: int = 1) -> str:
    """The type of a value in registers: `<16 x float>`, or `float` for one lane."""
    return _vector(_element_type(dtype), lanes)


def memory_type(dtype: DType) -> str:
    """The type of one element in memory: bool is a byte, else as in registers."""
    return "i8" if dtype.kind == "b" else _element_type(dtype)


def _float_bits(dtype: DType, value: float) -> int:
    """The bit pattern of a Python number rounded once to a 16-bit float type."""
    if dtype is dtypes.float16:
        with np.errstate(over="ignore"):
            return int(np.float16(value).view(np.uint16))
    single = _odd_float32(float(value))
    if single & 0x7FFFFFFF > 0x7F800000:
        return single >> 16 | 0x40
    return (single + 0x7FFF + (single >> 16 & 1)) >> 16


def _odd_float32(value: float) -> int:
    """f32 bits of a double rounded to odd, so that a second rounding is as good as one."""
    with np.errstate(over="ignore"):
        rounded = np.float32(value)
    bits = int(rounded.view(np.uint32))
    if float(rounded) == value or value != value:
        return bits
    return (bits - (abs(float(rounded)) > abs(value))) | 1


def constant_text(dtype: DType, value: complex | int | bool) -> str:
    """One constant element as LLVM text, without its type."""
    if dtype.kind == "c":
        parts = np.array(value, dtype.numpy).tobytes()
        number = int.from_bytes(parts, "little")
        return str(number - (1 << dtype.bits) if number >> (dtype.bits - 1) else number)
    assert not isinstance(value, complex)
    if dtype.kind == "b":
        return "true" if value else "false"
    if is_half(dtype):
        return str(_float_bits(dtype, value))
    if dtype.kind == "f":
        if dtype.bits == 32:
            with np.errstate(over="ignore"):
                value = float(np.float32(value))
        return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"
    number = int(value) & ((1 << dtype.bits) - 1)
    negative = dtype.kind == "i" and number >> (dtype.bits - 1)
    return str(number - (1 << dtype.bits) if negative else number)


class LLVMHandler:
    """Prints scalar instructions into `text`. A payload is an SSA name or a constant's text."""

    __slots__ = ("lanes", "text")

    lanes: int
    text: FunctionText

    def __init__(self, text: FunctionText, lanes: int = 1) -> None:
        self.text, self.lanes = text, lanes

    def scalar(self, dtype: DType, payload: str) -> Scalar:
        """The Scalar that stands for an SSA name of the register type of `dtype`."""
        return Scalar(self, dtype, payload)

    def instruction(self, name: str, dtype: DType, arguments: tuple[Any, ...]) -> str:
        """Print one instruction; returns the payload of its result."""
        if name == "const":
            return self._constant(_element_type(dtype), constant_text(dtype, arguments[0]))
        if name == "select":
            condition, yes, no = (argument.payload for argument in arguments)
            kind = llvm_type(dtype, self.lanes)
            mask = _vector("i1", self.lanes)
            return self._new(f"select {mask} {condition}, {kind} {yes}, {kind} {no}")
        source = arguments[0].dtype
        if any(argument.dtype is not source for argument in arguments):
            given = ", ".join(argument.dtype.short for argument in arguments)
            fail(CompileError, name, f"scalar operands differ in dtype: {given}")
        payloads = [argument.payload for argument in arguments]
        if name == "cast":
            return self.cast(payloads[0], source, dtype)
        if name == "bitcast":
            return self._bitcast(payloads[0], source, dtype)
        if name == "complex":
            return self._join(source, payloads)
        if name in ("real", "imag"):
            return self._part(payloads[0], source, name == "imag")
        if is_half(source):
            return self._half(name, source, payloads)
        if name in COMPARISONS:
            return self._compare(name, source, payloads)
        if source.kind == "f":
            return self._float(name, source, payloads)
        return self._integer(name, source, payloads)

    # ---- printing ----

    def _new(self, line: str) -> str:
        name = self.text.fresh()
        self.text.emit(f"{name} = {line}")
        return name

    def _constant(self, element: str, text: str) -> str:
        return text if self.lanes == 1 else f"splat ({element} {text})"

    def _integer_constant(self, bits: int, value: int) -> str:
        return self._constant(f"i{bits}", str(value))

    def _call(
        self, intrinsic: str, result: str, kinds: Sequence[str], payloads: Sequence[str]
    ) -> str:
        """Call an intrinsic; `kinds` are the LLVM types of the arguments."""
        self.text.declare(f"declare {result} @{intrinsic}({', '.join(kinds)})")
        given = ", ".join(f"{kind} {p}" for kind, p in zip(kinds, payloads, strict=True))
        return self._new(f"call {result} @{intrinsic}({given})")

    def _suffix(self, element: str) -> str:
        short = {"float": "f32", "double": "f64", "half": "f16"}.get(element, element)
        return short if self.lanes == 1 else f"v{self.lanes}{short}"

    def _binary(self, word: str, element: str, left: str, right: str) -> str:
        return self._new(f"{word} {_vector(element, self.lanes)} {left}, {right}")

    def _convert(self, word: str, payload: str, source: str, target: str) -> str:
        kinds = _vector(source, self.lanes), _vector(target, self.lanes)
        return self._new(f"{word} {kinds[0]} {payload} to {kinds[1]}")

    def _select(self, condition: str, element: str, yes: str, no: str) -> str:
        kind = _vector(element, self.lanes)
        mask = _vector("i1", self.lanes)
        return self._new(f"select {mask} {condition}, {kind} {yes}, {kind} {no}")

    # ---- arithmetic ----

    def _float(self, name: str, dtype: DType, payloads: list[str]) -> str:
        element = _element_type(dtype)
        kind = _vector(element, self.lanes)
        if name in _ARITHMETIC_FLOAT:
            return self._new(f"{_ARITHMETIC_FLOAT[name]} {kind} {payloads[0]}, {payloads[1]}")
        if name == "neg":
            return self._new(f"fneg {kind} {payloads[0]}")
        if name in _INTRINSICS:
            intrinsic = f"llvm.{_INTRINSICS[name]}.{self._suffix(element)}"
            return self._call(intrinsic, kind, [kind] * len(payloads), payloads)
        fail(CompileError, name, f"no such instruction on {dtype.short} scalars")

    def _integer(self, name: str, dtype: DType, payloads: list[str]) -> str:
        element = _element_type(dtype)
        if dtype.kind == "b" and name not in ("not", "and", "or", "xor"):
            if name not in _BOOL_WORDS:
                fail(CompileError, name, "no such instruction on bool scalars")
            return self._binary(_BOOL_WORDS[name], element, payloads[0], payloads[1])
        if name in _ARITHMETIC_INT:
            return self._binary(_ARITHMETIC_INT[name], element, payloads[0], payloads[1])
        if name == "not":
            ones = "true" if dtype.kind == "b" else "-1"
            return self._binary("xor", element, payloads[0], self._constant(element, ones))
        if name == "neg":
            return self._binary("sub", element, self._constant(element, "0"), payloads[0])
        if name == "abs":
            return self._integer_abs(dtype, payloads[0])
        if name in ("shl", "shr"):
            word = "shl" if name == "shl" else "ashr" if dtype.kind == "i" else "lshr"
            return self._binary(word, element, payloads[0], payloads[1])
        if name in ("min", "max"):
            kind = _vector(element, self.lanes)
            intrinsic = f"llvm.{'s' if dtype.kind == 'i' else 'u'}{name}.{self._suffix(element)}"
            return self._call(intrinsic, kind, [kind, kind], payloads)
        if name in ("div", "rem"):
            return self._divide(name, dtype, payloads[0], payloads[1])
        if name in ("floor", "ceil", "trunc", "rint"):
            return payloads[0]
        fail(CompileError, name, f"no such instruction on {dtype.short} scalars")

    def _integer_abs(self, dtype: DType, payload: str) -> str:
        if dtype.kind != "i":
            return payload
        element = _element_type(dtype)
        kind = _vector(element, self.lanes)
        intrinsic = f"llvm.abs.{self._suffix(element)}"
        self.text.declare(f"declare {kind} @{intrinsic}({kind}, i1)")
        return self._new(f"call {kind} @{intrinsic}({kind} {payload}, i1 false)")

    def _divide(self, name: str, dtype: DType, left: str, right: str) -> str:
        """Truncating division. A zero divisor gives 0 (`rem`: the dividend); MIN / -1 wraps."""
        element = _element_type(dtype)
        signed = "s" if dtype.kind == "i" else "u"
        zero, one = self._constant(element, "0"), self._constant(element, "1")
        by_zero = self._binary("icmp eq", element, right, zero)
        unsafe = by_zero
        if dtype.kind == "i":
            lowest = self._constant(element, str(-(1 << (dtype.bits - 1))))
            is_lowest = self._binary("icmp eq", element, left, lowest)
            minus_one = self._constant(element, "-1")
            is_minus_one = self._binary("icmp eq", element, right, minus_one)
            wraps = self._binary("and", "i1", is_lowest, is_minus_one)
            unsafe = self._binary("or", "i1", by_zero, wraps)
        safe = self._select(unsafe, element, one, right)
        result = self._binary(f"{signed}{name}", element, left, safe)
        return self._select(by_zero, element, zero if name == "div" else left, result)

    def _compare(self, name: str, dtype: DType, payloads: list[str]) -> str:
        element = _element_type(dtype)
        if dtype.kind == "f":
            word = f"fcmp {_FLOAT_PREDICATES[name]}"
            return self._binary(word, element, payloads[0], payloads[1])
        sign = "" if name in ("eq", "ne") else "s" if dtype.kind == "i" else "u"
        return self._binary(f"icmp {sign}{name}", element, payloads[0], payloads[1])

    def _half(self, name: str, dtype: DType, payloads: list[str]) -> str:
        """16-bit floats: signs by bits; all else in f32, rounded at once."""
        low, high = self._integer_constant(16, 0x7FFF), self._integer_constant(16, -0x8000)
        if name == "neg":
            return self._binary("xor", "i16", payloads[0], high)
        if name == "abs":
            return self._binary("and", "i16", payloads[0], low)
        if name == "copysign":
            size = self._binary("and", "i16", payloads[0], low)
            sign = self._binary("and", "i16", payloads[1], high)
            return self._binary("or", "i16", size, sign)
        wide = [self.cast(payload, dtype, dtypes.float32) for payload in payloads]
        if name in COMPARISONS:
            return self._compare(name, dtypes.float32, wide)
        return self.cast(self._float(name, dtypes.float32, wide), dtypes.float32, dtype)

    # ---- complex numbers ----

    def _join(self, part: DType, payloads: list[str]) -> str:
        """A complex number of its parts: their vectors, element by element in turns."""
        element, whole = _element_type(part), f"i{2 * part.bits}"
        lanes, pair = self.lanes, f"<{2 * self.lanes} x {_element_type(part)}>"
        if lanes == 1:
            first = self._new(f"insertelement {pair} poison, {element} {payloads[0]}, i64 0")
            joined = self._new(f"insertelement {pair} {first}, {element} {payloads[1]}, i64 1")
        else:
            order = ", ".join(f"i32 {n}, i32 {n + lanes}" for n in range(lanes))
            kind = _vector(element, lanes)
            joined = self._new(
                f"shufflevector {kind} {payloads[0]}, {kind} {payloads[1]}, "
                f"<{2 * lanes} x i32> <{order}>"
            )
        return self._new(f"bitcast {pair} {joined} to {_vector(whole, lanes)}")

    def _part(self, payload: str, source: DType, is_imaginary: bool) -> str:
        lanes, element = self.lanes, _element_type(source.part)
        pair = f"<{2 * lanes} x {element}>"
        parts = self._new(f"bitcast {llvm_type(source, lanes)} {payload} to {pair}")
        if lanes == 1:
            return self._new(f"extractelement {pair} {parts}, i64 {int(is_imaginary)}")
        order = ", ".join(f"i32 {2 * n + is_imaginary}" for n in range(lanes))
        return self._new(
            f"shufflevector {pair} {parts}, {pair} poison, <{lanes} x i32> <{order}>"
        )

    # ---- conversions ----

    def _bitcast(self, payload: str, source: DType, target: DType) -> str:
        if source.kind == "b" or target.kind == "b":
            return self.cast(payload, source, target)
        old, new = _element_type(source), _element_type(target)
        return payload if old == new else self._convert("bitcast", payload, old, new)

    def cast(self, payload: str, source: DType, target: DType) -> str:
        """Convert a value: floats round once, float to integer saturates, to bool is `!= 0`."""
        if source is target:
            return payload
        if is_half(source):
            wide = self._widen_half(payload, source)
            return self.cast(wide, dtypes.float32, target)
        if is_half(target):
            return self._narrow_half(self._float_for_half(payload, source, target), target)
        old, new = _element_type(source), _element_type(target)
        if target.kind == "b":
            zero = self._constant(old, "0x0000000000000000" if source.kind == "f" else "0")
            return self._binary("fcmp une" if source.kind == "f" else "icmp ne", old, payload, zero)
        if source.kind == "f":
            if target.kind == "f":
                word = "fpext" if source.bits < target.bits else "fptrunc"
                return self._convert(word, payload, old, new)
            word = "fptosi" if target.kind == "i" else "fptoui"
            kinds = _vector(old, self.lanes), _vector(new, self.lanes)
            intrinsic = f"llvm.{word}.sat.{self._suffix(new)}.{self._suffix(old)}"
            return self._call(intrinsic, kinds[1], [kinds[0]], [payload])
        if target.kind == "f":
            word = "sitofp" if source.kind == "i" else "uitofp"
            return self._convert(word, payload, old, new)
        if old == new:
            return payload
        if source.bits > target.bits:
            return self._convert("trunc", payload, old, new)
        return self._convert("sext" if source.kind == "i" else "zext", payload, old, new)

    def _widen_half(self, payload: str, source: DType) -> str:
        """The exact f32 of a 16-bit float."""
        if source is dtypes.float16:
            half = self._convert("bitcast", payload, "i16", "half")
            return self._convert("fpext", half, "half", "float")
        wide = self._convert("zext", payload, "i16", "i32")
        bits = self._binary("shl", "i32", wide, self._integer_constant(32, 16))
        return self._convert("bitcast", bits, "i32", "float")

    def _narrow_half(self, payload: str, target: DType) -> str:
        """Round an f32 to a 16-bit float, to nearest even; NaN stays a quiet NaN."""
        if target is dtypes.float16:
            half = self._convert("fptrunc", payload, "float", "half")
            return self._convert("bitcast", half, "half", "i16")
        constant: Callable[[int], str] = lambda value: self._integer_constant(32, value)  # noqa: E731
        bits = self._convert("bitcast", payload, "float", "i32")
        upper = self._binary("lshr", "i32", bits, constant(16))
        odd = self._binary("and", "i32", upper, constant(1))
        bias = self._binary("add", "i32", odd, constant(0x7FFF))
        rounded = self._binary("lshr", "i32", self._binary("add", "i32", bits, bias), constant(16))
        quiet = self._binary("or", "i32", upper, constant(0x40))
        is_nan = self._binary("fcmp uno", "float", payload, payload)
        return self._convert("trunc", self._select(is_nan, "i32", quiet, rounded), "i32", "i16")

    def _float_for_half(self, payload: str, source: DType, target: DType) -> str:
        """An f32 that rounds to the 16-bit type as the exact value does.

        Wider values are rounded to odd first (the last bit remembers that something was cut off).
        """
        if source is dtypes.float32:
            return payload
        if source.kind != "f":
            if source.bits <= 16:
                return self.cast(payload, source, dtypes.float32)
            if source.bits == 64 and target is dtypes.bfloat16:
                payload = self._sticky_integer(payload, source)
            payload = self.cast(payload, source, dtypes.float64)
        single = self._convert("fptrunc", payload, "double", "float")
        back = self._convert("fpext", single, "float", "double")
        bits = self._convert("bitcast", single, "float", "i32")
        sizes = [self._float("abs", dtypes.float64, [value]) for value in (back, payload)]
        above = self._binary("fcmp ogt", "double", sizes[0], sizes[1])
        one = self._integer_constant(32, 1)
        lower = self._select(above, "i32", self._binary("sub", "i32", bits, one), bits)
        inexact = self._binary("fcmp une", "double", back, payload)
        odd = self._select(inexact, "i32", self._binary("or", "i32", lower, one), lower)
        return self._convert("bitcast", odd, "i32", "float")

    def _sticky_integer(self, payload: str, source: DType) -> str:
        """A 64-bit integer that f64 holds exactly, and that rounds to 8 bits as the given one."""
        low = self._integer_constant(64, 0xFFF)
        zero = self._integer_constant(64, 0)
        rest = self._binary("and", "i64", payload, low)
        kept = self._binary("sub", "i64", payload, rest)
        middle = self._binary("or", "i64", kept, self._integer_constant(64, 0x800))
        cut = self._binary("icmp ne", "i64", rest, zero)
        sticky = self._select(cut, "i64", middle, kept)
        size = self._integer_abs(source, payload)
        small = self._binary("icmp ult", "i64", size, self._integer_constant(64, 1 << 53))
        return self._select(small, "i64", payload, sticky)


def apply_elementwise(op: Op, scalars: Sequence[Scalar], params: dict[str, Any]) -> Scalar:
    """Call an elementwise op's lowering. 16-bit floats are computed in f32 and rounded at once."""
    narrow = next((scalar.dtype for scalar in scalars if is_half(scalar.dtype)), None)
    if narrow is None or op.name in _DIRECT_16_BIT:
        return op.lowering(*scalars, **params)
    wide = [s.cast(dtypes.float32) if is_half(s.dtype) else s for s in scalars]
    result: Scalar = op.lowering(*wide, **params)
    return result.cast(narrow) if result.dtype is dtypes.float32 else result
