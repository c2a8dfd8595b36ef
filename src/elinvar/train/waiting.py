"""The batches of an epoch: how long each is waited for, and signals that come meanwhile."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from elinvar.train.batches import place_of, tensors

if TYPE_CHECKING:
    from elinvar.train.signals import Signals
    from elinvar.train.steps import Stepper
    from elinvar.train.trainer import Trainer

LONG = 0.05  # seconds from which waiting for a batch can be broken off


def timed(trainer: Trainer, source: Any, signals: Signals, stepper: Stepper) -> Iterator[Any]:
    """The batches, as tensors; the time until each comes is added to `trainer.waited`.

    Where batches are waited for, a signal need not wait for the next one: `Waited` is raised. What
    is saved then has the place of the data from before (`trainer.held_place`), for the wait may
    have been broken off anywhere. Looking it up for each batch would cost more than quick data do,
    and gradients that wait for their step would be lost.
    """
    trainer.held_place = None
    if trainer.pass_over:  # what goes on was saved by a step after the last batch
        return
    clock, took = time.perf_counter, math.inf
    batches = iter(source)
    if trainer.batches_done and not hasattr(source, "load_state_dict"):
        batches = itertools.islice(batches, trainer.batches_done, None)
    while True:
        before = clock()
        if took > LONG and not stepper.pending:
            trainer.held_place, signals.waits = place_of(source), True
        batch = next(batches, batches)
        signals.waits, trainer.held_place = False, None
        if batch is batches:
            trainer.pass_over = True
            return
        batch = tensors(batch)
        took = clock() - before
        trainer.waited += took
        yield batch
