"""What a partition of a graph is: clusters of nodes, and the values that are stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from elinvar.core.shapes import Shape
from elinvar.graph.ir import Node, Value
from elinvar.kernels.index import Lin
from elinvar.kernels.pull import Place, view_of


@dataclass(eq=False)
class Cluster:
    """Nodes that one kernel computes. `axes`: reduced axes of the squeezed space, or None."""

    number: int
    kind: str  # map | row | column | heavy
    space: Shape
    axes: tuple[int, ...] | None = None
    members: list[Node] = field(default_factory=list)
    ancestors: int = 0  # bit set of clusters that must run before
    closed: bool = False  # takes no more members by joining

    @property
    def kept(self) -> Shape:
        return tuple(n for i, n in enumerate(self.space) if i not in (self.axes or ()))


@dataclass
class Partition:
    """The clusters in an order in which they can run, and which values are stored.

    Attributes:
        clusters: in that order.
        stored: every value that has memory, apart from the inputs.
        inline: values that each reader computes.
        uses: what a node reads, see `Clusterer.uses`.
        needs: per cluster those that must run before it because it reads what they store.
    """

    clusters: list[Cluster]
    stored: list[Value]
    inline: set[Value]
    uses: Callable[[Node], tuple[tuple[Lin, ...], list[Place]]]
    needs: dict[Cluster, set[Cluster]]

    def reads(self, cluster: Cluster) -> set[Value]:
        """The values that a cluster reads from memory, or from itself."""
        if cluster.kind == "heavy":
            return {view_of(o).base for member in cluster.members for o in member.operands}
        return {place.value for member in cluster.members for place in self.uses(member)[1]}
