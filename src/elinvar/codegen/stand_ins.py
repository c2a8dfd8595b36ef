"""Stand-ins for the instructions that a machine lacks, put into a text as functions of its own.

LLVM would call a library for them, once for each element, and the bits would be the library's.

    fma             see `soft_fma.py`
    half ↔ float    for float16, in integers
    lshr            of 8 and 16 bits: LLVM shifts what stood above those bits into the lanes of
                    WebAssembly (seen in LLVM 22: `zext (lshr (trunc x), n)` on vectors); behind a
                    call there is nothing above them
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from elinvar.codegen import soft_fma
from elinvar.codegen.llvm_scalars import FunctionText, LLVMHandler, llvm_type
from elinvar.core.dtypes import float32, uint16, uint32
from elinvar.ops.scalars import Scalar, select

_FMA_DECLARED = re.compile(r"^declare [^@\n]*@llvm\.fma\.(?:v\d+)?f\d+\([^\n]*\n", re.MULTILINE)
_DECLARED = re.compile(r"^declare [^@\n]*(@[\w.]+)\(", re.MULTILINE)
_FMA = re.compile(r"@llvm\.fma\.((?:v\d+)?f(?:32|64))\b")
_TYPE = r"(?:<(\d+) x {0}>|{0})"
_WIDEN = re.compile(rf"\bfpext {_TYPE.format('half')} (%[\w.]+) to {_TYPE.format('float')}")
_NARROW = re.compile(rf"\bfptrunc {_TYPE.format('float')} (%[\w.]+) to {_TYPE.format('half')}")


_SHIFT = re.compile(r"\blshr (?:<(\d+) x (i8|i16)>|(i8|i16)) (%[\w.]+), (%[\w.]+)")


def with_stand_ins(text: str, has_fma: bool, has_half: bool, has_shifts: bool = True) -> str:
    """The text for a machine that has these instructions or lacks them.

    Example:
        >>> text = '''
        ... declare float @llvm.fma.f32(float, float, float)
        ... define float @square(float %x) {
        ...   %y = call float @llvm.fma.f32(float %x, float %x, float 0.0)
        ...   ret float %y
        ... }
        ... '''
        >>> "llvm.fma" in with_stand_ins(text, False, True)
        False
        >>> with_stand_ins(text, True, True) == text
        True
    """
    added: dict[str, str] = {}
    if not has_fma and "@llvm.fma." in text:
        for suffix in dict.fromkeys(_FMA.findall(text)):
            added[suffix] = soft_fma.definition(suffix)
        if any(suffix.endswith("f64") for suffix in added):
            added["exact"] = soft_fma.exact_definition()
        text = _FMA.sub(r"@elinvar.fma.\1", _FMA_DECLARED.sub("", text))
    if not has_half and " half" in text:
        for word, pattern in (("widen", _WIDEN), ("narrow", _NARROW)):
            for match in pattern.findall(text):
                lanes = int(match[0] or 1)
                added[f"{word} {lanes}"] = _conversion(word, lanes)
        text = _WIDEN.sub(lambda match: _call("widen", match), text)
        text = _NARROW.sub(lambda match: _call("narrow", match), text)
    if not has_shifts and "lshr" in text:
        for lanes, kind, alone, _, _ in _SHIFT.findall(text):
            name = f"v{lanes or 1}{kind or alone}"
            added[f"shift {name}"] = _shift(name, kind or alone, int(lanes or 1))
        text = _SHIFT.sub(_shift_call, text)
    return _joined(text, added.values()) if added else text


def _shift(name: str, kind: str, lanes: int) -> str:
    vector = kind if lanes == 1 else f"<{lanes} x {kind}>"
    return f"""
define internal {vector} @elinvar.lshr.{name}({vector} %x, {vector} %n) nounwind noinline {{
  %y = lshr {vector} %x, %n
  ret {vector} %y
}}
"""


def _shift_call(match: re.Match[str]) -> str:
    lanes, kind = match[1] or "1", match[2] or match[3]
    vector = kind if lanes == "1" else f"<{lanes} x {kind}>"
    name = f"@elinvar.lshr.v{lanes}{kind}"
    return f"call {vector} {name}({vector} {match[4]}, {vector} {match[5]})"


def _joined(text: str, definitions: Iterable[str]) -> str:
    """The text and more functions; what both declare is declared once."""
    known = set(_DECLARED.findall(text))
    lines = [text]
    for line in "\n".join(definitions).splitlines():
        declared = _DECLARED.match(line)
        if declared is None or declared[1] not in known:
            lines.append(line)
        if declared is not None:
            known.add(declared[1])
    return "\n".join(lines) + "\n"


def _kinds(word: str, lanes: int) -> tuple[str, str]:
    kinds = ("half", "float") if word == "widen" else ("float", "half")
    first, last = (kind if lanes == 1 else f"<{lanes} x {kind}>" for kind in kinds)
    return first, last


def _call(word: str, match: re.Match[str]) -> str:
    lanes = int(match[1] or 1)
    given, result = _kinds(word, lanes)
    return f"call {result} @elinvar.{word}.v{lanes}({given} {match[2]})"


def _conversion(word: str, lanes: int) -> str:
    text = FunctionText()
    handler = LLVMHandler(text, lanes)
    given, result = _kinds(word, lanes)
    if word == "widen":
        text.emit(f"%bits = bitcast {given} %x to {llvm_type(uint16, lanes)}")
        value = widened(handler.scalar(uint16, "%bits")).payload
    else:
        narrow = narrowed(handler.scalar(float32, "%x")).payload
        value = text.fresh("half")
        text.emit(f"{value} = bitcast {llvm_type(uint16, lanes)} {narrow} to {result}")
    text.emit(f"ret {result} {value}")
    lines = "\n".join([*text.declarations])
    head = f"define internal {result} @elinvar.{word}.v{lanes}({given} %x) nounwind alwaysinline"
    body = "\n".join(text.lines)
    return f"{lines}\n{head} {{\nentry:\n{body}\n}}\n"


def widened(bits: Scalar) -> Scalar:
    """The f32 that the bits of an f16 mean, exactly."""
    word = bits.cast(uint32)
    size = word & 0x7FFF
    number = ((size << 13).bitcast(float32) * 2.0**112).bitcast(uint32)  # subnormal ones as well
    special = (size << 13) | 0x7F800000
    quiet = special | select(size > 0x7C00, word.const(0x400000), word.const(0))
    found = select(size >= 0x7C00, quiet, number)
    return (found | ((word & 0x8000) << 16)).bitcast(float32)


def narrowed(x: Scalar) -> Scalar:
    """The bits of the f16 nearest to an f32."""
    word = x.bitcast(uint32)
    size = word & 0x7FFFFFFF
    lower = size - (112 << 23)  # the exponent's bias becomes that of f16
    normal = (lower + 0xFFF + ((lower >> 13) & 1)) >> 13
    # next to 1/2 the last bit of f32 is 2^-24, the unit of the subnormal numbers of f16
    tiny = (x.abs() + 0.5).bitcast(uint32) - 0x3F000000
    found = select(size >= 0x38800000, normal, tiny)
    found = select(size >= 0x477FF000, word.const(0x7C00), found)
    nan = (size >> 13) & 0x3FF | 0x7E00
    found = select(size > 0x7F800000, nan, found)
    return (found | ((word >> 16) & 0x8000)).cast(uint16)
