"""How movement and index operations are lowered: an index map from result to operands.

    lowering(ix, index, types, **params) -> list[Read]

`index` holds one index expression per result dimension. Index expressions combine with each other
and with ints and dims by `+ - * // %` and compare by `.lt .le .gt .ge .eq` to conditions, which
combine by `&`. (`//` and `%` are used on non-negative values, or under a guard that makes them so.)
`types` are the operand types. The reads are tried in order: the first whose guard holds gives the
element; the last one has no guard. `ix.load(operand, index)` is an index that is itself read from
an operand (gather); `ix.clamp(expression, size)` keeps it within 0 … size-1.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Read(NamedTuple):
    """Read an operand at an index, if the guard (None: always) holds."""

    operand: int
    index: tuple[Any, ...]  # type: ignore[assignment]
    guard: Any = None
