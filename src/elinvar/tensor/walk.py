"""A function run on fresh tensors that stand for its arguments, so that it can be differentiated.

The tape from the fresh tensors to the results is what `grad`, `vjp`, `jvp` and `linearize` walk.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from elinvar.core import tree
from elinvar.core.errors import DTypeError, GradientError, ShapeError, fail
from elinvar.ops.record import Op
from elinvar.tensor.backward import backward
from elinvar.tensor.cell import Cell, current_trace, detached, plain, restore, snapshot, state
from elinvar.tensor.dispatch import F, as_tensor
from elinvar.tensor.forward import push_forward
from elinvar.tensor.tape import Derivative, Leaf, enable_grad, no_grad, record, record_call
from elinvar.transforms.forward import jvp_graph
from elinvar.transforms.forward_control import ControlUse, loop_with_tangents


def need_function(op: str, function: Any) -> None:
    """Refuse what cannot be called."""
    if not callable(function):
        fail(DTypeError, op, f"expected a function, received {type(function).__name__}")


def linked(x: Any) -> Any:
    """A fresh tensor equal to x, at which backward can stop; gradients pass on to x's own tape."""
    fresh = plain(x)
    if x._node is None or not state.grad_enabled:
        fresh._node, fresh._slot = Leaf(fresh), 0
    else:
        record_call("argument", _IDENTITY, [x], [fresh])
    return fresh


def _pass_on(operands: Any, results: Any, flowing: Any) -> Any:
    return flowing


_IDENTITY = Derivative(_pass_on, _pass_on)


class Walk:
    """Runs a function with some arguments replaced by fresh tensors, and differentiates it."""

    def __init__(self, name: str, has_aux: bool) -> None:
        self.name, self.has_aux = name, has_aux
        self.records_outside = state.grad_enabled
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self.structure: Any = None
        self.aux: Any = None
        self.directions: list[Any] | None = None
        self._known: dict[Any, Any] = {}  # tangents, by (node of the tape, result)
        self._safe: set[Any] = set()  # nodes of the tape that do not lead outside

    def link(self, value: Any, what: str) -> Any:
        """Replace the tensors of a container by fresh ones."""
        leaves, structure = tree.flatten(value)
        with enable_grad():
            fresh = [linked(self._floating(leaf, what)) for leaf in leaves]
        self.inputs += fresh
        return tree.unflatten(structure, fresh)

    def _floating(self, leaf: Any, what: str) -> Any:
        x = as_tensor(leaf)
        if x.dtype.kind not in "fc":
            text = f"{what} must be floating to be differentiated, received {x._type}"
            hint = "cast it with `.float()`, or close over it"
            if self.name == "grad":
                hint = "cast it with `.float()`, or change `argnums`"
            fail(GradientError, self.name, text, hint)
        return x

    def run(self, function: Any, args: Any, kwargs: Any, directions: Any = None) -> None:
        """Call the function and keep its results.

        `directions`: tangents of the inputs, if they are known: loops take them along.
        """
        before = state.pushing
        state.pushing = None
        if directions is not None:
            # results must not be the caller's cells
            self.directions = [restore(snapshot(t)) for t in directions]
            pairs = zip(self.inputs, self.directions, strict=True)
            self._known = {(x._node, x._slot): t for x, t in pairs}
            state.pushing = self
        try:
            with enable_grad():
                found = function(*args, **kwargs)
        finally:
            state.pushing = before
        if self.has_aux:
            if not isinstance(found, tuple) or len(found) != 2:
                text = "with has_aux the function must return (value, aux), received "
                fail(GradientError, self.name, text + tree.describe(tree.flatten(found)[1]))
            found, self.aux = found
            self.aux = tree.map_tree(self._kept, self.aux)
        leaves, self.structure = tree.flatten(found)
        self.outputs = [as_tensor(leaf) for leaf in leaves]

    def _kept(self, value: Any) -> Any:
        """A result as the caller gets it: with its tape only if that leads outside."""
        if not isinstance(value, Cell) or value._node is None or self.leads_outside([value]):
            return value
        return plain(value) if self.records_outside else detached(value)

    def leads_outside(self, outputs: list[Any]) -> bool:
        """Whether the tape of `outputs` reaches leaves other than the fresh ones."""
        if not self.records_outside:
            return False
        own = {x._node for x in self.inputs if x._node.is_leaf}
        seen: set[Any] = set()
        stack = [y._node for y in outputs if y._node is not None]
        while stack:
            node = stack.pop()
            if node in seen or node in self._safe:
                continue
            seen.add(node)
            if node.is_leaf:
                if node not in own:
                    return True
            else:
                stack += [held[4] for held in node.operands or () if held[4] is not None]
        self._safe |= seen
        return False

    def loop(self, op: Op, operands: list[Any], params: dict[str, Any]) -> Any:
        """Run a scan or while_loop together with its tangents; None where it has none, or where
        these are differentiated themselves."""
        assert self.directions is not None
        if all(x._node is None for x in operands) or self.is_recorded(operands, self.directions):
            return None
        tangents = push_forward([], [], operands, False, self._known)
        if all(tangent is None for tangent in tangents):
            return None
        with no_grad():
            use = ControlUse(op.name, operands, tangents, params)
            found = loop_with_tangents(F, use, jvp_graph)
        if found is None:
            return None
        results, pushed = found
        record(op, tuple(operands), params, results, None)
        for y, tangent in zip(results, pushed, strict=True):
            if y._node is not None:
                self._known[y._node, y._slot] = tangent
        return tuple(results)

    def is_recorded(self, outputs: list[Any], directions: Sequence[Any]) -> bool:
        """Whether derivatives of `outputs` in these directions may be differentiated themselves."""
        if not self.records_outside:
            return False
        trace = current_trace()
        if trace is not None and trace.is_region:  # it will be differentiated as a graph
            return True
        return any(d._node is not None for d in directions) or self.leads_outside(outputs)

    def cotangents(self, seeds: list[Any], keep: bool) -> list[Any]:
        """The cotangents of the inputs; zeros where nothing flows."""
        pairs = [(y, s) for y, s in zip(self.outputs, seeds, strict=True) if y._node is not None]
        found: Any = [None] * len(self.inputs)
        if pairs:
            create = self.is_recorded([y for y, _ in pairs], seeds)
            outputs, starts = [y for y, _ in pairs], [s for _, s in pairs]
            found = backward(outputs, starts, keep or create, create, self.inputs)
        return [
            F.zeros_like(x) if gradient is None else gradient
            for x, gradient in zip(self.inputs, found, strict=True)
        ]

    def tangents(self, directions: list[Any]) -> Any:
        """The tangents of the results, as a container like them; zeros where nothing flows."""
        given = [restore(snapshot(t)) for t in directions]  # results must not be the caller's cells
        create = self.is_recorded(self.outputs, directions)
        if directions is self.directions and not create:
            pushed = push_forward([], [], self.outputs, False, self._known)
        else:
            pushed = push_forward(self.inputs, given, self.outputs, create)
        found = [
            F.zeros_like(y) if tangent is None else tangent
            for y, tangent in zip(self.outputs, pushed, strict=True)
        ]
        return tree.unflatten(self.structure, found)

    def values(self) -> Any:
        """The results of the function."""
        return tree.unflatten(self.structure, [self._kept(y) for y in self.outputs])


def like(op: str, what: str, given: Any, expected: Any) -> Any:
    """A tangent or cotangent as a tensor of the type of what it belongs to."""
    x = as_tensor(given)
    kinds = "fiuc" if expected.dtype.kind == "c" else "fiu"
    if x.shape != expected.shape or x.dtype.kind not in kinds:
        fail(ShapeError, op, f"{what} must be like {expected._type}, received {x._type}")
    return x if x.dtype is expected.dtype else F.cast(x, dtype=expected.dtype)


def rebuilt(structures: Sequence[Any], leaves: Sequence[Any]) -> tuple[Any, ...]:
    """A container for each of the structures, which take up the leaves one after the other."""
    rest = iter(leaves)
    return tuple(tree.unflatten(s, [next(rest) for _ in range(tree.size(s))]) for s in structures)
