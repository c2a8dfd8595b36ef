"""What the native texts need from the operating system, as LLVM text for the host.

Every text that is made here is the same on each machine of one kind, so that it can be kept in the
disk cache. Where a system has no futex, waiting threads look again after a short sleep.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
import sys
import time
from collections.abc import Iterable
from typing import Any

_MACHINE = platform.machine().lower()
_IS_X86 = _MACHINE in ("x86_64", "amd64")
_IS_ARM = _MACHINE in ("aarch64", "arm64")
_FUTEX_CALL = {"x86_64": 202, "amd64": 202, "aarch64": 98, "riscv64": 98}.get(_MACHINE)
HAS_FUTEX = sys.platform.startswith("linux") and _FUTEX_CALL is not None
MAP_PRIVATE_ANONYMOUS = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
HUGE_PAGES = sys.platform.startswith("linux")
_COARSE_CLOCK = 6  # CLOCK_MONOTONIC_COARSE of Linux: a few ns to read, steps of some ms

_CLOCK = """
; Nanoseconds of a clock that never goes back.
define internal i64 @{name}() nounwind {{
  %time = alloca {{ i64, i64 }}
  %failed = call i32 @clock_gettime(i32 {clock}, ptr %time)
  %seconds = load i64, ptr %time
  %rest_at = getelementptr i64, ptr %time, i64 1
  %rest = load i64, ptr %rest_at
  %whole = mul i64 %seconds, 1000000000
  %sum = add i64 %whole, %rest
  ret i64 %sum
}}
"""

_RELAX = """
declare i32 @sched_yield() nounwind
{declaration}
; Pass the time of one look at a variable: at first within the core, later by letting others run.
define internal void @relax(i64 %round) nounwind {{
  %early = icmp ult i64 %round, {pauses}
  br i1 %early, label %pause, label %yield
pause:
{pause}  ret void
yield:
  %failed = call i32 @sched_yield()
  ret void
}}
"""

_FUTEX = """
declare i64 @syscall(i64, ...) nounwind

; Sleep while the word is `value`, for at most 50 ms if `bounded`, until somebody wakes us.
define internal void @sleep_on(ptr %word, i32 %value, i1 %bounded) nounwind {{
  %limit = alloca {{ i64, i64 }}
  store i64 0, ptr %limit
  %rest_at = getelementptr i64, ptr %limit, i64 1
  store i64 50000000, ptr %rest_at
  %timeout = select i1 %bounded, ptr %limit, ptr null
  %r = call i64 (i64, ...) @syscall(i64 {call}, ptr %word, i32 128, i32 %value, ptr %timeout)
  ret void
}}

define internal void @wake(ptr %word, i32 %most) nounwind {{
  %r = call i64 (i64, ...) @syscall(i64 {call}, ptr %word, i32 129, i32 %most)
  ret void
}}
"""

_NO_FUTEX = """
declare i32 @usleep(i32) nounwind

define internal void @sleep_on(ptr %word, i32 %value, i1 %bounded) nounwind {
  %now = load atomic i32, ptr %word seq_cst, align 4
  %same = icmp eq i32 %now, %value
  br i1 %same, label %sleep, label %done
sleep:
  %failed = call i32 @usleep(i32 200)
  br label %done
done:
  ret void
}

define internal void @wake(ptr %word, i32 %most) nounwind {
  ret void
}
"""


def clock_text(name: str, coarse: bool) -> str:
    """`i64 @name()`: nanoseconds. `coarse`: of the cheapest clock that is good enough for 50 ms;
    otherwise of the clock that `time.monotonic_ns` reads."""
    coarse = coarse and sys.platform.startswith("linux")
    return _CLOCK.format(name=name, clock=_COARSE_CLOCK if coarse else time.CLOCK_MONOTONIC)


def relax_text(pauses: int) -> str:
    """`void @relax(i64 round)`: `pauses` rounds within the core, then `sched_yield`."""
    if _IS_X86:
        declaration = "declare void @llvm.x86.sse2.pause()"
        pause = "  call void @llvm.x86.sse2.pause()\n"
    elif _IS_ARM:
        declaration = "declare void @llvm.aarch64.hint(i32)"
        pause = "  call void @llvm.aarch64.hint(i32 1)\n"
    else:
        declaration, pause = "", ""
    return _RELAX.format(declaration=declaration, pause=pause * 8, pauses=pauses)


def sleep_text() -> str:
    """`void @sleep_on(ptr, i32, i1)` and `void @wake(ptr, i32)`."""
    return _FUTEX.format(call=_FUTEX_CALL) if HAS_FUTEX else _NO_FUTEX


def text_constant(name: str, text: str) -> str:
    """The line that defines `@name` as a C string."""
    data = text.encode()
    escaped = "".join(chr(b) if 32 <= b < 127 and b not in (34, 92) else f"\\{b:02X}" for b in data)
    return f'@{name} = internal constant [{len(data) + 1} x i8] c"{escaped}\\00"'


def python_functions(names: Iterable[str]) -> dict[str, int]:
    """The addresses of functions of Python's C API."""
    return {name: _address(getattr(ctypes.pythonapi, name)) for name in names}


def c_functions() -> dict[str, int]:
    """The addresses of the C functions that the texts call."""
    library = ctypes.CDLL(None)
    names = ["clock_gettime", "sched_yield", "syscall" if HAS_FUTEX else "usleep"]
    names += ["posix_memalign", "pthread_self", "free", "madvise", "mmap", "munmap"]
    return {name: _address(getattr(library, name)) for name in names}


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0
