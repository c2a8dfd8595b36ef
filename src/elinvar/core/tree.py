"""Nested containers (tuple, list, dict, namedtuple, dataclass, None) as leaves and a structure."""

from __future__ import annotations

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


LEAF = Leaf()


def flatten(tree: Any) -> tuple[list[Any], Any]:
    """Return the leaves from left to right and the structure. Dicts keep their insertion order."""
    leaves: list[Any] = []
    return leaves, _flatten_into(tree, leaves)


def _flatten_into(tree: Any, leaves: list[Any]) -> Any:
    kind = type(tree)
    if tree is None:
        return Branch(type(None), None, ())
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
