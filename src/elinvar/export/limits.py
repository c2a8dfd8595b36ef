"""What sizes an exported program must refuse beside those out of range: the conditions that type
rules check in Python when they know the sizes, as size arithmetic.

The largest of no elements, an index or slice that would lie outside, more elements than there are
to choose from, a window larger than what it slides over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from elinvar.core.shapes import DimLike, evaluate, size
from elinvar.core.sizing import both, either, same
from elinvar.graph.ir import Graph, Node
from elinvar.graph.walk import subgraphs

Condition = Callable[[Mapping[str, Any]], Any]


def conditions_of(graph: Graph) -> Iterator[Condition]:
    """What must hold of the sizes for every node, those of sub-graphs included."""
    for node in graph.nodes:
        make = _CONDITIONS.get(node.op_name)
        if make is not None:
            yield from make(node)
        for inner in subgraphs(node).values():
            yield from conditions_of(inner)


def _at_least(dim: DimLike, least: int) -> Condition:
    return lambda sizes: evaluate(dim, sizes) >= least


def _some_element(node: Node) -> Iterator[Condition]:
    (x,) = node.operands
    params = node.params
    axes = params["axes"] if "axes" in params else (params["axis"],)
    for axis in axes:
        yield _at_least(x.shape[axis], 1)


def _slice(node: Node) -> Iterator[Condition]:
    params, shape = node.params, node.operands[0].shape
    rows = zip(shape, params["start"], params["size"], params["step"], strict=True)
    for dim, first, count, step in rows:
        if first == 0 and step == 1 and count == dim:
            continue  # the whole axis
        ends = first, first + (count - 1) * step

        def fits(sizes: Any, dim: Any = dim, count: Any = count, ends: Any = ends) -> Any:
            inside: Any = 1
            for end in ends:
                at, room = evaluate(end, sizes), evaluate(dim - 1 - end, sizes)
                inside = both(inside, both(at >= 0, room >= 0))
            return either(same(evaluate(count, sizes), 0), inside)

        yield fits


def _gather(node: Node) -> Iterator[Condition]:
    x, indices = node.operands
    dim, count = x.shape[node.params["axis"]], size(indices.shape)
    yield lambda sizes: either(evaluate(dim, sizes) >= 1, same(evaluate(count, sizes), 0))


def _top_k(node: Node) -> Iterator[Condition]:
    yield _at_least(node.operands[0].shape[-1] - node.params["k"], 0)


def _room(dim: DimLike, room: DimLike) -> Condition:
    """Nothing slides over nothing; else there must be room."""
    return lambda sizes: either(
        evaluate(room, sizes) >= 0,
        both(same(evaluate(dim, sizes), 0), same(evaluate(room, sizes), -1)),
    )


def _windows(node: Node) -> Iterator[Condition]:
    params = node.params
    shape = params["shape"] if "shape" in params else node.operands[0].shape
    for axis, count, dilation in zip(
        params["axes"], params["sizes"], params["dilations"], strict=True
    ):
        yield _room(shape[axis], shape[axis] - dilation * (count - 1) - 1)


def _convolution(node: Node) -> Iterator[Condition]:
    (x, w), params = node.operands, node.params

    def spread(count: DimLike, step: int) -> DimLike:
        return count if step == 1 else (count - 1) * step + 1

    for axis in range(x.type.rank - 2):
        padded = spread(x.shape[axis + 2], params["input_dilation"][axis])
        padded = padded + params["low"][axis] + params["high"][axis]
        yield _room(padded, padded - spread(w.shape[axis + 2], params["dilation"][axis]))


_CONDITIONS: dict[str, Callable[[Node], Iterator[Condition]]] = {
    "max": _some_element,
    "min": _some_element,
    "argmax": _some_element,
    "argmin": _some_element,
    "slice": _slice,
    "gather": _gather,
    "top_k": _top_k,
    "windows": _windows,
    "fold": _windows,
    "convolution": _convolution,
}
