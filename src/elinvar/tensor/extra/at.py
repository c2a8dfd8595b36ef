"""x.at[key]: copies of a tensor in which some elements are other ones, with JAX's names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from elinvar.core.shapes import size as count_of
from elinvar.tensor import elementwise as ew
from elinvar.tensor.assigning import combined, set_item
from elinvar.tensor.creation import fresh
from elinvar.tensor.dispatch import F
from elinvar.tensor.extra import segments
from elinvar.tensor.gathering import scattered
from elinvar.tensor.manipulation import moveaxis

if TYPE_CHECKING:
    from elinvar.tensor.tensor import Tensor


def _added(x: Any, index: Any, update: Any, axis: int) -> Any:
    return scattered(x, index, update, axis, "add")


def _by_segments(reduce: Any, function: Any) -> Any:
    """A scatter that combines: first the values that go to one place, then the place with them."""

    def place(x: Any, index: Any, update: Any, axis: int) -> Any:
        count, rest = x.shape[axis], x.shape[:axis] + x.shape[axis + 1 :]
        axes = tuple(range(axis, axis + index.ndim))
        rows = moveaxis(update, axes, tuple(range(index.ndim)))
        rows = F.reshape(rows, shape=(count_of(index.shape), *rest))
        found = reduce(rows, F.reshape(index, shape=(count_of(index.shape),)), count)
        return function(x, moveaxis(found, 0, axis))

    return place


_LEAST = _by_segments(segments.segment_min, ew.minimum)
_GREATEST = _by_segments(segments.segment_max, ew.maximum)
_MULTIPLIED = _by_segments(segments.segment_prod, ew.multiply)


class At:
    """What `x.at` gives: `x.at[key]` names elements as `x[key]` does."""

    __slots__ = ("_tensor",)

    def __init__(self, tensor: Any) -> None:
        self._tensor = tensor

    def __getitem__(self, key: Any) -> Place:
        return Place(self._tensor, key)


class Place:
    """Elements of a tensor. Each method gives a new tensor; where an index stands twice, `set`
    takes the last value, and all others take both.

    Example:
        >>> import elinvar as el
        >>> x = el.asarray([1.0, 2.0, 3.0])
        >>> x.at[1].set(9.0).tolist(), x.at[[0, 0]].add(1.0).tolist(), x.tolist()
        ([1.0, 9.0, 3.0], [3.0, 2.0, 3.0], [1.0, 2.0, 3.0])
        >>> x.at[1:].multiply(10.0).tolist(), x.at[x > 2].min(0.0).tolist()
        ([1.0, 20.0, 30.0], [1.0, 2.0, 0.0])
    """

    __slots__ = ("_key", "_tensor")

    def __init__(self, tensor: Any, key: Any) -> None:
        self._tensor, self._key = tensor, key

    def get(self) -> Tensor:
        """x[key]."""
        found: Tensor = self._tensor[self._key]
        return found

    def set(self, value: Any) -> Tensor:
        """A copy with these values."""
        found: Tensor = fresh(self._tensor)
        set_item(found, self._key, value, "at.set")
        return found

    def add(self, value: Any) -> Tensor:
        """A copy with the values added."""
        return self._combined("add", value, ew.add, _added)

    def subtract(self, value: Any) -> Tensor:
        """A copy with the values taken away."""
        return self._combined("subtract", ew.negative(value), ew.add, _added)

    def multiply(self, value: Any) -> Tensor:
        """A copy with the elements times the values."""
        return self._combined("multiply", value, ew.multiply, _MULTIPLIED)

    def divide(self, value: Any) -> Tensor:
        """A copy with the elements times 1 / values."""
        return self._combined("divide", ew.reciprocal(value), ew.multiply, _MULTIPLIED)

    def min(self, value: Any) -> Tensor:
        """A copy with the smaller ones of elements and values."""
        return self._combined("min", value, ew.minimum, _LEAST)

    def max(self, value: Any) -> Tensor:
        """A copy with the larger ones of elements and values."""
        return self._combined("max", value, ew.maximum, _GREATEST)

    def apply(self, function: Callable[[Any], Any]) -> Tensor:
        """A copy with f of the elements; an index that stands twice counts once."""
        return self.set(function(self.get()))

    def _combined(self, name: str, value: Any, function: Any, place: Any) -> Tensor:
        op = f"at.{name}"
        found: Tensor = combined(op, self._tensor, self._key, value, function, place)
        return found


at = property(At, doc="Copies in which some elements are other ones: `x.at[key].set(value)`.")
