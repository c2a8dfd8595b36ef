"""Exported functions on other machines: built by cross compilers, run under qemu and in Node.

A file of calls holds 64-bit numbers and bytes: how many calls there are; for each the sizes (count,
values), the inputs (count; bytes and content of each) and the results (count, bytes of each). The
file of answers holds for each call its status and its results, and the weights at the end.
"""

import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from elinvar.export.loader import describe_object
from elinvar.graph.sizes import evaluate, resolve_sizes
from elinvar.runtime.targets import target_named

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


@dataclass
class Call:
    """Arrays, sizes of the dims, (dtype, shape) of the results."""

    arrays: list
    sizes: dict
    results: list


class Run:
    """What a function gave: statuses, results of each call, the weights at the end."""

    def __init__(self, data, interface, calls):
        self.statuses, self.results = [], []
        at = 0
        for call in calls:
            self.statuses.append(struct.unpack_from("<q", data, at)[0])
            at += 8
            found = []
            for dtype, shape in call.results:
                count = nbytes_of(dtype, shape)
                found.append(np.frombuffer(data[at : at + count], dtype).reshape(shape))
                at += count
            self.results.append(found)
        self.weights = data[at:]
        self._interface = interface

    def weight(self, wanted):
        """The bytes of one weight."""
        for name, kind, offset in self._interface.weights:
            if name == wanted:
                return self.weights[offset : offset + nbytes_of(kind.dtype, kind.shape)]
        raise KeyError(wanted)


def nbytes_of(dtype, shape):
    return int(np.prod(shape, dtype=np.int64)) * dtype.itemsize


def as_call(interface, arrays):
    """A call whose sizes follow from the arrays' shapes."""
    arrays = [np.ascontiguousarray(array) for array in arrays]
    kinds = [kind for _, kind in interface.inputs]
    sizes = resolve_sizes(kinds, [array.shape for array in arrays])
    results = [
        (np.dtype(kind.dtype.storage), tuple(evaluate(dim, sizes) for dim in kind.shape))
        for _, kind in interface.results
    ]
    return Call(arrays, sizes, results)


def encoded(interface, calls):
    """The file of calls."""
    words = [len(calls)]
    for call in calls:
        words += [len(call.sizes), *[call.sizes[dim] for dim in interface.dims]]
        words.append(len(call.arrays))
        for array in call.arrays:
            words += [array.nbytes, array.tobytes()]
        words += [len(call.results), *[nbytes_of(*result) for result in call.results]]
    return b"".join(w if isinstance(w, bytes) else struct.pack("<q", w) for w in words)


def run_elsewhere(made, calls, folder, threads=True, stack=None):
    """Build a driver for an export and run it on `calls`: `Call`s, or lists of arrays. `stack`: how
    many kilobytes of it there are."""
    name, target = made.object.stem, made.target
    interface = describe_object(made.object)
    calls = [call if isinstance(call, Call) else as_call(interface, call) for call in calls]
    given, answers = folder / f"{name}.calls", folder / f"{name}.answers"
    given.write_bytes(encoded(interface, calls))
    weights = made.weights or folder / "none"
    files = [str(weights), str(given), str(answers)]
    if target == "wasm32":
        command = ["node", str(FOLDER / "driver.mjs"), str(made.library), name, *files]
    else:
        command = [*_driver(made, folder), *files, *([] if threads else ["one"])]
    if stack is not None:
        command = ["sh", "-c", f'ulimit -s {stack}; exec "$@"', "sh", *command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return Run(answers.read_bytes(), interface, calls)


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
