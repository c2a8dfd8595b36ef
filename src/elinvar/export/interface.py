"""What an exported function takes, gives and keeps: its trace, with a name for each tensor.

    inputs    the leaves of the arguments
    results   the leaves of what the function returns
    weights   every tensor from outside that it reads or changes: parameters, buffers, moments of an
              optimizer, the state of a random generator; those that it changes are written back
    dims      the names of the symbolic sizes, with their ranges
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from elinvar.core import dtypes, tree
from elinvar.core.errors import TraceError, fail
from elinvar.core.types import TensorType
from elinvar.export.names import unique
from elinvar.graph.ir import Builder, Graph, Value
from elinvar.tensor.casting import bitcast
from elinvar.tensor.cell import Cell
from elinvar.tensor.fitting import Specification
from elinvar.tensor.jit import Jit, Static
from elinvar.tensor.program import (
    ARGUMENT,
    CELL,
    GRADIENT_OF_CELL,
    OUTPUT,
    VALUE,
    JitProgram,
    sizes_as_numbers,
    trace_program,
)
from elinvar.tensor.specs import TensorSpec
from elinvar.tensor.trace import Requirement

_DEEPEST = 8


@dataclass(frozen=True)
class Port:
    """An input or a result."""

    name: str
    value: Value

    @property
    def type(self) -> TensorType:
        return self.value.type


@dataclass(frozen=True)
class Weight:
    """A tensor from outside: what it holds now, the input by which the graph reads it, if it does,
    and what it becomes, if the function changes it."""

    name: str
    type: TensorType
    data: np.ndarray[Any, Any]
    value: Value | None
    becomes: Value | None


@dataclass
class Interface:
    """A traced function; see the top of this file. `structure` is that of what it returns,
    `arguments` are the names and structures of what it takes, `requirements` conditions on sizes
    that the trace noted."""

    name: str
    graph: Graph
    inputs: list[Port]
    results: list[Port]
    weights: list[Weight]
    dims: dict[str, tuple[int, int | None]]
    structure: Any = field(default=tree.LEAF)
    arguments: list[tuple[str, Any]] = field(default_factory=list)
    requirements: list[Requirement] = field(default_factory=list)


class _SpecCall:
    """Stands for the arguments of a call of which the types alone are known."""

    def __init__(self, specification: Specification) -> None:
        leaves, structure = tree.flatten((specification.trees, {}))
        specs = [leaf for leaf in leaves if isinstance(leaf, TensorSpec)]
        self.tensors = [_NoTape()] * len(specs)
        self.given = [None] * len(specs)
        self.leaves = [None if isinstance(leaf, TensorSpec) else Static(leaf) for leaf in leaves]
        self.structure = structure
        self.types = [specification.type_of(spec) for spec in specs]


class _NoTape:
    _node = None


def trace_interface(function: Any, specs: Any, op: str = "export_native") -> Interface:
    """Trace a function for arguments of which the types are known.

    Args:
        function: an ordinary function over tensors, a module, or what `el.jit` returned.
        specs: see `elinvar.tensor.specs`.
        op: for errors.

    Raises:
        TraceError: the function changes an argument, or returns what is no tensor.
    """
    plain: Callable[..., Any] = function.function if isinstance(function, Jit) else function
    if not callable(plain):
        kind = type(function).__name__
        fail(TraceError, op, f"expected a function, received {kind}", "pass a function or a module")
    names = _parameter_names(plain)
    if specs is None and isinstance(function, Jit):
        specs = function.specs
    if specs is None:
        listed = ", ".join(names) or "none are known"
        text = f"the types of the arguments are needed ({listed})"
        fail(TraceError, op, text, "such as specs='f32[batch,784]', one for each argument")
    specification = Specification(op, specs, names)
    _refuse_other_count(plain, len(specification.trees), op)
    call = _SpecCall(specification)
    name = getattr(plain, "__name__", type(plain).__name__)
    with sizes_as_numbers(op):
        program = trace_program(plain, name, call, call.types)
    found = _Interfaces(op, program, call.types)
    dims = dict(sorted(specification.ranges.items()))
    return found.interface(plain, specification.trees, names, dims)


class _Interfaces:
    """Sorts a traced program into ports and weights."""

    def __init__(self, op: str, program: JitProgram, types: list[TensorType]) -> None:
        self.op, self.program = op, program
        self.arguments = len(types)
        known = {id(held.place.what) for held in program.captured}
        known |= {id(place.what) for place, _, _ in program.writes if place.kind == CELL}
        builder = Builder(capture_source=False)
        # tensors from outside that are given back as they are
        self.returned: dict[int, tuple[Any, Value]] = {
            id(what): (what, builder.input(TensorType(what.dtype, tuple(what.shape))))
            for kind, what in program.results
            if kind == VALUE and isinstance(what, Cell) and id(what) not in known
        }
        graph = program.function.graph
        inputs = [*graph.inputs, *(value for _, value in self.returned.values())]
        self.graph = Graph(inputs, graph.outputs, graph.name)

    def interface(
        self, function: Any, trees: list[Any], names: list[str], dims: dict[str, Any]
    ) -> Interface:
        taken: set[str] = set()
        words = [word for word, _ in leaves_of(trees, names)]
        inputs = [
            Port(unique(word, taken), value)
            for word, value in zip(words, self.graph.inputs, strict=False)
        ]
        cells = name_cells(function)
        self._refuse_changed_gradients(cells)
        weights = self._weights(cells)
        results = self._results(taken, weights)
        return Interface(
            self.program.function.name,
            self.graph,
            inputs,
            results,
            weights,
            dims,
            self.program.structure,
            [(word_of(n, names), tree.flatten(one)[1]) for n, one in enumerate(trees)],
            self.program.function.requirements,
        )

    def _refuse_changed_gradients(self, names: dict[int, str]) -> None:
        """Each call must find `.grad` as the one before left it: there or not."""
        program = self.program
        after = {id(place.what): n for place, n in program.gradients if place.kind == CELL}
        for place, had in program.gradient_guards:
            number = id(place.what)
            has = after[number] is not None if number in after else had
            if place.kind != CELL or had == has or not (had or number in program.seen_gradients):
                continue
            word = names.get(number, "a tensor")
            if had:
                text = f"{word} has a .grad now, which the function uses and takes away"
                hint = "set it to None before the export (optimizer.zero_grad())"
            else:
                text = f"{word} has no .grad now, and has one that is added to after the first call"
                hint = "begin the function with optimizer.zero_grad(); or, to add up over calls, "
                hint += "set .grad to zeros before the export"
            fail(TraceError, self.op, text, hint)

    def _weights(self, names: dict[int, str]) -> list[Weight]:
        program, outputs = self.program, self.graph.outputs
        written: dict[tuple[int, int], Value] = {}  # gradients that nobody reads are scratch
        for place, number, _ in program.writes:
            if place.kind == ARGUMENT:
                text = f"the function changes its argument {place.what} in place"
                fail(TraceError, self.op, text, "return the new value instead")
            written[place.kind, id(place.what)] = outputs[number]
        for place, result in program.gradients:
            if place.kind == CELL and result is not None:
                written[GRADIENT_OF_CELL, id(place.what)] = outputs[result]
        found: list[Weight] = []
        taken: set[str] = set()
        known = zip(program.captured, self.graph.inputs[self.arguments :], strict=False)
        for held, value in known:
            place = held.place
            if place.kind not in (CELL, GRADIENT_OF_CELL):
                fail(TraceError, self.op, "the function reads the .grad of an argument")
            word = names.get(id(place.what), f"tensor{len(found)}")
            word += ".grad" if place.kind == GRADIENT_OF_CELL else ""
            becomes = written.pop((place.kind, id(place.what)), None)
            data = as_array(place.find([]))
            found.append(Weight(unique(word, taken, upper=True), value.type, data, value, becomes))
        for place, number, _ in program.writes:  # what is written and never read
            if (place.kind, id(place.what)) in written:
                word = names.get(id(place.what), f"tensor{len(found)}")
                data, becomes = as_array(place.what), outputs[number]
                kind = TensorType(place.what.dtype, tuple(data.shape))
                found.append(Weight(unique(word, taken, upper=True), kind, data, None, becomes))
        for cell, value in self.returned.values():
            word = names.get(id(cell), f"tensor{len(found)}")
            word = unique(word, taken, upper=True)
            found.append(Weight(word, value.type, as_array(cell), value, None))
        for weight in found:
            if weight.becomes is not None and weight.becomes.type != weight.type:
                text = f"{weight.name} is {weight.type} and becomes {weight.becomes.type}"
                fail(TraceError, self.op, text, "what is kept between calls must keep its type")
        return found

    def _results(self, taken: set[str], weights: list[Weight]) -> list[Port]:
        program, outputs, inputs = self.program, self.graph.outputs, self.graph.inputs
        words = _structure_words(program.structure, "result")
        found = []
        changed = {id(place.what): n for place, n, _ in program.writes if place.kind == CELL}
        held = {id(h.place.what): n for n, h in enumerate(program.captured)}
        for word, (kind, what) in zip(words, program.results, strict=True):
            if kind == OUTPUT:
                value = outputs[what]
            elif kind == ARGUMENT:
                value = inputs[what]
            elif kind == VALUE and isinstance(what, Cell) and id(what) in changed:
                value = outputs[changed[id(what)]]
            elif kind == VALUE and isinstance(what, Cell) and id(what) in held:
                value = inputs[self.arguments + held[id(what)]]
            elif kind == VALUE and id(what) in self.returned:
                value = self.returned[id(what)][1]
            else:
                text = f"{word} is {type(what).__name__} {what!r}, which the trace did not compute"
                fail(TraceError, self.op, text, "return tensors that depend on the arguments")
            found.append(Port(unique(word, taken), value))
        return found


def as_array(tensor: Any) -> np.ndarray[Any, Any]:
    """The elements of a tensor; those of a bfloat16 as their bits."""
    plain = tensor.detach()
    if plain.dtype == dtypes.bfloat16:
        plain = bitcast(plain, dtypes.uint16)
    found: np.ndarray[Any, Any] = plain.numpy()
    return found


# names


def _refuse_other_count(function: Any, count: int, op: str) -> None:
    """Each argument without a default needs a specification."""
    try:
        signature = inspect.signature(getattr(function, "forward", function))
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*range(count))
    except TypeError as error:
        called = f"{getattr(function, '__name__', type(function).__name__)}{signature}"
        text = f"specs has {count} entries, which do not fit the arguments of {called}: {error}"
        fail(TraceError, op, text, "a tuple with an entry for each argument; () for none")


def _parameter_names(function: Any) -> list[str]:
    try:
        called = getattr(function, "forward", function)  # of a module
        parameters = inspect.signature(called).parameters.values()
    except (TypeError, ValueError):
        return []
    many = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [parameter.name for parameter in parameters if parameter.kind not in many]


def leaves_of(trees: list[Any], names: list[str]) -> Iterator[tuple[str, TensorSpec]]:
    """(name, spec) of all leaves of the arguments."""
    for number, one in enumerate(trees):
        leaves, structure = tree.flatten(one)
        words = _structure_words(structure, word_of(number, names))
        for path, leaf in zip(words, leaves, strict=True):
            if isinstance(leaf, TensorSpec):
                yield path, leaf


def word_of(number: int, names: list[str]) -> str:
    """The name of an argument."""
    return names[number] if number < len(names) else f"argument{number}"


def _structure_words(structure: Any, word: str) -> list[str]:
    """A name for each leaf of a structure."""
    if isinstance(structure, tree.Leaf):
        return [word]
    keys = structure.keys or range(len(structure.children))
    return [
        path
        for key, child in zip(keys, structure.children, strict=True)
        for path in _structure_words(child, f"{word}_{key}")
    ]


def name_cells(function: Any) -> dict[int, str]:
    """id(tensor) → the path on which the function reaches it, such as `model.0.weight`."""
    found: dict[int, str] = {}
    seen: set[int] = set()
    roots: dict[str, Any] = {}
    if inspect.ismethod(function):
        roots[type(function.__self__).__name__.lower()] = function.__self__
        function = function.__func__
    if inspect.isfunction(function):
        closure = inspect.getclosurevars(function)
        roots |= dict(closure.nonlocals) | dict(closure.globals)
    else:
        roots[""] = function

    def rank(item: tuple[str, Any]) -> int:
        """A parameter is known by its module, if it has one; else by its own variable."""
        return 0 if hasattr(item[1], "named_parameters") else 1 if isinstance(item[1], Cell) else 2

    for word, thing in sorted(roots.items(), key=rank):
        _name_inside(thing, word, found, seen, 0)
    return found


def _name_inside(thing: Any, path: str, found: dict[int, str], seen: set[int], depth: int) -> None:
    if isinstance(thing, Cell):
        found.setdefault(id(thing), path)
        return
    if depth > _DEEPEST or id(thing) in seen or inspect.ismodule(thing) or isinstance(thing, type):
        return
    seen.add(id(thing))
    if hasattr(thing, "named_parameters") and hasattr(thing, "named_buffers"):
        for kind in (thing.named_parameters, thing.named_buffers):
            for name, cell in kind():
                found.setdefault(id(cell), f"{path}.{name}" if path else name)
    for name, value in _parts_of(thing, found):
        word = "" if name.startswith("_") else name
        _name_inside(value, ".".join(filter(None, (path, word))), found, seen, depth + 1)


def _parts_of(thing: Any, found: dict[int, str]) -> list[tuple[str, Any]]:
    """What a thing holds, with names; what is kept for a tensor has the name of that tensor."""
    if isinstance(thing, dict):
        return [
            (found.get(id(key), "state") if isinstance(key, Cell) else str(key), value)
            for key, value in thing.items()
        ]
    if isinstance(thing, list | tuple):
        return [(str(number), value) for number, value in enumerate(thing)]
    if inspect.isfunction(thing):
        return [("", value) for value in inspect.getclosurevars(thing).nonlocals.values()]
    return list(vars(thing).items()) if hasattr(thing, "__dict__") else []
