"""How tensors print: rows of aligned numbers, then shape and dtype; large tensors are shortened.

    Tensor([[1.0000, 2.0000],
            [3.0000, 4.0000]], shape=(2, 2), dtype=float32)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from elinvar.core.errors import ValueRangeError, fail
from elinvar.tensor.cell import Cell, current_trace
from elinvar.tensor.interop import readable_array


@dataclass(frozen=True, slots=True)
class PrintOptions:
    """How tensors print.

    Attributes:
        precision: digits after the point.
        threshold: tensors with more elements are shortened.
        edgeitems: how many elements are shown at both ends of a shortened axis.
        linewidth: the width of a line.
        sci_mode: exponents always (True), never (False), or where numbers ask for it (None).
    """

    precision: int = 4
    threshold: int = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_options = [PrintOptions()]


def set_printoptions(**changes: Any) -> PrintOptions:
    """Change how tensors print; returns the options before. See `PrintOptions`.

    Example:
        >>> import elinvar as el
        >>> before = el.set_printoptions(precision=2)
        >>> el.asarray(1.0)
        Tensor(1.00, shape=(), dtype=float32)
        >>> _ = el.set_printoptions(precision=before.precision)
    """
    before = _options[0]
    try:
        _options[0] = replace(before, **changes)
    except TypeError:
        names = ", ".join(PrintOptions.__dataclass_fields__)
        wrong = ", ".join(name for name in changes if name not in PrintOptions.__dataclass_fields__)
        fail(ValueRangeError, "set_printoptions", f"unknown option {wrong}; known: {names}")
    return before


def to_text(x: Cell, name: str = "Tensor") -> str:
    """The text of `repr`."""
    if x._layout is None or current_trace() is not None:
        return f"{name}({x._type}, traced)"
    options = _options[0]
    array = readable_array(x, "repr")
    tail = f", shape={tuple(x.shape)}, dtype={x.dtype.name}"
    if x._node is not None:
        tail += ", requires_grad=True"
    indent = len(name) + 1
    if not array.size:
        return f"{name}([]{tail})"
    short = array.size > options.threshold
    shown = _shown(array, options.edgeitems) if short else array
    texts = _number_texts(shown, options)
    body = _rows(texts, list(array.shape), short, indent, options)
    return f"{name}({body}{tail})"


def _shown(array: Any, edge: int) -> Any:
    """The elements at both ends of each long axis."""
    for axis, dim in enumerate(array.shape):
        if dim > 2 * edge:
            array = array.take([*range(edge), *range(dim - edge, dim)], axis)
    return array


def _number_texts(array: Any, options: PrintOptions) -> Any:
    """Nested lists of texts of one width."""
    flat = array.reshape(-1).tolist()
    if array.dtype.kind == "f":
        texts = _float_texts(flat, options)
    elif array.dtype.kind == "c":
        texts = _complex_texts(flat, options)
    else:
        texts = [str(value) for value in flat]
    width = max(len(text) for text in texts)
    texts = [text.rjust(width) for text in texts]
    return _nested(texts, list(array.shape))


def _nested(texts: list[str], shape: list[int]) -> Any:
    if not shape:
        return texts[0]
    step = len(texts) // shape[0]
    return [_nested(texts[i * step : (i + 1) * step], shape[1:]) for i in range(shape[0])]


def _float_texts(values: list[float], options: PrintOptions) -> list[str]:
    sizes = [abs(value) for value in values if math.isfinite(value) and value]
    use_exponent = options.sci_mode
    if use_exponent is None:
        high = max(sizes, default=1.0)
        use_exponent = high >= 1e8 or high < 1e-3
    kind = "e" if use_exponent else "f"
    return [format(value, f".{options.precision}{kind}") for value in values]


def _complex_texts(values: list[complex], options: PrintOptions) -> list[str]:
    re = _float_texts([value.real for value in values], options)
    im = _float_texts([value.imag for value in values], options)
    return [
        f"{one}{'' if other.startswith('-') else '+'}{other}j"
        for one, other in zip(re, im, strict=True)
    ]


def _rows(texts: Any, shape: list[int], short: bool, indent: int, options: PrintOptions) -> str:
    """Brackets, commas, line breaks, and `...` where an axis is shortened."""
    if not shape:
        return str(texts)
    edge = options.edgeitems
    cut = short and shape[0] > 2 * edge
    if len(shape) == 1:
        items = list(texts)
        if cut:
            items.insert(edge, "...")
        return _line(items, indent + 1, options.linewidth)
    parts = [_rows(text, shape[1:], short, indent + 1, options) for text in texts]
    if cut:
        parts.insert(edge, "...")
    separator = "," + "\n" * (len(shape) - 1) + " " * (indent + 1)
    return "[" + separator.join(parts) + "]"


def _line(items: list[str], indent: int, width: int) -> str:
    """One row, broken where it would be longer than a line."""
    room = max(1, (width - indent) // (max(len(item) for item in items) + 2))
    rows = [", ".join(items[i : i + room]) for i in range(0, len(items), room)]
    return "[" + (",\n" + " " * indent).join(rows) + "]"
