"""Batching of convolutions, where it would change which algorithm computes them.

The rule of the record lets the batch join the images, the channels or the groups. Whether a
convolution goes by Winograd's algorithm depends on its channels and groups, though (see
`ops/winograd.py`), and so do its bits. Where the one for all examples would go another way than
that of one example, the examples are convolved one after the other, in a scan of the compiled
program: each then fills the machine by itself, for it has 16 channels at least. So they are where
images and kernels are mapped and the number of examples, which would be that of groups, is open.
"""

from __future__ import annotations

from typing import Any

from elinvar.core.types import TensorType
from elinvar.graph.ir import Builder, Graph
from elinvar.ops.winograd import winograd_of


def batch_convolution(f: Any, axis: Any, node: Any, operands: Any, mapped: Any) -> Any:
    """The convolution of all examples; None: as the rule of the record says."""
    if axis.size == 1 or (mapped == (True, False) and node.params["channels_inner"]):
        return None  # images may be as many as they like
    x, w = (value.type for value in node.operands)
    alone = _is_winograd(x, w, node)
    joined = None if all(mapped) else _is_winograd(*_joined(axis, node, mapped), node)
    if alone == joined and alone is not None:
        return None
    if alone is False and joined in (None, False):
        if all(mapped) and not (isinstance(axis.size, int) and axis.size):
            return _one_by_one(f, axis, node, operands, mapped)  # groups are counted in numbers
        return None
    return _one_by_one(f, axis, node, operands, mapped)


def _is_winograd(x: TensorType, w: TensorType, node: Any) -> bool | None:
    """Whether Winograd's algorithm serves; None: that depends on symbolic sizes."""
    params, shape = node.params, node.results[0].shape
    places = shape[1:-1] if params["channels_last"] else shape[2:]
    found = winograd_of(x, w, places, params)
    if found is None:
        return False
    try:
        return bool(found[1]({}))
    except KeyError:
        return None


def _joined(axis: Any, node: Any, mapped: Any) -> tuple[TensorType, TensorType]:
    """The types when the batch has joined the first axis of the mapped operand."""
    kinds = []
    for value, is_mapped in zip(node.operands, mapped, strict=True):
        shape = value.type.shape
        wide = (axis.size * shape[0], *shape[1:]) if is_mapped else shape
        kinds.append(value.type.with_shape(wide))
    return kinds[0], kinds[1]


def _one_by_one(f: Any, axis: Any, node: Any, operands: Any, mapped: Any) -> Any:
    rows = [n for n, is_mapped in enumerate(mapped) if is_mapped]
    order = [*rows, *(n for n, is_mapped in enumerate(mapped) if not is_mapped)]
    body = _body(node, order)
    return f.scan(
        *(operands[n] for n in order),
        body=body, carry=0, sequences=len(rows), length=axis.size, reverse=False,
    )  # fmt: skip


def _body(node: Any, order: list[int]) -> Graph:
    builder = Builder(capture_source=False)
    given = {n: builder.input(node.operands[n].type) for n in order}
    results = builder.copy(node, tuple(given[n] for n in range(len(order))))
    return builder.graph(results, "convolution")
