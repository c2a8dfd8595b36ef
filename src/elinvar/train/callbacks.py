"""Callbacks: what a user adds to a Trainer, and when it is called."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from elinvar.core.errors import DTypeError, fail
from elinvar.core.habits import habit

if TYPE_CHECKING:
    from elinvar.train.trainer import Trainer

EVENTS = (
    "on_fit_start",
    "on_epoch_start",
    "on_step_start",
    "on_step_end",
    "on_validation_start",
    "on_validation_end",
    "on_epoch_end",
    "on_exception",
    "on_fit_end",
)


class Callback:
    """Something that is told what a Trainer does. Override what you need.

    For each event the callbacks are called in their order; for one that ends something
    (`on_…_end`, `on_exception`) too. Events:

        on_fit_start
          on_epoch_start
            on_step_start            before a batch is used; `trainer.batch` is it
            on_step_end              `trainer.logs` has the batch's loss
          on_validation_start        where there are validation data
          on_validation_end          `trainer.logs` has `val_loss`, `val_accuracy`, …
          on_epoch_end               `trainer.logs` has the epoch's figures
        on_exception(trainer, error) in place of the rest, then on_fit_end
        on_fit_end

    A callback that sets `trainer.stop("why")` ends training after the event. What a callback needs
    to go on with after a stop goes in `state_dict` and comes back in `load_state_dict`.
    """

    def on_fit_start(self, trainer: Trainer) -> None:
        """Training begins, or goes on from a checkpoint."""

    def on_epoch_start(self, trainer: Trainer) -> None:
        """An epoch begins."""

    def on_step_start(self, trainer: Trainer) -> None:
        """A batch is about to be used."""

    def on_step_end(self, trainer: Trainer) -> None:
        """A batch was used."""

    def on_validation_start(self, trainer: Trainer) -> None:
        """The validation data are about to be looked at."""

    def on_validation_end(self, trainer: Trainer) -> None:
        """The figures of the validation data are in `trainer.logs`."""

    def on_epoch_end(self, trainer: Trainer) -> None:
        """An epoch ended; all its figures are in `trainer.logs`."""

    def on_exception(self, trainer: Trainer, error: BaseException) -> None:
        """Training ends early: an error, Ctrl-C or SIGTERM."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """Training ended, whatever the reason."""

    def state_dict(self) -> dict[str, Any]:
        """What the callback needs to go on after a stop."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""


def _check_methods(callback: Callback) -> None:
    """Refuse methods that would never be called, or not as they are written.

    Raises:
        DTypeError: a method has the name of another framework's event, or other arguments.
    """
    kind = type(callback)
    for name in dir(kind):
        if not name.startswith("on_") or name in EVENTS:
            continue
        alike = difflib.get_close_matches(name, EVENTS, 1, 0.9)
        found = habit("callback", name) or (f"did you mean {alike[0]!r}?" if alike else None)
        if found is not None:
            fail(DTypeError, "Trainer", f"{kind.__name__}.{name} is never called", found)
    for event in EVENTS:
        if getattr(kind, event) is getattr(Callback, event):
            continue
        given = (None, None) if event == "on_exception" else (None,)
        takes = inspect.signature(getattr(callback, event))
        try:
            bound = takes.bind(*given)
        except TypeError:
            bound = None
        if bound is None or next(iter(bound.arguments)) in ("epoch", "batch", "logs", "step"):
            wanted = "(self, trainer, error)" if len(given) > 1 else "(self, trainer)"
            text = f"{kind.__name__}.{event} must take {wanted}, it takes {takes}"
            fail(DTypeError, "Trainer", text, "trainer.epoch, .step, .batch and .logs say the rest")


class Listeners:
    """For each event the methods to call; those that nobody overrode are not called."""

    callbacks: tuple[Callback, ...]

    def __init__(self, callbacks: Iterable[Callback]) -> None:
        self.callbacks = tuple(callbacks)
        for callback in self.callbacks:
            if isinstance(callback, type) or not isinstance(callback, Callback):
                text = f"callbacks must be Callback objects, received {callback!r:.60}"
                hint = "write its name with ()" if isinstance(callback, type) else None
                if callable(callback) and hint is None:
                    hint = "write a class C(el.train.Callback) with a method such as on_epoch_end"
                fail(DTypeError, "Trainer", text, hint)
            _check_methods(callback)
        self._of = {event: self._methods(event) for event in EVENTS}

    def _methods(self, event: str) -> list[Callable[..., None]]:
        plain = getattr(Callback, event)
        return [getattr(c, event) for c in self.callbacks if getattr(type(c), event) is not plain]

    def tell(self, event: str, *arguments: Any) -> None:
        """Call all methods of an event."""
        for method in self._of[event]:
            method(*arguments)

    def tell_error(self, trainer: Any, error: BaseException) -> None:
        """Call all methods of `on_exception`. One that fails keeps no other from being called,
        and does not take the place of the error: it is noted there."""
        for method in self._of["on_exception"]:
            try:
                method(trainer, error)
            except Exception as second:
                name = type(getattr(method, "__self__", method)).__name__
                error.add_note(f"{name}.on_exception failed, too: {second}")

    def tell_end(self, trainer: Any) -> None:
        """Call all methods of `on_fit_end`; the first error that one raises is raised at last."""
        failed: Exception | None = None
        for method in self._of["on_fit_end"]:
            try:
                method(trainer)
            except Exception as error:
                failed = failed or error
        if failed is not None:
            raise failed
