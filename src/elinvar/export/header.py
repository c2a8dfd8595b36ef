"""The C header of an exported function."""

from __future__ import annotations

import re

from elinvar.core.shapes import Dim, format_shape
from elinvar.core.types import TensorType
from elinvar.export.interface import Interface, Port
from elinvar.export.layout import HEADER_BYTES, Layout, offsets_of
from elinvar.export.status import MEANING, Status

_C_TYPES = {
    "bool": "uint8_t", "f16": "uint16_t", "bf16": "uint16_t", "f32": "float", "f64": "double",
    "c64": "float", "c128": "double",
}  # fmt: skip
_BITS = {"f16": "bits of a float16", "bf16": "bits of a bfloat16", "bool": "0 or 1",
         "c64": "real and imaginary parts", "c128": "real and imaginary parts"}  # fmt: skip


def c_type(kind: TensorType) -> str:
    """The type of an element in C."""
    short = kind.dtype.short
    known = _C_TYPES.get(short)
    if known is not None:
        return known
    return f"{'u' if kind.dtype.kind == 'u' else ''}int{kind.dtype.bits}_t"


def header_text(
    name: str, interface: Interface, layout: Layout, target: str, version: str, inside: bool
) -> str:
    """The header. `inside`: whether the object file holds the weights."""
    guard = f"{name.upper()}_H"
    parts = [
        _top(name, interface, target, version),
        f"#ifndef {guard}\n#define {guard}\n",
        "#include <stddef.h>\n#include <stdint.h>\n",
        '#ifdef __cplusplus\nextern "C" {\n#endif\n',
        _statuses(name),
        _sizes(name, layout),
        _pointers(name, "inputs", "const ", interface.inputs, "What the function reads."),
        _pointers(name, "results", "", interface.results, "Where the results go."),
        _threads(name),
        _weights(name, interface, layout, inside),
        _functions(name, layout),
        "#ifdef __cplusplus\n}\n#endif\n",
        f"#endif /* {guard} */\n",
    ]
    return "\n".join(part for part in parts if part)


def _comment(text: str) -> str:
    lines = text.strip().split("\n")
    if len(lines) == 1:
        return f"/* {lines[0]} */"
    return "\n".join(["/*", *(f" * {line}".rstrip() for line in lines), " */"])


def _top(name: str, interface: Interface, target: str, version: str) -> str:
    takes = "\n".join(f"  {p.name}: {p.type}" for p in interface.inputs) or "  nothing"
    gives = "\n".join(f"  {p.name}: {p.type}" for p in interface.results) or "  nothing"
    return _comment(
        f"{name}: the function {interface.name}, compiled for {target} by Elinvar {version}.\n\n"
        f"takes\n{takes}\ngives\n{gives}\n\n"
        "Tensors are dense and row-major (C order). The function keeps nothing between calls but\n"
        "what it writes into the weights; it is reentrant if each thread has an arena (and, where\n"
        "the function changes its weights, weights) of its own."
    )


def _statuses(name: str) -> str:
    upper = name.upper()
    lines = [
        f"  {upper}_{status.name} = {status.value}, /* {MEANING[status].replace('NAME', name)} */"
        for status in Status
    ]
    cases = "\n".join(
        f'    case {upper}_{status.name}: return "{MEANING[status].replace("NAME", name)}";'
        for status in Status
    )
    listed = "\n".join(lines)
    return (
        f"/* What {name}_run returns. */\ntypedef enum {{\n{listed}\n}} {name}_status;\n\n"
        f"static inline const char *{name}_message(int status) {{\n  switch (status) {{\n{cases}\n"
        f'    default: return "unknown status";\n  }}\n}}\n'
    )


def _sizes(name: str, layout: Layout) -> str:
    if not layout.dims:
        lines = ["  int64_t unused; /* all sizes are fixed: pass NULL */"]
    else:
        lines = [
            f"  int64_t {dim}; /* {low} … {'any' if high is None else high} */"
            for dim, (low, high) in layout.dims.items()
        ]
    listed = "\n".join(lines)
    return (
        "/* The sizes that change from call to call. */\n"
        f"typedef struct {{\n{listed}\n}} {name}_sizes;\n"
    )


def _pointers(name: str, kind: str, const: str, ports: list[Port], about: str) -> str:
    lines = [
        f"  {const}{c_type(port.type)} *{port.name}; /* {describe(port.type)} */" for port in ports
    ]
    listed = "\n".join(lines or ["  void *unused; /* there are none: pass NULL */"])
    return f"/* {about} */\ntypedef struct {{\n{listed}\n}} {name}_{kind};\n"


def describe(kind: TensorType) -> str:
    """A type in words: `float32 [batch,784]`."""
    text = f"{kind.dtype.name} {format_shape(kind.shape)}"
    note = _BITS.get(kind.dtype.short)
    return f"{text}, {note}" if note else text


def _threads(name: str) -> str:
    return (
        _comment(
            "Threads of the caller's, if wanted. run(pool, task, slots, tasks) must call\n"
            "task(slots, first, end) for ranges that cover 0 … tasks once, from any threads, and\n"
            "return when all are done. Results do not depend on how the ranges are cut."
        )
        + f"\ntypedef struct {{\n"
        "  void (*run)(void *pool, void (*task)(void *slots, int64_t first, int64_t end),\n"
        "              void *slots, int64_t tasks);\n"
        f"  void *pool; /* given to run */\n}} {name}_threads;\n"
    )


def _weights(name: str, interface: Interface, layout: Layout, inside: bool) -> str:
    upper = name.upper()
    lines = [f"#define {upper}_WEIGHTS_BYTES {layout.weights_bytes}"]
    changed = False
    for weight, offset in zip(interface.weights, offsets_of(interface.weights)[0], strict=True):
        changed |= weight.becomes is not None
        mark = ", changed by each call" if weight.becomes is not None else ""
        about = f"{describe(weight.type)}{mark}"
        lines.append(f"#define {upper}_{_upper(weight.name)}_OFFSET {offset} /* {about} */")
    if not layout.weights_bytes:
        text = "The function has no weights: pass NULL and 0."
        return f"{_comment(text)}\n{lines[0]}\n"
    where = f"the file {name}.weights"
    if inside:
        where = f"{name}_weights_data below"
    text = (
        f"The weights: {layout.weights_bytes} bytes, from {where}, in memory that begins at a\n"
        f"multiple of 64 bytes. The first {HEADER_BYTES} bytes tell for which function they are."
    )
    text += (
        "\nEach call changes some of them in place, so the memory must be writable."
        if changed
        else "\nNo call changes them, so they may be read-only memory."
    )
    data = f"\nextern const unsigned char {name}_weights_data[];" if inside else ""
    return "\n".join([_comment(text), *lines]) + data + "\n"


def _upper(name: str) -> str:
    return re.sub(r"\W", "_", name).upper()


def _functions(name: str, layout: Layout) -> str:
    fixed = ", which are fixed: pass NULL" if not layout.dims else ""
    return (
        _comment(
            f"How many bytes of scratch memory a call needs for these sizes{fixed}.\n"
            f"Below zero: minus a {name}_status."
        )
        + f"\nint64_t {name}_arena_bytes(const {name}_sizes *sizes);\n\n"
        + _comment(
            "Run the function.\n\n"
            "arena    scratch memory that begins at a multiple of 64 bytes; its content does not\n"
            "         matter before and after\n"
            "weights  see above\n"
            "threads  NULL: on the calling thread alone\n\n"
            f"Returns a {name}_status. Unless that is {name.upper()}_OK, nothing was written."
        )
        + f"\nint {name}_run(const {name}_sizes *sizes, const {name}_inputs *inputs,\n"
        f"    const {name}_results *results, void *weights, int64_t weights_bytes,\n"
        f"    void *arena, int64_t arena_bytes, const {name}_threads *threads);\n"
    )


__all__ = ["Dim", "c_type", "describe", "header_text"]
