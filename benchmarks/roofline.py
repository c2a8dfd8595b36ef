"""What the machine can do at most: `python -m benchmarks.roofline [--threads N]`.

Arithmetic: a kernel of our own does nothing but fused multiply-adds on registers, as many chains at
once as hide their latency. Bandwidth: kernels of our own read a buffer, and copy one to another,
that are far larger than any cache. Products of OpenBLAS and of Elinvar run beside them, for a
processor may lower its clock under one kind of load and not under the other: the peak is the best
of all, by name.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import importlib.util
import json
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numpy as np

CHAINS = 24
"""Chains of dependent operations: two units times a latency of four needs eight, and some spare."""
ROUNDS = 7
BUFFER_BYTES = 1 << 28


def _machine() -> Any:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    features = llvm.get_host_cpu_features().flatten()
    return target.create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features, opt=2, jit=True
    )


def lanes() -> int:
    """f32 in one vector register of this machine."""
    features = llvm.get_host_cpu_features()
    if features.get("avx512f"):
        return 16
    return 8 if features.get("avx") else 4


def fma_text(width: int, chains: int = CHAINS) -> str:
    """LLVM text of `float fma(i64 count, float)`: `count` rounds of `chains` vector operations."""
    vector = f"<{width} x float>"
    start = "".join(
        f"  %a{i} = phi {vector} [ splat (float {float(i)}), %entry ], [ %b{i}, %loop ]\n"
        for i in range(chains)
    )
    work = "".join(
        f"  %b{i} = call {vector} @llvm.fma.v{width}f32({vector} %a{i}, {vector} %x, {vector} %y)\n"
        for i in range(chains)
    )
    total = "".join(
        f"  %s{i} = fadd {vector} {f'%s{i - 1}' if i > 1 else '%b0'}, %b{i}\n"
        for i in range(1, chains)
    )
    return f"""
declare {vector} @llvm.fma.v{width}f32({vector}, {vector}, {vector})
define float @fma(i64 %count, float %factor) {{
entry:
  %x0 = insertelement {vector} poison, float %factor, i32 0
  %x = shufflevector {vector} %x0, {vector} poison, <{width} x i32> zeroinitializer
  %y = fsub {vector} splat (float 1.0), %x
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
{start}{work}  %next = add i64 %i, 1
  %more = icmp ult i64 %next, %count
  br i1 %more, label %loop, label %done
done:
{total}  %result = extractelement {vector} %s{chains - 1}, i32 0
  ret float %result
}}
"""


def stream_text(width: int, unroll: int = 8) -> str:
    """LLVM text of `read` and `copy`: `float (ptr to, ptr from, i64 vectors)`."""
    vector, size = f"<{width} x float>", width * 4
    loads = "".join(
        f"  %o{i} = add i64 %i, {i}\n"
        f"  %p{i} = getelementptr {vector}, ptr %from, i64 %o{i}\n"
        f"  %v{i} = load {vector}, ptr %p{i}, align {size}\n"
        for i in range(unroll)
    )
    sums = "".join(f"  %b{i} = fadd {vector} %a{i}, %v{i}\n" for i in range(unroll))
    phis = "".join(
        f"  %a{i} = phi {vector} [ zeroinitializer, %entry ], [ %b{i}, %loop ]\n"
        for i in range(unroll)
    )
    total = "".join(
        f"  %s{i} = fadd {vector} {f'%s{i - 1}' if i > 1 else '%b0'}, %b{i}\n"
        for i in range(1, unroll)
    )
    stores = "".join(
        f"  %q{i} = getelementptr {vector}, ptr %to, i64 %o{i}\n"
        f"  store {vector} %v{i}, ptr %q{i}, align {size}, !nontemporal !0\n"
        for i in range(unroll)
    )
    loop = f"""  %next = add i64 %i, {unroll}
  %more = icmp ult i64 %next, %count
  br i1 %more, label %loop, label %done
done:
"""
    head = """entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
"""
    return f"""
define float @read(ptr %to, ptr %from, i64 %count) {{
{head}{phis}{loads}{sums}{loop}{total}  %result = extractelement {vector} %s{unroll - 1}, i32 0
  ret float %result
}}
define float @copy(ptr %to, ptr %from, i64 %count) {{
{head}{loads}{stores}{loop}  ret float 0.0
}}
!0 = !{{i32 1}}
"""


class Probe:
    """The kernels as machine code of this processor."""

    def __init__(self) -> None:
        self.width = lanes()
        self._machine = _machine()
        text = fma_text(self.width) + stream_text(self.width)
        module = llvm.parse_assembly(text)
        module.verify()
        self._engine = llvm.create_mcjit_compiler(module, self._machine)
        self._engine.finalize_object()
        pointer, number = ctypes.c_void_p, ctypes.c_int64
        self.fma = self._function("fma", number, ctypes.c_float)
        self.read = self._function("read", pointer, pointer, number)
        self.copy = self._function("copy", pointer, pointer, number)

    def _function(self, name: str, *arguments: Any) -> Any:
        kind = ctypes.CFUNCTYPE(ctypes.c_float, *arguments)
        return kind(self._engine.get_function_address(name))


def on_threads(count: int, work: Callable[[int], Any]) -> float:
    """Seconds until `count` threads have each done `work(number)` at the same time."""
    gate = threading.Barrier(count)
    starts, ends = [0.0] * count, [0.0] * count

    def run(number: int) -> None:
        gate.wait()
        starts[number] = time.perf_counter()
        work(number)
        ends[number] = time.perf_counter()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return max(ends) - min(starts)


def fma_rate(probe: Probe, threads: int, seconds: float = 0.05) -> float:
    """Floating-point operations a second of fused multiply-adds on registers."""

    def taken(count: int, threads: int) -> float:
        return on_threads(threads, lambda _: probe.fma(count, 0.5))

    count = 100_000
    while taken(count, 1) < seconds / 2:
        count *= 2
    best = min(taken(count, threads) for _ in range(ROUNDS))
    return threads * count * CHAINS * probe.width * 2 / best


def bandwidths(probe: Probe, threads: int) -> dict[str, float]:
    """Bytes a second of reading and of copying (read and written) large buffers."""
    step = probe.width * 8
    elements = BUFFER_BYTES // 4 // threads // step * step
    # Ones, not zeros: pages of zeros that nobody wrote to are all the same page.
    room = [np.ones(elements + 16, np.float32) for _ in range(2 * threads)]
    places = [array.ctypes.data + -array.ctypes.data % 64 for array in room]
    vectors = elements // probe.width

    def best(kernel: Any) -> float:
        return min(
            on_threads(
                threads, lambda number: kernel(places[2 * number], places[2 * number + 1], vectors)
            )
            for _ in range(ROUNDS)
        )

    total = 4 * elements * threads
    return {"read": total / best(probe.read), "copy": 2 * total / best(probe.copy)}


def product_rate(name: str, threads: int, size: int = 1536) -> float:
    """Operations a second of a square product in OpenBLAS (`numpy`) or in `elinvar`."""
    arrays = [np.random.default_rng(i).standard_normal((size, size), np.float32) for i in (0, 1)]
    if name == "elinvar":
        module = importlib.import_module("elinvar")
        module.set_num_threads(threads)
        a, b = (module.asarray(array) for array in arrays)
    else:
        a, b = arrays
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        a @ b
        times.append(time.perf_counter() - start)
    return 2 * size**3 / min(times)


def measure(threads: int) -> dict[str, Any]:
    """The peaks of this machine with so many threads.

    Returns:
        flops: each probe's rate in operations a second, `peak_flops` their best and `peak_name`
        whose it is; bandwidth: reading and copying in bytes a second, `peak_bandwidth` their best.
    """
    probe = Probe()
    flops = {f"fma kernel, {probe.width} lanes": fma_rate(probe, threads)}
    flops["OpenBLAS product"] = product_rate("numpy", threads)
    if importlib.util.find_spec("elinvar"):
        flops["Elinvar product"] = product_rate("elinvar", threads)
    bandwidth = bandwidths(probe, threads)
    best = max(flops, key=lambda name: flops[name])
    return {
        "threads": threads, "flops": flops, "peak_flops": flops[best], "peak_name": best,
        "bandwidth": bandwidth, "peak_bandwidth": max(bandwidth.values()),
    }  # fmt: skip


def describe(found: dict[str, Any]) -> str:
    """The peaks in two lines."""
    rates = ", ".join(f"{name} {rate / 1e9:.0f}" for name, rate in found["flops"].items())
    bandwidth = ", ".join(f"{n} {rate / 1e9:.1f}" for n, rate in found["bandwidth"].items())
    return (
        f"peak with {found['threads']} threads: {found['peak_flops'] / 1e9:.0f} GFLOP/s of the "
        f"{found['peak_name']} ({rates})\n"
        f"memory: {found['peak_bandwidth'] / 1e9:.1f} GB/s ({bandwidth})"
    )


def main() -> None:
    """Print the peaks, as text or as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.roofline", description=__doc__)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = measure(arguments.threads)
    print(json.dumps(found) if arguments.json else describe(found))


if __name__ == "__main__":
    main()
