"""One traced call of a jitted function: its inputs, its outputs, and when it may be used again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from elinvar.core import tree
from elinvar.graph.printing import print_graph
from elinvar.tensor.cell import Cell, state
from elinvar.tensor.dispatch import packed
from elinvar.tensor.function import Program, TracedFunction
from elinvar.tensor.tape import Boundary, Leaf
from elinvar.tensor.trace import Trace

# where a tensor from outside is found at the time of a call
CELL, GRADIENT_OF_CELL, GRADIENT_OF_ARGUMENT, ARGUMENT, OUTPUT, VALUE = range(6)


class Place:
    """Where a tensor is found: a cell, its `.grad`, an argument or the `.grad` of an argument."""

    __slots__ = ("kind", "what")

    def __init__(self, kind: int, what: Any) -> None:
        self.kind, self.what = kind, what

    def find(self, given: list[Any]) -> Any:
        """The tensor, or None."""
        kind, what = self.kind, self.what
        if kind == CELL:
            return what
        if kind == GRADIENT_OF_CELL:
            return what._grad
        if kind == ARGUMENT:
            return given[what]
        return getattr(given[what], "_grad", None)


class CapturedInput:
    """A tensor from outside that the program reads, with the type it was traced for."""

    __slots__ = ("layout", "need", "place")

    def __init__(self, place: Place, layout: Any, node: Any) -> None:
        self.place, self.layout = place, layout
        self.need = _need(node)


def _need(node: Any) -> int:
    return 0 if node is None else 1 if node.is_leaf else 2


class JitProgram:
    """A traced function with its places. `run` does what the Python function would do."""

    def __init__(self, function: TracedFunction) -> None:
        self.function = function
        self.captured: list[CapturedInput] = []
        self.guards: list[tuple[Any, str, Any]] = []
        self.gradient_guards: list[tuple[Place, bool]] = []  # (the cell, had a .grad)
        self.results: list[tuple[int, Any]] = []
        self.structure: Any = None
        self.writes: list[tuple[Place, int, bool]] = []  # (cell, output, its tape goes along)
        self.gradients: list[tuple[Place, int | None]] = []
        self.program: Program | None = None

    def is_valid(self, given: list[Any]) -> bool:
        """Whether everything outside is as it was when the function was traced."""
        for captured in self.captured:
            place = captured.place
            cell = place.what if place.kind == CELL else place.find(given)
            if cell is None or cell._layout is not captured.layout:
                if cell is None or not _same(cell._layout, captured.layout):
                    return False
            if cell._node is not None or captured.need:
                if _need(cell._node) != captured.need:
                    return False
        for owner, name, value in self.guards:
            if getattr(owner, name) != value:
                return False
        for place, had in self.gradient_guards:
            cell = place.find(given)
            if (getattr(cell, "_grad", None) is not None) != had:
                return False
        return True

    def run(self, tensors: list[Any], given: list[Any]) -> Any:
        """Run on tensors; rebind what the function rebinds; return what it returns."""
        operands = tensors
        if self.captured:
            operands = [*tensors, *[packed(held.place.find(given)) for held in self.captured]]
        program = self.program
        if program is None:
            program = self.program = self.function.program(operands)
        outputs = program.run(operands)
        if state.grad_enabled:
            self.function.record(operands, outputs)
        for place, number, with_tape in self.writes:
            cell, value = place.find(given), outputs[number]
            if isinstance(cell, Cell):
                cell._buffer, cell._address, cell._layout = (
                    value._buffer,
                    value._address,
                    value._layout,
                )
                if with_tape:
                    cell._node = value._node
                    if value._node is not None:
                        cell._slot = value._slot
        for place, number in self.gradients:
            cell = place.find(given)
            if isinstance(cell, Cell):
                cell._grad = None if number is None else outputs[number]
        leaves = [self._result(kind, what, outputs, given) for kind, what in self.results]
        return leaves[0] if self.structure is tree.LEAF else tree.unflatten(self.structure, leaves)

    def _result(self, kind: int, what: Any, outputs: list[Any], given: list[Any]) -> Any:
        if kind == OUTPUT:
            return outputs[what]
        return given[what] if kind == ARGUMENT else what

    def compiled(self) -> Any:
        """What the compiler made of the graph."""
        return self.function.compile()

    def text(self) -> str:
        """The graph as text."""
        return print_graph(self.function.graph)


def _same(a: Any, b: Any) -> bool:
    return a is not None and a.dtype is b.dtype and a.shape == b.shape


def trace_program(function: Callable[..., Any], name: str, call: Any) -> JitProgram:
    """Run `function` on stand-ins for the arguments of a call."""
    with Trace(name) as trace:
        arguments = [_argument(trace, x, given) for x, given in zip(call.tensors, call.given, strict=True)]
        inputs = [trace.stand_in(x) for x in arguments]
        args, kwargs = _rebuild(call, list(arguments))
        found = function(*args, **kwargs)
        recorder = _Recorder(trace, arguments, call.given)
        results, structure = recorder.results(found)
        writes = recorder.writes()
        gradients, gradient_guards = recorder.gradients()
        held = trace.inputs
        captured = [
            CapturedInput(recorder.place(one.cell), one.content[2], one.node) for one in held
        ]
        guards = list(trace.guards.values())
        inputs += [one.tensor for one in held]
        outputs = recorder.outputs
    program = JitProgram(TracedFunction(name, trace, inputs, outputs, []))
    program.captured, program.guards = captured, guards
    program.results, program.structure = results, structure
    program.writes, program.gradients = writes, gradients
    program.gradient_guards = gradient_guards
    return program


def _argument(trace: Trace, x: Any, given: Any) -> Any:
    """The tensor that the function gets in place of an argument."""
    stand_in = trace.input(x._layout.type)
    if x._node is not None:
        stand_in._node = (Leaf if x._node.is_leaf else Boundary)(stand_in)
        stand_in._slot = 0
    if isinstance(given, Cell):
        stand_in._grad = given._grad
    return stand_in


def _rebuild(call: Any, arguments: list[Any]) -> tuple[Any, dict[str, Any]]:
    if call.leaves is None:
        return arguments, {}
    places = iter(arguments)
    leaves = [next(places) if leaf is None else leaf.value for leaf in call.leaves]
    args, kwargs = tree.unflatten(call.structure, leaves)
    return args, kwargs


class _Recorder:
    """Collects the outputs of an open trace."""

    def __init__(self, trace: Trace, arguments: list[Any], given: list[Any]) -> None:
        self.trace = trace
        self.arguments = {id(x): number for number, x in enumerate(arguments)}
        self.stand_ins = arguments
        self.given = given
        self.outputs: list[Any] = []

    def output(self, tensor: Any) -> int:
        self.outputs.append(self.trace.stand_in(tensor))
        return len(self.outputs) - 1

    def place(self, cell: Any) -> Place:
        """How a later call finds the cell."""
        number = self.arguments.get(id(cell))
        if number is not None:
            return Place(ARGUMENT, number)
        for owner, before, _ in self.trace.gradients.values():
            if before is cell:
                number = self.arguments.get(id(owner))
                if number is not None:
                    return Place(GRADIENT_OF_ARGUMENT, number)
                return Place(GRADIENT_OF_CELL, owner)
        return Place(CELL, cell)

    def results(self, found: Any) -> tuple[list[tuple[int, Any]], Any]:
        leaves, structure = tree.flatten(found)
        return [self._result(leaf) for leaf in leaves], structure

    def _result(self, leaf: Any) -> tuple[int, Any]:
        if not isinstance(leaf, Cell):
            return VALUE, leaf
        number = self.arguments.get(id(leaf))
        if number is not None and isinstance(self.given[number], Cell):
            return ARGUMENT, number
        if id(leaf) in self.trace.captured or leaf._layout is not None:
            return VALUE, leaf  # a tensor from outside is returned as such
        return OUTPUT, self.output(leaf)

    def writes(self) -> list[tuple[Place, int, bool]]:
        cells = [held.cell for held in self.trace.written]
        inputs = self.trace.builder.inputs
        for number, x in enumerate(self.stand_ins):
            if x._value is not inputs[number]:
                cells.append(x)
        found = []
        for cell in cells:
            with_tape = cell._node is None or not cell._node.is_leaf
            found.append((self.place(cell), self.output(cell), with_tape))
        return found

    def gradients(self) -> Any:
        changed = []
        for cell, gradient in self.trace.changed_gradients:
            number = None if gradient is None else self.output(gradient)
            changed.append((self.place(cell), number))
        guards = [
            (self.place(cell), before is not None)
            for cell, before, is_read in self.trace.gradients.values()
            if is_read
        ]
        return changed, guards
