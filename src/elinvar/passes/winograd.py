"""Convolutions by Winograd's algorithm in a graph: which nodes they are, and what they read.

The rule is in `ops/winograd.py`.
"""

from __future__ import annotations

from elinvar.graph.ir import Graph, Node, Value
from elinvar.ops.movement import inverse
from elinvar.ops.winograd import Used, Winograd, winograd_of


def winograd(node: Node) -> tuple[Winograd, Used] | None:
    """The convolution as tiles, and for which sizes it is used; None: for none."""
    params = node.params
    if params["low"] != (0, 0) or params["high"] != (0, 0):
        return None
    shape = node.results[0].shape
    places = shape[1:-1] if params["channels_last"] else shape[2:]
    x, w = node.operands
    return winograd_of(x.type, w.type, places, params)


def read_by_tiles(graph: Graph) -> dict[Value, tuple[int, ...]]:
    """What such convolutions read, through permutations: value → axes such that the value is the
    permutation by them of [samples, rows, columns, channels]."""
    found: dict[Value, tuple[int, ...]] = {}
    for node in reversed(graph.nodes):
        if node.op_name == "convolution" and winograd(node) is not None:
            if node.params["channels_inner"]:
                found.setdefault(node.operands[0], (0, 3, 1, 2))
            else:
                found.update(dict.fromkeys(node.operands, (3, 0, 1, 2)))
        elif node.op_name == "permute" and node.results[0] in found:
            axes = found[node.results[0]]
            back = inverse(node.params["axes"])
            found.setdefault(node.operands[0], tuple(axes[axis] for axis in back))
    return found
