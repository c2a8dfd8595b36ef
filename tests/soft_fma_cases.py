"""fma as the hardware has it and as `codegen/soft_fma.py` makes it, on arrays; and hard operands."""

import ctypes
from functools import cache

import numpy as np

from elinvar.codegen.stand_ins import with_stand_ins
from elinvar.core.dtypes import float32
from elinvar.run import native

LANES = 8


def _text(name, dtype, has_fma):
    """A loop over `n` elements, a multiple of the lanes."""
    element = "float" if dtype is float32 else "double"
    vector, suffix = f"<{LANES} x {element}>", f"v{LANES}f{dtype.bits}"
    reads = "\n".join(
        f"  %at{p} = getelementptr {element}, ptr %{p}, i64 %i\n"
        f"  %v{p} = load {vector}, ptr %at{p}, align 4"
        for p in "abc"
    )
    text = f"""
declare {vector} @llvm.fma.{suffix}({vector}, {vector}, {vector})
define void @{name}(ptr %out, ptr %a, ptr %b, ptr %c, i64 %n) nounwind {{
entry:
  br label %step
step:
  %i = phi i64 [ 0, %entry ], [ %next, %step ]
{reads}
  %r = call {vector} @llvm.fma.{suffix}({vector} %va, {vector} %vb, {vector} %vc)
  %at = getelementptr {element}, ptr %out, i64 %i
  store {vector} %r, ptr %at, align 4
  %next = add i64 %i, {LANES}
  %more = icmp slt i64 %next, %n
  br i1 %more, label %step, label %done
done:
  ret void
}}
"""
    return with_stand_ins(text, has_fma, True)


@cache
def _function(dtype, has_fma):
    name = f"test_fma_{dtype.name}_{has_fma}"
    address = native.load(_text(name, dtype, has_fma), [name])[name]
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4, ctypes.c_int64)(address)


def run(dtype, has_fma, a, b, c):
    """fma of arrays whose length is a multiple of the lanes."""
    columns = [np.ascontiguousarray(x, dtype.numpy) for x in (a, b, c)]
    out = np.empty_like(columns[0])
    assert out.size % LANES == 0
    _function(dtype, has_fma)(out.ctypes.data, *(x.ctypes.data for x in columns), out.size)
    return out


def different(dtype, a, b, c):
    """Where the two differ; every NaN is equal to every NaN."""
    hard, soft = run(dtype, True, a, b, c), run(dtype, False, a, b, c)
    word = np.dtype(f"u{dtype.itemsize}")
    both = np.isnan(hard) & np.isnan(soft)
    wrong = np.flatnonzero((hard.view(word) != soft.view(word)) & ~both)
    return [(x[k], y[k]) for k in wrong[:5] for x, y in [((a, b, c)[0], hard)]] and [
        (a[k], b[k], c[k], hard[k], soft[k]) for k in wrong[:5]
    ]
