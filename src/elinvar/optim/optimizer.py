"""Optimizer: groups of parameters, their state, and the step that all optimizers share.

An optimizer is two small methods:

    initial_state(parameter, group) -> dict of tensors
    update(parameter, gradient, state, rates, group) -> new parameter, new state

and `rates(step, group)`, the 0-d float64 numbers that are equal for all parameters, such as bias
corrections. Nothing is changed in place; `step` assigns the results to the cells, so that the same
code runs at once, as one fused program per parameter, and inside of `el.jit`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar, overload

from elinvar.core.dtypes import accumulator, int64
from elinvar.core.errors import DTypeError, ShapeError, StateError, ValueRangeError, fail
from elinvar.optim.group import ParameterGroup
from elinvar.tensor.cell import detached
from elinvar.tensor.creation import asarray, zeros, zeros_like
from elinvar.tensor.elementwise import where as choose
from elinvar.tensor.tape import enable_grad, no_grad
from elinvar.tensor.tensor import Tensor
from elinvar.tensor.trace import note_guard, outside_trace

R = TypeVar("R")
State = dict[str, Tensor]
Rates = tuple[Tensor, ...]


class Optimizer(ABC):
    """The base of all optimizers.

    Args:
        params: tensors, or dicts `{"params": tensors, option: value, …}`, one per group.
        defaults: the options of groups that do not set them.

    Attributes:
        param_groups: the groups; `group["lr"]` reads and writes a float.
        state: parameter → its tensors by name.
    """

    defaults: dict[str, Any]
    version: int

    switches: tuple[str, ...] = ()

    def __init__(self, params: Iterable[Any], defaults: Mapping[str, Any]) -> None:
        self.defaults = dict(defaults)
        self.param_groups: list[ParameterGroup] = []
        self.state: dict[Tensor, State] = {}
        self.version = 0  # changes with the set of groups and state tensors
        if isinstance(params, Tensor):
            text = "params must be an iterable of tensors or dicts, received one tensor"
            fail(DTypeError, type(self).__name__, text, "write [parameter]")
        given = list(params)
        if not given:
            text = "received no parameters"
            hint = "does the model register its layers as attributes?"
            fail(ValueRangeError, type(self).__name__, text, hint)
        groups = given if isinstance(given[0], Mapping) else [{"params": given}]
        for group in groups:
            self.add_param_group(group)

    # ---- what each optimizer says -------------------------------------------------------------

    @abstractmethod
    def initial_state(self, parameter: Tensor, group: ParameterGroup) -> State:
        """The tensors kept for a parameter, before its first step."""

    @abstractmethod
    def rates(self, step: Tensor, group: ParameterGroup) -> Rates:
        """Numbers that are equal for all parameters, at step 1, 2, ….; 0-d, float64."""

    @abstractmethod
    def update(
        self,
        parameter: Tensor,
        gradient: Tensor,
        state: State,
        rates: Rates,
        group: ParameterGroup,
    ) -> tuple[Tensor, State]:
        """The parameter's new value and its new state."""

    @abstractmethod
    def check(self, group: ParameterGroup) -> None:
        """Refuse options out of range. Called for each new group."""

    # ---- groups -------------------------------------------------------------------------------

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Add a group: a dict of `params` and options; others come from the defaults."""
        op = type(self).__name__
        if not isinstance(param_group, Mapping) or "params" not in param_group:
            fail(DTypeError, op, "a group must be a dict with the key 'params'")
        given = param_group["params"]
        params = [given] if isinstance(given, Tensor) else list(given)
        known = {id(p) for group in self.param_groups for p in group["params"]}
        for index, parameter in enumerate(params):
            if not isinstance(parameter, Tensor):
                text = f"can only optimize tensors, received {type(parameter).__name__}"
                fail(DTypeError, op, f"{text} (number {index})")
            if not parameter.dtype.is_floating:
                text = f"only floating tensors can be optimized, received {parameter._type}"
                fail(DTypeError, op, f"{text} (number {index})", "give it a floating dtype")
            if not parameter.is_leaf:
                text = f"parameter {index}, {parameter._type}, is the result of an operation"
                fail(ValueRangeError, op, text, "pass the leaf tensor itself")
            if id(parameter) in known:
                fail(ValueRangeError, op, f"parameter {index}, {parameter._type}, appears twice")
            known.add(id(parameter))
        options = {**self.defaults, **param_group, "params": params}
        for name, value in self.defaults.items():
            if isinstance(value, float) and isinstance(options[name], int):
                options[name] = float(options[name])
            elif isinstance(value, float) and not isinstance(options[name], Tensor):
                options[name] = number(self, name, options[name])
            elif isinstance(value, tuple) and all(isinstance(x, float) for x in value):
                options[name] = numbers(self, name, options[name])
        group = ParameterGroup(options, self.switches)
        self.check(group)
        self.param_groups.append(group)
        self.version += 1

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of all parameters, or set them to zeros."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if set_to_none:
                    parameter.grad = None  # without a look at it, on which a trace would depend
                elif parameter.grad is not None:
                    parameter.grad = zeros_like(parameter.grad)

    # ---- the step -----------------------------------------------------------------------------

    @overload
    def step(self, closure: None = None, *, where: Tensor | None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], R], *, where: Tensor | None = None) -> R: ...
    def step(
        self, closure: Callable[[], Any] | None = None, *, where: Tensor | None = None
    ) -> Any:
        """Change all parameters that have gradients, once.

        Args:
            closure: computes the loss and its gradients first.
            where: a bool tensor; if it is False, parameters and state stay as they are. So a jitted
                step leaves out a batch whose loss is not finite: `where=loss.isfinite()`.

        Returns:
            What the closure returned, or None.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        note_guard(self, "version", self.version)
        with no_grad():
            for group in self.param_groups:
                group.note()
                for counter, parameters in self._cohorts(group):
                    counter.assign(counter + (1 if where is None else where.astype(int64)))
                    rates = self.rates(counter, group)
                    for parameter in parameters:
                        self._apply(parameter, rates, group, where)
        return loss

    def _apply(
        self, parameter: Tensor, rates: Rates, group: ParameterGroup, kept: Tensor | None
    ) -> None:
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None
        value, fresh = self.update(parameter, gradient, state, rates, group)
        for cell, new in ((parameter, value), *((state[name], x) for name, x in fresh.items())):
            cell.assign(new if kept is None else choose(kept, new, cell))

    def _cohorts(self, group: ParameterGroup) -> Iterator[tuple[Tensor, list[Tensor]]]:
        """Parameters that have gradients, by the step counter that they share.

        Parameters share a counter as long as they step together, so that a compiled step computes
        bias corrections once. One that misses a step leaves the others.
        """
        active = [p for p in group["params"] if p.grad is not None]
        new = [p for p in active if p not in self.state]
        if new:
            with outside_trace():
                counter = zeros((), dtype=int64)
                for parameter in new:
                    state = self.initial_state(parameter, group)
                    self.state[parameter] = {"step": counter, **state}
        sharing: dict[int, list[Tensor]] = {}
        for parameter in group["params"]:
            if parameter in self.state:
                sharing.setdefault(id(self.state[parameter]["step"]), []).append(parameter)
        present = {id(p) for p in active}
        for members in sharing.values():
            moving = [p for p in members if id(p) in present]
            if not moving:
                continue
            counter = self.state[moving[0]]["step"]
            if len(moving) < len(members):
                counter = self._own_counter(moving, counter)
            yield counter, moving

    def _own_counter(self, parameters: list[Tensor], shared: Tensor) -> Tensor:
        with outside_trace():
            counter = zeros((), dtype=int64)
        counter.assign(shared)
        for parameter in parameters:
            self.state[parameter]["step"] = counter
        return counter

    # ---- state dicts --------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """The state by number of the parameter, and the options, in PyTorch's form."""
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for parameter in group["params"]:
                numbers.setdefault(id(parameter), len(numbers))
            options = {name: value for name, value in group.items() if name != "params"}
            groups.append({**options, "params": [numbers[id(p)] for p in group["params"]]})
        state = {
            numbers[id(parameter)]: {name: detached(cell) for name, cell in cells.items()}
            for parameter, cells in self.state.items()
        }
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over options and state, also PyTorch's of the same optimizer.

        Raises:
            StateError: groups or shapes differ. Then nothing is changed.
        """
        op = f"{type(self).__name__}.load_state_dict"
        if not isinstance(state_dict, Mapping) or not {"state", "param_groups"} <= set(state_dict):
            fail(StateError, op, "expected a dict with the keys 'state' and 'param_groups'")
        saved = state_dict["param_groups"]
        _check_saved(op, saved, state_dict["state"])
        sizes = [len(group["params"]) for group in self.param_groups]
        saved_sizes = [len(group["params"]) for group in saved]
        if sizes != saved_sizes:
            text = f"the groups have {sizes} parameters, the state's have {saved_sizes}"
            fail(StateError, op, text)
        found: dict[Tensor, State] = {}
        merged = [_merged(*pair) for pair in zip(self.param_groups, saved, strict=True)]
        for options, saved_group in zip(merged, saved, strict=True):
            counters: dict[int, Tensor] = {}
            group = ParameterGroup(options, self.switches)  # decides which tensors are kept
            for parameter, number in zip(options["params"], saved_group["params"], strict=True):
                held = state_dict["state"].get(number, state_dict["state"].get(str(number)))
                if held is not None:
                    found[parameter] = self._loaded(op, number, parameter, held, group, counters)
        for group, options in zip(self.param_groups, merged, strict=True):
            group.update(options)
        self.state.clear()
        self.state.update(found)
        self.version += 1

    def _loaded(
        self,
        op: str,
        number: int,
        parameter: Tensor,
        held: Mapping[str, Any],
        group: ParameterGroup,
        counters: dict[int, Tensor],
    ) -> State:
        """One parameter's state, checked; equal step counters of a group become one."""
        step = _saved_step(op, number, held)
        if step not in counters:
            counters[step] = asarray(step, dtype=int64)
        cells: State = {"step": counters[step]}
        for name, cell in self.initial_state(parameter, group).items():
            value = held.get(name)
            if value is None:
                fail(StateError, op, f"state of parameter {number} lacks {name!r}")
            value = detached(value) if isinstance(value, Tensor) else asarray(value)
            if tuple(value.shape) != tuple(cell.shape):
                text = f"{name!r} of parameter {number} must be {cell._type}"
                fail(ShapeError, op, f"{text}, received {value._type}")
            cells[name] = value.astype(cell.dtype)
        return cells

    def __repr__(self) -> str:
        groups = "\n".join(f"  {index}: {group}" for index, group in enumerate(self.param_groups))
        return f"{type(self).__name__} (\n{groups}\n)"


def _check_saved(op: str, groups: Any, state: Any) -> None:
    """Refuse a state dict that is not built as `state_dict` builds one."""
    if not isinstance(state, Mapping):
        fail(StateError, op, f"'state' must be a dict by number, received {type(state).__name__}")
    if not isinstance(groups, (list, tuple)):
        text = f"'param_groups' must be a list of dicts, received {type(groups).__name__}"
        fail(StateError, op, text)
    for place, group in enumerate(groups):
        if not isinstance(group, Mapping) or not isinstance(group.get("params"), (list, tuple)):
            fail(StateError, op, f"group {place} must be a dict with a list 'params'")
    for number, held in state.items():
        if not isinstance(held, Mapping):
            text = f"the state of parameter {number} must be a dict"
            fail(StateError, op, f"{text}, received {type(held).__name__}")


def _saved_step(op: str, number: int, held: Mapping[str, Any]) -> int:
    step = held.get("step", 1)
    try:
        return int(step)
    except (TypeError, ValueError):
        text = f"'step' of parameter {number} must be a number, received {step!r:.40}"
        fail(StateError, op, text)


def _merged(group: ParameterGroup, saved: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a group, with the saved values of those that it has."""
    options = dict(group)
    for name, value in saved.items():
        if name in options and name != "params":
            if isinstance(options[name], float):
                options[name] = float(value)
            else:
                options[name] = tuple(value) if isinstance(value, list) else value
    return options


def number(optimizer: Optimizer, name: str, value: Any) -> float:
    """An option as a float; whatever is no number is refused."""
    if isinstance(value, (str, bytes)) or not hasattr(value, "__float__"):
        text = f"{name} must be a number, received {type(value).__name__} {value!r:.40}"
        fail(DTypeError, type(optimizer).__name__, text)
    return float(value)


def numbers(optimizer: Optimizer, name: str, values: Any) -> tuple[float, ...]:
    """An option that is several numbers."""
    if not isinstance(values, (tuple, list)):
        text = f"{name} must be a tuple of numbers, received {type(values).__name__}"
        fail(DTypeError, type(optimizer).__name__, text)
    return tuple(number(optimizer, name, value) for value in values)


def need_range(
    op: str, group: ParameterGroup, name: str, low: float = 0.0, high: float | None = None
) -> None:
    """Refuse a number below `low`, or not below `high`."""
    values = group[name]
    for value in values if isinstance(values, tuple) else (values,):
        if isinstance(value, Tensor):  # a trace does not know it
            continue
        if not value >= low or (high is not None and not value < high):
            limit = f"at least {low:g}" + ("" if high is None else f" and less than {high:g}")
            fail(ValueRangeError, op, f"{name} must be {limit}, received {value:g}")


def wide(like: Tensor, *values: Any) -> list[Any]:
    """Tensors in the type in which `like` is computed: float32 for 16-bit floats; floats stay."""
    dtype = accumulator(like.dtype)
    return [value.astype(dtype) if isinstance(value, Tensor) else value for value in values]
