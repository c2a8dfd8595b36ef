"""Traces: ordinary Python runs once on stand-ins, and a graph of it remains.

While a trace is open on a thread, every operation of that thread becomes a node of its graph.

- A tensor from outside that is read becomes an input: its cell then holds the input's value, until
  the trace ends and the cell gets its content back (also when an exception ends the trace).
- A tensor from outside that is rebound is *written*: whoever runs the graph writes the output back.
- Gradients that `backward` leaves in `.grad`, and attributes that a trace depends on
  (`note_guard`), are noted.

Traces nest: the sub-graphs of `cond`, `while_loop` and `scan` are traces within a trace. An inner
trace may read what an outer one made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from elinvar.core.errors import DTypeError, ShapeError, TraceError, fail
from elinvar.core.shapes import Dim, DimLike
from elinvar.core.source import Source, user_source
from elinvar.core.types import TensorType
from elinvar.graph.ir import Builder, Value
from elinvar.ops.record import Op
from elinvar.tensor.cell import Cell, current_trace, state, traced, traces
from elinvar.tensor.storage import need_live
from elinvar.tensor.tape import Boundary, next_serial
from elinvar.tensor.watching import watch


class Captured:
    """A tensor from outside, with what it held before the trace touched it."""

    __slots__ = ("cell", "content", "node", "slot", "tensor")

    cell: Any
    content: tuple[Any, Any, Any, Any]
    node: Any
    slot: int

    def __init__(self, cell: Any) -> None:
        self.cell = cell
        self.content = (cell._buffer, cell._address, cell._layout, cell._value)
        self.node = cell._node
        self.slot = 0 if self.node is None else cell._slot
        self.tensor: Any = None  # stands for the input; None while the cell was not read
        if self.node is not None and not self.node.is_leaf:
            cell._node, cell._slot = Boundary(cell), 0

    def make_input(self, trace: Any) -> None:
        """Let the cell hold an input of the trace's graph."""
        cell = self.cell
        self.tensor = trace.input(cell._type)
        self.tensor._node, self.tensor._slot = cell._node, 0
        cell._buffer, cell._address, cell._layout = trace, 0, None
        cell._value = self.tensor._value

    @property
    def is_written(self) -> bool:
        """Whether the trace rebound the cell (asked while the trace is open)."""
        return self.tensor is None or self.cell._value is not self.tensor._value

    def put_back(self) -> None:
        """Give the cell its content of before."""
        cell = self.cell
        cell._buffer, cell._address, cell._layout, cell._value = self.content
        cell._node = self.node
        if self.node is not None:
            cell._slot = self.slot


class Requirement(NamedTuple):
    """A condition on a symbolic size, which each call with other sizes is held against."""

    op: str
    dim: Dim
    holds: Callable[[int], bool]
    text: str
    hint: str | None
    source: Source | None

    def check(self, sizes: Mapping[str, int]) -> None:
        """Refuse sizes for which it does not hold."""
        if not self.holds(self.dim.evaluate(sizes)):
            shown = ", ".join(f"{name} = {sizes[name]}" for name in sorted(self.dim.names()))
            fail(ShapeError, self.op, f"{self.text} where {shown}", self.hint, self.source)


def need_size(
    op: str, dim: DimLike, holds: Callable[[int], bool], text: str, hint: str | None = None
) -> None:
    """Refuse a size; a symbolic one when the program is called."""
    if isinstance(dim, int):
        if not holds(dim):
            fail(ShapeError, op, text, hint)
        return
    trace = current_trace()
    if trace is not None:
        trace.requirements.append(Requirement(op, dim, holds, text, hint, user_source()))


class Trace:
    """One run of a function on stand-ins. Use it as a context manager; see the module's text."""

    builder: Builder
    first_serial: int
    finished: bool

    # whether its stand-ins, or those of a trace around it, are single examples
    is_mapped: bool = False

    def __init__(self, purpose: str, region: bool = False) -> None:
        self.purpose = purpose
        self.is_region = region  # differentiated as a graph, not by its tape
        self.builder = Builder()
        self.captured: dict[int, Captured] = {}
        self.gradients: dict[int, tuple[Any, Any, bool]] = {}  # cell, .grad before, read first
        self.seen_gradients: set[int] = set()  # of cells whose .grad the user's code looked at
        self.guards: dict[tuple[int, str], tuple[Any, str, Any]] = {}
        self.requirements: list[Requirement] = []
        self.first_serial = next_serial()
        self.finished = False
        self.line: Source | None = None  # of the forward operation that is being differentiated
        self._parents: list[Any] = []
        self._changes: list[Any] = []

    def __enter__(self) -> Trace:
        self._parents.append(state.trace)
        self._changes.append(state.changes)
        if state.trace is not None and state.trace.is_mapped:
            self.is_mapped = True
        state.trace, state.changes = self, None  # what is rebound inside is put back at the end
        traces.add(1)
        self.finished = False
        return self

    def __exit__(self, *_: Any) -> None:
        traces.add(-1)
        state.trace = parent = self._parents.pop()
        state.changes = self._changes.pop()
        if parent is not None:
            parent.requirements += self.requirements
        for held in self.captured.values():
            held.put_back()
        for cell, before, _read in self.gradients.values():
            cell._grad = before
        self.captured, self.gradients = {}, {}
        self.finished = True

    # what happens inside

    def input(self, kind: TensorType, name: str = "") -> Any:
        """A new input of the graph, as a tensor."""
        return traced(self, self.builder.input(kind, name))

    def apply(self, op: Op, operands: tuple[Any, ...], params: dict[str, Any]) -> list[Any]:
        """Add a node."""
        values = []
        for operand in operands:
            if isinstance(operand, Cell) and operand._buffer is self:
                values.append(operand._value)
            else:
                values.append(self.read(operand, op.name))
        if self.is_region and not state.grad_enabled:
            values = [self.cut(value) for value in values]
        results = self.builder.add(op, tuple(values), params, self.line or user_source())
        if watch.on:
            watch.note(results[0].node)
        return [traced(self, value) for value in results]

    def wrap(self, value: Value) -> Any:
        """A tensor that holds a value of this graph."""
        return traced(self, value)

    def cut(self, value: Value) -> Value:
        """The value without its derivative, where the graph itself will be differentiated."""
        if not self.is_region or value.dtype.kind not in "fc":
            return value
        return self.builder.f.stop_gradient(value)

    def read(self, cell: Any, op: str = "trace") -> Value:
        """The value of a tensor in this graph; one from outside becomes an input."""
        if not isinstance(cell, Cell):
            fail(DTypeError, op, f"expected a tensor, received {type(cell).__name__}")
        if cell._buffer is self:
            return cell._value
        held = self._capture(cell, op)
        held.make_input(self)
        return held.tensor._value

    def write(self, cell: Any, value: Value) -> None:
        """Rebind a tensor to a value of this graph."""
        if cell._buffer is not self:
            self._capture(cell, "assign")
        cell._buffer, cell._address, cell._layout, cell._value = self, 0, None, value

    def _capture(self, cell: Any, op: str) -> Captured:
        if cell._layout is None:
            need_live(cell, op)
            if not self._is_outer(cell._buffer):
                fail(TraceError, op, "a traced tensor of another trace is used here")
        held = self.captured[id(cell)] = Captured(cell)
        return held

    def _is_outer(self, other: Any) -> bool:
        trace = self
        while trace is not None and trace._parents:
            trace = trace._parents[-1]
            if trace is other:
                return True
        return False

    def constant(self, tensor: Any) -> Any:
        """A tensor made from Python data inside the trace: an input that is always the same."""
        return traced(self, self.read(tensor))

    def stand_in(self, tensor: Any) -> Any:
        """A new traced tensor with the value and the tape that `tensor` has at this moment."""
        copy = traced(self, self.read(tensor))
        copy._node = tensor._node
        copy._slot = tensor._slot if copy._node is not None else 0
        return copy

    def refuse_outside(self, tensor: Any, op: str) -> None:
        """Refuse to run an operation at once on a traced tensor."""
        need_live(tensor, op)
        fail(TraceError, op, f"a traced {tensor._type} has no value yet, but `{op}` runs at once")

    def note_gradient(self, cell: Any, is_read: bool, is_seen: bool = False) -> None:
        """Called before `.grad` of a tensor is read or set. `is_seen`: not by backward alone."""
        is_known = id(cell) in self.gradients
        if is_known and (not is_seen or id(cell) in self.seen_gradients):
            return
        if not is_known:
            self.gradients[id(cell)] = (cell, cell._grad, is_read)
        if is_seen:
            self.seen_gradients.add(id(cell))
        if self._parents[-1] is not None:
            self._parents[-1].note_gradient(cell, is_read, is_seen)

    def note_guard(self, owner: Any, name: str, value: Any) -> None:
        """The trace depends on the attribute `name` of `owner` being `value`."""
        self.guards.setdefault((id(owner), name), (owner, name, value))
        if self._parents[-1] is not None:
            self._parents[-1].note_guard(owner, name, value)

    # what remains

    @property
    def inputs(self) -> list[Captured]:
        """The captured cells that are inputs."""
        return [held for held in self.captured.values() if held.tensor is not None]

    @property
    def written(self) -> list[Captured]:
        """The captured cells that were rebound (asked while the trace is open)."""
        return [held for held in self.captured.values() if held.is_written]

    @property
    def changed_gradients(self) -> list[tuple[Any, Any]]:
        """(cell, new .grad) of cells whose .grad is another object than before."""
        return [(c, c._grad) for c, before, _ in self.gradients.values() if c._grad is not before]


def is_tracing() -> bool:
    """Whether the running thread traces."""
    return bool(traces.active) and state.trace is not None


def note_guard(owner: Any, name: str, value: Any) -> None:
    """Tell the running trace that it depends on `owner.name == value`.

    A program is used again only while its guards hold; otherwise the function is traced anew.
    """
    trace = current_trace()
    if trace is not None:
        trace.note_guard(owner, name, value)


@contextmanager
def recording(recorder: Any) -> Any:
    """Within, `recorder.apply` is called for each operation, in the place of what would run it."""
    recorder.outer = before = state.recorder
    state.recorder = recorder
    traces.add(1)
    try:
        yield
    finally:
        state.recorder = before
        traces.add(-1)


@contextmanager
def outside_trace() -> Any:
    """Within, operations run at once although a trace is open.

    For state that is made on first use, such as an optimizer's moments: made here, it is concrete,
    and the trace that then reads and writes it finds an ordinary tensor from outside.
    """
    before = state.trace
    state.trace = None
    try:
        yield
    finally:
        state.trace = before
