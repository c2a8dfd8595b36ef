"""Moving averages of weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

from elinvar.core.errors import StateError, ValueRangeError, fail
from elinvar.nn.module import Module
from elinvar.nn.state import modes_kept
from elinvar.tensor.elementwise import where as choose
from elinvar.tensor.tape import no_grad
from elinvar.tensor.tensor import Tensor
from elinvar.tensor.trace import outside_trace


class MovingAverage:
    """Exponential moving average of a model's floating parameters: a ← d a + (1 - d) w.

    `update` may stand inside of a jitted step.

    Args:
        model: whose parameters are averaged; the average begins with their present values.
        decay: d, at least 0 and less than 1.

    Example:
        >>> import elinvar as el
        >>> model = el.nn.Linear(1, 1, bias=False)
        >>> average = el.train.MovingAverage(model, decay=0.5)
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

    def __init__(self, model: Module, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            text = f"decay must be at least 0 and less than 1, received {decay}"
            fail(ValueRangeError, "MovingAverage", text)
        self.model, self.decay = model, decay
        self._averages: dict[str, Tensor] = {}
        with outside_trace(), no_grad():
            for name, parameter in model.named_parameters():
                if parameter.dtype.is_floating:
                    self._averages[name] = parameter.detach().clone()

    def update(self, where: Tensor | None = None) -> None:
        """Take the present values in; nothing changes if `where` is False."""
        parameters = dict(self.model.named_parameters())
        with no_grad():
            for name, average in self._averages.items():
                new = self.decay * average + (1 - self.decay) * parameters[name]
                average.assign(new if where is None else choose(where, new, average))

    def restart(self) -> None:
        """Begin anew with the model's present values."""
        parameters = dict(self.model.named_parameters())
        with no_grad():
            for name, average in self._averages.items():
                average.assign(parameters[name].detach())

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
        """The averages by the parameters' names."""
        return {name: average.detach() for name, average in self._averages.items()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take averages over that `state_dict` gave."""
        if set(state_dict) != set(self._averages):
            odd = sorted(set(state_dict) ^ set(self._averages))
            text = f"the averages are of other parameters: {', '.join(odd[:5])}"
            fail(StateError, "MovingAverage", text)
        with no_grad():
            for name, average in self._averages.items():
                average.assign(state_dict[name])


@contextmanager
def evaluating(model: Module, average: MovingAverage | None) -> Iterator[None]:
    """Evaluation mode, with the averaged weights where there are some; then as before."""
    with modes_kept(model), nullcontext() if average is None else average.applied():
        model.eval()
        yield
