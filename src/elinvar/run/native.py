"""LLVM text to machine code in this process.

    text → memory cache → disk cache → parse · verify · optimise · emit → one JIT engine → addresses

Everything goes through LLVM's own object files, so what was compiled once is the same code when
it comes back from the disk. LLVM is loaded on first use, which keeps `import elinvar` fast.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import os
import re
import struct
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from elinvar.core.errors import CompileError, fail
from elinvar.core.settings import settings
from elinvar.run.cache import DiskCache, cache_key

_DEFINED = re.compile(r'^define\b[^@]*@(?:"([^"]+)"|([\w.$-]+))', re.MULTILINE)
# What LLVM itself may call for copies and fills; any other name must have been declared.
_ALLOWED_CALLS = frozenset({"", "memcpy", "memmove", "memset", "_GLOBAL_OFFSET_TABLE_"})


@dataclass(frozen=True, slots=True)
class Target:
    """What code is generated for: LLVM's triple, the name of the CPU and its features."""

    triple: str
    cpu: str
    features: str


class _Engine:
    """The one JIT engine of the process, and what it already holds."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.jit: Any = None
        self.addresses: dict[str, int] = {}  # of every loaded function
        self.owner: dict[str, bytes] = {}  # function name → digest of the text that defines it
        self.loaded: set[bytes] = set()
        self.declared: set[str] = set()
        self.disk = DiskCache(settings.cache_dir)


_engine = _Engine()

# A fork must not happen while another thread is inside of LLVM: the child would wait for ever.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_engine.lock.acquire,
        after_in_parent=_engine.lock.release,
        after_in_child=_engine.lock.release,
    )


@functools.cache
def _llvm() -> Any:
    """The LLVM binding, imported and made ready on first use."""
    binding = importlib.import_module("llvmlite.binding")
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return binding


@functools.cache
def host() -> Target:
    """The machine we run on."""
    llvm = _llvm()
    return Target(
        llvm.get_process_triple(),
        llvm.get_host_cpu_name(),
        llvm.get_host_cpu_features().flatten(),
    )


@functools.cache
def llvm_version() -> str:
    """The version of LLVM that compiles, such as `22.1.0`."""
    return ".".join(str(number) for number in _llvm().llvm_version_info)


def _target_machine(target: Target, jit: bool) -> Any:
    llvm = _llvm()
    if target.triple != host().triple:
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
    abi = "lp64d" if target.triple.startswith("riscv64") else ""
    return llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu,
        features=target.features,
        opt=3,
        reloc="pic",
        codemodel="small",
        jit=jit,
        abiname=abi,
    )


@functools.cache
def _machine(target: Target) -> Any:
    return _target_machine(target, jit=False)


def declare_symbols(symbols: Mapping[str, int]) -> None:
    """Make external functions known to all texts loaded later: name → address."""
    llvm = _llvm()
    with _engine.lock:
        for name, address in symbols.items():
            llvm.add_symbol(name, address)
            _engine.declared.add(name)


def load(text: str, names: Iterable[str], level: int = 3) -> dict[str, int]:
    """Compile a module and give the addresses of its functions.

    A text that was loaded before costs one hash of it. Functions live as long as the process.

    Args:
        text: an LLVM module. Functions that it keeps to itself are `internal`; all others need a
            name that no other text defines.
        names: the functions wanted.
        level: how hard LLVM tries, 0 … 3.

    Raises:
        CompileError: LLVM refuses the text, a name is missing or is defined by another text, or
            the code calls a function that was not declared.

    Example:
        >>> address = load("define i64 @doctest_seven() { ret i64 7 }", ["doctest_seven"])
        >>> import ctypes
        >>> ctypes.CFUNCTYPE(ctypes.c_int64)(address["doctest_seven"])()
        7
    """
    digest = hashlib.sha256(text.encode()).digest()
    wanted = list(names)
    if digest not in _engine.loaded:
        with _engine.lock:
            if digest not in _engine.loaded:
                _load_anew(text, digest, level)
    owner = _engine.owner
    for name in wanted:
        if owner.get(name) != digest:
            fail(CompileError, "compile", f"the text defines no function named {name}")
    return {name: _engine.addresses[name] for name in wanted}


def _load_anew(text: str, digest: bytes, level: int) -> None:
    names = [quoted or plain for quoted, plain in _DEFINED.findall(_without_internal(text))]
    for name in names:
        if name in _engine.owner:
            fail(CompileError, "compile", f"another text already defines a function named {name}")
    target = host()
    key = cache_key(text, str(level), target.triple, target.cpu, target.features, llvm_version())
    code = _engine.disk.get(key)
    if code is None:
        code = object_code(text, level=level)
        _check_calls(code, text)
        _engine.disk.put(key, code)
    jit = _jit()
    jit.add_object_file(_llvm().ObjectFileRef.from_data(code))
    jit.finalize_object()
    for name in names:
        address = jit.get_function_address(name)
        if not address:
            fail(CompileError, "compile", f"LLVM gave no address for {name}")
        _engine.addresses[name] = address
        _engine.owner[name] = digest
    _engine.loaded.add(digest)


def _without_internal(text: str) -> str:
    return re.sub(r"^define\s+(internal|private)\b", "inner", text, flags=re.MULTILINE)


def _jit() -> Any:
    if _engine.jit is None:
        llvm = _llvm()
        # On AArch64 the sections of an object must be side by side, which llvmlite's memory manager
        # sees to. Elsewhere LLVM's own is near enough, and does not abort on objects whose
        # constant sections differ in alignment, as llvmlite's does.
        machine = _target_machine(host(), jit=True)
        together = host().triple.startswith(("aarch64", "arm64"))
        _engine.jit = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine, use_lmm=together)
    return _engine.jit


@contextlib.contextmanager
def _optimised_module(text: str, target: Target, level: int = 3) -> Iterator[Any]:
    """The optimised module of a text, for as long as the context lasts.

    What LLVM made is freed here in the right order; the garbage collector would not keep to it.
    """
    llvm = _llvm()
    refusal = ""
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
            machine = _machine(target)
            module.data_layout = str(machine.target_data)
            _optimise(module, machine, level)
            yield module
    if refusal:
        _refuse(text, refusal)


def _optimise(module: Any, machine: Any, level: int) -> None:
    llvm = _llvm()
    with contextlib.ExitStack() as stack:
        options = llvm.create_pipeline_tuning_options(speed_level=level)
        builder = llvm.create_pass_builder(machine, options)
        for thing in (options, builder):
            stack.enter_context(contextlib.closing(thing))
        passes = stack.enter_context(contextlib.closing(builder.getModulePassManager()))
        passes.run(module, builder)


def object_code(text: str, target: Target | None = None, level: int = 3) -> bytes:
    """The relocatable object file of a module, for the host or another target."""
    target = target or host()
    with _engine.lock, _optimised_module(text, target, level) as module:
        return bytes(_machine(target).emit_object(module))


def assembly(text: str, target: Target | None = None) -> str:
    """The optimised machine code of a module as assembler text."""
    target = target or host()
    with _engine.lock, _optimised_module(text, target) as module:
        return str(_machine(target).emit_assembly(module))


def optimized(text: str, target: Target | None = None) -> str:
    """The LLVM text of a module after optimisation."""
    with _engine.lock, _optimised_module(text, target or host()) as module:
        return str(module)


def _refuse(text: str, reason: str) -> None:
    descriptor, path = tempfile.mkstemp(prefix="elinvar-", suffix=".ll")
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    fail(
        CompileError, "compile", f"LLVM refused a text: {reason.strip()}", f"the text is in {path}"
    )


def _check_calls(code: bytes, text: str) -> None:
    """Refuse code that calls out: the values of ops never come from another library."""
    unknown = sorted(undefined_symbols(code) - _ALLOWED_CALLS - _engine.declared)
    if unknown:
        _refuse(text, f"the code calls {', '.join(unknown)}, which nobody declared")


def undefined_symbols(code: bytes) -> set[str]:
    """The names that an ELF object (64 bit, little endian) takes from elsewhere.

    Object files of other formats give the empty set.
    """
    if code[:6] != b"\x7fELF\x02\x01":
        return set()
    (table,) = struct.unpack_from("<Q", code, 0x28)
    size, count = struct.unpack_from("<HH", code, 0x3A)
    sections = [struct.unpack_from("<IIQQQQIIQQ", code, table + size * i) for i in range(count)]
    names = set()
    for _, kind, _, _, offset, nbytes, link, _, _, entry in sections:
        if kind != 2:  # SHT_SYMTAB
            continue
        strings = sections[link][4]
        for at in range(offset, offset + nbytes, entry):
            name, _, _, section = struct.unpack_from("<IBBH", code, at)
            if section == 0:
                start = strings + name
                names.add(code[start : code.index(b"\0", start)].decode())
    return names
