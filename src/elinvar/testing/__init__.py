"""Checks for tests of one's own: derivatives, equality to the bit, the numerics contract.

All of them raise `CheckError`, which is an AssertionError, with a text that says where.
"""

from __future__ import annotations

from elinvar.core.errors import CheckError
from elinvar.testing.comparing import assert_allclose, assert_bitwise_equal, ulp_distance
from elinvar.testing.contract import (
    assert_batch_equals_rows,
    assert_eager_equals_jit,
    assert_same_on_threads,
)
from elinvar.testing.gradients import check_grads

__all__ = [
    "CheckError",
    "assert_allclose",
    "assert_batch_equals_rows",
    "assert_bitwise_equal",
    "assert_eager_equals_jit",
    "assert_same_on_threads",
    "check_grads",
    "ulp_distance",
]
