"""Every op under vmap: row i has the bits of the op on example i. Generated from the records."""

import itertools
import random

import numpy as np
import pytest

import elinvar as el
from elinvar.core.errors import OutOfBoundsError
from elinvar.graph.regions import build_params
from elinvar.ops.table import TABLE
from elinvar.tensor.dispatch import apply
from tests.compiled import same_bits

pytestmark = pytest.mark.slow  # many programs to compile

COUNT = 3
CHOICES = 2  # of the ways to map the operands, for each sample


def variants(x):
    """Three arrays of one type."""
    return [
        x,
        np.roll(x.reshape(-1), 1).reshape(x.shape),
        x[tuple([slice(None, None, -1)] * x.ndim)].copy(),
    ]


def tensor_of(array, dtype):
    return el.asarray(array).astype(dtype)


def bits_of(x):
    return (x.astype(el.float32) if x.dtype is el.bfloat16 else x).numpy()


def as_tuple(found):
    return found if isinstance(found, tuple) else (found,)


def ways(sample, rng):
    """Some choices of the axis along which each operand is mapped; None: it is not."""
    count = len(sample.operands)
    if sample.params.get("predicate") is not None:
        return
    masks = [m for m in itertools.product((False, True), repeat=count) if any(m)]
    for mask in rng.sample(masks, min(CHOICES, len(masks))):
        yield tuple(
            rng.randint(-x.ndim - 1, x.ndim) if is_mapped else None
            for x, is_mapped in zip(sample.operands, mask, strict=True)
        )


def one_row(function, operands):
    try:
        return as_tuple(function(*operands))
    except OutOfBoundsError:  # programs clamp, eager mode refuses
        return as_tuple(el.jit(function)(*operands))


def check(op, sample, axes):
    params = build_params(sample.params)

    def function(*operands):
        return apply(op, operands, params)

    given, rows = [], [[] for _ in range(COUNT)]
    for x, axis in zip(sample.operands, axes, strict=True):
        dtype = sample.dtype_of(x)
        several = [x] * COUNT if axis is None else variants(x)
        for row, one in zip(rows, several, strict=True):
            row.append(tensor_of(one, dtype))
        given.append(tensor_of(x if axis is None else np.stack(several, axis), dtype))
    found = as_tuple(el.vmap(function, in_axes=axes)(*given))
    for number, row in enumerate(rows):
        for got, want in zip(found, one_row(function, row), strict=True):
            assert got.dtype is want.dtype
            place = f"{op.name} {sample.params} {axes} example {number}"
            assert same_bits(bits_of(got[number]), bits_of(want)), place


@pytest.mark.slow
@pytest.mark.parametrize("op", [op for op in TABLE if op.samples()], ids=lambda op: op.name)
def test_rows_have_the_bits_of_examples(op):
    rng = random.Random(op.name)
    for sample in op.samples():
        if sample.operands:
            for axes in ways(sample, rng):
                check(op, sample, axes)
