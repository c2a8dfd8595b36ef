"""Parameter and Buffer: the two kinds of tensors that a module keeps."""

from __future__ import annotations

from typing import Any

from elinvar.core.errors import DTypeError, fail
from elinvar.tensor.cell import detached
from elinvar.tensor.creation import asarray
from elinvar.tensor.tape import no_grad
from elinvar.tensor.tensor import Tensor


class Parameter(Tensor):
    """A tensor that a module trains: assigning it to a module's attribute registers it.

    Args:
        data: a tensor, array or nested list of floats.
        requires_grad: whether `backward()` fills `.grad`.

    Example:
        >>> import elinvar as el
        >>> el.nn.Parameter(el.zeros((2, 3))).requires_grad
        True
    """

    __slots__ = ()

    def __init__(self, data: Any = (), requires_grad: bool = True) -> None:
        value = data if isinstance(data, Tensor) else asarray(data)
        if requires_grad and not value.dtype.is_floating:
            fail(
                DTypeError,
                "Parameter",
                f"only floats have gradients, received {value.dtype.name}",
                "pass requires_grad=False, or use el.nn.Buffer",
            )
        super().__init__(value, None, requires_grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        found = memo[id(self)] = type(self)(self, self.requires_grad)
        return found

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()


class Buffer(Tensor):
    """A tensor that a module keeps but does not train, such as running statistics.

    Args:
        data: a tensor, array or nested list.
        persistent: whether the module's state dict holds it.

    Example:
        >>> import elinvar as el
        >>> module = el.nn.Module()
        >>> module.mask = el.nn.Buffer(el.ones(3), persistent=False)
        >>> len(list(module.buffers())), list(module.state_dict())
        (1, [])
    """

    __slots__ = ("persistent",)

    persistent: bool

    def __init__(self, data: Any, persistent: bool = True) -> None:
        super().__init__(data if isinstance(data, Tensor) else asarray(data))
        self.persistent = persistent

    def __deepcopy__(self, memo: dict[int, Any]) -> Buffer:
        found = memo[id(self)] = type(self)(self, self.persistent)
        return found


def set_value(cell: Tensor, value: Tensor) -> None:
    """Let a cell hold another value, also of another dtype; the tape does not see it."""
    with no_grad():
        cell._rebind(detached(value))
