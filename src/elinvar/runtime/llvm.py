"""LLVM text to optimised text, assembler text or object code, for the host and other targets.

LLVM is loaded on first use, which keeps `import elinvar` fast. Every text is compiled in a context
of its own, so several threads may compile at the same time. llvmlite guards each call of LLVM with
one lock; the two calls that take all the time are made without it, as LLVM allows for separate
contexts.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib
import os
import tempfile
import threading
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from elinvar.codegen.stand_ins import with_stand_ins
from elinvar.core.errors import CompileError, ValueRangeError, fail
from elinvar.core.settings import settings

PIPELINE = "no unrolling"
"""What `_optimise` does beyond LLVM's level."""
QUICK = -1
"""The level of code that must be there soon: no passes, and instructions as they come. It takes a
fifth to a twentieth of the time that level 3 takes, and runs several times slower."""
# What some machines lack: in the keys stands what takes its place there.
_LACKING = """
  %a = call float @llvm.fma.f32(float %x, float %x, float %x)
  %v = call <4 x float> @llvm.fma.v4f32(<4 x float> %w, <4 x float> %w, <4 x float> %w)
  %b = call double @llvm.fma.f64(double %y, double %y, double %y)
  %c = fpext half %z to float
  %d = fptrunc float %x to half
  %e = lshr i8 %m, %n
"""


@dataclass(frozen=True, slots=True)
class Target:
    """What code is generated for: LLVM's triple, the name of the CPU and its features."""

    triple: str
    cpu: str
    features: str


# The levels of x86-64: bits of their vectors, and whether they have fma.
X86_LEVELS = {"x86-64-v2": (128, False), "x86-64-v3": (256, True), "x86-64-v4": (512, True)}
# What each of them adds to the level before, in LLVM's words.
_ADDED = {
    "x86-64-v2": "cx16 sahf popcnt sse3 ssse3 sse4.1 sse4.2",
    "x86-64-v3": "avx avx2 bmi bmi2 f16c fma lzcnt movbe",
    "x86-64-v4": "avx512f avx512bw avx512cd avx512dq avx512vl",
}


def vector_bits_of(target: Target) -> int:
    """The widest vectors that the instruction set computes with."""
    level = X86_LEVELS.get(target.cpu) if target.triple.startswith("x86_64") else None
    if level is not None:
        return level[0]
    features = target.features.split(",")
    if "+avx512f" in features and "+avx512vl" in features:
        return 512
    return 256 if "+avx2" in features else 128


def has_fma(target: Target) -> bool:
    """Whether the instruction set has fma.

    Example:
        >>> has_fma(Target("x86_64-unknown-linux-gnu", "x86-64-v2", ""))
        False
    """
    if target.triple.startswith("x86_64"):
        level = X86_LEVELS.get(target.cpu)
        return level[1] if level is not None else "+fma" in target.features.split(",")
    return not target.triple.startswith("wasm")


def has_half(target: Target) -> bool:
    """Whether the instruction set converts between f16 and f32.

    Example:
        >>> has_half(Target("riscv64-unknown-linux-gnu", "generic-rv64", "+d"))
        False
    """
    features = target.features.split(",")
    if target.triple.startswith("x86_64"):
        level = X86_LEVELS.get(target.cpu)
        return level[1] if level is not None else "+f16c" in features
    if target.triple.startswith("riscv"):
        return "+zfhmin" in features or "+zfh" in features
    return not target.triple.startswith("wasm")


def has_all(target: Target) -> tuple[bool, bool, bool]:
    """What `with_stand_ins` asks: fma, float16, and shifts of less than 32 bits that are right."""
    return has_fma(target), has_half(target), not target.triple.startswith("wasm")


class _Machines(threading.local):
    """The target machines of a thread: LLVM does not let threads share them."""

    def __init__(self) -> None:
        self.by_target: dict[tuple[Target, bool], Any] = {}


_machines = _Machines()


@functools.cache
def binding() -> Any:
    """llvmlite's binding of LLVM, imported and made ready on first use."""
    llvm = importlib.import_module("llvmlite.binding")
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm


@functools.cache
def this_machine() -> Target:
    """The machine we run on, with all that it can do."""
    llvm = binding()
    return Target(
        llvm.get_process_triple(),
        llvm.get_host_cpu_name(),
        llvm.get_host_cpu_features().flatten(),
    )


@functools.cache
def host() -> Target:
    """What is compiled for by default: the machine we run on, or the instruction set that
    `ELINVAR_CPU` names.

    Raises:
        ValueRangeError: there is no such instruction set, or the machine does not have it.
    """
    name, own = settings.cpu, this_machine()
    if name == "host":
        return own
    if name not in X86_LEVELS:
        known = ", ".join(("host", *X86_LEVELS))
        fail(ValueRangeError, "ELINVAR_CPU", f"unknown instruction set {name!r}; known: {known}")
    missing = _missing(name, own)
    if missing:
        hint = "`host` compiles for the machine as it is"
        what = f"this machine ({own.cpu}) cannot run {name}: it has no {', '.join(missing)}"
        fail(ValueRangeError, "ELINVAR_CPU", what, hint)
    return Target(own.triple, name, "")


def _missing(level: str, own: Target) -> list[str]:
    """What a machine lacks of a level of x86-64."""
    if not own.triple.startswith("x86_64"):
        return ["instruction of x86-64"]
    levels = list(X86_LEVELS)
    wanted = " ".join(_ADDED[name] for name in levels[: levels.index(level) + 1]).split()
    has = set(own.features.split(","))
    return [feature for feature in wanted if f"+{feature}" not in has]


@functools.cache
def llvm_version() -> str:
    """The version of LLVM that compiles, such as `22.1.0`."""
    return ".".join(str(number) for number in binding().llvm_version_info)


@functools.cache
def pipeline_of(target: Target) -> str:
    """What becomes of a text besides LLVM's level; part of the keys of the disk cache."""
    given, level = has_all(target), settings.llvm_level
    pipeline = PIPELINE if level == 3 else f"{PIPELINE}, level {level} at most"
    return pipeline if all(given) else pipeline + with_stand_ins(_LACKING, *given)


def target_machine(target: Target, jit: bool = False, quick: bool = False) -> Any:
    """A fresh target machine: position-independent code for the small code model. With `quick` it
    selects instructions one by one and keeps values in memory."""
    llvm = binding()
    if target.triple != this_machine().triple:
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
    abi = "lp64d" if target.triple.startswith("riscv64") else ""
    return llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu,
        features=target.features,
        opt=0 if quick or not settings.llvm_level else 3,
        reloc="pic",
        codemodel="small",
        jit=jit,
        abiname=abi,
    )


def _machine(target: Target, quick: bool = False) -> Any:
    machine = _machines.by_target.get((target, quick))
    if machine is None:
        machine = _machines.by_target[target, quick] = target_machine(target, quick=quick)
    return machine


def object_code(text: str, target: Target | None = None, level: int = 3) -> bytes:
    """The relocatable object file of a module.

    Args:
        text: an LLVM module.
        target: what to generate code for, by default the host.
        level: how hard LLVM tries, 0 … 3, or `QUICK`.

    Raises:
        CompileError: LLVM refuses the text.

    Example:
        >>> code = object_code("define void @nothing() { ret void }")
        >>> len(code) > 100
        True
    """
    target = target or host()
    with _optimised_module(text, target, level) as module:
        return _emit(_machine(target, level == QUICK), module, True)


def linked_code(texts: Iterable[str], target: Target, public: Container[str]) -> bytes:
    """One object file of several modules, in which only the `public` names are seen from outside.

    Raises:
        CompileError: LLVM refuses a text, or two define the same name.
    """
    llvm = binding()
    with contextlib.ExitStack() as stack:
        context = stack.enter_context(contextlib.closing(llvm.create_context()))
        whole = stack.enter_context(
            contextlib.closing(llvm.parse_assembly("", context=context))
        )
        machine = _machine(target)
        whole.triple, whole.data_layout = target.triple, str(machine.target_data)
        for text in texts:
            text = with_stand_ins(text, has_fma(target), has_half(target))
            try:
                module = llvm.parse_assembly(text, context=context)
                module.triple, module.data_layout = whole.triple, whole.data_layout
                whole.link_in(module)
            except RuntimeError as error:
                refuse(text, str(error))
        for value in (*whole.functions, *whole.global_variables):
            if not value.is_declaration and value.name not in public:
                value.linkage = "internal"
        whole.verify()
        _optimise(whole, machine, 3)
        return _emit(machine, whole, True)


def assembly(text: str, target: Target | None = None) -> str:
    """The optimised machine code of a module as assembler text."""
    target = target or host()
    with _optimised_module(text, target, 3) as module:
        return _emit(_machine(target), module, False).decode()


def optimized(text: str, target: Target | None = None) -> str:
    """The LLVM text of a module after optimisation."""
    with _optimised_module(text, target or host(), 3) as module:
        return str(module)


def refuse(text: str, reason: str) -> NoReturn:
    """Raise the CompileError of a text, which is written to a file that the error names."""
    descriptor, path = tempfile.mkstemp(prefix="elinvar-", suffix=".ll")
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    hint = f"the text is in {path}"
    fail(CompileError, "compile", f"LLVM refused a text: {reason.strip()}", hint)


@contextlib.contextmanager
def _optimised_module(text: str, target: Target, level: int) -> Iterator[Any]:
    """The optimised module of a text, for as long as the context lasts.

    What LLVM made is freed here in the right order; the garbage collector would not keep to it.
    """
    llvm = binding()
    refusal = ""
    text = with_stand_ins(text, *has_all(target))
    with contextlib.ExitStack() as stack:
        context = stack.enter_context(contextlib.closing(llvm.create_context()))
        try:
            module = llvm.parse_assembly(text, context=context)
            stack.enter_context(contextlib.closing(module))
            module.verify()
        except RuntimeError as error:
            refusal = str(error)
        else:
            module.triple = target.triple
            machine = _machine(target, level == QUICK)
            module.data_layout = str(machine.target_data)
            if level != QUICK:
                _optimise(module, machine, level)
            yield module
    if refusal:
        refuse(text, refusal)


def _optimise(module: Any, machine: Any, level: int) -> None:
    """Run LLVM's passes, without unrolling: our texts are unrolled where that pays, and LLVM's own
    took half of the time of a compilation and gained nothing (measured on whole training steps)."""
    llvm = binding()
    with contextlib.ExitStack() as stack:
        level = min(level, settings.llvm_level)
        options = llvm.create_pipeline_tuning_options(speed_level=level)
        options.loop_unrolling = False
        builder = llvm.create_pass_builder(machine, options)
        for thing in (options, builder):
            stack.enter_context(contextlib.closing(thing))
        passes = stack.enter_context(contextlib.closing(builder.getModulePassManager()))
        _unlocked("LLVMPY_RunNewModulePassManager")(passes, module, builder)


def _emit(machine: Any, module: Any, as_object: bool) -> bytes:
    library = binding().ffi.lib
    with binding().ffi.OutputString() as reason:
        emit = _unlocked("LLVMPY_TargetMachineEmitToMemory")
        memory = emit(machine, module, int(as_object), reason)
        if not memory:
            fail(CompileError, "compile", f"LLVM emitted no code: {reason}")
    try:
        start = library.LLVMPY_GetBufferStart(memory)
        return ctypes.string_at(start, library.LLVMPY_GetBufferSize(memory))
    finally:
        library.LLVMPY_DisposeMemoryBuffer(memory)


def _unlocked(name: str) -> Callable[..., Any]:
    """A function of LLVM without llvmlite's lock around it."""
    function = getattr(binding().ffi.lib, name)
    return getattr(function, "_cfn", function)
