"""Exported functions on other machines: built by cross compilers, run under qemu and in Node.

A file of calls holds 64-bit numbers and bytes: how many calls there are; for each the sizes (count,
values), the inputs (count; bytes and content of each) and the results (count, bytes of each). The
file of answers holds for each call its status and its results, and the weights at the end.
"""

import functools
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np

import elinvar as el
from elinvar.export.loader import load_native
from elinvar.graph.sizes import evaluate, resolve_sizes
from elinvar.run.targets import target_named

FOLDER = Path(__file__).resolve().parent / "native"
CROSS = ("aarch64-linux-gnu", "riscv64-linux-gnu")
NATIVE = ("x86-64-v2", "x86-64-v3", "x86-64-v4")


def missing_tool(target):
    """Which program is missing to build and run for a target; None where all are there."""
    named = target_named(target)
    if target == "wasm32":
        wanted = (named.linker[0], "node")
    elif target in CROSS:
        wanted = (named.compiler[0], named.runs[0])
    else:
        wanted = ("cc",)
    return next((tool for tool in wanted if shutil.which(tool) is None), None)


@functools.cache
def host_features():
    from elinvar.run import llvm

    return llvm.host().features


class Run:
    """What a function gave: statuses, results of each call, the weights by name."""

    def __init__(self, data, about, shapes):
        self.statuses, self.results = [], []
        at = 0
        for expected in shapes:
            self.statuses.append(struct.unpack_from("<q", data, at)[0])
            at += 8
            found = []
            for dtype, shape in expected:
                count = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
                found.append(np.frombuffer(data[at : at + count], dtype).reshape(shape))
                at += count
            self.results.append(found)
        self.weights = data[at:]
        self.names = about


def run_elsewhere(made, calls, folder, threads=True):
    """Build a driver for an export, run it on `calls` (a list of lists of arrays)."""
    name, target = made.object.stem, made.target
    known = _interface(made)
    inputs = [kind for _, kind in known.inputs]
    words = [struct.pack("<q", len(calls))]
    shapes = []
    for arrays in calls:
        arrays = [np.ascontiguousarray(array) for array in arrays]
        sizes = resolve_sizes(inputs, [array.shape for array in arrays])
        words.append(struct.pack("<q", len(known.dims)))
        words += [struct.pack("<q", sizes[dim]) for dim in known.dims]
        words.append(struct.pack("<q", len(arrays)))
        for array in arrays:
            words += [struct.pack("<q", array.nbytes), array.tobytes()]
        expected = [
            (np.dtype(kind.dtype.storage), tuple(evaluate(dim, sizes) for dim in kind.shape))
            for _, kind in known.results
        ]
        words.append(struct.pack("<q", len(expected)))
        words += [
            struct.pack("<q", int(np.prod(shape, dtype=np.int64)) * dtype.itemsize)
            for dtype, shape in expected
        ]
        shapes.append(expected)
    given, answers = folder / f"{name}.calls", folder / f"{name}.answers"
    given.write_bytes(b"".join(words))
    weights = made.weights or folder / "none"
    files = [str(weights), str(given), str(answers)]
    if target == "wasm32":
        command = ["node", str(FOLDER / "driver.mjs"), str(made.library), name, *files]
    else:
        command = [*_driver(made, folder), *files, *([] if threads else ["one"])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return Run(answers.read_bytes(), known, shapes)


def _driver(made, folder):
    """The command that runs the driver for an export."""
    named = target_named(made.target)
    cross = made.target in CROSS
    compiler = named.compiler if cross else ("cc",)
    driver = folder / f"{made.object.stem}.driver"
    subprocess.run(
        [
            *compiler, "-std=c11", "-Wall", "-Werror", "-O1", f"-DNAME={made.object.stem}",
            f"-DHEADER={made.header.name}", f"-I{made.header.parent}", str(FOLDER / "driver.c"),
            str(made.object), "-o", str(driver), *(["-static"] if cross else []),
        ],
        check=True,
    )  # fmt: skip
    return [*(named.runs if cross else ()), str(driver)]


def _interface(made):
    """What the exported function takes and gives, from its object file."""
    from elinvar.export.loader import describe_object

    return describe_object(made.object)


__all__ = ["CROSS", "NATIVE", "Run", "el", "load_native", "missing_tool", "run_elsewhere"]
