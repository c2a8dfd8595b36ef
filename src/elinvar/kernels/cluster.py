"""Which nodes become one kernel.

Every node that is elementwise, movement or a reduction can be computed inside of a loop; the heavy
ones (contract, convolution, sort, scatter, control, …) stand alone. Clusters grow in program order:

1. Cheap values are *inline*: never stored, recomputed by each reader (constants, movement, casts of
   stored values).
2. An elementwise node or a reduction joins the cluster of an operand when both walk the same space
   and the operand is read at the node's own index. A reduction over trailing dims turns a cluster
   into rows: row results stay in registers and later full-space nodes read them there.
3. Reductions that keep the last dim (column sums), or that leave too few rows to share among
   threads, stand apart, and take along the elementwise nodes that only they read.
4. No join may close a cycle between clusters.

What is read outside of its cluster is stored; everything else lives in registers.
"""

from __future__ import annotations

from collections.abc import Iterable

from elinvar.core.shapes import Shape, size
from elinvar.graph.ir import Graph, Node, Value
from elinvar.kernels import obstacles
from elinvar.kernels.index import TRUE, Cond, Lin, variable
from elinvar.kernels.layouts import stored_strides
from elinvar.kernels.partition import Cluster, Partition
from elinvar.kernels.pull import (
    EXPENSIVE,
    REPLICATING,
    Place,
    atom_loads,
    gathered,
    is_elementwise,
    is_movement,
    is_narrowing,
    is_reduction,
    is_widening,
    make_vars,
    movement_reads,
    spread,
    squeeze,
    squeezed_axes,
    view_of,
)

MAX_MEMBERS = 80
SMALL_TOTAL = 16384  # a reduction to few rows may share a serial kernel up to this many elements
FEW_ROWS = 8
MAX_APART = 16  # members of a cluster of reductions that stand apart


def _turns(node: Node) -> bool:
    """Whether a permutation puts another dim innermost."""
    last = node.results[0].type.rank - 1
    return node.op_name == "permute" and node.params["axes"][-1:] != (last,)


class Clusterer:
    """Builds the partition of one graph."""

    users: dict[Value, list[Node]]
    outputs: set[Value]
    required: set[Value]

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.users = graph.users()
        self.outputs = set(graph.outputs)
        self.clusters: list[Cluster] = []
        self.of: dict[Node, Cluster] = {}
        self.inline: set[Value] = set()
        self.strides = stored_strides(graph)
        self._uses: dict[Node, tuple[tuple[Lin, ...], list[Place]]] = {}
        self.required = self._required()

    def partition(self) -> Partition:
        self._choose_inline()
        for node in self.graph.nodes:
            if node.results[0] in self.inline and len(node.results) == 1:
                continue
            if is_elementwise(node) or is_movement(node):
                self._place(node, node.results[0].shape, None)
            elif is_reduction(node):
                self._place_reduction(node)
            else:
                self._new(node, "heavy", ())
        self._sink()
        self._join_reductions()
        stored = self._stored()
        reads = {c: self._reads(c) for c in self.clusters if c.members}
        needs = {c: self.makers(values) - {c} for c, values in reads.items()}
        order = self._ordered(needs)
        return Partition(order, stored, self.inline, self.strides, self.uses, reads, needs)

    # 1. what must be stored, and what is never stored

    def _required(self) -> set[Value]:
        found = {v for v in self.graph.outputs if not v.node.is_input}
        for node in self.graph.nodes:
            if self._is_heavy(node):
                for operand in node.operands:
                    found.add(view_of(operand, self.strides).base)
        return found

    @staticmethod
    def _is_heavy(node: Node) -> bool:
        return not (is_elementwise(node) or is_movement(node) or is_reduction(node))

    def _choose_inline(self) -> None:
        for node in self.graph.nodes:
            if self._is_heavy(node) or is_reduction(node):
                continue
            value = node.results[0]
            if value in self.required:
                continue
            if is_movement(node) or node.op_name in ("constant", "iota", "size_of"):
                self.inline.add(value)
            elif is_widening(node) or self._flows_through_movement(value):
                self.inline.add(value)
            elif not is_narrowing(node) and self._is_cheap(node):
                self.inline.add(value)

    def _is_cheap(self, node: Node) -> bool:
        """A cheap function of at most one stored leaf, beside what is broadcast: reading it costs
        what storing it would."""
        if node.op_name in EXPENSIVE:
            return False
        leaves, steps = 0, 0
        stack = [(operand, False) for operand in node.operands]
        while stack:
            value, is_spread = stack.pop()
            steps += 1
            if steps > 8:
                return False
            inner = value.node
            if value in self.inline:
                is_spread = is_spread or inner.op_name == "broadcast"
                stack.extend((operand, is_spread) for operand in inner.operands)
            elif is_spread:
                continue  # small, and stored if it is not a row of the reader's own cluster
            elif inner.is_input or self._is_heavy(inner) or is_narrowing(inner):
                leaves += value.type.rank > 0 or inner.is_input
            else:
                return False
        return leaves <= 1

    def _flows_through_movement(self, value: Value) -> bool:
        """Only read by movement that copies each element once: computed by the final reader, or by
        the copy itself, unless that walks memory in another direction."""
        users = self.users.get(value, [])
        turned = False
        while len(users) == 1 and is_movement(users[0]):
            node = users[0]
            if node.op_name in REPLICATING:
                return False
            turned = turned or _turns(node)
            if node.results[0] in self.required:
                return not turned
            users = self.users.get(node.results[0], [])
            if len(users) == 1 and (is_elementwise(users[0]) or is_reduction(users[0])):
                return True
        return False

    # 2. growing clusters

    def uses(self, node: Node) -> tuple[tuple[Lin, ...], list[Place]]:
        """The node's own squeezed index and the stored-or-member values that it reads.

        Worked out once for each node: what is inline does not change while clusters grow.
        """
        found = self._uses.get(node)
        if found is None:
            found = self._uses[node] = self._find_uses(node)
        return found

    def _find_uses(self, node: Node) -> tuple[tuple[Lin, ...], list[Place]]:
        shape = node.operands[0].shape if is_reduction(node) else node.results[0].shape
        own = tuple(variable(v) for v in make_vars(shape, "i"))
        index = spread(shape, own)
        places: list[Place] = []
        if is_movement(node):
            start = self._movement_places(node, index, TRUE)
        else:
            start = [Place(o, self._index_in(node, o, index), TRUE) for o in node.operands]
        stack, seen = start, set()
        while stack:
            place = stack.pop()
            if place in seen:
                continue
            seen.add(place)
            inner = place.value.node
            if place.value not in self.inline:
                places.append(place)
            elif is_movement(inner):
                stack.extend(self._movement_places(inner, place.index, place.guard))
            else:
                stack.extend(
                    Place(o, self._index_in(inner, o, place.index), place.guard)
                    for o in inner.operands
                )
        return own, places

    @staticmethod
    def _index_in(node: Node, operand: Value, index: tuple[Lin, ...]) -> tuple[Lin, ...]:
        """Where a node that is computed at an index reads an operand."""
        if node.op_name == "random_bits":  # its operand is a key, not an array of its shape
            return (Lin(0),) * operand.type.rank
        return index if operand.type.rank else ()

    @staticmethod
    def _movement_places(node: Node, index: tuple[Lin, ...], guard: Cond) -> list[Place]:
        places = []
        for _, place in movement_reads(node, index, guard):
            places.append(place)
            places.extend(atom_loads(place.index, place.guard))
        return places

    def _new(
        self, node: Node, kind: str, space: Shape, axes: tuple[int, ...] | None = None
    ) -> Cluster:
        cluster = Cluster(len(self.clusters), kind, space, axes)
        self.clusters.append(cluster)
        if kind == "heavy":
            sources = [Place(view_of(o, self.strides).base, (), TRUE) for o in node.operands]
        else:
            _, sources = self.uses(node)
        self._add(cluster, node, sources)
        return cluster

    def _add(self, cluster: Cluster, node: Node, places: list[Place]) -> None:
        cluster.members.append(node)
        self.of[node] = cluster
        grown = cluster.ancestors
        for place in places:
            source = self.of.get(place.value.node)
            if source is not None and source is not cluster:
                grown |= source.ancestors | (1 << source.number)
        if grown != cluster.ancestors:
            self._grow(cluster, grown)

    def _grow(self, cluster: Cluster, ancestors: int) -> None:
        cluster.ancestors = ancestors
        bit = 1 << cluster.number
        for other in self.clusters:
            if other.ancestors & bit:
                other.ancestors |= ancestors

    def _can_add(self, cluster: Cluster, places: list[Place]) -> bool:
        """No operand outside of the cluster may itself need the cluster."""
        bit = 1 << cluster.number
        for place in places:
            source = self.of.get(place.value.node)
            if source is not None and source is not cluster and source.ancestors & bit:
                return False
        return True

    def _reads_fit(
        self, cluster: Cluster, own: tuple[Lin, ...], level: str, places: list[Place]
    ) -> bool:
        """Members of the cluster are read at the node's own index (or its row's)."""
        kept = own
        if level == "full" and cluster.axes is not None:
            kept = tuple(i for axis, i in enumerate(own) if axis not in cluster.axes)
        for place in places:
            if self.of.get(place.value.node) is not cluster:
                continue
            at = gathered(place.value.shape, place.index)
            expected = own if self.level(cluster, place.value) == "full" else kept
            if level == "row" and self.level(cluster, place.value) == "full":
                return False
            if at != expected:
                return False
        return True

    @staticmethod
    def level(cluster: Cluster, value: Value) -> str:
        """Whether a member walks the full space or is one value per row."""
        if is_reduction(value.node):
            return "row"
        return "full" if squeeze(value.shape) == cluster.space else "row"

    def _candidates(self, places: list[Place]) -> list[Cluster]:
        found = {}
        for place in places:
            cluster = self.of.get(place.value.node)
            if cluster is not None and cluster.kind in ("map", "row") and not cluster.closed:
                found[cluster.number] = cluster
        return [found[number] for number in sorted(found, reverse=True)]

    def _place(self, node: Node, shape: Shape, _: None) -> None:
        own, places = self.uses(node)
        space = squeeze(shape)
        joined = None
        for cluster in self._candidates(places):
            if joined is not None:
                why = self._merge(joined, cluster)
            else:
                why = self._obstacle(cluster, space, own, places)
                if not why:
                    self._add(cluster, node, places)
                    joined = cluster
            if why:
                self.refused(node, cluster, why)
        if joined is None:
            self._new(node, "map", space)

    def refused(self, node: Node, cluster: Cluster, why: str) -> None:
        """A node reads a member of a cluster and does not become one: for `explain.py`."""

    def _obstacle(
        self, cluster: Cluster, space: Shape, own: tuple[Lin, ...], places: list[Place]
    ) -> str:
        """Why an elementwise node cannot join a cluster; empty if it can."""
        if len(cluster.members) >= MAX_MEMBERS:
            return obstacles.FULL
        if not self._can_add(cluster, places):
            return obstacles.CYCLE
        if cluster.space == space:
            level = "full"
        elif cluster.axes is not None and cluster.kept == space:
            level = "row"
        else:
            return obstacles.OTHER_SHAPE
        return "" if self._reads_fit(cluster, own, level, places) else obstacles.OTHER_INDEX

    def _merge(self, cluster: Cluster, other: Cluster) -> str:
        """Bring two clusters with one reader together, when they walk alike and no cycle closes.
        Gives why not."""
        if cluster.space != other.space:
            return obstacles.OTHER_SHAPE
        if len(cluster.members) + len(other.members) > MAX_MEMBERS:
            return obstacles.FULL
        if cluster.axes is not None and other.axes is not None and cluster.axes != other.axes:
            return obstacles.OTHER_AXES
        if self._has_between(cluster, other):
            return obstacles.CYCLE
        axes = cluster.axes if cluster.axes is not None else other.axes
        for member in (*cluster.members, *other.members):
            own, places = self.uses(member)
            if not self._fits_after_merge(cluster, other, axes or (), member, own, places):
                return obstacles.OTHER_INDEX
        cluster.axes = axes
        cluster.kind = "row" if axes is not None else "map"
        self._absorb(cluster, other)
        return ""

    def _fits_after_merge(
        self,
        cluster: Cluster,
        other: Cluster,
        axes: tuple[int, ...],
        member: Node,
        own: tuple[Lin, ...],
        places: list[Place],
    ) -> bool:
        merged = Cluster(cluster.number, "row", cluster.space, axes)
        level = "full" if is_reduction(member) else self.level(merged, member.results[0])
        if level == "row" and squeeze(member.results[0].shape) != merged.kept:
            return False
        kept = own if level == "row" else tuple(i for n, i in enumerate(own) if n not in axes)
        for place in places:
            if self.of.get(place.value.node) not in (cluster, other):
                continue
            inner = self.level(merged, place.value)
            if inner == "full" and level == "row":
                return False
            if gathered(place.value.shape, place.index) != (own if inner == "full" else kept):
                return False
        return True

    def _place_reduction(self, node: Node) -> None:
        axes = squeezed_axes(node)
        space = squeeze(node.operands[0].shape)
        own, places = self.uses(node)
        rank = len(space)
        if not axes or rank - 1 not in axes:
            self._place_apart(node, "column", space, axes, own, places)
            return
        rows = size(n for i, n in enumerate(space) if i not in axes)
        total = size(space)
        few = isinstance(rows, int) and rows < FEW_ROWS
        if few and not (isinstance(total, int) and total <= SMALL_TOTAL):
            self._place_apart(node, "row", space, axes, own, places)
            return
        for cluster in self._candidates(places):
            why = self._reduction_obstacle(cluster, space, axes, places)
            if why:
                self.refused(node, cluster, why)
                continue
            trial = Cluster(cluster.number, "row", space, axes)
            before, cluster.axes = cluster.axes, axes
            fits = self._reads_fit(cluster, own, "full", places) and self._rows_agree(
                cluster, trial
            )
            cluster.axes = before
            if fits:
                cluster.axes, cluster.kind = axes, "row"
                self._add(cluster, node, places)
                return
            self.refused(node, cluster, obstacles.OTHER_INDEX)
        self._new(node, "row", space, axes)

    def _reduction_obstacle(
        self, cluster: Cluster, space: Shape, axes: tuple[int, ...], places: list[Place]
    ) -> str:
        if cluster.space != space:
            return obstacles.OTHER_SHAPE
        if cluster.axes not in (None, axes):
            return obstacles.OTHER_AXES
        if len(cluster.members) >= MAX_MEMBERS:
            return obstacles.FULL
        return "" if self._can_add(cluster, places) else obstacles.CYCLE

    def _rows_agree(self, cluster: Cluster, trial: Cluster) -> bool:
        """A map cluster that turns into rows must hold full-space members only."""
        return all(
            is_reduction(m) or squeeze(m.results[0].shape) in (trial.space, trial.kept)
            for m in cluster.members
        )

    def _place_apart(
        self,
        node: Node,
        kind: str,
        space: Shape,
        axes: tuple[int, ...],
        own: tuple[Lin, ...],
        places: list[Place],
    ) -> None:
        for candidate in self._candidates(places):
            is_column = kind == "column"
            why = obstacles.KEEPS_LAST if is_column else obstacles.FEW_RESULTS
            self.refused(node, candidate, why)
        for cluster in self.clusters:
            if not (cluster.closed and cluster.kind == kind and cluster.members):
                continue
            if cluster.space != space or cluster.axes != axes or len(cluster.members) >= MAX_APART:
                continue
            shared = {p.value for p in places}
            reads = {p.value for m in cluster.members for p in self.uses(m)[1]}
            independent = not any(self.of.get(v.node) is cluster for v in shared)
            if shared & reads and independent and self._can_add(cluster, places):
                self._add(cluster, node, places)
                return
        self._new(node, kind, space, axes).closed = True

    # 3. moving elementwise nodes into the one reduction kernel that reads them

    def _sink(self) -> None:
        for node in reversed(self.graph.nodes):
            cluster = self.of.get(node)
            if cluster is None or not is_elementwise(node) or node.results[0] in self.required:
                continue
            readers = self._reading_clusters(node.results[0])
            if len(readers) == 1:
                (target,) = readers
                if target is not cluster and target.closed and target.kind in ("column", "row"):
                    if all(self._reads_directly(target, node.results[0])):
                        self.refused(node, cluster, obstacles.MOVED)
                        cluster.members.remove(node)
                        target.members.append(node)
                        target.members.sort(key=lambda member: member.serial)
                        self.of[node] = target

    def _reads_directly(self, cluster: Cluster, value: Value) -> list[bool]:
        found = []
        for member in cluster.members:
            own, places = self.uses(member)
            for place in places:
                if place.value is value:
                    found.append(gathered(value.shape, place.index) == own)
        return found

    def _reading_clusters(self, value: Value) -> set[Cluster]:
        found: set[Cluster] = set()
        stack = [value]
        while stack:
            for user in self.users.get(stack.pop(), []):
                if len(user.results) == 1 and user.results[0] in self.inline:
                    stack.append(user.results[0])
                else:
                    found.add(self.of[user])
        return found

    def _join_reductions(self) -> None:
        """Reductions that stand apart and read the same values: side by side in one kernel."""
        readers: dict[Value, list[Cluster]] = {}
        for cluster in self.clusters:
            if not cluster.closed or not cluster.members or cluster.kind not in ("column", "row"):
                continue
            reads = {place.value for m in cluster.members for place in self.uses(m)[1]}
            reads = {value for value in reads if value.type.rank > 1}
            found = next(
                (
                    other
                    for value in sorted(reads, key=lambda v: v.node.serial)
                    for other in readers.get(value, [])
                    if self._may_join(other, cluster)
                ),
                cluster,
            )
            if found is not cluster:
                self._absorb(found, cluster)
            for value in reads:
                known = readers.setdefault(value, [])
                if found not in known:
                    known.append(found)

    def _may_join(self, cluster: Cluster, other: Cluster) -> bool:
        alike = (cluster.kind, cluster.space, cluster.axes) == (other.kind, other.space, other.axes)
        if not alike or len(cluster.members) + len(other.members) > MAX_APART:
            return False
        if (cluster.ancestors >> other.number | other.ancestors >> cluster.number) & 1:
            return False
        return not self._has_between(cluster, other)

    def _has_between(self, cluster: Cluster, other: Cluster) -> bool:
        """Whether a third cluster needs one of them and is needed by the other."""
        a, b = 1 << cluster.number, 1 << other.number
        for between in self.clusters:
            if between is cluster or between is other:
                continue
            bit = 1 << between.number
            if between.ancestors & a and other.ancestors & bit:
                return True
            if between.ancestors & b and cluster.ancestors & bit:
                return True
        return False

    def _absorb(self, cluster: Cluster, other: Cluster) -> None:
        """Move all members of `other` into `cluster`."""
        a, b = 1 << cluster.number, 1 << other.number
        for member in other.members:
            cluster.members.append(member)
            self.of[member] = cluster
        cluster.members.sort(key=lambda node: node.serial)
        ancestors = (cluster.ancestors | other.ancestors) & ~(a | b)
        other.members, other.ancestors = [], 0
        for third in self.clusters:
            if third.ancestors & b:
                third.ancestors = third.ancestors & ~b | a
        self._grow(cluster, ancestors)

    # 4. results

    def _stored(self) -> list[Value]:
        found: list[Value] = []
        for node in self.graph.nodes:
            cluster = self.of.get(node)
            for value in node.results:
                if value in self.inline:
                    continue
                if cluster is not None and cluster.kind == "heavy":
                    found.append(value)
                elif value in self.required or self._reading_clusters(value) - {cluster}:
                    found.append(value)
        return found

    @staticmethod
    def _ordered(needs: dict[Cluster, set[Cluster]]) -> list[Cluster]:
        """Clusters in dependency order; ties keep the program's order."""
        order: list[Cluster] = []
        done: set[Cluster] = set()
        for start in sorted(needs, key=lambda c: min(n.serial for n in c.members)):
            stack = [(start, iter(sorted(needs[start], key=lambda c: c.number)))]
            path = {start}
            if start in done:
                continue
            while stack:
                cluster, rest = stack[-1]
                nxt = next((c for c in rest if c not in done), None)
                if nxt is None:
                    stack.pop()
                    path.discard(cluster)
                    if cluster not in done:
                        done.add(cluster)
                        order.append(cluster)
                else:
                    assert nxt not in path, "clusters form a cycle"
                    path.add(nxt)
                    stack.append((nxt, iter(sorted(needs[nxt], key=lambda c: c.number))))
        return order

    def _reads(self, cluster: Cluster) -> set[Value]:
        """The values that a cluster reads from memory, and those of its own that it needs again."""
        if cluster.kind == "heavy":
            return {view_of(o).base for member in cluster.members for o in member.operands}
        return {place.value for member in cluster.members for place in self.uses(member)[1]}

    def makers(self, values: Iterable[Value]) -> set[Cluster]:
        """The clusters that make values; inputs have none."""
        return {self.of[value.node] for value in values if value.node in self.of}


