"""Einstein summation, by its own small parser, over `contract`, `sum` and `permute`.

The order in which operands are joined is found in einsum_path.py.
"""

from __future__ import annotations

from typing import Any

from elinvar.core.dtypes import promote
from elinvar.core.errors import ShapeError, ValueRangeError, fail
from elinvar.tensor import reductions
from elinvar.tensor.convert import cast, expand, tensor_of
from elinvar.tensor.dispatch import F, apart
from elinvar.tensor.einsum_path import Label, Labels, cost_of, path_of
from elinvar.tensor.linear import diagonal
from elinvar.tensor.manipulation import permuted

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def einsum(*operands: Any, optimize: Any = "structure") -> Any:
    """Sums of products, written with one letter for each axis.

    Letters that occur on the left only are summed; a letter twice in one operand takes its
    diagonal; `...` stands for leading axes that broadcast. Without `->` the result has the letters
    that occur once, in alphabetical order.

    Args:
        operands: an equation and tensors, or tensors each followed by its list of axis numbers
            (`Ellipsis` among them), and at the end the list of the result.
        optimize: in which order more than two operands are joined. "structure": the cheapest order
            if all axes had one size, so that the bits do not depend on sizes; False: from left to
            right; True or "optimal", "greedy": the cheapest for the sizes at hand; a path as from
            `einsum_path`; another name: what `opt_einsum` calls so, if it is installed.

    Raises:
        ValueRangeError: the equation is malformed.
        ShapeError: an axis's letter stands for two sizes.

    Example:
        >>> import elinvar as el
        >>> a = el.asarray([[1, 2], [3, 4]])
        >>> el.einsum("ij,jk->ik", a, a).tolist()
        [[7, 10], [15, 22]]
        >>> el.einsum("ii", a).item()
        5
        >>> el.einsum(a, [0, 1], a, [1, 2], [0, 2]).tolist()
        [[7, 10], [15, 22]]
    """
    equation, given = _equation_of(operands)
    tensors = [tensor_of("einsum", item) for item in given]
    if not tensors:
        fail(ValueRangeError, "einsum", "expected at least one operand")
    terms, result = _parse(equation, tensors)
    dtype = tensors[0].dtype
    for item in tensors[1:]:
        dtype = promote(dtype, item.dtype)
    tensors = [cast(item, dtype) for item in tensors]
    sizes = _check_sizes(equation, terms, tensors)
    pairs = [_diagonals(x, labels) for x, labels in zip(tensors, terms, strict=True)]
    path = path_of(equation, [labels for _, labels in pairs], result, sizes, optimize)
    for places in path:
        chosen = [pairs[place] for place in sorted(places)]
        pairs = [pair for place, pair in enumerate(pairs) if place not in places]
        while len(chosen) > 1:
            (x, left), (y, right) = chosen[:2]
            others = (*pairs, *chosen[2:])
            later = {label for _, labels in others for label in labels} | set(result)
            chosen[:2] = [_join(x, left, y, right, later)]
        pairs.append(chosen[0])
    x, labels = pairs[0]
    extra = tuple(axis for axis, label in enumerate(labels) if label not in result)
    if extra:
        x = cast(reductions.sum(x, axis=extra), dtype)
        labels = tuple(label for label in labels if label in result)
    turned = permuted(x, tuple(labels.index(label) for label in result))
    return apart(turned, tensors[0], is_view=True)


def einsum_path(*operands: Any, optimize: Any = "optimal") -> tuple[list[Any], str]:
    """The order in which `einsum` joins its operands, and a text about it.

    A step names the places of operands in the list that is left; their product goes to its end.

    Args:
        operands, optimize: as for `einsum`.

    Example:
        >>> import elinvar as el
        >>> a, v = el.ones((5, 5)), el.ones(5)
        >>> el.einsum_path("ij,jk,k->i", a, a, v)[0]
        ['einsum_path', (1, 2), (0, 1)]
    """
    equation, given = _equation_of(operands)
    tensors = [tensor_of("einsum_path", item) for item in given]
    terms, result = _parse(equation, tensors)
    sizes = _check_sizes(equation, terms, tensors)
    terms = [tuple(dict.fromkeys(labels)) for labels in terms]
    path = path_of(equation, terms, result, sizes, optimize)
    products, largest = cost_of(path, terms, result, sizes)
    text = f"{equation}\nproducts: {products:.3e}\nlargest intermediate: {largest:.3e} elements"
    return ["einsum_path", *path], text


def _equation_of(operands: tuple[Any, ...]) -> tuple[str, list[Any]]:
    """The equation and the tensors, of either form of arguments."""
    if operands and isinstance(operands[0], str):
        return operands[0], list(operands[1:])
    count = len(operands) // 2
    lists = [list(item) for item in operands[1 : 2 * count : 2]]
    result = list(operands[-1]) if len(operands) % 2 else None
    numbers = {n for row in lists for n in row if n is not Ellipsis}
    if not operands or any(not isinstance(n, int) or not 0 <= n < 52 for n in numbers):
        text = "expected an equation, or tensors each followed by a list of axis numbers 0 … 51"
        fail(ValueRangeError, "einsum", text)
    names = {n: _LETTERS[n] for n in numbers}
    names[Ellipsis] = "..."
    equation = ",".join("".join(names[n] for n in row) for row in lists)
    if result is not None:
        equation += "->" + "".join(names.get(n, "?") for n in result)
    return equation, list(operands[0 : 2 * count : 2])


def _parse(equation: str, tensors: list[Any]) -> tuple[list[Labels], Labels]:
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    parts = left.split(",")
    if len(parts) != len(tensors):
        wrong = f"{equation!r} names {len(parts)} operands, received {len(tensors)}"
        fail(ValueRangeError, "einsum", wrong)
    terms = [_labels(equation, part, x) for part, x in zip(parts, tensors, strict=True)]
    letters = [label for term in terms for label in term]
    if arrow:
        width = max((-label for label in letters if isinstance(label, int)), default=0)
        result = _split(equation, right, width)
        if len(set(result)) != len(result):
            fail(ValueRangeError, "einsum", f"{equation!r}: a letter stands twice in the result")
        for label in result:
            if label not in letters:
                fail(ValueRangeError, "einsum", f"{equation!r}: no operand has an axis {label!r}")
        return terms, result
    dots = sorted({label for label in letters if isinstance(label, int)})
    once = sorted(x for x in letters if isinstance(x, str) and letters.count(x) == 1)
    return terms, (*dots, *once)


def _labels(equation: str, part: str, x: Any) -> Labels:
    """One label for each axis of an operand."""
    width = x.ndim - len(part.replace("...", ""))
    if width < 0 or (width and "..." not in part):
        text = f"{equation!r}: {part!r} names {x.ndim - width} axes of {x._type}"
        fail(ShapeError, "einsum", text)
    return _split(equation, part, width)


def _split(equation: str, part: str, width: int) -> Labels:
    found: list[Label] = []
    before, dots, after = part.partition("...")
    for piece in (before, after):
        for letter in piece:
            if not (letter.isascii() and letter.isalpha()):
                fail(ValueRangeError, "einsum", f"{equation!r}: {letter!r} is no letter")
    found.extend(before)
    if dots:
        found.extend(range(-width, 0))
    found.extend(after)
    return tuple(found)


def _check_sizes(equation: str, terms: list[Labels], tensors: list[Any]) -> dict[Label, Any]:
    sizes: dict[Label, Any] = {}
    for labels, x in zip(terms, tensors, strict=True):
        for label, dim in zip(labels, x.shape, strict=True):
            known = sizes.setdefault(label, dim)
            if known == dim or (isinstance(label, int) and 1 in (known, dim)):
                sizes[label] = dim if known == 1 else known
                continue
            text = f"{equation!r}: axis {label!r} has two sizes, {known} ≠ {dim}, in"
            kinds = " and ".join(str(item._type) for item in tensors)
            fail(ShapeError, "einsum", f"{text} {kinds}")
    return sizes


def _diagonals(x: Any, labels: Labels) -> tuple[Any, Labels]:
    """Replace the two axes of a repeated letter by their diagonal."""
    while len(set(labels)) != len(labels):
        label = next(item for item in labels if labels.count(item) > 1)
        first = labels.index(label)
        second = labels.index(label, first + 1)
        rest = tuple(axis for axis in range(x.ndim) if axis not in (first, second))
        x = diagonal(permuted(x, (*rest, first, second)))
        labels = (*(labels[axis] for axis in rest), label)
    return x, labels


def _join(x: Any, left: Labels, y: Any, right: Labels, later: set[Label]) -> tuple[Any, Labels]:
    """Multiply two operands, summing the letters that nobody needs later."""
    # a broadcast axis (size 1 under an ellipsis) takes the size of the other operand
    x, y = _stretched(x, left, y, right), _stretched(y, right, x, left)
    alone_x = tuple(i for i, a in enumerate(left) if a not in right and a not in later)
    alone_y = tuple(i for i, a in enumerate(right) if a not in left and a not in later)
    if alone_x:
        x, left = _summed(x, left, alone_x)
    if alone_y:
        y, right = _summed(y, right, alone_y)
    batch = tuple(a for a in left if a in right and a in later)
    summed = tuple(a for a in left if a in right and a not in later)
    product = F.contract(
        x,
        y,
        batch=(tuple(left.index(a) for a in batch), tuple(right.index(a) for a in batch)),
        axes=(tuple(left.index(a) for a in summed), tuple(right.index(a) for a in summed)),
    )
    free_x = tuple(a for a in left if a not in batch and a not in summed)
    free_y = tuple(a for a in right if a not in batch and a not in summed)
    return product, (*batch, *free_x, *free_y)


def _summed(x: Any, labels: Labels, axes: tuple[int, ...]) -> tuple[Any, Labels]:
    total = cast(reductions.sum(x, axis=axes), x.dtype)
    return total, tuple(label for axis, label in enumerate(labels) if axis not in axes)


def _stretched(x: Any, labels: Labels, y: Any, others: Labels) -> Any:
    shape = tuple(
        y.shape[others.index(label)] if dim == 1 and label in others else dim
        for label, dim in zip(labels, x.shape, strict=True)
    )
    return expand(x, shape)
