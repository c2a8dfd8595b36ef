"""`pad` with NumPy's modes, axis by axis as there: later axes see what earlier ones added."""

from __future__ import annotations

from typing import Any

import numpy as np

from elinvar.core.dtypes import float64
from elinvar.core.errors import ShapeError, ValueRangeError, fail
from elinvar.tensor import elementwise as ew
from elinvar.tensor import manipulation as man
from elinvar.tensor import reductions as red
from elinvar.tensor.convert import cast, constant, expand, is_number, tensor_of
from elinvar.tensor.dispatch import F
from elinvar.tensor.extra.quantiles import median
from elinvar.tensor.gathering import gathered

_STATISTICS = ("maximum", "mean", "median", "minimum")
MODES = ("constant", "edge", "empty", "linear_ramp", "reflect", "symmetric", "wrap", *_STATISTICS)


def _pairs(what: str, given: Any, rank: int) -> list[tuple[Any, Any]]:
    """NumPy's forms: a number, (n,), (before, after), or a pair for each axis."""
    values = np.asarray(given)
    if values.ndim == 0:
        return [(values.item(), values.item())] * rank
    if values.shape == (1,):
        return [(values[0].item(), values[0].item())] * rank
    if values.shape in ((2,), (1, 2)):
        before, after = values.reshape(2).tolist()
        return [(before, after)] * rank
    if values.shape == (rank, 1):
        return [(value, value) for value in values[:, 0].tolist()]
    if values.shape == (rank, 2):
        return [(before, after) for before, after in values.tolist()]
    fail(ValueRangeError, "pad", f"{what} must be a number, a pair or {rank} pairs, got {given!r}")


def _widths(given: Any, x: Any) -> list[tuple[int, int]]:
    if isinstance(given, dict):
        found: list[Any] = [(0, 0)] * x.ndim
        for axis, value in given.items():
            found[axis] = (value, value) if hasattr(value, "__index__") else tuple(value)
    else:
        found = _pairs("pad_width", given, x.ndim) if x.ndim else []
    for before, after in found:
        if not (isinstance(before, int) and isinstance(after, int)):
            fail(ValueRangeError, "pad", f"pad_width must hold ints, received {given!r:.80}")
        if before < 0 or after < 0:
            fail(ValueRangeError, "pad", f"pad_width must not be negative, received {given!r:.80}")
    return found


def pad(
    x: Any, pad_width: Any, mode: Any = "constant", *, constant_values: Any = 0,
    end_values: Any = 0, stat_length: Any = None, reflect_type: str = "even",
) -> Any:  # fmt: skip
    """x with elements put before and behind it along its axes, as in NumPy.

    Args:
        pad_width: a number, a pair (before, after), a pair for each axis, or {axis: pair}.
        mode: "constant"; "edge": the first and last element; "reflect", "symmetric": mirrored
            without or with them; "wrap": from the other end; "linear_ramp": down to `end_values`;
            "maximum", "mean", "median", "minimum" of the axis or of `stat_length` elements at the
            end; "empty": zeros.
        constant_values, end_values, stat_length: a number, a pair, or a pair for each axis.
        reflect_type: "even", or "odd": 2 · edge - the mirrored element.

    Example:
        >>> import elinvar as el
        >>> el.pad(el.asarray([1, 2, 3]), 2, mode="reflect").tolist()
        [3, 2, 1, 2, 3, 2, 1]
        >>> el.pad(el.ones((1, 1)), ((0, 1), (1, 0))).tolist()
        [[0.0, 1.0], [0.0, 0.0]]
    """
    x = tensor_of("pad", x)
    widths = _widths(pad_width, x)
    if mode not in MODES:
        fail(ValueRangeError, "pad", f"mode must be one of {', '.join(MODES)}, received {mode!r}")
    if reflect_type not in ("even", "odd"):
        text = f"reflect_type must be 'even' or 'odd', received {reflect_type!r}"
        fail(ValueRangeError, "pad", text)
    if mode in ("constant", "empty"):
        return _with_constants(x, widths, constant_values if mode == "constant" else 0)
    ends = _pairs("end_values", end_values, x.ndim) if mode == "linear_ramp" else []
    lengths = [(None, None)] * x.ndim
    if mode in _STATISTICS and stat_length is not None:
        lengths = _pairs("stat_length", stat_length, x.ndim)
    for axis, (before, after) in enumerate(widths):
        if not before and not after:
            continue
        if x.shape[axis] == 0:
            text = f"axis {axis} of {x._type} is empty, mode {mode!r} needs values"
            fail(ShapeError, "pad", text)
        if mode in _STATISTICS:
            x = _with_statistic(x, axis, before, after, mode, lengths[axis])
        elif mode == "linear_ramp":
            x = _with_ramp(x, axis, before, after, ends[axis])
        elif reflect_type == "odd" and mode in ("reflect", "symmetric"):
            x = _odd(x, axis, before, after, mode)
        else:
            x = _with_places(x, axis, before, after, mode)
    return x


def _with_constants(x: Any, widths: list[tuple[int, int]], values: Any) -> Any:
    none = (0,) * x.ndim
    if is_number(values):
        filler = constant("pad", values, x.dtype)
        low, high = tuple(w[0] for w in widths), tuple(w[1] for w in widths)
        return F.pad(x, filler, low=low, high=high, interior=none)
    for axis, pair in enumerate(_pairs("constant_values", values, x.ndim)):
        for side in (0, 1):
            if widths[axis][side]:
                size = tuple(widths[axis][side] if i == axis else 0 for i in range(x.ndim))
                filler = constant("pad", pair[side], x.dtype)
                low, high = (size, none) if side == 0 else (none, size)
                x = F.pad(x, filler, low=low, high=high, interior=none)
    return x


def _with_places(x: Any, axis: int, before: int, after: int, mode: str) -> Any:
    """Modes that read elements of x: a table of places, which needs the size."""
    count = man.static_size("pad", x, axis)
    places = np.arange(-before, count + after)
    if mode == "edge":
        places = np.clip(places, 0, count - 1)
    elif mode == "wrap":
        places = places % count
    elif mode == "symmetric":
        places = places % (2 * count)
        places = np.where(places < count, places, 2 * count - 1 - places)
    elif count == 1:
        places = np.zeros_like(places)
    else:
        places = places % (2 * count - 2)
        places = np.where(places < count, places, 2 * count - 2 - places)
    return gathered(x, tensor_of("pad", places), axis)


def _odd(x: Any, axis: int, before: int, after: int, mode: str) -> Any:
    """Mirrored at the edges and turned about their values; in turns of at most one length."""
    while before or after:
        count = man.static_size("pad", x, axis)
        room = count if mode == "symmetric" else count - 1
        if room == 0:
            return _with_places(x, axis, before, after, "edge")
        low, high = min(before, room), min(after, room)
        start = 0 if mode == "symmetric" else 1
        parts = [x]
        if low:
            edge = man.sliced(x, axis, 0, 1)
            mirrored = F.flip(man.sliced(x, axis, start, low), axes=(axis,))
            parts.insert(0, ew.subtract(ew.multiply(edge, 2), mirrored))
        if high:
            edge = man.sliced(x, axis, count - 1, 1)
            mirrored = F.flip(man.sliced(x, axis, count - start - high, high), axes=(axis,))
            parts.append(ew.subtract(ew.multiply(edge, 2), mirrored))
        x = F.concatenate(*parts, axis=axis) if len(parts) > 1 else x
        before, after = before - low, after - high
    return x


def _with_statistic(
    x: Any, axis: int, before: int, after: int, mode: str, lengths: tuple[Any, Any]
) -> Any:
    count = man.static_size("pad", x, axis)
    parts = [x]
    for side, width in enumerate((before, after)):
        length = count if lengths[side] is None else min(int(lengths[side]), count)
        if length < 1:
            fail(ValueRangeError, "pad", f"stat_length must be positive, received {length}")
        part = man.sliced(x, axis, 0 if side == 0 else count - length, length)
        if mode in ("maximum", "minimum"):
            found = (red.max if mode == "maximum" else red.min)(part, axis=axis, keepdims=True)
        elif x.dtype.kind == "f":
            found = (red.mean if mode == "mean" else median)(part, axis=axis, keepdims=True)
        else:
            wide = cast(part, float64)
            found = (red.mean if mode == "mean" else median)(wide, axis=axis, keepdims=True)
            found = cast(F.round(found), x.dtype)
        shape = tuple(width if i == axis else d for i, d in enumerate(x.shape))
        parts.insert(0 if side == 0 else len(parts), expand(found, shape))
    return F.concatenate(*parts, axis=axis)


def _with_ramp(x: Any, axis: int, before: int, after: int, ends: tuple[Any, Any]) -> Any:
    """From the edge evenly down to the end value, which is the outermost element."""
    count = man.static_size("pad", x, axis)
    parts = [x]
    for side, width in enumerate((before, after)):
        if not width:
            continue
        edge = man.sliced(x, axis, 0 if side == 0 else count - 1, 1)
        wide = cast(edge, float64)
        share = np.arange(width) / width
        share = share if side == 0 else share[::-1]
        shape = tuple(width if i == axis else 1 for i in range(x.ndim))
        weights = tensor_of("pad", share.astype(np.float64).reshape(shape))
        ramp = ew.add(ew.multiply(ew.subtract(wide, float(ends[side])), weights), float(ends[side]))
        if x.dtype.kind != "f":
            ramp = F.floor(ramp)
        parts.insert(0 if side == 0 else len(parts), cast(ramp, x.dtype))
    return F.concatenate(*parts, axis=axis)
