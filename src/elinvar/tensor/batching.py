"""vmap: a function of one example as a function of many.

The function is traced once, on stand-ins for one example; the graph of the trace is batched
(`transforms/batch.py`) and its nodes are built where vmap was called: in the trace that runs there,
or in eager mode as one program. Tensors that the function reads from outside are the same for all
examples. So `vmap(f)(x)[i]` has the bits of `f(x[i])`.

On the tape a call is one node. Its derivative is that of the function for one example (found by
walking the tape of the trace, so all that is true of it there stays true), batched in its turn;
what is not mapped receives the sum over all examples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from elinvar.core.collecting import paused_collection
from elinvar.core.errors import TraceError, fail
from elinvar.core.shapes import DimLike
from elinvar.graph.ir import Builder, Value
from elinvar.graph.walk import content_key
from elinvar.tensor.cell import current_trace, traced
from elinvar.tensor.dispatch import F
from elinvar.tensor.function import MOST_BOUND, Program, TracedFunction, program_for
from elinvar.tensor.jit import tracing_lock
from elinvar.tensor.mapped import MappedTrace
from elinvar.tensor.tape import Boundary, Derivative, record_call
from elinvar.transforms.batch import Axis, Batching

_programs: dict[Any, tuple[Program, tuple[int, ...]]] = {}

# what a result of a batched function is
MAPPED, SUMMED, SHARED = range(3)


class BatchedFunction:
    """A traced function of one example, applied to many in the running trace.

    Args:
        function: of one example.
        mapped: for each of its inputs whether the operand carries the examples in front.
        axis: the mapped axis.
        kinds: for each output MAPPED (the examples' results, stacked in front), SUMMED (over all
            examples) or SHARED (one result for all; MAPPED is what becomes of it if the examples'
            results differ, see `kinds_of`).
        is_collective: whether examples hear of each other.
    """

    axis: Axis
    function: TracedFunction
    mapped: list[bool]
    is_collective: bool
    kinds: list[int]

    def __init__(
        self,
        function: TracedFunction,
        mapped: Sequence[bool],
        axis: Axis,
        kinds: Sequence[int],
        is_collective: bool,
    ) -> None:
        self.function, self.mapped, self.axis = function, list(mapped), axis
        self.kinds, self.is_collective = list(kinds), is_collective

    def __call__(self, operands: list[Any]) -> list[Any]:
        """New tensors; one node on the tape where gradients are wanted."""
        trace = current_trace()
        results = self._at_once(operands) if trace is None else self._traced(trace, operands)
        if self.function.can_record and any(x._node is not None for x in operands):
            flows = self.function.differentiable
            rule = Derivative(self._derive, self._push)
            record_call(self.function.name, rule, operands, results, flows)
        return results

    def _at_once(self, operands: list[Any]) -> list[Any]:
        """Run the batched graph as one program: that of an equal call, if there was one."""
        layouts = tuple([x._layout for x in operands])
        graph, axis = self.function.graph, self.axis
        key = (content_key(graph, axis.number), layouts, *self.mapped, axis.size, *self.kinds)
        found = _programs.get(key)
        if found is None:
            builder = Builder(capture_source=False)
            values = [builder.input(layout.type) for layout in layouts]
            work = Batching(builder, axis)
            work.run(graph, values, self.mapped)
            outputs = [self._result(work, value, n) for n, value in enumerate(graph.outputs)]
            program = program_for(builder.graph(outputs, graph.name), layouts)
            if len(_programs) >= MOST_BOUND:
                _programs.clear()
            found = _programs[key] = program, tuple(self.kinds)
        program, kinds = found
        self.kinds = list(kinds)
        return program.run(list(operands))

    def _traced(self, trace: Any, operands: list[Any]) -> list[Any]:
        """Build the batched graph in the running trace."""
        values = [trace.read(x) for x in operands]
        work = Batching(trace.builder, self.axis)
        work.run(self.function.graph, values, self.mapped)
        outputs = self.function.graph.outputs
        return [
            traced(trace, self._result(work, value, number)) for number, value in enumerate(outputs)
        ]

    def _result(self, work: Batching, value: Value, number: int) -> Value:
        kind = self.kinds[number]
        if kind == SHARED and value in work.mapped:
            kind = self.kinds[number] = MAPPED
        if kind == MAPPED:
            return work.in_front(value)
        return work.new[value] if kind == SHARED else work.summed(value)

    def _derive(self, operands: Any, results: Any, cotangents: Any) -> list[Any]:
        """The cotangents of results that all examples share start at one of them only."""
        shared = [kind == SHARED and c is not None for kind, c in zip(self.kinds, cotangents)]
        if not any(shared):
            return self._pull(operands, cotangents, True)
        if self.is_collective:
            given = [
                self._at_first_example(c) if one else c
                for one, c in zip(shared, cotangents, strict=True)
            ]
            return self._pull(operands, given, True, shared)
        once = [c if one else None for one, c in zip(shared, cotangents, strict=True)]
        found = self._pull(operands, once, False)
        many = [None if one else c for one, c in zip(shared, cotangents, strict=True)]
        if any(c is not None for c in many):
            more = self._pull(operands, many, True)
            found = [_plus(x, y) for x, y in zip(found, more, strict=True)]
        return found

    def _push(self, operands: Any, results: Any, tangents: Any) -> list[Any]:
        """The tangents of the results: that of an operand is mapped as the operand is."""
        moving = tuple([t is not None for t in tangents])
        jvp, places = self.function.jvp(moving)
        found: list[Any] = [None] * len(self.kinds)
        if places:
            seeds = [is_mapped for is_mapped, moves in zip(self.mapped, moving) if moves]
            kinds = [self.kinds[n] for n in places]
            mapped = [*self.mapped, *seeds, *(False for _ in jvp.held)]
            pushed = BatchedFunction(jvp, mapped, self.axis, kinds, self.is_collective)
            given = [*operands, *(t for t in tangents if t is not None), *jvp.held]
            for place, tangent in zip(places, pushed(given), strict=True):
                found[place] = tangent
        return found

    def _at_first_example(self, cotangent: Any) -> Any:
        size, shape = self.axis.size, tuple(cotangent.shape)
        row = F.reshape(cotangent, shape=(1, *shape))
        zero = F.zeros_like(F.reshape(cotangent, shape=shape))
        rest = F.broadcast(zero, shape=(size - 1, *shape))
        return F.concatenate(row, rest, axis=0)

    def _pull(
        self, operands: Any, cotangents: Any, sums: bool, also_mapped: Sequence[bool] = ()
    ) -> list[Any]:
        """The cotangents of the operands. `sums`: those of operands that are not mapped are sums
        over the examples; else there is one for all examples."""
        wanted = tuple([x._node is not None for x in operands])
        present = tuple([c is not None for c in cotangents])
        vjp, places = self.function.vjp(wanted, present)
        found: list[Any] = [None] * len(operands)
        if not places:
            return found
        seeds = [
            kind == MAPPED or bool(also_mapped and also_mapped[number])
            for number, kind in enumerate(self.kinds)
            if present[number]
        ]
        kinds = [MAPPED if self.mapped[n] else SUMMED if sums else SHARED for n in places]
        mapped = [*self.mapped, *seeds, *(False for _ in vjp.held)]
        pulled = BatchedFunction(vjp, mapped, self.axis, kinds, self.is_collective)
        given = [*operands, *(c for c in cotangents if c is not None), *vjp.held]
        for place, gradient in zip(places, pulled(given), strict=True):
            found[place] = gradient
        return found


def _plus(x: Any, y: Any) -> Any:
    if x is None or y is None:
        return y if x is None else x
    return F.add(x, y)


class Mapped:
    """One call of a mapped function in a running trace: its results, and what it wrote."""

    results: list[tuple[Any, int]]

    def __init__(
        self,
        name: str,
        call: Callable[[list[Any]], list[Any]],
        rows: list[Any],
        axis_size: DimLike,
        axis_name: Any,
        randomness: str,
    ) -> None:
        """`rows`: the mapped tensors, examples in front. `call` takes stand-ins for one example."""
        with _alone(), MappedTrace(name, axis_size, axis_name, randomness) as trace:
            stand_ins = [trace.input(x._type.with_shape(x.shape[1:])) for x in rows]
            for stand_in, x in zip(stand_ins, rows, strict=True):
                if x._node is not None:
                    stand_in._node, stand_in._slot = Boundary(stand_in), 0
            inputs = [trace.stand_in(x) for x in stand_ins]
            found = [trace.stand_in(y) for y in call(stand_ins)]
            for cell, _ in trace.changed_gradients:
                if cell._layout is not None or id(cell) in trace.captured:
                    _refuse_gradients(name, cell)
            written = [held.cell for held in trace.written]
            found += [trace.stand_in(cell) for cell in written]
            held = trace.inputs
        inputs += [one.tensor for one in held]
        cells = [one.cell for one in held]
        function = TracedFunction(name, trace, inputs, found, [])
        axis = Axis(axis_size, trace.number)
        mapped = [*(True for _ in rows), *(False for _ in cells)]
        kinds = [SHARED] * len(found)
        batched = BatchedFunction(function, mapped, axis, kinds, trace.is_collective)
        results = batched([*rows, *cells])
        count = len(found) - len(written)
        self.results = list(zip(results[:count], batched.kinds, strict=False))
        for cell, value, kind, one in zip(
            written, results[count:], batched.kinds[count:], found[count:], strict=True
        ):
            if kind == MAPPED:
                _refuse_write(trace, cell, one)
            cell._rebind(value)


@contextmanager
def _alone() -> Iterator[None]:
    """An outermost trace: no other thread may see the tensors that it reads."""
    with tracing_lock, paused_collection():
        yield


def _refuse_gradients(name: str, cell: Any) -> None:
    text = f"`backward` must not leave a gradient in a tensor from outside: {cell._type}"
    fail(TraceError, name, text, "use `el.grad` inside of the function, or backward outside of it")


def _refuse_write(trace: MappedTrace, cell: Any, value: Any) -> None:
    name = trace.name_of(cell)
    shown = f"{name}: {cell._type}" if name else f"{cell._type}"
    text = f"each example would write another value into one tensor from outside, {shown}"
    hint = "return the value as a result"
    if name:
        hint = (
            "call `.eval()` (or pass track_running_stats=False), or give each example buffers of "
            "its own with `el.functional_call`"
        )
    fail(TraceError, trace.purpose, text, hint, value._value.node.source)
