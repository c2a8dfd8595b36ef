"""Why the kernels of a graph are what they are: what each computes, what it stores, and why.

The partition is made anew with a note at each decision (`obstacles.py`); compiling takes no notes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from elinvar.core.shapes import size
from elinvar.graph.ir import Graph, Node, Value
from elinvar.graph.walk import subgraphs
from elinvar.kernels import obstacles
from elinvar.kernels.again import recomputed
from elinvar.kernels.cluster import Clusterer
from elinvar.kernels.group import cut
from elinvar.kernels.partition import Cluster, Partition
from elinvar.kernels.pull import is_elementwise, is_movement, is_reduction, view_of

_UNTOLD = frozenset(("constant", "broadcast", "reshape"))
_WORDS = {"map": "elementwise", "row": "along rows", "column": "down columns"}


class Noted(Clusterer):
    """A partition that remembers why nodes did not join the kernels of what they read.

    Attributes:
        notes: (reader, value) → one of `obstacles`.
    """

    def __init__(self, graph: Graph) -> None:
        self.notes: dict[tuple[Node, Value], str] = {}
        super().__init__(graph)

    def refused(self, node: Node, cluster: Cluster, why: str) -> None:
        """See `Clusterer`."""
        for place in self.uses(node)[1]:
            if self.of.get(place.value.node) is cluster:
                self.notes[node, place.value] = why


Ends = Mapping[Cluster, Cluster]


def explain(graph: Graph, ends_of: Callable[[Graph, Partition], Ends] | None = None) -> str:
    """A text with a paragraph for each kernel of a graph, in an order in which they can run.

    Values have the numbers that the printed graph gives them.

    Args:
        graph: as it is lowered.
        ends_of: which kernels run at the end of another's tasks; it may reorder the clusters.
    """
    return "\n".join(_Text(graph, "", ends_of or (lambda graph, parts: {})).lines())


class _Text:
    def __init__(
        self, graph: Graph, indent: str, ends_of: Callable[[Graph, Partition], Ends]
    ) -> None:
        self.graph, self.indent, self.ends_of = graph, indent, ends_of
        self.clusterer = Noted(graph)
        self.parts: Partition = recomputed(self.clusterer, self.clusterer.partition())
        self.ends = ends_of(graph, self.parts)
        self.numbers = {cluster: n for n, cluster in enumerate(self.parts.clusters)}
        every = [*graph.inputs, *(value for node in graph.nodes for value in node.results)]
        self.names = {value: f"%{n}" for n, value in enumerate(every)}
        self.anew = {v: self.numbers[c] for c, values in self.parts.fresh.items() for v in values}
        self.readers = self._readers()

    def lines(self) -> list[str]:
        """All paragraphs, then a sum."""
        stored = set(self.parts.stored)
        found: list[str] = []
        for cluster in self.parts.clusters:
            found.append(self.indent + self._heading(cluster))
            again = sorted(self.parts.again.get(cluster, ()), key=lambda v: v.node.serial)
            if again:
                names = ", ".join(f"{self.names[v]} ({v.node.op_name})" for v in again)
                found.append(f"{self.indent}    computes again {names}")
            values = [v for node in cluster.members for v in node.results if v in stored]
            for value in values:
                found.append(f"{self.indent}    stores {self._describe(value)}")
                found += [f"{self.indent}        {why}" for why in self._reasons(value, cluster)]
            for value in self.parts.fresh.get(cluster, ()):
                found.append(f"{self.indent}    stores anew {self._describe(value)}")
                found += [f"{self.indent}        {why}" for why in self._reasons(value, cluster)]
            for node in cluster.members:
                for name, inner in subgraphs(node).items():
                    found.append(f"{self.indent}    {name}:")
                    found += _Text(inner, self.indent + " " * 8, self.ends_of).lines()
        inside = sum(len(cluster.members) for cluster in self.parts.clusters) - len(stored)
        found.append(
            f"{self.indent}{len(self.parts.clusters)} kernels, {len(stored)} values stored, "
            f"{max(0, inside)} kept in registers, {len(self.parts.inline)} computed where they "
            "are read"
        )
        return found

    def _heading(self, cluster: Cluster) -> str:
        nodes: Sequence[Node] = cluster.members
        if cluster.kind in _WORDS:  # with what is computed where it is read
            nodes = cut(cluster, self.parts).region.nodes
        names = Counter(node.op_name for node in nodes if node.op_name not in _UNTOLD)
        fused = ", ".join(name if n == 1 else f"{n} {name}" for name, n in names.items())
        fused = fused or cluster.members[0].op_name
        kind = _WORDS.get(cluster.kind)
        if kind is not None:
            space = ", ".join(map(str, cluster.space))
            fused = f"{kind} over [{space}]: {fused}"
        place = f"kernel {self.numbers[cluster]}"
        if cluster in self.ends:
            place += f", at the end of kernel {self.numbers[self.ends[cluster]]}"
        return f"{place}: {fused}{_lines(cluster.members)}"

    def _describe(self, value: Value) -> str:
        nbytes = size(value.shape) * value.dtype.itemsize
        amount = _bytes(nbytes) if isinstance(nbytes, int) else f"{nbytes} bytes"
        return f"{self.names[value]}: {value.type} = {value.node.op_name}, {amount}"

    # why a value is stored

    def _reasons(self, value: Value, cluster: Cluster) -> list[str]:
        found: list[str] = []
        if value in self.clusterer.outputs:
            found.append("an output")
        others: dict[str, dict[int, list[str]]] = {}  # why → kernel → operations in it
        anew = self.anew.get(value, len(self.numbers))
        is_anew = self.numbers[cluster] == anew
        for reader, target in self.readers.get(value, ()):
            if target is not cluster and (self.numbers[target] > anew) == is_anew:
                kernels = others.setdefault(self._why_apart(reader, value, cluster, target), {})
                kernels.setdefault(self.numbers[target], []).append(reader.op_name)
        for why, kernels in others.items():
            readers = [
                f"kernel {number} ({', '.join(dict.fromkeys(names))})"
                for number, names in sorted(kernels.items())
            ]
            found.append(f"read by {', '.join(readers)}: {why}")
        if not found and cluster.kind == "heavy":
            found.append(f"a result of {value.node.op_name}, which nobody reads")
        return found

    def _why_apart(self, reader: Node, value: Value, cluster: Cluster, target: Cluster) -> str:
        if target.kind == "heavy":
            return f"{_heavy_name(target)} reads its operands from memory"
        if self.ends.get(target) is cluster:
            return "it goes on with each block of the result while that is in the cache"
        if cluster.kind == "heavy":
            return f"{_heavy_name(cluster)} writes its results to memory"
        if self.clusterer.of[reader] is not target:
            return f"it computes {self.names[reader.results[0]]} again"
        noted = self.clusterer.notes.get((reader, value))
        if noted is not None:
            return noted
        if (value.node, value) in self.clusterer.notes:
            return self.clusterer.notes[value.node, value]
        if cluster.closed:
            return obstacles.CLOSED
        if target.closed and is_reduction(reader):
            is_column = target.kind == "column"
            return obstacles.KEEPS_LAST if is_column else obstacles.FEW_RESULTS
        return "it is part of another kernel"

    def _readers(self) -> dict[Value, list[tuple[Node, Cluster]]]:
        """The nodes that read each stored value, through what is computed where it is read, and
        in which kernel they do."""
        found: dict[Value, list[tuple[Node, Cluster]]] = {}
        for cluster in self.parts.clusters:
            again = self.parts.again.get(cluster, set())
            for node in (*cluster.members, *(value.node for value in again)):
                if cluster.kind == "heavy" and not is_elementwise(node):
                    values = [view_of(x, self.parts.strides).base for x in node.operands]
                else:
                    values = [place.value for place in self.clusterer.uses(node)[1]]
                for value in dict.fromkeys(values):
                    if value not in again:
                        found.setdefault(value, []).append((node, cluster))
        return found


def _heavy_name(cluster: Cluster) -> str:
    heavy = (n.op_name for n in cluster.members if not is_elementwise(n) and not is_movement(n))
    return next(heavy, cluster.members[0].op_name)


def _lines(nodes: Sequence[Node]) -> str:
    """The user's lines that nodes come from."""
    sources = list(dict.fromkeys(str(node.source) for node in nodes if node.source is not None))
    shown = "; ".join(sources[:3])
    more = f" and {len(sources) - 3} more" if len(sources) > 3 else ""
    return f"     # {shown}{more}" if sources else ""


def _bytes(count: int) -> str:
    for unit, least in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= least:
            return f"{count / least:.1f} {unit}"
    return f"{count} bytes"
