"""Nested containers (tuple, list, dict, namedtuple, dataclass, None) as leaves and a structure.

Other classes count as leaves, unless they are registered (`register`).
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable
from typing import Any


@dataclasses.dataclass(frozen=True, slots=True)
class Leaf:
    """The place of one leaf in a structure."""


@dataclasses.dataclass(frozen=True, slots=True)
class Branch:
    """A container: its type, its keys (dict and dataclass) and the structures inside."""

    kind: type
    keys: tuple[Any, ...] | None
    children: tuple[Any, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Registered:
    """A container of a registered class: what it holds beside its children must be hashable."""

    kind: type
    data: Any
    children: tuple[Any, ...]
    keys: None = None


LEAF = Leaf()
Flatten = Callable[[Any], tuple[Any, Any]]
_registered: dict[type, tuple[Flatten, Callable[[Any, Any], Any]]] = {
    collections.defaultdict: (
        lambda held: (tuple(held.values()), (held.default_factory, tuple(held))),
        lambda data, children: collections.defaultdict(
            data[0], zip(data[1], children, strict=True)
        ),
    )
}


def register(kind: type, flatten: Flatten, unflatten: Callable[[Any, Any], Any]) -> None:
    """Let instances of a class count as containers.

    Args:
        kind: the class.
        flatten: instance → (children, data); the data is compared and hashed.
        unflatten: (data, children) → instance.
    """
    _registered[kind] = flatten, unflatten


def flatten(tree: Any) -> tuple[list[Any], Any]:
    """Return the leaves from left to right and the structure. Dicts keep their insertion order."""
    leaves: list[Any] = []
    return leaves, _flatten_into(tree, leaves)


def _flatten_into(tree: Any, leaves: list[Any]) -> Any:
    kind = type(tree)
    if tree is None:
        return Branch(type(None), None, ())
    if kind in _registered:
        children, data = _registered[kind][0](tree)
        inside = tuple(_flatten_into(child, leaves) for child in children)
        return Registered(kind, data, inside)
    if kind is tuple or kind is list or (isinstance(tree, tuple) and hasattr(tree, "_fields")):
        return Branch(kind, None, tuple(_flatten_into(child, leaves) for child in tree))
    if isinstance(tree, dict):
        children = tuple(_flatten_into(child, leaves) for child in tree.values())
        return Branch(kind, tuple(tree.keys()), children)
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        names = tuple(field.name for field in dataclasses.fields(tree))
        children = tuple(_flatten_into(getattr(tree, name), leaves) for name in names)
        return Branch(kind, names, children)
    leaves.append(tree)
    return LEAF


def unflatten(structure: Any, leaves: list[Any]) -> Any:
    """Rebuild the tree of `structure` from its leaves."""
    iterator = iter(leaves)
    tree = _build(structure, iterator)
    if next(iterator, LEAF) is not LEAF:
        raise ValueError("more leaves than the structure has places")
    return tree


def _build(structure: Any, leaves: Any) -> Any:
    if structure is LEAF or isinstance(structure, Leaf):
        return next(leaves)
    kind = structure.kind
    if kind is type(None):
        return None
    children = [_build(child, leaves) for child in structure.children]
    if isinstance(structure, Registered):
        return _registered[kind][1](structure.data, tuple(children))
    if structure.keys is None:
        if kind is tuple or kind is list:
            return kind(children)
        return kind(*children)  # namedtuple
    pairs = zip(structure.keys, children, strict=True)
    if issubclass(kind, dict):
        return kind(pairs)
    return kind(**dict(pairs))


def map_tree(function: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """Apply `function` to each leaf (and to the matching leaves of `others`)."""
    leaves, structure = flatten(tree)
    columns = [leaves]
    for other in others:
        other_leaves, other_structure = flatten(other)
        if other_structure != structure:
            raise ValueError(f"trees differ in structure: {structure} and {other_structure}")
        columns.append(other_leaves)
    return unflatten(structure, [function(*row) for row in zip(*columns, strict=True)])


def size(structure: Any) -> int:
    """How many leaves a structure has."""
    if structure is LEAF or isinstance(structure, Leaf):
        return 1
    return sum(size(child) for child in structure.children)


def paths(structure: Any) -> list[tuple[Any, ...]]:
    """Where each leaf stands: keys of dicts, names of fields, numbers of elements.

    Example:
        >>> paths(flatten({"w": 1, "b": (2, [3, None])})[1])
        [('w',), ('b', 0), ('b', 1, 0)]
    """
    if structure is LEAF or isinstance(structure, Leaf):
        return [()]
    keys = structure.keys
    if structure.kind is collections.defaultdict:
        keys = structure.data[1]
    if keys is None:
        keys = getattr(structure.kind, "_fields", range(len(structure.children)))
    found = []
    for key, child in zip(keys, structure.children, strict=True):
        found += [(key, *rest) for rest in paths(child)]
    return found


def describe(structure: Any) -> str:
    """A structure as text, with `*` for leaves.

    Example:
        >>> describe(flatten({"w": 1, "b": (2, [3, None])})[1])
        "{'w': *, 'b': (*, [*, None])}"
    """
    if structure is LEAF or isinstance(structure, Leaf):
        return "*"
    kind, inner = structure.kind, [describe(child) for child in structure.children]
    if kind is type(None):
        return "None"
    if kind is tuple:
        return f"({', '.join(inner)}{',' if len(inner) == 1 else ''})"
    if kind is list:
        return f"[{', '.join(inner)}]"
    if structure.keys is None:
        return f"{kind.__name__}({', '.join(inner)})"
    if issubclass(kind, dict):
        entries = (f"{key!r}: {text}" for key, text in zip(structure.keys, inner, strict=True))
        return "{" + ", ".join(entries) + "}"
    pairs = zip(structure.keys, inner, strict=True)
    return f"{kind.__name__}({', '.join(f'{k}={v}' for k, v in pairs)})"
