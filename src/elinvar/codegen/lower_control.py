"""Control flow as steps: cond, while loops and scans over lowered sub-graphs."""

from __future__ import annotations

from typing import Any

from elinvar.codegen.lowering import FusedLowering
from elinvar.core.shapes import size
from elinvar.graph.ir import Graph, Node, Value
from elinvar.kernels.plan import ALIGNMENT, ControlStep, Loop, Place, Shift


class ControlLowering(FusedLowering):
    """cond, while_loop and scan."""

    def _lower_cond(self, node: Node) -> None:
        predicate, *operands = node.operands
        arguments = [self.dense(v) for v in operands]
        test = self.dense(predicate)
        results = [self.place(v) for v in node.results]
        bodies = [
            self.sub_lowering(node.params[branch], arguments, results)[0]
            for branch in ("true", "false")
        ]
        reads = [p.storage for p in arguments] + [test.storage]
        self.steps.append(
            ControlStep(
                "cond", test, bodies, reads=reads, writes=[p.storage for p in results], label="cond"
            )
        )

    def _lower_while_loop(self, node: Node) -> None:
        carry = node.params["carry"]
        arguments = [self.dense(v) for v in node.operands]
        state = [self.place(v) for v in node.results]
        for value, source, target in zip(node.operands, arguments, state, strict=False):
            self.copy(value, source, target)
        inside = [*state, *arguments[carry:]]
        test = Place(self.arena(1))
        condition, _ = self.sub_lowering(node.params["condition"], inside, [test])
        body = self._carried_body(node.params["body"], inside, state, [])
        reads = [p.storage for p in arguments]
        writes = [p.storage for p in state] + [test.storage]
        self.steps.append(
            ControlStep(
                "while",
                test,
                [condition, body],
                Loop(),
                reads=reads,
                writes=writes,
                label="while_loop",
            )
        )

    def _carried_body(
        self, graph: Graph, inside: list[Place], state: list[Place], stacked: list[Place]
    ) -> list[Any]:
        """A loop body whose first outputs become the next state: computed aside, then copied."""
        fresh = [
            Place(self.arena(size(v.shape) * v.dtype.itemsize)) for v in graph.outputs[: len(state)]
        ]
        inner = self.nested()
        for value, place in zip(graph.inputs, inside, strict=True):
            inner.storages[value], inner.places[value] = place.storage, place
        inner.graph(graph, [*fresh, *stacked])
        for value, source, target in zip(graph.outputs, fresh, state, strict=False):
            inner.copy(value, source, target)
        return inner.steps

    def _lower_scan(self, node: Node) -> None:
        """The state lives in two blocks that take turns: one is read, the other written."""
        carry, sequences = node.params["carry"], node.params["sequences"]
        body: Graph = node.params["body"]
        loop = Loop()
        reading, writing = [], []
        for value in node.operands[:carry]:
            nbytes = size(value.shape) * value.dtype.itemsize
            block = -(-nbytes // ALIGNMENT) * ALIGNMENT if isinstance(nbytes, int) else nbytes
            storage = self.arena(2 * block)
            reading.append(Place(storage, 0, (Shift(loop, block, True),)))
            writing.append(Place(storage, block, (Shift(loop, -1 * block, True),)))
            source, strides = self.operand(value)
            self.copy(value, source, Place(storage), strides)

        def moving(value: Value, place: Place) -> Place:
            stride = size(value.shape[1:]) * value.dtype.itemsize
            return Place(place.storage, place.offset, (*place.moves, Shift(loop, stride)))

        sources = [self.dense(v) for v in node.operands[carry : carry + sequences]]
        slices = [moving(v, p) for v, p in zip(node.operands[carry:], sources, strict=False)]
        stacked = [moving(v, self.place(v)) for v in node.results[carry:]]
        inner = self.nested()
        fixed: list[Place] = []
        for value, outer in zip(
            body.inputs[carry + sequences :], node.operands[carry + sequences :]
        ):
            place, strides = self.operand(outer)
            fixed.append(place)
            inner.strides[value] = strides
        for value, place in zip(body.inputs, [*reading, *slices, *fixed], strict=True):
            inner.storages[value], inner.places[value] = place.storage, place
        inner.invariant = {place.storage for place in fixed}
        inner.graph(body, [*writing, *stacked])
        self.steps += inner.hoisted
        touched = [p.storage for p in (*sources, *fixed)]
        self.steps.append(
            ControlStep(
                "for",
                None,
                [inner.steps],
                loop,
                node.params["length"],
                node.params["reverse"],
                touched + [p.storage for p in reading],
                [p.storage for p in (*reading, *stacked)],
                "scan",
            )
        )
        for value, place in zip(node.results[:carry], reading, strict=True):
            self.copy(value, place, self.place(value))
