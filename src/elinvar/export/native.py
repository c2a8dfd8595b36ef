"""export_native: a function as an object file for another machine, with a C header and weights."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elinvar.core import tree
from elinvar.core.errors import CompileError, ValueRangeError, fail
from elinvar.core.sizing import Size
from elinvar.core.version import VERSION
from elinvar.export.arena import plan_arena
from elinvar.export.files import write_files
from elinvar.export.header import header_text
from elinvar.export.interface import Interface, trace_interface
from elinvar.export.layout import (
    Layout,
    computed_graph,
    make_layout,
    offsets_of,
    typical_sizes,
    weights_bytes,
)
from elinvar.export.names import plain
from elinvar.export.runner import Program, Runner
from elinvar.export.seal import description, sealed
from elinvar.kernels.plan import ControlStep, Together, texts_of
from elinvar.runtime.compile import lower_graph
from elinvar.runtime.llvm import linked_code
from elinvar.runtime.targets import NamedTarget, target_named

WEIGHTS = ("beside", "inside")


@dataclass(frozen=True)
class NativeExport:
    """The files that `export_native` wrote.

    Attributes:
        object, header: the object file and the C header.
        weights: the file of weights; None where there are none, or they are in the object.
        library: the linked library, where one was asked for.
        target: the target's name.
    """

    object: Path
    header: Path
    weights: Path | None
    library: Path | None
    target: str

    def __fspath__(self) -> str:
        return str(self.object)


def export_native(
    function: Any,
    specs: Any = None,
    target: str = "host",
    path: str | os.PathLike[str] = "model",
    *,
    weights: str = "beside",
    link: bool = False,
) -> NativeExport:
    """Compile a function for another machine: an object file that needs libc alone, a C header, and
    its weights.

    The function is traced as by `el.jit`, so a whole training step can be exported: the tensors
    that it changes live in the weights. Results have the bits that they have here (docs/export.md).

    Args:
        function: a function over tensors, a module, or what `el.jit` returned.
        specs: for each argument a tensor, an `el.TensorSpec` or a text such as `"f32[batch,784]"`;
            see `el.jit`. Named sizes are given by each call. By default those of `el.jit`.
        target: `x86-64-v2`, `x86-64-v3`, `x86-64-v4`, `aarch64-linux-gnu`, `riscv64-linux-gnu`,
            `wasm32`, `arm64-apple-macos` or `host`.
        path: where the files go: `build/model` makes `build/model.o`, `build/model.h` and
            `build/model.weights`; all names in C begin with the last part. A folder that exists
            gets files called after the function.
        weights: `"beside"` in a file, or `"inside"` of the object file.
        link: make a shared library (for `wasm32` a module) as well, with the target's linker.

    Raises:
        CompileError: the target is unknown, or its linker is missing or fails.
        TraceError: the function changes an argument, or returns what is no tensor.
        ValueRangeError: the path has no last part of which a name could be made.

    Example:
        >>> import elinvar as el, tempfile
        >>> folder = tempfile.mkdtemp()
        >>> made = el.export_native(el.nn.Linear(4, 2), "f32[batch,4]", "host", folder + "/linear")
        >>> made.header.name
        'linear.h'
        >>> el.load_native(made)(el.ones((3, 4))).shape
        (3, 2)
    """
    named = target_named(target)
    if weights not in WEIGHTS:
        text = f"weights must be one of {', '.join(WEIGHTS)}, received {weights!r}"
        fail(ValueRangeError, "export_native", text)
    linker = _linker(named) if link else None
    interface = trace_interface(function, specs)
    place, name = _place(path, interface.name)
    layout, code = compile_interface(interface, name, named, weights == "inside")
    made, header = place.with_name(f"{place.name}.o"), place.with_name(f"{place.name}.h")
    text = header_text(name, interface, layout, named.name, VERSION, weights == "inside")
    files = {made: code, header: text.encode()}
    beside = place.with_name(f"{place.name}.weights")
    if layout.weights_bytes and weights == "beside":
        files[beside] = weights_bytes(interface, layout)
    place.parent.mkdir(parents=True, exist_ok=True)
    write_files(files)
    library = None if linker is None else _link(named, linker, made, name)
    return NativeExport(made, header, beside if beside in files else None, library, named.name)


def compile_interface(
    interface: Interface, name: str, target: NamedTarget, inside: bool
) -> tuple[Layout, bytes]:
    """The object code of a traced function, and where everything stands."""
    graph = computed_graph(interface)
    lowered = lower_graph(graph, bits=target.vector_bits)
    sizes: dict[str, Any] = {dim: Size.named(dim) for dim in interface.dims}
    steps = _that_run(lowered.steps, sizes)
    layout = make_layout(interface, graph, lowered, steps)
    typical = typical_sizes(interface.dims)
    blocks = plan_arena(steps, layout.extra, sizes, typical)
    largest = (1 << 31) - 1 if target.pointer_bits == 32 else 1 << 60
    runner = Runner(Program(name, layout, steps, blocks, largest))
    about = describe_interface(interface, layout, name, target)
    public = {f"{name}_run", f"{name}_arena_bytes", f"{name}_about"}
    texts = [runner.text(), _constant(f"{name}_about", about)]
    texts += [_once(text) for text in texts_of(steps).values()]
    if inside and layout.weights_bytes:
        public.add(f"{name}_weights_data")
        texts.append(_constant(f"{name}_weights_data", weights_bytes(interface, layout)))
    return layout, sealed(linked_code(texts, target.target, public))


def describe_interface(
    interface: Interface, layout: Layout, name: str, target: NamedTarget
) -> bytes:
    """What `load_native` must know; it stands in the object file."""
    offsets = offsets_of(interface.weights)[0]
    weights = [
        {"name": w.name, "type": str(w.type), "offset": offset, "changes": w.becomes is not None}
        for w, offset in zip(interface.weights, offsets, strict=True)
    ]
    content = {
        "elinvar": VERSION,
        "name": name,
        "function": interface.name,
        "target": target.name,
        "dims": interface.dims,
        "inputs": [[port.name, str(port.type)] for port in interface.inputs],
        "results": [[port.name, str(port.type)] for port in interface.results],
        "structure": _structure(interface.structure),
        "arguments": [[word, _structure(one)] for word, one in interface.arguments]
        or [[port.name, None] for port in interface.inputs],
        "weights": weights,
        "weights_bytes": layout.weights_bytes,
        "header": layout.header().hex(),
    }
    return description(content)


def _structure(structure: Any) -> Any:
    """The nesting of what the function returns, as far as JSON goes."""
    if isinstance(structure, tree.Leaf):
        return None
    children = [_structure(child) for child in structure.children]
    if structure.kind is type(None):
        return {"none": True}
    if structure.keys is not None and all(type(key) in (str, int) for key in structure.keys):
        return {"keys": list(structure.keys), "children": children}
    return {"list": structure.kind is list, "children": children}


def _that_run(steps: list[Any], sizes: Mapping[str, Any]) -> list[Any]:
    """Without launches that have no tasks whatever the sizes."""
    found = []
    for step in steps:
        if isinstance(step, ControlStep):
            step.bodies = [_that_run(body, sizes) for body in step.bodies]
        else:
            assert not isinstance(step, Together)
            tasks = step.tasks(sizes)
            if not isinstance(tasks, Size) and tasks <= 0:
                continue
        found.append(step)
    return found


def _once(text: str) -> str:
    """A kernel's text, such that it is not put into the place of its call."""
    return re.sub(r"^(define void @[^{]*?)( #\d+ \{)", r"\1 noinline\2", text, flags=re.M)


def _constant(name: str, data: bytes) -> str:
    content = "".join(
        chr(byte) if 32 <= byte < 127 and byte not in (34, 92) else f"\\{byte:02X}"
        for byte in data
    )
    return f'@{name} = constant [{len(data)} x i8] c"{content}", align 64\n'


# files


def _place(path: str | os.PathLike[str], function: str) -> tuple[Path, str]:
    """The path without a suffix, and what names in C begin with. In a folder that is there already
    files are called after the function."""
    place = Path(path)
    if place.is_dir():
        place = place / (plain(function).strip("_") or "model")
    stem = place.name.removesuffix(".o")
    name = plain(stem)
    if not name.strip("_"):
        text = f"the last part of the path must have letters, received {os.fspath(path)!r}"
        fail(ValueRangeError, "export_native", text, "such as path='build/model'")
    return place.with_name(stem), f"_{name}" if name[0].isdigit() else name


def _linker(target: NamedTarget) -> str:
    """The path of the target's linker."""
    found = shutil.which(target.linker[0])
    if found is None:
        text = f"link=True needs {target.linker[0]} to link for {target.name}, which is not there"
        fail(CompileError, "export_native", text, "install it, or link the object file elsewhere")
    return found


def _link(target: NamedTarget, linker: str, made: Path, name: str) -> Path:
    library = made.with_suffix({"wasm32": ".wasm", "arm64-apple-macos": ".dylib"}.get(
        target.name, ".so"))  # fmt: skip
    command = [linker, *target.linker[1:], str(made), "-o", str(library)]
    if target.name == "wasm32":
        command += [f"--export={name}_run", f"--export={name}_arena_bytes",
                    "--export=__heap_base", "-z", f"stack-size={8 << 20}"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        text = f"{Path(linker).name} failed: {done.stderr.strip()[:2000]}"
        fail(CompileError, "export_native", text)
    return library
