"""Whether the arguments of a call fit their specification, and an error that says what does not."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from elinvar.core import tree
from elinvar.core.errors import DTypeError, ShapeError, ValueRangeError, fail
from elinvar.core.shapes import Dim, Range, format_range, format_shape
from elinvar.core.types import TensorType
from elinvar.graph.sizes import solve
from elinvar.tensor.cell import concrete
from elinvar.tensor.engine import allocate
from elinvar.tensor.layout import dense
from elinvar.tensor.specs import TensorSpec, normalize_specs


class Slot(NamedTuple):
    """One input: where it stands in the arguments, its specification, what was given."""

    where: str
    spec: TensorSpec
    given: Any


class Specification:
    """The specification of a function's arguments.

    Attributes:
        ranges: of all names.
    """

    name: str
    parameters: Sequence[str]
    ranges: dict[str, Range]
    trees: list[Any]

    def __init__(self, name: str, specs: Any, parameters: Sequence[str]) -> None:
        self.name, self.parameters = name, parameters
        self.trees, self.ranges = normalize_specs(name, specs, parameters)
        declared = {n: bounds for n, bounds in self.ranges.items() if bounds != (0, None)}
        self._declared: Mapping[str, Range] = declared

    def type_of(self, spec: TensorSpec) -> TensorType:
        """The type to trace with. Its dims know the ranges of their names."""
        shape = tuple(
            Dim(terms=dim.terms, ranges=self._declared) if isinstance(dim, Dim) else dim
            for dim in spec.shape
        )
        return TensorType(spec.dtype, shape)

    def examples(self) -> list[Any]:
        """Arguments that fit, for a trace without a call; static ones are None."""
        sizes = {}
        for name, (least, most) in self.ranges.items():
            wanted = max(least, 8)
            sizes[name] = wanted if most is None else min(wanted, most)

        def example(spec: TensorSpec) -> Any:
            shape = [d.evaluate(sizes) if isinstance(d, Dim) else d for d in spec.shape]
            memory = allocate(spec.dtype.itemsize)  # nobody reads it
            kind = dense(spec.dtype, tuple(max(size, 0) for size in shape))
            return concrete(memory, memory.address, kind)

        return [tree.map_tree(example, spec) for spec in self.trees]

    def slots(self, args: Sequence[Any], kwargs: Mapping[str, Any], is_input: Any) -> list[Slot]:
        """The inputs of a call in the order of its leaves.

        `is_input` tells tensors and numbers from static values.
        """
        found: list[Slot] = []
        positions = {name: number for number, name in enumerate(self.parameters)}
        given: list[tuple[int | str, Any]] = list(enumerate(args))
        given += [(positions.get(name, name), kwargs[name]) for name in sorted(kwargs)]
        for number, arg in given:
            where = self._where(number)
            spec = None
            if isinstance(number, int) and number < len(self.trees):
                spec = self.trees[number]
            found += self._walk(spec, arg, where, is_input)
        seen = {number for number, _ in given}
        for number, spec in enumerate(self.trees):
            if number not in seen and spec is not None:
                text = f"{self._where(number)} has a specification and was not given"
                fail(ValueRangeError, self.name, text)
        return found

    def _where(self, number: int | str) -> str:
        if isinstance(number, int):
            named = number < len(self.parameters)
            return f"argument {self.parameters[number]!r}" if named else f"argument {number}"
        return f"argument {number!r}"

    def _walk(self, spec: Any, given: Any, where: str, is_input: Any) -> Iterator[Slot]:
        if isinstance(spec, TensorSpec):
            if not is_input(given):
                kind = type(given).__name__
                fail(DTypeError, self.name, f"{where}: expected {spec.type}, received {kind}")
            yield Slot(where, spec, given)
            return
        parts = _parts(given)
        if parts is None:
            if is_input(given):
                text = f"{where} is an input without a specification"
                fail(DTypeError, self.name, text, "give its type, or name it in static_argnames")
            if spec is not None:
                self._refuse_structure(where, spec, given)
            return
        specs: Any = dict.fromkeys(parts) if spec is None else _parts(spec)
        if specs is None or list(specs) != list(parts):
            self._refuse_structure(where, spec, given)
        for key, part in parts.items():
            yield from self._walk(specs[key], part, f"{where}{key}", is_input)

    def _refuse_structure(self, where: str, spec: Any, given: Any) -> None:
        kind = type(given).__name__
        parts = _parts(given)
        shown = kind if parts is None else f"{kind} with {', '.join(parts) or 'nothing'}"
        wanted = ", ".join(_parts(spec) or ()) or "nothing"
        fail(DTypeError, self.name, f"{where}: expected {wanted} inside, received {shown}")

    def fit(self, slots: Sequence[Slot], tensors: Sequence[Any]) -> dict[str, int]:
        """The sizes of all names for a call.

        Raises:
            DTypeError: a dtype differs.
            ShapeError: a rank or a size differs, one name would have two sizes, a size is out of
                its range, or no size of its names gives the size of an axis.
        """
        for slot, x in zip(slots, tensors, strict=True):
            received = TensorType(x.dtype, x.shape)
            text = f"{slot.where}: expected {slot.spec.type}, received {received}"
            if slot.spec.dtype is not x.dtype:
                fail(DTypeError, self.name, text, "cast with `.astype(...)`")
            if len(slot.spec.shape) != len(x.shape):
                ranks = f"{len(slot.spec.shape)} ≠ {len(x.shape)} dimensions"
                fail(ShapeError, self.name, f"{text}: {ranks}")
        sizes: dict[str, int] = {}
        origins: dict[str, str] = {}
        waiting = []
        for slot, x in zip(slots, tensors, strict=True):
            for axis, (dim, size) in enumerate(zip(slot.spec.shape, x.shape, strict=True)):
                place = f"{slot.where}, axis {axis}"
                if isinstance(dim, Dim):
                    waiting.append((dim, int(size), place))
                elif dim != size:
                    text = f"{place}: expected {dim}, received {size}"
                    shapes = f"{slot.spec.type} and {format_shape(x.shape)}"
                    fail(ShapeError, self.name, f"{text} in {shapes}")
        while waiting:
            left = [item for item in waiting if not self._learn(*item, sizes, origins)]
            if len(left) == len(waiting):  # one name at least is found by every round
                dim, size, place = left[0]
                fail(ShapeError, self.name, f"{place}: {dim} = {size} does not give its sizes")
            waiting = left
        for name, (least, most) in self.ranges.items():
            size = sizes.get(name, least)
            if size < least or (most is not None and size > most):
                bounds = format_range(name, (least, most))
                text = f"{origins[name]}: {name} = {size} is out of its range {bounds}"
                fail(ShapeError, self.name, text)
        return sizes

    def _learn(
        self, dim: Dim, size: int, place: str, sizes: dict[str, int], origins: dict[str, str]
    ) -> bool:
        """Find the name that an axis tells, or compare; False where too many are unknown."""
        unknown = sorted(dim.names() - sizes.keys())
        if not unknown:
            value = dim.evaluate(sizes)
            if value != size:
                names = sorted(dim.names())
                first = next(iter(dim.names())) if len(names) == 1 else None
                if first is not None and str(dim) == first:
                    text = f"{place}: {first} = {size}, but {origins[first]} has {first} = {value}"
                else:
                    known = ", ".join(f"{n} = {sizes[n]} ({origins[n]})" for n in names)
                    text = f"{place}: expected {dim} = {value}, received {size}; {known}"
                fail(ShapeError, self.name, text)
            return True
        if len(unknown) > 1:
            return False
        if not solve(dim, size, sizes):
            text = f"{place}: no {unknown[0]} gives {dim} = {size}"
            fail(ShapeError, self.name, text)
        origins[unknown[0]] = place
        return True


def _parts(value: Any) -> dict[str, Any] | None:
    """The entries of a container by how they are reached; None for a leaf."""
    if value is None:
        return {}
    if isinstance(value, dict):
        return {f"[{key!r}]": part for key, part in value.items()}
    is_tuple = isinstance(value, tuple) and (type(value) is tuple or hasattr(value, "_fields"))
    if is_tuple or type(value) is list:
        return {f"[{number}]": part for number, part in enumerate(value)}
    if isinstance(value, TensorSpec) or isinstance(value, type):
        return None
    if dataclasses.is_dataclass(value):
        return {f".{f.name}": getattr(value, f.name) for f in dataclasses.fields(value)}
    return None
