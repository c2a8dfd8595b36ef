"""Values that are computed again where they are read late, so that no memory holds them till then.

Backward kernels read much of what forward kernels made: 1 + erf(x), the normalized rows of a layer
norm. Where such a value is a cheap function of values that are in memory at that time anyway, the
late kernel computes it from those. It then reads no more than before, and what it computes is what
was computed the first time, bit for bit. A value that takes a few instructions, and that all of its
readers can compute so, is not stored at all.

In mixed precision much follows from a number that was rounded to 16 bits within a kernel. Such a
number is stored for the sake of late kernels where they can make of it what would take twice the
memory.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from elinvar.graph.ir import Graph, Node, Value
from elinvar.kernels.cluster import Clusterer
from elinvar.kernels.index import TRUE
from elinvar.kernels.partition import Cluster, Partition
from elinvar.kernels.pull import gathered, is_elementwise, is_narrowing, view_of
from elinvar.kernels.recipe import Recipe, about_bytes, is_small, recipe_for
from elinvar.kernels.refresh import Refresher

LATE = 8  # kernels between the writer of a value and a late reader
LEAST_BYTES = 1 << 14
MOST_SHORT = 4  # operations that take less time than to store a value


def partition(graph: Graph) -> Partition:
    """Split a graph into kernels."""
    clusterer = Clusterer(graph)
    return recomputed(clusterer, clusterer.partition())


def recomputed(clusterer: Clusterer, parts: Partition) -> Partition:
    """The partition with late readers that compute again what they read (`Partition.again`)."""
    return _Recomputer(clusterer, parts).run()


@dataclass
class _Recomputer:
    clusterer: Clusterer
    parts: Partition
    stored: dict[Value, None] = field(init=False)
    number: dict[Cluster, int] = field(init=False)  # its place in the program
    readers: dict[Value, dict[Cluster, list[Node]]] = field(init=False)
    rounded: dict[Value, None] = field(init=False)  # may be stored if that makes others go

    def __post_init__(self) -> None:
        self.stored = dict.fromkeys(self.parts.stored)
        self.rounded = {
            value: None
            for cluster in self.parts.clusters
            for node in cluster.members
            if is_narrowing(node)
            for value in node.results
            if value not in self.stored and about_bytes(value) >= LEAST_BYTES
        }
        self.stored |= self.rounded
        self.number = {cluster: n for n, cluster in enumerate(self.parts.clusters)}
        self.readers = {}
        for cluster in self.parts.clusters:
            for node in cluster.members:
                for value in self._values_read(node, cluster):
                    kernels = self.readers.setdefault(value, {})
                    kernels.setdefault(cluster, []).append(node)

    def run(self) -> Partition:
        for value in self.parts.stored:
            if is_elementwise(value.node) and about_bytes(value) >= LEAST_BYTES:
                self._consider(value)
        for value in self.rounded:
            if not self.readers.get(value, {}).keys() - {self.clusterer.of[value.node]}:
                del self.stored[value]
        parts = self.parts
        clusters = [
            cluster
            for cluster in parts.clusters
            if any(v in self.stored for node in cluster.members for v in node.results)
        ]
        for kernels in self.readers.values():
            for gone in kernels.keys() - set(clusters):
                del kernels[gone]
        found = dataclasses.replace(parts, clusters=clusters, stored=list(self.stored))
        for cluster in found.again:
            reads = {value for value, kernels in self.readers.items() if cluster in kernels}
            found.reads[cluster] = reads
            found.needs[cluster] = self.clusterer.makers(reads) - {cluster}
        return Refresher(self.clusterer, found, self.readers).run()

    def _values_read(self, node: Node, cluster: Cluster) -> set[Value]:
        if cluster.kind == "heavy" and not is_elementwise(node):
            return {view_of(operand, self.parts.strides).base for operand in node.operands}
        return {place.value for place in self.clusterer.uses(node)[1]}

    def _consider(self, value: Value) -> None:
        """Let the readers of a value compute it again, or the late ones, where that pays."""
        home = self.clusterer.of[value.node]
        outside = [c for c in self.readers.get(value, {}) if c is not home]
        recipe = recipe_for(self.clusterer, self.stored, value) if outside else None
        if recipe is None:
            return
        may_go = value not in self.clusterer.required and home.kind != "heavy"
        is_short = not recipe.expensive and recipe.operations <= MOST_SHORT
        if may_go and is_short and all(self._can(value, recipe, c, True) for c in outside):
            readers = outside
        else:
            readers = [c for c in outside if self.number[c] - self.number[home] >= LATE]
            if not all(self._can(value, recipe, c) for c in readers):
                return
        is_gone = may_go and len(readers) == len(outside)
        if recipe.expensive and not is_gone:
            return
        for cluster in readers:
            self.parts.again.setdefault(cluster, set()).update(recipe.steps)
            nodes = self.readers[value].pop(cluster)
            for read in recipe.reads:
                self.readers.setdefault(read, {}).setdefault(cluster, []).extend(nodes)
        if is_gone:
            del self.stored[value]

    def _can(
        self, value: Value, recipe: Recipe, cluster: Cluster, is_traded: bool = False
    ) -> bool:
        """Whether a kernel can compute a value at the index at which it reads it, from values
        that are in memory at that time, and reads no more large ones than before.

        `is_traded`: one that is no larger than the value may be kept in its stead.
        """
        if cluster.kind == "heavy":
            return False
        for node in self.readers[value][cluster]:
            own, places = self.clusterer.uses(node)
            for place in places:
                if place.value is value and (
                    gathered(value.shape, place.index) != own or place.guard != TRUE
                ):
                    return False
        more = 0
        for read in recipe.reads:
            if is_small(read, value):
                continue
            more += cluster not in self.readers.get(read, {})
            last = max((self.number[c] for c in self.readers.get(read, ())), default=0)
            is_kept = read.node.is_input or read in self.clusterer.outputs
            is_kept |= is_traded and about_bytes(read) <= about_bytes(value)
            is_kept |= read in self.rounded and 2 * about_bytes(read) <= about_bytes(value)
            if not is_kept and last < self.number[cluster]:
                return False
        return more <= 1

