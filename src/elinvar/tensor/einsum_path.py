"""In which order `einsum` joins more than two operands.

A path is a list of steps; a step names the places of operands in the list of those that are left,
and their product goes to its end. The cost of a step is the number of products that it takes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from elinvar.core.errors import TraceError, ValueRangeError, fail

# An ellipsis stands for axes that are labelled by ints: -1 is the last of them, -2 the one before.
Label = str | int
Labels = tuple[Label, ...]
Path = list[tuple[int, ...]]
MOST_EXACT = 8  # operands, up to which all orders are compared
_ONE_SIZE = 8  # of every axis, where only the structure counts


def path_of(
    equation: str, terms: list[Labels], result: Labels, sizes: dict[Label, Any], optimize: Any
) -> Path:
    """The steps for operands with these labels."""
    count = len(terms)
    if isinstance(optimize, (list, tuple)):
        return _checked(optimize, count)
    if optimize is False or optimize is None or count <= 2:
        return [(0, 1)] if count == 2 else _from_the_left(count)
    if optimize == "structure":
        sizes = dict.fromkeys(sizes, _ONE_SIZE)
        return _cheapest(terms, result, sizes)
    for label, size in sizes.items():
        if not isinstance(size, int):
            text = f"the order depends on the size of axis {label!r}, which is the symbol {size}"
            fail(TraceError, "einsum", text, "leave `optimize` out, or give a path")
    if optimize is True or optimize == "optimal":
        return _cheapest(terms, result, sizes)
    if optimize == "greedy":
        return _greedy(terms, result, sizes)
    return _by_opt_einsum(terms, result, sizes, optimize)


def _from_the_left(count: int) -> Path:
    return [(0, 1), *((0, left) for left in range(count - 2, 0, -1))] if count > 1 else []


def _checked(path: Sequence[Any], count: int) -> Path:
    """A path that was given, with or without the word in front that numpy's have."""
    steps = [tuple(step) for step in path if not isinstance(step, str)]
    left = count
    for step in steps:
        if len(set(step)) != len(step) or not all(0 <= place < left for place in step):
            fail(ValueRangeError, "einsum", f"the path {path} does not fit {count} operands")
        left -= len(step) - 1
    return [*steps, tuple(range(left))] if left > 1 else steps


def _by_opt_einsum(
    terms: list[Labels], result: Labels, sizes: dict[Label, Any], optimize: Any
) -> Path:
    try:
        import opt_einsum
    except ImportError:
        text = f"optimize={optimize!r} is a strategy of opt_einsum, which is not installed"
        fail(ValueRangeError, "einsum", text, "use 'optimal' or 'greedy', or install opt_einsum")
    names = {label: opt_einsum.get_symbol(n) for n, label in enumerate(sizes)}
    words = ["".join(names[label] for label in term) for term in terms]
    equation = f"{','.join(words)}->{''.join(names[label] for label in result)}"
    shapes = [tuple(sizes[label] for label in term) for term in terms]
    path, _ = opt_einsum.contract_path(equation, *shapes, shapes=True, optimize=optimize)
    return [tuple(step) for step in path]


def _elements(labels: Any, sizes: dict[Label, Any]) -> int:
    return math.prod(sizes[label] for label in labels)


def _cheapest(terms: list[Labels], result: Labels, sizes: dict[Label, Any]) -> Path:
    """The cheapest of all orders, by the cheapest order of every subset of the operands."""
    count = len(terms)
    if count > MOST_EXACT:
        return _greedy(terms, result, sizes)
    everything = (1 << count) - 1
    sets = [frozenset(term) for term in terms]
    held: dict[int, frozenset[Label]] = {}  # what a subset's product has
    for subset in range(1, everything + 1):
        inside: set[Label] = set()
        outside: set[Label] = set(result)
        for place in range(count):
            (inside if subset >> place & 1 else outside).update(sets[place])
        held[subset] = frozenset(inside & outside)
    best: dict[int, tuple[int, int, Any]] = {}  # cost, largest intermediate, the two halves
    for subset in sorted(range(1, everything + 1), key=lambda s: (s.bit_count(), s)):
        if subset.bit_count() == 1:
            best[subset] = (0, 0, None)
            continue
        found: tuple[int, int, Any] | None = None
        half = (subset - 1) & subset
        while half:
            other = subset ^ half
            if half < other:  # each pair once: the half without the highest operand
                a, b = best[half], best[other]
                left = held[half] if half.bit_count() > 1 else sets[half.bit_length() - 1]
                right = held[other] if other.bit_count() > 1 else sets[other.bit_length() - 1]
                cost = a[0] + b[0] + _elements(left | right, sizes)
                size = max(a[1], b[1], _elements(held[subset], sizes))
                if found is None or (cost, size) < found[:2]:
                    found = (cost, size, (half, other))
            half = (half - 1) & subset
        assert found is not None
        best[subset] = found
    return _as_path(best, everything, count)


def _as_path(best: dict[int, Any], everything: int, count: int) -> Path:
    """The steps of a tree of halves."""
    left = [1 << place for place in range(count)]
    steps: Path = []

    def visit(subset: int) -> None:
        halves = best[subset][2]
        if halves is None:
            return
        for half in halves:
            visit(half)
        places = tuple(sorted(left.index(half) for half in halves))
        for half in halves:
            left.remove(half)
        left.append(subset)
        steps.append(places)

    visit(everything)
    return steps


def _greedy(terms: list[Labels], result: Labels, sizes: dict[Label, Any]) -> Path:
    """Always the pair whose product frees the most memory; of equal ones the cheapest."""
    left = [frozenset(term) for term in terms]
    steps: Path = []
    while len(left) > 1:
        found: Any = None
        for j in range(len(left)):
            for i in range(j):
                kept = _kept(left, (i, j), result)
                freed = _elements(left[i], sizes) + _elements(left[j], sizes)
                gain = _elements(kept, sizes) - freed
                key = (gain, _elements(left[i] | left[j], sizes), i, j)
                if found is None or key < found[0]:
                    found = (key, (i, j), kept)
        _, step, kept = found
        left = [labels for place, labels in enumerate(left) if place not in step] + [kept]
        steps.append(step)
    return steps


def _kept(
    left: list[frozenset[Label]], step: tuple[int, ...], result: Labels
) -> frozenset[Label]:
    inside = frozenset().union(*(left[place] for place in step))
    outside = frozenset(result).union(*(x for n, x in enumerate(left) if n not in step))
    return inside & outside


def cost_of(
    path: Path, terms: list[Labels], result: Labels, sizes: dict[Label, Any]
) -> tuple[int, int]:
    """How many products a path takes, and how large its largest intermediate is."""
    left = [frozenset(term) for term in terms]
    products = largest = 0
    for step in path:
        inside = frozenset().union(*(left[place] for place in step))
        kept = _kept(left, step, result)
        products += _elements(inside, sizes)
        left = [labels for place, labels in enumerate(left) if place not in step] + [kept]
        largest = max(largest, _elements(kept, sizes))
    return products, largest
