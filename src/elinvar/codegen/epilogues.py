"""Elementwise groups that run where a product is made: the task that computed a block of the result
goes on with it while it is in the cache, and no launch of its own follows.

A group is an epilogue of a product when it is the first that reads the result, reads it element by
element, and can run as soon as the product has: everything else that it reads is there before, or
is little and can be. The raw product needs no memory of its own where nobody else reads it: the
group overwrites it.

Bits do not change: every element is computed by the same instructions as in a launch of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from elinvar.codegen.body import kernel_module
from elinvar.codegen.maps import MapKernel
from elinvar.codegen.product_parts import Tile
from elinvar.codegen.turning import find_turned
from elinvar.codegen.walking import LANES
from elinvar.core.dtypes import is_narrow
from elinvar.core.shapes import DimLike, Shape, size
from elinvar.graph.ir import Graph, Node, Value
from elinvar.kernels.group import Group, cut
from elinvar.kernels.index import Var
from elinvar.kernels.partition import Cluster, Partition
from elinvar.kernels.pull import gathered, squeeze, view_of

LITTLE = 16384  # elements that may be computed earlier for the sake of an epilogue
MOST_STREAMS = 2  # more arrays at once are better gone through as they lie in memory
MOST_NARROW_STREAMS = 3  # where the raw product needs no memory
RANGES = ("%row.begin", "%row.end", "%column.begin", "%column.end")
Strides = Mapping[Value, Shape | None]


@dataclass(frozen=True)
class EpilogueText:
    """The function of an epilogue. Slots: pointers of inputs, of outputs, then symbols' sizes."""

    text: str
    symbols: tuple[str, ...]
    in_place: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Epilogue:
    """A group that the tasks of a product run.

    Attributes:
        cluster, group: what is computed.
        product: the value that the product makes, an operand of the group.
        kernel: the function that the product calls.
        home: the result whose memory the raw product takes, if nobody else wants the product.
        is_own: whether the raw product has no memory, but a block on the stack in each task: nobody
            else wants it, and all results are narrower.
    """

    cluster: Cluster
    group: Group
    product: Value
    kernel: EpilogueText
    home: Value | None
    is_own: bool = False


class EpilogueKernel(MapKernel):
    """Computes the elements of a block of rows and columns:

        void NAME(slots, row.begin, row.end, column.begin, column.end)

    `row_axes`: how many axes of the group's space are rows; the others are columns. `tile`: a
    block of columns begins at a multiple of its columns. `own`: the number of the operand of which
    the block alone stands on the caller's stack; its address is one more argument then.
    """

    def __init__(
        self,
        group: Group,
        strides: tuple[Shape | None, ...],
        row_axes: int,
        tile: Tile,
        own: int | None = None,
    ) -> None:
        if own is not None:
            shape = group.operands[own].shape
            block = block_strides(shape, row_axes, tile.block_step)
            strides = (*strides[:own], block, *strides[own + 1 :])
        super().__init__(group, strides)
        self._row_axes, self._panel, self._step = row_axes, tile.columns, tile.block_step
        self._own = own

    def _collapse_loops(self, variables: list[Var]) -> list[Var]:
        inner = {var for dim in self.dims[self._row_axes :] for var in dim}
        self._rows = self._collapse([var for var in variables if var not in inner])
        self._columns = self._collapse([var for var in variables if var in inner])
        return [*self._rows, *self._columns]

    def function(self, name: str) -> EpilogueText | None:
        """The function's text; None unless rows and columns are one loop each, and all that is
        read lies along the rows."""
        self._walk()
        if len(self._rows) > 1 or len(self._columns) != 1:
            return None
        body, (last,) = self.body, self._columns
        pointers = [leaf.pointer for leaf in (*self.leaves.values(), *self.targets.values())]
        ranges: tuple[str, ...] = RANGES
        if self._own is not None:
            ranges = (*RANGES, "%block")
            leaf = self.leaves[self.group.region.inputs[self._own]]
            leaf.pointer = body.instruction("inttoptr i64 %block to ptr", "own")
            first = body.add(body.mul("%row.begin", str(self._step)), "%column.begin")
            self.evaluator.origins[leaf.pointer] = first
        if find_turned(self, self._rows, last) is not None:
            return None
        lanes = min(LANES, self._panel)
        if isinstance(last.extent, int) and last.extent <= self._panel:
            lanes = max(1, last.extent)
        with body.loop("%row.begin", "%row.end", hint="row") as row:
            self._set_row(row, self._rows)
            for _ in self._lanes(last, "%column.begin", "%column.end", lanes, True):
                self._store(*self.group.region.outputs)
        body.emit("ret void")
        in_place = tuple(pair for pair in self._in_place() if pair[0] != self._own)
        sizes = [body.sizes[symbol] for symbol in self.symbols]
        shared = self._shared(in_place)
        text = kernel_module(name, body, pointers, sizes, shared, ranges)
        return EpilogueText(text, self.symbols, in_place)


def block_strides(shape: Shape, row_axes: int, step: int) -> Shape:
    """The strides of a product of which a block stands on the stack: `step` from row to row.
    `row_axes`: how many axes are rows, without those of extent 1."""
    found: list[DimLike] = []
    at: DimLike = 1
    kept = len(squeeze(shape))
    for extent in reversed(shape):
        if extent != 1:
            if kept == row_axes:
                at = step
            kept -= 1
        found.insert(0, at)
        at = at * extent
    return tuple(found)


_texts: dict[object, EpilogueText | None] = {}


def find_epilogues(
    graph: Graph, parts: Partition, strides: Strides, tiles: Mapping[Node, Tile], name: str
) -> dict[Node, Epilogue]:
    """The epilogues of a partition's products. `parts.clusters` are put into an order in which
    these come right after their products.

    Args:
        graph, parts: the graph and its clusters.
        strides: of inputs that do not lie dense in memory.
        tiles: the tile of each node that can have an epilogue.
        name: of the functions, to be replaced.
    """
    readers: dict[Cluster, list[Cluster]] = {}
    for cluster in parts.clusters:
        for needed in parts.needs[cluster]:
            readers.setdefault(needed, []).append(cluster)
    found: dict[Node, Epilogue] = {}
    taken: set[Cluster] = set()
    for product in list(parts.clusters):
        tile = tiles.get(product.members[0])
        if tile is None or product.kind != "heavy":
            continue
        (value,) = product.members[0].results
        row_axes = _row_axes(value, strides)
        first = readers[product][0] if product in readers else None
        if first is None or row_axes is None or first in taken or first.kind == "heavy":
            continue
        if _still_reads_old(parts, product, first):
            continue
        before = _missing(parts, product, first)
        if before is None or not _reads_alike(parts, first, value):
            continue
        group = cut(first, parts)
        alone = len(readers[product]) == 1 and value not in graph.outputs
        own = group.operands.index(value) if alone and _may_be_own(group, value) else None
        most = MOST_STREAMS + alone if own is None else MOST_NARROW_STREAMS
        if group.kind != "map" or _streams(group, value) > most:
            continue
        given = tuple(strides.get(operand) for operand in group.operands)
        key = (group.key(), given, row_axes, tile, own)
        if key not in _texts:
            _texts[key] = EpilogueKernel(group, given, row_axes, tile, own).function(name)
        kernel = _texts[key]
        later = parts.clusters[parts.clusters.index(product) :]
        if kernel is not None and not _delays_overwriting(graph, parts, later, group, kernel):
            home = _home(graph, group, value, kernel) if alone and own is None else None
            if own is None and _streams(group, value) - (home in graph.outputs) > MOST_STREAMS:
                continue  # an output where the raw product stands is no more memory
            is_own = own is not None
            found[product.members[0]] = Epilogue(first, group, value, kernel, home, is_own)
            taken.add(first)
            moved = {*before, first}
            rest = [cluster for cluster in parts.clusters if cluster not in moved]
            at = rest.index(product)
            parts.clusters[:] = [*rest[:at], *before, product, first, *rest[at + 1 :]]
    return found


def _row_axes(value: Value, strides: Strides) -> int | None:
    """How many axes of a product's result, without those of extent 1, are rows; None where rows
    and columns are not what the result's shape says."""
    node = value.node
    if node.op_name == "contract":
        columns = len(value.shape) - len(node.params["batch"][0])
        columns -= node.operands[0].type.rank - sum(
            len(node.params[kind][0]) for kind in ("batch", "axes")
        )
        return len(squeeze(value.shape[: len(value.shape) - columns]))
    if not node.params["channels_last"] or node.params["groups"] * node.params["batch_groups"] != 1:
        return None
    if view_of(node.operands[0], strides).strides[0] == 1:  # samples are the innermost rows then
        return None
    return len(squeeze(value.shape[:-1]))


def _streams(group: Group, product: Value) -> int:
    """How many arrays of the product's size a group reads and writes beside it."""
    space = squeeze(product.shape)
    read = [v for v in group.operands if v is not product and squeeze(v.shape) == space]
    return len(read) + len(group.results)


def _missing(parts: Partition, product: Cluster, cluster: Cluster) -> list[Cluster] | None:
    """What must be moved before the product so that the cluster can run right after it; None where
    that is too much: it would have to be kept for longer."""
    at, end = parts.clusters.index(product), parts.clusters.index(cluster)
    wanted = set(parts.needs[cluster])
    found: list[Cluster] = []
    for between in reversed(parts.clusters[at + 1 : end]):
        if between not in wanted:
            continue
        if between.kind == "heavy":
            return None
        elements = size(between.space)
        if not isinstance(elements, int) or elements > LITTLE:
            return None
        found.insert(0, between)
        wanted |= parts.needs[between]
    return found


def _still_reads_old(parts: Partition, product: Cluster, cluster: Cluster) -> bool:
    """Whether a product, or what runs between it and its reader, reads what the reader stores anew
    where it stood before."""
    fresh = parts.fresh.get(cluster)
    if not fresh:
        return False
    at, end = parts.clusters.index(product), parts.clusters.index(cluster)
    return any(parts.reads[c].intersection(fresh) for c in parts.clusters[at:end])


def _reads_alike(parts: Partition, cluster: Cluster, value: Value) -> bool:
    """Whether a cluster computes one element for each of a value's, reading only that."""
    space = squeeze(value.shape)
    if cluster.space != space or cluster.kind == "column" or not space:
        return False
    for member in parts.computed(cluster):
        if squeeze(member.results[0].shape) != space:
            return False
        own, places = parts.uses(member)
        for place in places:
            if place.value is value and gathered(value.shape, place.index) != own:
                return False
    return True


def _delays_overwriting(
    graph: Graph,
    parts: Partition,
    later: Sequence[Cluster],
    group: Group,
    kernel: EpilogueText,
) -> bool:
    """Whether others, or the product itself, still have to read an input that the group could
    overwrite in its own place: new state is written over the old by the last kernel that reads
    it."""
    inputs = {
        group.operands[i]
        for i, o in kernel.in_place
        if group.operands[i].node.is_input and group.results[o] in graph.outputs
    }
    return bool(inputs) and any(
        inputs & parts.reads[cluster]
        for cluster in later
        if not any(result.node in cluster.members for result in group.results)
    )


def _may_be_own(group: Group, value: Value) -> bool:
    """Whether a raw product needs no memory: the kernel of its narrow operands can keep blocks of
    it on the stack, and no result is as wide, in whose place it could stand."""
    if not is_narrow(value.node.operands[0].dtype):
        return False
    return all(result.dtype.itemsize < value.dtype.itemsize for result in group.results)


def _home(graph: Graph, group: Group, value: Value, kernel: EpilogueText) -> Value | None:
    """The result in whose memory the raw product may stand: each of its elements is read only
    where that of the result goes. Not one that may be written over an input, as a new weight over
    the old one that it is computed from."""
    own = group.operands.index(value)
    over_input = {
        o
        for i, o in kernel.in_place
        if group.operands[i].node.is_input and _is_made_of(group, o, i)
    }
    for i, o in kernel.in_place:
        result = group.results[o]
        if i == own and not (result in graph.outputs and o in over_input):
            return result
    return None


def _is_made_of(group: Group, result: int, operand: int) -> bool:
    """Whether a result is computed from an operand of the group."""
    sought = group.region.inputs[operand]
    stack, seen = [group.region.outputs[result]], set()
    while stack:
        value = stack.pop()
        if value is sought:
            return True
        if value not in seen:
            seen.add(value)
            stack.extend(value.node.operands)
    return False
