"""checkpoint: keep a function's inputs, not all that it computes, and run it again in backward.

Source: Chen, Xu, Zhang, Guestrin, "Training deep nets with sublinear memory cost" (2016).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from elinvar.core import tree
from elinvar.tensor.backward import backward
from elinvar.tensor.cell import Cell, current_trace, detached, restore, snapshot, state
from elinvar.tensor.dispatch import F
from elinvar.tensor.forward import push_forward
from elinvar.tensor.tape import Derivative, enable_grad, next_serial, record_call
from elinvar.tensor.trace import is_tracing

P = ParamSpec("P")
R = TypeVar("R")
_tags = itertools.count(1).__next__


def checkpoint(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """`function(*args, **kwargs)`, with less memory until backward, which runs it again.

    Tensors that the function changes (a random generator's state, running statistics) have, in the
    second run, the content that they had in the first, so both runs compute the same bits.

    Example:
        >>> import elinvar as el
        >>> x = el.Tensor([1.0, 2.0], requires_grad=True)
        >>> el.checkpoint(lambda v: v * v, x).sum().backward()
        >>> x.grad.tolist()
        [2.0, 4.0]
    """
    trace = current_trace()
    if not state.grad_enabled or (trace is not None and trace.is_region):
        return function(*args, **kwargs)  # a region is differentiated as a graph, step by step
    leaves, structure = tree.flatten((list(args), kwargs))
    places = [n for n, leaf in enumerate(leaves) if isinstance(leaf, Cell)]
    first_serial = next_serial()
    changes: dict[int, Any] = {}
    before, state.changes = state.changes, changes
    try:
        found = function(*args, **kwargs)
    finally:
        state.changes = before
    outputs, result_structure = tree.flatten(found)
    numbers = [
        n for n, y in enumerate(outputs) if isinstance(y, Cell) and _is_inside(y, first_serial)
    ]
    written = _outer_cells(changes, outputs)
    for cell, content in written:
        state.note_change(cell, content)
    if not numbers:
        return found
    operands = _entering([outputs[n] for n in numbers], first_serial)
    results = [detached(outputs[n]) for n in numbers]
    kept = {place: restore(snapshot(leaves[place])) for place in places}
    for place in places:
        leaves[place] = None
    tag = _tags()

    def run_again(apart: bool) -> list[Any]:
        given = list(leaves)
        with enable_grad():
            for place, x in kept.items():
                given[place] = F.barrier(x, tag=tag) if apart and is_tracing() else x
            args_again, kwargs_again = tree.unflatten(structure, given)
            again = _with_content(written, function, args_again, kwargs_again)
        leaves_again = tree.flatten(again)[0]
        return [leaves_again[n] for n in numbers]

    def derive(held: Any, made: Any, cotangents: Any) -> Any:
        again = run_again(apart=True)
        pairs = [(y, c) for y, c in zip(again, cotangents, strict=True) if c is not None]
        outs, seeds = [y for y, _ in pairs], [c for _, c in pairs]
        return backward(outs, seeds, True, state.grad_enabled, list(held))

    def push(held: Any, made: Any, tangents: Any) -> Any:
        return push_forward(held, tangents, run_again(apart=False), state.grad_enabled)

    record_call("checkpoint", Derivative(derive, push), operands, results)
    for number, result in zip(numbers, results, strict=True):
        outputs[number] = result
    return tree.unflatten(result_structure, outputs)


def _outer_cells(changes: dict[int, Any], outputs: list[Any]) -> list[tuple[Any, Any]]:
    """(cell, content of before) for the cells that the function changed and did not make."""
    made = {id(y) for y in outputs}
    found = [(reference(), content) for reference, content in changes.values()]
    return [(cell, old) for cell, old in found if cell is not None and id(cell) not in made]


def _is_inside(tensor: Any, first_serial: int) -> bool:
    node = tensor._node
    return node is not None and not node.is_leaf and node.serial > first_serial


def _entering(outputs: list[Any], first_serial: int) -> list[Any]:
    """The tensors from outside, with a tape, that the function's own tape ends at."""
    found: dict[Any, Any] = {}
    seen: set[Any] = set()
    stack = [y._node for y in outputs]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        for held in node.operands or ():
            source, slot = held[4], held[5]
            if source is None:
                continue
            if not source.is_leaf and source.serial > first_serial:
                stack.append(source)
            else:
                found.setdefault((source, slot), held)
    return [restore(held) for held in found.values()]


def _with_content(written: Any, function: Any, args: Any, kwargs: Any) -> Any:
    """Run the function while the cells that it changes hold what they held before."""
    now = [(cell, snapshot(cell)) for cell, _ in written]
    for cell, content in written:
        _hold(cell, content)
    try:
        return function(*args, **kwargs)
    finally:
        for cell, content in now:
            _hold(cell, content)


def _hold(cell: Any, content: Any) -> None:
    trace = current_trace()
    old = restore(content)
    if trace is not None:
        trace.write(cell, trace.read(old))
    else:
        cell._buffer, cell._address, cell._layout, cell._value = content[:4]
    cell._node = content[4]
    if cell._node is not None:
        cell._slot = content[5]
