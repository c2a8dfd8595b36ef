"""The machines that code is generated for, by name.

    x86-64-v2, x86-64-v3, x86-64-v4   the levels of x86-64: SSE 4.2, AVX2 with fma, AVX-512
    aarch64-linux-gnu                 ARMv8-A and nothing on top of it
    riscv64-linux-gnu                 rv64gc, without vectors
    wasm32                            WebAssembly with 128-bit SIMD (not the relaxed one)
    arm64-apple-macos                 the first M1
    host                              the machine we run on

Each has the same bits (docs/numerics.md); what differs is how wide its vectors are, and whether it
has an instruction for fma. Where there is none, `llvm.object_code` puts a sequence of other
instructions in its place.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from elinvar.core.errors import CompileError, fail
from elinvar.runtime.llvm import X86_LEVELS, Target, has_fma, host, vector_bits_of


@dataclass(frozen=True, slots=True)
class NamedTarget:
    """A kind of machine.

    Attributes:
        name: what users call it.
        target: LLVM's triple, CPU and features.
        vector_bits: the widest vectors that kernels are written for.
        has_fma: whether there is an instruction for fma.
        pointer_bits: 64 or 32.
        compiler: the usual C compiler for it, as a command; None for the host's own.
        linker: the command that makes a shared library of object files.
        runs: the command that runs its programs on another machine, where there is one.
    """

    name: str
    target: Target
    vector_bits: int
    has_fma: bool
    pointer_bits: int
    compiler: tuple[str, ...]
    linker: tuple[str, ...]
    runs: tuple[str, ...] = ()


def _x86(level: str) -> NamedTarget:
    bits, has_fma = X86_LEVELS[level]
    target = Target("x86_64-unknown-linux-gnu", level, "")
    compiler = ("x86_64-linux-gnu-gcc", f"-march={level}")
    linker = ("x86_64-linux-gnu-gcc", "-shared")
    return NamedTarget(level, target, bits, has_fma, 64, compiler, linker, ("qemu-x86_64",))


_TARGETS = (
    *map(_x86, X86_LEVELS),
    NamedTarget(
        "aarch64-linux-gnu", Target("aarch64-unknown-linux-gnu", "generic", "+neon"),
        128, True, 64, ("aarch64-linux-gnu-gcc",), ("aarch64-linux-gnu-gcc", "-shared"),
        ("qemu-aarch64",),
    ),
    NamedTarget(
        "riscv64-linux-gnu",
        Target("riscv64-unknown-linux-gnu", "generic-rv64", "+m,+a,+f,+d,+c,+zicsr,+zifencei"),
        128, True, 64, ("riscv64-linux-gnu-gcc",), ("riscv64-linux-gnu-gcc", "-shared"),
        ("qemu-riscv64",),
    ),
    NamedTarget(
        "wasm32", Target("wasm32-unknown-unknown", "generic", "+simd128,+bulk-memory"),
        128, False, 32, ("clang", "--target=wasm32"), ("wasm-ld", "--no-entry"), ("node",),
    ),
    NamedTarget(
        "arm64-apple-macos", Target("arm64-apple-macosx11.0.0", "apple-m1", "+neon"),
        128, True, 64, ("clang", "-arch", "arm64"), ("clang", "-arch", "arm64", "-dynamiclib"),
    ),
)  # fmt: skip
_BY_NAME = {named.name: named for named in _TARGETS}
NAMES = (*_BY_NAME, "host")


def target_named(name: str) -> NamedTarget:
    """The kind of machine of that name.

    Raises:
        CompileError: there is none; the error lists those that there are.

    Example:
        >>> target_named("x86-64-v3").vector_bits, target_named("wasm32").has_fma
        (256, False)
    """
    if name == "host":
        return _host()
    found = _BY_NAME.get(name)
    if found is None:
        close = difflib.get_close_matches(name, NAMES, 1)
        hint = f"did you mean {close[0]}?" if close else "`host` is the machine we run on"
        fail(CompileError, "target", f"unknown target {name!r}; known: {', '.join(NAMES)}", hint)
    return found


def _host() -> NamedTarget:
    target = host()
    bits = vector_bits_of(target)
    compiler, linker = ("cc",), ("cc", "-shared")
    return NamedTarget("host", target, bits, has_fma(target), 64, compiler, linker)
