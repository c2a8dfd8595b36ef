"""Einstein summation, by its own small parser, over `contract`, `sum` and `permute`."""

from __future__ import annotations

from string import ascii_letters
from typing import Any

from elinvar.core.dtypes import promote
from elinvar.core.errors import ShapeError, ValueRangeError, fail
from elinvar.tensor import reductions
from elinvar.tensor.convert import ArrayLike, cast, expand, tensor_of
from elinvar.tensor.dispatch import F
from elinvar.tensor.linear import diagonal
from elinvar.tensor.manipulation import permuted

# An ellipsis stands for axes that are labelled by ints: -1 is the last of them, -2 the one before.
Label = str | int
Labels = tuple[Label, ...]


def einsum(equation: Any, /, *operands: ArrayLike) -> Any:
    """Sums of products, written with one letter for each axis.

    Letters that occur on the left only are summed; a letter twice in one operand takes its
    diagonal; `...` stands for leading axes that broadcast. Without `->` the result has the letters
    that occur once, in alphabetical order. Operands are joined from left to right.

    Instead of an equation, each operand may be followed by the list of its axes, as numbers up to
    51 or `...`; one more list at the end is that of the result: `einsum(x, [0, 1], y, [1, 2])`.

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
    """
    if not isinstance(equation, str):
        equation, operands = _lettered(equation, *operands)
    tensors = [tensor_of("einsum", item) for item in operands]
    if not tensors:
        fail(ValueRangeError, "einsum", "expected at least one operand")
    terms, result = _parse(equation, tensors)
    dtype = tensors[0].dtype
    for item in tensors[1:]:
        dtype = promote(dtype, item.dtype)
    tensors = [cast(item, dtype) for item in tensors]
    _check_sizes(equation, terms, tensors)
    pairs = [_diagonals(x, labels) for x, labels in zip(tensors, terms, strict=True)]
    x, labels = pairs[0]
    for place in range(1, len(pairs)):
        later = {label for _, others in pairs[place + 1 :] for label in others} | set(result)
        x, labels = _join(x, labels, *pairs[place], later)
    extra = tuple(axis for axis, label in enumerate(labels) if label not in result)
    if extra:
        x = cast(reductions.sum(x, axis=extra), dtype)
        labels = tuple(label for label in labels if label in result)
    return permuted(x, tuple(labels.index(label) for label in result))


def _lettered(*given: Any) -> tuple[str, tuple[Any, ...]]:
    """The equation and the operands of a call with lists of axes."""
    parts = ["".join(_letter(axis) for axis in axes) for axes in given[1::2]]
    text = ",".join(parts)
    if len(given) % 2:
        text += "->" + "".join(_letter(axis) for axis in given[-1])
    return text, given[: len(parts) * 2 : 2]


def _letter(axis: Any) -> str:
    if axis is ...:
        return "..."
    if not isinstance(axis, int) or not 0 <= axis < len(ascii_letters):
        text = f"an axis must be `...` or a number from 0 to 51, received {axis!r}"
        fail(ValueRangeError, "einsum", text)
    return sorted(ascii_letters)[axis]


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


def _check_sizes(equation: str, terms: list[Labels], tensors: list[Any]) -> None:
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
