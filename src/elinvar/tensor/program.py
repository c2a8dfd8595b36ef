"""One traced call of a jitted function: its inputs, its outputs, and when it may be used again."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from elinvar.core import source, tree
from elinvar.core.collecting import paused_collection
from elinvar.core.errors import ElinvarError, TraceError, fail, message
from elinvar.core.shapes import SIZE_HINT, Dim
from elinvar.core.types import TensorType
from elinvar.graph.printing import print_graph
from elinvar.graph.sizes import resolve_sizes
from elinvar.tensor.cell import Cell, concrete, snapshot, state
from elinvar.tensor.dispatch import packed
from elinvar.tensor.function import Program, TracedFunction
from elinvar.tensor.replaying import replay
from elinvar.tensor.tape import Boundary, Leaf
from elinvar.tensor.trace import Trace
from elinvar.tensor.watching import any_bad, report, watch

# where a tensor from outside is found at the time of a call
CELL, GRADIENT_OF_CELL, GRADIENT_OF_ARGUMENT, ARGUMENT, OUTPUT, VALUE = range(6)


class Place:
    """Where a tensor is found: a cell, its `.grad`, an argument or the `.grad` of an argument."""

    __slots__ = ("kind", "what")

    kind: int
    what: Any

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

    layout: Any
    place: Place
    need: int

    def __init__(self, place: Place, layout: Any, node: Any) -> None:
        self.place, self.layout = place, layout
        self.need = need(node)

    def accepts(self, cell: Any) -> bool:
        """Whether the program may read this tensor."""
        if cell is None or need(cell._node) != self.need:
            return False
        found, known = cell._layout, self.layout
        if found is known:
            return True
        if found is None or found.dtype is not known.dtype or found.shape != known.shape:
            return False
        return True  # the same type, laid out otherwise


def need(node: Any) -> int:
    """What a tensor asks of the tape: 0 nothing, 1 a leaf, 2 made by a recorded operation."""
    return 0 if node is None else 1 if node.is_leaf else 2


class JitProgram:
    """A traced function with its places. `run` does what the Python function would do."""

    def __init__(self, function: TracedFunction) -> None:
        function.keeps_lines = function.lines_are_own = True
        self.function = function
        self.captured: list[CapturedInput] = []
        self.guards: list[tuple[Any, str, Any]] = []
        self.gradient_guards: list[tuple[Place, bool]] = []  # (the cell, had a .grad)
        self.seen_gradients: set[int] = set()  # ids of cells whose .grad the code looked at
        self.results: list[tuple[int, Any]] = []
        self.structure: Any = None
        self.writes: list[tuple[Place, int, bool]] = []  # (cell, result, its tape goes along)
        self.gradients: list[tuple[Place, int | None]] = []
        self.argument_types: list[TensorType] = []
        self.needed: tuple[Dim, ...] = ()  # what the trace took for granted: not negative
        self._program: Program | None = None  # for which the writes are sorted
        self._plain_writes: list[tuple[Any, int, Any]] = []
        self._other_writes: list[tuple[Place, int, bool]] = []
        self._donated: list[tuple[int, int]] = []
        self._replaced: list[Any] = []  # cells whose old `.grad` the program does not read

    def accepts_shapes(self, shapes: list[tuple[int, ...]]) -> bool:
        """Whether arguments of these shapes fit the symbols."""
        try:
            sizes = resolve_sizes(self.argument_types, shapes)
            self.function.check_sizes(sizes)
        except ElinvarError:
            return False
        return all(dim.evaluate(sizes) >= 0 for dim in self.needed)

    def is_valid(self, given: Any) -> bool:
        """Whether everything outside is as it was when the function was traced."""
        for captured in self.captured:
            place = captured.place
            cell = place.what if place.kind == CELL else place.find(given)
            if cell is None or cell._layout is not captured.layout:
                if not captured.accepts(cell):
                    return False
            node = cell._node
            if captured.need != (0 if node is None else 1 if node.is_leaf else 2):
                return False
        for owner, name, value in self.guards:
            if getattr(owner, name) != value:
                return False
        for place, had in self.gradient_guards:
            cell = place.find(given)
            if (getattr(cell, "_grad", None) is not None) != had:
                return False
        return True

    def run(self, tensors: Any, given: Any, examine: Any = None) -> Any:
        """Run on tensors; rebind what the function rebinds; return what it returns.

        `examine`: called with the results before anything is rebound, and nothing old is
        overwritten; it may refuse them.
        """
        operands = list(tensors)
        for held in self.captured:
            place = held.place
            operands.append(place.what if place.kind == CELL else place.find(given))
        program = self.function.program(operands)
        if program is not self._program:
            self._prepare(program)
        for number in program.unpacked:
            operands[number] = packed(operands[number])
        if state.changes is not None:
            self._note_changes(given)
        if examine is None:
            for cell in self._replaced:
                cell._grad = None  # its memory serves the new one
            buffers = program.compute(operands, self._donated)
        else:
            buffers = program.compute(operands)
            examine(operands, program.tensors(operands, buffers))
        if self.function.can_record and state.grad_enabled:
            outputs: Any = program.tensors(operands, buffers)
            if any(x._node is not None for x in operands):
                self.function.record(operands, outputs)
        else:
            outputs = _Outputs(program, operands, buffers)
        for cell, output, layout in self._plain_writes:
            buffer = buffers[output]
            cell._buffer = buffer
            cell._address = buffer.address
            cell._layout = layout
        for place, number, with_tape in self._other_writes:
            cell = place.find(given)
            if isinstance(cell, Cell):
                _write(cell, outputs[number], with_tape)
        for place, result in self.gradients:
            cell = place.find(given)
            if isinstance(cell, Cell):
                cell._grad = None if result is None else outputs[result]
        found = [self._result(kind, what, outputs, given) for kind, what in self.results]
        return found[0] if self.structure is tree.LEAF else tree.unflatten(self.structure, found)

    def _note_changes(self, given: Any) -> None:
        """Tell a checkpoint what the cells hold that will be rebound."""
        for place, _, _ in self.writes:
            cell = place.find(given)
            if isinstance(cell, Cell):
                state.note_change(cell, snapshot(cell))

    def _prepare(self, program: Program) -> None:
        """Sort the writes: tensors from outside that get an output's memory and no tape, others."""
        self._program = program
        self._plain_writes, self._other_writes = [], []
        for place, number, with_tape in self.writes:
            source, output, layout = program.results[number]
            if place.kind == CELL and source < 0 and not with_tape:
                self._plain_writes.append((place.what, output, layout))
            else:
                self._other_writes.append((place, number, with_tape))
        arguments = len(self.argument_types)
        numbers = {
            id(held.place.what): arguments + n
            for n, held in enumerate(self.captured)
            if held.place.kind == CELL
        }
        pairs = [(numbers.get(id(cell), -1), output) for cell, output, _ in self._plain_writes]
        self._donated = [pair for pair in pairs if pair in program.aliases]
        read = {id(x.place.what) for x in self.captured if x.place.kind == GRADIENT_OF_CELL}
        changed = [place.what for place, _ in self.gradients if place.kind == CELL]
        self._replaced = [cell for cell in changed if id(cell) not in read]

    def _result(self, kind: int, what: Any, outputs: Any, given: Any) -> Any:
        if kind == OUTPUT:
            return outputs[what]
        return given[what] if kind == ARGUMENT else what

    def compiled(self) -> Any:
        """What the compiler made of the graph."""
        return self.function.compile()

    def text(self) -> str:
        """The graph as text."""
        return print_graph(self.function.graph)


def _write(cell: Any, value: Any, with_tape: bool) -> None:
    if cell._writes_through:
        cell._rebind(value)
        return
    cell._buffer, cell._address, cell._layout = value._buffer, value._address, value._layout
    if with_tape:
        cell._node = value._node
        if value._node is not None:
            cell._slot = value._slot


class _Outputs:
    """The results as tensors, made when they are asked for; no tape."""

    __slots__ = ("_buffers", "_operands", "_program")

    def __init__(self, program: Program, operands: list[Any], buffers: list[Any]) -> None:
        self._program, self._operands, self._buffers = program, operands, buffers

    def __getitem__(self, number: int) -> Any:
        source, output, layout = self._program.results[number]
        if source >= 0:
            x = self._operands[source]
            return concrete(x._buffer, x._address, x._layout)
        buffer = self._buffers[output]
        return concrete(buffer, buffer.address, layout)


def trace_program(
    function: Callable[..., Any],
    name: str,
    call: Any,
    types: list[TensorType] | None = None,
    numerics: str = "exact",
) -> JitProgram:
    """Run `function` on stand-ins for the arguments of a call, whose sizes `types` may hide."""
    if types is None:
        types = [x._layout.type for x in call.tensors]
    with paused_collection(), Trace(name) as trace:
        arguments = [
            _argument(trace, kind, x, given)
            for kind, x, given in zip(types, call.tensors, call.given, strict=True)
        ]
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
    program.function.numerics = numerics
    program.captured, program.guards = captured, guards
    program.results, program.structure = results, structure
    program.writes, program.gradients = writes, gradients
    program.gradient_guards, program.seen_gradients = gradient_guards, trace.seen_gradients
    program.function.settled = _settled(program, len(arguments))
    program.argument_types = types
    return program


def examine_call(
    program: JitProgram,
    function: Any,
    call: Any,
    what: str,
    operands: list[Any],
    results: list[Any],
) -> None:
    """Refuse bad values that a jitted function made, while somebody watches for them.

    `what`: how to call it in the error.

    The function is traced again where its trace was not watched, so that every operation knows its
    module.
    """
    if not any_bad(results):
        return
    name, graph, inputs = program.function.name, program.function.graph, operands
    if not any(node in watch.origins for node in graph.nodes):
        try:
            again = trace_program(function, name, call, numerics=program.function.numerics)
        except Exception:  # what it depends on has changed: then modules stay unknown
            again = None
        if again is not None:
            graph = again.function.graph
            captured = [held.place.find(call.given) for held in again.captured]
            inputs = [*call.tensors, *captured]
    birth = replay(name, graph, inputs)
    if birth is not None:
        report(birth, what)


@contextmanager
def sizes_as_numbers(name: str) -> Iterator[None]:
    """Where Python wants a symbolic size as a number, an error that says so and names the line."""
    try:
        yield
    except TypeError as error:
        if isinstance(error, ElinvarError) or not re.search(r"\bDim\b", str(error)):
            raise
        text = f"a size that changes from call to call is needed as a number: {error}"
        where = source.raised_at(error.__traceback__)
        raise TraceError(message(name, text, SIZE_HINT, where)) from error


def _settled(program: JitProgram, arguments: int) -> tuple[int, ...]:
    """The inputs that are tensors from outside which the function does not write: most likely the
    weights of a model that is not trained."""
    written = {id(place.what) for place, _, _ in program.writes if place.kind == CELL}
    return tuple(
        arguments + number
        for number, held in enumerate(program.captured)
        if held.place.kind == CELL and id(held.place.what) not in written
    )


def _argument(trace: Trace, kind: TensorType, x: Any, given: Any) -> Any:
    """The tensor that the function gets in place of an argument."""
    stand_in = trace.input(kind)
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
            if isinstance(leaf, Dim):
                text = f"a size that changes from call to call cannot be returned: {leaf}"
                fail(TraceError, "jit", text)
            return VALUE, leaf
        number = self.arguments.get(id(leaf))
        if number is not None and isinstance(self.given[number], Cell):
            return ARGUMENT, number
        if id(leaf) in self.trace.captured or leaf._layout is not None:
            return VALUE, leaf  # a tensor from outside is returned as such
        return OUTPUT, self.output(leaf)

    def writes(self) -> list[tuple[Place, int, bool]]:
        cells = [(held.cell, held.node) for held in self.trace.written]
        inputs = self.trace.builder.inputs
        for number, x in enumerate(self.stand_ins):
            if x._value is not inputs[number]:
                cells.append((x, getattr(self.given[number], "_node", None)))
        found = []
        for cell, before in cells:
            node = cell._node
            with_tape = before is not None if node is None else not node.is_leaf
            found.append((self.place(cell), self.output(cell), with_tape))
        return found

    def gradients(self) -> Any:
        changed = []
        for cell, gradient in self.trace.changed_gradients:
            if self._outlives(cell):
                number = None if gradient is None else self.output(gradient)
                changed.append((self.place(cell), number))
        guards = [
            (self.place(cell), before is not None)
            for cell, before, is_read in self.trace.gradients.values()
            if is_read and self._outlives(cell)
        ]
        return changed, guards

    def _outlives(self, cell: Any) -> bool:
        """Whether there is such a tensor after the trace: not one that was computed inside."""
        is_outside = cell._layout is not None or id(cell) in self.trace.captured
        return is_outside or id(cell) in self.arguments
