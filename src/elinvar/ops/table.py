"""The table of primitives: an explicit tuple, and the same by name. Nothing registers itself."""

from __future__ import annotations

from elinvar.ops import (
    arithmetic,
    attention,
    comparison,
    complex_numbers,
    contract,
    control,
    conversion,
    custom,
    fourier,
    index,
    movement,
    random,
    reduce,
    transcendental,
    trigonometry,
)
from elinvar.ops.record import Op

TABLE: tuple[Op, ...] = (
    *arithmetic.OPS,
    *transcendental.OPS,
    *trigonometry.OPS,
    *comparison.OPS,
    *conversion.OPS,
    *complex_numbers.OPS,
    *reduce.OPS,
    *movement.OPS,
    *contract.OPS,
    *fourier.OPS,
    *attention.OPS,
    *index.OPS,
    *random.OPS,
    *control.OPS,
    *custom.OPS,
)
BY_NAME: dict[str, Op] = {op.name: op for op in TABLE}
