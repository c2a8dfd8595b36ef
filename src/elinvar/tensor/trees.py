"""Nested containers: `el.tree`, with the names of `jax.tree`.

Containers are tuples, lists, dicts, namedtuples, dataclasses, None, and classes that are
registered; all else is a leaf. All transforms and `jit` take and return them.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from elinvar.core import tree
from elinvar.core.errors import DTypeError, ShapeError, fail

T = TypeVar("T")
_MISSING = object()


def flatten(x: Any, /) -> tuple[list[Any], Any]:
    """The leaves from left to right, and the structure without them.

    Example:
        >>> import elinvar as el
        >>> leaves, structure = el.tree.flatten({"a": 1, "b": (2, None)})
        >>> leaves, el.tree.unflatten(structure, [10, 20])
        ([1, 2], {'a': 10, 'b': (20, None)})
    """
    return tree.flatten(x)


def unflatten(structure: Any, leaves: Iterable[Any], /) -> Any:
    """A container of a structure with these leaves; see `flatten`."""
    found = list(leaves)
    if len(found) != tree.size(structure):
        text = f"expected {tree.size(structure)} leaves, received {len(found)}"
        fail(ShapeError, "tree.unflatten", text)
    return tree.unflatten(structure, found)


def leaves(x: Any, /) -> list[Any]:
    """The leaves from left to right.

    Example:
        >>> import elinvar as el
        >>> el.tree.leaves({"a": 1, "b": (2, None)})
        [1, 2]
    """
    return tree.flatten(x)[0]


def structure(x: Any, /) -> Any:
    """The structure without its leaves, to compare or to fill by `unflatten`.

    Example:
        >>> import elinvar as el
        >>> el.tree.structure((1, [2])) == el.tree.structure((5, [6]))
        True
    """
    return tree.flatten(x)[1]


def map(function: Callable[..., Any], x: T, /, *others: Any) -> T:
    """The container with f of each leaf (and of the leaves at the same places of others).

    Raises:
        ShapeError: another one has another structure.

    Example:
        >>> import elinvar as el
        >>> el.tree.map(lambda a, b: a + b, {"x": 1, "y": [2]}, {"x": 10, "y": [20]})
        {'x': 11, 'y': [22]}
    """
    columns, expected = [tree.flatten(x)[0]], tree.flatten(x)[1]
    for number, other in enumerate(others):
        found, found_structure = tree.flatten(other)
        if found_structure != expected:
            shown = f"expected {tree.describe(expected)}, received {tree.describe(found_structure)}"
            text = f"container {number + 1} must have the structure of the first: {shown}"
            fail(ShapeError, "tree.map", text)
        columns.append(found)
    made = [function(*row) for row in zip(*columns, strict=True)]
    return tree.unflatten(expected, made)


def flatten_with_path(x: Any, /) -> tuple[list[tuple[tuple[Any, ...], Any]], Any]:
    """The leaves with their paths, and the structure.

    A path has a key for each level: keys of dicts, names of fields, numbers of elements.

    Example:
        >>> import elinvar as el
        >>> el.tree.flatten_with_path({"a": 1, "b": (2, 3)})[0]
        [(('a',), 1), (('b', 0), 2), (('b', 1), 3)]
    """
    found, structure = tree.flatten(x)
    return list(zip(tree.paths(structure), found, strict=True)), structure


def leaves_with_path(x: Any, /) -> list[tuple[tuple[Any, ...], Any]]:
    """The leaves with their paths; see `flatten_with_path`.

    Example:
        >>> import elinvar as el
        >>> [".".join(map(str, path)) for path, _ in el.tree.leaves_with_path({"w": [1, 2]})]
        ['w.0', 'w.1']
    """
    return flatten_with_path(x)[0]


def map_with_path(function: Callable[..., Any], x: T, /, *others: Any) -> T:
    """The container with f(path, leaf, …) in the place of each leaf; see `flatten_with_path`.

    Example:
        >>> import elinvar as el
        >>> weights = {"dense": {"kernel": 1.0, "bias": 2.0}}
        >>> el.tree.map_with_path(lambda path, w: w if path[-1] == "bias" else w * 10, weights)
        {'dense': {'kernel': 10.0, 'bias': 2.0}}
    """
    found, structure = flatten_with_path(x)
    paths = tree.unflatten(structure, [_Path(path) for path, _ in found])
    return map(lambda leaf, path, *rest: function(path.keys, leaf, *rest), x, paths, *others)


class _Path:
    """A path as a leaf: a tuple would be a container."""

    def __init__(self, keys: tuple[Any, ...]) -> None:
        self.keys = keys


def reduce(function: Callable[[Any, Any], Any], x: Any, /, initial: Any = _MISSING) -> Any:
    """f(… f(f(initial, leaf 0), leaf 1) …) over all leaves.

    Example:
        >>> import elinvar as el
        >>> el.tree.reduce(lambda total, leaf: total + leaf, {"a": 1, "b": (2, 3)}, 0)
        6
    """
    found = leaves(x)
    if initial is _MISSING:
        if not found:
            text = "there are no leaves, and no initial value"
            fail(ShapeError, "tree.reduce", text, "pass `initial`")
        return functools.reduce(function, found)
    return functools.reduce(function, found, initial)


def all(x: Any, /) -> bool:
    """Whether all leaves are true."""
    return False not in (bool(leaf) for leaf in leaves(x))


def transpose(outer: Any, inner: Any, x: Any, /) -> Any:
    """A container of the structure `outer` whose leaves have the structure `inner`, the other way
    round.

    Example:
        >>> import elinvar as el
        >>> pairs = {"a": (1, 2), "b": (3, 4)}
        >>> el.tree.transpose(el.tree.structure({"a": 0, "b": 0}), el.tree.structure((0, 0)), pairs)
        ({'a': 1, 'b': 3}, {'a': 2, 'b': 4})
    """
    found, count = leaves(x), tree.size(inner)
    if len(found) != tree.size(outer) * count:
        text = f"expected {tree.size(outer)} times {count} leaves, received {len(found)}"
        fail(ShapeError, "tree.transpose", text)
    columns = [tree.unflatten(outer, found[n::count]) for n in range(count)]
    return tree.unflatten(inner, columns)


def register_pytree_node(
    kind: type, flatten: Callable[[Any], tuple[Any, Any]], unflatten: Callable[[Any, Any], Any]
) -> None:
    """Let instances of a class count as containers, everywhere.

    Args:
        kind: the class.
        flatten: instance → (children, data). The data is a part of the structure: hashable, and
            for `jit` static.
        unflatten: (data, children) → instance.

    Example:
        >>> import elinvar as el
        >>> class Pair:
        ...     def __init__(self, a, b):
        ...         self.a, self.b = a, b
        >>> el.tree.register_pytree_node(
        ...     Pair, lambda p: ((p.a, p.b), None), lambda _, children: Pair(*children)
        ... )
        >>> slope = el.grad(lambda p: p.a * p.b)(Pair(el.asarray(2.0), el.asarray(3.0)))
        >>> slope.a.item(), slope.b.item()
        (3.0, 2.0)
    """
    if not isinstance(kind, type):
        text = f"expected a class, received {type(kind).__name__}"
        fail(DTypeError, "register_pytree_node", text)
    tree.register(kind, flatten, unflatten)


def register_dataclass(
    kind: type[T], data_fields: Sequence[str] | None = None, meta_fields: Sequence[str] = ()
) -> type[T]:
    """Say which fields of a dataclass are leaves or containers, and which are a part of the
    structure. Without it all fields are the former. It may be used as a decorator.

    Args:
        kind: the dataclass.
        data_fields: the fields with tensors; None: all but the others.
        meta_fields: the fields with hashable Python values.

    Raises:
        DTypeError: it is no dataclass, or a field has no place or two.

    Example:
        >>> import dataclasses
        >>> import elinvar as el
        >>> @dataclasses.dataclass
        ... class Layer:
        ...     weight: el.Tensor
        ...     name: str
        >>> Layer = el.tree.register_dataclass(Layer, meta_fields=["name"])
        >>> el.tree.map(lambda x: x + 1, Layer(el.asarray(1.0), "first")).weight.item()
        2.0
    """
    if not dataclasses.is_dataclass(kind) or not isinstance(kind, type):
        text = f"expected a dataclass, received {kind!r:.60}"
        fail(DTypeError, "register_dataclass", text)
    names = [field.name for field in dataclasses.fields(kind)]
    meta = tuple(meta_fields)
    data = tuple(name for name in names if name not in meta) if data_fields is None else data_fields
    if sorted([*data, *meta]) != sorted(names):
        text = f"the fields are {names}, received {list(data)} and {list(meta)}"
        fail(DTypeError, "register_dataclass", text)
    fields = tuple(data)

    def taken(x: Any) -> tuple[Any, Any]:
        return [getattr(x, name) for name in fields], tuple(getattr(x, name) for name in meta)

    def built(held: Any, children: Any) -> Any:
        given = dict(zip((*fields, *meta), (*children, *held), strict=True))
        return kind(**given)

    tree.register(kind, taken, built)
    return kind


__all__ = [
    "all",
    "flatten",
    "flatten_with_path",
    "leaves",
    "leaves_with_path",
    "map",
    "map_with_path",
    "reduce",
    "register_dataclass",
    "register_pytree_node",
    "structure",
    "transpose",
    "unflatten",
]
