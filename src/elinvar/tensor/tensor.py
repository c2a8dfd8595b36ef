"""The tensor: what users hold.

`Tensor` is a cell (see cell.py): its memory is immutable, `x += y` and `x.assign(v)` rebind it. The
operators and methods come from `TensorMethods`; here is what concerns the cell and its gradient.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from elinvar.core.dtypes import DType
from elinvar.core.errors import GradientError, ShapeError, fail
from elinvar.core.shapes import broadcast_shapes
from elinvar.tensor import interop, printing, storage
from elinvar.tensor.assigning import set_item
from elinvar.tensor.backward import backward, start
from elinvar.tensor.cell import (
    Cell,
    current_trace,
    detached,
    restore,
    set_tensor_class,
    snapshot,
    state,
)
from elinvar.tensor.dispatch import F, as_tensor
from elinvar.tensor.methods import TensorMethods
from elinvar.tensor.tape import HookHandle, Leaf, add_hook, no_grad


class Size(int):
    """The number of elements; calling it gives the shape, or one dimension, as in PyTorch.

    Example:
        >>> import elinvar as el
        >>> x = el.ones((2, 3))
        >>> x.size, x.size(), x.size(1)
        (6, (2, 3), 3)
    """

    _shape: tuple[int, ...]

    def __call__(self, dim: int | None = None) -> Any:
        """The shape, or the size of axis `dim`."""
        return self._shape if dim is None else self._shape[dim]


class Tensor(TensorMethods, Cell):
    """An n-dimensional array of one data type that can carry a gradient.

    Args:
        data: Python numbers, nested lists, a numpy array or a tensor. The elements are copied.
        dtype: the data type; by default the data's own, float32 for Python floats.
        requires_grad: whether `backward` shall compute a gradient for it.

    Example:
        >>> import elinvar as el
        >>> x = el.Tensor([1.0, 2.0], requires_grad=True)
        >>> (x * x).sum().backward()
        >>> x.grad.tolist()
        [2.0, 4.0]
    """

    __slots__ = ()

    def __init__(self, data: Any, dtype: DType | None = None, requires_grad: bool = False) -> None:
        source = detached(as_tensor(data, dtype)) if isinstance(data, Cell) else None
        if source is None:
            source = storage.from_data(data, dtype)
        self._node = None
        self._grad = None
        self._apart = True
        self._take(source)
        if requires_grad:
            self.requires_grad = True

    def _take(self, other: Cell) -> None:
        self._buffer, self._address = other._buffer, other._address
        self._layout, self._value = other._layout, other._value

    # the cell

    @property
    def size(self) -> Any:
        """The number of elements, as an int; `x.size()` is the shape and `x.size(1)` one of it."""
        kind = self._type
        count = kind.size
        if not isinstance(count, int):
            return count  # inside a trace with symbolic sizes
        size = Size(count)
        size._shape = self.shape
        return size

    @property
    def device(self) -> str:
        """Where the elements are: always the CPU."""
        return "cpu"

    def assign(self, value: Any) -> Tensor:
        """Replace the content in place by `value`, broadcast and cast to this shape and dtype."""
        kind = self.dtype
        if kind.is_complex or (kind.is_floating and not isinstance(value, complex)):
            if not hasattr(value, "dtype"):
                value = as_tensor(value, kind)  # numbers of Python are rounded once
        value = as_tensor(value)
        if value.dtype is not self.dtype:
            value = as_tensor(value, self.dtype)
        if value.shape != self.shape:
            if broadcast_shapes("assign", value.shape, self.shape) != self.shape:
                fail(ShapeError, "assign", f"{value._type} does not fit into {self._type}")
            value = F.broadcast(value, shape=self.shape)
        self._rebind(value)
        return self

    def _rebind(self, value: Cell) -> None:
        """Hold what `value` holds. The one way in which a tensor changes."""
        node = self._node
        if state.grad_enabled:
            if node is not None and node.is_pinned:
                fail(
                    GradientError,
                    "assign",
                    "a leaf tensor that requires a gradient must not be changed in place",
                    "change a copy, `x = x.clone()`; for a parameter wrap the change in "
                    "`with el.no_grad():`, or change `.detach()`",
                )
            node = value._node
        trace = current_trace()
        if state.changes is not None:
            if trace is not None:
                trace.read(self)
            state.note_change(self, snapshot(self))
        if trace is not None:
            trace.write(self, trace.read(value))
        else:
            if value._layout is None:  # of a trace that ended
                value._buffer.refuse_outside(value, "assign")
            self._take(value)
        self._node = node
        self._apart = True
        if node is not None and node is value._node:
            self._slot = value._slot

    def detach(self) -> Tensor:
        """A tensor with the same content that does not require a gradient.

        Writing to it writes to this tensor too, as in PyTorch, unless this one was changed in
        between: it keeps what it holds then.

        Example:
            >>> import elinvar as el
            >>> w = el.Tensor([1.0, 1.0], requires_grad=True)
            >>> before = w.detach()
            >>> w.detach()[0] = 5.0
            >>> w.tolist(), before.tolist()
            ([5.0, 1.0], [1.0, 1.0])
        """
        return _detached_from(self)

    # the gradient

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to this tensor."""
        return self._node is not None

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        node = self._node
        if wanted and node is None:
            if self.dtype.kind not in "fc":
                text = f"only floating tensors can require a gradient, received {self._type}"
                fail(GradientError, "requires_grad", text)
            self._node, self._slot = Leaf(self), 0
        elif not wanted and node is not None:
            if not node.is_leaf:
                text = "only leaf tensors can be told not to require a gradient"
                fail(GradientError, "requires_grad", text, "use `.detach()`")
            self._node = None

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set `requires_grad` and return the tensor."""
        self.requires_grad = requires_grad
        return self

    @property
    def is_leaf(self) -> bool:
        """True for tensors that no recorded operation made."""
        return self._node is None or self._node.is_leaf

    @property
    def grad(self) -> Tensor | None:
        """The gradient that `backward` added up, or None."""
        trace = current_trace()
        if trace is not None:
            trace.note_gradient(self, True, is_seen=True)
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None and (value.shape != self.shape or value.dtype is not self.dtype):
            fail(ShapeError, "grad", f"the gradient of {self._type} cannot be {value._type}")
        trace = current_trace()
        if trace is not None:
            trace.note_gradient(self, False)
        self._grad = value

    def backward(
        self,
        gradient: Any = None,
        retain_graph: bool = False,
        create_graph: bool = False,
    ) -> None:
        """Add d self / d leaf to the `.grad` of every leaf that this tensor depends on.

        Args:
            gradient: where to start; needed unless the tensor is one number.
            retain_graph: keep the tape for a second backward.
            create_graph: record backward itself, for second derivatives.

        Example:
            >>> import elinvar as el
            >>> x = el.Tensor(3.0, requires_grad=True)
            >>> (x * x).backward()
            >>> x.grad.item()
            6.0
        """
        if gradient is not None:
            gradient = as_tensor(gradient)
        cotangent = start(self, gradient)
        backward([self], [cotangent], retain_graph or create_graph, create_graph)

    def register_hook(self, hook: Callable[[Any], Any]) -> HookHandle:
        """Call `hook(gradient)` in backward; its result, if not None, replaces the gradient."""
        return add_hook(self, hook)

    def retain_grad(self) -> None:
        """Keep `.grad` of this tensor in backward although it is no leaf."""
        if self._node is not None and not self._node.is_leaf:
            add_hook(self, _keeper(self))


_Content = tuple[Any, Any, Any, Any]  # _buffer _address _layout _value


class _Detached(Tensor):
    """What `x.data` and `x.detach()` give: x without its gradient. Writing to it writes to x.

    That holds as long as both hold the same: who changes x leaves this one as it was, so that it
    can serve as a record of what x was. It does not keep x alive.
    """

    __slots__ = ("_held", "_origin")

    _origin: weakref.ref[Tensor]
    _held: _Content | None  # what x held when both were equal

    def _followed(self) -> Tensor | None:
        """x, if it still holds what this tensor holds."""
        origin = self._origin()
        if origin is None or self._held is None:
            return None
        if _holds(self._held, _content(origin)):
            return origin
        trace = current_trace()
        captured = None if trace is None else trace.captured.get(id(origin))
        if captured is None or captured.is_written:
            return None
        return origin if _holds(self._held, captured.content) else None

    @property
    def _writes_through(self) -> bool:  # type: ignore[override]
        return self._followed() is not None

    def _rebind(self, value: Cell) -> None:
        origin = self._followed()
        super()._rebind(value)
        self._write_through(origin)

    def _write_through(self, origin: Tensor | None) -> None:
        """Let x hold what this tensor holds now."""
        if origin is None:
            self._held = None
            return
        origin._set_content(self)
        trace = current_trace()
        if trace is None or id(self) not in trace.captured:  # else both get their content back
            self._held = _content(origin)

    def __setitem__(self, key: Any, value: Any) -> None:
        origin = self._followed()
        plain = current_trace() is None and value is not self and key is not self
        is_taped = self._node is not None or getattr(value, "_node", None) is not None
        if origin is None or is_taped or not plain:
            set_item(self, key, value)
            return
        node, origin._node = origin._node, None
        self._buffer = self._held = None  # now x holds its memory alone, and nothing need be copied
        try:
            set_item(origin, key, value)
        finally:
            origin._node = node
            self._take(origin)
            self._held = _content(origin)

    def __repr__(self) -> str:
        return printing.to_text(self, "Tensor")

    def __copy__(self) -> Tensor:
        return interop.copied(self._plain(), deep=False)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        found = memo[id(self)] = interop.copied(self._plain(), deep=True)
        return found

    def __reduce_ex__(self, protocol: Any) -> Any:
        return interop.reduced(self._plain(), protocol)

    def _plain(self) -> Any:
        return restore(snapshot(self))


def _content(cell: Cell) -> _Content:
    return cell._buffer, cell._address, cell._layout, cell._value


def _holds(held: _Content, found: _Content) -> bool:
    """Whether two contents are the same memory, or the same value of a trace."""
    return held[1] == found[1] and all(held[n] is found[n] for n in (0, 2, 3))


def _detached_from(origin: Tensor) -> Tensor:
    found = detached(origin)
    tensor = object.__new__(_Detached)
    tensor._node = tensor._grad = None
    tensor._take(found)
    tensor._origin = weakref.ref(origin)
    tensor._held = _content(origin)
    return tensor


def _keeper(tensor: Tensor) -> Callable[[Any], None]:
    cell = weakref.ref(tensor)

    def keep(gradient: Any) -> None:
        found = cell()
        if found is not None:
            held = found.grad
            with no_grad():
                found.grad = detached(gradient) if held is None else held + gradient

    return keep


set_tensor_class(Tensor)
