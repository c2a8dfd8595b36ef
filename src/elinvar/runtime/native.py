"""Native functions in this process.

    text → memory cache → disk cache → LLVM (`llvm.py`) → one JIT engine → addresses

Everything goes through LLVM's own object files, so what was compiled once is the same code when
it comes back from the disk.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from elinvar.core.errors import CompileError, fail
from elinvar.core.settings import settings
from elinvar.runtime.cache import DiskCache, cache_key
from elinvar.runtime.joining import joined
from elinvar.runtime.llvm import (
    QUICK,
    Target,
    assembly,
    binding,
    host,
    llvm_version,
    object_code,
    optimized,
    pipeline_of,
    refuse,
    target_machine,
)
from elinvar.runtime.objects import undefined_symbols
from elinvar.runtime.progress import Progress

__all__ = [
    "QUICK",
    "Target",
    "assembly",
    "declare_symbols",
    "host",
    "load",
    "object_code",
    "optimized",
    "prepare",
    "undefined_symbols",
]

_DEFINED = re.compile(r'^define\b[^@]*@(?:"([^"]+)"|([\w.$-]+))', re.MULTILINE)
_INTERNAL = re.compile(r"^define\s+(internal|private)\b", re.MULTILINE)
_PREPARED_BYTES = 64 << 20
_QUICK_NAME = ".quick"  # what the names of functions end with where their code is `QUICK`
# What LLVM itself may call for copies and fills; any other name must have been declared.
_ALLOWED_CALLS = frozenset({"memcpy", "memmove", "memset", "_GLOBAL_OFFSET_TABLE_"})


class _Engine:
    """The one JIT engine of the process, and what it already holds."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.jit: Any = None
        self.addresses: dict[str, int] = {}  # of every loaded function
        self.owner: dict[str, bytes] = {}  # function name → identity of the code that defines it
        self.loaded: set[bytes] = set()  # identities
        self.prepared: dict[bytes, bytes] = {}  # identity → object code; see `_keep`
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


def declare_symbols(symbols: Mapping[str, int]) -> None:
    """Make external functions known to all texts loaded later: name → address."""
    llvm = binding()
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
        level: how hard LLVM tries, 0 … 3, or `QUICK`; code of that kind may be loaded beside
            other code of the same text.

    Raises:
        CompileError: LLVM refuses the text, a name is missing or is defined by another text, or
            the code calls a function that was not declared.

    Example:
        >>> address = load("define i64 @doctest_seven() { ret i64 7 }", ["doctest_seven"])
        >>> import ctypes
        >>> ctypes.CFUNCTYPE(ctypes.c_int64)(address["doctest_seven"])()
        7
    """
    identity = _identity(text_digest(text), level)
    wanted = list(names)
    if identity not in _engine.loaded:
        with _engine.lock:
            if identity not in _engine.loaded:
                _load_anew(text, identity, level)
    owner = _engine.owner
    for name in wanted:
        if owner.get(_name(name, level)) != identity:
            fail(CompileError, "compile", f"the text defines no function named {name}")
    return {name: _engine.addresses[_name(name, level)] for name in wanted}


def load_stored(digest: bytes, name: str, level: int = 3) -> int | None:
    """The address of a function whose text is known by its digest alone; None where its code is
    neither loaded nor in the disk cache."""
    identity, name = _identity(digest, level), _name(name, level)
    with _engine.lock:
        if identity not in _engine.loaded:
            code = _engine.prepared.pop(identity, None) or _engine.disk.get(_key(digest, level))
            if code is None or name in _engine.owner:
                return None
            _link(code, [name], identity)
        return _engine.addresses[name] if _engine.owner.get(name) == identity else None


def is_at_hand(digest: bytes, level: int = 3) -> bool:
    """Whether the code of a text with this digest need not be compiled."""
    identity = _identity(digest, level)
    if identity in _engine.loaded or identity in _engine.prepared:
        return True
    path = _engine.disk.path(_key(digest, level))
    return path is not None and path.exists()


def _identity(digest: bytes, level: int) -> bytes:
    """What code is known by: the digest of its text, and whether it is `QUICK`."""
    return digest + b"quick" if level == QUICK else digest


def _name(name: str, level: int) -> str:
    return name + _QUICK_NAME if level == QUICK else name


def _text_for(text: str, level: int) -> str:
    """The text to compile: the engine knows no two functions of one name."""
    if level == QUICK:
        for name in _names(text):
            text = re.sub(rf"@{re.escape(name)}\b", f"@{name}{_QUICK_NAME}", text)
    return text


def _names(text: str) -> list[str]:
    """The functions that others may call."""
    return [quoted or plain for quoted, plain in _DEFINED.findall(_INTERNAL.sub("inner", text))]


def stored(key: str) -> bytes | None:
    """An entry of the disk cache that is not object code."""
    return _engine.disk.get(key)


def store(key: str, data: bytes) -> None:
    """Keep an entry in the disk cache."""
    _engine.disk.put(key, data)


def prepare(texts: Iterable[str], level: int = 3, threads: int = settings.num_threads) -> None:
    """Compile what `load` will be asked for, several texts at the same time.

    Texts that are loaded or in the disk cache cost next to nothing. A text that LLVM refuses is
    left for `load` to complain about.

    Example:
        >>> prepare([f"define i64 @doctest_{i}() {{ ret i64 {i} }}" for i in range(3)])
    """
    with _engine.lock:
        missing: dict[bytes, tuple[str, str]] = {}
        for text in texts:
            digest = text_digest(text)
            identity = _identity(digest, level)
            if identity in missing or identity in _engine.loaded or identity in _engine.prepared:
                continue
            key = _key(digest, level)
            code = _engine.disk.get(key)
            if code is None:
                missing[identity] = text, key
            else:
                _keep(identity, code)
        if len(missing) > 1:
            _compile_together(missing, level, threads)


def _compile_together(missing: dict[bytes, tuple[str, str]], level: int, threads: int) -> None:
    todo = sorted(missing.items(), key=lambda item: len(item[1][0]))  # the longest are taken first
    done: dict[bytes, bytes] = {}

    def work() -> None:
        while True:
            try:
                identity, (text, _) = todo.pop()
            except IndexError:
                return
            try:
                done[identity] = object_code(_text_for(text, level), level=level)
            except CompileError:
                continue
            finally:
                progress.done += 1

    helpers = [threading.Thread(target=work) for _ in range(min(threads, len(todo)) - 1)]
    with Progress(len(todo)) as progress:
        try:
            for helper in helpers:
                helper.start()
            work()
        finally:  # after Ctrl-C too: no thread is left inside of LLVM, and what is done is kept
            todo.clear()
            for helper in helpers:
                if helper.ident is not None:
                    helper.join()
            for identity, code in done.items():
                if not _unknown_calls(code):
                    _engine.disk.put(missing[identity][1], code)
                    _keep(identity, code)


def _keep(identity: bytes, code: bytes) -> None:
    """Hold code until it is loaded; of code that nobody loads the oldest goes."""
    prepared = _engine.prepared
    prepared[identity] = code
    total = sum(map(len, prepared.values()))
    while total > _PREPARED_BYTES and len(prepared) > 1:
        total -= len(prepared.pop(next(iter(prepared))))


def text_digest(text: str) -> bytes:
    """What a text is known by."""
    return hashlib.sha256(text.encode()).digest()


def _key(digest: bytes, level: int) -> str:
    key = cache_key(digest.hex(), str(level), *_machine(), pipeline_of(host()))
    return f"{machine_label()}-{key}"


def _machine() -> tuple[str, ...]:
    target = host()
    return target.triple, target.cpu, target.features, llvm_version()


@functools.cache
def machine_label() -> str:
    """What the cache's keys for this machine and this LLVM begin with."""
    return cache_key(*_machine())[:12]


def _load_anew(text: str, identity: bytes, level: int) -> None:
    names = [_name(name, level) for name in _names(text)]
    for name in names:
        if name in _engine.owner:
            fail(CompileError, "compile", f"another text already defines a function named {name}")
    code = _engine.prepared.pop(identity, None)
    if code is None:
        code = _compile(text, level)
    _link(code, names, identity)


SPARE_MAPS = 4096  # mappings that are left for everything else in the process
CHECKED = 256  # kernels between two looks at the number of mappings


def _need_room() -> None:
    """Refuse a kernel for which the system would give no memory: LLVM ends the process there.

    A loaded kernel takes two mappings of memory, of which Linux allows a process 65,530.
    """
    if len(_engine.loaded) % CHECKED or not _engine.loaded:
        return
    try:
        with open("/proc/sys/vm/max_map_count") as limit, open("/proc/self/maps") as maps:
            most, used = int(limit.read()), sum(1 for _ in maps)
    except (OSError, ValueError):  # not Linux
        return
    if used > most - SPARE_MAPS:
        text = f"{len(_engine.loaded)} kernels fill the memory mappings of this process: {used}"
        hint = "raise vm.max_map_count with sysctl, or spread the work over several processes"
        fail(CompileError, "compile", f"{text} of {most}", hint)


def _link(code: bytes, names: list[str], identity: bytes) -> None:
    """Load object code that is known by this identity."""
    _need_room()
    jit = _jit()
    jit.add_object_file(binding().ObjectFileRef.from_data(joined(code)))
    jit.finalize_object()
    for name in names:
        address = jit.get_function_address(name)
        if not address:
            fail(CompileError, "compile", f"LLVM gave no address for {name}")
        _engine.addresses[name] = address
        _engine.owner[name] = identity
    _engine.loaded.add(identity)


def _compile(text: str, level: int) -> bytes:
    """The object code of a text, from the disk cache if it is there."""
    key = _key(text_digest(text), level)
    code = _engine.disk.get(key)
    if code is None:
        code = object_code(_text_for(text, level), level=level)
        unknown = _unknown_calls(code)
        if unknown:
            refuse(text, f"the code calls {', '.join(unknown)}, which nobody declared")
        _engine.disk.put(key, code)
    return code


def _unknown_calls(code: bytes) -> list[str]:
    """The functions of others that code calls: the values of ops never come from elsewhere."""
    return sorted(undefined_symbols(code) - _ALLOWED_CALLS - _engine.declared)


def _jit() -> Any:
    if _engine.jit is None:
        llvm = binding()
        # On AArch64 the sections of an object must be side by side, which llvmlite's memory manager
        # sees to. Elsewhere `joined` does, and LLVM's own manager does not abort on objects whose
        # constant sections differ in alignment, as llvmlite's does.
        machine = target_machine(host(), jit=True)
        together = host().triple.startswith(("aarch64", "arm64"))
        _engine.jit = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine, use_lmm=together)
    return _engine.jit
