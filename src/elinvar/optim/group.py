"""Parameter groups: parameters with the options of their optimizer.

Numbers such as `lr` live in 0-d float64 tensors. Outside of a trace they read as Python floats and
are set by writing floats; a compiled step reads the tensors, so a new learning rate needs no new
compilation. Other options (bools, ints, strings) are fixed in a compiled step; changing one makes
it compile anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from elinvar.core.dtypes import float64
from elinvar.core.errors import DTypeError, ValueRangeError, fail
from elinvar.tensor.creation import asarray
from elinvar.tensor.tape import no_grad
from elinvar.tensor.tensor import Tensor
from elinvar.tensor.trace import is_tracing, note_guard, outside_trace


class ParameterGroup(MutableMapping[str, Any]):
    """A dict of `params` and options.

    Args:
        values: `params` and the options. Floats and tuples of floats become tensors.
        switches: names of numbers of which it matters whether they are 0, such as `momentum`.
    """

    def __init__(self, values: Mapping[str, Any], switches: tuple[str, ...] = ()) -> None:
        self._values: dict[str, Any] = {}
        self._switches = switches
        self._switched_on: dict[str, bool] = {}
        self.structure: tuple[Any, ...] = ()
        for name, value in values.items():
            self[name] = value

    def cell(self, name: str) -> Any:
        """The tensor (or tensors) behind a number."""
        return self._values[name]

    def is_on(self, name: str) -> bool:
        """Whether the number `name`, one of the switches, differs from 0."""
        return self._switched_on[name]

    def option(self, name: str) -> Any:
        """The value of an option that is no number."""
        return self._values[name]

    def note(self) -> None:
        """Tell a running trace that it depends on the options that are no numbers."""
        note_guard(self, "structure", self.structure)

    def __getitem__(self, name: str) -> Any:
        value = self._values[name]
        if _is_number(value):
            return _read(value)
        return tuple(map(_read, value)) if _is_numbers(value) else value

    def __setitem__(self, name: str, value: Any) -> None:
        held: Any = self._values.get(name)
        if _is_number(held):
            _write(name, held, value)
        elif _is_numbers(held):
            self._write_several(name, held, value)
        elif isinstance(value, float):
            self._values[name] = _new_cell(value)
        elif isinstance(value, tuple) and value and all(isinstance(x, float) for x in value):
            self._values[name] = tuple(map(_new_cell, value))
        else:
            self._values[name] = value
        if name in self._switches:
            self._switched_on[name] = isinstance(value, Tensor) or bool(value)
        self._note_structure()

    def _write_several(self, name: str, held: tuple[Tensor, ...], values: Any) -> None:
        given = tuple(values)
        if len(given) != len(held):
            text = f"{name} needs {len(held)} numbers, received {len(given)}"
            fail(ValueRangeError, "param_groups", text)
        for cell, value in zip(held, given, strict=True):
            _write(name, cell, value)

    def _note_structure(self) -> None:
        fixed = [
            (name, value)
            for name, value in self._values.items()
            if name != "params" and not _is_number(value) and not _is_numbers(value)
        ]
        parameters = tuple(id(p) for p in self._values.get("params", ()))
        self.structure = (*fixed, *self._switched_on.items(), parameters)

    def __delitem__(self, name: str) -> None:
        del self._values[name]
        self._note_structure()

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        rows = [f"{name}: {value}" for name, value in self.items() if name != "params"]
        return f"{len(self['params'])} parameters; " + ", ".join(rows)


def _is_number(value: Any) -> bool:
    return isinstance(value, Tensor)


def _is_numbers(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and isinstance(value[0], Tensor)


def _new_cell(value: float) -> Tensor:
    with outside_trace():
        return asarray(value, dtype=float64)


def _read(cell: Tensor) -> Any:
    return cell.detach() if is_tracing() else cell.item()


def _write(name: str, cell: Tensor, value: Any) -> None:
    if isinstance(value, Tensor):
        if value.ndim:
            fail(ValueRangeError, "param_groups", f"{name} must be one number, got {value._type}")
    elif not isinstance(value, (int, float)):
        text = f"{name} must be a number, received {type(value).__name__}"
        fail(DTypeError, "param_groups", text)
    with no_grad():
        cell.assign(value if isinstance(value, Tensor) else asarray(float(value), dtype=float64))
