"""Control flow as steps: cond, while loops and scans over lowered sub-graphs."""

from __future__ import annotations

from typing import Any

from elinvar.codegen.lowering import FusedLowering
from elinvar.core.shapes import size
from elinvar.graph.ir import Graph, Node, Value
from elinvar.kernels.plan import ControlStep, Loop, Place


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
        inner = type(self)(self.vector_bits)
        for value, place in zip(graph.inputs, inside, strict=True):
            inner.storages[value], inner.places[value] = place.storage, place
        inner.graph(graph, [*fresh, *stacked])
        for value, source, target in zip(graph.outputs, fresh, state, strict=False):
            inner.copy(value, source, target)
        return inner.steps

    def _lower_scan(self, node: Node) -> None:
        carry, sequences = node.params["carry"], node.params["sequences"]
        arguments = [self.dense(v) for v in node.operands]
        state = [self.place(v) for v in node.results[:carry]]
        for value, source, target in zip(node.operands[:carry], arguments, state, strict=False):
            self.copy(value, source, target)
        loop = Loop()

        def moving(value: Value, place: Place) -> Place:
            stride = size(value.shape[1:]) * value.dtype.itemsize
            return Place(place.storage, place.offset, (*place.moves, (loop, stride)))

        sources = arguments[carry : carry + sequences]
        slices = [moving(v, p) for v, p in zip(node.operands[carry:], sources, strict=False)]
        stacked = [moving(v, self.place(v)) for v in node.results[carry:]]
        inside = [*state, *slices, *arguments[carry + sequences :]]
        body = self._carried_body(node.params["body"], inside, state, stacked)
        reads = [p.storage for p in arguments]
        writes = [p.storage for p in (*state, *stacked)]
        self.steps.append(
            ControlStep(
                "for",
                None,
                [body],
                loop,
                node.params["length"],
                node.params["reverse"],
                reads,
                writes,
                "scan",
            )
        )
