"""Layout: inside of a program, the channels of a convolutional network stand last in memory.

    y = convolution x, w                       [N, C, H, W]
    →  t = convolution x, w {channels_last}    [N, H, W, C]
       y = permute t {axes: (0, 3, 1, 2)}

The permutation is then pushed down through everything that works on it element by element, so that
it meets the next convolution, which reads through it for nothing; at other readers it stays.

    z = f(permute(t), b)  →  permute(f(t, permute⁻¹(b)))

It passes elementwise operations, padding, slices, windows and joins, reshapes that leave whole what
the permutation moves, and reductions whose order of terms stays as it is. Users see
the shapes that they asked for, and the same bits.

A convolution changes its layout where an operand has changed, or where its result goes on to
another convolution. An image that is read tile by tile (`winograd.py`) is padded channels last
where it stands so in memory. A graph without such is left alone.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, groupby
from typing import Any

from elinvar.core.shapes import DimLike, Shape
from elinvar.graph.ir import Builder, Graph, Node, Value
from elinvar.graph.walk import subgraphs
from elinvar.ops.movement import aligned_groups, inverse
from elinvar.ops.record import Namespace
from elinvar.ops.table import BY_NAME
from elinvar.passes.rewriting import scalar_of
from elinvar.passes.winograd import read_by_tiles

Axes = tuple[int, ...]
_REDUCTIONS = ("sum", "prod", "max", "min", "any", "all")
_MOVING = ("permute", "pad", "slice", "flip", "concatenate", "windows", "reshape", "broadcast")


def layout(graph: Graph) -> Graph:
    """Let activations stand channels-last between convolutions, in sub-graphs, too."""
    inner = {node: _changed(node) for node in graph.nodes}
    feeding = _feeding(graph)
    tiled = {v: axes for v, axes in read_by_tiles(graph).items() if v.node.op_name == "pad"}
    if not feeding and not tiled and not any(inner.values()):
        return graph
    return _Layout(feeding, tiled, inner).run(graph)


def _changed(node: Node) -> dict[str, Graph]:
    """The sub-graphs of a control operation that have another layout now."""
    found = {}
    for name, graph in subgraphs(node).items():
        fresh = layout(graph)
        if fresh is not graph:
            found[name] = fresh
    return found


def _is_convolution(node: Node) -> bool:
    return node.op_name == "convolution" and node.operands[0].type.rank > 2


def _is_elementwise(node: Node) -> bool:
    op = node.op
    if op is None or not node.operands:
        return False
    return op.family == "elementwise" or op.name in ("barrier", "stop_gradient")


def _feeding(graph: Graph) -> set[Value]:
    """Results of convolutions that go on to another, through what a permutation passes."""
    reaching: set[Value] = set()
    found: set[Value] = set()
    for node in reversed(graph.nodes):
        (result, *_) = node.results or (None,)
        if _is_convolution(node):
            if result in reaching:
                found.add(result)
            reaching.update(node.operands)
        elif result in reaching and (_is_elementwise(node) or node.op_name in _MOVING):
            reaching.update(node.operands)
    return found


class _Layout:
    """One walk over a graph. `turned[v] = (t, axes)`: v is permute(t, axes) and t is stored."""

    def __init__(
        self, feeding: set[Value], tiled: dict[Value, Axes], inner: dict[Node, dict[str, Graph]]
    ) -> None:
        self.feeding, self.tiled, self.inner = feeding, tiled, inner
        self.builder = Builder(capture_source=False)
        self.source: Any = None
        self.f = Namespace(BY_NAME, self._add)
        self.turned: dict[Value, tuple[Value, Axes]] = {}
        self.new: dict[Value, Value] = {}

    def _add(self, op: Any, operands: Any, params: Any) -> Any:
        found = self.builder.add(op, tuple(operands), params, self.source)
        return found[0] if len(found) == 1 else found

    def run(self, graph: Graph) -> Graph:
        """The graph with its new layout."""
        new = self.new
        for value in graph.inputs:
            new[value] = self.builder.input(value.type, value.node.name)
        for node in graph.nodes:
            self.source = node.source
            operands = tuple(new[operand] for operand in node.operands)
            found = self._rewritten(node, operands)
            new.update(zip(node.results, found, strict=True))
        return self.builder.graph([new[value] for value in graph.outputs], graph.name)

    def _rewritten(self, node: Node, operands: tuple[Value, ...]) -> tuple[Value, ...]:
        if self.inner.get(node):
            assert node.op is not None
            return self.builder.add(node.op, operands, node.params | self.inner[node], node.source)
        known = [operand for operand in operands if operand in self.turned]
        if node.results[:1] and node.results[0] in self.tiled and not known:
            axes = self.tiled[node.results[0]]
            source = operands[0].node
            if source.op_name == "permute" and source.params["axes"] == axes:
                return (self._padded(node, source.operands[0], axes),)
        if _is_convolution(node) and (known or node.results[0] in self.feeding):
            return (self._convolution(node, operands),)
        if known:
            twin, axes = self.turned[known[0]]
            rule: Callable[..., Value | None] | None = None
            if _is_elementwise(node):
                rule = self._elementwise
            elif node.op_name in _REDUCTIONS:
                rule = self._reduction
            elif node.op_name in _MOVING:
                rule = getattr(self, f"_{node.op_name}")
            found = None if rule is None else rule(node, operands, twin, axes)
            if found is not None:
                return (found,)
        return self.builder.copy(node, operands)

    def _mark(self, twin: Value, axes: Axes) -> Value:
        """permute(twin, axes), remembered; the value itself where nothing moves."""
        if axes == tuple(range(len(axes))):
            return twin
        moved = [axis for axis in axes if twin.shape[axis] != 1]
        value: Value
        if moved == sorted(moved):  # only dimensions of size 1 move
            value = self.f.reshape(twin, shape=tuple(twin.shape[axis] for axis in axes))
            return value
        value = self.f.permute(twin, axes=axes)
        self.turned[value] = twin, axes
        return value

    def _turn(self, value: Value, axes: Axes) -> Value:
        """permute(value, axes), without moving anything in memory where that can be."""
        if axes == tuple(range(len(axes))):
            return value
        shape = tuple(value.shape[axis] for axis in axes)
        found: Value
        if value in self.turned:
            twin, before = self.turned[value]
            return self._turn(twin, tuple(before[axis] for axis in axes))
        scalar = scalar_of(value)
        if scalar is not None and value.shape:
            found = self.f.broadcast(scalar, shape=shape)
            return found
        if value.node.op_name == "broadcast":
            (source,) = value.node.operands
            missing = value.type.rank - source.type.rank
            if missing:
                source = self.f.reshape(source, shape=(1,) * missing + source.shape)
            found = self.f.broadcast(self._turn(source, axes), shape=shape)
            return found
        moved = [axis for axis in axes if value.shape[axis] != 1]
        if moved == sorted(moved):
            found = self.f.reshape(value, shape=shape)
            return found
        found = self.f.permute(value, axes=axes)
        return found

    # rules: (node, new operands, the stored twin of the first turned operand, its axes)

    def _convolution(self, node: Node, operands: tuple[Value, ...]) -> Value:
        """Channels last; the gradient with respect to a kernel is a parameter's, and stays so."""
        params = node.params
        rank = operands[0].type.rank
        twin: Value = self.f.convolution(*operands, **(params | {"channels_last": True}))
        if params["channels_last"]:
            return twin
        axes = (0, rank - 1, *range(1, rank - 1))
        if params["channels_inner"]:
            return self._mark(twin, axes)
        value: Value = self.f.permute(twin, axes=axes)
        return value

    def _elementwise(
        self, node: Node, operands: tuple[Value, ...], twin: Value, axes: Axes
    ) -> Value | None:
        back = inverse(axes)
        turned = [self._turn(x, back) if x.shape else x for x in operands]
        return self._mark(getattr(self.f, node.op_name)(*turned, **node.params), axes)

    def _permute(
        self, node: Node, operands: tuple[Value, ...], twin: Value, axes: Axes
    ) -> Value | None:
        return self._mark(twin, tuple(axes[axis] for axis in node.params["axes"]))

    def _along(self, node: Node, axes: Axes) -> dict[str, Any]:
        """Params that have one entry per dimension, in the twin's order."""
        back = inverse(axes)
        return {name: tuple(row[axis] for axis in back) for name, row in node.params.items()}

    def _pad(
        self, node: Node, operands: tuple[Value, ...], twin: Value, axes: Axes
    ) -> Value | None:
        return None if operands[0] not in self.turned else self._padded(node, twin, axes)

    def _padded(self, node: Node, twin: Value, axes: Axes) -> Value:
        value = self.new[node.operands[1]]
        return self._mark(self.f.pad(twin, value, **self._along(node, axes)), axes)

    def _slice(
        self, node: Node, operands: tuple[Value, ...], twin: Value, axes: Axes
    ) -> Value | None:
        return self._mark(self.f.slice(twin, **self._along(node, axes)), axes)

    def _flip(
        self, node: Node, operands: tuple[Value, ...], twin: Value, axes: Axes
    ) -> Value | None:
        flipped = tuple(sorted(axes[axis] for axis in node.params["axes"]))
        return self._mark(self.f.flip(twin, axes=flipped), axes)

    def _concatenate(
        self, node: Node, operands: tuple[Value, ...], twin: Value, axes: Axes
    ) -> Value | None:
        turned = [self._turn(x, inverse(axes)) for x in operands]
        return self._mark(self.f.concatenate(*turned, axis=axes[node.params["axis"]]), axes)

    def _windows(
        self, node: Node, operands: tuple[Value, ...], twin: Value, axes: Axes
    ) -> Value | None:
        moved = tuple(axes[axis] for axis in node.params["axes"])
        if moved != tuple(sorted(moved)):
            return None
        count = len(moved)
        places = (*range(count), *(count + axis for axis in axes))
        return self._mark(self.f.windows(twin, **(node.params | {"axes": moved})), places)

    def _broadcast(
        self, node: Node, operands: tuple[Value, ...], twin: Value, axes: Axes
    ) -> Value | None:
        shape = node.params["shape"]
        missing = len(shape) - len(axes)
        places = (*range(missing), *(missing + axis for axis in axes))
        turned = tuple(shape[axis] for axis in inverse(places))
        return self._mark(self.f.broadcast(twin, shape=turned), places)

    def _reshape(
        self, node: Node, operands: tuple[Value, ...], twin: Value, axes: Axes
    ) -> Value | None:
        """Dims that are joined or split must be neighbours, in order, in the twin as well."""
        old, new = operands[0].shape, node.params["shape"]
        if any(isinstance(n, int) and n == 0 for n in old):
            return None
        groups = {sources[0]: (sources, targets) for sources, targets in aligned_groups(old, new)}
        order = [axis for axis in inverse(axes) if old[axis] != 1]
        placed: list[int] = []
        together = _together(order, groups)
        if together != order:
            ones = [axis for axis in inverse(axes) if old[axis] == 1]
            whole = tuple(ones + together)
            twin = self.f.permute(twin, axes=tuple(axes[axis] for axis in whole))
            axes, order = inverse(whole), together
        while order:
            sources, targets = groups.get(order[0], ([], []))
            if not sources or order[: len(sources)] != sources:
                return None
            placed += targets
            order = order[len(sources) :]
        if any(new[axis] != 1 for axis in range(len(new)) if axis not in placed):
            return None
        places: list[int] = []  # dims of size 1 follow the dim that they follow in the result
        for start in (-1, *placed):
            after = start + 1
            places += [start] if start >= 0 else []
            while after < len(new) and after not in placed:
                places.append(after)
                after += 1
        value = self.f.reshape(twin, shape=tuple(new[axis] for axis in places))
        return self._mark(value, inverse(tuple(places)))

    def _reduction(
        self, node: Node, operands: tuple[Value, ...], twin: Value, axes: Axes
    ) -> Value | None:
        """Only where the order of the terms is the same; it does not matter for whole numbers."""
        reduced = node.params["axes"]
        moved = tuple(sorted(axes[axis] for axis in reduced))
        if twin.dtype.is_floating:
            terms = [axes[axis] for axis in reduced if operands[0].shape[axis] != 1]
            if terms != sorted(terms):
                return None
            if not _same_order(operands[0].shape, reduced, axes):
                return None
        value = getattr(self.f, node.op_name)(twin, **(node.params | {"axes": moved}))
        kept = [axis for axis in range(len(axes)) if axis not in reduced]
        places = sorted(axes[axis] for axis in kept)
        return self._mark(value, tuple(places.index(axes[axis]) for axis in kept))


def _together(order: list[int], groups: dict[int, tuple[list[int], list[int]]]) -> list[int]:
    """The dims of each group side by side, each group where its last dim in memory was.

    Where the innermost dim would be part of a longer group nothing is won: the order as it is.
    """
    innermost = [sources for sources, _ in groups.values() if order[-1:] == sources]
    if not innermost or any(axis not in order for group, _ in groups.values() for axis in group):
        return order
    found = sorted(groups.values(), key=lambda group: max(map(order.index, group[0])))
    return [axis for sources, _ in found for axis in sources]


def _same_order(shape: Shape, reduced: Axes, axes: Axes) -> bool:
    """Whether the order of a reduction stays when axis a becomes axis axes[a]: for all sizes, so
    for every choice of symbolic dims that are 1."""
    open_axes = [axis for axis, n in enumerate(shape) if not isinstance(n, int)]
    for count in range(len(open_axes) + 1):
        for ones in combinations(open_axes, count):
            here = [1 if axis in ones else n for axis, n in enumerate(shape)]
            there: list[DimLike] = [1] * len(here)
            for axis, n in enumerate(here):
                there[axes[axis]] = n
            moved = tuple(axes[axis] for axis in reduced)
            if _runs(tuple(here), reduced) != _runs(tuple(there), moved):
                return False
    return True


def _runs(shape: Shape, reduced: Axes) -> tuple[int, ...] | None:
    """What decides the order of a reduction's terms, beside their own order.

    Where the last dim is kept: nothing (None). Where it is reduced, neighbouring reduced dims are
    one: how many dims each run has.
    """
    kinds = [axis in reduced for axis, n in enumerate(shape) if n != 1]
    if not kinds or not kinds[-1]:
        return None
    return tuple(len(list(run)) for is_reduced, run in groupby(kinds) if is_reduced)
