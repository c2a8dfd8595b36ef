"""Modules as pure functions: called with other parameters and buffers, many of them at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from elinvar.core.errors import DTypeError, StateError, ValueRangeError, fail
from elinvar.nn.module import Module
from elinvar.tensor.cell import detached
from elinvar.tensor.manipulation import stack
from elinvar.tensor.tensor import Tensor

State = Mapping[str, Any]


def functional_call(
    module: Module,
    parameters_and_buffers: State | tuple[State, ...],
    args: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Call a module with other tensors in the place of some parameters and buffers.

    The module itself is not changed, so this is a pure function of the tensors and the arguments,
    which the transforms (`el.grad`, `el.vmap`, …) can work on. What the module writes into a buffer
    (running statistics) is found in the tensor that was passed for it.

    Args:
        module: the module.
        parameters_and_buffers: path → tensor, as in `state_dict()`; or a tuple of such dicts.
        args: the arguments as a tuple, or one argument; None: no argument.
        kwargs: the keyword arguments.
        tie_weights: whether a tensor that the module has under several paths is replaced under all
            of them when one is named.
        strict: whether all parameters and buffers must be passed.

    Raises:
        StateError: the module has no such path; a path is missing under `strict`; or the paths of
            one tensor receive different values.

    Example:
        >>> import elinvar as el
        >>> layer = el.nn.Linear(2, 1, bias=False)
        >>> el.functional_call(layer, {"weight": el.ones((1, 2))}, el.ones((3, 2))).tolist()
        [[2.0], [2.0], [2.0]]
    """
    values = _joined(parameters_and_buffers)
    cells: dict[str, Tensor] = dict(module.named_parameters(remove_duplicate=False))
    cells.update(module.named_buffers(remove_duplicate=False))
    name = type(module).__name__
    unknown = [path for path in values if path not in cells]
    if unknown:
        text = f"{name} has no parameter or buffer {', '.join(unknown)}"
        fail(StateError, "functional_call", text)
    given: dict[int, Any] = {}
    for path, value in values.items():
        known = given.setdefault(id(cells[path]), value)
        if tie_weights and known is not value:
            text = f"{path} is tied to another path, but they receive different tensors"
            fail(StateError, "functional_call", text, "pass tie_weights=False to untie them")
    if strict:
        missing = [
            path
            for path, cell in cells.items()
            if path not in values and not (tie_weights and id(cell) in given)
        ]
        if missing:
            text = f"missing for {name}: {', '.join(missing)}"
            fail(StateError, "functional_call", text, "pass them, or strict=False")
    places = []
    for path, cell in cells.items():
        if path in values or (tie_weights and id(cell) in given):
            owner, _, attribute = path.rpartition(".")
            value = values[path] if path in values else given[id(cell)]
            places.append((module.get_submodule(owner), attribute, cell, value))
    positional = args if isinstance(args, tuple) else () if args is None else (args,)
    try:
        for owner_module, attribute, _, value in places:
            owner_module.__dict__[attribute] = value
        return module(*positional, **(kwargs or {}))
    finally:
        for owner_module, attribute, cell, _ in places:
            owner_module.__dict__[attribute] = cell


def _joined(given: Any) -> dict[str, Any]:
    parts = given if isinstance(given, tuple) else (given,)
    values: dict[str, Any] = {}
    for part in parts:
        if not isinstance(part, Mapping):
            text = f"expected a dict of tensors or a tuple of dicts, received {type(part).__name__}"
            fail(DTypeError, "functional_call", text)
        twice = [path for path in part if path in values]
        if twice:
            text = f"{', '.join(twice)} stands in two of the dicts"
            fail(StateError, "functional_call", text)
        values.update(part)
    return values


def stack_module_state(
    models: Sequence[Module],
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The parameters and buffers of several modules of one kind, stacked in front.

    With `el.vmap` and `el.functional_call` the modules then run as one program.

    Args:
        models: modules of one class, with equal shapes, all in training or all in evaluation.

    Returns:
        two dicts, path → stacked tensors. Parameters are new leaves of the tape.

    Raises:
        ValueRangeError: there are no models, or they differ in class, mode or shapes.

    Example:
        >>> import elinvar as el
        >>> models = [el.nn.Linear(3, 2) for _ in range(4)]
        >>> parameters, buffers = el.stack_module_state(models)
        >>> call = lambda state, x: el.functional_call(models[0], state, x)
        >>> el.vmap(call, in_axes=(0, None))(parameters, el.ones((5, 3))).shape
        (4, 5, 2)
    """
    op = "stack_module_state"
    if not models:
        fail(ValueRangeError, op, "expected at least one module")
    first = models[0]
    for model in models:
        if type(model) is not type(first):
            names = f"{type(first).__name__} and {type(model).__name__}"
            fail(ValueRangeError, op, f"the modules are of different classes: {names}")
        if model.training != first.training:
            text = "some modules are in training, others in evaluation"
            fail(ValueRangeError, op, text, "call `.train()` or `.eval()` on all of them")
    parameters = _stacked([dict(model.named_parameters()) for model in models], True)
    buffers = _stacked([dict(model.named_buffers()) for model in models], False)
    return parameters, buffers


def _stacked(states: list[dict[str, Any]], are_parameters: bool) -> dict[str, Tensor]:
    op = "stack_module_state"
    found = {}
    for path, cell in states[0].items():
        cells = [state.get(path) for state in states]
        for other in cells:
            if other is None or other._type != cell._type:
                there = "nothing" if other is None else other._type
                text = f"the modules differ in {path}: {cell._type} and {there}"
                fail(ValueRangeError, op, text)
        wanted = {other.requires_grad for other in cells if other is not None}
        if len(wanted) > 1:
            fail(ValueRangeError, op, f"{path} requires a gradient in some modules only")
        stacked: Any = stack([detached(other) for other in cells if other is not None])
        if are_parameters and wanted == {True}:
            stacked.requires_grad_()
        found[path] = stacked
    return found


__all__ = ["functional_call", "stack_module_state"]
