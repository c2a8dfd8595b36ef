"""A loss that is not finite: where that began."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from elinvar.core import tree
from elinvar.core.errors import BadValueError, ElinvarError, extended, fail
from elinvar.tensor.debugging import debug_nans
from elinvar.tensor.tape import no_grad
from elinvar.tensor.tensor import Tensor
from elinvar.train import losses
from elinvar.train.batches import parts
from elinvar.train.steps import values_of_buffers

if TYPE_CHECKING:
    from elinvar.train.trainer import Trainer


def explain(trainer: Trainer, batch: Any, value: float) -> NoReturn:
    """Run the batch again, looking for the operation in which the loss ceased to be finite.

    The step that found it changed no weights, so they are still those that made it.

    Raises:
        BadValueError: always; the text names the place, the step, and inputs that are bad.
    """
    place = f"epoch {trainer.epoch + 1}, batch {trainer.batches_done + 1}, step {trainer.step + 1}"
    where = f"training stopped there ({place}); the weights are as before this batch"
    bad = _bad_inputs(batch)
    if bad:
        text = f"the loss is {value}, for the batch holds {bad}"
        fail(BadValueError, "Trainer", f"{text}; {where}", "clean the data, or mask such samples")
    inputs, named, target = parts(batch)
    assert trainer.loss is not None
    buffers = values_of_buffers(trainer.model)  # this run must not change them, either
    try:
        with debug_nans(inf=True), trainer.prepared().autocasting():
            losses.checked(trainer.loss(trainer.model(*inputs, **named), target)).backward()
    except ElinvarError as error:  # also a label out of range, which eager code refuses
        raise extended(error, where) from None
    finally:
        with no_grad():
            for buffer, before in buffers:
                buffer.assign(before)
    text = f"the loss is {value}, but not when the batch is computed again"
    fail(BadValueError, "Trainer", f"{text}; {where}", "is there chance in the model (dropout)?")


def judge(trainer: Trainer, batch: Any, value: float) -> None:
    """Say why the loss of a batch that is only looked at is not finite, if the batch is at fault:
    a model may give NaN, and then that is the figure.

    Raises:
        BadValueError: inputs or targets are not finite.
        OutOfBoundsError: a label is out of range.
    """
    bad = _bad_inputs(batch)
    if bad:
        text = f"the loss is {value}, for the batch holds {bad}"
        fail(BadValueError, "Trainer", text, "clean the data, or mask such samples")
    inputs, named, target = parts(batch)
    assert trainer.loss is not None
    with no_grad(), trainer.prepared().autocasting():  # eager code refuses such labels
        trainer.loss(trainer.model(*inputs, **named), target)


@contextmanager
def placed(where: str) -> Iterator[None]:
    """Within, errors of ours say which batch it was."""
    try:
        yield
    except ElinvarError as error:
        raise extended(error, f"in {where}").with_traceback(error.__traceback__) from None


def _bad_inputs(batch: Any) -> str:
    """What is not finite in a batch, in words."""
    inputs, named, target = parts(batch)
    groups = [(f"input {i}", part) for i, part in enumerate(inputs)]
    groups += [(f"input {name!r}", part) for name, part in named.items()] + [("target", target)]
    for name, part in groups:
        for leaf in tree.flatten(part)[0]:
            if isinstance(leaf, Tensor) and leaf.dtype.is_floating:
                bad = np.argwhere(~np.isfinite(leaf.astype("float64").numpy()))
                if len(bad):
                    first = ", ".join(map(str, bad[0]))
                    text = f"{len(bad)} values that are not finite in {name}"
                    return f"{text}, the first at [{first}]"
    return ""
