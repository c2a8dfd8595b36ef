"""What the machine can do: arithmetic and memory traffic, measured by kernels of our own.

    peak        chains of fma that touch no memory, on all threads
    bandwidth   a[i] ← b[i] + s·c[i] (McCalpin, STREAM, 1995) over several sizes: a curve from the
                first cache to memory

The time that a kernel needs at least is max(flops / peak, bytes / bandwidth(bytes)). Measured for
each machine and number of threads, and kept in the cache folder. On a machine that others use, too,
a measurement may be far too low, so each process looks again, shortly: the limits only grow.
"""

from __future__ import annotations

import ctypes
import functools
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from elinvar.core.settings import settings
from elinvar.runtime import native, pool
from elinvar.runtime.cache import cache_key, read_private, write_private
from elinvar.runtime.llvm import vector_bits_of
from elinvar.runtime.memory import allocate
from elinvar.runtime.program import Launch, make_program

_VERSION = "2"
_CHAINS = 12  # independent fma chains: more than latency × units of any current core
_TURNS = 100_000
_SIZES = tuple(1 << power for power in range(17, 30, 2))  # 128 KB … 512 MB in all three arrays
_BLOCK = 1024  # elements at a time
_TRAFFIC = 64 << 20  # bytes that a measurement moves at least
_REPEATS = 40  # the best of so many counts, unless they take longer than
_SECONDS, _AGAIN_SECONDS = 0.2, 0.02  # the first time, and when there is a measurement already


@dataclass(frozen=True)
class Roofline:
    """The limits of the machine with some number of threads.

    Attributes:
        cpu, threads: what was measured.
        single, double: flops per second in float32 and float64.
        sizes, rates: working sets in bytes, and bytes per second at each of them.
    """

    cpu: str
    threads: int
    single: float
    double: float
    sizes: tuple[int, ...]
    rates: tuple[float, ...]

    def bandwidth(self, nbytes: int) -> float:
        """Bytes per second for a working set, between the measured sizes by a straight line.

        Example:
            >>> line = Roofline("", 1, 1e9, 5e8, (1000, 100000), (4e9, 1e9))
            >>> line.bandwidth(10) == 4e9 and line.bandwidth(10**9) == 1e9
            True
            >>> round(line.bandwidth(10_000) / 1e9, 3)
            2.5
        """
        where = np.log([max(1, size) for size in self.sizes])
        return float(np.interp(math.log(max(1, nbytes)), where, self.rates))

    def seconds(self, flops: int, nbytes: int, wide: bool = False) -> tuple[float, str]:
        """The least time for some work, and what bounds it: `compute` or `memory`.

        Example:
            >>> line = Roofline("", 1, 1e9, 5e8, (1, 1000), (1e9, 1e9))
            >>> line.seconds(2000, 1000)
            (2e-06, 'compute')
        """
        arithmetic = flops / (self.double if wide else self.single)
        traffic = nbytes / self.bandwidth(nbytes)
        if arithmetic > traffic:
            return arithmetic, "compute"
        return traffic, "memory"


def roofline() -> Roofline:
    """The limits for the threads that are set now: measured, or from the cache folder."""
    return _roofline(pool.get_num_threads())


def clear() -> None:
    """Delete what was measured from the cache folder: the next process measures anew."""
    folder = settings.cache_dir
    for path in [] if folder is None else folder.glob("roofline-*.json"):
        path.unlink(missing_ok=True)


@functools.cache
def _roofline(threads: int) -> Roofline:
    path = _path(threads)
    known = None if path is None else _read(path, threads)
    found = _measure(threads, _SECONDS if known is None else _AGAIN_SECONDS)
    if known is not None:
        found = _larger(known, found)
    if path is not None and found != known:
        write_private(path, json.dumps(asdict(found)).encode())
    return found


def _larger(a: Roofline, b: Roofline) -> Roofline:
    """The larger of each two limits."""
    rates = tuple(map(max, a.rates, b.rates))
    single, double = max(a.single, b.single), max(a.double, b.double)
    return Roofline(a.cpu, a.threads, single, double, a.sizes, rates)


def _path(threads: int) -> Path | None:
    if settings.cache_dir is None:
        return None
    host = native.host()
    key = cache_key("roofline", _VERSION, host.triple, host.cpu, host.features, str(threads))
    return settings.cache_dir / f"roofline-{key[:20]}.json"


def _read(path: Path, threads: int) -> Roofline | None:
    """What was measured before; None where the file is missing or makes no sense."""
    try:
        entry = json.loads(read_private(path) or b"")
        found = Roofline(
            str(entry["cpu"]),
            int(entry["threads"]),
            float(entry["single"]),
            float(entry["double"]),
            tuple(int(size) for size in entry["sizes"]),
            tuple(float(rate) for rate in entry["rates"]),
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    numbers = (found.single, found.double, *found.rates)
    fits = found.threads == threads and found.sizes == _SIZES and len(found.rates) == len(_SIZES)
    return found if fits and all(0 < n < 1e18 for n in numbers) else None


def _measure(threads: int, limit: float) -> Roofline:
    """`limit`: seconds for each of the measurements."""
    names = {kind: f"elinvar_peak_{kind}" for kind in ("float", "double")}
    addresses = native.load(_TRIAD, ["elinvar_triad"])
    for kind, name in names.items():
        addresses |= native.load(_peak_text(name, kind), [name])
    tasks = 8 * threads
    peaks = {}
    for kind, name in names.items():
        target = allocate(tasks * 64)
        call = make_program([Launch(addresses[name], tasks, [(0, 0)], True)], 1, release=True)
        seconds = _best(functools.partial(call, target.address), limit)
        lanes = _lanes(kind)
        peaks[kind] = 2.0 * _CHAINS * lanes * _TURNS * tasks / seconds
    memory = allocate(_SIZES[-1])
    ctypes.memset(memory.address, 1, _SIZES[-1])  # so that every page has memory of its own
    triad = addresses["elinvar_triad"]
    rates = tuple(_rate(triad, size, memory.address, threads, limit) for size in _SIZES)
    host = native.host()
    return Roofline(host.cpu, threads, peaks["float"], peaks["double"], _SIZES, rates)


def _rate(kernel: int, size: int, address: int, threads: int, limit: float) -> float:
    """Bytes per second over three arrays of `size` bytes in all, of which each thread has a part
    that it goes through again and again."""
    elements = size // 12 // threads // _BLOCK * _BLOCK
    turns = max(1, _TRAFFIC // size)
    array = 4 * elements * threads
    slots = [(0, 0), (0, array), (0, 2 * array), (-1, elements), (-1, turns)]
    call = make_program([Launch(kernel, threads, slots, True)], 1, release=True)
    return 3.0 * array * turns / _best(functools.partial(call, address), limit)


def _best(run: Callable[[], None], limit: float) -> float:
    """The shortest of some runs after a first one."""
    run()
    seconds: list[float] = []
    while len(seconds) < _REPEATS and sum(seconds) < limit:
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def _lanes(kind: str) -> int:
    return vector_bits_of(native.host()) // (32 if kind == "float" else 64)


def _peak_text(name: str, kind: str) -> str:
    """A kernel whose tasks run `_CHAINS` chains of `_TURNS` fma and store their sum."""
    lanes = _lanes(kind)
    vector = f"<{lanes} x {kind}>"
    fma = f"@llvm.fma.v{lanes}f{32 if kind == 'float' else 64}"
    number = f"splat ({kind} 5.0e-01)"
    lines = [
        f"declare {vector} {fma}({vector}, {vector}, {vector})",
        f"define void @{name}(ptr %slots, i64 %begin, i64 %end) nounwind",
        '    "prefer-vector-width"="512" "min-legal-vector-width"="512" {',
        "entry:",
        "  %target = load ptr, ptr %slots",
        "  br label %task",
        "task:",
        "  %i = phi i64 [ %begin, %entry ], [ %next_i, %stored ]",
        "  %left = icmp slt i64 %i, %end",
        "  br i1 %left, label %turn, label %done",
        "turn:",
        "  %k = phi i64 [ 0, %task ], [ %next_k, %turn ]",
    ]
    for chain in range(_CHAINS):
        start = f"splat ({kind} {chain}.0)"
        lines.append(f"  %x{chain} = phi {vector} [ {start}, %task ], [ %y{chain}, %turn ]")
    for chain in range(_CHAINS):
        arguments = f"{vector} %x{chain}, {vector} {number}, {vector} {number}"
        lines.append(f"  %y{chain} = call {vector} {fma}({arguments})")
    lines += [
        "  %next_k = add i64 %k, 1",
        f"  %more = icmp slt i64 %next_k, {_TURNS}",
        "  br i1 %more, label %turn, label %stored",
        "stored:",
    ]
    total = "%y0"
    for chain in range(1, _CHAINS):
        lines.append(f"  %s{chain} = fadd {vector} {total}, %y{chain}")
        total = f"%s{chain}"
    lines += [
        "  %offset = mul i64 %i, 64",
        "  %at = getelementptr i8, ptr %target, i64 %offset",
        f"  store {vector} {total}, ptr %at, align 8",
        "  %next_i = add i64 %i, 1",
        "  br label %task",
        "done:",
        "  ret void",
        "}",
    ]
    return "\n".join(lines) + "\n"


_TRIAD = """
declare <16 x float> @llvm.fma.v16f32(<16 x float>, <16 x float>, <16 x float>)

; Task t: its `elements` of a ← b + 3 c, `turns` times.
define void @elinvar_triad(ptr %slots, i64 %begin, i64 %end) nounwind
    "prefer-vector-width"="512" "min-legal-vector-width"="512" {
entry:
  %a = load ptr, ptr %slots
  %b_at = getelementptr i64, ptr %slots, i64 1
  %b = load ptr, ptr %b_at
  %c_at = getelementptr i64, ptr %slots, i64 2
  %c = load ptr, ptr %c_at
  %elements_at = getelementptr i64, ptr %slots, i64 3
  %elements = load i64, ptr %elements_at
  %turns_at = getelementptr i64, ptr %slots, i64 4
  %turns = load i64, ptr %turns_at
  %first = mul i64 %begin, %elements
  %last = mul i64 %end, %elements
  br label %turn
turn:
  %k = phi i64 [ 0, %entry ], [ %next_k, %turned ]
  %more = icmp slt i64 %k, %turns
  br i1 %more, label %look, label %done
look:
  %i = phi i64 [ %first, %turn ], [ %next, %step ]
  %left = icmp slt i64 %i, %last
  br i1 %left, label %step, label %turned
step:
  %i0 = add i64 %i, 0
  %from_b0 = getelementptr float, ptr %b, i64 %i0
  %x0 = load <16 x float>, ptr %from_b0, align 4
  %from_c0 = getelementptr float, ptr %c, i64 %i0
  %y0 = load <16 x float>, ptr %from_c0, align 4
  %z0 = call <16 x float> @llvm.fma.v16f32(<16 x float> %y0, <16 x float> splat (float 3.0),
                                           <16 x float> %x0)
  %to0 = getelementptr float, ptr %a, i64 %i0
  store <16 x float> %z0, ptr %to0, align 4
  %i1 = add i64 %i, 16
  %from_b1 = getelementptr float, ptr %b, i64 %i1
  %x1 = load <16 x float>, ptr %from_b1, align 4
  %from_c1 = getelementptr float, ptr %c, i64 %i1
  %y1 = load <16 x float>, ptr %from_c1, align 4
  %z1 = call <16 x float> @llvm.fma.v16f32(<16 x float> %y1, <16 x float> splat (float 3.0),
                                           <16 x float> %x1)
  %to1 = getelementptr float, ptr %a, i64 %i1
  store <16 x float> %z1, ptr %to1, align 4
  %i2 = add i64 %i, 32
  %from_b2 = getelementptr float, ptr %b, i64 %i2
  %x2 = load <16 x float>, ptr %from_b2, align 4
  %from_c2 = getelementptr float, ptr %c, i64 %i2
  %y2 = load <16 x float>, ptr %from_c2, align 4
  %z2 = call <16 x float> @llvm.fma.v16f32(<16 x float> %y2, <16 x float> splat (float 3.0),
                                           <16 x float> %x2)
  %to2 = getelementptr float, ptr %a, i64 %i2
  store <16 x float> %z2, ptr %to2, align 4
  %i3 = add i64 %i, 48
  %from_b3 = getelementptr float, ptr %b, i64 %i3
  %x3 = load <16 x float>, ptr %from_b3, align 4
  %from_c3 = getelementptr float, ptr %c, i64 %i3
  %y3 = load <16 x float>, ptr %from_c3, align 4
  %z3 = call <16 x float> @llvm.fma.v16f32(<16 x float> %y3, <16 x float> splat (float 3.0),
                                           <16 x float> %x3)
  %to3 = getelementptr float, ptr %a, i64 %i3
  store <16 x float> %z3, ptr %to3, align 4
  %next = add i64 %i, 64
  br label %look
turned:
  %next_k = add i64 %k, 1
  br label %turn
done:
  ret void
}
"""
