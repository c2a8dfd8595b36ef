"""The passes in the order in which they run: this list is the pipeline's contents page."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from elinvar.core.settings import settings
from elinvar.graph.ir import Builder, Graph, Node, Value, rewrite
from elinvar.graph.verify import verify as verify_graph
from elinvar.graph.walk import subgraphs
from elinvar.passes.dead import dead
from elinvar.passes.hoist import hoist
from elinvar.passes.late import late
from elinvar.passes.orient import orient
from elinvar.passes.share import share
from elinvar.passes.simplify import simplify
from elinvar.passes.unfold import unfold


class Pass(NamedTuple):
    """A step of the pipeline: its name, what it does to one graph, and why, in a line.

    A pass that is `settled` finds nothing more to do in its own result.
    """

    name: str
    run: Callable[[Graph], Graph]
    purpose: str
    settled: bool = False


PIPELINE: tuple[Pass, ...] = (
    Pass("unfold", unfold, "put functions with derivatives of their own in their places", True),
    Pass("simplify", simplify, "fold constants, drop what changes nothing, join movement", True),
    Pass("hoist", hoist, "round what a loop does not change before the loop"),
    Pass("share", share, "compute equal values once, join scans over the same data"),
    Pass("dead", dead, "drop unused results, operands and carries of control operations"),
)
AFTER_LAYOUT: tuple[Pass, ...] = (
    Pass("orient", orient, "compute products turned that are only read turned"),
    Pass("late", late, "round inputs anew for products that come much later"),
)
_ROUNDS = 4


@dataclass(slots=True)
class Report:
    """What a run of the pipeline did: (pass, seconds, nodes afterwards) for each pass run."""

    rows: list[tuple[str, float, int]] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{'pass':<12}{'ms':>8}{'nodes':>8}"]
        lines += [f"{name:<12}{1e3 * seconds:>8.2f}{n:>8}" for name, seconds, n in self.rows]
        return "\n".join(lines)


def optimize(
    graph: Graph,
    pipeline: Sequence[Pass] = PIPELINE,
    verify: bool | None = None,
    report: Report | None = None,
) -> Graph:
    """Run the pipeline on a graph and, before it, on its sub-graphs.

    The passes are repeated while they change something, at most four times.

    Args:
        graph: the graph.
        pipeline: the passes.
        verify: run the verifier after each pass; None: as `settings.verify` says.
        report: collects the time of each pass.

    Raises:
        GraphError: the verifier found a fault; the message names the pass.
    """
    check = settings.verify if verify is None else verify
    known: dict[tuple[str, Graph], Graph] = {}
    for _ in range(_ROUNDS):
        before = graph
        for step in pipeline:
            start = time.perf_counter()
            graph = _everywhere(step, graph, known)
            if report is not None:
                report.rows.append((step.name, time.perf_counter() - start, len(graph.nodes)))
            if check:
                verify_graph(graph, f"after pass {step.name}")
        if graph is before:
            break
    return graph


def describe(pipeline: Sequence[Pass] = PIPELINE) -> str:
    """The pipeline as a table of names and purposes."""
    return "\n".join(f"{step.name:<12}{step.purpose}" for step in pipeline)


def _everywhere(step: Pass, graph: Graph, known: dict[tuple[str, Graph], Graph]) -> Graph:
    """Run one pass on the sub-graphs, innermost first, and then on the graph itself."""
    found = known.get((step.name, graph))
    if found is None:
        found = known[step.name, graph] = _run_pass(step, graph, known)
        if step.settled:
            known[step.name, found] = found
    return found


def _run_pass(step: Pass, graph: Graph, known: dict[tuple[str, Graph], Graph]) -> Graph:
    changed: dict[Node, dict[str, Graph]] = {}
    for node in graph.nodes:
        inner = subgraphs(node)
        new = {key: _everywhere(step, g, known) for key, g in inner.items()}
        if any(new[key] is not inner[key] for key in new):
            changed[node] = new

    def rule(builder: Builder, node: Node, operands: tuple[Value, ...]) -> tuple[Value, ...] | None:
        if node not in changed:
            return None
        assert node.op is not None
        return builder.add(node.op, operands, node.params | changed[node], node.source)

    return step.run(rewrite(graph, rule) if changed else graph)
