"""Elementwise operations over many operands, as LLVM text that needs nothing from outside: the same
text draws the operands, computes and adds up a digest on every machine.

    i64 @NAME(i64 begin, i64 end)     the sum over the operands `begin` … `end` - 1 of a mixture of
                                      the result's bits and its number

The sum does not depend on the order, so lanes may be as many as a machine has; and where two machines
differ, smaller ranges lead to the operand (`first_difference`). Operands are bits of any kind, moderate
numbers, powers of two and their neighbours, small whole numbers and all special values. Every NaN
counts as the same.
"""

from __future__ import annotations

import ctypes
import zlib
from functools import cache

import llvmlite.binding as llvm

from elinvar.codegen.llvm_scalars import FunctionText, LLVMHandler, apply_elementwise, is_half
from elinvar.core import dtypes
from elinvar.core.dtypes import bfloat16, float16, float32, uint64
from elinvar.ops.scalars import select
from elinvar.ops.table import TABLE
from elinvar.runtime.llvm import object_code, target_machine
from elinvar.runtime.objects import undefined_symbols
from elinvar.runtime.targets import target_named

# whoever takes one takes the other
_BROTHERS = (
    (float16, bfloat16), (dtypes.int16, dtypes.int8),
    (dtypes.uint8, dtypes.uint16), (dtypes.uint32, dtypes.uint64),
)  # fmt: skip


def signatures():
    """name → (op, dtypes of the operands, params): every elementwise op with every dtype that its
    samples have."""
    found = {}
    for op in TABLE:
        if op.family != "elementwise" or op.name == "constant":
            continue
        for sample in op.samples():
            kinds = tuple(kind.dtype for kind in sample.types)
            brothers = [kinds]
            for one, other in _BROTHERS if op.name != "bitcast" else ():
                if one in kinds:
                    brothers.append(tuple(other if d is one else d for d in kinds))
            for given in brothers:
                words = [op.name, *(d.short for d in given)]
                words += [getattr(v, "short", str(v)) for v in sample.params.values()]
                found.setdefault("_".join(words), (op, given, dict(sample.params)))
    return found


SIGNATURES = signatures()


def mixed(x):
    """Bits that look random. Source: Steele, Lea, Flood, Fast splittable pseudorandom number
    generators (2014)."""
    x = x + 0x9E3779B97F4A7C15
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB
    return x ^ (x >> 31)


def operand(number, place, dtype):
    """Operand `place` of the given number: a Scalar of its dtype."""
    bits = mixed(number * 4 + place)
    kind, more = mixed(bits), mixed(bits ^ 0x5851F42D4C957F2D)
    width = dtype.bits if dtype.kind != "b" else 1
    word = (bits & 1) if dtype.kind == "b" else _float_bits(bits, kind, more, dtype)
    if dtype.kind in "iu":
        small = (more & 7) - 3
        ends = (more.const(1) << (more & (width - 1))) - ((more >> 8) & 1)
        word = select(kind & 3 < 2, bits, select(kind & 3 < 3, small, ends))
    if dtype.kind == "b":
        return word.ne(0)
    unsigned = {8: "uint8", 16: "uint16", 32: "uint32", 64: "uint64"}[width]
    return word.cast(_dtype(unsigned)).bitcast(dtype)


def _dtype(name):
    return getattr(dtypes, name)


def _float_bits(bits, kind, more, dtype):
    if dtype.kind != "f":
        return bits
    digits = {float16: 10, bfloat16: 7, float32: 23}.get(dtype, 52)
    width = dtype.bits
    bias = (1 << (width - digits - 2)) - 1
    sign, fraction = bits & (1 << (width - 1)), bits & ((1 << digits) - 1)
    near = (more & 15) + (bias - 8)  # exponents next to that of 1
    whole = bits & (((1 << (width - 1)) - 1) ^ ((1 << digits) - 1))
    ends = [0, 1, (1 << digits) - 1, 1 << digits]  # 0, the subnormal ones at both ends, the first
    top = ((1 << (width - digits - 1)) - 1) << digits
    ends += [top - 1, top, top | 1, top | (1 << (digits - 1))]  # the largest, infinity, NaN
    ends += [bias << digits, (bias << digits) + 1, (bias << digits) - 1, (bias - 1) << digits]
    ends += [(bias + 1) << digits, (bias << digits) | (1 << (digits - 1)), 2, (bias + digits) << digits]
    special = bits.const(ends[0])
    for index, end in enumerate(ends[1:], 1):
        special = select((more & 15).eq(index), bits.const(end), special)
    choices = [
        bits, bits,
        sign | near << digits | fraction,
        sign | (near & -2) << digits | fraction,
        sign | near << digits | fraction & ~7 | more >> 40 & 1,
        sign | whole | (more >> 20) % 3 - 1 & ((1 << digits) - 1),  # next to powers of two
        sign | near << digits | fraction & ~((1 << max(digits - 4, 0)) - 1),  # few digits
        sign | special,
    ]  # fmt: skip
    found = choices[0]
    for index, choice in enumerate(choices[1:], 1):
        found = select((kind & 7).eq(index), choice, found)
    return found


def digest_of(result, number):
    """A word made of the result's bits, one for every NaN, and its number."""
    dtype = result.dtype
    if dtype.kind == "b":
        word = result.cast(uint64)
    else:
        word = result.bitcast(_dtype(f"uint{dtype.bits}")).cast(uint64)
    if dtype.kind == "f":
        wide = result.cast(float32) if is_half(dtype) else result
        word = select(wide.isnan(), word.const(0x7FC0), word)
    return mixed(word ^ mixed(number))


def sweep_text(name, symbol, lanes):
    """The module for one signature."""
    op, kinds, params = SIGNATURES[name]
    text = FunctionText()
    handler = LLVMHandler(text, lanes)
    kind = "i64" if lanes == 1 else f"<{lanes} x i64>"
    number = handler.scalar(uint64, "%number")
    operands = [operand(number, place, dtype) for place, dtype in enumerate(kinds)]
    word = digest_of(apply_elementwise(op, operands, params), number).payload
    text.emit(f"%sum_next = add {kind} %sum, {word}")
    if lanes > 1:
        numbers = ", ".join(f"i64 {lane}" for lane in range(lanes))
        start = [
            f"  %all = insertelement {kind} poison, i64 %begin, i64 0",
            f"  %same = shufflevector {kind} %all, {kind} poison, <{lanes} x i32> zeroinitializer",
            f"  %first = add {kind} %same, <{numbers}>",
        ]
        end = f"  %total = call i64 @llvm.vector.reduce.add.v{lanes}i64({kind} %sum_next)"
        text.declare(f"declare i64 @llvm.vector.reduce.add.v{lanes}i64({kind})")
    else:
        start, end = ["  %first = add i64 %begin, 0"], "  %total = add i64 %sum_next, 0"
    step = str(lanes) if lanes == 1 else f"splat (i64 {lanes})"
    zero = "0" if lanes == 1 else "zeroinitializer"
    lines = [
        *text.declarations,
        f"define i64 @{symbol}(i64 %begin, i64 %end) nounwind {{",
        "entry:",
        *start,
        "  br label %work",
        "work:",
        "  %i = phi i64 [ %begin, %entry ], [ %next, %work ]",
        f"  %number = phi {kind} [ %first, %entry ], [ %number_next, %work ]",
        f"  %sum = phi {kind} [ {zero}, %entry ], [ %sum_next, %work ]",
        *text.lines,
        f"  %number_next = add {kind} %number, {step}",
        f"  %next = add i64 %i, {lanes}",
        "  %more = icmp slt i64 %next, %end",
        "  br i1 %more, label %work, label %done",
        "done:",
        end,
        "  ret i64 %total",
        "}",
    ]
    return "\n".join(lines) + "\n"


def symbol_of(name, target):
    return f"sweep_{zlib.crc32(name.encode()):08x}_{target.replace('-', '_')}"


def sweep_object(name, target):
    """Object code for a named target; nothing but memcpy and memset may be missing."""
    named = target_named(target)
    lanes = named.vector_bits // 32
    code = object_code(sweep_text(name, symbol_of(name, target), lanes), named.target)
    missing = undefined_symbols(code) - {"memcpy", "memset"}
    assert not missing, f"{name} on {target} calls {missing}"
    return code


@cache
def _engine(target):
    """A JIT engine for an instruction set that this machine can run."""
    machine = target_machine(target_named(target).target, jit=True)
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)


@cache
def native_sweep(name, target):
    """The sweep as a function of this process: (begin, end) → digest. Ends are multiples of 16."""
    engine = _engine(target)
    engine.add_object_file(llvm.ObjectFileRef.from_data(sweep_object(name, target)))
    engine.finalize_object()
    address = engine.get_function_address(symbol_of(name, target))
    return ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_int64, ctypes.c_int64)(address)


def first_difference(one, other, count):
    """The first 16 operands of `count` in which two sweeps differ; None where they do not."""
    low, high = 0, count
    if one(low, high) == other(low, high):
        return None
    while high - low > 16:
        middle = low + max(16, (high - low) // 32 * 16)
        if one(low, middle) == other(low, middle):
            low = middle
        else:
            high = middle
    return low


def count_of(name, scale):
    """How many operands: `scale` for f32, less for others, and what covers 16 bits several times."""
    _, kinds, _ = SIGNATURES[name]
    part = 1 if any(dtype is float32 for dtype in kinds) else 5
    return max(16, scale // part // 4096 * 4096)
