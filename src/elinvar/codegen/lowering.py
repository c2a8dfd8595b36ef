"""What all lowering shares: where values stand, fused groups, copies, kernel texts."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from elinvar.codegen.epilogues import Epilogue, find_epilogues
from elinvar.codegen.fused import fused_kernel
from elinvar.codegen.numerics import EXACT, Numerics
from elinvar.codegen.partials import Part, PartGeometry, carried_type, combine_text
from elinvar.codegen.product_parts import Tile
from elinvar.codegen.walking import KernelText
from elinvar.core.errors import CompileError, fail
from elinvar.core.shapes import Dim, DimLike, Shape, evaluate, row_major_strides, size
from elinvar.core.sizing import ceil_div
from elinvar.graph.ir import Builder, Graph, Node, Value
from elinvar.kernels.again import partition
from elinvar.kernels.cost import Cost
from elinvar.kernels.group import Group, cut
from elinvar.kernels.partition import Cluster, Partition
from elinvar.kernels.plan import Number, Place, Sizes, Step, Storage, flatten, remembered
from elinvar.kernels.pull import squeeze, view_of

Strides = Shape | None
_fused_cache: dict[Any, KernelText] = {}
_text_cache: dict[Any, tuple[str, str]] = {}
PLACEHOLDER = "KERNEL_NAME"


def named(text: str, prefix: str) -> tuple[str, str]:
    """(name, text) with the name derived from the content, so that equal kernels are one."""
    name = f"{prefix}_{hashlib.sha256(text.encode()).hexdigest()[:20]}"
    return name, text.replace(PLACEHOLDER, name)


def cached_text(key: Any, prefix: str, make: Callable[[], str]) -> tuple[str, str]:
    """(name, text) of a kernel that is written once for each key."""
    found = _text_cache.get(key)
    if found is None:
        found = _text_cache[key] = named(make(), prefix)
    return found


@dataclass
class Preparation:
    """What can be computed once and kept while some inputs stay the same: the weights of a frozen
    model, packed for its products.

    Attributes:
        settled: memory that is the same from call to call.
        steps: what computes the kept part of it.
    """

    settled: set[Storage] = field(default_factory=set)
    steps: list[Any] = field(default_factory=list)


class FusedLowering:
    """Lowers one graph onto given storages; a heavy node goes to a subclass's `_lower_NAME`."""

    preparation: Preparation

    def __init__(self, vector_bits: int, numerics: Numerics = EXACT) -> None:
        self.vector_bits = vector_bits
        self.numerics = numerics
        self.steps: list[Any] = []
        self.storages: dict[Value, Storage] = {}
        self.places: dict[Value, Place] = {}  # where that is more than the start of a storage
        self.strides: dict[Value, Strides] = {}
        self.epilogues: dict[Node, Epilogue] = {}
        self.invariant: set[Storage] = set()  # of a loop's body: what no iteration changes
        self.hoisted: list[Any] = []  # steps that belong before the loop
        self.preparation = Preparation()
        self._is_preparing = False

    def tile_of(self, node: Node) -> Tile | None:
        """The tile of a node whose tasks can run an epilogue; None for all others."""
        return None

    def place(self, value: Value) -> Place:
        found = self.places.get(value)
        return found if found is not None else Place(self.storages[value])

    def arena(self, nbytes: DimLike | Callable[[Sizes], int]) -> Storage:
        return Storage("kept" if self._is_preparing else "arena", -1, nbytes)

    def nested(self) -> Self:
        """A lowering for a graph inside of this one."""
        inner = type(self)(self.vector_bits, self.numerics)
        inner.preparation = self.preparation
        return inner

    @contextmanager
    def preparing(self) -> Iterator[None]:
        """Within: steps go to the preparation, and the memory that they write is kept."""
        before = self.steps, self._is_preparing
        self.steps, self._is_preparing = self.preparation.steps, True
        yield
        self.steps, self._is_preparing = before

    def is_settled(self, place: Place) -> bool:
        """Whether what stands there is the same from call to call."""
        return place.storage in self.preparation.settled and not place.moves

    def graph(self, graph: Graph, results: Sequence[Place | None]) -> list[Place]:
        """Lower a graph whose inputs have places already. `results`: where each output must go, or
        None for wherever it is; returns where the outputs are."""
        parts = partition(graph)
        self.epilogues = self._epilogues(graph, parts)
        wanted: dict[Value, Place] = {}
        for value, place in zip(graph.outputs, results, strict=True):
            if place is not None and value not in wanted and not value.node.is_input:
                wanted[value] = place
        homes = {e.product: e.home for e in self.epilogues.values() if e.home is not None}
        appended = {epilogue.cluster for epilogue in self.epilogues.values()}
        settled = self._settled(parts, wanted, appended)
        for value in parts.stored:
            home = homes.get(value, value)
            if home in wanted:
                self.places[value] = wanted[home]
                self.storages[value] = wanted[home].storage
            elif home in self.storages:
                self.storages[value] = self.storages[home]
            else:
                self._give_memory(home)
                self.storages[value] = self.storages[home]
                if value in settled:
                    self.storages[value].kind = "kept"
                    self.preparation.settled.add(self.storages[value])
        for cluster in parts.clusters:
            if cluster in appended:
                continue
            end = self.epilogues.get(cluster.members[0])
            for maker in (cluster,) if end is None else (cluster, end.cluster):
                for value in parts.fresh.get(maker, ()):  # from here on it is read there
                    self._give_memory(value)
            if cluster.kind == "heavy":
                (node,) = cluster.members
                self._heavy(node)
                left = self.epilogues.pop(node, None)
                if left is not None:  # the kernel that was chosen runs none
                    self._fused(left.group)
            elif any(value in settled for node in cluster.members for value in node.results):
                with self.preparing():
                    self._fused(cut(cluster, parts))
            else:
                self._fused(cut(cluster, parts))
        found = []
        for value, place in zip(graph.outputs, results, strict=True):
            if place is not None and wanted.get(value) is not place:
                self.copy(value, self.place(value), place, self.strides.get(value))
            found.append(place or self.place(value))
        return found

    def _epilogues(self, graph: Graph, parts: Partition) -> dict[Node, Epilogue]:
        self.strides.update(parts.strides)
        tiles = {node: tile for node in graph.nodes if (tile := self.tile_of(node)) is not None}
        return find_epilogues(graph, parts, self.strides, tiles, PLACEHOLDER)

    def ends_of(self, graph: Graph, parts: Partition) -> dict[Cluster, Cluster]:
        """Which clusters of a partition run at the end of a product's tasks, and of which."""
        makers = {cluster.members[0]: cluster for cluster in parts.clusters}
        found = self._epilogues(graph, parts)
        return {epilogue.cluster: makers[node] for node, epilogue in found.items()}

    def _settled(
        self, parts: Partition, wanted: Container[Value], appended: Container[Cluster]
    ) -> set[Value]:
        """Values of fused groups that are the same from call to call. Products are not among them:
        whoever calls a function wants it to compute something."""
        found: set[Value] = set()
        if not self.preparation.settled:
            return found

        def holds(value: Value) -> bool:
            known = value in self.storages and self.is_settled(self.place(value))
            return known or value in found

        for cluster in parts.clusters:
            if cluster.kind == "heavy" or cluster in appended or cluster in parts.fresh:
                continue
            results = [value for node in cluster.members for value in node.results]
            sources = parts.reads[cluster].difference(results)
            sized = all(isinstance(n, int) for value in results for n in value.shape)
            if sized and sources and all(map(holds, sources)):
                if not any(value in wanted for value in results):
                    found.update(results)
        return found

    def _give_memory(self, value: Value) -> None:
        self.storages[value] = self.arena(size(value.shape) * value.dtype.itemsize)

    # fused groups

    def copy(self, value: Value, source: Place, target: Place, strides: Strides = None) -> None:
        """A step that copies a whole value into dense memory. `strides`: of the source."""
        builder = Builder(capture_source=False)
        leaf = builder.input(value.type)
        region = builder.graph([leaf], "copy")
        if strides is not None:
            self.strides[leaf] = strides
        group = Group("map", region, squeeze(value.shape), (), (leaf,), (leaf,))
        self._fused_step(group, [source], [target])

    def _fused(self, group: Group) -> None:
        if any(r.type.size == 0 for r in group.results) and len(group.results) == 1:
            return
        sources = [self.place(value) for value in group.operands]
        self._fused_step(group, sources, [self.place(value) for value in group.results])

    def _fused_step(self, group: Group, sources: list[Place], targets: list[Place]) -> None:
        strides = tuple(self.strides.get(value) for value in group.operands)
        key = (group.key(), strides, self.numerics)
        kernel = _fused_cache.get(key)
        if kernel is None:
            found = fused_kernel(group, strides, self.numerics).emit(PLACEHOLDER)
            name, text = named(found.text, group.kind)
            kernel = dataclasses.replace(found, name=name, text=text)
            _fused_cache[key] = kernel
        geometry, weight = kernel.geometry, group.weight

        @remembered
        def tasks(sizes: Sizes) -> tuple[int, int, int]:
            return geometry.cut(sizes, weight)

        complete = targets
        if kernel.parts:
            assert isinstance(geometry, PartGeometry)
            targets = [
                target if part is None else self._partials(part, geometry)
                for target, part in zip(targets, kernel.parts, strict=True)
            ]
        slots: list[Any] = [*sources, *targets]
        slots += [Number(Dim(name)) for name in kernel.symbols]
        slots += [
            Number(lambda sizes: tasks(sizes)[1]),
            Number(lambda sizes: tasks(sizes)[2]),
        ]
        names = ", ".join(dict.fromkeys(node.op_name for node in group.region.nodes)) or "copy"
        self.steps.append(
            Step(
                kernel.name,
                kernel.text,
                slots,
                lambda sizes: tasks(sizes)[0],
                [p.storage for p in sources],
                [p.storage for p in targets],
                f"{group.kind}: {names}",
                lambda sizes: geometry.elements(sizes) * max(1, len(group.region.nodes)),
                Cost(group.region.nodes, group.region.outputs),
                [
                    (sources[i].storage, targets[o].storage)
                    for i, o in kernel.in_place
                    if sources[i] == Place(sources[i].storage)
                    and targets[o] == Place(targets[o].storage)
                ],
            )
        )
        if kernel.parts:
            self._combine(kernel, targets, complete)

    def _partials(self, part: Part, geometry: PartGeometry) -> Place:
        """Memory for the partial results of one reduction."""
        itemsize = carried_type(part.operand).itemsize
        sums = geometry.rows * geometry.inner * itemsize
        return Place(self.arena(lambda sizes: evaluate(sums, sizes) * geometry.chunks(sizes)))

    def _combine(self, kernel: KernelText, partial: list[Place], complete: list[Place]) -> None:
        """The launches that add up what another has left."""
        geometry = kernel.geometry
        assert isinstance(geometry, PartGeometry)
        rows, columns = geometry.rows, geometry.inner
        for part, source, target in zip(kernel.parts, partial, complete, strict=True):
            if part is None:
                continue
            name, text = cached_text(
                ("combine", part.op.name, part.operand, part.result),
                "combine",
                functools.partial(combine_text, PLACEHOLDER, part),
            )
            self.steps.append(
                Step(
                    name,
                    text,
                    [source, target, Number(geometry.chunks), Number(columns)],
                    lambda sizes: evaluate(rows, sizes) * ceil_div(evaluate(columns, sizes), 64),
                    [source.storage],
                    [target.storage],
                    f"combine: {part.op.name}",
                    lambda sizes: evaluate(rows * columns, sizes) * geometry.chunks(sizes),
                    Cost((), ()),
                )
            )

    # heavy nodes

    def _heavy(self, node: Node) -> None:
        name = node.op_name
        method: Callable[[Node], None] | None = getattr(self, f"_lower_{name}", None)
        if method is None:
            fail(CompileError, name, "the CPU compiler has no lowering for this operation")
        before = len(self.steps)
        method(node)
        stored = {self.place(value).storage for value in node.results}
        for step in flatten(self.steps[before:]):
            if step.cost is None and stored.isdisjoint(step.writes):
                known = [
                    w.nbytes
                    for w in step.writes
                    if isinstance(w.nbytes, int) or not callable(w.nbytes)
                ]
                moves = sum(2 * nbytes for nbytes in known)
                step.cost = Cost((), (), moves, node.source)
            elif step.cost is None:
                step.cost = Cost((node,), node.results)

    def operand(self, value: Value) -> tuple[Place, tuple[DimLike, ...]]:
        """Where an operand's view starts, and its strides in elements."""
        view = view_of(value, self.strides)
        strides = view.strides
        place = self.place(view.base)
        offset = place.offset + view.offset * value.dtype.itemsize
        return Place(place.storage, offset, place.moves), strides

    def dense(self, value: Value) -> Place:
        """Where an operand lies dense in memory, after a copy if need be."""
        place, strides = self.operand(value)
        if strides == row_major_strides(value.shape) or value.type.rank == 0:
            return place
        target = Place(self.arena(size(value.shape) * value.dtype.itemsize))
        self.copy(value, place, target, tuple(strides))
        return target

    def sub_lowering(
        self,
        graph: Graph,
        arguments: Sequence[Place],
        results: Sequence[Place | None],
    ) -> tuple[list[Any], list[Place]]:
        """(steps, places of the outputs) of a graph whose inputs stand at `arguments`."""
        inner = self.nested()
        for value, place in zip(graph.inputs, arguments, strict=True):
            inner.storages[value] = place.storage
            inner.places[value] = place
        found = inner.graph(graph, results)
        return inner.steps, found
