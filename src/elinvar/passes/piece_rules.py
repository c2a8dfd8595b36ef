"""The part of `simplify` that is about sums of pieces that lie side by side.

The gradient of a value that was cut into slices is the sum of their gradients, each padded with
zeros to the whole. Where the pieces fill the whole, each element is one of a piece's, plus zeros:

    pad(a) + pad(b) + pad(c)      →      concatenate(a, b, c) + 0

The zero stays for the sake of -0, which becomes +0.
"""

from __future__ import annotations

from typing import NamedTuple

from elinvar.core.dtypes import is_narrow
from elinvar.graph.ir import Value
from elinvar.ops.record import Namespace
from elinvar.passes.rewriting import Operands, Params, Rules, is_number, made_by, uniform

MOST_PIECES = 16


class _Piece(NamedTuple):
    """A padded value: where it begins along the padded axis, where it ends, and itself."""

    low: int
    high: int
    value: Value


def _add(f: Namespace, operands: Operands, params: Params) -> Value | None:
    whole = operands[0]
    if whole.dtype.kind not in "fiu" or not any(made_by(v, "pad") for v in operands):
        return None
    terms = _terms(operands)
    axis = None if terms is None else _padded_axis(terms[0])
    if terms is None or axis is None:
        return None
    pieces = [_piece(term, axis) for term in terms]
    found = sorted((p for p in pieces if p is not None), key=lambda piece: piece.low)
    ends = [0, *(piece.high for piece in found)]
    if len(found) < len(pieces) or [piece.low for piece in found] != ends[:-1]:
        return None
    if ends[-1] != whole.shape[axis]:
        return None
    joined: Value = f.concatenate(*(piece.value for piece in found), axis=axis)
    if whole.dtype.kind != "f":
        return joined
    zero = uniform(f, 0.0, whole.type)
    if is_narrow(whole.dtype):  # a choice needs no rounding
        joined = f.where(f.equal(joined, zero), zero, joined)
    else:
        joined = f.add(joined, zero)
    return joined


def _terms(operands: Operands) -> list[Value] | None:
    """What is added up, if that is padded values alone."""
    found: list[Value] = []
    stack = list(operands)
    while stack:
        value = stack.pop()
        if made_by(value, "add"):
            stack += value.node.operands
        elif made_by(value, "pad") and len(found) < MOST_PIECES:
            found.append(value)
        else:
            return None
    return found


def _padded_axis(value: Value) -> int | None:
    """The one axis along which a value is padded."""
    params = value.node.params
    both = zip(params["low"], params["high"], strict=True)
    padded = [axis for axis, ends in enumerate(both) if ends != (0, 0)]
    return padded[0] if len(padded) == 1 else None


def _piece(value: Value, axis: int) -> _Piece | None:
    """A padded value as a piece along an axis; None if it is none."""
    inner, filling = value.node.operands
    params = value.node.params
    low, extent = params["low"][axis], inner.shape[axis]
    if _padded_axis(value) != axis or any(params["interior"]) or not is_number(filling, 0):
        return None
    if not isinstance(low, int) or not isinstance(extent, int) or low < 0 or extent < 1:
        return None
    high = params["high"][axis]
    return _Piece(low, low + extent, inner) if isinstance(high, int) and high >= 0 else None


PIECE_RULES: Rules = {"add": (_add,)}
