"""Moving averages of weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

from elinvar.core.dtypes import float64, int64
from elinvar.core.errors import StateError, ValueRangeError, fail
from elinvar.nn.module import Module
from elinvar.nn.state import modes_kept
from elinvar.tensor.creation import asarray
from elinvar.tensor.elementwise import where as choose
from elinvar.tensor.tape import no_grad
from elinvar.tensor.tensor import Tensor
from elinvar.tensor.trace import outside_trace

UPDATES = "(updates)"  # no parameter can have this name


class MovingAverage:
    """Exponential moving average of a model's floating parameters: a ← dₙ a + (1 - dₙ) w.

    With `warmup` dₙ = min(decay, (1 + n)/(10 + n)) after n updates, so that the weights of the
    beginning, which are random, do not outweigh those of the first steps; it reaches 0.99 after
    890 updates, 0.999 after 8,990. Without it dₙ = decay. `update` may stand inside of a jitted
    step.

    Args:
        model: whose parameters are averaged; the average begins with their present values.
        decay: at least 0 and less than 1.
        warmup: whether the first updates count for more.

    Example:
        >>> import elinvar as el
        >>> model = el.nn.Linear(1, 1, bias=False)
        >>> average = el.train.MovingAverage(model, decay=0.5, warmup=False)
        >>> before = float(model.weight)
        >>> with el.no_grad():
        ...     model.weight += 1.0
        >>> average.update()
        >>> with average.applied():
        ...     round(float(model.weight) - before, 6)
        0.5
    """

    model: Module
    decay: float

    warmup: bool

    def __init__(self, model: Module, decay: float = 0.999, warmup: bool = True) -> None:
        if not 0 <= decay < 1:
            text = f"decay must be at least 0 and less than 1, received {decay}"
            fail(ValueRangeError, "MovingAverage", text)
        self.model, self.decay, self.warmup = model, decay, warmup
        self._averages: dict[str, Tensor] = {}
        with outside_trace(), no_grad():
            self._count: Tensor = asarray(0, dtype=int64)
            for name, parameter in model.named_parameters():
                if parameter.dtype.is_floating:
                    self._averages[name] = parameter.detach().clone()

    def update(self, where: Tensor | None = None) -> None:
        """Take the present values in; nothing changes if `where` is False."""
        parameters = dict(self.model.named_parameters())
        with no_grad():
            decay: Any = self.decay
            if self.warmup:
                count = self._count.astype(float64)
                rising = (1.0 + count) / (10.0 + count)
                decay = choose(rising < self.decay, rising, self.decay)
            for name, average in self._averages.items():
                old, share = decay, 1 - decay
                if self.warmup:
                    old, share = old.astype(average.dtype), share.astype(average.dtype)
                new = old * average + share * parameters[name]
                average.assign(new if where is None else choose(where, new, average))
            more = self._count + 1
            self._count.assign(more if where is None else choose(where, more, self._count))

    def restart(self) -> None:
        """Begin anew with the model's present values."""
        parameters = dict(self.model.named_parameters())
        with no_grad():
            for name, average in self._averages.items():
                average.assign(parameters[name].detach())
            self._count.assign(0)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within, the model has the averages as its weights."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def _exchange(self) -> None:
        parameters = dict(self.model.named_parameters())
        with no_grad():
            for name, average in self._averages.items():
                held = parameters[name].detach()
                parameters[name].assign(average.detach())
                average.assign(held)

    def state_dict(self) -> dict[str, Any]:
        """The averages by the parameters' names, and the number of updates."""
        found = {name: average.detach() for name, average in self._averages.items()}
        return {**found, UPDATES: self._count.detach()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take averages over that `state_dict` gave."""
        odd = sorted((set(state_dict) - {UPDATES}) ^ set(self._averages))
        if odd:
            text = f"the averages are of other parameters: {', '.join(odd[:5])}"
            fail(StateError, "MovingAverage", text)
        with no_grad():
            for name, average in self._averages.items():
                average.assign(state_dict[name])
            self._count.assign(state_dict.get(UPDATES, 2**40))  # older states had no warm-up


def training(model: Module, before: list[Module]) -> list[Module]:
    """Training mode, but for parts that the user put into evaluation mode while the whole was in
    training mode, such as frozen batch norms.

    Args:
        model: a model; after a `fit` all of it is in evaluation mode.
        before: the parts that stayed in evaluation mode before.

    Returns:
        Those that stay there now.
    """
    parts = model.modules() if model.training else before
    rests = [module for module in parts if not module.training]
    model.train()
    for module in rests:
        module.eval()
    return rests


@contextmanager
def evaluating(model: Module, average: MovingAverage | None) -> Iterator[None]:
    """Evaluation mode, with the averaged weights where there are some; then as before."""
    with modes_kept(model), nullcontext() if average is None else average.applied():
        model.eval()
        yield
