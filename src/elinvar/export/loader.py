"""load_native: run an exported function from Python, without a C compiler."""

from __future__ import annotations

import ctypes
import dataclasses
import operator
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from elinvar.core.dtypes import DType
from elinvar.core.errors import (
    DataError,
    DTypeError,
    ShapeError,
    StateError,
    fail,
)
from elinvar.core.shapes import LARGEST
from elinvar.core.types import TensorType, parse_type
from elinvar.export.files import write_files
from elinvar.export.interface import as_array
from elinvar.export.layout import HEADER_BYTES, MAGIC
from elinvar.export.seal import described
from elinvar.export.status import MEANING, Status
from elinvar.graph.sizes import evaluate, resolve_sizes
from elinvar.kernels.plan import ALIGNMENT
from elinvar.runtime.joining import joined
from elinvar.runtime.llvm import binding, host, target_machine
from elinvar.tensor.casting import bitcast
from elinvar.tensor.cell import Cell
from elinvar.tensor.storage import from_numpy

_engines: list[Any] = []  # loaded code lives as long as the process
_lock = threading.Lock()


class NativeInterface:
    """What an object file of `export_native` says of itself.

    Attributes:
        name, target: as exported.
        dims: the symbolic sizes with their ranges.
        inputs, results: (name, type) of each.
        arguments, structure: the nesting of the arguments, with names, and of what is returned.
        weights: (name, type, offset) of each.
        weights_bytes: of all, with the header in front.
    """

    inputs: list[tuple[Any, TensorType]]
    results: list[tuple[Any, TensorType]]
    weights: list[tuple[Any, TensorType, Any]]
    arguments: Any
    structure: Any
    header: bytes

    def __init__(self, about: Mapping[str, Any]) -> None:
        self.name: str = about["name"]
        self.target: str = about["target"]
        self.dims: dict[str, tuple[int, int | None]] = {
            name: (low, high) for name, (low, high) in about["dims"].items()
        }
        self.inputs = [(name, parse_type(kind)) for name, kind in about["inputs"]]
        self.results = [(name, parse_type(kind)) for name, kind in about["results"]]
        self.weights = [(w["name"], parse_type(w["type"]), w["offset"]) for w in about["weights"]]
        self.weights_bytes: int = about["weights_bytes"]
        self.structure, self.arguments = about["structure"], about["arguments"]
        self.header = bytes.fromhex(about["header"])


class NativeFunction:
    """An exported function in this process: call it with tensors or numpy arrays.

    What the function changes (parameters, moments, random state) is kept in `weights` and changes
    with each call. Calls of one `NativeFunction` take turns.

    Attributes:
        interface: what it takes and gives.
        weights: name → array that shares the function's memory.
    """

    interface: NativeInterface
    name: str
    dims: dict[str, tuple[int, int | None]]
    inputs: list[tuple[Any, TensorType]]
    results: list[tuple[Any, TensorType]]

    def __init__(self, path: Path, interface: NativeInterface, functions: tuple[int, int]) -> None:
        self.interface, self.name = interface, interface.name
        self.dims, self.inputs, self.results = interface.dims, interface.inputs, interface.results
        pointer, integer = ctypes.c_void_p, ctypes.c_int64
        arena, run = functions
        self._arena_bytes = ctypes.CFUNCTYPE(integer, pointer)(arena)
        given = (pointer, pointer, pointer, pointer, integer, pointer, integer, pointer)
        self._run = ctypes.CFUNCTYPE(ctypes.c_int32, *given)(run)
        self._memory = aligned(interface.weights_bytes)
        self._arena = aligned(0)  # kept from call to call
        self._lock = threading.Lock()
        self._path = path
        self.weights: dict[str, np.ndarray[Any, Any]] = {
            name: view(self._memory, offset, kind) for name, kind, offset in interface.weights
        }

    def load_weights(self, path: str | os.PathLike[str]) -> None:
        """Read the weights from a file that `export_native` wrote.

        Raises:
            StateError: the file is cut off, or belongs to another function.
        """
        data = Path(path).read_bytes()
        op = "load_native"
        if data[:8] != MAGIC:
            fail(StateError, op, f"{path} is no file of weights")
        if len(data) != len(self._memory):
            text = f"{path} has {len(data)} bytes, {self.name} needs {len(self._memory)}"
            fail(StateError, op, text, "export the function again")
        if data[:HEADER_BYTES] != self.interface.header:
            text = f"the weights in {path} belong to another function than {self._path}"
            fail(StateError, op, text, "the object file and the weights of one export go together")
        with self._lock:
            self._memory[:] = np.frombuffer(data, np.uint8)

    def save_weights(self, path: str | os.PathLike[str]) -> None:
        """Write the weights as they are now to a file, which `load_weights` and C programs read."""
        with self._lock:
            write_files({Path(path): self._memory.tobytes()})

    def arena_bytes(self, **sizes: int) -> int:
        """How much scratch memory a call needs for these sizes of the symbolic dims."""
        if sizes.keys() != self.dims.keys():
            given = ", ".join(sizes) or "none"
            text = f"{self.name} has the sizes {', '.join(self.dims) or 'none'}, received {given}"
            fail(ShapeError, "load_native", text)
        if any(abs(operator.index(size)) > LARGEST for size in sizes.values()):
            self._refuse(Status.OVERFLOW, sizes)
        values = (ctypes.c_int64 * max(1, len(self.dims)))(*[sizes[name] for name in self.dims])
        found = self._arena_bytes(ctypes.addressof(values))
        if found < 0:
            self._refuse(-found, sizes)
        return found

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Run it with the arguments of the function that was exported, or with what is in them by
        the names of `inputs`."""
        leaves = self._leaves(arguments, named)
        arrays = [
            self._array(name, kind, leaf)
            for (name, kind), leaf in zip(self.inputs, leaves, strict=True)
        ]
        names, types = [name for name, _ in self.inputs], [kind for _, kind in self.inputs]
        sizes = resolve_sizes(types, [array.shape for array in arrays], names=names)
        kinds = [kind.dtype for _, kind in self.results]
        results = zip(self.arrays(arrays, sizes), kinds, strict=True)
        return _rebuilt(self.interface.structure, (as_tensor(a, dtype) for a, dtype in results))

    def _leaves(self, arguments: tuple[Any, ...], named: dict[str, Any]) -> list[Any]:
        """What is given for each input."""
        takes = self.interface.arguments
        if len(arguments) > len(takes):
            listed = ", ".join(name for name, _ in takes)
            text = f"{self.name} takes ({listed}), received {len(arguments)} arguments"
            fail(ShapeError, "load_native", text)
        found: list[Any] = []
        unused, missing = dict(named), []
        for number, (parameter, structure) in enumerate(takes):
            names = [name for name, _ in self.inputs[len(found) :][: _count(structure)]]
            if number < len(arguments):
                found += _matched(structure, arguments[number], parameter)
            elif parameter in unused:
                found += _matched(structure, unused.pop(parameter), parameter)
            else:
                missing += [name for name in names if name not in unused]
                found += [unused.pop(name, None) for name in names]
        if missing or unused:
            text = f"{self.name} still needs {', '.join(missing) or 'nothing'}; received "
            text += ", ".join(unused if len(unused) else named) or "nothing more"
            fail(ShapeError, "load_native", text)
        return found

    def arrays(
        self, arrays: list[np.ndarray[Any, Any]], sizes: Mapping[str, int]
    ) -> list[np.ndarray[Any, Any]]:
        """Run it on dense arrays of the inputs' stored bits, for given sizes of the dims."""
        needed = self.arena_bytes(**sizes)
        results = [
            np.zeros(tuple(evaluate(dim, sizes) for dim in kind.shape), kind.dtype.storage)
            for _, kind in self.results
        ]
        numbers = (ctypes.c_int64 * max(1, len(self.dims)))(*[sizes[n] for n in self.dims])
        inputs, outputs = _addresses(arrays), _addresses(results)
        with self._lock:
            if len(self._arena) < needed:
                self._arena = aligned(0)  # the old one may go first
                self._arena = aligned(needed)
            status = self._run(
                ctypes.addressof(numbers),
                ctypes.addressof(inputs),
                ctypes.addressof(outputs),
                self._memory.ctypes.data,
                len(self._memory),
                self._arena.ctypes.data,
                len(self._arena),
                None,
            )
        if status:
            self._refuse(status, sizes)
        return results

    def _refuse(self, status: int, sizes: Mapping[str, int]) -> None:
        meaning = MEANING[Status(status)].replace("NAME", self.name)
        given = ", ".join(f"{name} = {size}" for name, size in sizes.items())
        ranges = ", ".join(
            f"{low} ≤ {name}" + ("" if high is None else f" ≤ {high}")
            for name, (low, high) in self.dims.items()
        )
        kind = StateError if status == Status.WRONG_WEIGHTS else ShapeError
        fail(kind, self.name, f"{meaning}: {given or 'no sizes'}", ranges and f"declared: {ranges}")

    def _array(self, name: str, kind: TensorType, leaf: Any) -> np.ndarray[Any, Any]:
        """The stored bits of an argument, dense."""
        if type(leaf) is int or (type(leaf) is float and kind.dtype.kind == "f"):
            leaf = np.array(leaf, kind.dtype.storage)
        if not isinstance(leaf, Cell):
            leaf = from_numpy(np.asarray(leaf))
        if leaf.dtype != kind.dtype:
            found = TensorType(leaf.dtype, tuple(leaf.shape))
            fail(DTypeError, self.name, f"{name} must be {kind}, received {found}")
        return np.ascontiguousarray(as_array(leaf)).reshape(leaf.shape)

    def __repr__(self) -> str:
        return f"<native {self.name} for {self.interface.target}>"


def load_native(path: str | os.PathLike[str]) -> NativeFunction:
    """Load a function that `export_native` compiled for this machine.

    Args:
        path: of the object file, with or without `.o`, or what `export_native` returned; weights
            that are not inside are read from the file beside it.

    Raises:
        DataError: the file is no such object file, or was compiled for another kind of machine.
        StateError: the weights are missing or belong to another function.

    Example:
        See `export_native`.
    """
    place = _object_path(path)
    interface = describe_object(place)
    code = place.read_bytes()
    own = host().triple.split("-")[0]
    machine = {"x86_64": 62, "aarch64": 183, "riscv64": 243}.get(own)
    if code[:4] != b"\x7fELF" or int.from_bytes(code[18:20], "little") != machine:
        text = f"{place} was compiled for {interface.target}, this machine is {own}"
        fail(DataError, "load_native", text, "export it with target='host'")
    with _lock:
        functions, inside = _loaded(code, place, interface.name)
    found = NativeFunction(place, interface, functions)
    beside = place.with_suffix(".weights")
    if interface.weights_bytes:
        if inside:
            content = ctypes.string_at(inside, interface.weights_bytes)
            found._memory[:] = np.frombuffer(content, np.uint8)
        elif beside.exists():
            found.load_weights(beside)
        else:
            fail(StateError, "load_native", f"{beside} is missing", "it stands beside the object")
    return found


def describe_object(path: str | os.PathLike[str]) -> NativeInterface:
    """What an object file of `export_native` takes and gives; for whatever machine it was made.

    Raises:
        DataError: the file is no such object file.
    """
    place = _object_path(path)
    about, is_whole = described(place.read_bytes())
    if about is None:
        fail(DataError, "load_native", f"{place} is no object file that export_native made")
    if not is_whole:
        text = f"{place} is damaged: it is not as it was exported"
        fail(DataError, "load_native", text, "export it again")
    return NativeInterface(about)


def _object_path(path: str | os.PathLike[str]) -> Path:
    place = Path(path)
    return place if place.suffix == ".o" else place.with_name(place.name + ".o")


def _loaded(code: bytes, place: Path, name: str) -> Any:
    """Addresses of the two functions, and of the weights, where they are inside."""
    llvm = binding()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target_machine(host(), jit=True))
    try:
        engine.add_object_file(llvm.ObjectFileRef.from_data(joined(code)))
        engine.finalize_object()
    except RuntimeError as error:
        fail(DataError, "load_native", f"{place} cannot be loaded: {error}")
    _engines.append(engine)
    functions = tuple(
        engine.get_function_address(f"{name}_{word}") for word in ("arena_bytes", "run")
    )
    if not all(functions):
        fail(DataError, "load_native", f"{place} has no function {name}_run")
    return functions, engine.get_global_value_address(f"{name}_weights_data")


def as_tensor(array: np.ndarray[Any, Any], dtype: DType) -> Any:
    """A tensor of stored bits."""
    tensor = from_numpy(array)
    return tensor if tensor.dtype == dtype else bitcast(tensor, dtype)


def aligned(nbytes: int) -> np.ndarray[Any, Any]:
    """Bytes that begin at a multiple of the alignment."""
    whole = np.zeros(nbytes + ALIGNMENT, np.uint8)
    start = -whole.ctypes.data % ALIGNMENT
    return whole[start : start + nbytes]


def view(memory: np.ndarray[Any, Any], offset: int, kind: TensorType) -> np.ndarray[Any, Any]:
    """A tensor inside of memory."""
    shape = tuple(evaluate(dim, {}) for dim in kind.shape)
    dtype: DType = kind.dtype
    count = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    return memory[offset : offset + count].view(dtype.storage).reshape(shape)


def _addresses(arrays: list[np.ndarray[Any, Any]]) -> Any:
    return (ctypes.c_void_p * max(1, len(arrays)))(*[array.ctypes.data for array in arrays])


def _count(structure: Any) -> int:
    """How many leaves a structure has."""
    if structure is None:
        return 1
    return sum(_count(child) for child in structure.get("children", ()))


def _matched(structure: Any, given: Any, where: str) -> Iterator[Any]:
    """The leaves of an argument, in the order in which the structure has them."""
    parts: Any = None
    if dataclasses.is_dataclass(given) and not isinstance(given, type):
        parts = {field.name: getattr(given, field.name) for field in dataclasses.fields(given)}
    elif isinstance(given, Mapping | list | tuple):
        parts = given
    wanted = "a tensor"
    if structure is None and parts is None and given is not None:
        yield given
        return
    if structure is not None and structure.get("none"):
        if given is None:
            return
        wanted = "None, as when it was exported"
    elif structure is not None:
        keys = structure.get("keys", range(len(structure["children"])))
        wanted = f"{', '.join(map(str, keys)) or 'nothing'} inside"
        if parts is not None and not isinstance(parts, Mapping):
            parts = dict(enumerate(parts))
        if parts is not None and set(parts) == set(keys):
            for key, child in zip(keys, structure["children"], strict=True):
                yield from _matched(child, parts[key], f"{where}[{key!r}]")
            return
    shown = type(given).__name__
    shown += f" with {', '.join(map(str, parts))}" if isinstance(parts, Mapping) else ""
    fail(DTypeError, "load_native", f"{where}: expected {wanted}, received {shown}")


def _rebuilt(structure: Any, leaves: Any) -> Any:
    if structure is None:
        return next(leaves)
    if structure.get("none"):
        return None
    children = [_rebuilt(child, leaves) for child in structure["children"]]
    if "keys" in structure:
        return dict(zip(structure["keys"], children, strict=True))
    return children if structure["list"] else tuple(children)
