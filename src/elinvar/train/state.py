"""The state of a Trainer: what is saved, and how it comes back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from elinvar.core.errors import StateError, fail
from elinvar.nn import serialization
from elinvar.tensor.random import default_generator
from elinvar.train.batches import place_of
from elinvar.train.history import Mean

if TYPE_CHECKING:
    from elinvar.train.trainer import Trainer

FORMAT = 1
_PARTS = ("optimizer", "schedule", "average")


def captured(trainer: Trainer) -> dict[str, Any]:
    """All that training needs to go on as if it had not stopped."""
    source = trainer.source
    found = {
        "format": FORMAT,
        "epoch": trainer.epoch,
        "step": trainer.step,
        "batches_done": trainer.batches_done,
        "pass_over": trainer.pass_over,
        "mean": [trainer.mean.total, trainer.mean.count],
        "metrics": {name: metric.state_dict() for name, metric in trainer.metrics.items()},
        "history": [plain(row) for row in trainer.history.rows],
        "data": trainer.held_place or place_of(source),
        "callbacks": [callback.state_dict() for callback in trainer.callbacks],
        "generator": default_generator.get_state(),
        "model": {name: cell.detach() for name, cell in trainer.model.state_dict().items()},
    }
    for name in _PARTS:
        part = getattr(trainer, name)
        found[name] = None if part is None else part.state_dict()
    found["energy"] = trainer.energy.state_dict()
    found["optimizer_kind"] = type(trainer.optimizer).__name__
    scale = trainer.prepared().scale
    found["scale"] = None if scale is None else scale.state_dict()
    return found


def plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with lists instead of arrays, such as those of a confusion matrix."""
    return {name: x.tolist() if isinstance(x, np.ndarray) else x for name, x in row.items()}


def restore(trainer: Trainer, state: Mapping[str, Any]) -> None:
    """Take a state over; where a part of it is refused, everything is as before.

    Raises:
        StateError: it is no state of a Trainer, or of another model, optimizer or data.
    """
    if state.get("format") != FORMAT:
        text = f"the state has format {state.get('format')}, this version reads format {FORMAT}"
        fail(StateError, "Trainer", text)
    before = captured(trainer)
    missing = sorted(set(before) - set(state) - {"energy", "pass_over"})  # files of old have none
    if missing:
        fail(StateError, "Trainer", f"the state lacks {', '.join(missing)}")
    try:
        _take_over(trainer, state)
    except Exception:
        _take_over(trainer, before)
        raise


def _take_over(trainer: Trainer, state: Mapping[str, Any]) -> None:
    held, own = len(state["callbacks"]), len(trainer.callbacks)
    if held != own:
        text = f"the state was saved with {held} callbacks, the trainer has {own}"
        fail(StateError, "Trainer", text, "make the Trainer as it was made before")
    for name in _PARTS:
        if (getattr(trainer, name) is None) != (state[name] is None):
            has, lacks = ("trainer", "state") if state[name] is None else ("state", "trainer")
            text = f"the {has} has an {name}, the {lacks} has none".replace("an s", "a s")
            fail(StateError, "Trainer", text, "make the Trainer as it was made before")
    kind, own_kind = state["optimizer_kind"], type(trainer.optimizer).__name__
    if own_kind != kind:
        text = f"the state's optimizer is {kind}, the trainer's {own_kind}"
        fail(StateError, "Trainer", text, "make the Trainer as it was made before")
    trainer.model.load_state_dict(state["model"])
    for name in _PARTS:
        if state[name] is not None:
            getattr(trainer, name).load_state_dict(state[name])
    scale = trainer.prepared().scale
    if scale is not None and state["scale"] is not None:
        scale.load_state_dict(state["scale"])
    for callback, saved in zip(trainer.callbacks, state["callbacks"], strict=True):
        callback.load_state_dict(saved)
    for name, saved in state["metrics"].items():
        if name in trainer.metrics:
            trainer.metrics[name].load_state_dict(saved)
    if state["data"] is not None and hasattr(trainer.source, "load_state_dict"):
        trainer.source.load_state_dict(state["data"])
    trainer.held_place = None
    default_generator.set_state(state["generator"])
    trainer.epoch, trainer.step = state["epoch"], state["step"]
    trainer.batches_done, trainer.pass_over = state["batches_done"], state.get("pass_over", False)
    trainer.mean = Mean(*state["mean"])
    if state.get("energy") is not None:
        trainer.energy.load_state_dict(state["energy"])
    trainer.history.rows[:] = state["history"]


def save(trainer: Trainer, path: str | os.PathLike[str]) -> None:
    """Write the state to a file."""
    found = captured(trainer)
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        serialization.save(found, path)
    except OSError as error:
        why = error.strerror or str(error)
        text = f"{why}: the state was not saved; a file of this name is as it was"
        raise type(error)(error.errno, text, os.fspath(path)) from None


def load(trainer: Trainer, path: str | os.PathLike[str]) -> None:
    """Read a state from a file and take it over."""
    if Path(path).is_dir():
        text = f"{os.fspath(path)!r} is a folder"
        fail(StateError, "Trainer", text, "name the file in it, such as last.safetensors")
    if not Path(path).exists():
        fail(StateError, "Trainer", f"there is no file {os.fspath(path)!r} to go on from")
    state = serialization.load(path)
    if not isinstance(state, dict) or not {"format", "batches_done", "model"} <= set(state):
        text = f"{os.fspath(path)!r} is not the state of a Trainer"
        fail(StateError, "Trainer", text, "weights alone go into model.load_state_dict(…)")
    restore(trainer, state)
