"""What a partition of a graph is: clusters of nodes, and the values that are stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from elinvar.core.shapes import Shape
from elinvar.graph.ir import Node, Value
from elinvar.kernels.index import Lin
from elinvar.kernels.pull import Place


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
        strides: of stored values that do not lie row-major.
        uses: what a node reads, see `Clusterer.uses`.
        reads: per cluster the values that it reads from memory, and its own that it needs again.
        needs: per cluster those that must run before it because it reads what they store.
        again: per cluster the values of others that it computes, too (see `again.py`).
        fresh: per cluster those of these values that it stores anew (see `refresh.py`).
    """

    clusters: list[Cluster]
    stored: list[Value]
    inline: set[Value]
    strides: Mapping[Value, Shape]
    uses: Callable[[Node], tuple[tuple[Lin, ...], list[Place]]]
    reads: dict[Cluster, set[Value]]
    needs: dict[Cluster, set[Cluster]]
    again: dict[Cluster, set[Value]] = field(default_factory=dict)
    fresh: dict[Cluster, list[Value]] = field(default_factory=dict)

    def computed(self, cluster: Cluster) -> list[Node]:
        """The nodes that a cluster's kernel computes, apart from inline ones."""
        return [*cluster.members, *(value.node for value in self.again.get(cluster, ()))]
