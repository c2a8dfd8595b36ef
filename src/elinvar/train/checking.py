"""What a Trainer is given, looked at before it trains: mistakes that would else go unnoticed."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from elinvar import metrics as metric_table
from elinvar.core.errors import (
    DataError,
    DTypeError,
    ElinvarError,
    StateError,
    ValueRangeError,
    fail,
)
from elinvar.core.other_names import nearest
from elinvar.metrics.metric import Metric
from elinvar.nn.module import Module
from elinvar.optim.optimizer import Optimizer
from elinvar.train.bar import progress_wish
from elinvar.train.callbacks import Callback
from elinvar.train.optimizers import SCHEDULES


def named_metrics(metrics: Any) -> dict[str, Metric]:
    """The metrics by the names that results have; a list's are numbered where they are alike."""
    metrics = () if metrics is None else metrics
    if isinstance(metrics, str | Metric) or callable(metrics):
        metrics = [metrics]
    if isinstance(metrics, Mapping):
        return {str(name): metric_table.get(metric) for name, metric in metrics.items()}
    if not isinstance(metrics, Iterable):
        metrics = [metrics]  # for its error
    found: dict[str, Metric] = {}
    for given in metrics:
        metric = metric_table.get(given)
        name, number = metric.name, 2
        while name in found:
            name, number = f"{metric.name}_{number}", number + 1
        found[name] = metric
    return found


def listed(callbacks: Callback | Iterable[Callback] | None) -> list[Callback]:
    """The callbacks; one alone will do."""
    if callbacks is None:
        return []
    is_one = isinstance(callbacks, str | type) or not isinstance(callbacks, Iterable)
    return [callbacks] if is_one else list(callbacks)  # type: ignore[list-item, arg-type]


def check_switches(**values: Any) -> None:
    """Refuse what is neither True nor False: the text "no" would be true."""
    for name, value in values.items():
        if not isinstance(value, bool | np.bool):
            fail(DTypeError, "Trainer", f"{name} must be True or False, received {value!r:.60}")


def check_words(schedule: Any, progress: Any) -> None:
    """Refuse names of schedules and displays that there are not, before training."""
    if isinstance(schedule, str) and schedule not in SCHEDULES:
        text = f"there is no schedule {schedule!r}"
        fail(ValueRangeError, "Trainer", text, nearest(schedule, SCHEDULES))
    progress_wish(progress)


def check_counts(epochs: Any, steps: Any) -> None:
    """Refuse what is no number of epochs or steps."""
    for name, value in (("epochs", epochs), ("steps", steps)):
        is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if value is None or (is_whole and value >= 0):
            continue
        if hasattr(value, "shape") or isinstance(value, list | tuple):
            text = f"{name} must be a number, received {type(value).__name__}"
            fail(DTypeError, "Trainer", text, "inputs and targets go in one tuple: fit((x, y))")
        text = f"{name} must be a whole number from 0, received {value!r}"
        fail(ValueRangeError if is_whole else DTypeError, "Trainer", text)


def check_limits(accumulate: Any, clip_norm: Any, clip_value: Any, ema: Any) -> None:
    """Refuse limits that no gradient can keep."""
    if not isinstance(accumulate, int) or accumulate < 1:
        fail(ValueRangeError, "Trainer", f"accumulate must be 1 or more, not {accumulate!r}")
    for name, value in (("clip_norm", clip_norm), ("clip_value", clip_value)):
        if value is not None and not (isinstance(value, int | float) and value > 0):
            fail(ValueRangeError, "Trainer", f"{name} must be greater than 0, not {value!r}")
    if ema is not None and (isinstance(ema, bool) or not isinstance(ema, int | float)):
        fail(DTypeError, "Trainer", f"ema must be a number such as 0.999, received {ema!r}")


def check_trains(model: Module, optimizer: Optimizer) -> None:
    """Refuse an optimizer that would change nothing of the model.

    Raises:
        StateError: it has none of the model's parameters, or all that it has are frozen.
    """
    held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    own = {id(parameter) for parameter in model.parameters()}
    shared = [parameter for parameter in held if id(parameter) in own]
    if not shared:
        text = "the optimizer has none of the model's parameters, so that it would not be trained"
        hint = "make it with model.parameters() after layers were put in or replaced"
        fail(StateError, "Trainer", text, hint)
    if not any(parameter.requires_grad for parameter in held):
        text = f"all {len(held)} parameters of the optimizer are frozen (requires_grad=False)"
        hint = "parameter.requires_grad_() for those that should learn"
        fail(ValueRangeError, "Trainer", text, hint)


def called(model: Module, inputs: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    """The model's output for the inputs of a batch.

    Raises:
        DataError: its forward does not take so many inputs, or not of these names.
    """
    try:
        return model(*inputs, **named)
    except TypeError as error:
        if isinstance(error, ElinvarError):
            raise
        wrong = _misfit(model, inputs, named)
        if wrong is None:
            raise
        given = [str(len(inputs))] if inputs else []
        given += [repr(name) for name in named]
        takes = inspect.signature(model.forward)
        text = f"the batch has inputs {', '.join(given)}, but {type(model).__name__}.forward takes"
        hint = (
            "of a tuple all but the last part are inputs; predict takes inputs alone, or "
            "has_target=True"
            if inputs
            else "the entries of a dict but the target are arguments of forward, by name"
        )
        fail(DataError, "Trainer", f"{text} {takes}: {wrong}", hint)


def _misfit(model: Module, inputs: tuple[Any, ...], named: Mapping[str, Any]) -> str | None:
    try:
        inspect.signature(model.forward).bind(*inputs, **named)
    except TypeError as error:
        return str(error)
    return None


def check_watched(callbacks: Iterable[Any], validates: bool) -> None:
    """Refuse callbacks that wait for figures of validation data where there are none."""
    for callback in callbacks:
        monitor = getattr(callback, "monitor", None)
        name = str(getattr(monitor, "name", monitor))
        if name.startswith("val_") and not validates:
            text = f"{type(callback).__name__} watches {name!r}, but there are no validation data"
            fail(ValueRangeError, "Trainer", text, "pass validation=… to fit, or another monitor")
