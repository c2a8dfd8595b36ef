"""Values that are stored anew by a late kernel, so that no memory holds them till then.

The operand of a product in the forward pass is read once more by a product of the backward pass.
Often a kernel of the backward pass reads all that the operand is made of: that of gelu's derivative
reads what stood before gelu. Then that kernel computes the operand again and stores it, and the
products that read it are moved behind that kernel.

It pays where many layers keep such operands. Where the memory of the whole program would not become
smaller, nothing is done.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from elinvar.graph.ir import Node, Value
from elinvar.kernels.cluster import Clusterer
from elinvar.kernels.index import TRUE
from elinvar.kernels.partition import Cluster, Partition
from elinvar.kernels.pull import gathered, is_elementwise, squeeze
from elinvar.kernels.recipe import Recipe, about_bytes, is_small, recipe_for

LATE = 8  # kernels between the first readers of a value and the late ones
LEAST_BYTES = 1 << 14
WORTH = 0.97  # of the memory before

Readers = dict[Value, dict[Cluster, list[Node]]]


class Refresher:
    """Finds such values in a partition. `readers`: who reads each stored value."""

    clusterer: Clusterer
    parts: Partition
    readers: Readers
    stored: dict[Value, Any | None]
    again: dict[Cluster, set[Value]]
    reads: dict[Cluster, set[Value]]
    number: dict[Cluster, int]
    before: dict[Cluster, int]

    def __init__(self, clusterer: Clusterer, parts: Partition, readers: Readers) -> None:
        self.clusterer, self.parts, self.readers = clusterer, parts, readers
        self.stored = dict.fromkeys(parts.stored)
        self.again = {cluster: set(values) for cluster, values in parts.again.items()}
        self.fresh: dict[Cluster, list[Value]] = {}
        self.needs: dict[Cluster, set[Cluster]] = {cluster: set() for cluster in parts.clusters}
        for value in parts.stored:
            home = clusterer.of[value.node]
            for reader in readers.get(value, ()):
                if reader is not home:
                    self.needs[reader].add(home)
        self.reads = dict(parts.reads)
        self.number = {cluster: n for n, cluster in enumerate(parts.clusters)}
        self.before = self._ancestors()

    def run(self) -> Partition:
        """The partition with `fresh` values, in an order that suits them."""
        for value in self.parts.stored:
            if is_elementwise(value.node) and about_bytes(value) >= LEAST_BYTES:
                self._consider(value)
        if not self.fresh:
            return self.parts
        found = dataclasses.replace(
            self.parts,
            clusters=self._ordered(),
            reads=self.reads,
            needs=self.needs,
            again=self.again,
            fresh=self.fresh,
        )
        return found if self._memory(found) < WORTH * self._memory(self.parts) else self.parts

    def _ancestors(self) -> dict[Cluster, int]:
        """Bits of the clusters that must run before each one."""
        before: dict[Cluster, int] = {}
        for cluster in self.parts.clusters:
            bits = 0
            for need in self.needs[cluster]:
                bits |= before[need] | 1 << self.number[need]
            before[cluster] = bits
        return before

    # one value

    def _consider(self, value: Value) -> None:
        home = self.clusterer.of[value.node]
        others = sorted(
            (c for c in self.readers.get(value, ()) if c is not home), key=self.number.__getitem__
        )
        limit = self.number[home] + LATE
        late = [cluster for cluster in others if self.number[cluster] >= limit]
        if not late or len(late) == len(others) or value in self.clusterer.outputs:
            return
        recipe = recipe_for(self.clusterer, self.stored, value)
        if recipe is None:
            return
        for cluster in self._candidates(recipe, limit):
            if self._suits(value, recipe, cluster, late):
                self._choose(value, recipe, cluster, late)
                return

    def _candidates(self, recipe: Recipe, limit: int) -> list[Cluster]:
        """Late kernels that read what the value is made of, in the order in which they run."""
        found = {cluster for read in recipe.reads for cluster in self.readers.get(read, ())}
        late = (cluster for cluster in found if self.number[cluster] >= limit)
        return sorted(late, key=self.number.__getitem__)

    def _suits(self, value: Value, recipe: Recipe, cluster: Cluster, late: list[Cluster]) -> bool:
        """Whether a kernel can compute and store the value in passing, and before it is read."""
        if cluster.kind not in ("map", "row") or squeeze(value.shape) != cluster.space:
            return False
        computed = {v for node in cluster.members for v in node.results}
        computed |= self.again.get(cluster, set())
        if not recipe.expensive <= computed:
            return False
        for read in recipe.reads:
            if not is_small(read, value) and not self._reads_straight(cluster, read):
                return False
        behind = 0
        for reader in late:
            behind |= 1 << self.number[reader]
        return cluster not in late and not self.before[cluster] & behind

    def _reads_straight(self, cluster: Cluster, read: Value) -> bool:
        """Whether a kernel reads a value at the index of its own elements."""
        for node in self.readers.get(read, {}).get(cluster, ()):
            own, places = self.clusterer.uses(node)
            for place in places:
                if place.value is read and place.guard == TRUE:
                    if gathered(read.shape, place.index) == own:
                        return True
        return any(
            place.value is read and gathered(read.shape, place.index) == own
            for step in self.again.get(cluster, ())
            for own, places in [self.clusterer.uses(step.node)]
            for place in places
        )

    def _choose(
        self, value: Value, recipe: Recipe, cluster: Cluster, late: list[Cluster]
    ) -> None:
        self.fresh.setdefault(cluster, []).append(value)
        self.again.setdefault(cluster, set()).update(recipe.steps)
        self.reads[cluster] = self.reads[cluster] | recipe.reads
        for read in recipe.reads:
            home = self.clusterer.of.get(read.node)
            if home is not None and home is not cluster:
                self.needs[cluster].add(home)
                self._wait(cluster, home)
        for reader in late:
            self.needs[reader].add(cluster)
            self._wait(reader, cluster)

    def _wait(self, cluster: Cluster, need: Cluster) -> None:
        """From now on a cluster, and all that need it, need another one."""
        bit, more = 1 << self.number[cluster], self.before[need] | 1 << self.number[need]
        for other, bits in self.before.items():
            if other is cluster or bits & bit:
                self.before[other] = bits | more

    # the whole program

    def _ordered(self) -> list[Cluster]:
        """The clusters in their order, each of them behind what it needs."""
        done: set[Cluster] = set()
        order: list[Cluster] = []
        for start in self.parts.clusters:
            stack = [start]
            while stack:
                cluster = stack[-1]
                missing = [need for need in self.needs[cluster] if need not in done]
                if cluster in done:
                    stack.pop()
                elif missing:
                    stack.append(min(missing, key=self.number.__getitem__))
                else:
                    stack.pop()
                    done.add(cluster)
                    order.append(cluster)
        return order

    def _memory(self, parts: Partition) -> int:
        """The most bytes of stored values that are in use at a time."""
        number = {cluster: n for n, cluster in enumerate(parts.clusters)}
        fresh = {value: cluster for cluster, values in parts.fresh.items() for value in values}
        change = [0] * (len(parts.clusters) + 1)

        def alive(value: Value, first: int, last: int) -> None:
            change[first] += about_bytes(value)
            change[last + 1] -= about_bytes(value)

        for value in parts.stored:
            if value in self.clusterer.outputs:
                continue
            first = number[self.clusterer.of[value.node]]
            readers = [number[cluster] for cluster in self.readers.get(value, ())]
            if value in fresh:
                anew = number[fresh[value]]
                alive(value, anew, max(readers))
                readers = [n for n in readers if n < anew]
            alive(value, first, max([first, *readers]))
        total = most = 0
        for step in change:
            total += step
            most = max(most, total)
        return most
