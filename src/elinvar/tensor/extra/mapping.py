"""Functions of rows or numbers mapped over whole tensors: NumPy's names for `vmap`."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

from elinvar.core.errors import ShapeError, ValueRangeError, fail
from elinvar.core.shapes import broadcast_shapes, normalize_axis, size
from elinvar.tensor import manipulation as man
from elinvar.tensor.convert import tensor_of
from elinvar.tensor.dispatch import F
from elinvar.tensor.vmap import vmap


def apply_along_axis(
    function: Callable[..., Any], axis: int, x: Any, /, *args: Any, **kwargs: Any
) -> Any:
    """`function(row, *args)` for each 1-D row of a tensor along an axis, by `vmap`.

    Example:
        >>> import elinvar as el
        >>> x = el.asarray([[1, 2], [3, 4]])
        >>> el.apply_along_axis(lambda row: row.sum() * row, 0, x).tolist()
        [[4, 12], [12, 24]]
    """
    x = tensor_of("apply_along_axis", x)
    place = normalize_axis("apply_along_axis", axis, x.ndim)
    moved = man.moveaxis(x, place, -1)
    lead = moved.shape[:-1]
    rows = F.reshape(moved, shape=(size(lead), moved.shape[-1]))
    found = vmap(lambda row: tensor_of("apply_along_axis", function(row, *args, **kwargs)))(rows)
    new = found.ndim - 1  # the axes of one result stand where the axis was
    found = F.reshape(found, shape=(*lead, *found.shape[1:]))
    sources = tuple(range(len(lead), len(lead) + new))
    return man.moveaxis(found, sources, tuple(range(place, place + new)))


def vectorize(function: Callable[..., Any], /, signature: str | None = None) -> Any:
    """A function of numbers (or of the axes that a signature names) as one of tensors, by `vmap`.

    Args:
        function: of tensors without axes, or with those of the signature.
        signature: such as "(n),(n,m)->(m)": the last axes of each operand that the function sees;
            all others broadcast.

    Example:
        >>> import elinvar as el
        >>> distance = el.vectorize(lambda a, b: ((a - b) ** 2).sum(), signature="(n),(n)->()")
        >>> distance(el.zeros((3, 1, 2)), el.ones((4, 2))).shape
        (3, 4)
    """
    cores = None if signature is None else _cores(signature)

    @functools.wraps(function)
    def wrapped(*operands: Any) -> Any:
        tensors = [tensor_of("vectorize", x) for x in operands]
        counts = [0] * len(tensors) if cores is None else cores
        if len(counts) != len(tensors):
            text = f"{signature!r} has {len(counts)} operands, received {len(tensors)}"
            fail(ValueRangeError, "vectorize", text)
        for x, count in zip(tensors, counts, strict=True):
            if x.ndim < count:
                text = f"an operand needs {count} dimensions by {signature!r}, received {x._type}"
                fail(ShapeError, "vectorize", text)
        pairs = list(zip(tensors, counts, strict=True))
        lead = broadcast_shapes("vectorize", *(x.shape[: x.ndim - n] for x, n in pairs))
        rows = [
            F.reshape(
                man.broadcast_to(x, (*lead, *x.shape[x.ndim - n :])),
                shape=(size(lead), *x.shape[x.ndim - n :]),
            )
            for x, n in pairs
        ]
        found = vmap(function)(*rows)
        if isinstance(found, tuple):
            return tuple(F.reshape(y, shape=(*lead, *y.shape[1:])) for y in found)
        return F.reshape(found, shape=(*lead, *found.shape[1:]))

    return wrapped


def _cores(signature: str) -> list[int]:
    """How many axes the function sees of each operand."""
    text = signature.replace(" ", "")
    if not re.fullmatch(r"\([\w,]*\)(,\([\w,]*\))*->\([\w,]*\)(,\([\w,]*\))*", text):
        hint = "write it as in '(n),(n,m)->(m)'"
        fail(ValueRangeError, "vectorize", f"{signature!r} is no signature", hint)
    groups = re.findall(r"\(([\w,]*)\)", text.split("->")[0])
    return [len([name for name in group.split(",") if name]) for group in groups]
