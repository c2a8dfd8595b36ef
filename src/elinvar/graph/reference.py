"""Values of single nodes by the ops' numpy references.

bfloat16 values travel as float32 arrays that are already rounded; every other dtype is numpy's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from elinvar.core.dtypes import DType
from elinvar.core.errors import GraphError, fail
from elinvar.core.types import TensorType
from elinvar.ops.record import Op
from elinvar.ops.rules import round_to_bfloat16

Array = np.ndarray[Any, np.dtype[Any]]


def stored_dtype(dtype: DType) -> np.dtype[Any]:
    """The numpy dtype in which references see values of `dtype`."""
    return np.dtype(np.float32) if dtype.name == "bfloat16" else np.dtype(dtype.name)


def stored(value: Any, dtype: DType) -> Array:
    """`value` as references see it; what is no bfloat16 value yet is rounded to one."""
    array = np.asarray(value)
    if dtype.name == "bfloat16":
        return round_to_bfloat16(array.astype(np.float32, copy=False))
    return array.astype(stored_dtype(dtype), copy=False)


def run_reference(
    op: Op, operands: Sequence[Array], params: dict[str, Any], types: Sequence[TensorType]
) -> tuple[Array, ...]:
    """The results of one op, rounded to their dtype and checked against their (static) types."""
    with np.errstate(all="ignore"):
        found = op.reference(*operands, **params)
    arrays = found if isinstance(found, tuple) else (found,)
    results = []
    for array, kind in zip(arrays, types, strict=True):
        array = np.asarray(array)
        if array.shape != kind.shape or array.dtype != stored_dtype(kind.dtype):
            text = f"the reference of {op.name} gave {array.dtype}{list(array.shape)}, not {kind}"
            fail(GraphError, "interpreter", text)
        rounded = round_to_bfloat16(array) if kind.dtype.name == "bfloat16" else array
        results.append(rounded)
    return tuple(results)
