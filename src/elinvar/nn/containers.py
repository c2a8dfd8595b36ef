"""Containers: Sequential, ModuleList, ModuleDict, ParameterList, ParameterDict.

To type checkers `ModuleList[Block]` holds `Block`s; without brackets it holds any modules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any, Generic, Self, overload

from elinvar.core.errors import OutOfBoundsError, ValueRangeError, fail
from elinvar.nn.module import Module, indented
from elinvar.nn.parameter import Parameter
from elinvar.tensor.tensor import Tensor

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    T = TypeVar("T", default=Any)
    M = TypeVar("M", bound=Module, default=Module)
else:
    from typing import TypeVar

    T, M = TypeVar("T"), TypeVar("M", bound=Module)


class _Numbered(Module, Generic[T]):
    """Modules or tensors under the names 0, 1, 2, …: what the lists have in common."""

    def _values(self) -> list[T]:
        return [self.__dict__[name] for name in self._members]

    def _fill(self, values: Iterable[T]) -> None:
        for name in tuple(self._members):
            delattr(self, name)
        for index, value in enumerate(values):
            self._place(str(index), value)

    def _place(self, name: str, value: T) -> None:
        self._register(name, value, "module")

    def _position(self, index: int) -> str:
        size = len(self._members)
        place = index.__index__()
        if not -size <= place < size:
            owner = type(self).__name__
            fail(OutOfBoundsError, owner, f"index {place} is out of range for {size} entries")
        return str(place % size)

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[T]:
        return iter(self._values())

    def __contains__(self, item: object) -> bool:
        return any(value is item for value in self._values())

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self._of(self._values()[index])
        return self.__dict__[self._position(index)]

    @classmethod
    def _of(cls, values: list[Any]) -> Self:
        return cls(values)

    def __setitem__(self, index: int, value: T) -> None:
        self._place(self._position(index), value)

    def __delitem__(self, index: int | slice) -> None:
        values = self._values()
        if not isinstance(index, slice):
            index = int(self._position(index))
        del values[index]
        self._fill(values)

    def append(self, value: T) -> Self:
        """Add one entry at the end."""
        self._place(str(len(self)), value)
        return self

    def extend(self, values: Iterable[T]) -> Self:
        """Add several entries at the end."""
        for value in tuple(values):
            self.append(value)
        return self

    def insert(self, index: int, value: T) -> Self:
        """Put an entry before position `index`."""
        values = self._values()
        values.insert(index, value)
        self._fill(values)
        return self

    def pop(self, index: int = -1) -> T:
        """Take an entry out and return it."""
        value = self[index]
        del self[index]
        return value

    def __add__(self, other: Iterable[T]) -> Self:
        return self._of([*self, *other])

    def __iadd__(self, other: Iterable[T]) -> Self:
        return self.extend(other)


class Sequential(_Numbered[Module]):
    """Modules that run one after the other, each on what the one before returned.

    Args:
        modules: the modules, or one dict of name → module.

    Example:
        >>> import elinvar as el
        >>> net = el.nn.Sequential(el.nn.Linear(4, 8), el.nn.ReLU(), el.nn.Linear(8, 2))
        >>> net(el.ones((3, 4))).shape
        (3, 2)
        >>> net[0]
        Linear(in_features=4, out_features=8, bias=True)
    """

    @overload
    def __init__(self, *modules: Module) -> None: ...
    @overload
    def __init__(self, modules: Mapping[str, Module], /) -> None: ...
    def __init__(self, *modules: Any) -> None:
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                self._place(name, module)
        else:
            self._fill(modules)

    @classmethod
    def _of(cls, values: list[Any]) -> Self:
        return cls(*values)

    def _position(self, index: int) -> str:
        super()._position(index)  # checks the range
        return tuple(self._members)[index]

    def __delitem__(self, index: int | slice) -> None:
        names = tuple(self._members)
        if any(name != str(place) for place, name in enumerate(names)):
            for name in names[index] if isinstance(index, slice) else (names[index],):
                delattr(self, name)
        else:
            place = index if isinstance(index, slice) else int(self._position(index))
            super().__delitem__(place)

    def forward(self, input: Any) -> Tensor:
        """Run the modules in order."""
        for module in self._values():
            input = module(input)
        result: Tensor = input  # nearly always
        return result


class ModuleList(_Numbered[M]):
    """A list of modules, found by everything that walks the tree; it has no forward of its own.

    Example:
        >>> import elinvar as el
        >>> layers = el.nn.ModuleList(el.nn.Linear(4, 4) for _ in range(3))
        >>> len(layers), [name for name, _ in layers.named_parameters()][-1]
        (3, '2.bias')
    """

    @overload
    def __init__(self: ModuleList[Module], modules: None = None) -> None: ...
    @overload
    def __init__(self, modules: Iterable[M]) -> None: ...
    def __init__(self, modules: Iterable[Any] | None = None) -> None:
        self._fill(modules or ())

    def __repr__(self) -> str:
        if not len(self):
            return f"{type(self).__name__}()"
        lines, start = [], 0
        for text, same in groupby(repr(module) for module in self):
            count = sum(1 for _ in same)
            name = f"({start})" if count == 1 else f"({start}-{start + count - 1})"
            times = "" if count == 1 else f"{count} x "
            lines.append(f"{name}: {times}{indented(text)}")
            start += count
        return f"{type(self).__name__}(\n  " + "\n  ".join(lines) + "\n)"


class _Named(Module, Generic[T]):
    """Modules or tensors under names of the user's: what the dicts have in common."""

    _kind = "module"

    def _place(self, name: str, value: T) -> None:
        self._register(name, value, self._kind)

    def __getitem__(self, name: str) -> T:
        if name not in self._members:
            known = ", ".join(self._members) or "nothing"
            fail(ValueRangeError, type(self).__name__, f"no entry {name!r}; known: {known}")
        found: T = self.__dict__[name]
        return found

    def __setitem__(self, name: str, value: T) -> None:
        self._place(name, value)

    def __delitem__(self, name: str) -> None:
        delattr(self, name)

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._members))

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def keys(self) -> Iterable[str]:
        """The names."""
        return tuple(self._members)

    def values(self) -> Iterable[T]:
        """The entries."""
        return tuple(self.__dict__[name] for name in self._members)

    def items(self) -> Iterable[tuple[str, T]]:
        """Name and entry."""
        return tuple((name, self.__dict__[name]) for name in self._members)

    def pop(self, name: str) -> T:
        """Take an entry out and return it."""
        value = self[name]
        del self[name]
        return value

    def clear(self) -> None:
        """Take all entries out."""
        for name in tuple(self._members):
            del self[name]

    def update(self, entries: Mapping[str, T] | Iterable[tuple[str, T]]) -> None:
        """Add or replace entries."""
        for name, value in dict(entries).items():
            self[name] = value


class ModuleDict(_Named[M]):
    """Modules by name, found by everything that walks the tree.

    Example:
        >>> import elinvar as el
        >>> heads = el.nn.ModuleDict({"small": el.nn.Linear(4, 2), "large": el.nn.Linear(4, 9)})
        >>> heads["large"](el.ones((1, 4))).shape
        (1, 9)
    """

    @overload
    def __init__(self: ModuleDict[Module], modules: None = None) -> None: ...
    @overload
    def __init__(self, modules: Mapping[str, M]) -> None: ...
    def __init__(self, modules: Mapping[str, Any] | None = None) -> None:
        self.update(modules or {})


def _as_parameter(value: Any) -> Any:
    if isinstance(value, Tensor) and not isinstance(value, Parameter):
        return Parameter(value)
    return value


class ParameterList(_Numbered[Parameter]):
    """A list of parameters; plain tensors become parameters.

    Example:
        >>> import elinvar as el
        >>> scales = el.nn.ParameterList([el.ones(3), el.zeros(2)])
        >>> [name for name, _ in scales.named_parameters()]
        ['0', '1']
    """

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        self._fill(values or ())

    def _place(self, name: str, value: Any) -> None:
        self._register(name, _as_parameter(value), "parameter")

    def __repr__(self) -> str:
        return _parameters_repr(self)


class ParameterDict(_Named[Parameter]):
    """Parameters by name; plain tensors become parameters.

    Example:
        >>> import elinvar as el
        >>> weights = el.nn.ParameterDict({"left": el.ones(3), "right": el.zeros(3)})
        >>> sorted(weights.keys())
        ['left', 'right']
    """

    _kind = "parameter"

    def __init__(self, parameters: Mapping[str, Any] | None = None) -> None:
        self.update(parameters or {})

    def _place(self, name: str, value: Any) -> None:
        self._register(name, _as_parameter(value), "parameter")

    def __repr__(self) -> str:
        return _parameters_repr(self)


def _parameters_repr(module: Module) -> str:
    lines = [f"({name}): Parameter {cell._type}" for name, cell in module.named_parameters()]
    return f"{type(module).__name__}(\n  " + "\n  ".join(lines) + "\n)"
