"""checkpoint: keep a function's inputs, not all that it computes, and run it again in backward.

Source: Chen, Xu, Zhang, Guestrin, "Training deep nets with sublinear memory cost" (2016).
"""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, ParamSpec, TypeVar, overload

from elinvar.core import tree
from elinvar.core.errors import DTypeError, fail
from elinvar.tensor import checkpoint_policies
from elinvar.tensor.backward import backward
from elinvar.tensor.cell import Cell, current_trace, detached, restore, snapshot, state
from elinvar.tensor.checkpoint_policies import Policy, Recorder
from elinvar.tensor.dispatch import F
from elinvar.tensor.forward import push_forward
from elinvar.tensor.tape import Derivative, enable_grad, next_serial, record_call
from elinvar.tensor.trace import is_tracing, recording

P = ParamSpec("P")
R = TypeVar("R")
_tags = itertools.count(1).__next__


@overload
def checkpoint(function: Callable[P, R], *, policy: Policy) -> Callable[P, R]: ...
@overload
def checkpoint(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R: ...
def checkpoint(  # type: ignore[misc]
    function: Callable[..., Any], *args: Any, policy: Policy | None = None, **kwargs: Any
) -> Any:
    """`function(*args, **kwargs)`, with less memory until backward, which runs it again.

    Tensors that the function changes (a random generator's state, running statistics) have, in the
    second run, the content that they had in the first, so both runs compute the same bits.

    Args:
        function: of tensors and anything.
        args, kwargs: its arguments. Without arguments, where a policy is given or the function
            needs some, the function with checkpoints comes back, to be called later.
        policy: which inner values are kept and not computed again: one of `el.checkpoint_policies`,
            or a function `(op, *types, **params) -> bool`, which is asked for each primitive by its
            name, and for `checkpoint_name(x, name)` with the op "name".

    Example:
        >>> import elinvar as el
        >>> x = el.Tensor([1.0, 2.0], requires_grad=True)
        >>> el.checkpoint(lambda v: v * v, x).sum().backward()
        >>> x.grad.tolist()
        [2.0, 4.0]
        >>> policy = el.checkpoint_policies.dots_saveable
        >>> layer = el.checkpoint(lambda v, w: el.tanh(v @ w), policy=policy)
        >>> el.grad(lambda v: layer(v, el.ones((2, 2))).sum())(el.zeros(2)).tolist()
        [2.0, 2.0]
    """
    if not callable(function):
        text = f"expected a function, received {type(function).__name__}"
        fail(DTypeError, "checkpoint", text)
    if policy is not None and not callable(policy):
        text = (
            f"policy must be one of el.checkpoint_policies or a function, received {policy!r:.60}"
        )
        fail(DTypeError, "checkpoint", text)
    if not args and not kwargs and (policy is not None or _needs_arguments(function)):

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            return _checkpoint(function, args, kwargs, policy)

        return wrapped
    return _checkpoint(function, args, kwargs, policy)


def _needs_arguments(function: Any) -> bool:
    try:
        inspect.signature(function).bind()
    except TypeError:
        return True
    except ValueError:  # nothing is known of it
        pass
    return False


def _checkpoint(function: Any, args: Any, kwargs: Any, policy: Policy | None) -> Any:
    trace = current_trace()
    if not state.grad_enabled or (trace is not None and trace.is_region):
        return function(*args, **kwargs)  # a region is differentiated as a graph, step by step
    if policy is checkpoint_policies.everything_saveable:
        return function(*args, **kwargs)
    if policy is checkpoint_policies.nothing_saveable:
        policy = None
    recorder = None if policy is None else Recorder(policy)
    first = _FirstRun(function, args, kwargs, recorder)
    if not first.numbers:
        return first.found
    operands, results = first.operands, [detached(first.outputs[n]) for n in first.numbers]
    second = _SecondRun(function, args, kwargs, first, recorder)
    record_call("checkpoint", Derivative(second, second.push), operands, results)
    for number, result in zip(first.numbers, results, strict=True):
        first.outputs[number] = result
    return tree.unflatten(first.structure, first.outputs)


class _FirstRun:
    """Calls the function, and finds out where its own tape begins and ends."""

    def __init__(self, function: Any, args: Any, kwargs: Any, recorder: Recorder | None) -> None:
        first_serial = next_serial()
        changes: dict[int, Any] = {}
        before, state.changes = state.changes, changes
        try:
            with recording(recorder) if recorder is not None else nullcontext():
                self.found = function(*args, **kwargs)
        finally:
            state.changes = before
        self.outputs, self.structure = tree.flatten(self.found)
        self.numbers = [
            n
            for n, y in enumerate(self.outputs)
            if isinstance(y, Cell) and _is_inside(y, first_serial)
        ]
        self.written = _outer_cells(changes, self.outputs)
        for cell, content in self.written:
            state.note_change(cell, content)
        self.operands = _entering([self.outputs[n] for n in self.numbers], first_serial)
        if recorder is not None:
            recorder.finish()


class _SecondRun:
    """Runs the function again where derivatives are asked for."""

    def __init__(
        self, function: Any, args: Any, kwargs: Any, first: _FirstRun, recorder: Recorder | None
    ) -> None:
        self.function, self.recorder = function, recorder
        self.leaves, self.structure = tree.flatten((list(args), kwargs))
        self.kept = {
            place: restore(snapshot(leaf))
            for place, leaf in enumerate(self.leaves)
            if isinstance(leaf, Cell)
        }
        for place in self.kept:
            self.leaves[place] = None
        self.numbers, self.written = first.numbers, first.written
        self.tag = _tags()

    def run(self, apart: bool) -> list[Any]:
        """The results once more. `apart`: computed again although a trace has them already."""
        given = list(self.leaves)
        with enable_grad():
            for place, x in self.kept.items():
                given[place] = F.barrier(x, tag=self.tag) if apart and is_tracing() else x
            args, kwargs = tree.unflatten(self.structure, given)
            with recording(self.recorder.again()) if self.recorder is not None else nullcontext():
                found = _with_content(self.written, self.function, args, kwargs)
        leaves = tree.flatten(found)[0]
        return [leaves[n] for n in self.numbers]

    def __call__(self, held: Any, made: Any, cotangents: Any) -> Any:
        again = self.run(apart=True)
        pairs = [(y, c) for y, c in zip(again, cotangents, strict=True) if c is not None]
        outs, seeds = [y for y, _ in pairs], [c for _, c in pairs]
        return backward(outs, seeds, True, state.grad_enabled, list(held))

    def push(self, held: Any, made: Any, tangents: Any) -> Any:
        """The tangents of the results."""
        return push_forward(held, tangents, self.run(apart=False), state.grad_enabled)


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
