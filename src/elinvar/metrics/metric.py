"""Metric: a figure that is gathered batch by batch."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from elinvar.core import tree
from elinvar.core.dtypes import DType, float64, int64
from elinvar.core.errors import ShapeError, TraceError, extended, fail
from elinvar.core.shapes import Shape
from elinvar.tensor.creation import zeros
from elinvar.tensor.storage import from_numpy
from elinvar.tensor.tape import no_grad
from elinvar.tensor.tensor import Tensor
from elinvar.tensor.trace import outside_trace


class Metric(ABC):
    """The base of all metrics.

    A metric keeps tensors (`self.counter(…)`), which `update` adds to and `compute` reads. Since
    they are cells, `update` may stand inside of a jitted step, and fuses with it.

    Attributes:
        name: how results call it, unless the user names it.
        higher_is_better: whether a greater figure is a better one.
        compiled: whether `update` may stand inside of a jitted step.
    """

    name: ClassVar[str] = "metric"
    higher_is_better: ClassVar[bool] = True
    compiled: ClassVar[bool] = True

    _cells: dict[str, Tensor]

    def __new__(cls, *arguments: Any, **options: Any) -> Self:
        """A metric without a state; so classes of users need not call `super().__init__`."""
        self = super().__new__(cls)
        self._cells = {}
        return self

    @property
    def is_counting(self) -> bool:
        """Whether something was counted in tensors yet."""
        return bool(self._cells)

    @abstractmethod
    def update(self, output: Any, target: Any) -> None:
        """Count a batch: what the model gave, and what it should have given."""

    @abstractmethod
    def compute(self) -> Any:
        """The figure over all batches since the last `reset`."""

    def counter(self, name: str, shape: Shape = (), dtype: DType = int64) -> Tensor:
        """A tensor of the metric's state, of zeros until it is added to."""
        if name not in self._cells:
            with outside_trace():
                self._cells[name] = zeros(shape, dtype=dtype)
        return self._cells[name]

    def add(self, name: str, amount: Any, dtype: DType = int64) -> None:
        """Add to a tensor of the state, which comes to be with the first amount's shape."""
        cell = self.counter(name, tuple(amount.shape), dtype)
        with no_grad():
            cell.assign(cell + amount.astype(dtype))

    def total(self, name: str) -> Any:
        """What a tensor of the state holds, as a number or a NumPy array; 0 if nothing came yet."""
        if name not in self._cells:
            return 0
        cell = self._cells[name]
        return cell.numpy() if cell.ndim else cell.item()

    def reset(self) -> None:
        """Forget all batches."""
        with no_grad():
            for cell in self._cells.values():
                cell.assign(0)

    def state_dict(self) -> dict[str, Any]:
        """What was gathered so far."""
        return {name: cell.detach() for name, cell in self._cells.items()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self.reset()
        with no_grad():
            for name, value in state_dict.items():
                self.counter(name, tuple(value.shape), value.dtype).assign(value)

    def __call__(self, output: Any, target: Any) -> Any:
        """The figure of these samples alone; what was gathered is forgotten."""
        self.reset()
        self.update(output, target)
        found = self.compute()
        self.reset()
        return found


class Averaged(Metric):
    """The mean over samples of a function of a batch: Σ n_b f(output_b, target_b) / Σ n_b.

    Args:
        function: (output, target) → one number, the mean over a batch of n_b samples. It is a part
            of the compiled step, so it is made of Elinvar's functions.
        name: how results call it; the function's name without one.

    Example:
        >>> import elinvar as el
        >>> def within(output, target):
        ...     return (el.abs(output - target) < 0.5).mean()
        >>> el.metrics.Averaged(within)(el.asarray([1.0, 2.0]), el.asarray([1.2, 4.0]))
        0.5
    """

    def __init__(self, function: Callable[[Any, Any], Any], name: str | None = None) -> None:
        self._function = function
        said = str(name or getattr(function, "__name__", type(function).__name__))
        self.name = "metric" if said == "<lambda>" else said  # type: ignore[misc]

    def update(self, output: Any, target: Any) -> None:
        """Count a batch."""
        try:
            value = self._function(output, target)
        except TraceError as error:
            hint = "use el's functions, or a class with `compiled = False` (el.metrics.Metric)"
            text = f"in the metric {self.name}: {hint}, which sees values"
            raise extended(error, text) from error
        if not isinstance(value, Tensor) or value.size != 1:
            kind = value._type if isinstance(value, Tensor) else type(value).__name__
            text = f"the function must give one number as a tensor, received {kind}"
            fail(ShapeError, self.name, text, "take its mean over the batch")
        tensors = [x for x in tree.flatten((output, target))[0] if isinstance(x, Tensor)]
        first = tensors[0] if tensors else value
        count = first.shape[0] if first.ndim else 1
        self.add("sum", value.reshape(()).astype(float64) * count, float64)
        self.add("samples", zeros((), dtype=int64) + count)

    def compute(self) -> float:
        """The mean; NaN if there was nothing."""
        count = self.total("samples")
        return self.total("sum") / count if count else math.nan


class Gathered(Metric):
    """A metric that needs all outputs at once: `update` keeps them, outside of jitted steps."""

    compiled: ClassVar[bool] = False

    def __init__(self) -> None:
        self._outputs: list[npt.NDArray[Any]] = []
        self._targets: list[npt.NDArray[Any]] = []

    def update(self, output: Any, target: Any) -> None:
        """Keep a batch."""
        self._outputs.append(output.detach().astype(float64).numpy())
        self._targets.append(target.numpy())

    def gathered(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[Any]]:
        """All outputs in float64 and all targets."""
        if not self._outputs:
            return np.zeros(0), np.zeros(0, np.int64)
        return np.concatenate(self._outputs), np.concatenate(self._targets)

    def reset(self) -> None:
        """Forget all batches."""
        self._outputs.clear()
        self._targets.clear()

    def state_dict(self) -> dict[str, Any]:
        """What was gathered so far."""
        outputs, targets = self.gathered()
        return {"outputs": from_numpy(outputs), "targets": from_numpy(targets)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self.reset()
        if len(state_dict["targets"]):
            self._outputs.append(state_dict["outputs"].numpy())
            self._targets.append(state_dict["targets"].numpy())
