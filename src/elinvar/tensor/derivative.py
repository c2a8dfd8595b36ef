"""Derivatives of primitives in eager mode: one compiled program for each recorded operation.

The derivative rule of an op is run once on graph values, for the operands that want a gradient.
That tells which operands and results the rule reads, so the tape keeps no more than these, and
gives a graph, which runs as one program. Where the graph only moves elements about, it is not
compiled: the rule then runs on tensors, as views. Forward mode likewise: the graph that maps
tangents of operands to those of results reads no more than the reverse one does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from elinvar.core.errors import ElinvarError
from elinvar.core.types import TensorType
from elinvar.graph.ir import Builder, Graph, Value, result_types
from elinvar.ops.complex_rules import parts_rule
from elinvar.ops.record import Absent, Op
from elinvar.tensor import oneop, views
from elinvar.tensor.cell import Snapshot, concrete
from elinvar.tensor.engine import allocator, compile_graph
from elinvar.tensor.layout import Layout, dense
from elinvar.transforms.differentiate import backpropagate
from elinvar.transforms.forward import ForwardDrawing, forward_drawing

MOST_RULES = 8192
_MOVING = {*views.VIEWS, "constant", "pad"}
_rules: dict[Any, Rule] = {}


class Drawing:
    """A derivative rule as a graph, for operands of given types."""

    __slots__ = ("graph", "places", "used")

    places: list[int]
    used: list[int]
    graph: Graph

    def __init__(
        self, op: Op, params: dict[str, Any], types: Sequence[Any], mask: tuple[bool, ...]
    ) -> None:
        builder = Builder(capture_source=False)
        operands = tuple(builder.input(kind) for kind in types)
        made = result_types(op, types, params)
        results = tuple(builder.input(kind) for kind in made)
        cotangents = tuple(builder.input(k) if k.dtype.kind in "fc" else None for k in made)
        found: Any
        if parts_rule(op, operands, params) is None:
            found = op.derivative(builder.f, operands, results, cotangents, **params)  # type: ignore[operator]
        else:
            found = _of_parts(builder, op, params, operands, cotangents)
        pairs = [(n, value) for n, value in enumerate(found) if mask[n] and value is not None]
        self.places = [n for n, _ in pairs]  # operands that get a cotangent
        outputs = [value for _, value in pairs]
        reached = _reached_inputs(outputs)
        given = [*operands, *results, *cotangents]
        self.used = [n for n, value in enumerate(given) if value in reached]
        builder.inputs = [given[n] for n in self.used]  # type: ignore[misc]
        self.graph = builder.graph(outputs, f"{op.name}_derivative")


AnyDrawing = Drawing | ForwardDrawing


def replayed_drawing(
    drawing: AnyDrawing, apply: Callable[..., Any], given: Any, count: int
) -> list[Any]:
    """Compute a derivative on tensors, one operation at a time, so that it can be recorded.

    Args:
        drawing: the derivative.
        apply: applies an op to tensors.
        given: all operands, results and cotangents (or tangents).
        count: how many things derivatives could be found for.
    """
    graph = drawing.graph
    values = {v: given[n] for v, n in zip(graph.inputs, drawing.used, strict=True)}
    for node in graph.nodes:
        results = apply(node.op, tuple([values[v] for v in node.operands]), node.params)
        if len(node.results) == 1:
            values[node.results[0]] = results
        else:
            values.update(zip(node.results, results, strict=True))
    found: list[Any] = [None] * count
    for place, value in zip(drawing.places, graph.outputs, strict=True):
        found[place] = values[value]
    return found


def _of_parts(
    builder: Builder, op: Op, params: dict[str, Any], operands: Any, cotangents: Any
) -> list[Value | None]:
    """The derivative of an operation on complex numbers, through the real ones that compute it."""
    made = builder.add(op, operands, params)
    pairs = [(y, c) for y, c in zip(made, cotangents, strict=True) if c is not None]
    if not pairs:
        return [None] * len(operands)
    return backpropagate(builder, [y for y, _ in pairs], [c for _, c in pairs], operands)


def _reached_inputs(outputs: list[Value]) -> set[Value]:
    seen: set[Value] = set()
    stack = list(outputs)
    while stack:
        value = stack.pop()
        if value not in seen:
            seen.add(value)
            stack.extend(value.node.operands)
    return {value for value in seen if value.node.is_input}


def moves_only(graph: Graph) -> bool:
    """Whether the graph has nothing to compute (`pad` is two copies)."""
    return all(node.op_name in _MOVING for node in graph.nodes)


def _blank(layout: Layout) -> Snapshot:
    return (None, 0, layout, None, None, 0)


class Drawn(ABC):
    """A derivative of one kind of operation as a graph, and its programs.

    Attributes:
        drawing: the graph; None where the rule is at fault.
        is_direct: the rule is to be run on tensors.
        targets: the layouts of what derivatives are found for: the operands, or the results.
    """

    __slots__ = (
        "_layouts",
        "_programs",
        "_results",
        "drawing",
        "is_direct",
        "mask",
        "op",
        "params",
        "targets",
    )
    kind = "derivative"

    mask: tuple[bool, ...]
    name: str
    op: Op
    params: dict[str, Any]
    blank_operands: list[Snapshot]
    carries: bool
    is_direct: bool

    def __init__(
        self, op: Op, params: dict[str, Any], layouts: Any, results: Any, mask: tuple[bool, ...]
    ) -> None:
        self.op, self.params, self.mask = op, params, mask
        self._layouts, self._results = layouts, results
        self.targets = layouts
        self._programs: dict[Any, Any] = {}
        self.drawing: AnyDrawing | None = None
        self.is_direct = True

    @abstractmethod
    def draw(self, types: Sequence[TensorType], params: dict[str, Any]) -> AnyDrawing:
        """The rule for operands of other types."""

    def run(self, operands: Sequence[Snapshot], results: Any, cotangents: Any) -> list[Any]:
        """One cotangent (or None) for each operand, or tangent for each result, from what the tape
        kept. `cotangents`: those of the results, or tangents of the operands."""
        key = tuple([None if c is None else c._layout for c in cotangents])
        program = self._programs.get(key)
        if program is None:
            program = self._programs[key] = self._compile(key)
        call, arena_nbytes, outputs, used, places, allocate = program
        count = len(operands)
        found: list[Any] = [None] * len(self.targets)
        buffers = [allocate(nbytes) for nbytes, _ in outputs]
        if call is not None:
            addresses = []
            last = count + len(results)
            for n in used:
                if n < count:
                    addresses.append(operands[n][1])
                elif n < last:
                    addresses.append(results[n - count][1])
                else:
                    addresses.append(cotangents[n - last]._address)
            arena = allocate(arena_nbytes) if arena_nbytes else None
            call(
                0 if arena is None else arena.address,
                *addresses,
                *[buffer.address for buffer in buffers],
            )
        for place, buffer, (_, layout) in zip(places, buffers, outputs, strict=True):
            found[place] = concrete(buffer, buffer.address, layout)
        return found

    def replay(self, apply: Callable[..., Any], given: list[Any]) -> list[Any]:
        """The same on tensors, one operation at a time, so that it can be recorded.

        `given`: all operands, results and cotangents.
        """
        assert self.drawing is not None
        return replayed_drawing(self.drawing, apply, given, len(self.targets))

    def _compile(self, cotangents: tuple[Any, ...]) -> Any:
        drawing = self.drawing
        assert drawing is not None
        given = [*self._layouts, *self._results, *cotangents]
        layouts = [given[n] for n in drawing.used]
        shapes = [self.targets[n].shape for n in drawing.places]
        program = None
        if self.op.family == "elementwise":
            program = self._elementwise(drawing, layouts, shapes)
        if program is None:
            program = self._general(drawing, cotangents, layouts, shapes)
        return (*program, drawing.used, drawing.places, allocator())

    def _elementwise(self, drawing: AnyDrawing, layouts: list[Layout], shapes: Any) -> Any:
        """The program with merged axes and symbolic sizes."""
        targets = self.targets
        outputs = [dense(targets[n].dtype, targets[n].shape) for n in drawing.places]
        if not layouts or 0 in shapes[0]:
            return (None, 0, [(0, x) for x in outputs]) if layouts else None
        sizes, strides = oneop.collapse(layouts)
        values = {f"d{axis}": size for axis, size in enumerate(sizes)}
        dims = oneop.symbols(len(sizes))
        patterns = tuple(
            oneop.stride_pattern(n, sizes, steps, values) for n, steps in enumerate(strides)
        )
        types = tuple(TensorType(x.dtype, dims) for x in self._layouts)
        key = (self.kind, self.op, tuple(self.params.items()), types, self.mask, patterns)
        merged = self.draw(types, self.params)
        compiled = oneop.kept(key, lambda: compile_graph(merged.graph, patterns))
        return oneop.bound(compiled, values, shapes)

    def _general(self, drawing: AnyDrawing, cotangents: Any, layouts: Any, shapes: Any) -> Any:
        """The program with symbolic sizes, or with static ones where the rule needs numbers."""
        operands = list(self._layouts)
        try:
            if self.op.name == "convolution":
                raise ValueError("its kernels are made for the sizes at hand")
            results = list(self._results)
            everything = [*operands, *results, *(c for c in cotangents if c is not None)]
            literal = oneop.literal_axes(self.op, self.params)
            types, strides, values = oneop.symbolic(everything, literal)
            params = oneop.with_symbols(self.op, self.params, values)
            symbolic = self.draw(types[: len(operands)], params)
            if symbolic.used != drawing.used:
                raise ValueError("the rule reads other values for symbolic sizes")
            whole = iter(strides[len(operands) + len(results) :])
            by_place = [
                *strides[: len(operands) + len(results)],
                *(None if c is None else next(whole) for c in cotangents),
            ]
            patterns = tuple(by_place[n] for n in drawing.used)
            key = (self.kind, self.op, tuple(params.items()), tuple(types), self.mask, patterns)
            compiled = oneop.kept(key, lambda: compile_graph(symbolic.graph, patterns))
            return oneop.bound(compiled, values, shapes)
        except (ElinvarError, ValueError):
            patterns = tuple(None if x.is_dense else x.strides for x in layouts)
            compiled = compile_graph(drawing.graph, patterns)
            return oneop.bound(compiled, {}, shapes)


class Rule(Drawn):
    """How one kind of recorded operation is differentiated.

    Attributes:
        name: the op's.
        keep_operands: whose memory backward reads.
        blank_operands: what the tape holds for the others, where they want no gradient.
        blank_results: what the tape holds for the results; None if backward reads some.
        is_direct: the op's own rule is to be run on tensors.
        carries: whether a gradient can flow through the operation at all.
        passes: (operand, result) pairs where the rule only passes cotangents on; None otherwise.
    """

    __slots__ = (
        "_forward",
        "blank_operands",
        "blank_results",
        "carries",
        "keep_operands",
        "name",
        "passes",
    )

    def __init__(
        self, op: Op, params: dict[str, Any], layouts: Any, results: Any, mask: tuple[bool, ...]
    ) -> None:
        super().__init__(op, params, layouts, results, mask)
        self.name = op.name
        self._forward: dict[tuple[bool, ...], ForwardRule] = {}
        count, made = len(layouts), len(results)
        self.carries = any(y.dtype.kind in "fc" for y in results)
        self.passes: list[tuple[int, int]] | None = None
        self.keep_operands: Any = (True,) * count
        self.blank_operands = [_blank(x) for x in layouts]
        self.blank_results: Any = None
        if not isinstance(op.derivative, Absent):
            try:
                self.drawing = Drawing(op, params, [x.type for x in layouts], mask)
            except ElinvarError:
                return  # backward will say what is wrong, with the user's line
            used = set(self.drawing.used)
            self.carries &= bool(self.drawing.places)
            self.keep_operands = tuple([n in used for n in range(count)])
            if not used & set(range(count, count + made)):
                self.blank_results = tuple([_blank(y) for y in results])
            self.is_direct = moves_only(self.drawing.graph)
            if not self.drawing.graph.nodes and min(used, default=0) >= count + made:
                inputs = self.drawing.graph.inputs
                sources = [inputs.index(value) for value in self.drawing.graph.outputs]
                numbers = [self.drawing.used[n] - count - made for n in sources]
                self.passes = list(zip(self.drawing.places, numbers, strict=True))

    def draw(self, types: Sequence[TensorType], params: dict[str, Any]) -> Drawing:
        """The rule for operands of other types."""
        return Drawing(self.op, params, types, self.mask)

    def forward(self, mask: tuple[bool, ...]) -> ForwardRule:
        """The rule of forward mode where the operands in `mask` have tangents."""
        found = self._forward.get(mask)
        if found is None:
            found = ForwardRule(self.op, self.params, self._layouts, self._results, mask)
            self._forward[mask] = found
        return found


class ForwardRule(Drawn):
    """How tangents go through one kind of recorded operation; `mask`: which operands have some."""

    __slots__ = ()
    kind = "tangent"

    def __init__(
        self, op: Op, params: dict[str, Any], layouts: Any, results: Any, mask: tuple[bool, ...]
    ) -> None:
        super().__init__(op, params, layouts, results, mask)
        self.targets = results
        self.drawing = self.draw([x.type for x in layouts], params)
        self.is_direct = moves_only(self.drawing.graph)

    def draw(self, types: Sequence[TensorType], params: dict[str, Any]) -> ForwardDrawing:
        """The rule for operands of other types."""
        return forward_drawing(self.op, params, tuple(types), self.mask)


def rule_for(
    op: Op, params: dict[str, Any], layouts: tuple[Any, ...], results: Any, mask: tuple[bool, ...]
) -> Rule:
    """The rule for operands of these layouts, of which `mask` want a gradient."""
    key = (op, tuple(params.items()) if params else None, layouts, mask)
    found = _rules.get(key)
    if found is None:
        if len(_rules) >= MOST_RULES:
            _rules.clear()
        found = _rules[key] = Rule(op, params, layouts, results, mask)
    return found
