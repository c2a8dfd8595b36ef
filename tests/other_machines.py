"""Runs object code of other machines: under qemu's user emulation, and WebAssembly in node.

    python tests/other_machines.py [--targets NAME …] [--scale N] [--names WORD …]

computes every sweep of `sweeps.py` on each of the targets and says where digests differ, and looks
whether a kernel of any op's samples calls a library there. `make test-cross` calls it with ten million
operands for each f32 operation.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import sweeps
from test_compiler import SAMPLES, one_op

from elinvar.kernels.plan import texts_of
from elinvar.runtime import native
from elinvar.runtime.compile import lower_graph
from elinvar.runtime.llvm import host
from elinvar.runtime.targets import target_named

NATIVE = ("x86-64-v2", "x86-64-v3", "x86-64-v4")
# What compilers may call everywhere: C's copies and fills. Apple's has one more for zeros.
ALLOWED = frozenset({"memcpy", "memmove", "memset", "bzero"})
BATCH = 24
EMULATED = ("aarch64-linux-gnu", "riscv64-linux-gnu", "wasm32")

_MAIN = """
#include <stdint.h>
#include <stdio.h>
{declarations}
int main(void) {{
{calls}
  return 0;
}}
"""
_NODE = """
const fs = require("fs");
let memory;
const bytes = () => new Uint8Array(memory.buffer);
const env = {
  memcpy: (to, from, n) => { bytes().copyWithin(to, from, from + n); return to; },
  memset: (to, value, n) => { bytes().fill(value, to, to + n); return to; },
};
const code = new WebAssembly.Module(fs.readFileSync(process.argv[2]));
const found = new WebAssembly.Instance(code, { env }).exports;
memory = found.memory;
for (const line of fs.readFileSync(process.argv[3], "utf8").split("\\n")) {
  if (!line) continue;
  const [symbol, count] = line.split(" ");
  const value = BigInt.asUintN(64, found[symbol](0n, BigInt(count)));
  console.log(symbol + " " + value.toString());
}
"""


def environment(**settings: str) -> dict[str, str]:
    """For another Python that imports the package and these modules."""
    tests = Path(__file__).resolve().parent
    paths = os.pathsep.join([str(tests.parent / "src"), str(tests)])
    return {**os.environ, "PYTHONPATH": paths, **settings}


def reason_to_skip(target: str) -> str:
    """What is missing here to run code for a target; empty where nothing is."""
    named = target_named(target)
    if target in NATIVE:
        if not host().triple.startswith("x86_64"):
            return f"{target} runs on x86-64 machines only"
        return ""
    tools = (named.linker[0] if target == "wasm32" else named.compiler[0], *named.runs)
    missing = [tool for tool in tools if shutil.which(tool) is None]
    return f"{target} needs {', '.join(missing)}" if missing else ""


def kernel_texts(bits: int) -> dict[str, str]:
    """The kernels of the op table's samples, for vectors of so many bits."""
    texts: dict[str, str] = {}
    for op, sample in (parameter.values for parameter in SAMPLES):
        lowered = lower_graph(one_op(op, sample), bits=bits)
        texts.update(texts_of([*lowered.preparation, *lowered.steps]))
    return texts


def calls_of(target: str, text: str, level: int = 3) -> set[str]:
    """The functions that the code of a kernel calls and must not call."""
    return native.undefined_symbols(
        native.object_code(text, target_named(target).target, level)
    ) - ALLOWED


def run_objects(target: str, folder: Path, counts: dict[str, int]) -> dict[str, int]:
    """Link the objects in a folder with a main program, and call each symbol with its count."""
    objects = sorted(map(str, folder.glob("*.o")))
    named = target_named(target)
    program = folder / "program"
    if target == "wasm32":
        exports = [f"--export={symbol}" for symbol in counts]
        link = [*named.linker, "--allow-undefined", *exports, "-o", str(program)]
        wanted, script = folder / "wanted.txt", folder / "run.cjs"
        wanted.write_text("".join(f"{symbol} {count}\n" for symbol, count in counts.items()))
        script.write_text(_NODE)
        command = [*named.runs, str(script), str(program), str(wanted)]
    else:
        declarations = "\n".join(f"uint64_t {symbol}(int64_t, int64_t);" for symbol in counts)
        calls = "\n".join(
            f'  printf("{symbol} %llu\\n", (unsigned long long){symbol}(0, {count}));'
            for symbol, count in counts.items()
        )
        main = folder / "main.c"
        main.write_text(_MAIN.format(declarations=declarations, calls=calls))
        link = [*named.compiler, "-O1", "-static", str(main), "-o", str(program)]
        command = [*named.runs, str(program)]
    subprocess.run([*link, *objects], check=True, capture_output=True, text=True)
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    return {words[0]: int(words[1]) for words in map(str.split, result.stdout.splitlines())}


def digests(target: str, names: list[str], scale: int) -> dict[str, int]:
    """The digest of each sweep on a target."""
    if target in NATIVE:
        return {
            name: sweeps.native_sweep(name, target)(0, sweeps.count_of(name, scale))
            for name in names
        }
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        counts = {}
        for name in names:
            symbol = sweeps.symbol_of(name, target)
            (folder / f"{symbol}.o").write_bytes(sweeps.sweep_object(name, target))
            counts[symbol] = sweeps.count_of(name, scale)
        found = run_objects(target, folder, counts)
    return {name: found[sweeps.symbol_of(name, target)] for name in names}


def main() -> int:
    parser = argparse.ArgumentParser(description="The same bits on every machine")
    parser.add_argument("--targets", nargs="*", default=[*NATIVE, *EMULATED])
    parser.add_argument("--scale", type=int, default=10_000_000, help="operands of f32 operations")
    parser.add_argument("--names", nargs="*", default=[], help="words of which names have one")
    given = parser.parse_args()
    names = [
        name for name in sweeps.SIGNATURES if not given.names or any(w in name for w in given.names)
    ]
    possible = []
    for target in given.targets:
        reason = reason_to_skip(target)
        if reason:
            print(f"skipped: {reason}")
        else:
            possible.append(target)
    differing = []
    start = time.perf_counter()
    for first in range(0, len(names), BATCH):
        batch = names[first : first + BATCH]
        with ThreadPoolExecutor(2) as pool:
            results = list(pool.map(lambda t, b=batch: digests(t, b, given.scale), possible))
        for name in batch:
            values = [result[name] for result in results]
            if len(set(values)) > 1:
                differing.append(name)
                pairs = zip(possible, values, strict=True)
                print(f"{name} differs: " + ", ".join(f"{t} {v:016x}" for t, v in pairs))
        seconds = time.perf_counter() - start
        print(f"{first + len(batch)} of {len(names)} sweeps, {seconds:.0f} s", flush=True)
    for target in possible if not given.names else ():
        texts = kernel_texts(target_named(target).vector_bits)
        calls = set().union(*(calls_of(target, text) for text in texts.values()))
        print(f"{target}: {len(texts)} kernels call {', '.join(sorted(calls)) or 'nothing'}", flush=True)
        differing += sorted(calls)
    operands = sum(sweeps.count_of(name, given.scale) for name in names)
    print(f"{len(names)} sweeps of {operands} operands on {len(possible)} machines: "
          f"{len(differing)} differ")  # fmt: skip
    return bool(differing)


if __name__ == "__main__":
    sys.exit(main())
