"""Building blocks of StableHLO text, for the `stablehlo` field of records."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any

from elinvar.core.dtypes import DType
from elinvar.core.types import TensorType

Region = tuple[Sequence[str], Sequence[TensorType], Sequence[str]]  # arguments, types, lines


def statement(
    printer: Any,
    results: Sequence[str],
    name: str,
    operands: Sequence[str],
    types: Sequence[TensorType],
    result_types: Sequence[TensorType],
    attributes: str = "",
    regions: Sequence[Region] = (),
) -> list[str]:
    """The lines of one operation in MLIR's generic form."""
    head = f"{', '.join(results)} = " if results else ""
    lines = [f'{head}"stablehlo.{name}"({", ".join(operands)})']
    for position, (arguments, argument_types, body) in enumerate(regions):
        if position == 0:
            lines[-1] += " ({"
        else:
            lines.append("}, {")
        if arguments:
            pairs = zip(arguments, argument_types, strict=True)
            lines.append(f"^bb0({', '.join(f'{a}: {printer.type(t)}' for a, t in pairs)}):")
        lines.extend(f"  {line}" for line in body)
    if regions:
        lines.append("})")
    if attributes:
        lines[-1] += f" {{{attributes}}}"
    arrow = ", ".join(printer.type(kind) for kind in result_types)
    if len(result_types) != 1:
        arrow = f"({arrow})"
    lines[-1] += f" : ({', '.join(printer.type(kind) for kind in types)}) -> {arrow}"
    return lines


def returning(printer: Any, names: Sequence[str], types: Sequence[TensorType]) -> list[str]:
    """The line that ends a region."""
    return statement(printer, (), "return", names, types, ())


def combining(printer: Any, name: str, dtype: DType) -> Region:
    """The region (a, b) → name(a, b) of 0-d values."""
    a, b, c = printer.fresh(), printer.fresh(), printer.fresh()
    kind = TensorType(dtype, ())
    body = statement(printer, (c,), name, (a, b), (kind, kind), (kind,))
    return (a, b), (kind, kind), body + returning(printer, (c,), (kind,))


def constant(printer: Any, name: str, value: Any, kind: TensorType) -> str:
    """The line that defines `name` as the number `value`, in all places of the type."""
    return f"{name} = stablehlo.constant dense<{literal(value, kind.dtype)}> : {printer.type(kind)}"


def literal(value: Any, dtype: DType) -> str:
    """A number as MLIR reads it; floats that do not read well are written as bits."""
    if dtype.kind == "b":
        return "true" if value else "false"
    if dtype.kind == "c":
        parts = complex(value)
        return f"({literal(parts.real, dtype.part)}, {literal(parts.imag, dtype.part)})"
    if dtype.kind != "f":
        return str(int(value))
    text = repr(float(value))
    if abs(value) <= 1e6 and "e" not in text and float(value) * 64 % 1 == 0:
        return text
    return f"0x{float_bits(float(value), dtype):0{dtype.bits // 4}X}"


def float_bits(value: float, dtype: DType) -> int:
    """The bits of a float in the dtype."""
    if dtype.name == "bfloat16":
        bits = int.from_bytes(struct.pack("<f", value), "little")
        return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16 if value == value else 0x7FC0
    code = {"float16": "<e", "float32": "<f", "float64": "<d"}[dtype.name]
    return int.from_bytes(struct.pack(code, value), "little")


def array(values: Iterable[Any]) -> str:
    """The attribute `array<i64: 1, 2>`."""
    found = ", ".join(str(int(value)) for value in values)
    return f"array<i64: {found}>" if found else "array<i64>"


def listed(values: Iterable[Any]) -> str:
    """`[1, 2]`, as in dimension numbers."""
    return f"[{', '.join(str(int(value)) for value in values)}]"


HIGHEST = "precision_config = [#stablehlo<precision HIGHEST>, #stablehlo<precision HIGHEST>]"
