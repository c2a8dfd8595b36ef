"""Decompositions of ops that StableHLO lacks, evaluated by numpy, give the values of the op."""

import numpy as np
import pytest

from elinvar.core import dtypes
from elinvar.core.dtypes import bfloat16
from elinvar.ops import arithmetic, comparison, conversion, transcendental, trigonometry
from elinvar.ops.record import Namespace
from elinvar.ops.table import BY_NAME

FAMILY = (arithmetic, comparison, conversion, transcendental, trigonometry)
DECOMPOSED = [op for module in FAMILY for op in module.OPS if callable(op.stablehlo)]


class Value:
    """An array with the attributes of a graph value."""

    def __init__(self, array):
        self.array = np.asarray(array)
        self.dtype = dtypes.from_numpy(self.array.dtype)
        self.shape = self.array.shape


def apply(op, operands, params):
    with np.errstate(all="ignore"):
        return Value(op.reference(*(value.array for value in operands), **params))


def quotient(x, y):
    """StableHLO's division: integers truncate, and give -1 for a zero divisor on the CPU."""
    if x.dtype.kind == "f":
        return x / y
    safe = np.where(y == 0, x.dtype.type(1), y)
    inexact = (x % safe != 0) & ((x < 0) != (safe < 0))
    found = x // safe + inexact.astype(x.dtype)
    return np.where(y == 0, np.array(-1).astype(x.dtype), found).astype(x.dtype)


NATIVE = {
    "abs": np.abs,
    "floor": np.floor,
    "ceil": np.ceil,
    "round_nearest_even": np.rint,
    "is_finite": np.isfinite,
    "divide": quotient,
    "remainder": lambda x, y: (
        np.where(y == 0, x, np.fmod(x, np.where(y == 0, x.dtype.type(1), y)))
        if x.dtype.kind != "f"
        else np.fmod(x, y)
    ),
    "power": np.power,
    "shift_right_arithmetic": BY_NAME["shift_right"].reference,
    "shift_right_logical": BY_NAME["shift_right"].reference,
}


def native(name, *values, dtype=None):
    with np.errstate(all="ignore"):
        found = np.asarray(NATIVE[name.removeprefix("stablehlo.")](*(v.array for v in values)))
    return Value(found.astype(dtype.numpy if dtype else values[0].array.dtype))


def agree(op, got, want):
    if want.dtype.kind != "f":
        return np.array_equal(got, want)
    exact = op.name not in {o.name for m in (transcendental, trigonometry) for o in m.OPS}
    if exact:
        same = (got == want) & (np.signbit(got) == np.signbit(want))
        return bool(np.all(same | (np.isnan(got) & np.isnan(want))))
    tolerance = 40 * np.finfo(want.dtype).eps
    tiny = float(np.finfo(want.dtype).tiny)
    return np.allclose(got, want, rtol=tolerance, atol=tiny, equal_nan=True)


@pytest.mark.parametrize("op", DECOMPOSED, ids=lambda op: op.name)
def test_decomposition_gives_the_values_of_the_op(op):
    f = Namespace(BY_NAME, apply)
    f.native = native
    seen = 0
    for sample in op.samples():
        if any(params is bfloat16 for params in sample.params.values()):
            continue
        values = [Value(array) for array in sample.operands]
        got = op.stablehlo(f, *values, **sample.params).array
        want = apply(op, values, sample.params).array
        assert got.dtype == want.dtype and got.shape == want.shape
        with np.errstate(all="ignore"):
            wrong = [
                (*(v.array.ravel()[k] for v in values), got.ravel()[k], want.ravel()[k])
                for k in range(got.size)
                if not agree(op, got.ravel()[k : k + 1], want.ravel()[k : k + 1])
            ]
        assert not wrong, wrong[:4]
        seen += got.size
    assert seen > 3
